# ruff: noqa: INP001 - a folder of scripts, no package
"""What must come out, computed from the two files alone: plain Python, nothing of Huanshu.

The rules are those of ``expectations/person`` written a second time by other means (no regular expression, no
Great Expectations): where the two disagree, one of them is wrong.
"""

from __future__ import annotations

import csv
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from itertools import combinations
from pathlib import Path

from sender import communities, community_of

_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyz")
_DIGITS = frozenset("0123456789")
_STATES = frozenset({"act", "nsw", "nt", "qld", "sa", "tas", "vic", "wa"})
#: Fields that reach a community as they stand in the district store: readable there without any key.
PLAIN = ("rec_id", "suburb", "postcode", "state", "community")

Row = dict[str, str]


def _letters(value: str) -> bool:
    parts = value.replace("-", " ").replace("'", " ").split(" ")
    return all(part and set(part) <= _LETTERS for part in parts)


def _digits(value: str, low: int, high: int) -> bool:
    return low <= len(value) <= high and set(value) <= _DIGITS


def _address(value: str) -> bool:
    parts = value.replace("-", " ").replace("'", " ").split(" ")
    return value[0] in _LETTERS and all(part and set(part) <= _LETTERS | _DIGITS for part in parts)


def _calendar(value: str) -> bool:
    try:
        date(int(value[:4]), int(value[4:6]), int(value[6:]))
    except ValueError:
        return False
    return True


def _record_number(value: str) -> bool:
    match value.split("-"):
        case ["rec", number, "org"]:
            return _digits(number, 1, 4)
        case ["rec", number, "dup", copy]:
            return _digits(number, 1, 4) and _digits(copy, 1, 1)
    return False


#: Rule → (field, test of a present value). An absent value passes; what is required is a rule of its own.
_FORMS: dict[str, tuple[str, Callable[[str], bool]]] = {
    "rec_id_form": ("rec_id", _record_number),
    "given_name_letters": ("given_name", _letters),
    "surname_letters": ("surname", _letters),
    "street_number_digits": ("street_number", lambda v: _digits(v, 1, 5)),
    "suburb_letters": ("suburb", _letters),
    "postcode_form": ("postcode", lambda v: _digits(v, 4, 4)),
    "state_known": ("state", lambda v: v in _STATES),
    "date_of_birth_form": ("date_of_birth", lambda v: _digits(v, 8, 8)),
    "date_of_birth_real": ("date_of_birth", _calendar),
    "soc_sec_id_form": ("soc_sec_id", lambda v: _digits(v, 7, 7)),
}
_REQUIRED = ("rec_id", "surname", "postcode", "soc_sec_id")
_WIDTHS = {
    "given_name": 40, "surname": 40, "street_number": 8, "address_1": 60, "address_2": 60,
    "date_of_birth": 8, "soc_sec_id": 7,
}  # fmt: skip
_WARNINGS: dict[str, Callable[[Row], bool]] = {
    "given_name_given": lambda row: bool(row["given_name"]),
    "address_1_form": lambda row: not row["address_1"] or _address(row["address_1"]),
    "address_1_given": lambda row: bool(row["address_1"]),
    "date_of_birth_given": lambda row: bool(row["date_of_birth"]),
}


@dataclass(frozen=True)
class Expected:
    """The answer. ``rules``/``warnings`` count failing rows; ``slices`` are rows of PLAIN by community."""

    rows: int
    good: int
    quarantined: int
    rules: dict[str, int]
    warnings: dict[str, int]
    slices: dict[str, Counter[tuple[str, ...]]]
    #: Quarantined data row (the first is 1) → the rules it fails.
    quarantine: dict[int, frozenset[str]]
    #: Record number → security number, of the good rows.
    persons: dict[str, str]
    #: Pairs of good rows that FEBRL itself says are one person, and how many of them share the number.
    true_pairs: int
    linked_pairs: int
    #: Pairs that share the number but are not one person by FEBRL's word.
    false_pairs: int

    @property
    def subjects(self) -> int:
        return len(set(self.persons.values()))


def expected(persons: Path, divisions: Path) -> Expected:
    """What must come out of the two files."""
    codes = communities(divisions)
    with persons.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, skipinitialspace=True))
    rules: Counter[str] = Counter()
    warnings: Counter[str] = Counter()
    good: list[Row] = []
    quarantine: dict[int, frozenset[str]] = {}
    seen: set[str] = set()
    for number, row in enumerate(rows, 1):
        failed = [f"contract_{field}" for field in _REQUIRED if not row[field]]
        failed += [f"contract_{name}" for name, width in _WIDTHS.items() if len(row[name].encode()) > width]
        failed += [rule for rule, (field, fits) in _FORMS.items() if row[field] and not fits(row[field])]
        if not failed and row["rec_id"] in seen:
            failed = ["rec_id_unique"]
        rules.update(failed)
        warnings.update(rule for rule, fits in _WARNINGS.items() if not fits(row))
        if failed:
            quarantine[number] = frozenset(failed)
        else:
            seen.add(row["rec_id"])
            good.append({**row, "community": community_of(row["postcode"], codes)})
    slices: dict[str, Counter[tuple[str, ...]]] = {code: Counter() for code in codes}
    for row in good:
        slices[row["community"]][tuple(row[name] for name in PLAIN)] += 1
    same_person, same_number = _pairs(good, lambda r: r["rec_id"].split("-")[1]), _pairs(good, _number)
    return Expected(
        rows=len(rows),
        good=len(good),
        quarantined=len(quarantine),
        rules=dict(rules),
        warnings=dict(warnings),
        slices=slices,
        quarantine=quarantine,
        persons={row["rec_id"]: row["soc_sec_id"] for row in good},
        true_pairs=len(same_person),
        linked_pairs=len(same_person & same_number),
        false_pairs=len(same_number - same_person),
    )


def _number(row: Row) -> str:
    return row["soc_sec_id"]


def _pairs(rows: list[Row], key: Callable[[Row], str]) -> set[tuple[str, str]]:
    """Pairs of record numbers with one key."""
    groups: dict[str, list[str]] = defaultdict(list)
    for row in rows:
        groups[key(row)].append(row["rec_id"])
    return {pair for group in groups.values() for pair in combinations(sorted(group), 2)}
