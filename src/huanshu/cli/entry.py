"""Assembling the command line and turning errors into words and exit codes, in one place."""

from __future__ import annotations

import sys

import typer

from huanshu.cli import (
    accesses,
    audits,
    authoring,
    backups,
    changes,
    cheats,
    checks,
    corrections,
    counts,
    drills,
    emergencies,
    flows,
    holds,
    keys,
    limits,
    policies,
    quarantine,
    receipts,
    records,
    reopening,
    reports,
    revoking,
    simulation,
    stacks,
    workbooks,
)
from huanshu.cli.context import CONTEXT, hoist
from huanshu.defects import frames, silence, unforeseen
from huanshu.errors import HuanshuError, Text

app = typer.Typer(
    name="huanshu",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="还数 Huanshu: gives every community exactly its slice, and proves who saw what. 每一次访问，先留痕，后开启。",
)
flows.app.command()(holds.hold)
flows.app.command()(holds.release)
flows.app.command()(holds.recall)
flows.app.command("holds")(holds.list_holds)
accesses.app.command()(revoking.revoke)
accesses.app.command("budget")(limits.budget)
accesses.app.command("raise")(limits.raise_)
app.add_typer(flows.app, name="flow")
app.add_typer(authoring.datasets, name="dataset")
app.add_typer(receipts.app, name="receipt")
app.add_typer(policies.app, name="policy")
app.add_typer(policies.senders, name="sender")
app.add_typer(keys.app, name="keys")
app.add_typer(records.app, name="record")
app.add_typer(quarantine.app, name="quarantine")
app.add_typer(corrections.app, name="correction")
app.add_typer(workbooks.app, name="workbook")
accesses.app.command("plan")(changes.plan)
accesses.app.command("test")(changes.test)
accesses.app.command("lint")(changes.lint_rules)
app.add_typer(accesses.app, name="access")
audits.app.command("reopen")(reopening.reopen)
app.add_typer(emergencies.app, name="emergency")
app.add_typer(audits.app, name="audit")
app.add_typer(drills.app, name="drill")
app.add_typer(cheats.app, name="cheat")
app.add_typer(reports.app, name="report")
app.add_typer(checks.domains, name="domains")
for command in (checks.check, stacks.status, stacks.verify, stacks.up, stacks.demo, simulation.simulate):
    app.command()(command)
app.command()(counts.count)
app.command()(backups.backup)
app.command()(backups.restore)
app.command("init")(authoring.init)
app.command("schema")(authoring.write_schema)
flows.app.command("new")(authoring.new_flow)
app.command(hidden=True)(stacks.keeper)


@app.callback()
def common(
    as_json: bool = typer.Option(False, "--json", help="Answer as one JSON document. 以 JSON 输出。"),
    lang: str = typer.Option("", "--lang", help="zh or en (default: HUANSHU_LANG, LANG, zh)."),
    acting_as: str = typer.Option("", "--as", help="Act as a fictional person; sandbox only. 仅限演练环境。"),
    show_frames: bool = typer.Option(
        False,
        "--frames",
        help="For developers: after a fault, the calls to it; no values. 开发者排错：调用路径。",
    ),
) -> None:
    """Options that every command understands."""
    CONTEXT.choose(lang, acting_as or None, as_json=as_json, frames=show_frames)


def main() -> None:
    """Entry point of ``huanshu``. Whatever comes up to here leaves as words of ours."""
    silence()
    try:
        app(hoist(sys.argv[1:]))
    except HuanshuError as error:
        CONTEXT.speech.fail(error)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        CONTEXT.speech.err.print(
            CONTEXT.speech.say(
                Text("interrupted; run the same command again to go on", "已中断；重新运行同一命令即可继续")
            )
        )
        sys.exit(130)
    except SystemExit:
        raise
    except BaseException as error:  # noqa: BLE001 - foreign; a panic of a Rust library is no Exception
        CONTEXT.speech.fail(told := unforeseen(error))
        if CONTEXT.frames:
            CONTEXT.speech.err.print("\n".join(frames(error)), markup=False)
        sys.exit(told.exit_code)
