"""What a database administrator does who knows how lists are made: a row changed, and its list with it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from huanshu.drill.range import Range
from huanshu.exchange import written

_ITEM = 44


@contextmanager
def relisted(place: Range, dataset: str, record: int, change: str) -> Iterator[psycopg.Connection]:
    """The current row of a record changed by ``SET change``, its list made to fit; both put back at the end."""
    contract = place.acting().home.contracts[dataset]
    with place.administrator() as administrator:
        for table in (f"district.{dataset}", "district.written"):
            name = table.replace("district.", "public.kept_")
            administrator.execute(f"DROP TABLE IF EXISTS {name}".encode())
            administrator.execute(f"CREATE TABLE {name} AS TABLE {table}".encode())
        query = f"UPDATE district.{dataset} SET {change} WHERE record = %s AND batch_out IS NULL"
        query += " RETURNING home, batch_in, version"
        ((home, batch, version),) = administrator.execute(query.encode(), (record,)).fetchall()
        item = written.of_record(administrator, contract, home, record, version, 0)[home]
        ((of, at, rows),) = administrator.execute(
            "SELECT batch, home, rows FROM district.written WHERE (batch, home) = (%s, %s) OR home = %s"
            " ORDER BY sequence DESC LIMIT 1",
            (batch, home, f"{batch}/{home}"),
        ).fetchall()
        items = [bytes(rows[n : n + _ITEM]) for n in range(0, len(rows), _ITEM)]
        assert sum(old[:12] == item[:12] for old in items) == 1
        made = b"".join(item if old[:12] == item[:12] else old for old in items)
        administrator.execute(
            "UPDATE district.written SET rows = %s WHERE (batch, home) = (%s, %s)", (made, of, at)
        )
        try:
            yield administrator
        finally:
            put_back(administrator, dataset)


def put_back(administrator: psycopg.Connection, dataset: str) -> None:
    """The rows and lists that ``relisted`` has kept."""
    for table in (f"district.{dataset}", "district.written"):
        name = table.replace("district.", "public.kept_")
        administrator.execute(f"TRUNCATE {table}".encode())
        administrator.execute(f"INSERT INTO {table} OVERRIDING SYSTEM VALUE TABLE {name}".encode())
