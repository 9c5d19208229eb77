"""The six steps over a log in PostgreSQL and its receivers' stores."""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import psycopg
from psycopg import sql

from huanshu_verify import merkle, written
from huanshu_verify.notes import NoteError, VerifierKey, open_checkpoint

_BATCH = 5_000
_COPY_HEAD = 19  # bytes before the first row: signature, flags, length of the extension
_DIGEST_LENGTH = struct.pack(">I", 32)
#: What each settling event settles.
_SETTLES = {
    "exchange.delivery.arrived": "exchange.delivery.authorised",
    "exchange.delivery.stopped": "exchange.delivery.authorised",
    "correction.batch.judged": "correction.batch.authorised",
    "correction.change.accepted": "correction.change.authorised",
    "correction.change.conflicted": "correction.change.authorised",
}


@dataclass(frozen=True, slots=True)
class Options:
    """What to verify. ``head`` is the text of the keeper's head; ``receivers`` maps domain codes to URLs; ``data``
    asks for the rows of the district store, which lies in the log's database."""

    url: str = field(repr=False)
    vkey: str
    head: str | None = None
    receivers: Mapping[str, str] = field(default_factory=dict, repr=False)
    data: bool = False


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is not as it should be. ``at`` names index, size, digest, or receiver and record."""

    step: str
    at: str
    what: str


@dataclass(slots=True)
class Report:
    """What was looked at and what was found. Clean when there is no problem."""

    entries: int = 0
    checkpoints: int = 0
    bitmaps: int = 0
    loans: int = 0
    rows: int = 0
    stored: int = 0
    size: int = 0
    root: str = ""
    under_way: list[str] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    steps: list[str] = field(default_factory=list)

    @property
    def clean(self) -> bool:
        return not self.problems


@dataclass(slots=True)
class _Log:
    """What one pass over the entries leaves for the later steps."""

    options: Options
    connection: psycopg.Connection
    report: Report
    key: VerifierKey
    entries: dict[int, Mapping[str, Any]] = field(default_factory=dict)

    def find(self, step: str, at: object, what: str) -> None:
        self.report.problems.append(Problem(step, str(at), what))


def _indices(log: _Log) -> None:
    expected = 0
    for index, _, _ in _entries(log.connection):
        if index != expected:
            log.find("1 indices", expected, f"entry {expected} is missing (next is {index})")
            expected = index
        expected += 1
    log.report.entries = expected


def _leaves(log: _Log) -> None:
    said: dict[int, str] = dict(log.connection.execute("SELECT index, event FROM log.entry").fetchall())
    for index, leaf, stored in _entries(log.connection):
        hashed = merkle.leaf(leaf)
        if hashed != stored:
            log.find("2 leaves", index, "the leaf hash is not the leaf's")
        body = _canonical(leaf)
        if body is None:
            log.find("2 leaves", index, "the leaf is not canonical JSON")
        elif body.get("index") != index:
            log.find("2 leaves", index, f"the leaf says it is entry {body.get('index')}")
        elif not isinstance(body.get("event"), str) or not isinstance(body.get("detail"), dict):
            log.find("2 leaves", index, "the leaf is no entry")
        else:
            if body["event"] != said.get(index):
                log.find("2 leaves", index, "the event beside the leaf is not the leaf's")
            log.entries[index] = body


def _tree(log: _Log) -> None:
    hashes = [merkle.leaf(leaf) for _, leaf, _ in _entries(log.connection)]
    notes: list[tuple[str, str]] = [
        (f"checkpoint {size}", note)
        for size, note in log.connection.execute("SELECT size, note FROM log.checkpoint ORDER BY size")
    ]
    if log.options.head is not None:
        notes.append(("the keeper's head", log.options.head))
    signed: list[tuple[str, int, bytes]] = []
    for name, note in notes:
        try:
            signed.append((name, *open_checkpoint(note, log.key)))
        except (NoteError, ValueError) as error:
            log.find("3 tree", name, str(error))
    roots = dict(merkle.roots_at(hashes, {size for _, size, _ in signed}))
    for name, size, root in signed:
        if size > len(hashes):
            log.find("3 tree", name, f"covers {size} entries, the log holds {len(hashes)}: the tail is cut")
        elif roots[size] != root:
            log.find("3 tree", name, f"the first {size} entries are not the ones that were signed")
        if name.startswith("checkpoint ") and name != f"checkpoint {size}":
            log.find("3 tree", name, f"lies under another size than it says ({size})")
    log.report.checkpoints = len(notes)
    covered = max((size for name, size, _ in signed if name.startswith("checkpoint")), default=0)
    if covered != len(hashes):
        log.find("3 tree", covered, f"{len(hashes)} entries, but the last checkpoint covers {covered}")
    log.report.size = len(hashes)
    log.report.root = dict(merkle.roots_at(hashes, {len(hashes)}))[len(hashes)].hex()


def _bitmaps(log: _Log) -> None:
    cited: dict[str, int] = {}
    for index, body in log.entries.items():
        for member in ("subjects", "records"):
            if member in body:
                cited.setdefault(body[member]["sealed_sha256"], index)
    seen = set()
    for digest, sealed in log.connection.execute("SELECT sealed_sha256, sealed FROM log.bitmap"):
        name = bytes(digest).hex()
        seen.add(name)
        if hashlib.sha256(bytes(sealed)).hexdigest() != name:
            log.find(
                "4 bitmaps",
                f"entry {cited.get(name, '?')}",
                f"bitmap {name[:16]} has other bytes than its digest",
            )
        if name not in cited:
            log.find("4 bitmaps", name[:16], "no entry cites this bitmap")
    for name in cited.keys() - seen:
        log.find("4 bitmaps", f"entry {cited[name]}", f"its bitmap {name[:16]} is missing")
    log.report.bitmaps = len(seen)


def _loans(log: _Log) -> None:
    lent: set[int] = set()
    for loan, index, fields in log.connection.execute(
        "SELECT loan, entry_index, fields FROM log.loan ORDER BY loan"
    ):
        log.report.loans += 1
        body = log.entries.get(index)
        if body is None or not str(body["event"]).endswith(".authorised"):
            log.find("5 loans", f"loan {loan}", f"entry {index} authorises nothing")
        elif not set(fields) <= set(body.get("fields", {})):
            log.find("5 loans", f"loan {loan}", f"names fields that entry {index} does not")
        lent.add(index)
    settled: dict[int, Mapping[str, Any]] = {}
    for index, body in log.entries.items():
        if body["event"] in _SETTLES and settled.setdefault(body["detail"]["authorised"], body) is not body:
            log.find("5 loans", f"entry {index}", f"entry {body['detail']['authorised']} was settled before")
    for index, body in log.entries.items():
        if body["event"] != "exchange.delivery.authorised":
            continue
        end = settled.get(index)
        if end is None:
            log.report.under_way.append(str(body["detail"]["delivery"]))
        elif end["event"] == "exchange.delivery.arrived" and end["detail"]["count"] and index not in lent:
            log.find("5 loans", f"entry {index}", "its delivery carried values, but no key was lent for it")
        if end is not None and _differs(body, end):
            log.find(
                "5 loans", f"entry {end['index']}", f"brought other numbers than entry {index} announced"
            )
    for index, end in settled.items():
        opened = log.entries.get(index, {})
        if opened.get("event") != _SETTLES[end["event"]]:
            what = "delivery" if end["event"].startswith("exchange.") else "correction"
            log.find("5 loans", f"entry {end['index']}", f"settles entry {index}, which authorises no {what}")
        elif end["event"].startswith("correction."):
            _correction(log, opened, end, lent=index in lent)


def _correction(log: _Log, opened: Mapping[str, Any], end: Mapping[str, Any], *, lent: bool) -> None:
    """A correction is settled in its own name; a judgement or an acceptance cannot come about without a loan."""
    named = [name for name in ("batch", "change", "record") if name in end["detail"]]
    if any(end["detail"][name] != opened["detail"].get(name) for name in named) or any(
        end[name] != opened[name] for name in ("person", "domain", "dataset")
    ):
        log.find(
            "5 loans", f"entry {end['index']}", f"tells of another correction than entry {opened['index']}"
        )
    changed = end["event"] == "correction.change.accepted" or end["detail"].get("proposed", 0)
    if changed and not lent:
        log.find(
            "5 loans",
            f"entry {opened['index']}",
            "its correction was judged or accepted, but nothing was lent",
        )


def _differs(authorised: Mapping[str, Any], end: Mapping[str, Any]) -> bool:
    """Whether a delivery arrived with other numbers than it was authorised with."""
    said, came = authorised["detail"], end["detail"]
    if end["event"] != "exchange.delivery.arrived":
        return False
    return bool((came["count"], came["withdrawn"]) != (said["upserts"], said["withdrawals"]))


def _slices(log: _Log) -> None:
    arrived: dict[str, dict[str, Mapping[str, Any]]] = {}
    for body in log.entries.values():
        if body["event"] == "exchange.delivery.arrived":
            arrived.setdefault(body["domain"], {})[body["detail"]["delivery"]] = body
    for code in sorted(arrived.keys() - log.options.receivers.keys()):
        log.report.steps.append(f"slices: no store was given for {code}")
    # One connection a store, not one a receiver: a district's communities mostly lie in one.
    stores: dict[str, list[str]] = {}
    for code, url in log.options.receivers.items():
        stores.setdefault(url, []).append(code)
    for url, codes in stores.items():
        with psycopg.connect(url, autocommit=True) as store:
            for code in codes:
                _receiver(log, store, code, arrived.get(code, {}))


def _receiver(
    log: _Log, store: psycopg.Connection, code: str, arrived: Mapping[str, Mapping[str, Any]]
) -> None:
    schema = "receiver_" + code.replace(".", "_")
    if store.execute("SELECT to_regclass(%s)", (f"{schema}.inbox",)).fetchone() == (None,):
        for delivery in arrived:
            log.find("6 slices", code, f"delivery {delivery[:16]} arrived, but there is no inbox")
        return
    lines = store.execute(
        sql.SQL("SELECT delivery, count, withdrawn, holds, digest, slice_digest FROM {}").format(
            sql.Identifier(schema, "inbox")
        )
    ).fetchall()
    for delivery, count, withdrawn, holds, digest, whole in lines:
        body = arrived.get(delivery)
        if body is None:
            if delivery not in log.report.under_way:
                log.find("6 slices", code, f"inbox line {delivery[:16]} has no arrived entry")
            continue
        told = body["detail"]
        found = (count, withdrawn, holds, bytes(digest).hex(), bytes(whole).hex())
        if found != (told["count"], told["withdrawn"], told["holds"], told["digest"], told["slice_digest"]):
            log.find("6 slices", code, f"inbox line {delivery[:16]} differs from entry {body['index']}")
    for delivery in arrived.keys() - {line[0] for line in lines}:
        log.find("6 slices", code, f"arrived entry {arrived[delivery]['index']} has no inbox line")
    last = {body["dataset"]: body for body in sorted(arrived.values(), key=lambda b: int(b["index"]))}
    # A delivery that took effect but is not yet told in the log has changed the slice: looked at when it is.
    pending = {line[0] for line in lines} & set(log.report.under_way)
    for dataset, body in last.items():
        if store.execute("SELECT to_regclass(%s)", (f"{schema}.{dataset}",)).fetchone() == (None,):
            log.find("6 slices", f"{code} {dataset}", "the slice's table is gone")
            continue
        seen = log.report.rows
        whole = _slice(log, store, code, schema, dataset)
        counted, said = log.report.rows - seen, int(body["detail"]["holds"])
        if counted != said and not pending:
            log.find("6 slices", f"{code} {dataset}", f"{counted} rows, entry {body['index']} says {said}")
        if whole != body["detail"]["slice_digest"] and not pending:
            log.find(
                "6 slices", f"{code} {dataset}", f"the slice is not the one that entry {body['index']} binds"
            )


def _slice(log: _Log, store: psycopg.Connection, code: str, schema: str, dataset: str) -> str:
    """Recompute every row's digest and the slice's; returns the latter in hex.

    What a row's digest covers is the row in PostgreSQL's binary COPY after its field count (docs/FORMAT.md, 9). So the
    row is hashed as the server sends it, and compared with the digest that comes last, after its length."""
    table = sql.Identifier(schema, dataset)
    described = store.execute(sql.SQL("SELECT * FROM {} LIMIT 0").format(table)).description or ()
    columns = [column.name for column in described]
    if lacking := {"record", "version", "epoch", "digest"} - set(columns):
        raise KeyError(*lacking)
    fields = [name for name in columns if name not in ("record", "version", "epoch", "delivery", "digest")]
    query = sql.SQL("COPY (SELECT {} FROM {} ORDER BY record) TO STDOUT (FORMAT binary)").format(
        sql.SQL(", ").join(map(sql.Identifier, ("record", "version", "epoch", *fields, "digest"))), table
    )
    whole = hashlib.sha256()
    with store.cursor().copy(query) as copy:
        for number, message in enumerate(copy):
            row = bytes(message)[_COPY_HEAD:] if number == 0 else bytes(message)
            if row in (b"", b"\xff\xff"):  # the head alone; the end
                continue
            log.report.rows += 1
            digest = hashlib.sha256(row[2:-36]).digest()
            if row[-36:] != _DIGEST_LENGTH + digest:
                record = int.from_bytes(row[6:14], "big", signed=True)
                log.find("6 slices", f"{code} {dataset} record {record}", "the row was changed")
            whole.update(digest)
    return whole.hexdigest()


def _store(log: _Log) -> None:
    if not log.options.data:
        log.report.steps.append("store: not looked at (--data)")
        return
    announced: dict[int, str] = {}
    batches = []
    for index, body in log.entries.items():
        if (named := written.ANNOUNCES.get(body["event"])) is not None:
            announced[index] = named.format(**body["detail"])
        announced.pop(body["detail"].get("authorised", -1), None)
        if (batch := written.batch_of(body)) is not None:
            batches.append(batch)
    rows, notes = written.check(
        log.connection, batches, frozenset(announced.values()), lambda at, what: log.find("7 store", at, what)
    )
    log.report.stored = rows
    log.report.steps += notes


def _entries(connection: psycopg.Connection) -> Iterator[tuple[int, bytes, bytes]]:
    with connection.transaction(), connection.cursor(name="huanshu_verify") as rows:
        rows.itersize = _BATCH
        rows.execute("SELECT index, leaf, leaf_hash FROM log.entry ORDER BY index")
        for index, leaf, stored in rows:
            yield index, bytes(leaf), bytes(stored)


def _canonical(leaf: bytes) -> dict[str, Any] | None:
    """The object of a leaf that is exactly its own canonical form (RFC 8785; no floats, no null)."""
    try:
        body = json.loads(leaf, parse_float=_never, parse_constant=_never)
    except ValueError:
        return None
    if not isinstance(body, dict):
        return None
    again = json.dumps(_sorted(body), ensure_ascii=False, separators=(",", ":"))
    return body if again.encode() == leaf else None


def _never(_: str) -> None:
    raise ValueError("no floats in a leaf")


def _sorted(value: Any) -> Any:
    """Members in the order of their UTF-16 code units, as RFC 8785 section 3.2.3 asks."""
    if isinstance(value, dict):
        return {name: _sorted(value[name]) for name in sorted(value, key=lambda n: n.encode("utf-16-be"))}
    return [_sorted(item) for item in value] if isinstance(value, list) else value


Step = Callable[[_Log], None]
STEPS: Sequence[tuple[str, Step]] = (
    ("1 indices", _indices),
    ("2 leaves", _leaves),
    ("3 tree", _tree),
    ("4 bitmaps", _bitmaps),
    ("5 loans", _loans),
    ("6 slices", _slices),
    ("7 store", _store),
)


def fsck(options: Options, steps: Sequence[tuple[str, Step]] = STEPS) -> Report:
    """Run the steps. Raises psycopg.Error when a store cannot be read and NoteError for a malformed key."""
    report = Report()
    with psycopg.connect(options.url) as connection:
        connection.read_only = True
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ  # log and store as of one moment
        log = _Log(options, connection, report, VerifierKey.parse(options.vkey))
        for name, step in steps:
            try:
                step(log)
            except (KeyError, TypeError, ValueError, AttributeError) as error:
                # What was changed may have any shape; the verifier must say so, not fall over it.
                log.find(name, "unreadable", f"this step could not be finished: {type(error).__name__}")
            report.steps.append(name)
    return report
