"""Backup and restore, for real: a whole deployment goes into a folder and comes up elsewhere, or stays closed."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from huanshu.assembly import Stack, connect
from huanshu.assembly.backup import KEYS, MANIFEST, restore, take
from huanshu.assembly.verifying import verify_deployment
from huanshu.catalog import Rung
from huanshu.drill.range import Range
from huanshu.errors import HuanshuError, InputError, TamperedError, UnavailableError
from huanshu.gate.read import Asked, read
from huanshu.settings import Settings
from huanshu.store.embedded import programs

ROOT = Path(__file__).parents[2]
INTAKE, DELIVERY, A = "resident.psb_to_district", "resident.district_to_communities", "990101001001"
PASSPHRASE = "correct horse battery staple"


class Place:
    """A range with one backup of it, and the log's head at that moment and one entry later."""

    def __init__(self, range_: Range, folder: Path) -> None:
        self.range, self.folder, self.backup = range_, folder, folder / "backup"
        range_.take_in(INTAKE)
        range_.deliver(DELIVERY)
        self.record = range_.due_records("resident", A)[0][0]
        self.value = self.read(range_.settings)
        range_.stop_keeper()
        self.then = (range_.settings.keeper_folder / "head").read_text()
        self.made = take(range_.deployment, self.backup, PASSPHRASE)
        range_.start_keeper()
        self.read(range_.settings)
        self.later = (range_.settings.keeper_folder / "head").read_text()

    @property
    def origin(self) -> str:
        return self.range.acting().home.log_origin

    def read(self, settings: Settings) -> str | None:
        running = connect(settings, "p.tang")
        asked = Asked(
            "yulan.data_clerk", A, "resident", "grassroots_service", {"name": Rung.REVEAL}, record=self.record
        )
        return read(running.home, running.keeper, running.district, asked).values["name"]

    def settings(self, name: str) -> Settings:
        return Settings(self.range.settings.home, self.folder / name, "en")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with Range(ROOT) as made:
        yield Place(made, tmp_path_factory.mktemp("backup"))


def test_it_comes_up_elsewhere_and_everything_verifies_and_opens(place: Place) -> None:
    settings = place.settings("whole")
    _, restored = restore(settings, place.backup, PASSPHRASE, place.then, place.origin)
    assert restored == place.made
    with Stack(settings):
        running = connect(settings)
        report = verify_deployment(running)
        assert report.clean, report.problems
        assert report.size >= place.made.size > 0
        assert report.rows > 0
        assert report.stored > 0
        assert place.read(settings) == place.value is not None
    with pytest.raises(UnavailableError, match=r"assembly\.restore\.occupied"):
        restore(settings, place.backup, PASSPHRASE, place.then, place.origin)


def test_a_backup_older_than_what_was_acknowledged_stays_closed(place: Place) -> None:
    settings = place.settings("older")
    restore(settings, place.backup, PASSPHRASE, place.later, place.origin)
    with Stack(settings):  # a keeper is there, without a root key, and says what is missing
        keeper = connect(settings, "p.chen").keeper
        with pytest.raises(TamperedError, match=r"auditlog\.log\.not_ours"):
            keeper.status()
        with pytest.raises(TamperedError, match=r"auditlog\.log\.not_ours"):
            place.read(settings)
        missing = keeper.missing()
        assert missing["first"] == place.made.size
        # Two persons give up what is missing: the same process goes on as the ordinary keeper.
        for person in ("p.chen", "p.xu"):
            connect(settings, person).keeper.give_up(missing["digest"], "the rest is lost")
        assert _status_once_it_answers(settings)["origin"] == missing["origin"]
        assert place.read(settings) == place.value


def _status_once_it_answers(settings: Settings) -> dict[str, Any]:
    end = time.monotonic() + 60
    while True:
        try:
            return connect(settings, "p.chen").keeper.status()
        except UnavailableError:
            assert time.monotonic() < end
            time.sleep(0.2)


def test_an_older_note_is_not_taken_for_the_newest(place: Place) -> None:
    with place.range.administrator() as administrator:
        row = administrator.execute("SELECT note FROM log.checkpoint WHERE size = 3").fetchone()
    assert row is not None
    with pytest.raises(InputError, match=r"assembly\.restore\.older_note"):
        restore(place.settings("note"), place.backup, PASSPHRASE, row[0], place.origin)
    with pytest.raises(HuanshuError):
        restore(place.settings("note2"), place.backup, PASSPHRASE, place.then.replace("—", "-"), place.origin)


def test_no_key_and_no_value_lies_in_it_in_plain(place: Place) -> None:
    keeper = place.range.settings.keeper_folder
    root, log = (keeper / "root.key").read_bytes(), (keeper / "log.key").read_bytes()
    listed = subprocess.run(
        [str(programs() / "pg_restore"), "--file=-", str(place.backup / "district.dump")],
        check=True, capture_output=True, timeout=60,
    ).stdout  # fmt: skip
    assert b"COPY district.resident" in listed
    everything = listed + b"".join(path.read_bytes() for path in place.backup.iterdir())
    assert place.value is not None
    for secret in (root, root.hex().encode(), log, log.hex().encode(), place.value.encode()):
        assert secret not in everything
    assert place.backup.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("spoil", ["passphrase", "manifest", "dump", "keys", "no dump"])
def test_a_set_that_is_not_whole_makes_nothing(place: Place, tmp_path: Path, spoil: str) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(place.backup, copy)
    if spoil == "manifest":
        said = json.loads((copy / MANIFEST).read_text())
        (copy / MANIFEST).write_text(json.dumps({**said, "size": said["size"] + 1}, indent=1))
    elif spoil in ("dump", "keys"):
        path = copy / ("district.dump" if spoil == "dump" else KEYS)
        raw = bytearray(path.read_bytes())
        raw[-5] ^= 1
        path.write_bytes(bytes(raw))
    elif spoil == "no dump":
        (copy / "district.dump").unlink()
    given = "another passphrase!" if spoil == "passphrase" else PASSPHRASE
    settings = place.settings(f"spoilt {spoil}")
    with pytest.raises(InputError, match=r"sealing\.escrow\.refused|assembly\.backup\.broken"):
        restore(settings, copy, given, place.then, place.origin)
    assert not settings.state.exists()


def test_the_command_is_in_the_log_and_for_those_who_may_read_it(
    place: Place, command: Callable[..., tuple[int, Any]], tmp_path: Path
) -> None:
    settings, line = place.range.settings, f"huanshu --as p.chen backup {tmp_path}/nightly --case nightly"
    assert command(settings, f"{line} --dry-run")[0] == 0
    assert command(settings, line.replace("p.chen", "p.tang"), PASSPHRASE)[0] == 5
    assert command(settings, line, "short")[0] == 4
    assert list(tmp_path.iterdir()) == []
    code, told = command(settings, line, PASSPHRASE)
    assert (code, told["origin"]) == (0, place.origin)
    assert any(e.body["detail"].get("tool") == "backup" for e in place.range.entries())
    head = settings.keeper_folder / "head"
    restored = place.settings("by command")
    assert command(restored, f"huanshu restore {tmp_path}/nightly --newest {head}", PASSPHRASE)[0] == 0
    assert command(restored, f"huanshu restore {tmp_path}/nightly --newest {head}", PASSPHRASE)[0] == 6


def test_a_short_passphrase_and_a_folder_that_is_there_are_refused(place: Place, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"sealing\.passphrase\.short"):
        take(place.range.deployment, tmp_path / "short", "short")
    assert not (tmp_path / "short").exists()
    with pytest.raises(InputError, match=r"assembly\.backup\.occupied"):
        take(place.range.deployment, place.backup, PASSPHRASE)
