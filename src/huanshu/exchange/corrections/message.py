"""A signed batch of corrections as a community sends it: one JSON object, strictly read, never stored.

``{corrections: 1, sender, dataset, sequence, nonce, changes: [{record, field, base, value?, evidence: {kind,
reference}}], signature}``. Without ``value`` the field is proposed to be empty. The signature is Ed25519 over the RFC
8785 bytes of everything but itself. The nonce (128 random bits) makes the batch's digest tell nothing of the values:
without it, who holds the digest could try out every telephone number.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from dataclasses import field as member
from typing import Any, Final

from huanshu.canonical import canonical
from huanshu.errors import InputError, Text, Where

MAX_BYTES: Final = 32 * 1024 * 1024
MAX_CHANGES: Final = 50_000
MAX_VALUE: Final = 4_000
MAX_REFERENCE: Final = 50  # four bytes a character at most: they fit the sealed width
EVIDENCE: Final[Mapping[str, Text]] = {
    "visit": Text("seen on a visit", "入户核实"),
    "statement": Text("stated by the person", "本人申报"),
    "document": Text("a document was seen", "查验证件材料"),
    "system": Text("another system shows it", "其他系统可查"),
    "workbook": Text("changed in the workbook", "工作簿填报"),
}
_MEMBERS: Final = frozenset({"corrections", "sender", "dataset", "sequence", "nonce", "changes", "signature"})
_CHANGE: Final = frozenset({"record", "field", "base", "evidence"})
_DOMAIN: Final = re.compile(r"[0-9]{12}|[0-9]{15}")
_WORD: Final = re.compile(r"[a-z][a-z0-9_]{0,47}")
_LARGEST: Final = 2**53 - 1


@dataclass(frozen=True, slots=True)
class Wanted:
    """One changed field of one record, as proposed. ``refused``: why it cannot even be sealed; then no value."""

    record: int
    field: str
    base: int
    value: str | None = member(repr=False)
    evidence: str
    reference: str = member(repr=False)
    refused: str | None = None


@dataclass(frozen=True, slots=True)
class Message:
    """A signed batch. ``batch`` names it: the hex SHA-256 of what was signed."""

    sender: str
    dataset: str
    sequence: int
    changes: tuple[Wanted, ...]
    signed: bytes = member(repr=False)
    signature: bytes = member(repr=False)

    @property
    def batch(self) -> str:
        return hashlib.sha256(self.signed).hexdigest()


def signing_bytes(members: Mapping[str, Any]) -> bytes:
    """What a community signs."""
    return canonical({name: value for name, value in members.items() if name != "signature"})


def parse_message(raw: bytes) -> Message:
    """Raises InputError ``correction.message.*``; no text of the message is quoted."""
    if len(raw) > MAX_BYTES:
        raise _wrong("oversize", Text("the batch is too large", "批次过大"))
    try:
        members = json.loads(
            raw.decode("utf-8"), object_pairs_hook=_once, parse_float=_never, parse_constant=_never
        )
    except (ValueError, RecursionError):
        members = None
    if not isinstance(members, dict):
        raise _wrong(
            "malformed", Text("this is no JSON object, each member once", "不是键不重复的 JSON 对象")
        )
    _require_members(members, _MEMBERS, frozenset(), "the batch", "批次")
    sender = _matching(members["sender"], _DOMAIN, "sender")
    dataset = _matching(members["dataset"], _WORD, "dataset")
    _matching(members["nonce"], re.compile(r"[0-9a-f]{32}"), "nonce")
    signature = _matching(members["signature"], re.compile(r"[0-9a-f]{128}"), "signature")
    changes = members["changes"]
    if members["corrections"] != 1 or not isinstance(changes, list) or not 1 <= len(changes) <= MAX_CHANGES:
        raise _wrong(
            "malformed", Text(f"1 to {MAX_CHANGES} changes are taken", f"每批 1 至 {MAX_CHANGES} 项更正")
        )
    wanted = tuple(_change(change, row) for row, change in enumerate(changes, 1))
    if len({(w.record, w.field) for w in wanted}) != len(wanted):
        raise _wrong("repeated", Text("a field of a record comes twice", "同一记录的同一字段出现两次"))
    return Message(
        sender, dataset, _integer(members["sequence"], "sequence"), wanted, signing_bytes(members),
        bytes.fromhex(signature),
    )  # fmt: skip


def _change(given: object, row: int) -> Wanted:
    if not isinstance(given, dict):
        raise _wrong("malformed", Text("a change is an object", "每项更正应为对象"), row)
    _require_members(given, _CHANGE, frozenset({"value"}), "the change", "更正", row)
    evidence = given["evidence"]
    if not isinstance(evidence, dict) or set(evidence) != {"kind", "reference"}:
        raise _wrong("malformed", Text("evidence has a kind and a reference", "依据须有类别与说明"), row)
    if evidence["kind"] not in EVIDENCE:
        kinds = ", ".join(EVIDENCE)
        raise _wrong("malformed", Text(f"kinds of evidence are {kinds}", f"依据类别为 {kinds}"), row)
    return Wanted(
        record=_integer(given["record"], "record", row),
        field=_matching(given["field"], _WORD, "field", row),
        base=_integer(given["base"], "base", row),
        value=None if "value" not in given else _text(given["value"], MAX_VALUE, "value", row),
        evidence=str(evidence["kind"]),
        reference=_text(evidence["reference"], MAX_REFERENCE, "reference", row),
    )


def _require_members(
    given: Mapping[str, Any], must: Collection[str], may: Collection[str], en: str, zh: str, row: int | None = None
) -> None:  # fmt: skip
    if lacking := sorted(set(must) - set(given)):
        raise _wrong(
            "malformed", Text(f"{en} lacks {', '.join(lacking)}", f"{zh}缺少 {'、'.join(lacking)}"), row
        )
    if set(given) - set(must) - set(may):
        # An unknown key may be anything, so it is not quoted.
        names = ", ".join(sorted({*must, *may}))
        raise _wrong(
            "malformed", Text(f"{en} has a member that is none of {names}", f"{zh}含有 {names} 以外的键"), row
        )


def _matching(value: object, form: re.Pattern[str], name: str, row: int | None = None) -> str:
    if not isinstance(value, str) or form.fullmatch(value) is None:
        raise _wrong("malformed", Text(f"{name} has not its form", f"{name} 格式不对"), row)
    return value


def _text(value: object, limit: int, name: str, row: int) -> str:
    if not isinstance(value, str) or not 1 <= len(value) <= limit or "\0" in value:
        raise _wrong(
            "malformed",
            Text(f"{name} is text of 1 to {limit} characters", f"{name} 为 1 至 {limit} 字的文本"),
            row,
        )
    return value


def _integer(value: object, name: str, row: int | None = None) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= _LARGEST:
        raise _wrong(
            "malformed", Text(f"{name} is a whole number from 1", f"{name} 应为不小于 1 的整数"), row
        )
    return value


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({name for name, _ in pairs}) != len(pairs):
        raise ValueError
    return dict(pairs)


def _never(_: str) -> Any:
    raise ValueError


def _wrong(problem: str, what: Text, row: int | None = None) -> InputError:
    return InputError(
        f"correction.message.{problem}",
        what,
        remedy=Text("correct the batch and sign it again", "请更正后重新签名"),
        where=Where("corrections", row),
    )
