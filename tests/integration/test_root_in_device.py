"""The whole loop over a root key that nobody can read: intake, delivery, single read, restart, refusals, backup."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from devices import PIN, WRONG, Devices
from searched import found

from huanshu.assembly import Stack
from huanshu.assembly.backup import restore, take
from huanshu.catalog import Rung
from huanshu.drill.range import Range
from huanshu.errors import TamperedError, UnavailableError
from huanshu.gate.read import Asked, read
from huanshu.keeper.vault import Vault
from huanshu.settings import Settings
from huanshu.store import connect

ROOT = Path(__file__).parents[2]
INTAKE, DELIVERY = "resident.psb_to_district", "resident.district_to_communities"
HOME = "990101001001"
WORDS = ["three blind mice run", "four calling birds!", "five golden rings.."]


def in_device(home: Path, devices: Devices, device: str) -> None:
    path = home / "policies/keys.yaml"
    text = path.read_text("utf-8")
    assert "\nroot_provider: file\n" in text
    path.write_text(text.replace("\nroot_provider: file\n", "\nroot_provider: pkcs11\n"), "utf-8")
    devices.write(home.parent / "state" / "device.json", device)


@pytest.fixture(scope="module")
def device(devices: Devices) -> str:
    return devices.new()


@pytest.fixture(scope="module")
def place(devices: Devices, device: str) -> Iterator[Range]:
    with Range(ROOT, edit=lambda home: in_device(home, devices, device)) as made:
        made.take_in(INTAKE)
        made.deliver(DELIVERY)
        yield made


def shown(place: Range) -> object:
    running = place.acting("p.tang")
    asked = Asked(
        post="yulan.data_clerk", domain=HOME, dataset="resident", purpose="grassroots_service",
        fields={"name": Rung.REVEAL}, record=place.due_records("resident", HOME)[0][0],
    )  # fmt: skip
    try:
        return read(running.home, running.keeper, running.district, asked).values["name"]
    finally:
        running.keeper.close()


def test_what_was_taken_in_is_delivered_verified_and_read_also_after_a_restart(place: Range) -> None:
    due = place.due_records("resident", HOME)
    assert due
    assert place.slice_records("resident", HOME) == due
    report = place.verify()
    assert report.clean
    assert report.stored > 0
    name = shown(place)
    assert name
    place.stop_keeper()
    place.start_keeper()
    assert shown(place) == name
    assert not (place.settings.keeper_folder / "root.key").exists()
    with place.administrator() as administrator:
        rows = administrator.execute("SELECT wrapped FROM keys.wrapped WHERE name LIKE 'data/%'").fetchall()
    assert {len(bytes(wrapped)) for (wrapped,) in rows} == {12 + 64 + 16}


def test_the_keeper_does_not_start_without_its_device(place: Range, devices: Devices, device: str) -> None:
    place.stop_keeper()
    keys = place.settings.home / "policies/keys.yaml"
    text = keys.read_text("utf-8")
    try:
        for pin, said in ((WRONG, device), (PIN, "unplugged")):
            devices.write(place.settings.device_file, said, pin=pin)
            with pytest.raises(UnavailableError) as refused:
                place.start_keeper()
            assert refused.value.code == "sealing.key.device"
            assert pin not in refused.value.explain("en")
        devices.write(place.settings.device_file, device)
        keys.write_text(text.replace("root_provider: pkcs11", "root_provider: file"), "utf-8")
        with pytest.raises(UnavailableError) as refused:
            place.start_keeper()
        assert refused.value.code == "keeper.root.elsewhere"
    finally:
        keys.write_text(text, "utf-8")
        place.start_keeper()
    assert shown(place)


def test_a_wrapped_key_under_another_name_opens_nothing(place: Range) -> None:
    with place.administrator() as administrator:
        ((name, kept), (_, other)) = administrator.execute(
            "SELECT name, wrapped FROM keys.wrapped WHERE name LIKE %s ORDER BY name LIMIT 2",
            (f"data/{HOME}/resident/%",),
        ).fetchall()
        change = "UPDATE keys.wrapped SET wrapped = %s WHERE name = %s"
        administrator.execute(change, (other, name))
        try:
            with connect(place.deployment.roles["huanshu_keeper"]) as connection:
                root = place._server._served._parts.vault._root  # type: ignore[union-attr]
                with pytest.raises(TamperedError) as refused:
                    Vault(root, connection).key(name, born=False)
                assert refused.value.code == "sealing.key.refused"
        finally:
            administrator.execute(change, (kept, name))


def test_a_keeper_in_a_process_of_its_own_uses_it_and_says_no_pin(
    place: Range, devices: Devices, device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As ``huanshu up`` starts it: with none of our variables, so the module finds its own setting below HOME."""
    name = shown(place)
    place.stop_keeper()
    monkeypatch.setenv("HOME", str(devices.folder))
    stack, secret = Stack(place.settings), place.settings.device_file.with_name("device.pin")
    try:
        stack.start_keeper()
        assert shown(place) == name
        stack.stop_keeper()
        devices.write(place.settings.device_file, device, pin=WRONG)
        with pytest.raises(UnavailableError, match="does not take the PIN"):
            stack.start_keeper()
        assert found(place.settings.state, [WRONG.encode()]) == [str(secret)]
    finally:
        stack.stop_keeper()
        devices.write(place.settings.device_file, device)
        place.start_keeper()
    assert found(place.settings.state, [PIN.encode()]) == [str(secret)]


def test_no_copy_of_it_is_sealed_for_custodians_and_it_says_why(place: Range) -> None:
    claim = {"event": "keys.escrow.proposed", "detail": {"reason": "a copy for the archive"}}
    proposed = place.acting("p.chen").keeper.append(claim).index
    size = len(place.acts())
    with pytest.raises(UnavailableError) as refused:
        place.acting("p.song").keeper.escrow(proposed, WORDS)
    assert refused.value.code == "keeper.root.kept"
    assert len(place.acts()) == size


def test_a_backup_holds_no_root_and_is_restored_beside_the_device(
    place: Range, devices: Devices, device: str, tmp_path: Path
) -> None:
    take(place.deployment, tmp_path / "backup", WORDS[0])
    newest = (place.settings.keeper_folder / "head").read_text("utf-8")
    state = tmp_path / "restored"
    devices.write(state / "device.json", device)
    settings = Settings(place.settings.home, state, "en")
    place.stop_keeper()
    made, _ = restore(settings, tmp_path / "backup", WORDS[0], newest, place.acting().home.log_origin)
    try:
        assert (settings.keeper_folder / "root.device").exists()
        assert not (settings.keeper_folder / "root.key").exists()
    finally:
        for name in made.embedded:
            made.server(name).stop()
        place.start_keeper()
