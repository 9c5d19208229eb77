"""``huanshu simulate``: extracts of a fictional district, for demonstrations, benchmarks and trials of a new home."""

from __future__ import annotations

from collections.abc import Collection
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from huanshu.catalog import Home, read_home
from huanshu.catalog.words import hint
from huanshu.cli.context import CONTEXT
from huanshu.errors import InputError, Text
from huanshu.simulator import DATASETS, FORMS, Form, Scale, Simulation, Written, write
from huanshu.simulator.kinds import KINDS


def simulate(
    out: Annotated[Path, typer.Option(help="Folder to write into; made when missing.")],
    residents: Annotated[int, typer.Option(help="People in period 1.")] = 1300,
    enterprises: Annotated[int | None, typer.Option(help="Default: 290 for every 1300 residents.")] = None,
    events: Annotated[int | None, typer.Option(help="Default: 200 for every 1300 residents.")] = None,
    dataset: Annotated[list[str] | None, typer.Option(help="Only this dataset; may be repeated.")] = None,
    period: Annotated[int, typer.Option(help="1 is the first register, 2 the same a month later, …")] = 1,
    seed: Annotated[int, typer.Option(help="The same seed gives the same bytes.")] = 1,
    form: Annotated[str, typer.Option("--format", help="csv, gb18030, xlsx, parquet or postgresql.")] = "csv",
    url: Annotated[
        str, typer.Option(help="The database of --format postgresql: table source.<dataset>.")
    ] = "",
    defects: Annotated[
        int | None,
        typer.Option(min=0, help="Rows to spoil in each dataset (default: one of every kind; 0: none)."),
    ] = None,
    kind: Annotated[
        list[str] | None,
        typer.Option(help="Only this kind of error; may be repeated. Names: the truth lists them."),
    ] = None,
    swap: Annotated[str, typer.Option(help="Two communities whose codes are confused: A,B.")] = "",
) -> None:
    """Make the extracts of a fictional district: registers, planted errors with their truth, manifests to sign.

    Works for any home with these datasets: resident, enterprise, grid_event, vaccination_due. 生成虚构区的报送文件。

    Examples:

    huanshu simulate --out /tmp/extracts --residents 20000

    huanshu simulate --out /tmp/extracts --residents 20000 --period 2 --format gb18030 --dataset resident

    huanshu simulate --out /tmp/extracts --period 2 --swap 990101001001,990101001002 --defects 0"""
    home = read_home(CONTEXT.settings.home)
    chosen = _form(form)
    known = sorted({found.name for kinds in KINDS.values() for found in kinds})
    for name in kind or ():
        if name not in known:
            raise _unknown("simulator.kind.unknown", Text("kind of error", "错误种类"), name, known)
    if seed < 0:
        raise InputError("simulator.seed.negative", Text("a seed is not negative", "种子不能为负"))
    scale = Scale.of(residents, enterprises, events)
    simulation = Simulation(home, seed, scale, _datasets(home, dataset), _swap(swap))
    written: list[Written] = []
    with Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
        console=CONTEXT.speech.err, disable=CONTEXT.speech.as_json, transient=True,
    ) as progress:  # fmt: skip
        for name in simulation.datasets:
            task = progress.add_task(CONTEXT.speech.say(home.contracts[name].title), total=None)
            extract = simulation.extract(name, period, defects=defects, kinds=tuple(kind or ()))
            progress.update(task, total=extract.rows)
            told = partial(progress.advance, task)
            written.append(write(home, extract, out, chosen, url=url, told=told))
    _say(home, written)


def _say(home: Home, written: list[Written]) -> None:
    speech = CONTEXT.speech
    speech.table(
        Text("Extracts of a fictional district", "虚构区报送文件"),
        [
            Text("dataset", "数据集"),
            Text("period", "期"),
            Text("rows", "行数"),
            Text("rows with errors", "含错误的行"),
            Text("file", "文件"),
        ],
        [(home.contracts[w.dataset].title, w.period, w.rows, w.defects, w.file) for w in written],
    )
    if written:
        speech.tell(
            Text(
                "beside each: its truth (*.truth.json) and the manifest to sign (*.unsigned.json)",
                "同目录另有：错误与变动清单（*.truth.json）、待签名的清单（*.unsigned.json）",
            )
        )
    speech.result(
        [
            {
                "dataset": w.dataset,
                "period": w.period,
                "rows": w.rows,
                "defects": w.defects,
                "file": str(w.file),
                "truth": str(w.truth),
                "manifest": str(w.manifest),
                "sha256": w.sha256,
            }
            for w in written
        ]
    )


def _form(given: str) -> Form:
    for form in FORMS:
        if form == given:
            return form
    raise _unknown("simulator.format.unknown", Text("format", "格式"), given, FORMS)


def _datasets(home: Home, given: list[str] | None) -> tuple[str, ...]:
    """Those asked for, or all that the home has and the simulator knows."""
    here = [name for name in DATASETS if name in home.contracts]
    for name in given or ():
        if name not in here:
            raise _unknown("simulator.dataset.unknown", Text("dataset", "数据集"), name, here)
    if not here:
        raise InputError(
            "simulator.dataset.none",
            Text("this home has none of the simulator's datasets", "该治理目录没有模拟器支持的数据集"),
            remedy=Text(f"it knows {', '.join(DATASETS)}", f"支持：{'、'.join(DATASETS)}"),
        )
    return tuple(given or here)


def _swap(given: str) -> tuple[str, str] | None:
    if not given:
        return None
    one, _, other = given.partition(",")
    if not one.strip() or not other.strip() or one.strip() == other.strip():
        raise InputError(
            "simulator.swap.malformed",
            Text("--swap takes two community codes: A,B", "--swap 须为两个社区代码：A,B"),
        )
    return one.strip(), other.strip()


def _unknown(code: str, what: Text, given: str, known: Collection[str]) -> InputError:
    return InputError(
        code,
        Text(f"{what.en} “{given[:40]}” does not exist", f"{what.zh}“{given[:40]}”不存在"),
        remedy=hint(given, known),
    )
