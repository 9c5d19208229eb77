"""The manifest beside an extract: who sends what, in which order, and the digest of its bytes, signed.

``{manifest: 1, sender, dataset, sequence, period, mode, file, format?, encoding, sha256, records, dialect?,
columns?, signature}``; ``format`` is csv when it is not said, and the others are utf-8. The signature is Ed25519
over the RFC 8785 bytes of everything but itself (``signing_bytes``); whoever holds keys makes and checks it,
nothing here does. Parsing is strict: every key once, none unknown, every value of its one form; whatever is
wrong is one InputError, and no text of the manifest is quoted that resembles no known word.

``read_bytes`` is how every foreign file is read, exactly once: what is digested is what is parsed.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Literal

from huanshu.canonical import canonical
from huanshu.catalog.words import hint, nearest
from huanshu.errors import InputError, Text, Where

Encoding = Literal["utf-8", "gb18030"]
Mode = Literal["full", "changes"]
Format = Literal["csv", "parquet", "xlsx"]

MAX_MANIFEST: Final = 64 * 1024
MAX_SEQUENCE: Final = 2**53 - 1

_REQUIRED: Final = (
    "manifest", "sender", "dataset", "sequence", "period", "mode", "file", "encoding", "sha256", "records",
    "signature",
)  # fmt: skip
_OPTIONAL: Final = ("dialect", "columns", "format")
_FORMS: Final[Mapping[str, tuple[re.Pattern[str], Text]]] = {
    "sender": (
        re.compile(r"dept\.[a-z][a-z0-9_]{0,42}|[0-9]{12}|[0-9]{15}"),
        Text("a domain code", "域代码"),
    ),
    "dataset": (re.compile(r"[a-z][a-z0-9_]{0,47}"), Text("the name of a dataset", "数据集名")),
    "period": (
        re.compile(r"[0-9]{4}-[0-9]{2}(?:-[0-9]{2})?"),
        Text("a month or a day: 2026-09 or 2026-09-30", "月份或日期：2026-09 或 2026-09-30"),
    ),
    "mode": (re.compile(r"full|changes"), Text("full or changes", "full 或 changes")),
    "file": (
        re.compile(r"[A-Za-z0-9_\u3400-\u9fff][A-Za-z0-9_.\u3400-\u9fff-]{0,99}"),
        Text("a plain file name in the same folder", "同一目录下的文件名，不含路径"),
    ),
    "encoding": (re.compile(r"utf-8|gb18030"), Text("utf-8 or gb18030", "utf-8 或 gb18030")),
    "sha256": (re.compile(r"[0-9a-f]{64}"), Text("64 lower-case hexadecimal digits", "64 位小写十六进制")),
    "signature": (
        re.compile(r"[0-9a-f]{128}"),
        Text("128 lower-case hexadecimal digits", "128 位小写十六进制"),
    ),
}
_DELIMITERS: Final = (",", ";", "\t", "|")


@dataclass(frozen=True, slots=True)
class Dialect:
    """How the extract separates cells. ``skip_initial_space``: a blank after the delimiter is no content."""

    delimiter: str = ","
    skip_initial_space: bool = False


@dataclass(frozen=True, slots=True)
class Manifest:
    """One extract as its sender describes it. ``where`` is the manifest's own file."""

    sender: str
    dataset: str
    sequence: int
    period: str
    mode: Mode
    file: str
    encoding: Encoding
    sha256: str
    records: int
    format: Format
    dialect: Dialect
    #: Header of the source → field of the contract; empty when the header already names fields.
    columns: Mapping[str, str]
    signature: bytes  # 64 bytes
    #: What was signed: RFC 8785 bytes of the manifest without ``signature``.
    signed: bytes
    where: Where

    @property
    def batch(self) -> str:
        """Hex SHA-256 of what was signed: names the batch, whatever the file's spacing."""
        return hashlib.sha256(self.signed).hexdigest()


def signing_bytes(manifest: Manifest | Mapping[str, Any]) -> bytes:
    """What a sender signs: RFC 8785 bytes of a manifest object, without its ``signature`` if it has one."""
    if isinstance(manifest, Manifest):
        return manifest.signed
    return canonical({key: value for key, value in manifest.items() if key != "signature"})


def read_manifest(path: Path) -> Manifest:
    """The manifest at ``path``. Raises InputError ``manifest.*`` or ``incoming.file.*``."""
    return parse_manifest(read_bytes(path, MAX_MANIFEST), path.name)


def parse_manifest(raw: bytes, file: str) -> Manifest:
    """The manifest in these bytes of the file of that name. Raises InputError ``manifest.*``."""
    members = _object(raw, file)
    place = _Place(file, raw)
    _keys(members, _REQUIRED, _OPTIONAL, place, "")
    if members["manifest"] != 1 or isinstance(members["manifest"], bool):
        raise place.wrong("manifest", Text("1, the only version there is", "1（目前仅有此版本）"))
    texts = {key: _text(members, key, place) for key in _FORMS}
    _period(texts["period"], place)
    if texts["file"] == file:
        raise place.wrong("file", Text("another file than the manifest", "清单以外的文件"))
    mode: Mode = "full" if texts["mode"] == "full" else "changes"
    encoding: Encoding = "utf-8" if texts["encoding"] == "utf-8" else "gb18030"
    return Manifest(
        sender=texts["sender"],
        dataset=texts["dataset"],
        sequence=_integer(members, "sequence", 1, place),
        period=texts["period"],
        mode=mode,
        file=texts["file"],
        encoding=encoding,
        sha256=texts["sha256"],
        records=_integer(members, "records", 0, place),
        format=_format(members, place),
        dialect=_dialect(members["dialect"], place) if "dialect" in members else Dialect(),
        columns=_columns(members["columns"], place) if "columns" in members else MappingProxyType({}),
        signature=bytes.fromhex(texts["signature"]),
        signed=signing_bytes(members),
        where=Where(file),
    )


@dataclass(frozen=True, slots=True)
class _Place:
    """Errors of one manifest, with the line of the key they are about."""

    file: str
    raw: bytes

    def where(self, key: str) -> Where:
        found = self.raw.find(json.dumps(key.rpartition(".")[2], ensure_ascii=False).encode())
        line = self.raw.count(b"\n", 0, found) + 1 if found >= 0 else None
        return Where(self.file, line, key)

    def wrong(self, key: str, expected: Text) -> InputError:
        return InputError(
            "manifest.value.wrong",
            Text(f"{key} must be {expected.en}", f"{key} 应为{expected.zh}"),
            remedy=Text("correct the manifest and sign it again", "请更正清单并重新签名"),
            where=self.where(key),
        )


def _object(raw: bytes, file: str) -> dict[str, Any]:
    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        members = dict(pairs)
        if len(members) != len(pairs):
            raise _DuplicateKeyError
        return members

    def refused(_: str) -> Any:
        raise ValueError

    try:
        members = json.loads(
            raw.decode("utf-8"), object_pairs_hook=once, parse_constant=refused, parse_float=refused
        )
    except _DuplicateKeyError:
        raise _malformed(file, Text("a key comes twice", "有键重复")) from None
    # Too deep, too long a number, not UTF-8, not JSON: one answer for all, quoting nothing.
    except (ValueError, RecursionError):
        raise _malformed(file, Text("this is no JSON text in UTF-8", "不是 UTF-8 编码的 JSON 文本")) from None
    if not isinstance(members, dict):
        raise _malformed(file, Text("the manifest must be one JSON object", "清单应为一个 JSON 对象"))
    return members


class _DuplicateKeyError(Exception):
    """A key of a JSON object comes twice."""


def _malformed(file: str, what: Text) -> InputError:
    return InputError(
        "manifest.json.malformed",
        what,
        remedy=Text("write the manifest again", "请重新生成清单"),
        where=Where(file),
    )


def _keys(
    members: Mapping[str, Any],
    required: Collection[str],
    optional: Collection[str],
    place: _Place,
    inside: str,
) -> None:
    known = {*required, *optional}
    for key in members:
        if key not in known:
            # A key that resembles none may be anything, so it is not quoted.
            right = nearest(key, known - set(members)) if key.isascii() and key.isprintable() else None
            shown = f"“{key}”" if right else ""
            raise InputError(
                "manifest.key.unknown",
                Text(f"the manifest has an unknown key {shown}".rstrip(), f"清单含有未知的键{shown}"),
                remedy=hint(key, known - set(members)),
                where=place.where(inside + key) if right else Where(place.file),
            )
    for key in required:
        if key not in members:
            raise InputError(
                "manifest.key.missing",
                Text(f"the manifest lacks {inside}{key}", f"清单缺少 {inside}{key}"),
                remedy=Text(f"required are: {', '.join(required)}", f"必填：{'、'.join(required)}"),
                where=Where(place.file),
            )


def _text(members: Mapping[str, Any], key: str, place: _Place) -> str:
    form, expected = _FORMS[key]
    value = members[key]
    if not isinstance(value, str) or form.fullmatch(value) is None:
        raise place.wrong(key, expected)
    return value


def _period(text: str, place: _Place) -> None:
    try:
        date.fromisoformat(text if len(text) == 10 else f"{text}-01")
    except ValueError:
        raise place.wrong("period", _FORMS["period"][1]) from None


def _format(members: Mapping[str, Any], place: _Place) -> Format:
    found = members.get("format", "csv")
    if found == "csv":
        return "csv"
    if found not in ("parquet", "xlsx"):
        raise place.wrong("format", Text("csv, parquet or xlsx", "csv、parquet 或 xlsx"))
    if members["encoding"] != "utf-8":
        raise place.wrong("encoding", Text(f"utf-8, as {found} always is", f"utf-8（{found} 均为此编码）"))
    if "dialect" in members:
        raise place.wrong("dialect", Text("absent: only csv has one", "不填写（仅 csv 需要）"))
    return "parquet" if found == "parquet" else "xlsx"


def _integer(members: Mapping[str, Any], key: str, low: int, place: _Place) -> int:
    value = members[key]
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= MAX_SEQUENCE:
        raise place.wrong(key, Text(f"a whole number from {low}", f"不小于 {low} 的整数"))
    return value


def _dialect(value: object, place: _Place) -> Dialect:
    if not isinstance(value, dict):
        raise place.wrong("dialect", Text("an object", "对象"))
    _keys(value, (), ("delimiter", "skip_initial_space"), place, "dialect.")
    delimiter = value.get("delimiter", ",")
    if delimiter not in _DELIMITERS:
        raise place.wrong("dialect.delimiter", Text("one of , ; | or a tab", "逗号、分号、竖线或制表符"))
    skip = value.get("skip_initial_space", False)
    if not isinstance(skip, bool):
        raise place.wrong("dialect.skip_initial_space", Text("true or false", "true 或 false"))
    return Dialect(delimiter, skip)


def _columns(value: object, place: _Place) -> Mapping[str, str]:
    """A mapping of the source's header to fields; whether the fields exist is the extract's question."""
    named = isinstance(value, dict) and all(isinstance(v, str) and v for v in value.values())
    if not isinstance(value, dict) or not named or not value or "" in value:
        raise place.wrong("columns", Text("an object of header: field", "“表头: 字段”对象"))
    if len(set(value.values())) != len(value):
        raise place.wrong("columns", Text("a mapping that names each field once", "每个字段只出现一次的映射"))
    return MappingProxyType(dict(value))


def read_bytes(path: Path, limit: int) -> bytes:
    """A foreign file's bytes, at most ``limit``; a regular file named directly, no link, folder or pipe.

    Raises InputError ``incoming.file.*``, naming the file by its plain name."""
    try:
        # O_NOFOLLOW refuses a link; O_NONBLOCK keeps a named pipe from waiting, so that it is refused below.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise _refused(path, "missing", Text("there is no such file", "文件不存在")) from None
    except (OSError, ValueError):
        what = Text("the file is a link or cannot be opened", "文件是链接或无法打开")
        raise _refused(path, "irregular", what) from None
    # Before open(): that refuses a folder in its own words.
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise _refused(path, "irregular", Text("this is no regular file", "不是普通文件"))
    with open(descriptor, "rb") as file:
        raw = file.read(limit + 1)
    if len(raw) > limit:
        what = Text(f"the file is larger than {limit} bytes", f"文件超过 {limit} 字节")
        raise _refused(path, "oversize", what)
    if not raw:
        raise _refused(path, "empty", Text("the file is empty", "文件为空"))
    return raw


def _refused(path: Path, problem: str, what: Text) -> InputError:
    return InputError(
        f"incoming.file.{problem}",
        what,
        remedy=Text("send the file itself again", "请重新报送文件本身"),
        where=Where(path.name),
    )
