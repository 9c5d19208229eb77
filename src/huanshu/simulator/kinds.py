"""The kinds of defects, by dataset: how a clean row is spoilt, which rows can be, and what that breaks.

Each is something departments really send. ``spoil`` answers the cells that become others; ``breaks`` is in the
language of ``breaches``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

import numpy as np

from huanshu.catalog import Contract
from huanshu.simulator.identifiers import CREDIT_ALPHABET, citizen_number
from huanshu.simulator.places import Places

Row = dict[str, str | None]
Cells = dict[str, str | None]


@dataclass(frozen=True, slots=True)
class Hand:
    """What a kind may need beside the row."""

    rng: np.random.Generator
    places: Places
    contract: Contract
    day: date

    def width(self, name: str) -> int:
        return self.contract.field(name).width or 0


@dataclass(frozen=True, slots=True)
class Kind:
    """``keeps_key``: the row is still that record's. ``repeats``: the spoilt row comes after the others."""

    name: str
    breaks: tuple[str, ...]
    spoil: Callable[[Row, Hand], Cells]
    fits: Callable[[Row], bool] = bool
    keeps_key: bool = True
    repeats: bool = False


# -- which rows ---------------------------------------------------------------------------------------------------


def _has(*names: str) -> Callable[[Row], bool]:
    return lambda row: all(row.get(name) for name in names)


def _grown(row: Row) -> bool:
    """A person who stays an adult whatever a defect does to the birth date."""
    return "1950-01-01" <= (row["birth_date"] or "") <= "1996-01-01"


def _child(row: Row) -> bool:
    return bool(row["guardian_name"])


# -- how --------------------------------------------------------------------------------------------------------


def _to(name: str, text: str | None) -> Callable[[Row, Hand], Cells]:
    return lambda row, hand: {name: text}  # noqa: ARG005


def _changed(name: str, change: Callable[[str], str]) -> Callable[[Row, Hand], Cells]:
    return lambda row, hand: {name: change(row[name] or "")}  # noqa: ARG005


def _wide(text: str) -> str:
    """The digits as a Chinese input method writes them when one forgets to switch it."""
    return text.translate({ord("0") + n: ord("０") + n for n in range(10)})


def _other_check(text: str) -> str:
    return text[:17] + ("1" if text[17] != "1" else "2")


def _other_credit_check(text: str) -> str:
    return text[:17] + CREDIT_ALPHABET[(CREDIT_ALPHABET.index(text[17]) + 1) % 31]


def _other_place(text: str) -> str:
    return citizen_number("900101" + text[6:17])


def _next_day(text: str) -> str:
    return f"{text[:8]}{int(text[8:]) % 28 + 1:02d}"


def _day_before(name: str, other: str, days: int) -> Callable[[Row, Hand], Cells]:
    def spoil(row: Row, hand: Hand) -> Cells:
        del hand
        return {name: (date.fromisoformat(row[other] or "") - timedelta(days=days)).isoformat()}

    return spoil


def _much_older(row: Row, hand: Hand) -> Cells:
    """Fifteen, by number and birth date."""
    born = row["birth_date"] or ""
    # The 28th exists in every February.
    day = f"{hand.day.year - 16}-{born[5:7]}-{min(int(born[8:]), 28):02d}"
    number = row["citizen_number"] or ""
    return {
        "birth_date": day,
        "citizen_number": citizen_number(number[:6] + day.replace("-", "") + number[14:17]),
    }


def _unborn(row: Row, hand: Hand) -> Cells:
    del row
    return {"birth_date": (hand.day + timedelta(days=900)).isoformat()}


def _no_such_community(row: Row, hand: Hand) -> Cells:
    stem, number = (row["community"] or "")[:9], 999
    while f"{stem}{number:03d}" in hand.places.communities:
        number -= 1
    return {"community": f"{stem}{number:03d}"}


def _no_such_grid(row: Row, hand: Hand) -> Cells:
    number = 999
    while f"{row['community']}{number:03d}" in hand.places.grids:
        number -= 1
    return {"grid": f"{row['community']}{number:03d}"}


def _other_grid(row: Row, hand: Hand) -> Cells:
    return {"grid": next(code for code in hand.places.grids if not code.startswith(row["community"] or ""))}


def _too_long(name: str, character: str, *more: str) -> Kind:
    return Kind(
        f"{name}_too_long",
        (f"width: {name}", *more),
        lambda row, hand: {name: character * (hand.width(name) // len(character.encode()) + 1)},  # noqa: ARG005
    )


def _unlisted(name: str, code: str) -> Kind:
    """A code outside its list."""
    return Kind(f"{name}_unknown", (name,), _to(name, code))


def _phone(name: str, *more: str) -> tuple[Kind, ...]:
    return (
        Kind(f"{name}_short", (name, *more), _changed(name, lambda text: text[:10]), _has(name)),
        Kind(f"{name}_full_width", (f"width: {name}", name, *more), _changed(name, _wide), _has(name)),
    )


def _empty(name: str) -> Kind:
    return Kind(f"{name}_empty", (f"required: {name}",), _to(name, None))


def _date(name: str) -> Kind:
    """As a spreadsheet of another country writes it. For the later of two dates only: ``/`` sorts behind ``-``."""
    return Kind(
        f"{name}_form",
        (f"type: {name}",),
        lambda row, hand: {name: (row[name] or "").replace("-", "/")},  # noqa: ARG005
        _has(name),
    )


def _control(name: str) -> Kind:
    """A control character, as old systems leave behind."""
    return Kind(
        f"{name}_control_character",
        (name,),
        _changed(name, lambda text: text[:1] + "\x7f" + text[1:]),
        _has(name),
    )


def _twice(name: str) -> Kind:
    """The same identifier again, after the original, in an otherwise good row."""
    return Kind(f"duplicate_{name}", (f"unique: {name}",), lambda row, hand: {}, repeats=True)  # noqa: ARG005


def _citizen(name: str, *, key: bool, paired: str = "") -> tuple[Kind, ...]:
    """What goes wrong with citizen numbers."""
    return (
        Kind(
            "check_digit" if key else f"{name}_check_digit",
            (f"{name}#gb11643_checksum",),
            _changed(name, _other_check),
            keeps_key=not key,
        ),
        Kind(
            f"{name}_full_width",
            (f"width: {name}", name, f"{name}#gb11643_checksum", *([paired] if paired else [])),
            _changed(name, _wide),
            keeps_key=not key,
        ),
    )


_PLACES: Final = (
    Kind("grid_unknown", ("grid",), _no_such_grid),
    Kind("grid_elsewhere", ("grid#starts_with",), _other_grid),
    Kind("community_unknown", ("home: community", "community", "grid#starts_with"), _no_such_community),
)

_RESIDENT: Final = (
    *_citizen("citizen_number", key=True),
    Kind(
        "place_unknown",
        ("warning citizen_number",),
        _changed("citizen_number", _other_place),
        keeps_key=False,
    ),
    Kind(
        "birth_date_mismatch",
        ("citizen_number#gb11643_birth_date | birth_date",),
        _changed("birth_date", _next_day),
        _grown,
    ),
    Kind(
        "impossible_date",
        ("type: birth_date", "citizen_number#gb11643_birth_date | birth_date"),
        _changed("birth_date", lambda text: f"{int(text[:4]) - 1}-02-30"),
        _grown,
    ),
    Kind(
        "birth_date_future",
        (
            "citizen_number#gb11643_birth_date | birth_date",
            "birth_date#age_on",
            "residence_since | birth_date",
        ),
        _unborn,
        _child,
    ),
    Kind("sex_unknown", ("sex", "citizen_number#gb11643_sex | sex"), _to("sex", "9"), _grown),
    _empty("name"),
    Kind("name_with_digit", ("name",), _to("name", "王2芳")),
    _control("name"),
    _too_long("name", "柳"),
    *_phone("phone"),
    *_PLACES,
    Kind("child_without_guardian", ("guardian_name#given_below_age",), _to("guardian_name", None), _child),
    Kind(
        "residence_before_birth",
        ("residence_since | birth_date",),
        _day_before("residence_since", "birth_date", 400),
    ),
    Kind("residence_address_short", ("residence_address",), _to("residence_address", "不详")),
    _too_long("employer", "厂"),
    _date("updated_on"),
    _unlisted("ethnicity", "60"),
    _unlisted("marital_status", "55"),
    _unlisted("disability_grade", "7"),
    _unlisted("care_status", "77"),
    _unlisted("insurance_kind", "99"),
    _unlisted("subsistence_allowance", "9"),
    _unlisted("elderly_allowance", "9"),
    Kind("household_number_form", ("household_number",), _to("household_number", "无")),
    _twice("citizen_number"),
)

_ENTERPRISE: Final = (
    Kind(
        "credit_code_check",
        ("credit_code#gb32100_checksum",),
        _changed("credit_code", _other_credit_check),
        keeps_key=False,
    ),
    _empty("name"),
    *_citizen("legal_representative_number", key=False),
    *_phone("legal_representative_phone"),
    *_PLACES,
    _unlisted("industry", "Z99"),
    Kind("employees_negative", ("employees#number",), _to("employees", "-12")),
    Kind("employees_in_words", ("type: employees",), _to("employees", "约二十")),
    _unlisted("status", "9"),
    _unlisted("tax_standing", "E"),
    Kind(
        "updated_before_established",
        ("updated_on | established_on",),
        _day_before("updated_on", "established_on", 30),
    ),
    _date("updated_on"),
    _twice("credit_code"),
)

_GRID_EVENT: Final = (
    Kind(
        "event_number_form",
        ("event_number",),
        _changed("event_number", lambda text: text[2:]),
        keeps_key=False,
    ),
    _unlisted("matter", "9999"),
    _empty("title"),
    _too_long("description", "情"),
    *_PLACES,
    *_phone("reporter_phone"),
    _unlisted("state", "7"),
    Kind("due_before_reported", ("due_on | reported_on",), _day_before("due_on", "reported_on", 3)),
    Kind(
        "updated_before_reported", ("updated_on | reported_on",), _day_before("updated_on", "reported_on", 1)
    ),
    _unlisted("handling_department", "dept.no_such_office"),
    _date("updated_on"),
    _twice("event_number"),
)

_VACCINATION_DUE: Final = (
    *_citizen("citizen_number", key=True),
    Kind(
        "birth_date_mismatch",
        ("citizen_number#gb11643_birth_date | birth_date",),
        _changed("birth_date", _next_day),
    ),
    Kind("fifteen_years_old", ("birth_date#age_on",), _much_older, keeps_key=False),
    _empty("guardian_name"),
    *_phone("guardian_phone"),
    *_PLACES,
    _too_long("vaccine", "1", "vaccine"),
    _unlisted("vaccine", "9999"),
    _unlisted("dose", "第二针"),
    Kind("due_before_birth", ("due_on | birth_date",), _day_before("due_on", "birth_date", 10)),
    _date("due_on"),
    _twice("citizen_number"),
)

KINDS: Final[Mapping[str, tuple[Kind, ...]]] = {
    "resident": _RESIDENT,
    "enterprise": _ENTERPRISE,
    "grid_event": _GRID_EVENT,
    "vaccination_due": _VACCINATION_DUE,
}
