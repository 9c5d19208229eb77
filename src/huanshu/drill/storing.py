"""Attacks on the district store by its administrator, who holds no key: rows put back, changed, taken away."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from huanshu.drill.definition import Drill
from huanshu.drill.range import Range
from huanshu.drill.verbs import ATTACK, CONTROL, TWIN, Arm
from huanshu.errors import Text
from huanshu_verify import STEPS

_STORE: Final = "7 store"


def restored_row(home: Path, drill: Drill) -> list[Arm]:
    """The administrator ends a resident's newest version, as if last month's still held."""
    actors = drill.actors
    dataset, intake = actors["dataset"], actors["intake"]
    with Range(home) as range_:
        range_.take_in(intake, 1, _extract(range_, actors, 1))
        range_.take_in(intake, 2, _extract(range_, actors, 2))
        clean = range_.verify()
        twin = Arm(
            TWIN,
            clean.clean and clean.stored > 0,
            Text("two honest extracts verify", "两次正常报送核验通过"),
        )
        with range_.administrator() as administrator:
            table = f"district.{dataset}"
            rows = administrator.execute(f"DELETE FROM {table} WHERE version = 2 RETURNING record".encode())
            records = sorted(record for (record,) in rows)
            administrator.execute(
                f"UPDATE {table} SET batch_out = NULL WHERE version = 1 AND record = ANY(%s)".encode(),
                (records,),
            )
        report = range_.verify()
        found = {problem.at for problem in report.problems if problem.step == _STORE}
        stopped = bool(records) and found == {f"{dataset} record {record}" for record in records}
        attack = Arm(
            ATTACK,
            stopped,
            Text(
                f"the verifier names every one of the {len(records)} records",
                f"核验逐一指出全部 {len(records)} 条记录",
            )
            if stopped
            else Text(f"found at {sorted(found)}", f"仅发现 {sorted(found)}"),
        )
        blind = range_.verify([step for step in STEPS if step[0] != _STORE])
        control = Arm(
            CONTROL,
            blind.clean,
            Text("without the lists that entries bind nobody notices", "不核对日志所载清单则无人察觉"),
        )
    return [attack, control, twin]


def _extract(range_: Range, actors: Mapping[str, str], month: int) -> bytes:
    """The passing sample; in another month, everybody's value of one field is another."""
    sample = range_.settings.home / "expectations" / actors["dataset"] / "samples" / "passing.csv"
    lines = sample.read_text(encoding="utf-8").splitlines()
    place = lines[0].split(",").index(actors["field"])
    changed = [line.split(",") for line in lines[1:]]
    for cells in changed:
        cells[place] = f"{actors['value']}{month}"
    return "\n".join([lines[0], *(",".join(cells) for cells in changed), ""]).encode()


VERBS: Final[Mapping[str, Callable[[Path, Drill], list[Arm]]]] = {"restored_row": restored_row}
