"""``huanshu policy`` and ``huanshu sender``: what security staff put in force."""

from __future__ import annotations

from typing import Annotated

import typer

from huanshu.assembly import running
from huanshu.cli.context import CONTEXT
from huanshu.errors import Text
from huanshu.identity import adopt_policies, enrol_sender

app = typer.Typer(no_args_is_help=True, help="The policy bundle: what is read, what is in force. 策略。")
senders = typer.Typer(no_args_is_help=True, help="Senders of extracts and their keys. 报送方。")


@app.command()
def adopt(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Compare the digests only.")] = False,
) -> None:
    """Put the policies as they are read now in force (needs a security officer).

    Example: huanshu policy adopt"""
    with running(CONTEXT.settings, CONTEXT.acting_as) as here:
        status = here.keeper.status()
        if not dry_run and status["adopted"] != status["policy"]:
            adopt_policies(here.keeper, here.home)
    now, before = str(status["policy"]), str(status["adopted"])
    if now == before:
        CONTEXT.speech.tell(Text(f"in force already: {now[:16]}", f"已在生效：{now[:16]}"))
    else:
        CONTEXT.speech.tell(Text(f"{before[:16]} → {now[:16]}", f"{before[:16]} → {now[:16]}"))
    CONTEXT.speech.result({"before": before, "now": now, "dry_run": dry_run})


@senders.command()
def enrol(
    sender: Annotated[str, typer.Argument(help="Domain code of the sender.")],
    public_key: Annotated[str, typer.Argument(help="Its Ed25519 public key, 64 hex digits.")],
) -> None:
    """Accept manifests that a sender signs with this key (needs a security officer).

    Example: huanshu sender enrol dept.public_security 8a88e3dd…"""
    with running(CONTEXT.settings, CONTEXT.acting_as) as here:
        ticket = enrol_sender(here.keeper, sender, public_key)
    CONTEXT.speech.tell(Text(f"enrolled: entry {ticket.index}", f"已登记：条目 {ticket.index}"))
    CONTEXT.speech.result({"entry": ticket.index})
