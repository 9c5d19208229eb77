"""``huanshu keys``: what is sealed, linked and signed with what. Never shows a key."""

from __future__ import annotations

import typer

from huanshu.cli.inventory import inventory

app = typer.Typer(no_args_is_help=True, help="Keys and cryptography. 密钥与密码应用。")
app.command()(inventory)


@app.callback()
def keys() -> None:
    """Keys and cryptography. 密钥与密码应用。"""
