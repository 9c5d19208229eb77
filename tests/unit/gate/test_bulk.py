"""Re-sealing: what a community is home to keeps its bytes, and is opened all the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from huanshu.catalog import Rung, read_home
from huanshu.errors import TamperedError
from huanshu.gate.bulk import Rows, _Chunk, _places
from huanshu.sealing import CellContext, Keyring, new_key, open_padded, pad_column, seal_padded
from huanshu.sealing.arrow import as_bytes, as_matrix
from huanshu.sealing.keys import data_key

ROOT = Path(__file__).parents[3]
A, B, DATASET, FIELD = "990101001001", "990101001002", "resident", "name"
HOME = read_home(ROOT)
NAMES = pa.array([f"王{n}" if n % 7 else None for n in range(200)])
RECORD, VERSION = np.arange(1, 201), np.ones(200, np.int32)


def chunk(receiver: str, spoilt: bool = False) -> tuple[_Chunk, pa.Array]:
    """A chunk whose rows are at home in A, delivered to ``receiver``."""
    keys = Keyring({name: new_key(name) for name in (data_key(code, DATASET, FIELD, 1) for code in (A, B))})
    width = HOME.contracts[DATASET].field(FIELD).width
    assert width is not None
    key = keys[data_key(A, DATASET, FIELD, 1)]
    context = CellContext(A, DATASET, FIELD, Rung.REVEAL.word, 1)
    sealed = seal_padded(key, context, RECORD, VERSION, pad_column(NAMES, width))
    if spoilt:
        sealed[150, 20] ^= 1
    cells = as_bytes(sealed)
    rows = Rows(
        record=pa.array(RECORD),
        version=pa.array(VERSION),
        home=pa.array([A] * 200),
        epoch=pa.array(np.ones(200, np.int32)),
        cells={FIELD: cells},
        links={},
    )
    flow = HOME.flows["resident.district_to_communities"]
    assert flow.fields[FIELD] is Rung.REVEAL
    return _Chunk(DATASET, flow, receiver, 1, rows, dict(_places(rows)), keys), cells


def sealed_for(made: _Chunk, receiver: str, rung: Rung, column: pa.Array) -> pa.Array:
    """The column opened as the receiver's and sealed again: equal to itself when it is the receiver's."""
    key = made.keys[data_key(receiver, DATASET, FIELD, 1)]
    context = CellContext(receiver, DATASET, FIELD, rung.word, 1)
    padded = open_padded(key, context, RECORD, VERSION, as_matrix(column))
    return as_bytes(seal_padded(key, context, RECORD, VERSION, padded))


def test_at_home_a_revealed_cell_keeps_its_bytes_and_sealing_it_again_would_make_the_same() -> None:
    made, cells = chunk(A)
    field = HOME.contracts[DATASET].field(FIELD)
    out = made.column(field, Rung.REVEAL)
    assert out.equals(cells)
    assert sealed_for(made, A, Rung.REVEAL, out).equals(out)


def test_elsewhere_or_masked_it_is_another() -> None:
    field = HOME.contracts[DATASET].field(FIELD)
    away, cells = chunk(B)
    out = away.column(field, Rung.REVEAL)
    assert not out.equals(cells)
    assert sealed_for(away, B, Rung.REVEAL, out).equals(out)
    made, cells = chunk(A)
    masked = made.column(field, Rung.MASK)
    assert not masked.equals(cells)
    assert sealed_for(made, A, Rung.MASK, masked).equals(masked)


@pytest.mark.parametrize("receiver", [A, B])
def test_a_changed_cell_is_refused_wherever_it_goes(receiver: str) -> None:
    made, _ = chunk(receiver, spoilt=True)
    with pytest.raises(TamperedError, match=r"sealing\.cell\.refused"):
        made.column(HOME.contracts[DATASET].field(FIELD), Rung.REVEAL)
