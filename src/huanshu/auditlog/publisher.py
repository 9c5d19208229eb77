"""From the database to the published files: step by step, each step a signed checkpoint and all that it covers.

PostgreSQL is the sequencer and what the keeper has acknowledged is the truth; the files are made from it and prove it
to others. Nothing beyond the keeper's head is ever published.

Order of effects of a step
    1. entries are read and folded into tiles in memory; the root is compared with the signed checkpoint;
    2. bitmaps, bundles and tiles are written, each whole;
    3. their folders are flushed;
    4. the checkpoint is replaced, and its folder flushed.
Crash points
    before 2      nothing happened.
    between 2, 4  files lie there that no published checkpoint covers. They are made again, byte for byte: an entry that
                  was acknowledged never changes.
    after 4       done; partial tiles that a full one has replaced may be left over, which is allowed.
Memory is bounded by a step's entries, however far behind the files are.

Files may go while the keeper runs: somebody deletes the folder, or puts an older copy there. The checkpoint is looked
at before every publication; when it is not the one written last, what lies there is the beginning again, and ``lost``
says how much had been published. What was lost is made anew from the database, and covered by the same checkpoints.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Final

import psycopg

from huanshu.auditlog.published import PublishedLog
from huanshu.auditlog.tampering import not_ours, rolled_back
from huanshu.errors import HuanshuError, Text, UnavailableError
from huanshu.tlog import Checkpoint, GrowingTiles, leaf_hash
from huanshu.tlog.tiles import WIDTH, Tile, bundle

#: Entries of a step, unless one commit had more.
STEP: Final = 8_192
_NEXT = "SELECT size, note FROM log.checkpoint WHERE size > %s AND size <= %s ORDER BY size DESC LIMIT 1"
_NEAREST = "SELECT size, note FROM log.checkpoint WHERE size > %s ORDER BY size LIMIT 1"
_LEAVES = "SELECT index, leaf FROM log.entry WHERE index >= %s AND index < %s ORDER BY index"


class Publisher:
    """Publishes one log into one folder. Not thread-safe: its owner serialises.

    ``read_checkpoint`` gives the checkpoint of a note that the log's key signed, or raises."""

    def __init__(
        self,
        published: PublishedLog,
        connect: Callable[[], psycopg.Connection],
        read_checkpoint: Callable[[str], Checkpoint],
    ) -> None:
        self.published = published
        self._connect = connect
        self._read_checkpoint = read_checkpoint
        self._connection: psycopg.Connection | None = None
        self._tiles: GrowingTiles | None = None
        self._leaves: list[bytes] = []
        #: The checkpoint that was written or found last; None before.
        self._shown: Checkpoint | None = None
        #: Entries that had been published when the files were found gone or older; whoever tells it sets it to None.
        self.lost: int | None = None

    @property
    def size(self) -> int:
        """Entries published so far, as far as is known."""
        return 0 if self._tiles is None else self._tiles.size

    def close(self) -> None:
        """Let go of the database. What is published stays."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def publish(self, head: str) -> Checkpoint:
        """Publish up to ``head``, the note that the keeper acknowledged last.

        TamperedError when database, files and head are not of one log; UnavailableError when one of them is away."""
        try:
            return self._publish(head)
        except psycopg.Error:
            raise self._given_up("the database is away", "数据库无法访问") from None
        except OSError:
            raise self._given_up("its files cannot be written", "文件无法写入") from None
        except HuanshuError:
            self._forget()
            raise

    def _publish(self, head: str) -> Checkpoint:
        goal = self._read_checkpoint(head)
        self._look_again()
        tiles = self._tiles or self._resume(goal)
        if self._shown is not None and tiles.size < self._shown.size:
            self.lost = self._shown.size
        _require_behind(tiles.size, tiles.root, goal)
        if self._connection is None:
            self._connection = self._connect()
        while tiles.size < goal.size:
            note = self._next(self._connection, tiles.size, goal, head)
            self._step(self._connection, tiles, note)
        if self.published.note() is None:
            self.published.write_note(head)
        self._shown = goal
        return goal

    def _look_again(self) -> None:
        """Files that are not as they were left are the beginning again."""
        if self._shown is not None:
            note = self.published.note()
            if note is None or self._read_checkpoint(note) != self._shown:
                self._forget()

    # -- one step -------------------------------------------------------------------------------

    def _next(self, connection: psycopg.Connection, done: int, goal: Checkpoint, head: str) -> str:
        """The note of the checkpoint to publish next: the head, or one on the way to it."""
        if goal.size <= done + STEP:
            return head
        row = connection.execute(_NEXT, (done, done + STEP)).fetchone()
        row = row or connection.execute(_NEAREST, (done,)).fetchone()
        if row is None or row[0] >= goal.size:
            return head
        return str(row[1])

    def _step(self, connection: psycopg.Connection, tiles: GrowingTiles, note: str) -> None:
        checkpoint = self._read_checkpoint(note)
        begin = tiles.size
        if checkpoint.size <= begin:
            raise not_ours("a checkpoint lies under another size", "检查点规模有误")
        files = list(self._fold(connection, tiles, checkpoint.size))
        if tiles.root != checkpoint.root:
            raise not_ours(
                f"entries {begin} to {checkpoint.size} are not the signed ones",
                f"条目 {begin} 至 {checkpoint.size} 与签名不符",
            )
        for name, content in self._bitmaps(connection, files):
            self.published.write_once(name, content)
        for name, content, _ in files:
            self.published.write_once(name, content)
        for tile, raw in tiles.partial():
            self.published.write_once(tile.path, raw)
        self.published.write_note(note)
        self._shown = checkpoint
        for name, _, _ in files:
            if ".p/" not in name:
                self.published.drop_partial(name)

    def _fold(
        self, connection: psycopg.Connection, tiles: GrowingTiles, size: int
    ) -> Iterator[tuple[str, bytes, Sequence[bytes]]]:
        """Appends the entries up to ``size`` and yields what they fill: path, bytes, and new entries of a bundle."""
        fresh = len(self._leaves)
        rows = connection.execute(_LEAVES, (tiles.size, size)).fetchall()
        for at, (index, leaf) in enumerate(rows, start=tiles.size):
            if index != at:
                raise not_ours(f"index {at} is missing", f"缺少序号 {at}")
            raw = bytes(leaf)
            self._leaves.append(raw)
            filled = list(tiles.append(leaf_hash(raw)))
            if filled:
                whole = Tile(0, at // WIDTH, WIDTH)
                yield whole.bundle_path, bundle(self._leaves), self._leaves[fresh:]
                self._leaves, fresh = [], 0
            for tile, content in filled:
                yield tile.path, content, ()
        if tiles.size != size:
            raise not_ours(f"index {tiles.size} is missing", f"缺少序号 {tiles.size}")
        if self._leaves:
            part = Tile(0, tiles.size // WIDTH, len(self._leaves))
            yield part.bundle_path, bundle(self._leaves), self._leaves[fresh:]

    def _bitmaps(
        self, connection: psycopg.Connection, files: Sequence[tuple[str, bytes, Sequence[bytes]]]
    ) -> Iterator[tuple[str, bytes]]:
        """What the new entries bind by digest, read from beside them."""
        for _, _, leaves in files:
            for digest in (found for leaf in leaves for found in bound_digests(leaf)):
                row = connection.execute(
                    "SELECT sealed FROM log.bitmap WHERE sealed_sha256 = %s", (bytes.fromhex(digest),)
                ).fetchone()
                if row is None or hashlib.sha256(bytes(row[0])).hexdigest() != digest:
                    raise not_ours(f"bitmap {digest[:16]} is not the bound one", f"位图 {digest[:16]} 不符")
                yield bitmap_path(digest), bytes(row[0])

    # -- start and end --------------------------------------------------------------------------

    def _resume(self, goal: Checkpoint) -> GrowingTiles:
        """Where the files stand: their own checkpoint, and tiles and open bundle that agree with it."""
        self.published.make()
        note = self.published.note()
        if note is None:
            self._tiles, self._leaves = GrowingTiles(), []
            return self._tiles
        there = self._read_checkpoint(note)
        _require_behind(there.size, there.root, goal)
        tiles = GrowingTiles(there.size, self.published.tile)
        if tiles.root != there.root:
            raise not_ours("the published tiles are not the published checkpoint's", "已公布分块与检查点不符")
        self._connection = self._connection or self._connect()
        begin = there.size - there.size % WIDTH
        rows = self._connection.execute(_LEAVES, (begin, there.size)).fetchall()
        leaves = [bytes(leaf) for _, leaf in rows]
        if there.size % WIDTH and b"".join(map(leaf_hash, leaves)) != self.published.tile(
            Tile(0, begin // WIDTH, there.size - begin)
        ):
            raise not_ours(
                f"entries from {begin} are not the published ones", f"自 {begin} 起的条目与已公布的不符"
            )
        self._tiles, self._leaves = tiles, leaves
        return tiles

    def _given_up(self, en: str, zh: str) -> UnavailableError:
        self._forget()
        return UnavailableError(
            "auditlog.published.behind",
            Text(f"the log cannot be published: {en}", f"日志无法公布：{zh}"),
            remedy=Text(
                "is the database up and the disk not full? it goes on by itself",
                "请检查数据库与磁盘空间；恢复后自动继续",
            ),
        )

    def _forget(self) -> None:
        """What is in memory may be ahead of the files: the next attempt begins with what they say."""
        self._tiles, self._leaves = None, []
        with suppress(psycopg.Error):
            self.close()


def bound_digests(leaf: bytes) -> list[str]:
    """The digests of the sealed bitmaps that an entry binds."""
    if b'"sealed_sha256"' not in leaf:
        return []
    body = json.loads(leaf)
    return [body[member]["sealed_sha256"] for member in ("subjects", "records") if member in body]


def bitmap_path(digest: str) -> str:
    """Where a sealed bitmap lies among the published files."""
    return f"bitmap/{digest[:2]}/{digest}"


def _require_behind(size: int, root: bytes, goal: Checkpoint) -> None:
    """What was published is not ahead of the keeper's head, and not of another tree of its size."""
    if size > goal.size:
        raise rolled_back(
            f"{size} entries were published, the keeper's head has {goal.size}",
            f"已公布 {size} 条，钥匙保管的日志头只有 {goal.size} 条",
        )
    if size == goal.size and root != goal.root:
        raise not_ours("another log of this size was published", "已公布另一份同规模日志")
