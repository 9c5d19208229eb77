"""The whole spine under profile sm: intake, delivery, single reads, quarantine, verifier; nothing of AES seals or links."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from huanshu.catalog import Rung
from huanshu.drill.range import Range
from huanshu.errors import UnavailableError
from huanshu.gate.read import Asked, read
from huanshu.keeper.vault import Vault, load_root
from huanshu.sealing.cells import CellContext, open_column
from huanshu.sealing.keys import KeyName, data_key
from huanshu.sealing.suites import SM4_MARK, Suite, suite_of
from huanshu.store import connect

ROOT = Path(__file__).parents[2]
INTAKE, DELIVERY = "resident.psb_to_district", "resident.district_to_communities"
HOME = "990101001001"


def choose(profile: str, home: Path) -> None:
    path = home / "policies/keys.yaml"
    text = path.read_text("utf-8")
    assert "\nprofile: " in text
    path.write_text(text.replace("\nprofile: aes\n", f"\nprofile: {profile}\n"), "utf-8")


def _refuse(_: bytes) -> None:
    raise AssertionError("AES under profile sm")


@pytest.fixture(scope="module")
def place() -> Iterator[Range]:
    with pytest.MonkeyPatch.context() as patch, Range(ROOT, edit=lambda home: choose("sm", home)) as made:
        # Keeper and gate run in this process, workers are forked from it: whoever asks for AES fails.
        patch.setattr("huanshu.sealing.suites.AESSIV", _refuse)
        patch.setattr("huanshu.sealing.suites.AES", _refuse)
        sample = (ROOT / "expectations/resident/samples/passing.csv").read_text("utf-8").splitlines()
        at = sample[0].split(",").index("citizen_number")
        broken = sample[1].split(",")
        broken[at] = "990101195001010000"
        made.take_in(INTAKE, content="\n".join([*sample[:1], *sample[2:], ",".join(broken), ""]).encode())
        made.deliver(DELIVERY)
        yield made


def vault(place: Range) -> Vault:
    return Vault(
        load_root(place.settings.keeper_folder / "root.key"),
        connect(place.deployment.roles["huanshu_keeper"]),
    )


def test_every_key_is_of_sm4_and_wrapped_by_sm4(place: Range) -> None:
    root = (place.settings.keeper_folder / "root.key").read_bytes()
    assert suite_of(root) is Suite.SM4_CCM
    with connect(place.deployment.roles["huanshu_keeper"]) as connection:
        rows = connection.execute("SELECT name, wrapped FROM keys.wrapped").fetchall()
    kinds = {name.split("/")[0] for name, _ in rows}
    assert kinds >= {"data", "link", "content", "bitmap", "quarantine"}
    opened = load_root(place.settings.keeper_folder / "root.key")
    for name, wrapped in rows:
        assert opened.unwrap(KeyName(name), bytes(wrapped)).startswith(SM4_MARK)


def test_slices_are_delivered_verified_and_read(place: Range) -> None:
    due = place.due_records("resident", HOME)
    assert due
    assert place.slice_records("resident", HOME) == due
    report = place.verify()
    assert report.clean
    assert report.stored > 0
    running = place.acting("p.tang")
    asked = Asked(
        post="yulan.data_clerk", domain=HOME, dataset="resident", purpose="grassroots_service",
        fields={"name": Rung.REVEAL}, record=due[0][0],
    )  # fmt: skip
    assert read(running.home, running.keeper, running.district, asked).values["name"]
    running.keeper.close()


def test_cells_of_both_stores_are_sm4_ccm_and_no_aes_opens_them(place: Range) -> None:
    width = place.acting().home.contracts["resident"].field("name").width
    assert width is not None
    with closing(vault(place)) as opened:
        key = opened.key(data_key(HOME, "resident", "name", 1))
    context = CellContext(HOME, "resident", "name", "reveal", 1)
    with place.acting().district() as district:
        stored = district.execute(
            "SELECT record, version, name FROM district.resident WHERE home = %s ORDER BY record", (HOME,)
        ).fetchall()
    with place.acting().receiver(HOME) as store:
        received = store.execute(
            f"SELECT record, version, name FROM receiver_{HOME}.resident ORDER BY record".encode()
        ).fetchall()
    assert stored
    for record, version, cell in [*stored, *received]:
        assert len(cell) == width + 1 + 28
        assert open_column(key, context, [record], [version], [bytes(cell)])[0]
        for taken in (key[4:], key[4:] * 2):
            with pytest.raises(Exception, match=r"^$"):
                AESSIV(taken).decrypt(bytes(cell), [context.bound()])


def test_the_quarantined_row_was_sealed_too(place: Range) -> None:
    with place.acting().district() as district:
        held = district.execute("SELECT count(*) FROM district.quarantine").fetchone()
    assert held is not None
    assert held[0] == 1


def test_nobody_changes_the_algorithms_by_changing_a_file(place: Range) -> None:
    place.stop_keeper()
    choose_back = place.settings.home / "policies/keys.yaml"
    text = choose_back.read_text("utf-8")
    choose_back.write_text(text.replace("\nprofile: sm\n", "\nprofile: aes\n"), "utf-8")
    with pytest.raises(UnavailableError) as refused:
        place.start_keeper()
    assert refused.value.code == "keeper.profile.other"
    choose_back.write_text(text, "utf-8")
    place.start_keeper()
