"""Every value of the district store opened with the root key of a range: what a keeper who forgot its rules could do."""

from __future__ import annotations

from huanshu.drill.range import Range
from huanshu.keeper.vault import load_root
from huanshu.sealing import CellContext, open_column
from huanshu.sealing.keys import KeyName, data_key

Cell = tuple[int, int, str]


def opened(place: Range, dataset: str) -> dict[Cell, str | None]:
    """(record, version, field) → value; an error when a row is there twice or a cell does not open."""
    root = load_root(place.settings.keeper_folder / "root.key")
    contract = place.acting().home.contracts[dataset]
    names = [field.name for field in contract.sealed_fields]
    found: dict[Cell, str | None] = {}
    with place.administrator() as administrator:
        wrapped = dict(administrator.execute("SELECT name, wrapped FROM keys.wrapped").fetchall())
        columns = ", ".join(["record", "version", "home", "epoch", *names])
        rows = administrator.execute(f"SELECT {columns} FROM district.{dataset}".encode()).fetchall()
    for record, version, home, epoch, *cells in rows:
        for name, cell in zip(names, cells, strict=True):
            key_name = data_key(home, dataset, name, epoch)
            key = root.unwrap(KeyName(key_name), bytes(wrapped[key_name]))
            context = CellContext(home, dataset, name, "reveal", epoch)
            assert (record, version, name) not in found, "a row is there twice"
            (found[record, version, name],) = open_column(key, context, [record], [version], [bytes(cell)])
    return found
