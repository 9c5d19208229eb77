"""Going on after a loss: what is missing, and the one entry by which a log of the next origin begins.

A database that was restored from a backup may lack entries that were acknowledged. Going on under the same origin would
give their indices to other entries: a fork. So the log goes on under the next origin, whose first entry of its own
cites the checkpoint that was given up and the missing range. The restored entries stay what they are, below it.

Order of effects
    1. the entry and its checkpoint, signed under the next origin, in one transaction;
    2. published files of the old origin, where some lie there, are moved aside whole: perhaps the only copy of what is
       missing;
    3. the head file.
Crash points
    before 1      nothing happened.
    after 1       the head still names the checkpoint that was given up. ``finish`` does 2 and 3 at the next start: the
                  entry says that it gives up exactly this head, and our key has signed it. Nobody without the log's
                  key can make a database say so.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import psycopg

from huanshu.auditlog import events
from huanshu.auditlog.entries import Entry
from huanshu.auditlog.head import HeadStore
from huanshu.auditlog.origins import Origins, following, generation, origin_of
from huanshu.auditlog.published import PublishedLog
from huanshu.auditlog.signing import Signer
from huanshu.auditlog.writer import take_lock
from huanshu.canonical import canonical
from huanshu.errors import HuanshuError, TamperedError, Text, UnavailableError
from huanshu.store import require_promises
from huanshu.tlog import Checkpoint, Frontier, leaf_hash, split_note

REOPENED: Final = "log.origin.reopened"
_NEWEST = "SELECT size, note FROM log.checkpoint ORDER BY size DESC LIMIT 1"
_LEAVES = "SELECT leaf FROM log.entry ORDER BY index"
_LAST_OPENED = "SELECT leaf FROM log.entry WHERE event = %s ORDER BY index DESC LIMIT 1"
_ENTRY = "INSERT INTO log.entry (index, event, leaf, leaf_hash) VALUES (%s, %s, %s, %s)"
_CHECKPOINT = "INSERT INTO log.checkpoint (size, note) VALUES (%s, %s)"


@dataclass(frozen=True, slots=True)
class Loss:
    """What the database lacks of what was acknowledged, and what would be opened: all that is signed for."""

    given_up: Checkpoint
    signature: bytes
    restored: Checkpoint
    since: datetime
    origin: str
    tree: Frontier

    @property
    def first(self) -> int:
        """The first missing index."""
        return self.restored.size

    @property
    def last(self) -> int:
        """The last one."""
        return self.given_up.size - 1

    @property
    def statement(self) -> dict[str, Any]:
        """What two persons consent to."""
        return {
            "given_up": {
                "origin": self.given_up.origin,
                "size": self.given_up.size,
                "root": self.given_up.root.hex(),
                "signature": base64.b64encode(self.signature).decode(),
            },
            "restored": {"size": self.restored.size, "root": self.restored.root.hex()},
            "first": self.first,
            "last": self.last,
            "since": self.since.isoformat(timespec="microseconds"),
            "origin": self.origin,
        }

    @property
    def digest(self) -> str:
        """Hex SHA-256 of the statement's canonical bytes: a signature binds it, so any change voids it."""
        return hashlib.sha256(canonical(self.statement)).hexdigest()


def find_loss(
    connection: psycopg.Connection, origins: Origins, newest: str, apply: Callable[[Entry], None]
) -> Loss:
    """What is missing up to ``newest``, the newest note that is known; every entry that is there is shown to ``apply``.

    TamperedError when what is there is no signed beginning of a log of the same origin: that is no loss that a restore
    leaves, and nobody can sign it away."""
    given_up = origins.read(newest)
    tree, since = Frontier(), None
    for (leaf,) in connection.execute(_LEAVES):
        try:
            entry = Entry.of(bytes(leaf))
            since = datetime.fromisoformat(str(entry.body["at"]))
        except (ValueError, KeyError, TypeError):
            raise _no_loss(f"entry {tree.size} is none") from None
        if entry.index != tree.size:
            raise _no_loss(f"index {tree.size} is missing")
        tree.append(leaf_hash(entry.leaf))
        apply(entry)
    row = connection.execute(_NEWEST).fetchone()
    if row is None or since is None or origin_of(row[1]) != given_up.origin:
        raise _no_loss("it holds no entry under this origin")
    restored = origins.read(row[1])
    if (restored.size, restored.root) != (tree.size, tree.root) or row[0] != tree.size:
        raise _no_loss("its last checkpoint is not that of its entries")
    if restored.size >= given_up.size:
        raise _no_loss("nothing that was acknowledged is missing")
    _, signature = split_note(newest, given_up.origin, origins.signer.public_key)
    return Loss(given_up, signature, restored, since, following(origins.base, given_up.origin), tree)


def reopen(
    connect: Callable[[], psycopg.Connection], loss: Loss, signer: Signer, body: Mapping[str, Any]
) -> tuple[Entry, str]:
    """Append the entry that opens the next origin, with its checkpoint, durably; (the entry, its note).

    UnavailableError when the log cannot be written or has a writer; TamperedError when it has grown meanwhile."""
    events.check(body)
    entry = Entry.of(canonical(body))
    tree = loss.tree.copy()
    tree.append(hashed := leaf_hash(entry.leaf))
    note = signer.checkpoint_note(Checkpoint(loss.origin, tree.size, tree.root))
    try:
        with connect() as connection:
            require_promises(connection)
            held = take_lock(connection)
            if not held:
                raise UnavailableError(
                    "auditlog.log.has_writer",
                    Text("another process writes this log", "已有其他进程在写本日志"),
                    remedy=Text("stop the other keeper", "请停止另一个钥匙保管进程"),
                )
            with connection.transaction():
                connection.execute(_ENTRY, (entry.index, entry.event, entry.leaf, hashed))
                connection.execute(_CHECKPOINT, (tree.size, note))
    except psycopg.errors.UniqueViolation:
        raise _no_loss("it has grown meanwhile") from None
    except psycopg.Error:
        raise UnavailableError(
            "auditlog.log.unwritable",
            Text("the log cannot be written, so nothing is opened", "日志无法写入，因此不开启任何值"),
            remedy=Text(
                "is the database up and its disk not full? sign again", "请检查数据库与磁盘空间后重新签署"
            ),
        ) from None
    return entry, note


def finish(
    connection: psycopg.Connection, origins: Origins, head: HeadStore, published: PublishedLog
) -> bool:
    """Complete an opening of which only the entry is durable; whether there was one. Changes nothing otherwise."""
    note = head.read()
    row = connection.execute(_LAST_OPENED, (REOPENED,)).fetchone()
    newest = connection.execute(_NEWEST).fetchone()
    if note is None or row is None or newest is None:
        return False
    entry, given_up = Entry.of(bytes(row[0])), origins.read(note)
    said = entry.body["detail"]["given_up"]
    if (said["origin"], said["size"], said["root"]) != (
        given_up.origin, given_up.size, given_up.root.hex(),
    ) or newest[0] != entry.index + 1:  # fmt: skip
        return False
    opened = Origins(origins.signer, origins.base, str(entry.body["detail"]["origin"]))
    if generation(origins.base, opened.current) != generation(origins.base, given_up.origin) + 1:
        return False
    # Signed by us at exactly the size that this entry ends: the writer's start compares the rest.
    if opened.read(str(newest[1])).size != newest[0]:
        return False
    set_aside(published, opened.current, entry.index)
    head.write(str(newest[1]))
    return True


def set_aside(published: PublishedLog, origin: str, restored: int) -> Path | None:
    """Move published files away that reach beyond what was restored, and were published before ``origin`` began."""
    note = published.note()
    if note is None or origin_of(note) == origin:
        return None
    with suppress(HuanshuError, ValueError):
        if Checkpoint.parse(note.rpartition("\n\n")[0] + "\n").size <= restored:
            return None
    aside = published.folder.with_name(f"{published.folder.name}.before.{origin.rpartition('/')[2]}")
    published.folder.rename(aside)
    return aside


def _no_loss(en: str) -> TamperedError:
    return TamperedError(
        "auditlog.log.not_ours",
        Text(
            f"the log is not a beginning of the one that was acknowledged: {en}",
            f"日志并非已确认日志的前段：{en}",
        ),
        remedy=Text(
            "run huanshu-verify, tell security staff; nothing is opened meanwhile",
            "运行 huanshu-verify 并通知安全人员；期间不开启任何值",
        ),
    )
