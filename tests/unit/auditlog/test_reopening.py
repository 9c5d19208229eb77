"""Opening the next origin after a loss: every crash point, every refusal, and what the verifier makes of it.

Writer, publisher and verifier as a set: each way of cheating is found, and found by its own step."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from huanshu.auditlog import Draft, Entry, LogWriter, Origins, PublishedLog, Publisher, Register
from huanshu.auditlog.custody import Custody
from huanshu.auditlog.forgotten import Forgotten, forgotten
from huanshu.auditlog.origins import following, generation
from huanshu.auditlog.reopening import Loss, find_loss, finish, reopen, set_aside
from huanshu.canonical import canonical
from huanshu.errors import TamperedError
from huanshu.store import connect
from huanshu.tlog import Checkpoint, Frontier, leaf_hash
from huanshu_verify import STEPS, Options, Report, fsck

ORIGIN = "qinghe.example/huanshu"
THERE, ALL = 300, 340


class Lost:
    """A log of 340 acknowledged entries, published, of whose database the last 40 are gone."""

    def __init__(
        self, ground: Any, draft: Callable[..., Any], late: Callable[[int], Any] | None = None
    ) -> None:
        self.ground, self.draft, self.head = ground, draft, ground.head
        self.published = PublishedLog(ground.folder / "log")
        writer = ground.started()
        writer.append([draft(n) for n in range(THERE)])
        writer.append([(late or draft)(n) for n in range(THERE, ALL)])
        writer.close()
        self.publish(ORIGIN)
        self.old = self.head.read()
        ground.tamper(
            f"DELETE FROM log.entry WHERE index >= {THERE}",
            f"DELETE FROM log.checkpoint WHERE size > {THERE}",
        )

    @property
    def origins(self) -> Origins:
        return Origins.of(self.ground.signer, ORIGIN, self.head.read())

    def find(self) -> Loss:
        with connect(self.ground.keeper_url) as connection:
            return find_loss(connection, self.origins, self.head.read(), lambda _: None)

    def body(self, loss: Loss, **change: Any) -> dict[str, Any]:
        names = ("given_up", "restored", "first", "last", "since", "origin")
        detail = {
            **{name: loss.statement[name] for name in names},
            "vkey": self.ground.signer.vkey(loss.origin), "statement": loss.digest, "reason": "lost", "asked": 0,
            "answered": 0,
            "signed": {"person": "p.chen", "post": "a", "by": "os", "account": "c", "at": "x", "reason": "lost"},
        }  # fmt: skip
        said = {
            "v": 1, "index": loss.first, "event": "log.origin.reopened", "person": "p.xu", "policy": "ab" * 32,
            "established": {"by": "os", "account": "qh_xu"}, "post": "district.auditor",
            "at": (self.ground.clock() + timedelta(hours=1)).isoformat(timespec="microseconds"),
        }  # fmt: skip
        return {**said, "detail": {**detail, **change}}

    def commit(self, **change: Any) -> str:
        """Crash point 1: the entry is durable, and nothing else."""
        loss = self.find()
        _, note = reopen(
            lambda: connect(self.ground.keeper_url), loss, self.ground.signer, self.body(loss, **change)
        )
        return note

    def finish(self) -> bool:
        with connect(self.ground.keeper_url) as connection:
            return finish(connection, self.origins, self.head, self.published)

    def writer(self) -> LogWriter:
        made = LogWriter(
            lambda: connect(self.ground.keeper_url),
            self.ground.signer,
            self.origins.current,
            self.head,
            self.ground.clock,
        )
        self.ground.publishers.append(made)
        return made

    def publish(self, current: str) -> None:
        origins = Origins(self.ground.signer, ORIGIN, current)
        publisher = Publisher(self.published, lambda: connect(self.ground.keeper_url), origins.read_any)
        publisher.publish(self.head.read())
        publisher.close()

    def grown(self) -> None:
        """The next origin's keeper appends and publishes."""
        self.ground.clock.pass_(7_200)
        writer = self.writer()
        register = Register()
        for entry, _ in writer.start():
            register.apply(entry)
        assert register.origin == writer.origin
        writer.append([self.draft(1)])
        writer.close()
        self.publish(self.origins.current)

    def verify(self, name: str = f"{ORIGIN}/2", **more: Any) -> Report:
        return fsck(
            Options(
                self.ground.roles["huanshu_app"], self.ground.signer.vkey(name), self.head.read(),
                published=self.published.folder, **more,
            )
        )  # fmt: skip


@pytest.fixture
def lost(ground: Any, make_draft: Any) -> Lost:
    return Lost(ground, make_draft)


def test_names_of_origins() -> None:
    assert [following("a/b", o) for o in ("a/b", "a/b/2", "a/b/9")] == ["a/b/2", "a/b/3", "a/b/10"]
    for foreign in ("a/c", "a/b/1", "a/b/0", "a/b/02", "a/b/x", "a/b/", "a/b/2/2", "", "a/b/²"):
        with pytest.raises(TamperedError):
            generation("a/b", foreign)


def test_what_is_missing_is_said_exactly(lost: Lost) -> None:
    with pytest.raises(TamperedError):
        list(lost.writer().start())  # the ordinary keeper stays closed
    loss = lost.find()
    assert (loss.first, loss.last, loss.origin) == (THERE, ALL - 1, f"{ORIGIN}/2")
    assert loss.given_up.size == ALL
    lost.ground.tamper(f"DELETE FROM log.entry WHERE index = {THERE - 1}")
    with pytest.raises(TamperedError):  # what is there is no signed beginning: nobody can sign that away
        lost.find()


@pytest.mark.parametrize(
    "spoil", ["entry", "checkpoint", "another origin", "nothing missing", "nothing there"]
)
def test_what_is_no_loss_is_not_given_up(lost: Lost, spoil: str) -> None:
    newest = lost.head.read()
    if spoil == "entry":
        lost.ground.tamper(
            "UPDATE log.entry SET leaf = set_byte(leaf, 90, get_byte(leaf, 90) # 1) WHERE index = 7"
        )
    elif spoil == "checkpoint":
        lost.ground.tamper("DELETE FROM log.checkpoint WHERE size = 300")
    elif spoil == "another origin":
        note = lost.ground.signer.checkpoint_note(Checkpoint(f"{ORIGIN}/2", 400, bytes(32)))
        lost.head.write(note)
        newest = note
    elif spoil == "nothing missing":
        newest = lost.ground.rows("SELECT note FROM log.checkpoint WHERE size = 300")[0][0]
    else:
        lost.ground.tamper("DELETE FROM log.entry", "DELETE FROM log.checkpoint")
    with connect(lost.ground.keeper_url) as connection, pytest.raises(TamperedError):
        find_loss(connection, lost.origins, newest, lambda _: None)


@pytest.mark.parametrize("crash", ["after the entry", "after the files", "after the head"])
def test_an_opening_that_was_interrupted_is_completed_at_the_next_start(lost: Lost, crash: str) -> None:
    assert not lost.finish()
    note = lost.commit()
    if crash != "after the entry":
        set_aside(lost.published, f"{ORIGIN}/2", THERE)
    if crash == "after the head":
        lost.head.write(note)
    assert lost.finish() is (crash != "after the head")
    assert not lost.finish()
    assert lost.origins.current == f"{ORIGIN}/2"
    assert (lost.ground.folder / "log.before.2" / "checkpoint").read_text() == lost.old
    lost.grown()
    report = lost.verify()
    assert report.clean, report.problems
    assert [(g.origin, g.size, g.first, g.last, g.opened) for g in report.gaps] == [
        (ORIGIN, ALL, THERE, ALL - 1, f"{ORIGIN}/2")
    ]
    # Who still has the first origin's key reads the same, and the copy of the old log verifies by itself.
    assert lost.verify(ORIGIN).clean
    old = fsck(Options(None, lost.ground.signer.vkey(ORIGIN), published=lost.ground.folder / "log.before.2"))
    assert (old.clean, old.size) == (True, ALL)


def test_nobody_grows_the_log_between(lost: Lost) -> None:
    loss = lost.find()
    reopen(lambda: connect(lost.ground.keeper_url), loss, lost.ground.signer, lost.body(loss))
    with pytest.raises(TamperedError):  # signed twice at one moment: one entry
        reopen(lambda: connect(lost.ground.keeper_url), loss, lost.ground.signer, lost.body(loss))


def test_an_opening_that_our_key_has_not_signed_is_none(lost: Lost) -> None:
    """The database administrator writes the entry himself."""
    loss = lost.find()
    leaf = canonical(lost.body(loss))
    old = lost.head.read()
    with connect(lost.ground.tamper_url) as admin:
        admin.execute(
            "INSERT INTO log.entry (index, event, leaf, leaf_hash) VALUES (%s, 'log.origin.reopened', %s, %s)",
            (THERE, leaf, leaf_hash(leaf)),
        )
        assert not lost.finish()
        forged = old.replace(ORIGIN, f"{ORIGIN}/2").replace("\n340\n", "\n301\n")
        admin.execute("INSERT INTO log.checkpoint (size, note) VALUES (301, %s)", (forged,))
    with pytest.raises(TamperedError):
        lost.finish()
    assert lost.head.read() == old


def test_a_second_loss_is_another_origin_and_both_are_told(lost: Lost) -> None:
    lost.commit()
    lost.finish()
    lost.grown()
    size = lost.origins.read(lost.head.read()).size
    lost.ground.tamper(
        f"DELETE FROM log.entry WHERE index = {size - 1}", f"DELETE FROM log.checkpoint WHERE size = {size}"
    )
    lost.commit()
    assert lost.finish()
    lost.grown()
    report = lost.verify(f"{ORIGIN}/3")
    assert report.clean, report.problems
    assert [(g.origin, g.first, g.last) for g in report.gaps] == [
        (ORIGIN, THERE, ALL - 1), (f"{ORIGIN}/2", size - 1, size - 1),
    ]  # fmt: skip


def _found(report: Report) -> set[str]:
    return {problem.what for problem in report.problems if problem.step == "9 origins"}


CHEATS: dict[str, tuple[dict[str, Any], str]] = {
    "one person twice": (
        {"signed": {"person": "p.xu", "post": "a", "by": "os", "account": "other", "at": "x", "reason": "lost"}},
        "one person signed twice",
    ),
    "a smaller loss": ({"last": THERE + 1}, "the missing range is not what the checkpoint covers beyond this entry"),
    "another place": (
        {"restored": {"size": 7, "root": "00" * 32}}, "it stands at another index than the end of what was restored",
    ),
    "an invented checkpoint": (
        {"given_up": {"origin": ORIGIN, "size": ALL, "root": "00" * 32, "signature": base64.b64encode(bytes(64)).decode()}},
        "the checkpoint that it gives up was not signed by the log's key",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CHEATS)
def test_the_verifier_finds_an_opening_that_is_not_what_it_says(lost: Lost, name: str) -> None:
    """Whoever has the log's key writes what he likes; it is signed, and found."""
    change, finds = CHEATS[name]
    note = lost.commit(**change)
    set_aside(lost.published, f"{ORIGIN}/2", THERE)
    lost.head.write(note)
    lost.grown()
    report = lost.verify()
    assert _found(report) == {finds}
    blind = [step for step in STEPS if step[0] != "9 origins"]
    options = Options(
        lost.ground.roles["huanshu_app"], lost.ground.signer.vkey(f"{ORIGIN}/2"), lost.head.read(),
        published=lost.published.folder,
    )  # fmt: skip
    assert fsck(options, blind).clean


def test_an_origin_that_no_entry_opens_is_found_by_keeper_and_verifier(lost: Lost) -> None:
    """The log's key alone: a later origin, without a word about what was given up."""
    with connect(lost.ground.tamper_url) as admin:
        tree = Frontier()
        for (leaf,) in admin.execute("SELECT leaf FROM log.entry ORDER BY index"):
            tree.append(leaf_hash(bytes(leaf)))
        note = lost.ground.signer.checkpoint_note(Checkpoint(f"{ORIGIN}/2", tree.size, tree.root))
        admin.execute("UPDATE log.checkpoint SET note = %s WHERE size = %s", (note, tree.size))
    lost.head.write(note)
    report = lost.verify(ORIGIN)
    assert any("were signed under" in what for what in _found(report))


def test_a_state_of_before_the_loss_is_not_gone_on_from_in_silence(lost: Lost) -> None:
    old = fsck(Options(None, lost.ground.signer.vkey(ORIGIN), published=lost.published.folder))
    assert old.clean
    lost.commit()
    lost.finish()
    lost.grown()
    report = lost.verify(state=old.state)
    assert any(problem.step == "3 tree" for problem in report.problems)
    fresh = lost.verify()
    assert json.loads(str(fresh.state))["memory"]["9 origins"]
    again = lost.verify(state=fresh.state)
    assert again.clean, again.problems
    assert len(again.gaps) == 1


# -- what was done for ever, and is lost -----------------------------------------------------------------

KEYS = {"dataset": "resident", "field": "name", "epoch": 1}


def done_for_ever(number: int) -> Draft:
    """Among the missing entries: a destruction and an erasure, each confirmed."""
    by = {
        "person": "p.xu", "established": {"by": "os", "account": "qh_xu"}, "policy": "ab" * 32, "post": "district.auditor",
    }  # fmt: skip
    detail: dict[str, Any] = {"proposed": 7, "backups_until": "2026-12-31"}
    if number == THERE + 3:
        destroyed = {**detail, "selector": KEYS, "keys": 2}
        return Draft({**by, "event": "keys.destruction.confirmed", "detail": destroyed})
    if number == THERE + 5:
        return Draft({**by, "event": "erasure.subject.confirmed", "dataset": "resident", "detail": detail})
    said = {"report": "exchange_summary", "entries": number, "sha256": "cd" * 32}
    return Draft({**by, "event": "report.page.built", "detail": said})


def test_what_the_missing_entries_did_for_ever_is_told_from_the_published_log(
    ground: Any, make_draft: Callable[..., Any]
) -> None:
    lost = Lost(ground, make_draft, done_for_ever)
    known = forgotten(lost.find(), lost.origins, lost.published)
    assert known == Forgotten(ALL, [KEYS], [{"entry": THERE + 5, "dataset": "resident"}])
    lost.commit(forgotten=known.as_json())
    custody = Custody()
    body = {"event": "log.origin.reopened", "detail": {"forgotten": known.as_json()}}
    custody.apply(Entry(THERE, "log.origin.reopened", body, b""))
    assert custody.is_destroyed("data/990101001001/resident/name/1")
    assert not custody.is_destroyed("data/990101001001/resident/name/2")
    assert not custody.is_destroyed("data/990101001001/resident/phone/1")


@pytest.mark.parametrize(
    "what", ["an entry changed", "the checkpoint gone", "another's checkpoint", "nothing there"]
)
def test_what_does_not_continue_the_restored_log_to_a_signed_checkpoint_tells_nothing(
    ground: Any, make_draft: Callable[..., Any], what: str
) -> None:
    lost = Lost(ground, make_draft, done_for_ever)
    folder = lost.published.folder
    if what == "an entry changed":
        (bundle,) = (folder / "tile/entries/001.p").iterdir()
        raw = bundle.read_bytes()
        assert raw.count(b"2026-12-31") == 2
        bundle.write_bytes(raw.replace(b"2026-12-31", b"2027-12-31"))
    elif what == "the checkpoint gone":
        (folder / "checkpoint").unlink()
    elif what == "another's checkpoint":
        (folder / "checkpoint").write_text(lost.old.replace("qinghe", "other"))
    else:
        folder.rename(folder.with_name("elsewhere"))
    assert forgotten(lost.find(), lost.origins, lost.published) == Forgotten(THERE)
