"""A change that waits for somebody else's signature: rows and lists changed together, before they are written anew."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import psycopg
from psycopg import sql

from huanshu.drill.careless import BelievesTheStore
from huanshu.drill.custody import raise_epoch
from huanshu.drill.definition import Drill
from huanshu.drill.range import Range
from huanshu.drill.verbs import ATTACK, CONTROL, TWIN, Arm
from huanshu.errors import TamperedError, Text
from huanshu.exchange import erasure, written
from huanshu.exchange.ground import Ground
from huanshu.exchange.rotation import rotate
from huanshu.keeper.vouched import ROW

_HEAD: Final = struct.calcsize(">QI")


def row_laundered(home: Path, drill: Drill) -> list[Arm]:
    """A plain value and the list that names it are changed; then come a rotation and an erasure."""
    actors = drill.actors
    with Range(home) as range_:
        range_.take_in(actors["intake"])
        changed, gone = (record for record, _ in range_.due_records(actors["dataset"], actors["domain"])[:2])
        raise_epoch(range_, actors)
        _confirmed(range_, actors, gone)
        old = _changed(range_, actors, changed)
        refused = [_refused(renew, range_.acting().ground()) for renew in (rotate, erasure.apply)]
        found = {problem.step for problem in range_.verify().problems}
        _put_list_back(range_, old)
        named = {problem.at for problem in range_.verify().problems}
        stopped = (
            refused == ["exchange.rows.changed"] * 2
            and found == {"7 store"}
            and named == {f"{actors['dataset']} record {changed}"}
        )
        attack = Arm(
            ATTACK,
            stopped,
            Text("rotation and erasure refuse, the verifier names the row", "轮换与删除均拒绝，核验指出该行")
            if stopped
            else Text(f"{refused}; found at {sorted(named)}", f"{refused}；发现于 {sorted(named)}"),
        )
    with Range(home) as calm:
        calm.take_in(actors["intake"])
        raise_epoch(calm, actors)
        done = rotate(calm.acting().ground())
        verified = bool(done) and calm.verify().clean
        twin = Arm(
            TWIN, verified, Text("untouched rows are rotated, and verify", "未改动的行照常轮换并核验通过")
        )
    with Range(home) as careless:
        careless.take_in(actors["intake"])
        ((changed, _), *_) = careless.due_records(actors["dataset"], actors["domain"])
        raise_epoch(careless, actors)
        old = _changed(careless, actors, changed)
        rotate(replace(careless.acting().ground(), bound=BelievesTheStore))
        _put_list_back(careless, old)
        control = Arm(
            CONTROL,
            careless.verify().clean,
            Text(
                "where the store is believed, the change is bound and never found",
                "相信库中清单则改动被绑定且无从发现",
            ),
        )
    return [attack, control, twin]


VERBS: Final[Mapping[str, Callable[[Path, Drill], list[Arm]]]] = {"row_laundered": row_laundered}


# -- pieces -----------------------------------------------------------------------------------------


def _refused(renew: Callable[[Ground], object], ground: Ground) -> str | None:
    try:
        renew(ground)
    except TamperedError as error:
        return error.code
    return None


def _confirmed(range_: Range, actors: Mapping[str, Any], record: int) -> None:
    """An erasure that two persons want and nobody has carried out."""
    officer, second = range_.acting(actors["officer"]), range_.acting(actors["second"])
    entry = erasure.propose(officer.ground(), actors["dataset"], record, "request of the person").index
    erasure.confirm(second.ground(), entry)


def _changed(range_: Range, actors: Mapping[str, Any], record: int) -> tuple[str, str, bytes]:
    """One plain value is another, and the list of its batch and home fits. The list as it was."""
    contract = range_.acting().home.contracts[actors["dataset"]]
    with range_.administrator() as administrator:
        query = sql.SQL("UPDATE {} SET {} = %s WHERE record = %s RETURNING home, batch_in, version").format(
            sql.Identifier("district", contract.dataset), sql.Identifier(actors["field"])
        )
        ((home, batch, version),) = administrator.execute(query, (actors["value"], record)).fetchall()
        item = written.of_record(administrator, contract, home, record, version, 0)[home]
        ((rows,),) = administrator.execute(
            "SELECT rows FROM district.written WHERE (batch, home) = (%s, %s)", (batch, home)
        ).fetchall()
        old = bytes(rows)
        items = [old[at : at + ROW.itemsize] for at in range(0, len(old), ROW.itemsize)]
        new = b"".join(item if each[:_HEAD] == item[:_HEAD] else each for each in items)
        _write(administrator, batch, home, new)
    return batch, home, old


def _put_list_back(range_: Range, old: tuple[str, str, bytes]) -> None:
    with range_.administrator() as administrator:
        _write(administrator, *old)


def _write(administrator: psycopg.Connection, batch: str, home: str, rows: bytes) -> None:
    administrator.execute(
        "UPDATE district.written SET rows = %s WHERE (batch, home) = (%s, %s)", (rows, batch, home)
    )
