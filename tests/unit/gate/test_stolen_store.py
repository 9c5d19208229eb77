"""What a stolen store tells about those who are in it: measured with classifiers that find everything where there is a leak.

The rows are sealed as intake seals them, with the contract of the sample district. The attacker has every cell of every
sealed field, labels for half of the residents, and knows the format. The same attack on a store with nulls and lengths
of their own is the control: there it must succeed, or the attack proves nothing.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from huanshu.catalog import Contract, read_home
from huanshu.gate import intake as gate
from huanshu.sealing import Keyring, new_key
from huanshu.sealing.keys import data_key
from huanshu.sealing.suites import SM4_MARK, Profile, aead

ROOT, HOME, ROWS = Path(__file__).parents[3], "990101001001", 4000
#: What is to be guessed: the field, the values that count (None: whether there is any), and how many have it.
SECRETS = {
    "disability": ("disability_grade", ("1", "2", "3", "4"), 0.08),
    "pregnancy": ("care_status", ("04",), 0.05),
    "allowance": ("care_status", ("01", "02"), 0.12),
}


@pytest.fixture(scope="module")
def contract() -> Contract:
    return read_home(ROOT).contracts["resident"]


def _columns(contract: Contract, seed: int) -> dict[str, pa.Array]:
    random = np.random.default_rng(seed)
    made: dict[str, pa.Array] = {}
    for field in contract.sealed_fields:
        assert field.width is not None
        lengths = random.integers(1, field.width + 1, ROWS)
        values = [None if random.random() < 0.3 else "x" * int(length) for length in lengths]
        made[field.name] = pa.array(values)
    grades = [
        str(random.integers(1, 5)) if random.random() < SECRETS["disability"][2] else None
        for _ in range(ROWS)
    ]
    cares = random.choice(["", "01", "02", "04"], ROWS, p=[0.83, 0.07, 0.05, 0.05]).tolist()
    # The guardians' fields tell of care, the address of disability: whoever sees a length there has a second way in.
    made |= {
        "disability_grade": pa.array(grades),
        "care_status": pa.array([care or None for care in cares]),
        "guardian_name": pa.array(["张三" if care else None for care in cares]),
        "residence_address": pa.array(["路" * (40 if grade else 12) for grade in grades]),
    }
    return made


def _sealed(contract: Contract, columns: dict[str, pa.Array], profile: Profile) -> np.ndarray:
    """Features of the real thing: length and null of each cell, the number of equal ones, and its first bits."""
    names = [data_key(HOME, contract.dataset, field.name, 1) for field in contract.sealed_fields]
    # Made of a seed, so that the figures are the same whenever they are measured.
    drawn, size = np.random.default_rng(8), 64 if profile == "aes" else 32
    mark = b"" if profile == "aes" else SM4_MARK
    keys = Keyring({name: mark + drawn.bytes(size) for name in names})
    records = np.random.default_rng(9).permutation(10 * ROWS)[:ROWS].astype(np.int64)
    places = gate.Places([HOME], [0, ROWS], records, np.ones(ROWS, np.int32))
    cells = {name: np.empty((ROWS, w), np.uint8) for name, w in gate.cell_widths(contract, keys).items()}
    gate.seal_rows(keys, contract, 1, places, columns, cells)
    return _features([[row.tobytes() for row in column] for column in cells.values()])


def _unprotected(contract: Contract, columns: dict[str, pa.Array]) -> np.ndarray:
    """The same values under the same cipher, one by one: absent ones null, lengths their own, bound to nothing."""
    ciphers = {
        f.name: aead(new_key(data_key(HOME, contract.dataset, f.name, 1))) for f in contract.sealed_fields
    }
    return _features([
        [None if value is None else ciphers[name].encrypt(value.encode(), []) for value in columns[name].to_pylist()]
        for name in ciphers
    ])  # fmt: skip


def _features(cells: list[list[bytes | None]]) -> np.ndarray:
    made = []
    for column in cells:
        counts: dict[bytes | None, int] = {}
        for cell in column:
            counts[cell] = counts.get(cell, 0) + 1
        lengths = np.array([len(cell or b"") for cell in column], float)
        heads = np.array([list((cell or b"").ljust(1, b"\0")[:1]) for cell in column], np.uint8)
        made += [
            np.array([cell is None for cell in column], float), (lengths - lengths.mean()) / (lengths.std() or 1.0),
            np.log([counts[cell] for cell in column]), *np.unpackbits(heads, axis=1).T.astype(float),
        ]  # fmt: skip
    return np.stack(made, axis=1)


def _scores(features: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Logistic regression by Newton's method with a ridge, learnt on the first half, scored on the second."""
    half = len(labels) // 2
    x = np.column_stack([features, np.ones(len(labels))])
    w = np.zeros(x.shape[1])
    for _ in range(5):
        p = 1 / (1 + np.exp(-np.clip(x[:half] @ w, -30, 30)))
        slope = x[:half].T @ (labels[:half] - p) - w
        w += np.linalg.solve((x[:half].T * (p * (1 - p))) @ x[:half] + np.eye(len(w)), slope)
    return x[half:] @ w


def _auc(scores: np.ndarray, labels: np.ndarray) -> float:
    """How often one who has it is ranked above one who has not: a half is guessing."""
    ranks = np.argsort(np.argsort(scores, kind="stable")).astype(float)
    has = labels.astype(bool)
    return float((ranks[has].mean() - (has.sum() - 1) / 2) / (~has).sum())


def _labels(columns: dict[str, pa.Array], secret: str) -> np.ndarray:
    field, values, _ = SECRETS[secret]
    return np.array([value in values for value in columns[field].to_pylist()], float)


@pytest.mark.parametrize("profile", ["aes", "sm"])
def test_nobody_is_found_by_null_length_or_likeness(contract: Contract, profile: Profile) -> None:
    columns = _columns(contract, 1)
    features = _sealed(contract, columns, profile)
    for secret in SECRETS:
        labels = _labels(columns, secret)
        scores, held = _scores(features, labels), labels[len(labels) // 2 :]
        assert 100 < labels.sum() < ROWS / 5
        assert abs(_auc(scores, held) - 0.5) < 0.08, secret
        # Whoever names as many as there are is right no more often than with a blind hand.
        named = np.argsort(-scores)[: int(held.sum())]
        assert held[named].mean() < held.mean() + 0.06, secret
        # And the best guess for everybody, "has it not", is not beaten.
        assert ((scores > 0) == held.astype(bool)).mean() <= 1 - held.mean() + 0.01, secret


def test_every_length_null_and_count_is_the_same(contract: Contract) -> None:
    features = _sealed(contract, _columns(contract, 2), "aes").reshape(ROWS, -1, 11)
    assert features.shape[1] == len(contract.sealed_fields) > 10
    assert not features[:, :, :3].any()


def test_the_attack_succeeds_where_nulls_and_lengths_show(contract: Contract) -> None:
    columns = _columns(contract, 1)
    features = _unprotected(contract, columns)
    for secret in SECRETS:
        labels = _labels(columns, secret)
        scores, held = _scores(features, labels), labels[len(labels) // 2 :]
        assert _auc(scores, held) > 0.9, secret
        assert ((scores > 0) == held.astype(bool)).mean() > 1 - held.mean() + 0.01, secret
