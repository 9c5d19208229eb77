"""Rows read packed are the rows that SELECT answers, whatever their number."""

from __future__ import annotations

import numpy as np
import pytest

from huanshu.store import connect
from huanshu.store.packed import BIGINT, INTEGER, read_packed


@pytest.mark.parametrize("rows", [0, 1, 3, 200_000])
def test_packed_rows_are_the_rows(roles: dict[str, str], rows: int) -> None:
    source = f"(SELECT n * 7 - 3 AS big, -n AS small, sha256(int8send(n)) AS link FROM generate_series(1, {rows}::bigint) n)"
    with connect(roles["huanshu_app"]) as connection:
        found = read_packed(
            connection, {"big": BIGINT, "small::int": INTEGER, "link": "V32"}, f"{source} made", "big"
        )
        order = np.argsort(found["big"])
        assert found["link"].shape == (rows, 32)
        assert found["big"][order].tolist() == [n * 7 - 3 for n in range(1, rows + 1)]
        assert found["small::int"][order].tolist() == [-n for n in range(1, rows + 1)]
        for place in (0, rows // 2, rows - 1) if rows else ():
            asked = connection.execute("SELECT sha256(int8send(%s::bigint))", (place + 1,)).fetchone()
            assert asked == (found["link"][order[place]].tobytes(),)
