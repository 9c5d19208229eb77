"""``huanshu keys``: what stands under which epoch, and how it is rotated. Never shows a key."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from huanshu.assembly import running
from huanshu.cli import custody
from huanshu.cli.context import CONTEXT
from huanshu.cli.holds import DryRun
from huanshu.cli.inventory import inventory
from huanshu.errors import Text
from huanshu.exchange.rotation import look
from huanshu.exchange.rotation import rotate as carry_out

app = typer.Typer(no_args_is_help=True, help="Keys: status, rotation, destruction, recovery. 密钥。")
for command in (
    inventory, custody.destroy, custody.erase, custody.copy, custody.confirm, custody.apply, custody.rehearse
):  # fmt: skip
    app.command()(command)
Datasets = Annotated[list[str] | None, typer.Argument(help="Only these datasets (default: all).")]


@app.command()
def rotate(datasets: Datasets = None, dry_run: DryRun = False) -> None:
    """Seal everything anew under the epoch in force (policies/keys.yaml), while reads go on; then make links anew.

    First a security officer raises epoch (or link_generation) and adopts it. The platform's account carries it out; run
    again, it goes on where it was interrupted. Exit code 5: a person asked, whose process is lent no such keys.
    Example: huanshu keys rotate --dry-run"""
    with running(CONTEXT.settings, CONTEXT.acting_as) as here:
        ground = here.ground(_told)
        standings, generation = look(ground, datasets or ())
        wanted = here.home.policies.keys.link_generation
        done = [] if dry_run else carry_out(ground, datasets or (), links=not datasets)
    if dry_run:
        for each in standings:
            CONTEXT.speech.tell(
                Text(
                    f"{each.dataset}: {each.outstanding} rows to seal under epoch {each.epoch}",
                    f"{each.dataset}：{each.outstanding} 行待以第 {each.epoch} 版密钥重新密封",
                )
            )
        if generation < wanted:
            CONTEXT.speech.tell(
                Text(
                    f"links: generation {generation} → {wanted}",
                    f"关联值：第 {generation} 代 → 第 {wanted} 代",
                )
            )
        CONTEXT.speech.result({"datasets": standings, "links": {"generation": generation, "wanted": wanted}})
        return
    CONTEXT.speech.table(
        Text("Rotated", "已轮换"),
        [Text("dataset", "数据集"), Text("what", "内容"), Text("rows", "行数"), Text("entry", "条目")],
        [(each.dataset, _WHAT[each.what], each.rows, each.entry) for each in done],
    )
    CONTEXT.speech.result(done)


def _told(what: str, done: int, total: int) -> None:
    """To standard error, now and then: a rotation takes minutes, and a person waits."""
    if done % 20 == 0 or done == total:
        CONTEXT.speech.err.print(
            CONTEXT.speech.say(Text(f"{what}: {done} of {total} homes", f"{what}：{done}/{total} 个社区")),
            markup=False,
        )


_WHAT = {"cells": Text("values", "密封值"), "links": Text("links", "关联值")}


def of_what(waiting: Mapping[str, Any]) -> Text:
    """What a second person would agree to, in words."""
    why = waiting.get("reason") or waiting.get("case")
    if "subjects" in waiting:
        dataset, count = waiting["dataset"], waiting["subjects"]
        return Text(f"{count} persons of {dataset}: {why}", f"{dataset} 的 {count} 名主体：{why}")
    if "selector" in waiting:
        named = ", ".join(f"{part} {name}" for part, name in sorted(waiting["selector"].items()))
        return Text(f"{waiting['keys']} keys ({named}): {why}", f"{waiting['keys']} 个密钥（{named}）：{why}")
    return Text(str(why), str(why))


@app.command()
def status() -> None:
    """Under which epochs values lie, what waits for a rotation, and what waits for a second person; no key.

    Example: huanshu keys status --json"""
    with running(CONTEXT.settings, CONTEXT.acting_as) as here:
        standings, generation = look(here.ground())
        keys, held = here.home.policies.keys, here.keeper.custody()
    CONTEXT.speech.table(
        Text(
            f"Epoch {keys.epoch}, links of generation {generation}",
            f"当前第 {keys.epoch} 版密钥，关联值第 {generation} 代",
        ),
        [
            Text("dataset", "数据集"),
            Text("rows by epoch", "各版行数"),
            Text("corrections behind", "待轮换更正"),
            Text("quarantined behind", "待轮换隔离行"),
            Text("slices due again", "待重新下发"),
            Text("under way", "进行中"),
        ],
        [
            (
                each.dataset,
                ", ".join(f"{epoch}: {count}" for epoch, count in each.rows.items()),
                each.behind["corrections"],
                each.behind["quarantined"],
                each.behind["slices"],
                each.under_way or "—",
            )
            for each in standings
        ],
    )
    CONTEXT.speech.table(
        Text("Waiting for a second person", "待第二人确认"),
        [
            Text("entry", "条目"),
            Text("what", "事项"),
            Text("of what", "内容"),
            Text("by", "提请人"),
            Text("until", "截止"),
        ],
        [
            (
                each["entry"],
                each["event"],
                CONTEXT.speech.say(of_what(each)),
                each["person"],
                each["until"][:10],
            )
            for each in held["waiting"]
        ],
    )
    CONTEXT.speech.result(
        {
            **held,
            "epoch": keys.epoch,
            "links": {"generation": generation, "wanted": keys.link_generation},
            "datasets": standings,
        }
    )
