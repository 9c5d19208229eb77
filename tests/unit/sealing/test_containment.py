"""What one stolen data key is worth: one field of one domain of one epoch, measured over all cells of the field."""

from __future__ import annotations

import pytest

from huanshu.errors import TamperedError
from huanshu.sealing import CellContext, new_key, open_column, seal_column
from huanshu.sealing.keys import KeyName, data_key

DOMAINS = [f"9901010{n:05}" for n in range(146)]
EPOCHS = range(1, 13)
FIELDS = ("name", "phone")
Cell = tuple[CellContext, int, bytes]


def district(one_key_for_all: bool) -> tuple[dict[KeyName, bytes], dict[str, list[Cell]]]:
    """Keys by name, and by field the cells of two residents in every domain and epoch."""
    keys: dict[KeyName, bytes] = {}
    cells: dict[str, list[Cell]] = {name: [] for name in FIELDS}
    shared, record = new_key(data_key("any", "resident", "any", 1)), 0
    for domain in DOMAINS:
        for epoch in EPOCHS:
            record += 2
            for name in FIELDS:
                of = data_key(domain, "resident", name, epoch)
                key = keys[of] = shared if one_key_for_all else new_key(of)
                context = CellContext(domain, "resident", name, "reveal", epoch)
                rows = [record, record + 1]
                sealed = seal_column(key, context, 20, rows, [1, 1], ["张三", None])
                cells[name] += [(context, row, cell) for row, cell in zip(rows, sealed, strict=True)]
    return keys, cells


def opens(key: bytes, cells: list[Cell]) -> int:
    """How many of these cells the key opens, though the thief knows everything else about each."""
    found = 0
    for context, record, cell in cells:
        try:
            open_column(key, context, [record], [1], [cell])
        except TamperedError:
            continue
        found += 1
    return found


@pytest.mark.parametrize("careless", [False, True], ids=["a key each", "control: one key for all"])
def test_a_stolen_key_opens_its_field_domain_and_epoch_alone(careless: bool) -> None:
    keys, cells = district(careless)
    assert len(cells["name"]) == 146 * 12 * 2
    stolen = keys[data_key(DOMAINS[7], "resident", "name", 5)]
    share = opens(stolen, cells["name"]) / len(cells["name"])
    other = opens(stolen, cells["phone"])
    if careless:
        assert (share, other) == (1.0, len(cells["phone"]))
    else:
        assert share == 1 / 146 / 12
        assert other == 0
