"""The log's mathematics: RFC 6962 trees and C2SP notes. No I/O, no clock, no keys."""

from huanshu.tlog.notes import Checkpoint, key_id, parse_vkey, sign_note, split_note, vkey
from huanshu.tlog.tree import Frontier, leaf_hash, node_hash

__all__ = [
    "Checkpoint",
    "Frontier",
    "key_id",
    "leaf_hash",
    "node_hash",
    "parse_vkey",
    "sign_note",
    "split_note",
    "vkey",
]
