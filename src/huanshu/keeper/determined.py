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
    Elimination and search are given so many steps; what they cannot settle in them is not told (conservative).
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
Rows = NDArray[np.int8]
#: Steps of one search, and changes of one elimination: what takes longer is not told.
_STEPS: Final = 4096
_WORK: Final = 10_000_000


class Atoms:
    """The atoms of sets, and which set holds which: one row a set, one column an atom."""

    def __init__(self) -> None:
        self.members: list[BitMap] = []
        self.rows: Rows = np.empty((0, 0), np.int8)

    def with_set(self, added: BitMap) -> Atoms:
        """The same with one more set, its last row; every atom lies in it or beside it."""
        cut, columns, inside = Atoms(), list[int](), list[int]()
        rest = added.copy()
        for number, atom in enumerate(self.members):
            parts = [(atom, 0)]
            if atom.intersect(added):
                parts = [(atom & added, 1), (atom - added, 0)]
                rest -= atom
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

    @property
    def sizes(self) -> Matrix:
        return np.array([len(atom) for atom in self.members], np.int64)


def confines(known: Rows, asked: Rows, atom_of: Matrix, sizes: Matrix, least: int) -> bool:
    """Whether ``asked`` with some combination of the rows of ``known`` is nonzero on fewer than ``least`` people.

    ``atom_of`` says of each column which atom it belongs to, ``sizes`` how many people each atom has. False when the
    rows known determine ``asked`` already."""
    columns, touching = _hanging_together(known, asked[None, :], atom_of)
    rows, new, atom_of = known[np.ix_(touching, columns)], asked[columns], atom_of[columns]
    alone = (new != 0) & ~rows.any(axis=0)
    if (sizes[atom_of[alone]] >= least).any():
        return False  # a whole atom that no other figure touches stays in every combination
    whole = sizes[atom_of] >= least
    if whole.all():
        return False
    left = _Elimination(rows, new)
    if not left.of(np.flatnonzero(whole)):
        return True
    if left.asked[whole].any():
        return False
    small = np.flatnonzero(~whole)
    rest = left.asked[small]
    basis, pivots = _reduced(left.known[:, small])
    for row, pivot in zip(basis, pivots, strict=True):
        if rest[pivot]:
            rest = (rest - rest[pivot] * row) % _PRIME
    return bool(rest.any()) and _Search(sizes).within(rest, basis, atom_of[small], least - 1)


def confine_nothing(known: Rows, asked: Rows, atom_of: Matrix, sizes: Matrix, least: int) -> bool:
    """Whether it is certain at a glance that these rows, all of them, may be told: with them there is no combination on
    small atoms alone that there was not without. What ``confines`` says one by one then, it need not be asked."""
    columns, touching = _hanging_together(known, asked, atom_of)
    rows, new, atom_of = known[np.ix_(touching, columns)], asked[:, columns], atom_of[columns]
    whole = sizes[atom_of] >= least
    ranks = []
    for each in (rows, np.vstack([rows, new])):
        left = _Elimination(each, np.zeros(len(columns), np.int8))
        if not left.of(np.flatnonzero(whole)):
            return False
        ranks.append(len(_reduced(left.known[:, ~whole])[1]))
    return ranks[0] == ranks[1]


class _Elimination:
    """``known`` and ``asked`` without some columns: what of ``known`` takes part in a combination that is zero there,
    and ``asked`` with what must be added to it. The column that fewest rows have goes first, with the shortest of its
    rows: what is broken down level by level stays as sparse as it is."""

    def __init__(self, known: Rows, asked: Rows) -> None:
        self.known, self.asked = known.astype(np.int64) % _PRIME, asked.astype(np.int64) % _PRIME

    def of(self, columns: NDArray[np.intp]) -> bool:
        """Eliminate these columns; False when it takes too long."""
        known, work = self.known, _WORK
        there = known != 0
        having, lengths = there.sum(axis=0), there.sum(axis=1)
        while work > 0:
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
            work -= len(rows) * len(places)
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

    def __init__(self, sizes: Matrix) -> None:
        self._sizes, self._steps = sizes, _STEPS

    def within(self, asked: Matrix, basis: Matrix, atom_of: Matrix, left: int) -> bool:
        """Whether ``asked`` with some combination of ``basis`` is nonzero on atoms of at most ``left`` people."""
        self._steps -= 1
        if self._steps < 0:
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


def _reduced(rows: Matrix) -> tuple[Matrix, list[int]]:
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
