"""A rule file that is wrong in one place: file, line, column and the nearest right word; nothing of the bundle applies."""

from __future__ import annotations

from pathlib import Path

import pytest

from huanshu.assembly.fresh_home import FreshHome
from huanshu.catalog import inspect_home, read_home
from huanshu.errors import ContentError

RULES, CASES = "policies/rules/community.csv", "policies/cases/community.csv"
#: Line 3 of the file.
LINE = "p, 10, data_clerk, own, parcel, owner, upkeep, mask, 2026-01-01, 2099-12-31, allow"


def malformed(home: Path, old: str | bytes, new: str | bytes, file: str = RULES) -> ContentError:
    path = home / file
    raw = path.read_bytes()
    was = old.encode() if isinstance(old, str) else old
    now = new.encode() if isinstance(new, str) else new
    assert raw.count(was) == 1
    fresh = FreshHome(home)
    assert fresh().policies.rules
    path.write_bytes(raw.replace(was, now))
    with pytest.raises(ContentError) as raised:
        read_home(home)
    # Nothing of it applies: not the file without its line, nor the bundle without the file, nor the one before.
    assert inspect_home(home)[0] is None
    with pytest.raises(ContentError):
        fresh()
    return raised.value


@pytest.mark.parametrize(
    ("new", "code", "column", "hint"),
    [
        (LINE.replace("parcel, owner", "parcel, onwer"), "rule.field.unknown", "field", "“owner”"),
        (LINE.replace("parcel, owner", "parcel, @level9"), "content.word.unknown", "field", "@level"),
        (LINE.replace("parcel, owner", "parcle, owner"), "rule.dataset.unknown", "dataset", "“parcel”"),
        (LINE.replace("own, parcel", "990201001009, parcel"), "rule.domain.unknown", "reach", "“99020100"),
        (LINE.replace("own, parcel", "belwo, parcel"), "content.word.unknown", "reach", "“below”"),
        (LINE.replace("own, parcel", "９９０２０１００１００１, parcel"), "domain.code.malformed", "reach", "12 digits"),
        (LINE.replace("data_clerk", "data_clark"), "rule.role.unheld", "role", "“data_clerk”"),
        (LINE.replace("upkeep", "upkep"), "rule.purpose.unknown", "purpose", "“upkeep”"),
        (LINE.replace("mask", "msak"), "content.word.unknown", "action", "“mask”"),
        (LINE.replace("allow", "alow"), "content.word.unknown", "effect", "“allow”"),
        (LINE.replace("2099-12-31", "2099-02-30"), "content.date.malformed", "valid_until", "2026-01-31"),
        (LINE.replace("2099-12-31", "2099/12/31"), "content.date.malformed", "valid_until", "2026-01-31"),
        (LINE.replace("2026-01-01", "２０２６-01-01"), "content.date.malformed", "valid_from", "2026-01-31"),
        (LINE.replace("2099-12-31", "2025-12-31"), "content.dates.reversed", "valid_until", "valid_until"),
        (LINE.replace(" 2099-12-31,", ""), "content.cell.empty", "valid_until", "columns"),
        (LINE.replace(" 2099-12-31,", ","), "content.cell.empty", "valid_until", "fill"),
        (LINE.replace(" upkeep,", ""), "content.row.ragged", None, "columns"),
        (LINE.replace(" mask,", ""), "content.cell.empty", "action", "columns"),
        (LINE.replace("p, 10", "p, ten"), "content.number.malformed", "priority", "digits"),
        (LINE.replace("p, 10", "q, 10"), "content.word.unknown", "p", "known here: p"),
    ],
)  # fmt: skip
def test_one_line(home: Path, new: str, code: str, column: str | None, hint: str) -> None:
    error = malformed(home, LINE, new)
    assert error.where is not None
    assert error.remedy is not None
    assert (error.code, error.where.file, error.where.line) == (code, RULES, 3), str(error)
    if code != "content.row.ragged":
        assert error.where.field == column
    assert hint in error.remedy.en


def test_the_same_line_twice(home: Path) -> None:
    error = malformed(home, LINE, f"{LINE}\n{LINE}")
    assert (error.code, error.where and error.where.line) == ("content.row.duplicate", 4)


def test_a_mark_of_byte_order_between_two_files_put_together(home: Path) -> None:
    error = malformed(home, LINE, "\ufeff" + LINE)
    assert error.where is not None
    assert (error.code, error.where.line, error.where.field) == ("content.text.invisible", 3, "character 1")


def test_one_line_of_another_encoding(home: Path) -> None:
    error = malformed(home, LINE, LINE.encode() + "\n# 说明".encode("gb18030"))
    assert error.where is not None
    assert (error.code, error.where.line, error.where.field) == ("content.text.encoding", 4, "byte 5")
    assert "GB18030" in (error.remedy.en if error.remedy else "")


def test_an_unknown_column_of_the_cases(home: Path) -> None:
    error = malformed(home, "because", "becuase", CASES)
    assert error.where is not None
    assert (error.code, error.where.field) == ("content.header.unknown", "becuase")
    assert "“because”" in (error.remedy.en if error.remedy else "")
