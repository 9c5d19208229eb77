"""Recovery rehearsed: does the copy that another office keeps really open this deployment's keys?

Two custodians open the copy; every stored key is unwrapped with it, in memory, and nothing is kept or shown. A copy
that opens and does not fit is found here, not on the day it is needed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from huanshu.assembly.running import Running
from huanshu.errors import InputError, Text
from huanshu.sealing.escrow import open_among
from huanshu.sealing.keys import KeyName, root_of
from huanshu.store import connect


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """A copy that opens all ``keys`` stored keys; ``entry`` says so in the log."""

    copy: str
    keys: int
    entry: int


def rehearse(here: Running, copy: bytes, passphrases: Sequence[str]) -> Rehearsed:
    """InputError when these two do not open it, TamperedError when it is not the root of these keys."""
    root = root_of(open_among(passphrases, here.home.log_origin.encode(), copy))
    with connect(here.deployment.roles["huanshu_keeper"]) as connection:
        rows = connection.execute("SELECT name, wrapped FROM keys.wrapped ORDER BY name").fetchall()
    if not rows:
        raise InputError(
            "keys.rehearsal.empty",
            Text("there is no key yet to try the copy on", "尚无密钥可供演练"),
            remedy=Text("take in an extract first", "请先接收一期数据"),
        )
    for name, wrapped in rows:
        root.unwrap(KeyName(name), bytes(wrapped))
    digest = hashlib.sha256(copy).hexdigest()
    claim = {"event": "keys.escrow.rehearsed", "detail": {"copy": digest, "keys": len(rows)}}
    return Rehearsed(digest, len(rows), here.keeper.append(claim).index)
