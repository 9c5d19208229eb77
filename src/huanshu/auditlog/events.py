"""The closed set of events, ``<area>.<object>.<past participle>``, and what each entry must hold.

An entry names a natural person, how that person was established, and (where it applies) post, domain, dataset,
purpose, fields with rungs, flow, subjects. It holds no resident's identity and no value. Members that do not
apply are absent, never null. Unknown events and members are refused: a typo must not become evidence.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from huanshu.errors import InputError, Text

MEMBERS: Final = frozenset(
    {
        "v", "index", "event", "at", "person", "established", "post", "domain", "dataset", "purpose", "fields",
        "how", "policy", "contract", "flow", "subjects", "records", "trace", "basis", "detail",
    }
)  # fmt: skip
ALWAYS: Final = frozenset({"v", "index", "event", "at", "person", "established", "policy", "detail"})
LEAF_LIMIT: Final = 65_535
_STRING_LIMIT: Final = 1_000
_BREAKING: Final = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
HOW: Final = frozenset({"moved", "viewed", "compared", "counted"})


@dataclass(frozen=True, slots=True)
class Shape:
    """What an event's entry must and may hold, beside what every entry holds."""

    detail: frozenset[str]
    members: frozenset[str] = frozenset()
    optional: frozenset[str] = frozenset()
    optional_detail: frozenset[str] = frozenset()


def _shape(detail: str, members: str = "", optional: str = "", optional_detail: str = "") -> Shape:
    """What has a purpose may say its legal basis (``basis``), as the purpose registry had it then."""
    optional += " basis" if "purpose" in (members + " " + optional).split() else ""
    return Shape(*(frozenset(words.split()) for words in (detail, members, optional, optional_detail)))


_FLOW = "post domain dataset flow"
_AUTHORISED = f"{_FLOW} purpose fields how contract"
_RECORD = "post domain dataset purpose fields"
_VIEWED = f"{_RECORD} how contract subjects"
#: By which entry somebody else agreed that the person sees more than alone; under which broken glass.
_CONSENT = "raised emergency"
_ANSWERED = "post domain dataset fields"

EVENTS: Final[Mapping[str, Shape]] = {
    "log.origin.created": _shape("sandbox origin vkey"),
    "log.origin.reopened": _shape(
        "origin vkey given_up restored first last since signed reason asked answered statement",
        "post",
        "",
        "forgotten",
    ),
    "log.heartbeat.sent": _shape("published", optional_detail="witnessed"),
    "log.staleness.ended": _shape("reason since seconds"),
    "log.clock.moved": _shape("seconds direction"),
    "log.witnesses.named": _shape("digest witnesses quorum"),
    "log.witness.doubted": _shape("witness seconds"),
    "log.publication.renewed": _shape("entries"),
    "policy.bundle.proposed": _shape("before digest", "post", "", "plan until"),
    "policy.bundle.adopted": _shape("digest", "post", "", "before author proposed plan epoch generation"),
    "key.purpose.ended": _shape("keys", "purpose"),
    "key.sender.enrolled": _shape("sender public_key", "post"),
    "approval.flow.granted": _shape("flow digest until", "post dataset"),
    "approval.flow.revoked": _shape("flow digest", "post dataset"),
    "approval.flow.seconded": _shape("flow digest approval", "post dataset"),
    "exchange.intake.authorised": _shape("batch sequence sender records until", _AUTHORISED),
    "exchange.intake.promoted": _shape(
        "batch authorised good quarantined unchanged withdrawn rules warnings written",
        _FLOW,
        "purpose contract",
        "settled",
    ),
    "exchange.intake.refused": _shape("batch authorised reason rules", _FLOW, "purpose contract"),
    "exchange.delivery.authorised": _shape(
        "delivery receiver upserts withdrawals until", _AUTHORISED, "subjects", "content replaces"
    ),
    "exchange.delivery.arrived": _shape(
        "delivery receiver authorised count withdrawn holds digest slice_digest",
        _FLOW,
        "purpose contract",
        "content",
    ),
    "exchange.delivery.stopped": _shape(
        "delivery receiver authorised reason chunks", _FLOW, "purpose contract subjects", "content"
    ),
    "exchange.delivery.signed": _shape("delivery arrived", "post domain dataset"),
    "exchange.run.started": _shape("", _FLOW),
    "exchange.run.completed": _shape("arrived unchanged opened upserts withdrawals", _FLOW),
    "exchange.coverage.reached": _shape("expected up_to_date missing enough", _FLOW),
    "exchange.run.held": _shape("digest reasons outside deliveries", _FLOW),
    "exchange.run.released": _shape("held digest reason", _FLOW),
    "exchange.flow.held": _shape("reason", _FLOW),
    "exchange.flow.released": _shape("held reason", _FLOW),
    "exchange.delivery.recalled": _shape(
        "delivery receiver authorised arrived reason", f"{_FLOW} records", "", "content"
    ),
    "access.record.sought": _shape("", _RECORD),
    "access.record.authorised": _shape("record values until", _VIEWED, "", f"{_CONSENT} sought"),
    "access.comparison.authorised": _shape("record values until", _VIEWED, "", f"{_CONSENT} sought"),
    "access.column.authorised": _shape("zones values until", f"{_RECORD} how contract", "subjects"),
    "access.count.authorised": _shape(
        "zones told withheld minimum kept until", f"{_RECORD} how contract", "subjects", "opened"
    ),
    "access.emergency.declared": _shape("reason until review_by owner_post", _RECORD),
    "access.emergency.reviewed": _shape("declared verdict reason", "post dataset"),
    "access.emergency.escalated": _shape("declared review_by owner_post", "dataset"),
    "access.budget.raised": _shape("for subjects until reason", "post dataset purpose"),
    "access.record.missed": _shape("reason", _RECORD),
    "access.seen.asked": _shape("case", _RECORD),
    "access.seen.authorised": _shape("case until", f"{_RECORD} how contract subjects"),
    "access.sighting.withheld": _shape("entry reason reviewer until", "post"),
    "access.sighting.confirmed": _shape("withheld entry", "post"),
    "access.exposure.authorised": _shape("case of from to until", "post domain purpose fields"),
    "retention.rows.deleted": _shape("kind before rows obligation", "post"),
    "retention.files.archived": _shape("before bundles bitmaps last", "post"),
    "log.entries.read": _shape("tool case first last", "post"),
    "keys.rotation.authorised": _shape(
        "rotation epoch generation until", "domain dataset fields how contract", "", "what"
    ),
    "keys.rotation.completed": _shape(
        "rotation authorised epoch generation written", "domain dataset contract", "", "what"
    ),
    "keys.rotation.stopped": _shape(
        "rotation authorised epoch generation written reason", "domain dataset contract", "", "what"
    ),
    "keys.destruction.proposed": _shape("selector keys reason until", "post"),
    "keys.destruction.confirmed": _shape("proposed selector keys backups_until", "post"),
    "keys.escrow.proposed": _shape("reason until", "post"),
    "keys.escrow.sealed": _shape("proposed copy", "post"),
    "keys.escrow.rehearsed": _shape("copy keys", "post"),
    "erasure.subject.proposed": _shape("case until", "post dataset subjects"),
    "erasure.subject.confirmed": _shape("proposed backups_until", "post dataset"),
    "erasure.subject.completed": _shape(
        "erasure removed quarantined corrections tombstones written", "post dataset", "", "tombstones_sha256"
    ),
    "access.quarantine.authorised": _shape(
        "batch row values until", f"{_RECORD} how contract", optional="subjects", optional_detail=_CONSENT
    ),
    "quarantine.row.dismissed": _shape(
        "batch rows reason", "post domain dataset", optional_detail="row rule"
    ),
    "quarantine.repair.ordered": _shape("batch row", f"{_RECORD} contract"),
    "quarantine.repair.authorised": _shape("batch of row ordered until", _AUTHORISED),
    "quarantine.repair.promoted": _shape(
        "batch authorised of row ordered record version written", _FLOW, "purpose contract"
    ),
    "quarantine.repair.refused": _shape("batch authorised of row ordered rules", _FLOW, "purpose contract"),
    "access.request.denied": _shape("reason asked", "", "post domain dataset purpose fields flow"),
    "access.correction.authorised": _shape("change record values until", _VIEWED, "", _CONSENT),
    "access.workbook.authorised": _shape("workbook sequence records until", _VIEWED, "", _CONSENT),
    "correction.batch.authorised": _shape("batch channel sequence sender records until", _VIEWED),
    "correction.batch.judged": _shape(
        "batch authorised proposed refused conflict", "post domain dataset", "purpose contract"
    ),
    "correction.batch.held": _shape("batch channel sequence reason", "post domain dataset"),
    "correction.change.authorised": _shape("change batch record until", _VIEWED),
    "correction.change.accepted": _shape(
        "change batch record version authorised written", _ANSWERED, "purpose contract"
    ),
    "correction.change.conflicted": _shape("change batch record authorised", _ANSWERED, "purpose contract"),
    "correction.change.refused": _shape("change batch record reason", _ANSWERED, "purpose"),
    "correction.change.withdrawn": _shape("change batch record", _ANSWERED, "purpose"),
    "finding.case.opened": _shape("finding kind due owner_post about", "", f"{_FLOW}"),
    "finding.case.settled": _shape("finding disposition", "", f"{_FLOW}"),
    "report.page.built": _shape("report entries sha256", "", "post"),
    "drill.run.completed": _shape("drill attack control twin verdict", "", "post"),
}


#: Events whose entries may bind a bitmap of subjects: where to look for who saw somebody.
ABOUT_SUBJECTS: Final = frozenset(
    event for event, shape in EVENTS.items() if "subjects" in shape.members | shape.optional
)


#: What each event's entry must and may hold, with what every entry holds.
_NAMES: Final = {
    event: (ALWAYS | shape.members, ALWAYS | shape.members | shape.optional | {"trace"},
            shape.detail, shape.detail | shape.optional_detail)
    for event, shape in EVENTS.items()
}  # fmt: skip
_ESTABLISHED: Final = frozenset({"by", "account"})
#: Orders of names that were looked at and are good: entries of an event nearly all come in one.
_GOOD: Final[set[tuple[object, ...]]] = set()
_REMEMBERED: Final = 4_096


def check(entry: Mapping[str, Any], text: str | None = None) -> None:
    """Raises InputError ``auditlog.entry.refused`` unless the entry has exactly the shape of its event.

    ``text``, the entry's JSON, spares looking at every string: where it escapes nothing, what lies between its quotes
    are the strings, and where it is printable none holds a control character."""
    event = entry.get("event")
    names = _NAMES.get(str(event))
    if names is None:
        raise _refused(f"unknown event {event!r}")
    detail, established = entry.get("detail"), entry.get("established")
    if type(detail) is not dict or type(established) is not dict:
        _shaped(entry, names)
    elif (shape := (event, tuple(entry), tuple(detail), tuple(established))) not in _GOOD:
        _shaped(entry, names)
        if len(_GOOD) >= _REMEMBERED:
            _GOOD.clear()
        _GOOD.add(shape)
    if "how" in entry and entry["how"] not in HOW:
        raise _refused("unknown how")
    if not entry["person"]:
        raise _refused("no natural person")
    if text is None or "\\" in text or not _printable(text) or not _short(text):
        _strings(entry)


def _shaped(entry: Mapping[str, Any], names: tuple[frozenset[str], ...]) -> None:
    must, may, must_tell, may_tell = names
    event = str(entry["event"])
    _names(event, entry, must, may)
    if not isinstance(entry["detail"], Mapping) or not isinstance(entry["established"], Mapping):
        raise _refused("detail and established are objects")
    _names(f"{event} detail", entry["detail"], must_tell, may_tell)
    if entry["established"].keys() != _ESTABLISHED:
        raise _refused("established needs by and account")


def _names(what: str, there: Mapping[str, Any], must: frozenset[str], may: frozenset[str]) -> None:
    if must <= there.keys() <= may:
        return
    if missing := sorted(must - there.keys()):
        raise _refused(f"{what} lacks {', '.join(missing)}")
    raise _refused(f"{what} may not hold {', '.join(sorted(there.keys() - may))}")


def _printable(text: str) -> bool:
    """Of ASCII text in which JSON escaped nothing, only DEL is left to look for: a tenth of the time."""
    return "\x7f" not in text if text.isascii() else text.isprintable()


def _short(text: str) -> bool:
    """Whether no string of text in which JSON escaped nothing is too long."""
    return len(text) <= _STRING_LIMIT or max(map(len, text.split('"'))) <= _STRING_LIMIT


def _strings(value: Any) -> None:
    """Nothing in an entry may break a line, colour a terminal or turn text around (drill B07)."""
    kind = type(value)
    if kind is dict:
        for name, item in value.items():
            _string(name)
            if type(item) is str:
                _string(item)
            else:
                _strings(item)
    elif kind is list:
        for item in value:
            _strings(item)
    elif isinstance(value, str):
        _string(value)
    elif isinstance(value, (list, tuple)):
        for item in value:
            _strings(item)
    elif isinstance(value, Mapping):
        _strings(dict(value))


def _string(text: str) -> None:
    if len(text) > _STRING_LIMIT:
        raise _refused("a string is too long")
    # Printable is no control character; of the others, few, each is looked at.
    if not text.isprintable() and any(unicodedata.category(c) in _BREAKING for c in text):
        raise _refused("a string holds control characters")


def _refused(what: str) -> InputError:
    return InputError("auditlog.entry.refused", Text(f"the entry is refused: {what}", f"条目被拒：{what}"))
