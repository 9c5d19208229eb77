"""Derived columns: what a rule may ask about a field beyond its text, computed here before validation.

Written in a suite wherever Great Expectations takes a column::

    column: citizen_number#gb11643_checksum
    column: birth_date#age_on(updated_on)
    column: guardian_name#given_below_age(14, birth_date, updated_on)

``<field>#<derivation>``, with arguments in parentheses: names of fields, or whole numbers. A derivation that
answers true or false is true where its operands are absent or unreadable, unless its meaning says
otherwise: absence and form are other rules' business. One that answers a value is then absent, and Great
Expectations passes over it. Values stay inside: a derivation never raises on a value.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from huanshu.catalog import Contract
from huanshu.catalog.words import unknown
from huanshu.errors import ContentError, Text, Where
from huanshu.quality.dates import (
    Bools,
    Octets,
    calendar,
    completed_years,
    digits,
    iso_dates,
    number,
    octets,
    present,
)
from huanshu.quality.distinct import coded, combinations, has_dictionary, plain

_WRITTEN: Final = re.compile(r"([^#()\s]+)#([^#()\s]+)(?:\(([^()]*)\))?")
_WHOLE: Final = re.compile(r"0|[1-9][0-9]{0,8}")

#: GB 11643 / ISO 7064 MOD 11-2: weights of the first 17 digits, and the check character by remainder.
_WEIGHTS: Final = np.array([7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2], dtype=np.int16)
_CHECK: Final = np.frombuffer(b"10X98765432", dtype=np.uint8)

#: GB 32100: the alphabet leaves out I, O, S, V and Z; the weights are powers of 3 modulo 31.
_CREDIT_ALPHABET: Final = np.frombuffer(b"0123456789ABCDEFGHJKLMNPQRTUWXY", dtype=np.uint8)
_CREDIT_WEIGHTS: Final = np.array([pow(3, n, 31) for n in range(17)], dtype=np.int64)

Kind = Literal["string", "boolean", "number"]


@dataclass(frozen=True, slots=True)
class Derivation:
    """``compute(cells, *arguments)``: Arrow text columns (and integers) of n rows → one Arrow column of n.

    A column may have a dictionary. Each row's answer depends on that row alone."""

    parameters: tuple[Literal["field", "whole"], ...]
    kind: Kind
    compute: Callable[..., pa.Array]
    meaning: Text


@dataclass(frozen=True, slots=True)
class Column:
    """A column as a suite names it: a field of the contract, perhaps derived."""

    written: str
    field: str
    derivation: Derivation | None = None
    arguments: tuple[str | int, ...] = ()

    @property
    def kind(self) -> Kind:
        return self.derivation.kind if self.derivation else "string"

    def cells(self, frame: pa.Table) -> pa.Array:
        """The column's cells over a frame of text columns; with a dictionary where rows repeat each other."""
        own = text_cells(frame, self.field)
        if self.derivation is None:
            return own
        columns = [own, *(text_cells(frame, a) for a in self.arguments if isinstance(a, str))]
        found = combinations(columns)
        given, codes = found or (columns, None)
        made = self.derivation.compute(*self._operands(given))
        return made if codes is None else coded(made, codes)

    def _operands(self, columns: Sequence[pa.Array]) -> Iterator[pa.Array | int]:
        """The field's column, then the arguments as written: columns in their order, and numbers."""
        left = iter(columns)
        yield next(left)
        for argument in self.arguments:
            yield next(left) if isinstance(argument, str) else argument


def text_cells(frame: pa.Table, field: str) -> pa.Array:
    """One field as a single ``large_string`` array, with a dictionary when it comes with one; absent is null."""
    column = frame.column(field)
    if column.num_chunks != 1 or not has_dictionary(column.chunk(0)):
        column = column.cast(pa.large_string())
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def column(written: str, contract: Contract, where: Where) -> Column:
    """The column that a suite means. Raises ContentError ``suite.column.unknown``,
    ``suite.derivation.*``."""
    fields = {f.name for f in contract.fields}
    if "#" not in written:
        return Column(written, _field(written, fields, where))
    match = _WRITTEN.fullmatch(written)
    if match is None:
        raise ContentError(
            "suite.derivation.malformed",
            Text(f"“{written[:80]}” names no derived column", f"“{written[:80]}”不是合法的派生列"),
            remedy=Text(
                "write field#derivation or field#derivation(argument, …)",
                "请写成 字段#派生 或 字段#派生(参数, …)",
            ),
            where=where,
        )
    field = _field(match[1], fields, where)
    derivation = DERIVATIONS.get(match[2])
    if derivation is None:
        raise unknown("suite.derivation.unknown", Text("derivation", "派生"), match[2], DERIVATIONS, where)
    words = [word.strip() for word in match[3].split(",")] if match[3] else []
    if len(words) != len(derivation.parameters):
        needed = ", ".join(derivation.parameters) or "-"
        raise ContentError(
            "suite.derivation.arguments",
            Text(
                f"{match[2]} takes {len(derivation.parameters)} arguments, {len(words)} are given",
                f"{match[2]} 需要 {len(derivation.parameters)} 个参数，给出了 {len(words)} 个",
            ),
            remedy=Text(f"arguments: {needed}", f"参数依次为：{needed}"),
            where=where,
        )
    arguments = tuple(
        _field(word, fields, where) if parameter == "field" else _whole(word, where)
        for word, parameter in zip(words, derivation.parameters, strict=True)
    )
    return Column(written, field, derivation, arguments)


def _field(name: str, fields: set[str], where: Where) -> str:
    if name not in fields:
        raise unknown("suite.column.unknown", Text("field", "字段"), name, fields, where)
    return name


def _whole(word: str, where: Where) -> int:
    if _WHOLE.fullmatch(word) is None:
        raise ContentError(
            "suite.derivation.arguments",
            Text(f"“{word[:40]}” is no whole number", f"“{word[:40]}”不是整数"),
            remedy=Text("digits only", "只写数字"),
            where=where,
        )
    return int(word)


def _citizen_digits(cells: pa.Array) -> tuple[Bools, Octets, Octets]:
    """(n) 18 bytes of which 17 are digits, (n, 17) their values, (n) the check character's byte."""
    fits, matrix = octets(cells, 18)
    numeric, values = digits(matrix[:, :17])
    return fits & numeric, values, matrix[:, 17]


def gb11643_checksum(cells: pa.Array) -> pa.Array:
    """GB 11643-1999: False for any present number that is not 18 characters with the right check
    character."""
    valid, values, given = _citizen_digits(cells)
    right = valid & (_CHECK[(values @ _WEIGHTS) % 11] == given)
    return pa.array(right | ~present(cells))


def gb11643_birth_date(cells: pa.Array) -> pa.Array:
    """The date in characters 7–14, as ``2026-01-31``; absent when it is no date."""
    valid, values, _ = _citizen_digits(cells)
    born = calendar(valid, number(values[:, 6:10]), number(values[:, 10:12]), number(values[:, 12:14]))
    text = np.full((len(cells), 10), ord("-"), dtype=np.uint8)
    text[:, [0, 1, 2, 3, 5, 6, 8, 9]] = values[:, 6:14] + ord("0")
    offsets = np.arange(len(cells) + 1, dtype=np.int64) * 10
    written = pa.Array.from_buffers(
        pa.large_string(), len(cells), [None, pa.py_buffer(offsets), pa.py_buffer(text)]
    )
    return pc.if_else(pa.array(born.valid), written, pa.scalar(None, pa.large_string()))


def gb11643_sex(cells: pa.Array) -> pa.Array:
    """``1`` (male) when character 17 is odd, ``2`` when even (GB/T 2261.1); absent when unreadable."""
    valid, values, _ = _citizen_digits(cells)
    return pa.array(np.where(values[:, 16] % 2 == 1, "1", "2"), pa.large_string(), mask=~valid)


def gb32100_checksum(cells: pa.Array) -> pa.Array:
    """GB 32100-2015: False for any present code that is not 18 characters of the alphabet with the right last one.

    The organisation code inside (GB 11714) is not judged: it has exceptions of its own."""
    fits, matrix = octets(cells, 18)
    worth = np.full(256, -1, dtype=np.int64)
    worth[_CREDIT_ALPHABET] = np.arange(len(_CREDIT_ALPHABET))
    values = worth[matrix]
    valid = fits & (values >= 0).all(axis=1)
    right = valid & ((31 - values[:, :17] @ _CREDIT_WEIGHTS % 31) % 31 == values[:, 17])
    return pa.array(right | ~present(cells))


def age_on(cells: pa.Array, on: pa.Array) -> pa.Array:
    """Completed years from this date to that one; absent when either is no ISO date."""
    known, years = completed_years(iso_dates(cells), iso_dates(on))
    return pa.array(years, pa.int64(), mask=~known)


def given_below_age(cells: pa.Array, limit: int, born: pa.Array, on: pa.Array) -> pa.Array:
    """False for a person below ``limit`` years without this value."""
    known, years = completed_years(iso_dates(born), iso_dates(on))
    return pa.array(~(known & (years < limit)) | present(cells))


def absent_from_age(cells: pa.Array, limit: int, born: pa.Array, on: pa.Array) -> pa.Array:
    """False for a person of ``limit`` years or more who has this value."""
    known, years = completed_years(iso_dates(born), iso_dates(on))
    return pa.array(~(known & (years >= limit)) | ~present(cells))


def starts_with(cells: pa.Array, other: pa.Array) -> pa.Array:
    """False where this value does not begin with that one."""
    cells, other = plain(cells), plain(other)
    begins = pa.array(np.ones(len(cells), np.bool_))
    lengths = pc.binary_length(other)
    texts, beginnings = cells.cast(pa.large_binary()), other.cast(pa.large_binary())
    for length in pc.unique(lengths.drop_null()).to_pylist():  # codes have few lengths
        same = pc.equal(pc.binary_slice(texts, 0, length), beginnings)
        judged = pc.and_(pc.equal(lengths, length), pc.is_valid(texts))
        begins = pc.if_else(pc.fill_null(judged, False), same, begins)
    return begins


def as_number(cells: pa.Array) -> pa.Array:
    """The decimal number written here; absent when it is none."""
    cells = plain(cells)
    numeric = pc.match_substring_regex(cells, r"^-?[0-9]{1,15}(\.[0-9]{1,15})?\z")
    return pc.if_else(numeric, cells, pa.scalar(None, pa.large_string())).cast(pa.float64())


#: Everything that may stand behind ``#``.
DERIVATIONS: Final[Mapping[str, Derivation]] = {
    "gb11643_checksum": Derivation(
        (),
        "boolean",
        gb11643_checksum,
        Text("18 characters with the right check character", "18 位且校验码正确"),
    ),
    "gb11643_birth_date": Derivation(
        (), "string", gb11643_birth_date, Text("the birth date inside the number", "号码中的出生日期")
    ),
    "gb11643_sex": Derivation((), "string", gb11643_sex, Text("the sex inside the number", "号码中的性别")),
    "gb32100_checksum": Derivation(
        (),
        "boolean",
        gb32100_checksum,
        Text(
            "18 characters of a credit code with the right check character",
            "18 位统一社会信用代码且校验码正确",
        ),
    ),
    "age_on": Derivation(("field",), "number", age_on, Text("completed years on a date", "某日的周岁")),
    "given_below_age": Derivation(
        ("whole", "field", "field"), "boolean", given_below_age, Text("given for the young", "未满年龄者已填")
    ),
    "absent_from_age": Derivation(
        ("whole", "field", "field"), "boolean", absent_from_age, Text("left out by the grown", "满龄者未填")
    ),
    "starts_with": Derivation(
        ("field",), "boolean", starts_with, Text("begins with another field", "以另一字段开头")
    ),
    "number": Derivation((), "number", as_number, Text("the number written here", "所写的数字")),
}
