"""``huanshu cheat``: be the database administrator of your own sandbox, tamper, and be found.

Each command changes real rows as the administrator could, shows what finds it, and puts everything back. Only in a
sandbox with an embedded server. Exit code 7 when the tampering was found (as it must be), 1 when it was not.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import psycopg
import typer
from psycopg import sql

from huanshu.assembly import Running, running
from huanshu.catalog import Rung
from huanshu.cli.context import CONTEXT
from huanshu.errors import InputError, TamperedError, Text
from huanshu.gate.read import Asked, read
from huanshu_verify import Options, fsck

app = typer.Typer(no_args_is_help=True, help="Try to cheat your own sandbox. 试着作弊（仅限演练环境）。")


@contextmanager
def _administrator() -> Iterator[tuple[Running, psycopg.Connection]]:
    with running(CONTEXT.settings, CONTEXT.acting_as) as here:
        if not here.keeper.status()["sandbox"] or "district" not in here.deployment.embedded:
            raise InputError(
                "cli.cheat.no_sandbox",
                Text("cheating is for sandboxes", "仅限演练环境"),
                remedy=Text("make one: huanshu demo", "可先运行：huanshu demo"),
            )
        url = psycopg.conninfo.make_conninfo(here.deployment.server("district").admin_url, dbname="huanshu")
        with psycopg.connect(url, autocommit=True) as administrator:
            yield here, administrator


@app.command("log-byte")
def log_byte(index: Annotated[int, typer.Argument(help="Entry to change.")] = 3) -> None:
    """Flip one bit of one log entry, run the verifier, put it back.

    Example: huanshu cheat log-byte 3"""
    change = "UPDATE log.entry SET leaf = set_byte(leaf, 20, get_byte(leaf, 20) # 1) WHERE index = %s"
    with _administrator() as (here, administrator):
        vkey = str(here.keeper.status()["vkey"])
        administrator.execute(change, (index,))
        try:
            problems = fsck(Options(here.deployment.roles["huanshu_app"], vkey)).problems
        finally:
            administrator.execute(change, (index,))
    if not problems:
        CONTEXT.speech.tell(Text("nobody noticed", "无人察觉"))
        raise typer.Exit(1)
    raise TamperedError(
        "cheat.log.found",
        Text(
            f"found by the verifier: {problems[0].step}, entry {problems[0].at}: {problems[0].what}",
            f"被独立核验发现：步骤 {problems[0].step}，条目 {problems[0].at}",
        ),
    )


@app.command("swap-cells")
def swap_cells(
    post: Annotated[str, typer.Option(help="The post that reads afterwards.")],
    domain: Annotated[str, typer.Option(help="The domain of both records.")],
    purpose: Annotated[str, typer.Option(help="The purpose of the reading.")],
    dataset: Annotated[str, typer.Option(help="The dataset.")] = "resident",
    field: Annotated[str, typer.Option(help="The sealed field.")] = "name",
) -> None:
    """Swap one field's ciphertexts of two residents, read one of them, put them back.

    Example: huanshu --as p.tang cheat swap-cells --post yulan.data_clerk --domain 990101001001
    --purpose grassroots_service"""
    table, column = sql.Identifier("district", dataset), sql.Identifier(field)
    with _administrator() as (here, administrator):
        rows = administrator.execute(
            sql.SQL(
                "SELECT record FROM {} WHERE batch_out IS NULL AND home = %s ORDER BY record LIMIT 2"
            ).format(table),
            (domain,),
        ).fetchall()
        first, second = (row[0] for row in rows)
        swap = sql.SQL(
            "UPDATE {0} v SET {1} = o.{1} FROM {0} o WHERE v.batch_out IS NULL AND o.batch_out IS NULL"
            " AND (v.record, o.record) IN ((%(a)s, %(b)s), (%(b)s, %(a)s))"
        ).format(table, column)
        administrator.execute(swap, {"a": first, "b": second})
        try:
            asked = Asked(post, domain, dataset, purpose, {field: Rung.REVEAL}, first)
            read(here.home, here.keeper, here.district, asked)
        finally:
            administrator.execute(swap, {"a": first, "b": second})
    CONTEXT.speech.tell(Text("nobody noticed", "无人察觉"))
    raise typer.Exit(1)
