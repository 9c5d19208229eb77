"""Ranks of matrices over the rational numbers: the slow way, which shares nothing with the audit of counts."""

from __future__ import annotations

from fractions import Fraction


def rank(rows: list[list[Fraction]]) -> int:
    left, found = [list(row) for row in rows], 0
    for column in range(len(left[0]) if left else 0):
        pivot = next((n for n in range(found, len(left)) if left[n][column]), None)
        if pivot is None:
            continue
        left[found], left[pivot] = left[pivot], left[found]
        for n in range(found + 1, len(left)):
            if left[n][column]:
                times = left[n][column] / left[found][column]
                left[n] = [a - times * b for a, b in zip(left[n], left[found], strict=True)]
        found += 1
    return found
