"""A whole district to measure on: the sample home, a deployment in a throw-away folder, a filled district store.

``fill`` writes sealed records straight into the district store, under a real intake ticket and with the home's real
keys, as an intake leaves them: in batches of 250 000, each sorted by home. What it leaves out is the department's file
and its quality rules, which ``intake.py`` measures. The values are random letters of each field's width.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from psycopg import sql

from huanshu.assembly import Running, Stack, connect
from huanshu.assembly.sandbox import holder_of, prepare
from huanshu.catalog import Contract, Field, Flow
from huanshu.exchange.tables import create, district_tables
from huanshu.gate import intake as gate
from huanshu.sealing.arrow import as_bytes
from huanshu.settings import Settings
from huanshu.store.copying import copy_in

ROOT = Path(__file__).parents[1]
_BATCH = 250_000


@contextmanager
def district(folder: Path) -> Iterator[Running]:
    """A prepared sandbox deployment of the sample home. Stopped and removed afterwards."""
    shutil.rmtree(folder, ignore_errors=True)
    for part in ("policies", "expectations", "dags", "audit"):
        shutil.copytree(ROOT / part, folder / "home" / part)
    settings = Settings(folder / "home", folder / "state", "en")
    try:
        with Stack(settings):
            sandbox = prepare(settings)
            flow = sandbox.home.flows["resident.district_to_communities"]
            yield connect(settings, holder_of(sandbox.home, flow.accountable_post))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def fill(running: Running, flow: Flow, records: int, seed: int = 7, communities: int | None = None) -> None:
    """Put ``records`` sealed records of the flow's dataset into the district store."""
    contract = running.home.contracts[flow.dataset]
    intake = next(f for f in running.home.flows.values() if f.kind == "intake" and f.dataset == flow.dataset)
    batch = f"{seed:064x}"
    detail = {"batch": batch, "sequence": 1, "sender": intake.source, "records": records}
    claim = {"event": "exchange.intake.authorised", "policy": running.home.policies.digest}
    ticket = running.keeper.append({**claim, "flow": {"id": intake.flow, "run": "bench"}, "detail": detail})
    homes = sorted(flow.receivers[:communities])
    epoch = running.home.policies.keys.epoch
    random = np.random.default_rng(seed)
    with running.district() as connection:
        create(connection, *district_tables(contract))
        for number, first in enumerate(range(0, records, _BATCH)):
            size = min(_BATCH, records - first)
            keys = gate.borrow_homes(running.keeper, ticket, number, contract, homes, epoch)
            rows = _rows(contract, homes, first, size, random)
            starts = np.searchsorted(rows["home"].to_numpy(zero_copy_only=False).astype(str), homes).tolist()
            numbers = rows["record"].to_numpy()
            places = gate.Places(homes, [*starts, size], numbers, np.ones(size, np.int32))
            made = {
                name: np.empty((size, width), np.uint8)
                for name, width in gate.cell_widths(contract, keys).items()
            }
            gate.seal_rows(keys, contract, epoch, places, rows, made)
            cells = {f.name: as_bytes(made[f.name]) if f.sealed else rows[f.name] for f in contract.fields}
            one = pa.scalar(1, pa.int32())
            bound = {
                "record": rows["record"],
                "version": pa.repeat(one, size),
                "batch_in": pa.repeat(batch, size),
                "home": rows["home"],
                "epoch": pa.repeat(pa.scalar(epoch, pa.int32()), size),
                "mark": as_bytes(random.integers(0, 256, (size, 16), np.uint8)),
                "subjects": pa.ListArray.from_arrays(
                    pa.array(np.arange(size + 1, dtype=np.int32)), rows["record"]
                ),
                **{
                    f"link_{f.name}": as_bytes(random.integers(0, 256, (size, 16), np.uint8))
                    for f in contract.fields
                    if f.link_kind
                },
            }
            with connection.transaction():
                copy_in(connection, sql.Identifier("district", contract.dataset), {**bound, **cells})
        connection.execute(sql.SQL("ANALYZE {}").format(sql.Identifier("district", contract.dataset)))


def _rows(
    contract: Contract, homes: list[str], first: int, size: int, random: np.random.Generator
) -> dict[str, pa.Array]:
    """Plain columns of one batch, sorted by home: record ids fall as an extract's rows do, anywhere."""
    places = np.sort(random.integers(0, len(homes), size))
    home = pa.array(homes).take(pa.array(places))
    columns = {"record": pa.array(first + 1 + random.permutation(size)), "home": home}
    for field in contract.fields:
        columns[field.name] = home if field.name == contract.home_field else _values(field, size, random)
    columns["home"] = home
    return columns


def _values(field: Field, size: int, random: np.random.Generator) -> pa.Array:
    """Text about as long as a register's: the field's width when short, a third of it otherwise."""
    if field.name.endswith("_on") or field.name.endswith("_since") or field.name == "birth_date":
        days = [(date(2020, 1, 1) + timedelta(days=n)).isoformat() for n in range(1000)]
        return pa.array(days).take(pa.array(random.integers(0, 1000, size)))
    width = field.width if field.width is not None else 4
    length = width if width <= 18 else width // 3
    return _text(random.integers(ord("0"), ord("9") + 1, (size, length), np.uint8))


def _text(letters: NDArray[np.uint8]) -> pa.Array:
    return pc.cast(as_bytes(letters), pa.large_string())
