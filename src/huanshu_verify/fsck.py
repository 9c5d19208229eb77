"""All steps over one log, in one pass: memory does not grow with the entries, but for what a step says it keeps.

From a database everything is seen as of one moment. What a run has verified can be given to a later one as its state,
which then looks only at what came since. Trust: the tree in a state counts only beside a checkpoint of it that the
log's key has signed, so without that key nobody can make the verifier go on from another log. What the state remembers
of settlements, deliveries and batches is believed: the file belongs where the log's writer cannot write.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack

import psycopg

from huanshu_verify import published, reading
from huanshu_verify.notes import NoteError, VerifierKey, open_any
from huanshu_verify.origins import Origins
from huanshu_verify.policy import Policy
from huanshu_verify.published import Published
from huanshu_verify.report import Entry, Log, Options, Report, Step
from huanshu_verify.slices import Slices
from huanshu_verify.steps import Bitmaps, Indices, Leaves, Loans, Signed
from huanshu_verify.subjects import Subjects
from huanshu_verify.written import Written

Rule = tuple[str, type[Step]]
STEPS: Sequence[Rule] = tuple(
    (step.name, step)
    for step in (Indices, Leaves, Signed, Bitmaps, Loans, Slices, Written, Published, Origins, Subjects)
)
_TELL_EVERY = 10_000
#: What was changed may have any shape; the verifier must say so, not fall over it.
_SHAPELESS = (KeyError, TypeError, ValueError, AttributeError)


def fsck(options: Options, steps: Sequence[Rule] = STEPS) -> Report:
    """Run the steps. Raises psycopg.Error or OSError when a store cannot be read, NoteError for a malformed key, policy
    or state, and ValueError when neither a database nor a folder is named."""
    if options.url is None and options.published is None:
        raise ValueError("name a log: its database, or its published folder")
    report = Report()
    key, policy = VerifierKey.parse(options.vkey), Policy.parse(options.policy or "quorum none")
    # Read before the database's moment: nothing is published before it is there.
    found = published.notes(options.published) if options.published is not None else {}
    with ExitStack() as held:
        connection = None
        if options.url is not None:
            connection = held.enter_context(psycopg.connect(options.url))
            connection.read_only = True
            connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        log = Log(options, connection, report, key, policy)
        rules = [step(log) for _, step in steps]
        _recall(log, rules)
        memory = _run(log, rules, found)
        if memory is not None and report.clean and len(steps) == len(STEPS):
            report.state = _state(log, memory, found)
    return report


def _run(log: Log, rules: Sequence[Step], found: dict[str, str]) -> str | None:
    """Show every entry to every step. Returns what the steps remember of the entries up to where a later run
    begins: the published checkpoint, where there is a folder, for only so far are its files compared."""
    report, pinned = log.report, _published_size(log, found)
    log.published = -1 if pinned is None else pinned
    report.entries = report.since
    _begin(log, rules, found)
    memory = _memory(rules) if pinned == report.since else None
    looking = [rule for rule in rules if type(rule).entry is not Step.entry]
    for entry in _entries(log, pinned or 0):
        report.entries += 1
        for rule in looking:
            try:
                rule.entry(entry)
            except _SHAPELESS as error:
                rule.find(f"entry {entry.index}", f"this step could not read it: {type(error).__name__}")
        if report.entries == pinned:
            memory = _memory(rules)
        if log.options.progress is not None and report.entries % _TELL_EVERY == 0:
            log.options.progress(report.entries)
    for rule in rules:
        try:
            rule.finish()
        except _SHAPELESS as error:
            rule.find("unreadable", f"this step could not be finished: {type(error).__name__}")
        report.steps.append(rule.name)
    return _memory(rules) if log.options.published is None else memory


def _begin(log: Log, rules: Sequence[Step], found: dict[str, str]) -> None:
    others = dict(found)
    if log.options.head is not None:
        others["the keeper's head"] = log.options.head
    for rule in rules:
        if isinstance(rule, Signed):
            rule.begin(others)
        elif isinstance(rule, Loans):
            rule.begin()
        elif isinstance(rule, Published):
            rule.begin(found)


def _memory(rules: Sequence[Step]) -> str:
    """As text at once: what the steps remember goes on changing."""
    return json.dumps({rule.name: rule.memory() for rule in rules}, ensure_ascii=False)


def _published_size(log: Log, found: dict[str, str]) -> int | None:
    try:
        return open_any(found[published.CHECKPOINT], log.key)[1]
    except (KeyError, NoteError, ValueError):
        return None


def _entries(log: Log, published_size: int) -> Iterator[Entry]:
    if log.connection is not None:
        yield from reading.from_database(log.connection, log.report.since)
        return
    assert log.options.published is not None
    try:
        yield from reading.from_bundles(log.folders, published_size, log.report.since)
    except ValueError as error:
        log.find("2 leaves", "published", str(error))


def _recall(log: Log, rules: Sequence[Step]) -> None:
    if log.options.state is None:
        return
    try:
        said = json.loads(log.options.state)
        origin, size, root = open_any(said["note"], log.key)
        for rule in rules:
            # Steps younger than a state have nothing to remember of it.
            if rule.name in said["memory"] or not isinstance(rule, (Origins, Subjects)):
                rule.recall(said["memory"][rule.name])
        signed = next((rule for rule in rules if isinstance(rule, Signed)), None)
        if signed is None or (signed.tree.size, signed.tree.root) != (size, root):
            raise NoteError("the state describes another tree than its checkpoint")
    except (*_SHAPELESS, RecursionError) as error:
        what = str(error) if isinstance(error, NoteError) else "it is malformed"
        raise NoteError(f"the verifier's own state cannot be used: {what}") from None
    log.report.since = size
    log.notes.append(("the verifier's own state", size, origin))


def _state(log: Log, memory: str, found: dict[str, str]) -> str | None:
    """What a later run may begin from: a note that covers the very tree that is remembered."""
    note = found.get(published.CHECKPOINT)
    if note is None and log.connection is not None:
        query = "SELECT note FROM log.checkpoint WHERE size = %s"
        row = log.connection.execute(query, (log.report.size,)).fetchone()
        note = None if row is None else str(row[0])
    if note is None:
        return None
    return json.dumps({"v": 1, "note": note, "memory": json.loads(memory)}, ensure_ascii=False)
