"""Counting people without pointing at any: what of a question may be told, beside all that this reader was told before.

Rules
    1. Nothing is told of fewer people than the dataset's minimum group; none is fewer, too.
    2. The same question again is answered as before until its answer differs by a whole group: what changed between
       two months is a few people.
    3. A set of people that differs by less than a group from one told of before, under another name, is not told.
    4. Audit (Chin and Özsoyoğlu 1982, the audit expert): the sets told of cut the people into atoms; what the figures
       determine is the row space of their incidence matrix. A set is not told when that space would then determine a
       group of fewer. Where every atom is a whole group, no combination can.

The same four hold between the cells of one question and its total, which is complementary suppression. A set that is
not told changes nothing, so that asking for it again tells no more. Every reader is judged alone: who lends another his
figures lends him what both were told.

Pure: no I/O, no clock. Arithmetic is exact, modulo a prime.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray
from pyroaring import BitMap

from huanshu.canonical import canonical
from huanshu.catalog.nouns import Contract, Home, Rung
from huanshu.errors import DeniedError, Text
from huanshu.keeper.establish import Asker

if TYPE_CHECKING:
    from huanshu.keeper.admission import Admission, Claim

COUNTED: Final = "access.count.authorised"
_PRIME: Final = (1 << 31) - 1
#: Beyond so many figures in one audit nothing more is told: it would take too long to be sure.
_MOST: Final = 400
_ZONES: Final = 300


@dataclass(frozen=True, slots=True)
class Told:
    """One figure that a reader has: of which set, by the digest of what was asked."""

    key: str
    figure: int
    members: BitMap = field(repr=False)

    @staticmethod
    def pack(told: Iterable[Told]) -> bytes:
        rows = [[t.key, t.figure, base64.b64encode(t.members.serialize()).decode()] for t in told]
        return json.dumps(rows).encode()

    @staticmethod
    def unpack(raw: bytes) -> list[Told]:
        return [
            Told(str(key), int(figure), BitMap.deserialize(base64.b64decode(members)))
            for key, figure, members in json.loads(raw)
        ]


@dataclass(frozen=True, slots=True)
class Question:
    """How many, where …, by …: the people of its total, and of each value of ``by``."""

    by: str | None
    where: Mapping[str, str]
    total: BitMap = field(repr=False)
    cells: Sequence[tuple[str, BitMap]] = field(repr=False)

    def sets(self, dataset: str, homes: Sequence[str]) -> list[tuple[str, BitMap]]:
        """Each set under the digest of what it means, so that one set has one name whoever broke it down how."""
        if self.by in self.where or (self.by is None and self.cells):
            raise ValueError
        found = [(_key(dataset, homes, self.where), self.total)]
        for value, members in self.cells:
            found.append((_key(dataset, homes, {**self.where, str(self.by): value}), members))
        return found


def _key(dataset: str, homes: Sequence[str], where: Mapping[str, str]) -> str:
    return sha256(canonical([dataset, list(homes), dict(where)])).hexdigest()


class Reader:
    """What one person was told of one dataset, in order."""

    def __init__(self, least: int, told: Iterable[Told] = ()) -> None:
        self._least = least
        self._told: dict[str, Told] = {}
        self._audit = _Audit(least)
        for each in told:
            self._remember(each)

    def ask(self, questions: Sequence[tuple[str, BitMap]]) -> tuple[list[int | None], list[Told]]:
        """Each set's figure, None where it is withheld; and what is told for the first time, to be kept."""
        figures: list[int | None] = []
        fresh: list[Told] = []
        for key, members in questions:
            known = self._told.get(key)
            if known is not None and len(known.members ^ members) < self._least:
                figures.append(known.figure)
            elif self._may_tell(key, members):
                fresh.append(Told(key, len(members), members))
                self._remember(fresh[-1])
                figures.append(len(members))
            else:
                figures.append(None)
        return figures, fresh

    def _may_tell(self, key: str, members: BitMap) -> bool:
        if len(members) < self._least:
            return False
        others = (told for told in self._told.values() if told.key != key)
        if any(len(told.members ^ members) < self._least for told in others):
            return False
        return self._audit.allows(members)

    def _remember(self, told: Told) -> None:
        self._told[told.key] = told
        self._audit.add(told.members)


class _Audit:
    """The atoms of all sets told of, and which set holds which atom."""

    def __init__(self, least: int) -> None:
        self._least = least
        self._atoms: list[BitMap] = []
        self._rows: NDArray[np.int64] = np.empty((0, 0), np.int64)

    def add(self, members: BitMap) -> None:
        self._atoms, self._rows = self._cut(members)

    def allows(self, members: BitMap) -> bool:
        """Whether no group of fewer is determined with this set told as well."""
        atoms, rows = self._cut(members)
        sizes = np.array([len(atom) for atom in atoms], np.int64)
        small = sizes < self._least
        if not small.any():
            return True
        if len(rows) > _MOST:
            return False
        order = np.argsort(
            small, kind="stable"
        )  # whole groups first: what is left then is of small atoms alone
        reduced, pivots = _reduced(rows[:, order])
        first_small = int((~small).sum())
        sizes = sizes[order]
        return not any(
            pivot >= first_small and int(sizes[row != 0].sum()) < self._least
            for row, pivot in zip(reduced, pivots, strict=True)
        )

    def _cut(self, members: BitMap) -> tuple[list[BitMap], NDArray[np.int64]]:
        """Atoms and rows with one more set; every atom lies in it or beside it."""
        atoms: list[BitMap] = []
        columns: list[NDArray[np.int64]] = []
        rest = members.copy()
        for number, atom in enumerate(self._atoms):
            inside = atom & members
            rest -= inside
            for part, there in ((inside, 1), (atom - inside, 0)):
                if part:
                    atoms.append(part)
                    columns.append(np.append(self._rows[:, number], there))
        if rest:
            atoms.append(rest)
            columns.append(np.append(np.zeros(len(self._rows), np.int64), 1))
        rows = np.stack(columns, axis=1) if columns else np.empty((len(self._rows) + 1, 0), np.int64)
        return atoms, rows


def _reduced(rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], list[int]]:
    """Reduced row echelon form modulo the prime, without empty rows, and each row's pivot column."""
    left, pivots = rows % _PRIME, list[int]()
    for column in range(left.shape[1]):
        at = len(pivots)
        if at == len(left):
            break
        found = np.flatnonzero(left[at:, column])
        if not len(found):
            continue
        if found[0]:
            left[[at, at + found[0]]] = left[[at + found[0], at]]
        left[at] = left[at] * pow(int(left[at, column]), -1, _PRIME) % _PRIME
        others = np.flatnonzero(left[:, column])
        others = others[others != at]
        left[others] = (left[others] - left[others, column][:, None] * left[at]) % _PRIME
        pivots.append(column)
    return left[: len(pivots)], pivots


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


def fields_of(contract: Contract, by: str | None, where: Iterable[str]) -> dict[str, Rung]:
    """Every field that a question touches, in whatever clause: each is asked for. DeniedError for a sealed one."""
    names = sorted({contract.home_field, *where, *([by] if by else [])})
    known = {each.name: each for each in contract.fields}
    for name in names:
        if name not in known:
            raise _refused("access.field.unknown", "no such field is offered", "没有提供该字段")
        if known[name].sealed:
            raise _refused(
                "access.count.sealed",
                f"{name} is sealed: counts go over plain fields",
                f"密封字段 {name} 不能用于统计",
            )
    return dict.fromkeys(names, Rung.COUNT)


def _counted(admission: Admission, asker: Asker, claim: Claim) -> dict[str, Any]:
    """Every home community and every field is asked of the rules; one that is not granted refuses the question."""
    admission.require_post(asker, claim["post"])
    contract, detail = admission.home.contracts[claim["dataset"]], claim["detail"]
    zones = sorted({str(zone) for zone in detail["zones"]})
    homes = homes_of(admission.home, zones)
    if not homes or len(zones) > _ZONES:
        raise ValueError
    fields = {name: Rung.of(word) for name, word in claim["fields"].items()}
    if fields != fields_of(contract, None, fields):
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
        "detail": {
            "zones": zones,
            **{name: int(detail[name]) for name in ("told", "withheld", "minimum")},
            "kept": str(detail["kept"]),
            "until": ends.isoformat(),
        },
    }


def _refused(code: str, en: str, zh: str) -> DeniedError:
    return DeniedError(code, Text(en, zh))


RULES: Final[Mapping[str, Callable[[Admission, Asker, Claim], dict[str, Any]]]] = {COUNTED: _counted}
