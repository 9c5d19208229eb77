"""Numbers with check characters: GB 11643 (citizens), GB 32100 with GB 11714 inside (enterprises). All fictional.

Place codes begin with 99, which no province has; telephone numbers begin with 100, which no subscriber has.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from huanshu.simulator.columns import Numbers, civil, digit_matrix, fixed, join, padded

_CITIZEN_WEIGHTS: Final = np.array([7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2], dtype=np.int64)
_CITIZEN_CHECK: Final = np.frombuffer(b"10X98765432", dtype=np.uint8)
#: GB 32100: the letters I, O, S, V and Z are left out.
CREDIT_ALPHABET: Final = "0123456789ABCDEFGHJKLMNPQRTUWXY"
_CREDIT_LETTERS: Final = np.frombuffer(CREDIT_ALPHABET.encode(), dtype=np.uint8)
_CREDIT_WEIGHTS: Final = np.array([pow(3, n, 31) for n in range(17)], dtype=np.int64)
_ORGANISATION_WEIGHTS: Final = np.array([3, 7, 9, 10, 5, 8, 4, 2], dtype=np.int64)
_ORGANISATION_CHECK: Final = np.frombuffer(b"0123456789X", dtype=np.uint8)
#: How many organisation codes there are under the prefix ``MA``.
ORGANISATIONS: Final = 31**6
#: No multiple of 31, so that multiplying by it visits every code once.
_STRIDE: Final = 48_271_009


def citizen_numbers(place: Numbers, born: Numbers, order: Numbers) -> pa.Array:
    """Place code (6 digits), birth date, order of the day (3 digits; odd for a man), check character."""
    year, month, day = civil(born)
    digits = np.hstack(
        [digit_matrix(place, 6), digit_matrix(year * 10_000 + month * 100 + day, 8), digit_matrix(order, 3)]
    )
    check = _CITIZEN_CHECK[(digits.astype(np.int64) @ _CITIZEN_WEIGHTS) % 11]
    return fixed(np.hstack([digits + np.uint8(ord("0")), check[:, None]]))


def citizen_number(stem: str) -> str:
    """17 digits and their check character."""
    total = sum(int(digit) * int(weight) for digit, weight in zip(stem, _CITIZEN_WEIGHTS, strict=True))
    return stem + chr(_CITIZEN_CHECK[total % 11])


def credit_codes(place: int, private: NDArray[np.bool_], number: Numbers) -> pa.Array:
    """Registered with market regulation (9), as an enterprise (1) or a sole trader (2), under an organisation code."""
    serial = number.astype(np.int64) * _STRIDE % ORGANISATIONS
    organisation = np.hstack(
        [
            np.full((len(number), 1), CREDIT_ALPHABET.index("M"), dtype=np.int64),
            np.full((len(number), 1), CREDIT_ALPHABET.index("A"), dtype=np.int64),
            serial[:, None] // 31 ** np.arange(5, -1, -1, dtype=np.int64) % 31,
        ]
    )
    letters = _CREDIT_LETTERS[organisation]
    # GB 11714 counts A as 10 … Z as 35.
    worth = np.where(
        letters >= ord("A"), letters.astype(np.int64) - ord("A") + 10, letters.astype(np.int64) - ord("0")
    )
    check = _ORGANISATION_CHECK[(11 - worth @ _ORGANISATION_WEIGHTS % 11) % 11]
    head = np.hstack(
        [
            np.full((len(number), 1), 9, dtype=np.uint8),
            np.where(private, 2, 1).astype(np.uint8)[:, None],
            digit_matrix(np.full(len(number), place), 6),
        ]
    )
    stem = np.hstack([head + np.uint8(ord("0")), letters, check[:, None]])
    worth_of = np.zeros(256, dtype=np.int64)
    worth_of[_CREDIT_LETTERS] = np.arange(31)
    last = _CREDIT_LETTERS[(31 - worth_of[stem] @ _CREDIT_WEIGHTS % 31) % 31]
    return fixed(np.hstack([stem, last[:, None]]))


def phones(subscriber: Numbers) -> pa.Array:
    """``100`` and eight digits; null for -1."""
    return join("100", padded(subscriber, 8))
