"""Re-sealing in place: what a community is home to keeps its bytes, and is opened all the same."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray

from huanshu.catalog import Rung, read_home
from huanshu.errors import ContentError, TamperedError
from huanshu.gate.bulk import Batch, Place, _require_offered, _Resealing
from huanshu.sealing import (
    CellContext,
    Keyring,
    mask_column,
    new_key,
    open_padded,
    pad_column,
    seal_padded,
    token,
    unpad_column,
)
from huanshu.sealing.keys import data_key, token_key

ROOT = Path(__file__).parents[3]
A, B, DATASET, FIELD = ("990101001001", 1), ("990101001002", 1), "resident", "name"
HOME = read_home(ROOT)
CONTRACT = HOME.contracts[DATASET]
FLOW = HOME.flows["resident.district_to_communities"]
NAMES = pa.array([f"王{n}" if n % 7 else None for n in range(200)], pa.large_string())
RECORD, VERSION = np.arange(1, 201), np.ones(200, np.int32)
NAMES_OF_KEYS = [data_key(home, DATASET, FIELD, epoch) for home, epoch in (A, B)]
KEYS = Keyring({name: new_key(name) for name in NAMES_OF_KEYS})


def width() -> int:
    found = CONTRACT.field(FIELD).width
    assert found is not None
    return found


def under(place: Place, rung: Rung = Rung.REVEAL) -> tuple[bytes, CellContext]:
    home, epoch = place
    return KEYS[data_key(home, DATASET, FIELD, epoch)], CellContext(home, DATASET, FIELD, rung.word, epoch)


def sealed(place: NDArray[np.int64], places: list[Place]) -> NDArray[np.uint8]:
    """The names, each sealed where its record is at home; in the middle of wider rows, as they come."""
    rows = np.zeros((200, width() + 30), np.uint8)
    padded = pad_column(NAMES, width())
    for number, where in enumerate(places):
        here = np.flatnonzero(place == number)
        key, context = under(where)
        rows[here, 5:-8] = seal_padded(key, context, RECORD[here], VERSION[here], padded[here])
    return rows


def change(
    cells: NDArray[np.uint8], to: Place, places: list[Place], place: NDArray[np.int64], rung: Rung
) -> None:
    flow = dataclasses.replace(FLOW, fields={**FLOW.fields, FIELD: rung})
    _Resealing(CONTRACT, flow, to, places, KEYS).change(Batch(RECORD, VERSION, place, {FIELD: cells}, {}))


def opened(cells: NDArray[np.uint8], at: Place, rung: Rung) -> pa.Array:
    return unpad_column(open_padded(*under(at, rung), RECORD, VERSION, cells))


ALL_AT_FIRST = np.zeros(200, np.int64)


def test_at_home_a_revealed_cell_keeps_its_bytes_and_sealing_it_again_would_make_the_same() -> None:
    rows = sealed(ALL_AT_FIRST, [A])
    before = rows.copy()
    change(rows[:, 5:-8], A, [A], ALL_AT_FIRST, Rung.REVEAL)
    assert (rows == before).all()
    padded = open_padded(*under(A), RECORD, VERSION, rows[:, 5:-8])
    assert (seal_padded(*under(A), RECORD, VERSION, padded) == rows[:, 5:-8]).all()


@pytest.mark.parametrize(("to", "rung"), [(B, Rung.REVEAL), (A, Rung.MASK), (B, Rung.MASK)])
def test_elsewhere_or_masked_it_is_another_and_nothing_around_it_changes(to: Place, rung: Rung) -> None:
    rows = sealed(ALL_AT_FIRST, [A])
    before = rows.copy()
    change(rows[:, 5:-8], to, [A], ALL_AT_FIRST, rung)
    assert not (rows[:, 5:-8] == before[:, 5:-8]).all(axis=1).any()
    assert not rows[:, :5].any()
    assert not rows[:, -8:].any()
    mask = CONTRACT.field(FIELD).mask
    assert mask is not None
    assert opened(rows[:, 5:-8], to, rung).equals(NAMES if rung is Rung.REVEAL else mask_column(mask, NAMES))


@pytest.mark.parametrize("to", [A, B])
def test_records_of_two_homes_are_each_opened_under_their_own(to: Place) -> None:
    place = np.arange(200) % 2
    rows = sealed(place, [A, B])
    change(rows[:, 5:-8], to, [A, B], place, Rung.REVEAL)
    assert opened(rows[:, 5:-8], to, Rung.REVEAL).equals(NAMES)
    wrong = sealed(place, [A, B])
    with pytest.raises(TamperedError, match=r"sealing\.cell\.refused"):
        change(wrong[:, 5:-8], to, [A, B], 1 - place, Rung.REVEAL)


@pytest.mark.parametrize("to", [A, B])
def test_a_changed_cell_is_refused_wherever_it_goes(to: Place) -> None:
    rows = sealed(ALL_AT_FIRST, [A])
    rows[150, 30] ^= 1
    with pytest.raises(TamperedError, match=r"sealing\.cell\.refused"):
        change(rows[:, 5:-8], to, [A], ALL_AT_FIRST, Rung.REVEAL)


def test_an_identifier_asked_as_a_token_is_made_from_its_link_where_the_link_lies() -> None:
    name = "citizen_number"
    field = CONTRACT.field(name)
    assert field.link_kind is not None
    purpose_key = token_key(FLOW.purpose, field.link_kind)
    keys = Keyring({purpose_key: new_key(purpose_key)})
    links = np.random.default_rng(1).integers(0, 256, (200, 16), np.uint8)
    rows = np.zeros((200, 40), np.uint8)
    rows[:, 9:25] = links
    flow = dataclasses.replace(FLOW, fields={name: Rung.MATCH})
    _Resealing(CONTRACT, flow, A, [A], keys).change(
        Batch(RECORD, VERSION, ALL_AT_FIRST, {name: rows[:, 9:25]}, {})
    )
    made = [token(keys[purpose_key], link.tobytes()) for link in links]
    assert [row.tobytes() for row in rows[:, 9:25]] == made
    assert not rows[:, :9].any()
    assert not rows[:, 25:].any()


def test_plain_text_asked_masked_is_masked() -> None:
    batch = Batch(RECORD, VERSION, ALL_AT_FIRST, {}, {FIELD: NAMES})
    _Resealing(CONTRACT, FLOW, A, [A], KEYS).change(batch)
    mask = CONTRACT.field(FIELD).mask
    assert mask is not None
    assert batch.texts[FIELD].equals(mask_column(mask, NAMES))


@pytest.mark.parametrize(
    ("name", "rung"), [("pregnancy", Rung.MATCH), (FIELD, Rung.COUNT), ("sex", Rung.MASK)]
)
def test_a_rung_that_the_contract_does_not_offer_is_refused_before_a_key_is_asked_for(
    name: str, rung: Rung
) -> None:
    assert CONTRACT.field(name).mask is None or rung is not Rung.MASK
    with pytest.raises(ContentError, match=r"exchange\.rung\.not_offered"):
        _require_offered(CONTRACT.field(name), rung, FLOW)
