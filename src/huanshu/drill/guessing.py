"""Counting what cannot be opened: a frequency attack on stolen links, tokens and sealed names, with public statistics.

In a range the whole district store is stolen; purposes' tokens, and more residents than a range takes in, are attacked
by the sealing engine alone, over a made-up population. Surnames are those of the simulator's lexicon.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa

from huanshu.drill.definition import Drill
from huanshu.drill.range import Range
from huanshu.drill.registers import cells, take_in_register, vault
from huanshu.drill.verbs import ATTACK, CONTROL, TWIN, Arm
from huanshu.errors import Text
from huanshu.sealing import CellContext, link, link_column, new_key, seal_values, token_column
from huanshu.sealing.keys import data_key, link_key, token_key
from huanshu.simulator.lexicon import FAMILIES, FAMILY_SHARES

_ONE_PER_CENT: Final = 0.01
_MUCH: Final = 0.4
#: Of a few thousand residents the rarer names come in no certain order.
_SOME: Final = 0.15
#: Columns that a store of residents has at least.
_MANY: Final = 10
#: Surnames, commonest first: what anybody can look up.
_PUBLIC: Final = [FAMILIES[n] for n in np.argsort(-FAMILY_SHARES)]


def counted_links(home: Path, drill: Drill) -> list[Arm]:
    """The commonest token is called by the commonest name, and so on down; how many are right."""
    with Range(home) as range_:
        take_in_register(range_, drill.actors)
        in_store = _in_store(range_, drill.actors)
    count, random = int(drill.actors["made_up"]), np.random.default_rng(3)
    surnames = [FAMILIES[n] for n in random.choice(len(FAMILIES), count, p=FAMILY_SHARES)]
    numbers = pa.array([f"99010119{n:09d}X" for n in (np.arange(count) * 7919 % 10**8).tolist()])
    phones = pa.array(
        [f"139{n * 7919 % 10**8:08d}" for n in np.sort(random.integers(0, count // 3, count)).tolist()]
    )
    stolen = {"names": _sealed(surnames)}
    for kind, values in (("citizen_number", numbers), ("phone", phones)):
        links = link_column(new_key(link_key(kind)), kind, values)
        stolen[f"links of {kind}"] = list(map(bytes, links))
        stolen[f"tokens of {kind}"] = list(map(bytes, token_column(new_key(token_key("a", kind)), links)))
    blind = max(Counter(surnames).values()) / count
    right = {what: _recovered(tokens, surnames) for what, tokens in stolen.items()}
    worst = max(right.values())
    attack = Arm(
        ATTACK,
        worst <= blind + _ONE_PER_CENT
        and in_store.worst <= in_store.blind + _ONE_PER_CENT
        and in_store.columns > _MANY,
        Text(
            f"from {in_store.columns} columns of a stolen district store {in_store.worst:.1%} of the surnames at most,"
            f" where calling everybody by the commonest one finds {in_store.blind:.1%};"
            f" from tokens {worst:.1%} and {blind:.1%}",
            f"被盗区级库的 {in_store.columns} 列中最多还原 {in_store.worst:.1%} 的姓氏，一律猜最常见的姓可得"
            f" {in_store.blind:.1%}；令牌分别为 {worst:.1%} 与 {blind:.1%}",
        ),
    )
    key = new_key(link_key("record_number"))
    by_name = {surname: link(key, "record_number", surname) for surname in FAMILIES}
    found = _recovered([by_name[surname] for surname in surnames], surnames)
    control = Arm(
        CONTROL,
        found > blind + _MUCH and in_store.linked > in_store.blind + _SOME,
        Text(
            f"if surnames had links, counting would find {found:.0%}, and {in_store.linked:.0%} of those in the store",
            f"若姓氏带关联值，计数即可还原 {found:.0%}，库中居民则为 {in_store.linked:.0%}",
        ),
    )
    key = new_key(link_key("phone"))
    spelt = {bytes(row) for row in link_column(key, "phone", pa.array(["+86 139-0000-0001", "13900000001"]))}
    twin = Arm(
        TWIN,
        len(spelt) == 1,
        Text("two spellings of one telephone still match", "同一号码的两种写法仍可匹配"),
    )
    return [attack, control, twin]


@dataclass(frozen=True, slots=True)
class _Found:
    """Shares of surnames: called by the commonest, by the best column of the store, and if surnames had links."""

    columns: int
    blind: float
    worst: float
    linked: float


def _in_store(range_: Range, actors: Mapping[str, Any]) -> _Found:
    """What counting finds in each column of bytes of the district store, one resident after the other."""
    dataset, field = actors["dataset"], actors["field"]
    with vault(range_) as keys:
        names = [str(each.open(keys.key(each.key, born=False))) for each in cells(range_, dataset, [field])]
    surnames = [next((s for s in (name[:2], name[:1]) if s in _PUBLIC), name) for name in names]
    contract = range_.acting().home.contracts[dataset]
    columns = [f"link_{each.name}" for each in contract.fields if each.link_kind]
    columns += ["mark", *(each.name for each in contract.sealed_fields)]
    stolen = [[each.sealed for each in cells(range_, dataset, [column])] for column in columns]
    key = new_key(link_key("record_number"))
    linked = {surname: link(key, "record_number", surname) for surname in set(surnames)}
    return _Found(
        len(columns),
        max(Counter(surnames).values()) / len(surnames),
        max(_recovered(column, surnames) for column in stolen),
        _recovered([linked[surname] for surname in surnames], surnames),
    )


def _sealed(surnames: Sequence[str]) -> list[bytes]:
    context, rows = CellContext("d", "s", "name", "reveal", 1), len(surnames)
    key = new_key(data_key("d", "s", "name", 1))
    cells: list[bytes] = seal_values(
        key, context, np.arange(rows), np.ones(rows, np.int32), pa.array(surnames), 60
    ).to_pylist()
    return cells


def _recovered(tokens: Sequence[bytes], surnames: Sequence[str]) -> float:
    """The share that is called by its right name; who is left over is called by the commonest."""
    ranked = [token for token, _ in Counter(tokens).most_common()]
    guess = {token: _PUBLIC[rank] if rank < len(_PUBLIC) else _PUBLIC[0] for rank, token in enumerate(ranked)}
    return float(np.mean([guess[token] == name for token, name in zip(tokens, surnames, strict=True)]))


VERBS: Final[Mapping[str, Callable[[Path, Drill], list[Arm]]]] = {"counted_links": counted_links}
