"""``huanshu count``: how many people, never how few."""

from __future__ import annotations

from typing import Annotated

import typer

from huanshu.assembly import running
from huanshu.cli.context import CONTEXT
from huanshu.errors import InputError, Text
from huanshu.gate.count import AskedCount
from huanshu.gate.count import count as count_people


def count(
    dataset: Annotated[str, typer.Argument(help="Dataset.")],
    zone: Annotated[
        list[str],
        typer.Option(help="A community, or what lies above; may be given several times. 统计范围。"),
    ],
    post: Annotated[str, typer.Option(help="The post you act in.")],
    purpose: Annotated[str, typer.Option(help="The registered purpose.")] = "",
    by: Annotated[str, typer.Option(help="A field to break the number down by. 分组字段。")] = "",
    bands: Annotated[
        str,
        typer.Option(help="With --by a sealed date: bands of ages, as 0-17,18-59,60+. 按日期分组的年龄段。"),
    ] = "",
    where: Annotated[
        list[str] | None,
        typer.Option(
            help="field=value; of a sealed date a band of ages (65+, 0-6); may be given several times. 筛选条件。"
        ),
    ] = None,
) -> None:
    """Count people in some zones. Numbers below the dataset's minimum group are withheld, and so is whatever would tell
    one by taking numbers from each other. The question is an entry. Over a sealed date or code the keeper counts: no
    value leaves it. 统计人数；不足下限及可推算者不予显示；密封的日期与代码由钥匙保管代为统计，数值不外出。

    Example: huanshu --as p.song count resident --zone 990101001001 --zone 990101001002 --post district.cdo
    --purpose grassroots_service --by sex --where residence_kind=1

    Example: huanshu --as p.song count resident --zone 990101001001 --post district.cdo --purpose grassroots_service
    --by grid --where birth_date=65+"""
    pairs = [each.partition("=") for each in where or ()]
    if any(not name or not equals for name, equals, _ in pairs) or len({p[0] for p in pairs}) != len(pairs):
        raise InputError(
            "cli.count.unclear",
            Text("--where is field=value, each field once", "--where 须为 字段=值，每个字段一次"),
        )
    conditions = {name: value for name, _, value in pairs}
    wanted = tuple(filter(None, bands.split(",")))
    asked = AskedCount(post, dataset, purpose, tuple(zone), by or None, conditions, wanted)
    with running(CONTEXT.settings, CONTEXT.acting_as) as here:
        answer = count_people(here.home, here.keeper, here.district, asked)
    few = Text(
        f"withheld (fewer than {answer.minimum}, or would tell)",
        f"不予显示（少于 {answer.minimum} 或可推算）",
    )
    CONTEXT.speech.table(
        Text(f"People — entry {answer.entry}", f"人数 — 条目 {answer.entry}"),
        [Text(by or "zones", by or "范围"), Text("people", "人数")],
        [*answer.cells.items(), (Text("total", "合计"), few if answer.total is None else answer.total)],
    )
    CONTEXT.speech.result(answer)
