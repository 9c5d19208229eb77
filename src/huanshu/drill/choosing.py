"""Who is counted, chosen by the asker: a statistician who has the store's password too, by verb.

What he may ask is judged against all he was told; so he sees to it that he is told of other people than it seems. He
takes one resident out and gives all others new numbers in the store: two legal numbers of two groups that do not meet,
and between them the one resident. No role of the district may do more to these tables than the one that he has here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path
from typing import Any, Final

import psycopg
from psycopg import sql

from huanshu.catalog import Contract
from huanshu.drill.careless import CountsAnyRow
from huanshu.drill.definition import Drill
from huanshu.drill.range import Range
from huanshu.drill.registers import take_in_register
from huanshu.drill.verbs import ATTACK, CONTROL, TWIN, Arm
from huanshu.errors import DeniedError, HuanshuError, TamperedError, Text
from huanshu.gate.count import AskedCount, count

_OTHERS: Final = 1_000_000


def chosen_members(home: Path, drill: Drill) -> list[Arm]:
    """Everybody but one, under new numbers; then one person's cell in every row; then what is no statistic at all."""
    actors = drill.actors
    with Range(home) as range_:
        old, expected = _prepared(range_, actors)
        told = _ask(range_, actors)
        refused = [_ask(range_, actors, where=where) for where in actors["never"]]
        entries = [entry.event for entry in range_.acts()[-len(refused) :]]
        _choose(range_, actors, old)
        without = _ask(range_, actors)
        _put_everywhere(range_, actors, old)
        copied = _ask(range_, actors)
        stopped = (
            all(isinstance(each, TamperedError) for each in (without, copied))
            and all(isinstance(each, DeniedError) for each in refused)
            and entries == ["access.request.denied"] * len(refused)
        )
        attack = Arm(
            ATTACK,
            stopped,
            Text(
                "the store is not as the log says, so nothing is counted over it; names, numbers and a band of one year"
                " are refused, and the log says so",
                "库与日志不符即不予统计；姓名、号码及一岁的年龄段一律拒绝并留痕",
            ),
        )
        twin = Arm(
            TWIN,
            told == expected,
            Text(f"before that the number is told, and right: {told}", f"此前照常给出且正确：{told} 人"),
        )
    with Range(home, rows=CountsAnyRow) as open_range:
        old, expected = _prepared(open_range, actors)
        before = _ask(open_range, actors)
        _choose(open_range, actors, old)
        after = _ask(open_range, actors)
        control = Arm(
            CONTROL,
            (before, after) == (expected, expected - 1),
            Text(
                "a keeper that believes the store tells both numbers, and by their difference the age of one resident",
                "若钥匙保管轻信库中内容，则两个数字均会给出，相减即知一名居民的年龄段",
            ),
        )
    return [attack, control, twin]


VERBS: Final[Mapping[str, Callable[[Path, Drill], list[Arm]]]] = {"chosen_members": chosen_members}


def _prepared(range_: Range, actors: Mapping[str, Any]) -> tuple[int, int]:
    """Take a simulated register in. The record of one old resident of the zone, and how many old ones there are."""
    rows, running = take_in_register(range_, actors), range_.acting()
    contract, today = running.home.contracts[actors["dataset"]], range_.clock().date()
    homes = {each.code for each in running.home.policies.domains.below(actors["zone"], "community")}
    old = [
        row
        for row in rows
        if row[contract.home_field] in homes and _age(str(row[actors["field"]]), today) >= actors["age"]
    ]
    with running.district() as store:
        found = (_known_by_sight(store, contract, row) for row in old)
        return next(record for record in found if record is not None), len(old)


def _age(born: str, today: date) -> int:
    day = date.fromisoformat(born)
    return today.year - day.year - ((today.month, today.day) < (day.month, day.day))


def _known_by_sight(store: psycopg.Connection, contract: Contract, row: Mapping[str, Any]) -> int | None:
    """The record of somebody whom nobody else is like in what lies plain: where he lives, since when."""
    names = [field.name for field in contract.plain_fields]
    alike = sql.SQL(" AND ").join(
        sql.SQL("{} IS NOT DISTINCT FROM %s").format(sql.Identifier(name)) for name in names
    )
    query = sql.SQL("SELECT record FROM {} WHERE {}").format(
        sql.Identifier("district", contract.dataset), alike
    )
    found = store.execute(query, [row[name] for name in names]).fetchall()
    return int(found[0][0]) if len(found) == 1 else None


def _choose(range_: Range, actors: Mapping[str, Any], record: int) -> None:
    table = sql.Identifier("district", actors["dataset"])
    with range_.acting().district() as store:
        store.execute(
            sql.SQL("UPDATE {} SET batch_out = batch_in WHERE record = %s").format(table), (record,)
        )
        store.execute(sql.SQL("UPDATE {} SET subjects = ARRAY[subjects[1] + %s]").format(table), (_OTHERS,))


def _put_everywhere(range_: Range, actors: Mapping[str, Any], record: int) -> None:
    table, field = sql.Identifier("district", actors["dataset"]), sql.Identifier(actors["field"])
    query = sql.SQL("UPDATE {t} SET {f} = (SELECT {f} FROM {t} WHERE record = %s LIMIT 1)")
    with range_.acting().district() as store:
        store.execute(query.format(t=table, f=field), (record,))


def _ask(
    range_: Range, actors: Mapping[str, Any], where: Mapping[str, str] | None = None
) -> int | HuanshuError | None:
    running = range_.acting(actors["person"])
    conditions = {actors["field"]: f"{actors['age']}+"} if where is None else where
    asked = AskedCount(
        actors["post"], actors["dataset"], actors["purpose"], (actors["zone"],), where=conditions
    )
    try:
        return count(running.home, running.keeper, running.district, asked).total
    except HuanshuError as error:
        return error
    finally:
        running.keeper.close()
