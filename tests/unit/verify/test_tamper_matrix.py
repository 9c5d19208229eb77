"""Writer, publisher and verifier as a set: whatever is changed in database or published folder is found and named.

``MATRIX`` and ``RUNNING`` are also the table of docs/tampering.md: what is done, who finds it and when, what is named. Each
row is tried with its defence (found, at that place) and without it (nothing is found), so each can fail. What ``RUNNING``
lists is done to a log that is being written.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from served import OWNER, service_over

from huanshu.auditlog import Draft, HeadFile, LogWriter, create_head
from huanshu.auditlog.archive import Movable, movable, move
from huanshu.auditlog.published import PublishedLog
from huanshu.auditlog.publisher import Publisher
from huanshu.canonical import canonical
from huanshu.catalog import read_home
from huanshu.drill.careless import takes_no_lock
from huanshu.errors import TamperedError, UnavailableError
from huanshu.keeper.vault import Vault, create_root, load_root
from huanshu.store import connect
from huanshu.tlog import Checkpoint, Frontier, leaf_hash, vkey
from huanshu.tlog.cosignatures import cosignature_line, cosigned_message, note_text
from huanshu.tlog.notes import COSIGNATURE
from huanshu_verify import STEPS, Options, Report, fsck

ORIGIN = "qinghe.example/huanshu"
ENTRIES = 600
BITMAP = b"sealed bitmap of one"
WITNESSES = ("audit", "court", "press")
KEYS = {name: Ed25519PrivateKey.from_private_bytes(bytes([n + 1]) * 32) for n, name in enumerate(WITNESSES)}
POLICY = "\n".join([
    *(f"witness {n} {vkey(f'{n}.example', KEYS[n].public_key().public_bytes_raw(), COSIGNATURE)}" for n in WITNESSES),
    f"group all3 2 {' '.join(WITNESSES)}", "quorum all3", "",
])  # fmt: skip


def cosign(note: str, *who: str) -> str:
    for name in who:
        signature = KEYS[name].sign(cosigned_message(note_text(note), 1_790_000_000))
        public = KEYS[name].public_key().public_bytes_raw()
        note += cosignature_line(f"{name}.example", public, 1_790_000_000, signature) + "\n"
    return note


class Whole:
    """A log of 600 entries in 3 commits and a few single ones, published, cosigned by two of three."""

    def __init__(self, ground: Any) -> None:
        self.ground, self.folder = ground, ground.folder / "log"
        writer = ground.started()
        digest = hashlib.sha256(BITMAP).hexdigest()
        about = {"count": 1, "sha256": "00" * 32, "sealed_sha256": digest}
        seen = {
            "event": "access.record.authorised", "person": "p.tang", "established": {"by": "os", "account": "qh_tang"},
            "policy": "ab" * 32, "post": "yulan.data_clerk", "domain": "990101001001", "dataset": "resident",
            "purpose": "grassroots_service", "fields": {"name": "reveal"}, "how": "viewed", "contract": "cd" * 32,
            "subjects": about, "detail": {"record": 7, "values": 1, "until": "2026-07-01T09:05:00+08:00"},
        }  # fmt: skip
        writer.append([Draft(seen, bitmap=BITMAP)])
        writer.record_loan(0, "opened", 0, ["name"], 1)
        for start, end in ((1, 300), (300, 599), (599, 600)):
            writer.append([_report(n) for n in range(start, end)])
        writer.close()
        self.publish()
        self.write(
            "checkpoint.witnessed",
            cosign((self.folder / "checkpoint").read_text(), "audit", "press").encode(),
        )

    def publish(self) -> None:
        ground = self.ground
        made = Publisher(
            PublishedLog(self.folder), lambda: connect(ground.keeper_url),
            lambda note: ground.signer.read_checkpoint(ORIGIN, note),
        )  # fmt: skip
        made.publish(ground.head.read())
        made.close()

    def more(self) -> None:
        writer = self.ground.started()
        writer.append([_report(n) for n in range(ENTRIES, ENTRIES + 20)])
        writer.close()
        self.publish()

    def write(self, name: str, raw: bytes) -> None:
        (self.folder / name).write_bytes(raw)

    def flip(self, name: str, at: int = 40) -> None:
        raw = bytearray((self.folder / name).read_bytes())
        raw[at] ^= 1
        self.write(name, bytes(raw))

    @property
    def database(self) -> Options:
        return Options(
            self.ground.roles["huanshu_app"], self.ground.signer.vkey(ORIGIN), self.ground.head.read(),
            published=self.folder, policy=POLICY,
        )  # fmt: skip

    @property
    def alone(self) -> Options:
        return replace(self.database, url=None, head=None)


def _report(number: int) -> Draft:
    return Draft({
        "event": "report.page.built", "person": "p.xu", "established": {"by": "os", "account": "qh_xu"},
        "policy": "ab" * 32, "detail": {"report": "exchange_summary", "entries": number, "sha256": "cd" * 32},
    })  # fmt: skip


@pytest.fixture
def whole(ground: Any) -> Whole:
    return Whole(ground)


def sql(*statements: str) -> Callable[[Whole], None]:
    return lambda whole: whole.ground.tamper(*statements)


def rewrite(whole: Whole) -> None:
    """Everything made anew with the log's own key: entry 5 is another's, every hash and signature fits."""
    signer, tree, keep = whole.ground.signer, Frontier(), (whole.folder / "checkpoint.witnessed").read_text()
    sizes = {size for (size,) in whole.ground.rows("SELECT size FROM log.checkpoint")}
    with connect(whole.ground.tamper_url) as admin:
        for index, leaf in admin.execute("SELECT index, leaf FROM log.entry ORDER BY index").fetchall():
            body = json.loads(bytes(leaf))
            raw = canonical({**body, "person": "p.wu"}) if index == 5 else bytes(leaf)
            tree.append(leaf_hash(raw))
            if index == 5:
                admin.execute(
                    "UPDATE log.entry SET leaf = %s, leaf_hash = %s WHERE index = 5", (raw, leaf_hash(raw))
                )
            if tree.size in sizes:
                note = signer.checkpoint_note(Checkpoint(ORIGIN, tree.size, tree.root))
                admin.execute("UPDATE log.checkpoint SET note = %s WHERE size = %s", (note, tree.size))
    whole.ground.head.write(signer.checkpoint_note(Checkpoint(ORIGIN, tree.size, tree.root)))
    whole.folder.rename(whole.folder.with_name("was"))
    whole.publish()
    whole.write("checkpoint.witnessed", keep.encode())


def cut(whole: Whole) -> None:
    """Database, head and folder all go back to the last checkpoint but one."""
    whole.ground.tamper(
        "DELETE FROM log.entry WHERE index >= 599", "DELETE FROM log.checkpoint WHERE size > 599"
    )
    (note,) = whole.ground.rows("SELECT note FROM log.checkpoint WHERE size = 599")[0]
    whole.ground.head.write(note)
    whole.write("checkpoint", note.encode())
    for name in ("tile/0/002.p/87", "tile/entries/002.p/87"):
        path = whole.folder / name
        full = next(path.parent.glob("88"))
        count = 87 * 32 if "entries" not in name else _bundle_length(full.read_bytes(), 87)
        path.write_bytes(full.read_bytes()[:count])


def _bundle_length(raw: bytes, entries: int) -> int:
    at = 0
    for _ in range(entries):
        at += 2 + int.from_bytes(raw[at : at + 2], "big")
    return at


def older_witnessed(whole: Whole) -> None:
    (note,) = whole.ground.rows("SELECT note FROM log.checkpoint WHERE size = 300")[0]
    whole.write("checkpoint.witnessed", cosign(note, "audit", "press").encode())


@dataclass(frozen=True)
class Row:
    """One way of tampering. ``finds``: step, place. ``without``: how the defence is taken away."""

    title: str
    titel: str
    change: Callable[[Whole], Any]
    finds: tuple[str, str]
    who: str
    when: str
    alone: bool = False
    without: str = "step"


VERIFIER, KEEPER = "verifier", "keeper at its next start, verifier"
RUN = "its next run"
MATRIX = (
    Row("one bit of an entry in the database", "数据库中条目改一位",
        sql("UPDATE log.entry SET leaf = set_byte(leaf, 3, get_byte(leaf, 3) # 1) WHERE index = 7"),
        ("2 leaves", "7"), KEEPER, RUN, without="1 2 3 8"),
    Row("one bit of an entry in a published bundle", "公布的条目包改一位",
        lambda w: w.flip("tile/entries/001", 900), ("8 published", "tile/entries/001"), VERIFIER, RUN),
    Row("one bit of a full tile", "满片改一位",
        lambda w: w.flip("tile/0/000"), ("8 published", "tile/0/000"), VERIFIER, RUN, alone=True),
    Row("one bit of a partial tile", "未满片改一位",
        lambda w: w.flip("tile/0/002.p/88"), ("8 published", "tile/0/002.p/88"), VERIFIER, RUN, alone=True),
    Row("one bit of a tile above", "上层片改一位",
        lambda w: w.flip("tile/1/000.p/2"), ("8 published", "tile/1/000.p/2"), VERIFIER, RUN, alone=True),
    Row("a tile taken away", "删去一片",
        lambda w: (w.folder / "tile/0/001").unlink(), ("8 published", "tile/0/001"), VERIFIER, RUN, alone=True),
    Row("one bit of a bitmap in the database", "数据库中位图改一位",
        sql("UPDATE log.bitmap SET sealed = set_byte(sealed, 0, get_byte(sealed, 0) # 1)"),
        ("4 bitmaps", "entry 0"), VERIFIER, RUN),
    Row("one bit of a published bitmap", "公布的位图改一位",
        lambda w: w.flip(f"bitmap/{hashlib.sha256(BITMAP).hexdigest()[:2]}/{hashlib.sha256(BITMAP).hexdigest()}", 3),
        ("4 bitmaps", "entry 0"), VERIFIER, RUN, alone=True),
    Row("one bit of a checkpoint in the database", "数据库中检查点改一位",
        sql("UPDATE log.checkpoint SET note = replace(note, E'\\n300\\n', E'\\n301\\n') WHERE size = 300"),
        ("3 tree", "checkpoint 300"), VERIFIER, RUN),
    Row("one bit of the published checkpoint", "公布的检查点改一位",
        lambda w: w.flip("checkpoint", 3), ("3 tree", "checkpoint"), VERIFIER, RUN, without="3"),
    Row("an entry deleted", "删去一条", sql("DELETE FROM log.entry WHERE index = 7"),
        ("1 indices", "7"), KEEPER, RUN, without="1 2 3 8"),
    Row("the tail cut, checkpoints with it", "截去尾部及其检查点",
        sql("DELETE FROM log.entry WHERE index >= 599", "DELETE FROM log.checkpoint WHERE size > 599"),
        ("3 tree", "the keeper's head"), KEEPER, RUN, without="3 8"),
    Row("database, head and folder put back together", "数据库、日志头与公布文件一并回退", cut,
        ("3 tree", "checkpoint.witnessed"), "witnesses; verifier by their note", "one witness interval", without="3 8"),
    Row("the same, where the witnesses' note is taken away too", "同上，并撤去见证检查点",
        lambda w: (cut(w), (w.folder / "checkpoint.witnessed").unlink()),
        ("8 published", "checkpoint.witnessed"), "verifier that asks for a quorum", RUN, without="policy"),
    Row("the tree rewritten with the stolen log key", "以窃得的日志密钥重写整树", rewrite,
        ("3 tree", "checkpoint.witnessed"), "witnesses; verifier by their note", "one witness interval", without="3 8"),
    Row("cosignatures of too few", "见证签名不足法定数",
        lambda w: w.write("checkpoint.witnessed", cosign((w.folder / "checkpoint").read_text(), "audit").encode()),
        ("8 published", "checkpoint.witnessed"), VERIFIER, RUN, without="policy"),
    Row("a cosignature forged", "伪造见证签名",
        lambda w: w.write("checkpoint.witnessed", _forged((w.folder / "checkpoint.witnessed").read_text())),
        ("8 published", "checkpoint.witnessed"), VERIFIER, RUN, without="policy"),
    Row("a loan added for what no entry authorises", "无依据的借钥记录",
        sql("INSERT INTO log.loan (entry_index, kind, chunk, fields, amount) VALUES (5, 'keys', 0, '{name}', 1)"),
        ("5 loans", "loan 2"), VERIFIER, RUN),
)  # fmt: skip
_STEPS = {name.partition(" ")[0]: name for name, _ in STEPS}


def _forged(note: str) -> bytes:
    """The line of one witness with the bytes of another's signature."""
    *rest, first, second, end = note.split("\n")
    other = second.split(" ")
    return "\n".join(
        [*rest, first, " ".join([*other[:2], other[2][:20] + first.split(" ")[2][20:]]), end]
    ).encode()


def at(report: Report) -> set[tuple[str, str]]:
    return {(problem.step, problem.at) for problem in report.problems}


def test_an_untouched_log_is_clean_read_either_way(whole: Whole) -> None:
    for options in (whole.database, whole.alone):
        report = fsck(options)
        assert report.clean, report.problems
        assert (report.entries, report.size, report.bitmaps) == (ENTRIES, ENTRIES, 1)
        assert report.tiles == 4
        assert set(report.witnessed) == {"audit", "press"}
    assert fsck(whole.database).loans == 1
    older_witnessed(whole)  # witnesses lag behind
    report = fsck(whole.alone)
    assert report.clean, report.problems
    assert any("cosigned 300 entries of 600" in step for step in report.steps)


@pytest.mark.parametrize("row", MATRIX, ids=[row.title for row in MATRIX])
def test_each_tampering_is_found_at_its_place_and_not_without_its_defence(whole: Whole, row: Row) -> None:
    row.change(whole)
    given = [whole.database] + ([whole.alone] if row.alone else [])
    for options in given:
        assert row.finds in at(fsck(options))
        steps = list(STEPS)
        if row.without == "policy":
            options = replace(options, policy=None)
            blind = fsck(options)
            assert row.finds not in at(blind)
            assert blind.clean, blind.problems
            continue
        gone = {row.finds[0]} if row.without == "step" else {_STEPS[word] for word in row.without.split()}
        blind = fsck(options, [step for step in steps if step[0] not in gone])
        assert blind.clean, blind.problems


# -- a log that is being written ---------------------------------------------------------------------------

#: What is done, by whom it is found, when, and what is said.
RUNNING = {
    "a second log process on copied state": (
        "在复制的状态上启动第二个日志进程", "database, by compare-and-swap; the loser is out", "its first append", "`auditlog.log.not_ours`",
    ),
    "the clock moved forward by a day": (
        "时钟拨快一天", "keeper; alert `clocks_differ`", "one second", "`log.clock.moved`: `forward`",
    ),
    "the clock moved back by a day": (
        "时钟拨回一天", "keeper: nothing sensitive is opened until it is right; alert `clocks_differ`", "one second",
        "`log.clock.moved`: `back`",
    ),
}  # fmt: skip


@pytest.mark.parametrize("defended", [True, False], ids=["with the keys", "without them"])
def test_of_two_writers_one_loses_and_no_size_is_signed_twice(ground: Any, defended: bool) -> None:
    """The second has log key and head of the first and asks for no lock. What stops it are the keys on index and size."""
    first = ground.started()
    first.append([_report(0)])
    copied = HeadFile(ground.folder / "copied")
    copied.write(ground.head.read())
    with pytest.raises(UnavailableError, match=r"auditlog\.log\.has_writer"):
        list(
            LogWriter(lambda: connect(ground.keeper_url), ground.signer, ORIGIN, copied, ground.clock).start()
        )
    second = LogWriter(
        lambda: connect(ground.keeper_url), ground.signer, ORIGIN, copied, ground.clock, takes_no_lock
    )
    list(second.start())
    if not defended:
        ground.tamper(
            "ALTER TABLE log.entry DROP CONSTRAINT entry_pkey CASCADE",
            "ALTER TABLE log.checkpoint DROP CONSTRAINT checkpoint_pkey",
        )
    first.append([_report(1)])
    if defended:
        with pytest.raises(TamperedError, match=r"auditlog\.log\.not_ours"):
            second.append([_report(2)])
        with pytest.raises(UnavailableError, match=r"auditlog\.log\.unwritable"):
            second.append([_report(3)])  # it is out
    else:
        second.append([_report(2)])
    second.close()
    first.append([_report(4)])
    first.close()
    signed = ground.rows("SELECT size, count(DISTINCT note) FROM log.checkpoint GROUP BY size ORDER BY size")
    assert signed == [(1, 1), (2, 1 if defended else 2), (3, 1)]
    report = fsck(Options(ground.roles["huanshu_app"], ground.signer.vkey(ORIGIN), ground.head.read()))
    assert report.clean == defended, report.problems


@pytest.mark.parametrize("defended", [True, False], ids=["with a second clock", "without one"])
@pytest.mark.parametrize(("days", "direction"), [(1, "forward"), (-1, "back")])
def test_a_clock_moved_by_a_day_is_told(
    ground: Any, root: Path, days: int, direction: str, defended: bool
) -> None:
    """By the clock that nobody can set: where there is none but the wall clock, nobody can tell."""
    home, head = read_home(root), HeadFile(ground.folder / "keeper.head")
    create_head(ground.signer, home.log_origin, head)
    create_root(ground.folder / "root.key")
    vault = Vault(load_root(ground.folder / "root.key"), connect(ground.keeper_url))
    wall = None if defended else lambda: ground.clock().timestamp()
    service = service_over(ground, home, head, vault, monotonic=wall)
    try:
        service.append(OWNER, "p.chen", {"event": "log.origin.created", "detail": {"sandbox": True}})
        adopted = {"event": "policy.bundle.adopted", "detail": {"digest": home.policies.digest}}
        service.append(OWNER, "p.chen", adopted)
        service.tend()
        ground.clock.at += timedelta(days=days)
        if days < 0:
            with pytest.raises(UnavailableError, match=r"auditlog\.log\.stale"):
                service.probe(OWNER, "p.tang")
        service.tend()
    finally:
        service.close()
    leaves = [json.loads(bytes(leaf)) for (leaf,) in ground.rows("SELECT leaf FROM log.entry ORDER BY index")]
    told = [body["detail"] for body in leaves if body["event"] == "log.clock.moved"]
    assert told == ([{"seconds": 86_400, "direction": direction}] if defended else [])
    times = [body["at"] for body in leaves]
    assert times == sorted(times)


def test_the_table_in_the_documentation_is_this_one(root: Path) -> None:
    rows = [
        f"| {r.title} {r.titel} | {r.who} | {r.when} | step {r.finds[0]}: `{r.finds[1]}` |" for r in MATRIX
    ]
    rows += [
        f"| {title} {titel} | {who} | {when} | {said} |"
        for title, (titel, who, when, said) in RUNNING.items()
    ]
    page = (root / "docs/tampering.md").read_text(encoding="utf-8")
    missing = [row for row in rows if row not in page]
    assert not missing, "\n".join(missing)
    assert page.count("\n| ") - 1 == len(rows)


# -- old entries in an archive --------------------------------------------------------------------------


def archived(whole: Whole, to: Path) -> Movable:
    leaves = [bytes(leaf) for (leaf,) in whole.ground.rows("SELECT leaf FROM log.entry ORDER BY index")]
    found = movable(whole.folder, 530, leaves)
    assert move(whole.folder, to, found.paths) == len(found.paths)
    return found


def test_archived_entries_verify_where_the_archive_is_named(whole: Whole, tmp_path: Path) -> None:
    """Moved: bundles wholly below the boundary, and what only they bind. The log goes on meanwhile."""
    to = tmp_path / "archive"
    found = archived(whole, to)
    assert (found.bundles, found.last) == (("tile/entries/000", "tile/entries/001"), 511)
    assert len(found.bitmaps) == 1
    assert not (whole.folder / "tile/entries/001").exists()
    whole.more()
    for options in (whole.database, whole.alone):
        assert not fsck(options).clean
        report = fsck(replace(options, archive=to))
        assert report.clean, report.problems
        assert (report.entries, report.bitmaps) == (ENTRIES + 20, 1)
    state = fsck(replace(whole.alone, archive=to)).state
    assert fsck(replace(whole.alone, state=state)).clean  # what was verified before need not be at hand


@pytest.mark.parametrize(
    ("name", "finds"),
    [("tile/entries/001", ("8 published", "tile/entries/001")), ("bitmap", ("4 bitmaps", "entry 0"))],
)
def test_one_bit_of_the_archive_is_found(
    whole: Whole, tmp_path: Path, name: str, finds: tuple[str, str]
) -> None:
    to = tmp_path / "archive"
    archived(whole, to)
    file = max((to / "bitmap").glob("*/*")) if name == "bitmap" else to / name
    raw = bytearray(file.read_bytes())
    raw[9] ^= 1
    file.write_bytes(bytes(raw))
    assert finds in at(fsck(replace(whole.database, archive=to)))
    assert not fsck(replace(whole.alone, archive=to)).clean


def test_a_move_that_was_interrupted_is_finished_and_never_replaces(whole: Whole, tmp_path: Path) -> None:
    to, leaves = tmp_path / "archive", []
    leaves = [bytes(leaf) for (leaf,) in whole.ground.rows("SELECT leaf FROM log.entry ORDER BY index")]
    found = movable(whole.folder, 530, leaves)
    for path in found.bundles:  # copied, and killed before the originals went
        (to / path).parent.mkdir(parents=True, exist_ok=True)
        (to / path).write_bytes((whole.folder / path).read_bytes())
    move(whole.folder, to, found.paths)
    assert movable(whole.folder, 530, leaves).paths == ()
    assert fsck(replace(whole.alone, archive=to)).clean
    (whole.folder / found.bundles[0]).write_bytes(b"other")
    with pytest.raises(TamperedError, match=r"auditlog\.archive\.differs"):
        move(whole.folder, to, found.bundles[:1])
    assert (whole.folder / found.bundles[0]).exists()


def test_what_a_later_entry_binds_stays(whole: Whole) -> None:
    leaves = [bytes(leaf) for (leaf,) in whole.ground.rows("SELECT leaf FROM log.entry ORDER BY index")]
    assert len(movable(whole.folder, 530, leaves).bitmaps) == 1
    assert movable(whole.folder, 530, [*leaves, leaves[0]]).bitmaps == ()
    assert movable(whole.folder, 255, leaves).paths == ()


# -- going on from an earlier run -----------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["database", "alone"])
def test_a_later_run_looks_at_what_came_since_and_comes_to_the_same(whole: Whole, mode: str) -> None:
    state = fsck(getattr(whole, mode)).state
    assert state is not None
    whole.more()
    options = getattr(whole, mode)
    later = fsck(replace(options, state=state))
    assert later.clean, later.problems
    full = fsck(options)
    assert (later.since, later.entries, later.root) == (ENTRIES, ENTRIES + 20, full.root)
    assert (later.state is None, full.state is None) == (False, False)
    assert json.loads(str(later.state)) == json.loads(str(full.state))
    again = fsck(replace(options, state=later.state))
    assert again.clean, again.problems
    assert again.since == again.entries == ENTRIES + 20


SINCE: dict[str, tuple[Callable[[Whole], Any], tuple[str, str]]] = {
    "a new entry changed": (
        sql("UPDATE log.entry SET leaf = set_byte(leaf, 3, get_byte(leaf, 3) # 1) WHERE index = 610"),
        ("2 leaves", "610"),
    ),
    "a published new entry changed": (
        lambda w: w.flip("tile/entries/002.p/108", 20_000), ("8 published", "tile/entries/002.p/108"),
    ),
    "cut below what was verified": (cut, ("3 tree", "checkpoint 600")),
    "folder put back": (
        lambda w: w.write("checkpoint", w.ground.rows("SELECT note FROM log.checkpoint WHERE size = 300")[0][0].encode()),
        ("3 tree", "checkpoint"),
    ),
    "rewritten with the log's key": (rewrite, ("3 tree", "checkpoint 600")),
    "a loan since, for an entry before": (
        sql("INSERT INTO log.loan (entry_index, kind, chunk, fields, amount) VALUES (5, 'keys', 0, '{name}', 1)"),
        ("5 loans", "loan 2"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SINCE)
def test_what_was_done_since_an_earlier_run_is_found_by_the_next(whole: Whole, name: str) -> None:
    change, finds = SINCE[name]
    state = fsck(whole.database).state
    if "cut" not in name:
        whole.more()
    change(whole)
    report = fsck(replace(whole.database, policy=None, state=state))
    assert finds in at(report), report.problems
    assert report.state is None


def test_a_state_that_the_logs_key_has_not_signed_is_refused(whole: Whole) -> None:
    from huanshu_verify.notes import NoteError

    state = json.loads(str(fsck(whole.database).state))
    size, levels = state["memory"]["3 tree"]
    other = [level and "00" * 32 for level in levels]
    for spoiled in (
        {**state, "note": state["note"].replace("\n600\n", "\n601\n")},
        {**state, "memory": {**state["memory"], "3 tree": [size, other]}},
        {**state, "memory": {}},
        [],
    ):
        with pytest.raises(NoteError, match="state cannot be used"):
            fsck(replace(whole.database, state=json.dumps(spoiled)))
