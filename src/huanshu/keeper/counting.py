"""Counting people without pointing at any: what of a question may be told, beside all that this reader was told before.

Rules
    1. Nothing is told of fewer people than the dataset's minimum group; none is fewer, too.
    2. The same question again is answered as before until its answer differs by a whole group: what changed between
       two months is a few people.
    3. A set of people that differs by less than a group from one told of before, under another name, is not told.
    4. Audit (``determined``): a set is not told when the figures together would say something of fewer people.

The same four hold between the cells of one question and its total, which is complementary suppression. A plain set
that is not told changes nothing, so that asking for it again tells no more. Every reader is judged alone: who lends
another his figures lends him what both were told. He is judged over everything that he was told of subjects, whatever
the dataset, by the largest minimum among the datasets concerned: subjects have the same numbers everywhere.

Over a sealed field a question has a *frame*: the people whose value was looked at, and which values count. Who may be
in a frame is no secret, so these hold besides:
    5. Who is left in the frame is no group of fewer either: otherwise nearly everybody there has the value.
    6. The frames are figures that the reader has anyway; the audit takes them as known.
    7. A second audit is over frames alone, whatever the answers, and before any is looked at: of whom one field was
       asked, and for which values. So not even that somebody has *not* the value is told by a sum that comes out. What
       passes it stays there though its figure be withheld: nine who have it, and ten with one person more, tell of him.
    8. Plain sets are judged beside plain ones only: whoever sends them chooses their members, and would learn by
       refusals how near he is to those who have the value.

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
from huanshu.keeper.determined import (
    LARGEST,
    LOOK,
    Atoms,
    Effort,
    Matrix,
    Rows,
    confine_nothing,
    confines,
    modulo,
)
from huanshu.keeper.establish import Asker

if TYPE_CHECKING:
    from huanshu.keeper.admission import Admission, Claim

#: The keeper looks at a sealed field of many, to count them.
COLUMN: Final = "access.column.authorised"
COUNTED: Final = "access.count.authorised"
#: In place of a figure: asked of people of whom it may be asked, and withheld for what came out. No figure is nought.
WITHHELD: Final = 0
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
    """One figure that a reader has; over a sealed field also ``WITHHELD``, and None of people who are known alone."""

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
        self._plain, self._sealed = Atoms(), Atoms()
        self._frames: dict[tuple[str, bytes], Frames] = {}

    def remember(self, least: int, told: Iterable[Told]) -> None:
        """Take in what was told before, of a dataset with this minimum group."""
        self._least = max(self._least, least)
        for each in told:
            self._keep(each)

    def ask(self, least: int, asked: Sequence[Asked]) -> tuple[list[int | None], list[Told]]:
        """Each set's figure, None where it is withheld; and what is new of what this reader knows, to be kept."""
        self._least, effort = max(self._least, least), Effort()
        known = {each.key: self._told[each.key].figure for each in asked if self._as_before(each)}
        seen = {each.key for each in asked if each.frame is not None and self._know(each.frame)}
        new = [each for each in asked if each.key not in known]
        refused, looked = self._look([each for each in new if each.frame is not None], effort)
        fresh = self._tell([each for each in new if each.key not in refused], effort)
        figures = known | {each.asked.key: each.figure for each in fresh}
        frames = [
            Told(Asked(each.key, BitMap(), each.frame), WITHHELD if each.key in looked else None)
            for each in asked
            if each.key in seen | looked and (each.key in known or each.key not in figures)
        ]
        return [figures.get(each.key) for each in asked], [*fresh, *frames]

    def _as_before(self, asked: Asked) -> bool:
        told = self._told.get(asked.key)
        return told is not None and len(told.asked.members ^ asked.members) < self._least

    # Of whom it is asked, before any answer is looked at.

    def _look(self, asked: Sequence[Asked], effort: Effort) -> tuple[set[str], set[str]]:
        """Which of these are refused by whom they ask of, and which are kept from now on. Whatever comes of these: that
        they are fewer than a group says something too."""
        few = {each.key for each in asked if each.frame is not None and len(each.frame.people) < self._least}
        if few:
            refused, looked = self._look([each for each in asked if each.key not in few], effort)
            return few | refused, looked
        new = [each for each in asked if not self._looked(each)]
        if not new:
            return set(), set()
        if len(new) > 1 and not self._all_lookable(new, effort):
            half = len(new) // 2
            first, second = self._look(new[:half], effort), self._look(new[half:], effort)
            return first[0] | second[0], first[1] | second[1]
        if len(new) == 1 and not self._lookable(new[0], effort):
            return {new[0].key}, set()
        for each in new:
            self._keep_frame(each.frame)
        return set(), {each.key for each in new}

    def _looked(self, asked: Asked) -> bool:
        frame = asked.frame
        return frame is not None and self._over(_facts(frame)[0]).has(frame)

    def _lookable(self, asked: Asked, effort: Effort) -> bool:
        for fact in () if asked.frame is None else _facts(asked.frame):
            if asked.frame is None or not self._over(fact).bearable(effort):
                return False
            frames = self._over(fact).with_frame(asked.frame)
            if frames.confine(self._least, effort):
                return False
            if not frames.mixed:
                return True  # the other would be the same
        return True

    def _all_lookable(self, asked: Sequence[Asked], effort: Effort) -> bool:
        added: dict[tuple[str, bytes], tuple[Frames, int]] = {}
        for each in asked:
            for fact in () if each.frame is None else _facts(each.frame):
                frames, new = added.get(fact, (self._over(fact), 0))
                if each.frame is None or not frames.bearable(effort):
                    return False
                added[fact] = frames.with_frame(each.frame), new + 1
        alone = {name for (name, every), (frames, _) in added.items() if not every and not frames.mixed}
        return all(
            frames.confine_nothing(self._least, new, effort)
            for (name, every), (frames, new) in added.items()
            if not every or name not in alone
        )

    # What the answers say.

    def _tell(self, asked: Sequence[Asked], effort: Effort) -> list[Told]:
        """What of these is told, one after the other. All at once where that is certain at a glance; otherwise by
        halves, with the same outcome: more figures never make a figure tellable."""
        told = list(self._told.values())
        if not effort.allows(len(asked) * (len(told) + len(asked)) * LOOK):
            return []
        asked = [each for each in asked if self._whole(each) and not _close(each, told, self._least)]
        if not asked:
            return []
        if len(asked) > 1 and not self._all_tellable(asked, effort):
            half = len(asked) // 2
            first = self._tell(asked[:half], effort)
            return [*first, *self._tell(asked[half:], effort)]
        if len(asked) == 1 and not self._tellable(asked[0], effort):
            return []
        fresh = [Told(each, len(each.members)) for each in asked]
        for one in fresh:
            self._keep(one)
        return fresh

    def _whole(self, asked: Asked) -> bool:
        """Neither those who have the value nor those who are left are few."""
        left = self._least if asked.frame is None else len(asked.frame.people - asked.members)
        return len(asked.members) >= self._least and left >= self._least

    def _tellable(self, asked: Asked, effort: Effort) -> bool:
        atoms = self._beside(asked)
        if not atoms.bearable(effort):
            return False
        atoms = atoms.with_set(asked.members)
        columns = np.arange(len(atoms.members))
        return not confines(atoms.rows[:-1], atoms.rows[-1], columns, atoms.sizes, self._least, effort)

    def _all_tellable(self, asked: Sequence[Asked], effort: Effort) -> bool:
        if any(_close(each, [Told(a, None) for a in asked[:n]], self._least) for n, each in enumerate(asked)):
            return False
        plain = [each for each in asked if each.frame is None]
        sealed = [each for each in asked if each.frame is not None]
        return all(self._certain(each, effort) for each in (plain, sealed) if each)

    def _certain(self, asked: Sequence[Asked], effort: Effort) -> bool:
        atoms, new = self._beside(asked[0]), len(asked)
        for each in asked:
            if not atoms.bearable(effort):
                return False
            atoms = atoms.with_set(each.members)
        columns = np.arange(len(atoms.members))
        return confine_nothing(
            atoms.rows[:-new], atoms.rows[-new:], columns, atoms.sizes, self._least, effort
        )

    def _beside(self, asked: Asked) -> Atoms:
        """What it is judged beside. Who sends plain sets chooses them: were they judged beside those who have a sealed
        value, every refusal would tell how near they are to them."""
        return self._plain if asked.frame is None else self._sealed

    def _keep(self, told: Told) -> None:
        frame, members = told.asked.frame, told.asked.members
        if frame is not None:
            self._know(frame)
            if told.figure is not None and not self._looked(told.asked):
                self._keep_frame(frame)
        if not told.figure:
            return
        self._told[told.asked.key] = told
        if frame is None:
            self._plain = self._plain.with_set(members)
        else:
            self._sealed = self._sealed.with_set(members)

    def _know(self, frame: Frame) -> bool:
        """The people of a frame are counted already, by whoever reads what is plain. Whether that is new."""
        before = self._sealed
        self._sealed = before.with_known(frame.people)
        return self._sealed is not before

    def _keep_frame(self, frame: Frame | None) -> None:
        for fact in () if frame is None else _facts(frame):
            if frame is not None:
                self._frames[fact] = self._over(fact).with_frame(frame)

    def _over(self, fact: tuple[str, bytes]) -> Frames:
        return self._frames.get(fact) or Frames()


def _facts(frame: Frame) -> list[tuple[str, bytes]]:
    """What a frame is audited beside: all frames of the field, and those where it may have just these values. For that
    somebody has one of these values is certain there, and an assumption elsewhere, under which a figure may say nothing
    new that does."""
    return [(frame.name, b""), (frame.name, frame.every.serialize())]


def _close(asked: Asked, told: Iterable[Told], least: int) -> bool:
    """Whether one of these, under another name, differs by less than a group."""
    size = len(asked.members)
    return any(
        each.asked.key != asked.key
        and (each.asked.frame is None) == (asked.frame is None)
        and abs(len(each.asked.members) - size) < least
        and len(each.asked.members ^ asked.members) < least
        for each in told
    )


class Frames:
    """Of whom one field was asked, and for which values: each figure a rectangle of people and values.

    That everybody has one of the values that he may have is known; so a row says what it says beyond that. Lists of
    codes change, and datasets differ: the values that somebody may have are those of the frames that he was in."""

    def __init__(self) -> None:
        self._people, self._values = Atoms(), Atoms()
        self._places: list[int] = []
        self._frames: list[Frame] = []
        #: What values somebody may have, where they lie in ``_values``, and whom that is known of.
        self._every: list[tuple[BitMap, int, BitMap]] = []

    def has(self, frame: Frame) -> bool:
        """Whether just this was asked."""
        return frame in self._frames

    def with_frame(self, frame: Frame) -> Frames:
        """The same with one more figure, the last."""
        more, values = Frames(), self._values
        more._frames = [*self._frames, frame]
        more._people = self._people.with_set(frame.people)
        more._every = [
            (every, place, whom | frame.people if every == frame.every else whom)
            for every, place, whom in self._every
        ]
        if all(every != frame.every for every, _, _ in self._every):
            more._every.append((frame.every, len(values.rows), frame.people))
            values = values.with_set(frame.every)
        more._values = values.with_set(frame.values)
        more._places = [*self._places, len(values.rows)]
        return more

    @property
    def mixed(self) -> bool:
        """Whether not everybody here may have the same values."""
        return len(self._every) > 1

    def bearable(self, effort: Effort) -> bool:
        """Whether one figure more may be judged beside these."""
        size = self._people.rows.size * (len(self._values.members) + 2)
        return size <= LARGEST and self._people.bearable(effort) and effort.allows(size // 8)

    def confine(self, least: int, effort: Effort) -> bool:
        """Whether the last figure, with the others, says something of fewer people."""
        rows, atom_of = self._rectangles()
        return confines(rows[:-1], rows[-1], atom_of, self._people.sizes, least, effort)

    def confine_nothing(self, least: int, new: int, effort: Effort) -> bool:
        """Whether it is certain at a glance that the last so many say nothing of fewer people."""
        rows, atom_of = self._rectangles()
        return confine_nothing(rows[:-new], rows[-new:], atom_of, self._people.sizes, least, effort)

    def _rectangles(self) -> tuple[Rows, Matrix]:
        values, people = self._values.rows[self._places], self._people
        known = [tuple(p for _, p, whom in self._every if atom.intersect(whom)) for atom in people.members]
        parts, atom_of = [np.empty((len(values), 0), np.int8)], [np.empty(0, np.int64)]
        for places in sorted(set(known)):
            beyond = modulo(values, self._values.rows[list(places)])
            atoms = np.flatnonzero([each == places for each in known])
            parts.append((people.rows[:, atoms, None] * beyond[:, None, :]).reshape(len(values), -1))
            atom_of.append(np.repeat(atoms, beyond.shape[1]))
        return np.hstack(parts), np.concatenate(atom_of)


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
