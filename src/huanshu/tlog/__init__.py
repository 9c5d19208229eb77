"""The log's mathematics: RFC 6962 trees and their proofs, C2SP tiles, notes, cosignatures, policies and proof files.
No I/O, no clock, no keys.

``tree`` hashes and the frontier, ``proofs`` inclusion and consistency, ``tiles`` the published form, ``notes`` signed
checkpoints, ``cosignatures`` what witnesses are asked and answer, ``policy`` whose word suffices, ``prooffile`` and
``forks`` what is handed to an auditor.
"""

from huanshu.tlog.cosignatures import Cosignature, Witness
from huanshu.tlog.forks import ForkProof
from huanshu.tlog.notes import Checkpoint, key_id, parse_vkey, sign_note, split_note, vkey
from huanshu.tlog.policy import WitnessPolicy, parse_policy
from huanshu.tlog.prooffile import ProofFile
from huanshu.tlog.proofs import (
    consistency_proof,
    inclusion_proof,
    require_consistency,
    require_inclusion,
)
from huanshu.tlog.tiles import GrowingTiles, Tile, TileHashes
from huanshu.tlog.tree import Frontier, leaf_hash, node_hash

__all__ = [
    "Checkpoint",
    "Cosignature",
    "ForkProof",
    "Frontier",
    "GrowingTiles",
    "ProofFile",
    "Tile",
    "TileHashes",
    "Witness",
    "WitnessPolicy",
    "consistency_proof",
    "inclusion_proof",
    "key_id",
    "leaf_hash",
    "node_hash",
    "parse_policy",
    "parse_vkey",
    "require_consistency",
    "require_inclusion",
    "sign_note",
    "split_note",
    "vkey",
]
