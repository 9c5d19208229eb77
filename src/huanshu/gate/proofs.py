"""Proofs beside an answer: that each entry it cites lies, byte for byte, under the log's published checkpoint.

Every entry is read from the database, its path from the published tiles, and the path is folded into the root that the
checkpoint signs: an entry that was changed, or that the published log does not have, is an error and never a footnote.
What is younger than the checkpoint is named apart. The file is a C2SP ``tlog-proof``; the entry's bytes lie beside it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import psycopg

from huanshu.auditlog import PublishedLog, require_signature
from huanshu.errors import HuanshuError, InputError, TamperedError, Text, UnavailableError
from huanshu.tlog import (
    Checkpoint,
    ProofFile,
    TileHashes,
    inclusion_proof,
    leaf_hash,
    parse_vkey,
    require_inclusion,
    split_note,
)

_LEAVES = "SELECT index, leaf FROM log.entry WHERE index = ANY(%s) ORDER BY index"


@dataclass(frozen=True, slots=True)
class Proven:
    """One entry and its proof. ``leaf``: its RFC 8785 bytes; it names officials by id, and no resident."""

    index: int
    leaf: bytes
    proof: ProofFile


@dataclass(frozen=True, slots=True)
class Proofs:
    """``pending``: entries that are younger than the checkpoint of ``size``, proven when the next one is published."""

    size: int
    proven: tuple[Proven, ...]
    pending: tuple[int, ...]


def prove(
    published: PublishedLog, vkey: str, connection: psycopg.Connection, indices: Iterable[int]
) -> Proofs:
    """Proofs of these entries. TamperedError names the first that the published log does not hold like this."""
    note = published.note()
    if note is None:
        raise UnavailableError(
            "audit.proof.unpublished",
            Text("the log has not been published yet", "日志尚未发布"),
            remedy=Text("start the keeper: huanshu up", "请启动钥匙保管：huanshu up"),
        )
    checkpoint = _signed(note, vkey)
    wanted = sorted(set(indices))
    covered = [index for index in wanted if index < checkpoint.size]
    rows = connection.execute(_LEAVES, (covered,)).fetchall()
    leaves = {int(index): bytes(leaf) for index, leaf in rows}
    hashes = TileHashes(checkpoint.size, published.tile)
    return Proofs(
        checkpoint.size,
        tuple(_proven(index, leaves.get(index), checkpoint, hashes, note) for index in covered),
        tuple(index for index in wanted if index >= checkpoint.size),
    )


def _proven(index: int, leaf: bytes | None, checkpoint: Checkpoint, hashes: TileHashes, note: str) -> Proven:
    try:
        if leaf is None:
            raise _other(index)
        path: Sequence[bytes] = inclusion_proof(hashes, index, checkpoint.size)
        require_inclusion(leaf_hash(leaf), index, checkpoint.size, checkpoint.root, path)
    except TamperedError:
        raise
    except HuanshuError:
        raise _other(index) from None
    return Proven(index, leaf, ProofFile(index, tuple(path), note))


def _signed(note: str, vkey: str) -> Checkpoint:
    name, key = parse_vkey(vkey)
    text, signature = split_note(note, name, key)
    try:
        require_signature(key, signature, text.encode())
    except InputError:
        raise TamperedError(
            "auditlog.checkpoint.forged",
            Text("the published checkpoint is not signed by the log's key", "已发布的检查点并非日志密钥所签"),
            remedy=Text("run huanshu-verify and tell security staff", "运行 huanshu-verify 并通知安全人员"),
        ) from None
    return Checkpoint.parse(text)


def _other(index: int) -> TamperedError:
    return TamperedError(
        "audit.proof.other",
        Text(
            f"entry {index} in the database is not the one that was published",
            f"数据库中的条目 {index} 与已发布的不一致",
        ),
        remedy=Text("run huanshu-verify and tell security staff", "运行 huanshu-verify 并通知安全人员"),
    )
