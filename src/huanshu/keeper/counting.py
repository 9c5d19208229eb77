"""Counting people without pointing at any: what of a question may be told, beside all that this reader was told before.

Rules
    1. Nothing is told of fewer people than the dataset's minimum group; none is fewer, too.
    2. The same question again is answered as before until its answer differs by a whole group: what changed between
       two months is a few people.
    3. A set of people that differs by less than a group from one told of before, under another name, is not told.
    4. Audit (``determined``): a set is not told when the figures together would say something of fewer people.

The same four hold between the cells of one question and its total, which is complementary suppression. A set that is
not told changes nothing, so that asking for it again tells no more. Every reader is judged alone: who lends another his
figures lends him what both were told. He is judged over everything that he was told of subjects, whatever the dataset,
by the largest minimum among the datasets concerned: subjects have the same numbers everywhere.

Over a sealed field a question has a *frame*: the people whose value was looked at, and which values count. Who may be
in a frame is no secret, so these three hold besides:
    5. Who is left in the frame is no group of fewer either: otherwise nearly everybody there has the value.
    6. The frames are figures that the reader has anyway; the audit takes them as known.
    7. A second audit is over frames alone, whatever the answers: of whom one field was asked, and for which values. So
       not even that somebody has *not* the value is told by a sum that comes out.

Pure: no I/O, no clock. Arithmetic is exact, modulo a prime.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np
from pyroaring import BitMap

from huanshu.canonical import canonical
from huanshu.catalog.nouns import Contract, Home, Rung
from huanshu.errors import DeniedError, Text
from huanshu.keeper.determined import Atoms, Matrix, Rows, confine_nothing, confines
from huanshu.keeper.establish import Asker

if TYPE_CHECKING:
    from huanshu.keeper.admission import Admission, Claim

#: The keeper looks at a sealed field of many, to count them.
COLUMN: Final = "access.column.authorised"
COUNTED: Final = "access.count.authorised"
_ZONES: Final = 300
_CELLS: Final = 600


@dataclass(frozen=True, slots=True)
class Frame:
    """Over whom a sealed field was asked, and for which of its values. Values are points: days, or codes."""

    name: str
    people: BitMap = field(repr=False)
    values: BitMap = field(repr=False)
    #: All values that the field may have.
    every: BitMap = field(repr=False)


@dataclass(frozen=True, slots=True)
class Asked:
    """One set that a question asks the number of, under the digest of what it means."""

    key: str
    members: BitMap = field(repr=False)
    frame: Frame | None = None


@dataclass(frozen=True, slots=True)
class Told:
    """One figure that a reader has; None of a frame that came along in a question of which something was told."""

    asked: Asked
    figure: int | None

    @staticmethod
    def pack(told: Iterable[Told]) -> bytes:
        return json.dumps([t._row() for t in told]).encode()

    @classmethod
    def unpack(cls, raw: bytes) -> list[Self]:
        return [cls._of(*row) for row in json.loads(raw)]

    def _row(self) -> list[Any]:
        frame = self.asked.frame
        sets = [self.asked.members] if frame is None else [self.asked.members, *_sets(frame)]
        packed = [base64.b64encode(each.serialize()).decode() for each in sets]
        return [self.asked.key, self.figure, *packed, *([] if frame is None else [frame.name])]

    @classmethod
    def _of(cls, key: str, figure: int | None, members: str, *of_frame: str) -> Self:
        frame = Frame(of_frame[-1], *map(_bitmap, of_frame[:-1])) if of_frame else None
        return cls(Asked(key, _bitmap(members), frame), figure)


def _sets(frame: Frame) -> list[BitMap]:
    return [frame.people, frame.values, frame.every]


def _bitmap(packed: str) -> BitMap:
    return BitMap.deserialize(base64.b64decode(packed))


@dataclass(frozen=True, slots=True)
class Question:
    """How many, where …, by …: the people of its total, and of each value of ``by``."""

    by: str | None
    where: Mapping[str, str]
    total: BitMap = field(repr=False)
    cells: Sequence[tuple[str, BitMap]] = field(repr=False)

    def sets(self, dataset: str, homes: Sequence[str]) -> list[Asked]:
        """Each set under the digest of what it means, so that one set has one name whoever broke it down how."""
        if self.by in self.where or (self.by is None and self.cells):
            raise ValueError
        found = [Asked(key_of(dataset, homes, self.where), self.total)]
        for value, members in self.cells:
            found.append(Asked(key_of(dataset, homes, {**self.where, str(self.by): value}), members))
        return found


def key_of(dataset: str, homes: Sequence[str], where: Mapping[str, str]) -> str:
    """The digest of what a set means."""
    return sha256(canonical([dataset, list(homes), dict(where)])).hexdigest()


class Reader:
    """What one person was told of subjects, in order."""

    def __init__(self) -> None:
        self._least = 0
        self._told: dict[str, Told] = {}
        self._people = Atoms()
        self._frames: dict[str, _Frames] = {}

    def remember(self, least: int, told: Iterable[Told]) -> None:
        """Take in what was told before, of a dataset with this minimum group."""
        self._least = max(self._least, least)
        for each in told:
            self._keep(each)

    def ask(self, least: int, asked: Sequence[Asked]) -> tuple[list[int | None], list[Told]]:
        """Each set's figure, None where it is withheld; and what is told for the first time, to be kept."""
        self._least = max(self._least, least)
        before = self._people
        for each in asked:
            self._frame(each)
        known = {each.key: self._told[each.key].figure for each in asked if self._as_before(each)}
        fresh = self._tell([each for each in asked if each.key not in known])
        figures = known | {each.asked.key: each.figure for each in fresh}
        if not fresh:
            self._people = before
            return [figures.get(each.key) for each in asked], []
        frames = [
            Told(Asked(each.key, BitMap(), each.frame), None)
            for each in asked
            if each.frame is not None and each.key not in figures
        ]
        return [figures.get(each.key) for each in asked], [*fresh, *frames]

    def _as_before(self, asked: Asked) -> bool:
        told = self._told.get(asked.key)
        return told is not None and len(told.asked.members ^ asked.members) < self._least

    def _tell(self, asked: Sequence[Asked]) -> list[Told]:
        """What of these is told, one after the other. All at once where that is certain at a glance; otherwise by
        halves, with the same outcome: more figures never make a figure tellable."""
        told = list(self._told.values())
        asked = [each for each in asked if self._whole(each) and not _close(each, told, self._least)]
        if not asked:
            return []
        if len(asked) > 1 and not self._all_tellable(asked):
            half = len(asked) // 2
            first = self._tell(asked[:half])
            return [*first, *self._tell(asked[half:])]
        if len(asked) == 1 and not self._tellable(asked[0]):
            return []
        fresh = [Told(each, len(each.members)) for each in asked]
        for one in fresh:
            self._keep(one)
        return fresh

    def _whole(self, asked: Asked) -> bool:
        """Neither those who have the value nor those who are left are few."""
        left = self._least if asked.frame is None else len(asked.frame.people - asked.members)
        return len(asked.members) >= self._least and left >= self._least

    def _tellable(self, asked: Asked) -> bool:
        atoms, frame = self._people.with_set(asked.members), asked.frame
        columns = np.arange(len(atoms.members))
        if confines(atoms.rows[:-1], atoms.rows[-1], columns, atoms.sizes, self._least):
            return False
        return frame is None or not self._over(frame).with_frame(frame).confine(self._least)

    def _all_tellable(self, asked: Sequence[Asked]) -> bool:
        if any(_close(each, [Told(a, None) for a in asked[:n]], self._least) for n, each in enumerate(asked)):
            return False
        atoms, frames = self._people, dict(self._frames)
        for each in asked:
            atoms = atoms.with_set(each.members)
            if (frame := each.frame) is not None:
                frames[frame.name] = frames.get(frame.name, _Frames()).with_frame(frame)
        new, columns = len(asked), np.arange(len(atoms.members))
        if not confine_nothing(atoms.rows[:-new], atoms.rows[-new:], columns, atoms.sizes, self._least):
            return False
        framed = {each.frame.name for each in asked if each.frame is not None}
        return all(
            frames[name].confine_nothing(
                self._least, sum(a.frame is not None and a.frame.name == name for a in asked)
            )
            for name in framed
        )

    def _keep(self, told: Told) -> None:
        self._frame(told.asked)
        if told.figure is None:
            return
        self._told[told.asked.key] = told
        self._people = self._people.with_set(told.asked.members)
        if (frame := told.asked.frame) is not None:
            self._frames[frame.name] = self._over(frame).with_frame(frame)

    def _frame(self, asked: Asked) -> None:
        """The people of a frame are counted already, by whoever reads what is plain."""
        if asked.frame is not None:
            self._people = self._people.with_known(asked.frame.people)

    def _over(self, frame: Frame) -> _Frames:
        return self._frames.get(frame.name) or _Frames()


def _close(asked: Asked, told: Iterable[Told], least: int) -> bool:
    """Whether one of these, under another name, differs by less than a group."""
    size = len(asked.members)
    return any(
        each.asked.key != asked.key
        and abs(len(each.asked.members) - size) < least
        and len(each.asked.members ^ asked.members) < least
        for each in told
    )


class _Frames:
    """Of whom one field was asked, and for which values: each figure a rectangle of people and values.

    That everybody has one value is known; so a row says what it says beyond that, value by value against the first."""

    def __init__(self) -> None:
        self._people, self._values = Atoms(), Atoms()
        self._places: list[int] = []
        self._every: list[BitMap] = []

    def with_frame(self, frame: Frame) -> _Frames:
        """The same with one more figure, the last."""
        more, values = _Frames(), self._values
        more._people = self._people.with_set(frame.people)
        more._every = self._every
        if frame.every not in self._every:
            more._every = [*self._every, frame.every]
            values = values.with_set(frame.every)
        more._values = values.with_set(frame.values)
        more._places = [*self._places, len(values.rows)]
        return more

    def confine(self, least: int) -> bool:
        """Whether the last figure, with the others, says something of fewer people."""
        rows, atom_of = self._rectangles()
        return confines(rows[:-1], rows[-1], atom_of, self._people.sizes, least)

    def confine_nothing(self, least: int, new: int) -> bool:
        """Whether it is certain at a glance that the last so many say nothing of fewer people."""
        rows, atom_of = self._rectangles()
        return confine_nothing(rows[:-new], rows[-new:], atom_of, self._people.sizes, least)

    def _rectangles(self) -> tuple[Rows, Matrix]:
        values = self._values.rows[self._places]
        beyond = values[:, 1:] - values[:, :1]
        rows = self._people.rows[:, :, None] * beyond[:, None, :]
        atom_of = np.repeat(np.arange(len(self._people.members)), beyond.shape[1])
        return rows.reshape(len(rows), -1), atom_of


# -- admission ----------------------------------------------------------------------------------------------


def homes_of(home: Home, zones: Iterable[str]) -> list[str]:
    """The home communities of zones, each once, ascending."""
    tree, found = home.policies.domains, set[str]()
    for zone in zones:
        if zone not in tree or tree[zone].kind not in ("community", "subdistrict", "district"):
            raise _refused(
                "access.count.zone", "a zone is a community or what lies above", "统计范围须为社区或其上级"
            )
        found |= {zone} if tree[zone].kind == "community" else {d.code for d in tree.below(zone, "community")}
    return sorted(found)


def fields_of(
    contract: Contract, by: str | None, where: Iterable[str], *, sealed: bool = False
) -> dict[str, Rung]:
    """Every field that a question touches, in whatever clause: each is asked for. DeniedError for a sealed one, unless
    it is the keeper who looks at it."""
    names = sorted({contract.home_field, *where, *([by] if by else [])})
    for name in names:
        if name not in contract.by_name:
            raise _refused("access.field.unknown", "no such field is offered", "没有提供该字段")
        if contract.field(name).sealed and not sealed:
            raise _refused(
                "access.count.sealed",
                f"{name} is sealed: whom it counts is not the asker's to say",
                f"{name} 为密封字段，其人数不能由申请方提供",
            )
    return dict.fromkeys(names, Rung.COUNT)


def _counted(admission: Admission, asker: Asker, claim: Claim) -> dict[str, Any]:
    said = claim["detail"]
    opened = {} if "opened" not in said else {"opened": int(said["opened"])}
    told = {name: int(said[name]) for name in ("told", "withheld", "minimum")}
    return _asked_everywhere(admission, asker, claim, {**told, "kept": str(said["kept"]), **opened})


def _column(admission: Admission, asker: Asker, claim: Claim) -> dict[str, Any]:
    return _asked_everywhere(admission, asker, claim, {"values": int(claim["detail"]["values"])})


def _asked_everywhere(
    admission: Admission, asker: Asker, claim: Claim, told: Mapping[str, Any]
) -> dict[str, Any]:
    """Every home community and every field is asked of the rules; one that is not granted refuses the question."""
    admission.require_post(asker, claim["post"])
    contract, detail = admission.home.contracts[claim["dataset"]], claim["detail"]
    zones = sorted({str(zone) for zone in detail["zones"]})
    homes = homes_of(admission.home, zones)
    if not homes or len(zones) > _ZONES:
        raise ValueError
    fields = {name: Rung.of(word) for name, word in claim["fields"].items()}
    if fields != fields_of(contract, None, fields, sealed=bool(told.keys() & {"opened", "values"})):
        raise ValueError
    ends = admission.at + timedelta(seconds=admission.home.policies.keys.lend_max_seconds)
    for code in homes:
        plan = admission.plan(claim["post"], code, contract.dataset, fields, claim["purpose"])
        ends = min(ends, plan.valid_until)
    return {
        **admission.in_person(asker),
        "post": claim["post"],
        "domain": homes[0],
        "dataset": contract.dataset,
        "purpose": claim["purpose"],
        "fields": {name: rung.word for name, rung in fields.items()},
        "how": "counted",
        "contract": contract.digest,
        "detail": {"zones": zones, **told, "until": ends.isoformat()},
    }


def require_few_cells(cells: int) -> None:
    """DeniedError for a breakdown into more than can be judged while others wait."""
    if cells > _CELLS:
        raise DeniedError(
            "access.count.cells",
            Text(
                f"a breakdown into {cells} groups, more than {_CELLS}",
                f"分组多达 {cells} 个，超过 {_CELLS} 个",
            ),
            remedy=Text("ask for smaller zones one after the other", "请按较小范围分次统计"),
        )


def _refused(code: str, en: str, zh: str) -> DeniedError:
    return DeniedError(code, Text(en, zh))


RULES: Final[Mapping[str, Callable[[Admission, Asker, Claim], dict[str, Any]]]] = {
    COLUMN: _column,
    COUNTED: _counted,
}
