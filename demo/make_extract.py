# ruff: noqa: INP001 - a script beside the package, not in it
"""A fictional residents' register, made from a seed: the extract of a demo, and the truth about it.

    python demo/make_extract.py --seed 7 --residents 600 --period 1 --encoding gb18030 --out extracts/

writes ``resident.<period>.csv`` and ``resident.<period>.truth.json``. The same arguments write the same
bytes. Nobody in it exists: citizen numbers begin with 990101, which no district has; telephone numbers begin
with 100, which no subscriber has.

Period 1 is a whole register. Every later period is the whole register again a month on: people moved between
the communities, died or moved away (they are missing), were born, changed their telephone. Into each period's
rows defects are planted; the register behind them stays clean, so a defect of one period is put right in the
next. The truth says, by 1-based data row, which rules of the resident suite each planted row fails, and what
changed since the period before. Standalone on purpose: numpy and the standard library only.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Final

import numpy as np

Row = dict[str, str]

FIELDS: Final = (
    "citizen_number", "name", "sex", "birth_date", "ethnicity", "phone", "household_number",
    "household_relation", "registration_kind", "registered_address", "residence_address", "community",
    "grid", "building_code", "residence_kind", "residence_since", "marital_status", "education",
    "occupation", "employer", "disability_grade", "care_status", "guardian_name", "guardian_phone",
    "updated_on",
)  # fmt: skip

COMMUNITIES: Final[Mapping[str, Sequence[str]]] = {
    "990101001001": ("990101001001001", "990101001001002", "990101001001003"),
    "990101001002": ("990101001002001", "990101001002002"),
    "990101001003": ("990101001003001", "990101001003002"),
}
NAMES: Final[Mapping[str, str]] = {
    "990101001001": "玉兰社区",
    "990101001002": "望江社区",
    "990101001003": "石桥社区",
}

_PLACE: Final = "990101"
_WEIGHTS: Final = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_FAMILY: Final = (
    "王李张刘陈杨黄赵周吴徐孙马朱胡郭何林高罗郑梁谢宋唐许韩冯邓曹彭曾肖田董袁潘于蒋蔡余杜叶程苏魏吕丁任沈"
)
_COMPOUND: Final = ("欧阳", "上官", "诸葛", "司徒")
_GIVEN: Final = (
    "伟芳娜敏静丽强磊军洋勇艳杰娟涛明超兰霞平刚桂英华玉萍红娥玲芬燕彩"
    "春菊凤洁梅琳素云莲真环雪荣爱妹香月莺媛瑞凡佳嘉琼勤珍贞莉"
)
_DOTTED: Final = (
    ("阿依古丽·买买提", "05"), ("吐尔逊·艾合买提", "05"), ("古丽娜尔·热合曼", "05"),
    ("扎西·多吉", "04"), ("卓玛·央金", "04"), ("巴特尔·苏和", "02"),
)  # fmt: skip
_STREETS: Final = ("清荷路", "柳堤街", "映月巷", "稻香里", "石板街", "书院路")
_EMPLOYERS: Final = ("清禾区第一小学", "柳岸纺织厂", "望江渡口管理站", "玉兰社区卫生服务站", "石桥农贸市场")
_FIRST_DAY: Final = date(2026, 9, 1)
_SPOUSE, _SON, _DAUGHTER, _PARENT, _HEAD = "02", "03", "04", "06", "01"


@dataclass(slots=True)
class Extract:
    """One period's rows, and the truth about them (JSON-ready)."""

    period: str
    rows: list[Row]
    truth: dict[str, Any]


@dataclass(slots=True)
class _Person:
    """A resident and the key that stays his or hers over the periods."""

    key: int
    row: Row


@dataclass(slots=True)
class _Register:
    """The clean register: households of people, and the numbers already given."""

    communities: Mapping[str, Sequence[str]]
    people: list[_Person] = field(default_factory=list)
    taken: set[str] = field(default_factory=set)
    households: int = 0

    def add(self, row: Row) -> None:
        self.people.append(_Person(self.people[-1].key + 1 if self.people else 1, row))


def check_digit(seventeen: str) -> str:
    """The 18th character of a citizen number (GB 11643-1999)."""
    total = sum(int(digit) * weight for digit, weight in zip(seventeen, _WEIGHTS, strict=True))
    return "10X98765432"[total % 11]


def first_day(period: int) -> date:
    """The day a period's extract was made: the first of the month, from September 2026 on."""
    month = _FIRST_DAY.month - 1 + period - 1
    return date(_FIRST_DAY.year + month // 12, month % 12 + 1, 1)


def generate(
    seed: int,
    residents: int,
    communities: Mapping[str, Sequence[str]] = COMMUNITIES,
    period: int = 1,
    *,
    canaries: Sequence[str] = (),
    defects: bool = True,
) -> Extract:
    """The extract of one period (1, 2, …) of a register that began with ``residents`` people.

    ``communities``: code → its grids; at least two communities. ``canaries``: texts planted as a telephone
    number (when 11 digits), else as a name (without digits) or an address, each in one good row and in one
    that is quarantined."""
    if residents < 60 or len(communities) < 2 or period < 1:
        raise ValueError("at least 60 residents, two communities and period 1")
    register = _settle(np.random.default_rng([seed, 1]), residents, communities)
    changes: dict[str, Any] = {}
    rows_before: dict[int, int] = {}
    for number in range(2, period + 1):
        rows_before = {person.key: place for place, person in enumerate(register.people, 1)}
        changes = _month_later(np.random.default_rng([seed, 2, number]), register, first_day(number))
    day = first_day(period)
    people = [_Person(p.key, dict(p.row)) for p in register.people]
    planter = _Planter(np.random.default_rng([seed, 3, period]), people, communities, day)
    planter.canaries(canaries)
    if defects and period == 1:
        planter.plant(_DEFECTS)
        planter.duplicate(2)
    elif defects:
        planter.plant({kind: _DEFECTS[kind] for kind in _LATER})
    rows_now = {person.key: place for place, person in enumerate(people, 1)}
    planted = planter.defects(rows_now)
    taken_out = {defect["row"] for defect in planted if defect["rules"]}
    accepted = [p.row["community"] for place, p in enumerate(people, 1) if place not in taken_out]
    truth = {
        "seed": seed,
        "period": f"{day:%Y-%m}",
        "rows": len(people),
        # Rows without an error, by community: what a first intake promotes.
        "accepted": {code: accepted.count(code) for code in communities},
        "defects": planted,
        "canaries": planter.told_canaries(rows_now),
        **_told(changes, rows_before, rows_now),
    }
    return Extract(f"{day:%Y-%m}", [p.row for p in people], truth)


def _told(changes: dict[str, Any], before: Mapping[int, int], now: Mapping[int, int]) -> dict[str, Any]:
    """The changes with rows instead of keys. A person who left has a row of the period before only."""
    return {
        "moved": [
            {"row": now[key], "row_before": before[key], "from": source, "to": target}
            for key, source, target in changes.get("moved", ())
        ],
        "born": [{"row": now[key]} for key in changes.get("born", ())],
        "phone_changed": [
            {"row": now[key], "row_before": before[key]} for key in changes.get("phone_changed", ())
        ],
        "left": [{"row_before": before[key], "reason": reason} for key, reason in changes.get("left", ())],
    }


# ---------------------------------------------------------------------------------------- the register


def _settle(rng: np.random.Generator, residents: int, communities: Mapping[str, Sequence[str]]) -> _Register:
    register = _Register(communities)
    codes = list(communities)
    while len(register.people) < residents:
        room = residents - len(register.people)
        _household(rng, register, codes[int(rng.integers(len(codes)))], min(room, int(rng.integers(1, 6))))
    return register


def _household(rng: np.random.Generator, register: _Register, community: str, size: int) -> None:
    """Head, spouse, children, a parent: in this order, as far as the size goes."""
    register.households += 1
    dotted = _DOTTED[int(rng.integers(len(_DOTTED)))] if rng.random() < 0.03 else None
    family = str(rng.choice(list(_FAMILY))) if rng.random() < 0.98 else str(rng.choice(_COMPOUND))
    home = _address(rng, register.communities, community)
    shared = {
        **home,
        "household_number": f"{900000000 + register.households:09d}",
        "registration_kind": "2" if rng.random() < 0.03 else "1",
        "residence_kind": "2" if rng.random() < 0.15 else "1",
        "ethnicity": dotted[1] if dotted else _ethnicity(rng),
        "registered_address": home["residence_address"] if rng.random() < 0.8 else _elsewhere(rng),
    }
    age = int(rng.integers(24, 78))
    head = _person(rng, register, shared, _HEAD, age, family, full=dotted[0] if dotted else None)
    for place in range(1, size):
        if place == 1:
            other = str(rng.choice(list(_FAMILY)))
            _person(
                rng,
                register,
                shared,
                _SPOUSE,
                max(20, age + int(rng.integers(-4, 5))),
                other,
                sex=3 - int(head["sex"]),
            )
        elif place == size - 1 and size >= 4 and age < 60 and rng.random() < 0.4:
            _person(rng, register, shared, _PARENT, age + int(rng.integers(22, 32)), family)
        else:
            child = max(0, age - int(rng.integers(22, 34)))
            sex = int(rng.integers(1, 3))
            _person(
                rng,
                register,
                shared,
                _SON if sex == 1 else _DAUGHTER,
                min(child, 40),
                family,
                sex=sex,
                head=head,
            )


def _person(
    rng: np.random.Generator,
    register: _Register,
    shared: Row,
    relation: str,
    age: int,
    family: str,
    *,
    sex: int | None = None,
    full: str | None = None,
    head: Row | None = None,
) -> Row:
    """One resident, added to the register. ``head``: whose child this is."""
    born = _FIRST_DAY - timedelta(days=int(age * 365.25) + int(rng.integers(1, 360)))
    since = born + timedelta(days=int(rng.random() * (_FIRST_DAY - born).days))
    updated = max(since, _FIRST_DAY - timedelta(days=int(rng.integers(0, 500))))
    sex = sex or int(rng.integers(1, 3))
    row = dict.fromkeys(FIELDS, "")
    row |= shared | {
        "citizen_number": _number(rng, register, born, sex),
        "name": full or family + _given(rng),
        "sex": str(sex),
        "birth_date": born.isoformat(),
        "household_relation": relation,
        "residence_since": since.isoformat(),
        "updated_on": updated.isoformat(),
    }
    years = _years(born, updated)
    if years >= 12 and rng.random() < 0.85:
        row["phone"] = _phone(rng)
    if years >= 18:
        row["marital_status"] = (
            "20" if relation in {_SPOUSE, _PARENT} else str(rng.choice(["10", "20", "40"]))
        )
        row["education"] = str(rng.choice(["20", "30", "40", "60", "70", "80"]))
    if 18 <= years < 60 and rng.random() < 0.6:
        row["occupation"] = str(rng.choice(["20101", "40102", "60203"]))
        row["employer"] = str(rng.choice(_EMPLOYERS))
    if rng.random() < 0.03:
        row["disability_grade"] = str(int(rng.integers(1, 5)))
        row["care_status"] = "20"
    elif years >= 75 and rng.random() < 0.3:
        row["care_status"] = "10"
    _guard(row, head, rng)
    register.add(row)
    return row


def _guard(row: Row, head: Row | None, rng: np.random.Generator) -> None:
    """A guardian below fourteen, none from fourteen on, as of the day of the update."""
    years = _years(date.fromisoformat(row["birth_date"]), date.fromisoformat(row["updated_on"]))
    if years >= 14:
        row["guardian_name"] = row["guardian_phone"] = ""
    elif not row["guardian_name"]:
        row["guardian_name"] = head["name"] if head else str(rng.choice(list(_FAMILY))) + _given(rng)
        row["guardian_phone"] = (head["phone"] if head else "") or _phone(rng)


def _years(born: date, on: date) -> int:
    return on.year - born.year - ((on.month, on.day) < (born.month, born.day))


def _number(rng: np.random.Generator, register: _Register, born: date, sex: int) -> str:
    while True:
        order = int(rng.integers(0, 500)) * 2 + (1 if sex == 1 else 0)
        stem = f"{_PLACE}{born:%Y%m%d}{order:03d}"
        if stem not in register.taken:
            register.taken.add(stem)
            return stem + check_digit(stem)


def _given(rng: np.random.Generator) -> str:
    return "".join(str(c) for c in rng.choice(list(_GIVEN), int(rng.integers(1, 3))))


def _ethnicity(rng: np.random.Generator) -> str:
    return "01" if rng.random() < 0.93 else str(rng.choice(["02", "03", "06", "08", "11", "15"]))


def _phone(rng: np.random.Generator) -> str:
    return f"100{int(rng.integers(0, 10**8)):08d}"


def _elsewhere(rng: np.random.Generator) -> str:
    return f"清禾区{rng.choice(_STREETS)}{int(rng.integers(1, 99))}号"


def _address(rng: np.random.Generator, communities: Mapping[str, Sequence[str]], community: str) -> Row:
    """Community, one of its grids, a building there, and the address written out."""
    grid = str(rng.choice(list(communities[community])))
    street, house = str(rng.choice(_STREETS)), int(rng.integers(1, 60))
    flat = f"{int(rng.integers(1, 7))}0{int(rng.integers(1, 5))}"
    return {
        "community": community,
        "grid": grid,
        "building_code": f"B{house:03d}",
        "residence_address": f"清禾区{NAMES.get(community, community)}{street}{house}号{flat}室",
    }


def _month_later(rng: np.random.Generator, register: _Register, day: date) -> dict[str, Any]:
    """Moves, departures, births and new telephone numbers, in the register; what changed, by key."""
    order = [register.people[int(i)] for i in rng.permutation(len(register.people))]
    share = max(4, len(order) // 50)
    movers, leavers, callers = order[:share], order[share : 2 * share], order[2 * share : 3 * share]
    changes: dict[str, Any] = {"moved": [], "left": [], "born": [], "phone_changed": []}
    codes = list(register.communities)
    for person in movers:
        source = person.row["community"]
        target = str(rng.choice([code for code in codes if code != source]))
        person.row |= _address(rng, register.communities, target)
        person.row["residence_since"] = day.isoformat()
        _update(person.row, day, rng)
        changes["moved"].append((person.key, source, target))
    for person in callers:
        person.row["phone"] = _phone(rng)
        _update(person.row, day, rng)
        changes["phone_changed"].append(person.key)
    gone = {person.key for person in leavers}
    for person in leavers:
        changes["left"].append((person.key, "died" if rng.random() < 0.5 else "moved_out"))
    heads = [p for p in register.people if p.row["household_relation"] == _HEAD and p.key not in gone]
    register.people = [p for p in register.people if p.key not in gone] or register.people
    next_key = max(p.key for p in order) + 1
    for place in range(max(2, share // 2)):
        head = heads[int(rng.integers(len(heads)))].row
        born = day - timedelta(days=int(rng.integers(1, 28)))
        register.people.append(_Person(next_key + place, _newborn(rng, register, head, born, day)))
        changes["born"].append(next_key + place)
    return changes


def _update(row: Row, day: date, rng: np.random.Generator) -> None:
    row["updated_on"] = day.isoformat()
    _guard(row, None, rng)


def _newborn(rng: np.random.Generator, register: _Register, head: Row, born: date, day: date) -> Row:
    sex = int(rng.integers(1, 3))
    family = head["name"][:1]
    row = dict.fromkeys(FIELDS, "")
    row |= {name: head[name] for name in (
        "household_number", "registration_kind", "registered_address", "residence_address", "community",
        "grid", "building_code", "residence_kind", "ethnicity",
    )}  # fmt: skip
    row |= {
        "citizen_number": _number(rng, register, born, sex),
        "name": family + _given(rng),
        "sex": str(sex),
        "birth_date": born.isoformat(),
        "household_relation": _SON if sex == 1 else _DAUGHTER,
        "residence_since": born.isoformat(),
        "updated_on": day.isoformat(),
    }
    _guard(row, head, rng)
    return row


# ----------------------------------------------------------------------------------------- the defects


@dataclass(frozen=True, slots=True)
class _Defect:
    """``spoil`` makes a clean row fail exactly these rules; ``fits`` says which rows it can spoil."""

    rules: tuple[str, ...]
    spoil: Callable[[Row, _Planter], None]
    fits: Callable[[Row], bool] = bool
    warnings: tuple[str, ...] = ()


class _Planter:
    """Plants canaries and defects into a copy of the register's rows, each into a row of its own."""

    def __init__(
        self,
        rng: np.random.Generator,
        people: list[_Person],
        communities: Mapping[str, Sequence[str]],
        day: date,
    ) -> None:
        self.rng, self.people, self.communities, self.day = rng, people, communities, day
        self._canaries: list[tuple[int, dict[str, Any]]] = []
        self._found: list[tuple[int, str, _Defect]] = []
        self._free = [people[int(i)] for i in rng.permutation(len(people))]

    def take(self, fits: Callable[[Row], bool]) -> _Person:
        """The next free row that fits; it is then free no more."""
        for place, person in enumerate(self._free):
            if fits(person.row):
                return self._free.pop(place)
        raise ValueError("too few residents for the defects")

    def canaries(self, texts: Sequence[str]) -> None:
        for place, text in enumerate(texts):
            telephone = len(text) == 11 and text.isascii() and text.isdigit()
            nameable = not any(c.isdigit() or c.isspace() for c in text)
            name = "phone" if telephone else "name" if nameable and place % 2 == 0 else "residence_address"
            for good in (True, False):
                person = self.take(_grown)
                person.row[name] = text
                self._canaries.append((person.key, {"field": name, "text": text, "good": good}))
                if not good:
                    self._spoil(person, "canary", _CANARY)

    def plant(self, kinds: Mapping[str, _Defect]) -> None:
        for kind, defect in kinds.items():
            self._spoil(self.take(defect.fits), kind, defect)

    def duplicate(self, times: int) -> None:
        """Appends copies of good rows with another address: the same number again, after the original."""
        for place in range(times):
            original = self.take(_grown)
            copy = _Person(-1 - place, {**original.row, "residence_address": _elsewhere(self.rng)})
            self.people.append(copy)
            self._found.append((copy.key, "duplicate_citizen_number", _DUPLICATE))

    def _spoil(self, person: _Person, kind: str, defect: _Defect) -> None:
        defect.spoil(person.row, self)
        self._found.append((person.key, kind, defect))

    def told_canaries(self, rows: Mapping[int, int]) -> list[dict[str, Any]]:
        return [{"row": rows[key], **canary} for key, canary in self._canaries]

    def defects(self, rows: Mapping[int, int]) -> list[dict[str, Any]]:
        """The planted defects by row; a row in ``rules`` is quarantined, one with warnings only is not."""
        told = [
            {"row": rows[key], "kind": kind, "rules": list(d.rules), "warnings": list(d.warnings)}
            for key, kind, d in self._found
        ]
        return sorted(told, key=lambda defect: int(str(defect["row"])))


def _grown(row: Row) -> bool:
    """A person who stays an adult whatever a defect does to the birth date."""
    return bool(row["birth_date"]) and "1950-01-01" <= row["birth_date"] <= "1996-01-01"


def _child(row: Row) -> bool:
    return bool(row["guardian_name"])


def _set(name: str, text: str) -> Callable[[Row, _Planter], None]:
    def spoil(row: Row, planter: _Planter) -> None:
        del planter
        row[name] = text

    return spoil


def _leave(row: Row, planter: _Planter) -> None:
    del row, planter  # a duplicate is wrong by being there


def _wrong_check_digit(row: Row, planter: _Planter) -> None:
    del planter
    number = row["citizen_number"]
    row["citizen_number"] = number[:17] + ("1" if number[17] != "1" else "2")


def _old_place(row: Row, planter: _Planter) -> None:
    del planter
    stem = "900101" + row["citizen_number"][6:17]
    row["citizen_number"] = stem + check_digit(stem)


def _other_birth_date(row: Row, planter: _Planter) -> None:
    del planter
    day = int(row["birth_date"][8:])
    row["birth_date"] = f"{row['birth_date'][:8]}{(day % 28) + 1:02d}"


def _short_phone(row: Row, planter: _Planter) -> None:
    row["phone"] = _phone(planter.rng)[:10]


def _other_grid(row: Row, planter: _Planter) -> None:
    other = next(code for code in planter.communities if code != row["community"])
    row["grid"] = planter.communities[other][0]


def _no_such_grid(row: Row, planter: _Planter) -> None:
    del planter
    row["grid"] = row["community"] + "999"


def _before_birth(row: Row, planter: _Planter) -> None:
    del planter
    born = date.fromisoformat(row["birth_date"])
    row["residence_since"] = (born - timedelta(days=400)).isoformat()


_CANARY: Final = _Defect(("sex_code",), _set("sex", "9"), warnings=("citizen_number_sex",))
_DUPLICATE: Final = _Defect(("citizen_number_unique",), _leave)
_DEFECTS: Final[Mapping[str, _Defect]] = {
    "check_digit": _Defect(("citizen_number_checksum",), _wrong_check_digit),
    "birth_date_mismatch": _Defect(("citizen_number_birth_date",), _other_birth_date, _grown),
    "impossible_date": _Defect(
        ("contract_birth_date", "citizen_number_birth_date"), _set("birth_date", "1985-02-30"), _grown
    ),
    "sex_unknown": _Defect(("sex_code",), _set("sex", "9"), warnings=("citizen_number_sex",)),
    "name_empty": _Defect(("contract_name",), _set("name", "")),
    "name_with_digit": _Defect(("name_form",), _set("name", "王2芳")),
    "name_too_long": _Defect(("contract_name",), _set("name", "柳" * 21)),
    "phone_short": _Defect(("phone_form",), _short_phone, _grown),
    "grid_unknown": _Defect(("grid_known",), _no_such_grid),
    "grid_elsewhere": _Defect(("grid_in_community",), _other_grid),
    "community_unknown": _Defect(
        ("contract_community", "community_known", "grid_in_community"), _set("community", "990101001099")
    ),
    "child_without_guardian": _Defect(("guardian_given",), _set("guardian_name", ""), _child),
    "residence_before_birth": _Defect(("residence_after_birth",), _before_birth),
    "care_status_unknown": _Defect(("care_status_code",), _set("care_status", "77")),
    "place_unknown": _Defect((), _old_place, warnings=("citizen_number_place",)),
}
#: In later periods only defects that leave the number as it is: else a known person would seem to have left.
_LATER: Final = ("name_empty", "phone_short", "grid_unknown", "grid_elsewhere", "child_without_guardian")


# ------------------------------------------------------------------------------------------ the writing


def write(extract: Extract, folder: Path, encoding: str) -> tuple[Path, Path]:
    """Writes both files into ``folder``; returns (extract, truth)."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"resident.{extract.period}.csv"
    with path.open("w", encoding=encoding, newline="") as file:
        writer = csv.DictWriter(file, FIELDS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(extract.rows)
    truth = folder / f"resident.{extract.period}.truth.json"
    truth.write_text(json.dumps(extract.truth, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    return path, truth


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(
        description="Make the demo's extract of a fictional residents' register."
    )
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--residents", type=int, default=600, help="people in period 1")
    parser.add_argument("--period", type=int, default=1)
    parser.add_argument("--encoding", choices=("utf-8", "gb18030"), default="utf-8")
    parser.add_argument("--canary", action="append", default=[], help="a text to plant; may be repeated")
    parser.add_argument("--clean", action="store_true", help="plant no defects")
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args(arguments)
    extract = generate(
        given.seed, given.residents, period=given.period, canaries=given.canary, defects=not given.clean
    )
    for path in write(extract, given.out, given.encoding):
        sys.stdout.write(f"{path}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
