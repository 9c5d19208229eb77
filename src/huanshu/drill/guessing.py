"""Counting what cannot be opened: a frequency attack on stolen links, tokens and sealed names, with public statistics.

No range: the sealing engine alone is attacked, over a made-up population with the surnames of the simulator's lexicon.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa

from huanshu.drill.definition import Drill
from huanshu.drill.verbs import ATTACK, CONTROL, TWIN, Arm
from huanshu.errors import Text
from huanshu.sealing import CellContext, link, link_column, new_key, seal_values, token_column
from huanshu.sealing.keys import data_key, link_key, token_key
from huanshu.simulator.lexicon import FAMILIES, FAMILY_SHARES

#: Surnames, commonest first: what anybody can look up.
_PUBLIC: Final = [FAMILIES[n] for n in np.argsort(-FAMILY_SHARES)]


def counted_links(home: Path, drill: Drill) -> list[Arm]:  # noqa: ARG001 - no range: sealing alone is attacked
    """The commonest token is called by the commonest name, and so on down; how many are right."""
    count, random = int(drill.actors["residents"]), np.random.default_rng(3)
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
        worst <= blind + 0.01,
        Text(
            f"{worst:.1%} of the names at most; calling everybody by the commonest name finds {blind:.1%}",
            f"最多还原 {worst:.1%} 的姓氏；一律猜最常见的姓可得 {blind:.1%}",
        ),
    )
    key = new_key(link_key("record_number"))
    by_name = {surname: link(key, "record_number", surname) for surname in FAMILIES}
    found = _recovered([by_name[surname] for surname in surnames], surnames)
    control = Arm(
        CONTROL,
        found > blind + 0.4,
        Text(
            f"if names had links, counting would find {found:.0%}",
            f"若姓名带关联值，计数即可还原 {found:.0%}",
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
