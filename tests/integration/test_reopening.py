"""Going on after a loss, for real: a restore from an older backup is closed until two persons give the rest up, and
then goes on under another origin. Writer and verifier as a pair."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from huanshu.assembly import Deployment, Running, open_deployment
from huanshu.assembly.backup import restore, take
from huanshu.assembly.keeper_process import build_service, clock_of, closed_service
from huanshu.assembly.running import connect
from huanshu.assembly.verifying import verify_deployment
from huanshu.auditlog.reader import read_entries
from huanshu.catalog import Rung
from huanshu.drill.range import Range
from huanshu.errors import DeniedError, InputError, TamperedError
from huanshu.gate.read import Asked, read
from huanshu.gate.seen import AskedWho, who_saw
from huanshu.keeper.client import Keeper
from huanshu.keeper.closed import ClosedServer
from huanshu.keeper.server import Server
from huanshu.report.statement import statement, told
from huanshu.settings import Settings

ROOT = Path(__file__).parents[2]
INTAKE, A = "resident.psb_to_district", "990101001001"
PASSPHRASE = "correct horse battery staple"
WHY = "disk array lost"


class Place:
    """A range, one backup of it, and the log's head some entries later. ``copy`` makes a restored deployment."""

    def __init__(self, range_: Range, folder: Path) -> None:
        self.range, self.folder, self.backup = range_, folder, folder / "backup"
        range_.take_in(INTAKE)
        self.record = range_.due_records("resident", A)[0][0]
        self.look(connect(range_.settings, "p.tang"))
        range_.stop_keeper()
        self.made = take(range_.deployment, self.backup, PASSPHRASE)
        range_.start_keeper()
        for _ in range(3):
            self.look(connect(range_.settings, "p.tang"))
        range_.stop_keeper()
        self.later = (range_.settings.keeper_folder / "head").read_text()
        self.size = int(self.later.split("\n")[1])

    def look(self, running: Running) -> str | None:
        asked = Asked(
            "yulan.data_clerk", A, "resident", "grassroots_service", {"name": Rung.REVEAL}, record=self.record
        )
        return read(running.home, running.keeper, running.district, asked).values["name"]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with Range(ROOT) as made:
        yield Place(made, tmp_path_factory.mktemp("backup"))


class Restored:
    """A deployment restored from the place's backup, its servers up, its keeper not."""

    def __init__(self, place: Place, name: str) -> None:
        home = place.folder / f"{name}.home"
        shutil.copytree(place.range.settings.home, home)
        self.settings = Settings(home, place.folder / name, "en")
        restore(self.settings, place.backup, PASSPHRASE, place.later, place.made.origin)
        self.deployment: Deployment = open_deployment(self.settings)
        self.server: Any = None

    def refused(self) -> TamperedError:
        with pytest.raises(TamperedError, match="not_ours") as refused:
            build_service(self.deployment)
        return refused.value

    def serve_closed(self) -> None:
        self.serve(ClosedServer(self.settings.keeper_socket, closed_service(self.deployment, self.refused())))

    def serve(self, server: Any) -> None:
        self.stop()
        self.server = server
        threading.Thread(target=server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        if self.server is not None:
            self.server.shutdown()
            self.server.server_close()
            self.server = None

    def open(self) -> None:
        self.serve(Server(self.settings.keeper_socket, build_service(self.deployment)))

    def keeper(self, person: str) -> Keeper:
        return Keeper(self.settings.keeper_socket, person)

    def sign(self, person: str, **more: Any) -> dict[str, Any]:
        keeper = self.keeper(person)
        return keeper.give_up(keeper.missing()["digest"], WHY, **more)

    def gone(self) -> None:
        self.stop()
        for name in self.deployment.embedded:
            self.deployment.server(name).stop()


@pytest.fixture
def restored(place: Place, request: pytest.FixtureRequest) -> Iterator[Restored]:
    made = Restored(place, request.node.name[:40])
    yield made
    made.gone()


def test_closed_until_two_persons_sign_then_whole_and_the_gap_is_told(
    place: Place, restored: Restored, command: Callable[..., tuple[int, Any]]
) -> None:
    settings = restored.settings
    restored.serve_closed()
    # Nothing is opened, appended or looked up meanwhile.
    with pytest.raises(TamperedError, match="not_ours"):
        place.look(connect(settings, "p.tang"))
    with pytest.raises(TamperedError, match="not_ours"):
        restored.keeper("p.chen").status()
    missing = restored.keeper("p.tang").missing()
    assert (missing["first"], missing["last"], missing["signed"]) == (place.made.size, place.size - 1, None)
    assert missing["origin"] == f"{place.made.origin}/2"
    # The command shows it, and changes nothing.
    reopen = "huanshu --as p.chen audit reopen"
    code, shown = command(settings, reopen)
    assert (code, shown["digest"], shown["signed"]) == (0, missing["digest"], None)
    assert command(settings, f"{reopen} --sign {missing['digest'][:8]} --reason x")[0] == 4
    assert command(settings, f"{reopen} --sign {missing['digest']}")[0] == 4
    signing = f"audit reopen --sign {missing['digest'][:16]} --reason 'disk array lost'"
    assert command(settings, f"huanshu --as p.tang {signing} --dry-run")[0] == 5
    code, dry = command(settings, f"huanshu --as p.chen {signing} --dry-run")
    assert (code, dry["complete"], dry["entry"]) == (0, False, None)
    assert command(settings, "huanshu --as p.chen status")[0] == 7
    # Who may not sign, may not; one signature is none, nor are two of the same.
    with pytest.raises(DeniedError, match=r"identity\.post\.not_held"):
        restored.sign("p.tang")
    assert restored.sign("p.chen", dry_run=True)["complete"] is False
    assert restored.keeper("p.chen").missing()["signed"] is None
    assert restored.sign("p.chen")["complete"] is False
    with pytest.raises(DeniedError, match="same_person"):
        restored.sign("p.chen")
    with pytest.raises(DeniedError, match=r"reopening\.other"):
        restored.keeper("p.xu").give_up("00" * 32, WHY)
    with pytest.raises(InputError):
        restored.keeper("p.xu").give_up(missing["digest"], "")
    restored.refused()
    # A crash between the two signatures: the first one still stands.
    restored.serve_closed()
    assert restored.keeper("p.xu").missing()["signed"]["person"] == "p.chen"
    done = restored.sign("p.xu")
    assert (done["complete"], done["entry"], done["origin"]) == (
        True,
        place.made.size,
        f"{place.made.origin}/2",
    )
    restored.open()
    assert restored.keeper("p.chen").status()["origin"] == done["origin"]
    assert place.look(connect(settings, "p.tang"))
    running = connect(settings)
    with running.district() as district:
        entries = list(read_entries(district))
    opened = entries[place.made.size].body
    assert opened["event"] == "log.origin.reopened"
    assert opened["detail"]["given_up"]["size"] == place.size
    assert {opened["person"], opened["detail"]["signed"]["person"]} == {"p.chen", "p.xu"}
    assert not (settings.keeper_folder / "reopening").exists()
    asked = AskedWho("district.auditor", "resident", "access_review", "complaint 7", place.record)
    auditor = connect(settings, "p.xu")
    answer = who_saw(auditor.home, auditor.keeper, auditor.district, asked)
    assert [(lost.first, lost.last, set(lost.persons)) for lost in answer.gaps] == [
        (place.made.size, place.size - 1, {"p.chen", "p.xu"})
    ]
    assert sum(s.how == "viewed" for s in answer.sightings) == 2  # three more were looked at, and are lost
    said = statement(auditor.home, answer, told(answer, {}), "complaint 7", clock_of(auditor.home)())
    assert any("entries of the log between" in line.en for line in said)
    report = verify_deployment(running)
    assert report.clean, report.problems
    (gap,) = report.gaps
    assert (gap.origin, gap.first, gap.last, gap.opened) == (
        place.made.origin, place.made.size, place.size - 1, done["origin"],
    )  # fmt: skip
    with pytest.raises(InputError, match=r"reopening\.none"):
        restored.keeper("p.chen").missing()
    restored.stop()
    restored.open()  # and starts again like any other log
    assert place.look(connect(settings, "p.tang"))
