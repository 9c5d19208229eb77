"""``huanshu receipt``: list and sign."""

from __future__ import annotations

from typing import Annotated

import typer

from huanshu.assembly import running
from huanshu.cli.context import CONTEXT
from huanshu.errors import Text
from huanshu.exchange.receipts import receipts as all_receipts
from huanshu.exchange.receipts import sign as sign_for

app = typer.Typer(no_args_is_help=True, help="Receipts of deliveries: list, sign. 回执。")


@app.command("list")
def list_receipts() -> None:
    """Arrived deliveries and who signed for them.  Example: huanshu receipt list"""
    with running(CONTEXT.settings, CONTEXT.acting_as) as here, here.district() as district:
        found = all_receipts(district)
    CONTEXT.speech.table(
        Text("Receipts", "回执"),
        [
            Text("receiver", "接收方"),
            Text("arrived", "到达条目"),
            Text("records", "记录"),
            Text("withdrawn", "撤回"),
            Text("signed", "签收条目"),
        ],
        [
            (r.receiver, r.arrived, r.count, r.withdrawn, r.signed if r.signed is not None else "—")
            for r in found
        ],
    )
    CONTEXT.speech.result(found)


@app.command()
def sign(receiver: Annotated[str, typer.Argument(help="Domain code of the receiver.")]) -> None:
    """Sign for what arrived, as a holder of a post in the receiving domain.

    Example: huanshu --as p.tang receipt sign 990101001001"""
    with running(CONTEXT.settings, CONTEXT.acting_as) as here:
        signed = sign_for(here.ground(), receiver)
    CONTEXT.speech.tell(Text(f"signed: {len(signed)} deliveries", f"已签收 {len(signed)} 次交付"))
    CONTEXT.speech.result([ticket.index for ticket in signed])
