"""What figures determine: the audit of counts (Chin and Özsoyoğlu 1982; simulatable, Kenthapadi, Mishra, Nissim 2005).

Rules
    Sets told of cut the people into atoms: two people are of one atom when every set holds both or neither. A figure is
    a row over the atoms, and what all figures determine is the space of the rows. A figure is not told when some
    combination of the rows that it takes part in is nonzero on fewer than ``least`` people altogether: then the figures
    would say something of those people alone. Several columns may belong to one atom; together they count its people
    once.
Theory
    A combination that leaves out the new row was known before. What remains is the nearest word of a code, weighted by
    people: eliminate the columns of whole atoms, on which it must be zero; then try, for each small atom, the largest
    first, that the combination is zero on it or that its people are paid for. Exact, whatever the order of columns.
    All that one question makes necessary is given so much effort; what is not settled in it is not told (conservative):
    whoever sends sets that cut each other up does not hold up everybody else.
    Arithmetic is modulo a prime that every process draws anew: nobody can choose sets whose combinations it hides.

Pure: no I/O, no clock. What a set or a column means is the caller's to say (``counting``, ``framed``).
"""

from __future__ import annotations

import secrets
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pyroaring import BitMap

Matrix = NDArray[np.int64]
#: Small numbers, mostly 0 and 1; of frames sometimes residues.
Rows = NDArray[Any]
#: Numbers looked at for one question, a quarter of a minute at most; and in one matrix, some hundred megabytes.
_EFFORT: Final = 2_000_000_000
LARGEST: Final = 20_000_000
#: What a step costs besides its numbers, a set that is looked at, and one that is cut.
_STEP: Final = 20_000
LOOK: Final = 100
_CUT: Final = 1000
#: Steps of one search: what takes longer is not told.
_STEPS: Final = 4096
#: What cuts people into more atoms is not told.
_ATOMS: Final = 16_384


class Effort:
    """What may still be done for one question."""

    def __init__(self) -> None:
        self._left = _EFFORT

    def allows(self, work: int) -> bool:
        """Take this much of it; False when it is spent, and from then on."""
        self._left -= work
        return self._left >= 0


class Atoms:
    """The atoms of sets, and which set holds which: one row a set, one column an atom."""

    def __init__(self) -> None:
        self.members: list[BitMap] = []
        self.rows: Rows = np.empty((0, 0), np.int8)
        #: How many the last set met.
        self._met = 0

    def with_set(self, added: BitMap) -> Atoms:
        """The same with one more set, its last row; every atom lies in it or beside it."""
        cut, columns, inside = Atoms(), list[int](), list[int]()
        rest = added.copy()
        for number, atom in enumerate(self.members):
            parts = [(atom, 0)]
            if atom.intersect(added):
                parts = [(atom & added, 1), (atom - added, 0)]
                rest -= atom
                cut._met += 1
            for part, there in parts:
                if part:
                    cut.members.append(part)
                    columns.append(number)
                    inside.append(there)
        known = self.rows[:, columns]
        if rest:
            cut.members.append(rest)
            known = np.hstack([known, np.zeros((len(known), 1), np.int8)])
            inside.append(1)
        cut.rows = np.vstack([known, np.array(inside, np.int8)[None, :]])
        return cut

    def with_known(self, added: BitMap) -> Atoms:
        """The same with one more set, unless it is one of them."""
        cut = self.with_set(added)
        return self if (cut.rows[:-1] == cut.rows[-1]).all(axis=1).any() else cut

    def bearable(self, effort: Effort) -> bool:
        """Whether one set more may be cut out of these."""
        work = LOOK * len(self.members) + _CUT * self._met + self.rows.size // 8
        return len(self.members) <= _ATOMS and effort.allows(work)

    @property
    def sizes(self) -> Matrix:
        return np.array([len(atom) for atom in self.members], np.int64)


def confines(known: Rows, asked: Rows, atom_of: Matrix, sizes: Matrix, least: int, effort: Effort) -> bool:
    """Whether ``asked`` with some combination of the rows of ``known`` is nonzero on fewer than ``least`` people.

    ``atom_of`` says of each column which atom it belongs to, ``sizes`` how many people each atom has. False when the
    rows known determine ``asked`` already; True when the effort is spent."""
    if len(sizes) > _ATOMS or not effort.allows(_STEP + known.size // 8):
        return True
    columns, touching = _hanging_together(known, asked[None, :], atom_of)
    rows, new, atom_of = known[np.ix_(touching, columns)], asked[columns], atom_of[columns]
    alone = (new != 0) & ~rows.any(axis=0)
    if (sizes[atom_of[alone]] >= least).any():
        return False  # a whole atom that no other figure touches stays in every combination
    whole = sizes[atom_of] >= least
    if whole.all():
        return False
    if rows.size > LARGEST:
        return True
    left = _Elimination(rows, new)
    if not left.of(np.flatnonzero(whole), effort):
        return True
    if left.asked[whole].any():
        return False
    small = np.flatnonzero(~whole)
    rest = left.asked[small]
    reduced = _reduced(left.known[:, small], effort)
    if reduced is None:
        return True
    basis, pivots = reduced
    for row, pivot in zip(basis, pivots, strict=True):
        if rest[pivot]:
            rest = (rest - rest[pivot] * row) % _PRIME
    return bool(rest.any()) and _Search(sizes, effort).within(rest, basis, atom_of[small], least - 1)


def confine_nothing(
    known: Rows, asked: Rows, atom_of: Matrix, sizes: Matrix, least: int, effort: Effort
) -> bool:
    """Whether it is certain at a glance that these rows, all of them, may be told: with them there is no combination on
    small atoms alone that there was not without. What ``confines`` says one by one then, it need not be asked."""
    if len(sizes) > _ATOMS or not effort.allows(_STEP + known.size // 8):
        return False
    columns, touching = _hanging_together(known, asked, atom_of)
    rows, new, atom_of = known[np.ix_(touching, columns)], asked[:, columns], atom_of[columns]
    if rows.size + new.size > LARGEST:
        return False
    whole = sizes[atom_of] >= least
    ranks = []
    for each in (rows, np.vstack([rows, new])):
        left = _Elimination(each, np.zeros(len(columns), np.int8))
        if not left.of(np.flatnonzero(whole), effort):
            return False
        reduced = _reduced(left.known[:, ~whole], effort)
        if reduced is None:
            return False
        ranks.append(len(reduced[1]))
    return ranks[0] == ranks[1]


class _Elimination:
    """``known`` and ``asked`` without some columns: what of ``known`` takes part in a combination that is zero there,
    and ``asked`` with what must be added to it. The column that fewest rows have goes first, with the shortest of its
    rows: what is broken down level by level stays as sparse as it is."""

    def __init__(self, known: Rows, asked: Rows) -> None:
        self.known, self.asked = known.astype(np.int64) % _PRIME, asked.astype(np.int64) % _PRIME

    def of(self, columns: NDArray[np.intp], effort: Effort) -> bool:
        """Eliminate these columns; False when it takes too long."""
        known, work = self.known, 0
        there = known != 0
        having, lengths = there.sum(axis=0), there.sum(axis=1)
        while effort.allows(work):
            open_ = columns[having[columns] > 0]
            if not len(open_):
                return True
            column = open_[having[open_].argmin()]
            rows = np.flatnonzero(known[:, column])
            pivot = rows[lengths[rows].argmin()]
            places = np.flatnonzero(known[pivot])
            part = known[pivot, places] * pow(int(known[pivot, column]), -1, _PRIME) % _PRIME
            known[pivot], others = 0, rows[rows != pivot]
            having[places] -= 1
            here = np.ix_(others, places)
            before = known[here]
            after = (before - known[others, column][:, None] * part) % _PRIME
            known[here] = after
            change = (after != 0).astype(np.int64) - (before != 0)
            having[places] += change.sum(axis=0)
            lengths[others] += change.sum(axis=1)
            self.asked[places] = (self.asked[places] - self.asked[column] * part) % _PRIME
            work = _STEP // 2 + len(columns) + 8 * len(rows) * len(places)
        return False


def _hanging_together(
    known: Rows, asked: Rows, atom_of: Matrix
) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """What hangs together with ``asked`` through atoms: the columns of those atoms, and which rows."""
    atoms = np.zeros(int(atom_of.max(initial=-1)) + 1, bool)
    atoms[atom_of[asked.any(axis=0)]] = True
    touching = np.zeros(len(known), bool)
    while True:
        columns = np.flatnonzero(atoms[atom_of])
        reached = np.asarray(known[:, columns].any(axis=1))
        if (reached == touching).all():
            return columns, touching
        touching = reached
        atoms[atom_of[known[touching].any(axis=0)]] = True


class _Search:
    """For a combination that is nonzero on few people. Says that there is one when it runs out of steps."""

    def __init__(self, sizes: Matrix, effort: Effort) -> None:
        self._sizes, self._effort, self._steps = sizes, effort, _STEPS

    def within(self, asked: Matrix, basis: Matrix, atom_of: Matrix, left: int) -> bool:
        """Whether ``asked`` with some combination of ``basis`` is nonzero on atoms of at most ``left`` people."""
        self._steps -= 1
        if self._steps < 0 or not self._effort.allows(2 * _STEP + 8 * basis.size):
            return True
        basis = basis[basis.any(axis=1)]
        # What no row of the basis touches stays as it is; its atoms are paid for.
        stays = np.unique(atom_of[(asked != 0) & ~basis.any(axis=0)])
        left -= int(self._sizes[stays].sum())
        if left < 0:
            return False
        asked, basis, atom_of = _without(asked, basis, atom_of, stays)
        if int(self._sizes[np.unique(atom_of[asked != 0])].sum()) <= left:
            return True
        touched = atom_of[basis.any(axis=0)]
        atom = touched[np.argmax(self._sizes[touched])]  # there is one, or nothing were left to pay for
        zero = _zero_on(asked, basis, np.flatnonzero(atom_of == atom))
        if zero is not None and self.within(*_without(*zero, atom_of, atom), left):
            return True
        left -= int(self._sizes[atom])
        return left >= 0 and self.within(*_without(asked, basis, atom_of, atom), left)


def _without(asked: Matrix, basis: Matrix, atom_of: Matrix, atoms: Any) -> tuple[Matrix, Matrix, Matrix]:
    kept = ~np.isin(atom_of, atoms)
    return asked[kept], basis[:, kept], atom_of[kept]


def _zero_on(asked: Matrix, basis: Matrix, columns: NDArray[np.intp]) -> tuple[Matrix, Matrix] | None:
    """The combinations that are zero on these columns: one of them, and a basis; None when there is none."""
    for column in columns:
        found = np.flatnonzero(basis[:, column])
        if not len(found):
            if asked[column]:
                return None
            continue
        pivot = basis[found[0]] * pow(int(basis[found[0], column]), -1, _PRIME) % _PRIME
        basis = np.delete(basis, found[0], axis=0)
        basis = (basis - basis[:, column][:, None] * pivot) % _PRIME
        asked = (asked - asked[column] * pivot) % _PRIME
    return asked, basis


def _reduced(rows: Matrix, effort: Effort) -> tuple[Matrix, list[int]] | None:
    """Reduced row echelon form modulo the prime, without empty rows, and each row's pivot column; None when it takes
    too long."""
    left, pivots = rows[rows.any(axis=1)] % _PRIME, list[int]()
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
        if not effort.allows(_STEP + 8 * len(others) * left.shape[1]):
            return None
        left[others] = (left[others] - left[others, column][:, None] * left[at]) % _PRIME
        pivots.append(column)
    return left[: len(pivots)], pivots


def modulo(rows: Rows, known: Rows) -> Rows:
    """What rows say beyond rows that are known: without the columns that these determine."""
    basis, pivots = _reduced(known.astype(np.int64), Effort()) or (known[:0], [])
    beyond = rows.astype(np.int64)
    for row, pivot in zip(basis, pivots, strict=True):
        beyond = (beyond - beyond[:, pivot][:, None] * row) % _PRIME
    beyond = np.delete(beyond, pivots, axis=1)
    beyond -= _PRIME * (beyond > _PRIME // 2)
    return beyond.astype(np.int8) if np.abs(beyond).max(initial=0) <= 1 else beyond


def _prime() -> int:
    """A prime of 31 bits that nobody knows beforehand: products of two residues still fit a signed word."""
    while True:
        drawn = int.from_bytes(secrets.token_bytes(4)) >> 2 | 1 << 30 | 1
        if _is_prime(drawn):
            return drawn


def _is_prime(odd: int) -> bool:
    """Miller and Rabin; with these bases certain below 3 215 031 751."""
    twos = (odd - 1 & 1 - odd).bit_length() - 1
    for base in (2, 3, 5, 7):
        power = pow(base, odd - 1 >> twos, odd)
        if power in (1, odd - 1):
            continue
        if not any((power := power * power % odd) == odd - 1 for _ in range(twos - 1)):
            return False
    return True


_PRIME: Final = _prime()
