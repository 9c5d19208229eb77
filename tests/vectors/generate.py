"""Makes the test vectors of docs/FORMAT.md beside this file, with the platform's own code and fixed keys.

Run: PYTHONPATH=src python tests/vectors/generate.py. The keys are counters, never secrets.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from huanshu.auditlog import Signer
from huanshu.canonical import canonical
from huanshu.exchange import written
from huanshu.exchange.digests import delivery_digest, row_digest, slice_digest
from huanshu.exchange.erasure import tombstones_digest
from huanshu.sealing import LINK_KINDS, CellContext, content_mark, link, seal_column, token
from huanshu.sealing.blobs import seal_blob
from huanshu.sealing.keys import KeyName, Root
from huanshu.sealing.padding import pad
from huanshu.sealing.suites import SM4_MARK
from huanshu.store.copying import row_spans
from huanshu.tlog import (
    Checkpoint,
    ForkProof,
    Frontier,
    GrowingTiles,
    ProofFile,
    TileHashes,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    vkey,
)
from huanshu.tlog.cosignatures import add_checkpoint, cosignature_line, cosigned_message, note_text
from huanshu.tlog.notes import COSIGNATURE
from huanshu.tlog.tiles import bundle

SIV_KEY, MAC_KEY, OTHER_MAC_KEY = bytes(range(64)), bytes(range(32)), bytes(range(32, 64))
SEED = bytes(range(32))
ORIGIN = "qinghe.example/huanshu"


SM_KEY, SM_MAC_KEY, SM_OTHER_MAC_KEY = (
    SM4_MARK + bytes(range(start, start + size)) for start, size in ((0, 32), (0, 16), (16, 16))
)


def sealing(
    seal_key: bytes = SIV_KEY, mac_key: bytes = MAC_KEY, token_key: bytes = OTHER_MAC_KEY
) -> dict[str, Any]:
    cells = []
    for domain, field, rung, epoch, width, record, version, value in (
        ("990101001001", "name", "reveal", 1, 60, 1, 1, "张三"),
        ("990101001001", "name", "reveal", 1, 60, 1, 2, "张三"),
        ("990101001001", "name", "mask", 1, 60, 1, 1, "张*"),
        ("990101001001", "disability_grade", "reveal", 1, 1, 2**40, 7, None),
        ("990101001002", "disability_grade", "reveal", 2, 1, 0, 1, ""),
        ("990101001002", "phone", "reveal", 2**32 - 1, 11, 2**64 - 1, 2**32 - 1, "13800000000"),
    ):
        context = CellContext(domain, "resident", field, rung, epoch)
        (cell,) = seal_column(seal_key, context, width, [record], [version], [value])
        cells.append({
            "domain": domain, "dataset": "resident", "field": field, "rung": rung, "epoch": epoch, "width": width,
            "record": record, "version": version, "value": value, "padded": pad(value, width).hex(),
            "cell": cell.hex(),
        })  # fmt: skip
    names = ("data/990101001001/resident/name/1", "link/citizen_number")
    wrapped = [
        {"name": name, "key": key.hex(), "wrapped": Root(seal_key).wrap(KeyName(name), key).hex()}
        for name, key in zip(names, (SIV_KEY[::-1], MAC_KEY[::-1]), strict=True)
    ]
    blob = seal_blob(seal_key, KeyName("bitmap/1"), "ab" * 32, b"bitmap")
    links = []
    for kind, value in (
        ("citizen_number", " 99010119900101001x "), ("citizen_number", "９９０１０１19900101001Ｘ"),
        ("credit_code", "91990101ma0000000x"), ("person_number", "P-1"), ("record_number", ""),
        ("phone", "+86 138-0000-0000"), ("phone", "8613800000000"), ("phone", "86139000"),
    ):  # fmt: skip
        linked = link(mac_key, kind, value)
        links.append({
            "kind": kind, "value": value, "folded": LINK_KINDS[kind](value),
            "link": linked.hex(), "token": token(token_key, linked).hex(),
        })  # fmt: skip
    values = ["张三", None, "", "1"]
    return {
        "siv_key": seal_key.hex(), "mac_key": mac_key.hex(), "token_key": token_key.hex(), "cells": cells,
        "wrapped_keys": wrapped,
        "blobs": [{"name": "bitmap/1", "place": "ab" * 32, "bytes": b"bitmap".hex(), "blob": blob.hex()}],
        "links": links,
        "content_marks": [{"values": values, "mark": content_mark(mac_key, values).hex()}],
        "refused": _refused(cells),
    }  # fmt: skip


def _refused(cells: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The first cell in other places and times, and changed: a reader refuses each alike."""
    here = {name: value for name, value in cells[0].items() if name not in {"value", "padded", "width"}}
    raw = bytes.fromhex(here["cell"])
    changes: list[tuple[str, dict[str, Any]]] = [
        (f"another {name}", {name: value})
        for name, value in {
            "domain": "990101001002", "dataset": "enterprise", "field": "phone", "rung": "mask", "epoch": 2,
            "record": 2, "version": 2,
        }.items()
    ]  # fmt: skip
    changes += [
        (f"bit {bit} of byte {at}", {"cell": (raw[:at] + bytes([raw[at] ^ 1 << bit]) + raw[at + 1 :]).hex()})
        for at, bit in ((0, 7), (11, 0), (12, 0), (16, 3), (len(raw) - 17, 0), (len(raw) - 1, 0))
    ]
    changes += [
        (f"{size} bytes of it", {"cell": raw[:size].hex()}) for size in (0, 11, 15, 16, 27, len(raw) - 1)
    ]
    changes += [("a byte after it", {"cell": raw.hex() + "00"})]
    return [{"why": why, **here, **change} for why, change in changes]


def sealing_sm() -> dict[str, Any]:
    """The same under keys of the SM profile."""
    return sealing(SM_KEY, SM_MAC_KEY, SM_OTHER_MAC_KEY)


def log() -> dict[str, Any]:
    signer = Signer(Ed25519PrivateKey.from_private_bytes(SEED))
    entries = []
    tree = Frontier()
    for index in range(3):
        entry = {
            "v": 1, "index": index, "event": "report.page.built", "person": "p.xu", "policy": "ab" * 32,
            "at": f"2026-07-01T09:00:00.00000{index}+08:00", "established": {"by": "os", "account": "qh_xu"},
            "detail": {"report": "数据交换“汇总”", "entries": index, "sha256": "cd" * 32},
        }  # fmt: skip
        leaf = canonical(entry)
        tree.append(leaf_hash(leaf))
        note = signer.checkpoint_note(Checkpoint(ORIGIN, tree.size, tree.root))
        entries.append({
            "entry": entry, "leaf": leaf.hex(), "leaf_hash": leaf_hash(leaf).hex(), "root": tree.root.hex(),
            "note": note,
        })  # fmt: skip
    empty = signer.checkpoint_note(Checkpoint(ORIGIN, 0, Frontier().root))
    return {
        "seed": SEED.hex(),
        "origin": ORIGIN,
        "vkey": signer.vkey(ORIGIN),
        "empty": empty,
        "entries": entries,
    }


def digests() -> dict[str, Any]:
    rows = []
    for record, version, epoch, cells in (
        (7, 1, 1, ["1", b"\x01\x02", None]),
        (12, 3, 1, ["", b"", "石桥"]),
        (2**40, 1, 2, []),
    ):
        shown = [
            None if c is None else {"text": c} if isinstance(c, str) else {"hex": c.hex()} for c in cells
        ]
        digest = row_digest(record, version, epoch, cells)
        rows.append(
            {"record": record, "version": version, "epoch": epoch, "cells": shown, "digest": digest.hex()}
        )
    raw = [bytes.fromhex(row["digest"]) for row in rows]
    return {
        "rows": rows,
        "deliveries": [
            {
                "upserts": [0, 2],
                "withdrawn": [3, 10],
                "digest": delivery_digest([raw[0], raw[2]], [3, 10]).hex(),
            },
            {"upserts": [], "withdrawn": [], "digest": delivery_digest([], []).hex()},
        ],
        "slice_digest": slice_digest(raw).hex(),
        "written": _written(),
        "tombstones": {"of": TOMBSTONES, "sha256": tombstones_digest((k, n) for k, n in TOMBSTONES)},
    }


WITNESS_SEED = bytes(range(32, 64))
WITNESS = "audit-office.example/witness"


def tiles() -> dict[str, Any]:
    """A log of 600 small leaves: where its files lie, what they hold, and proofs out of them."""
    signer = Signer(Ed25519PrivateKey.from_private_bytes(SEED))
    witness = Ed25519PrivateKey.from_private_bytes(WITNESS_SEED)
    public = witness.public_key().public_bytes_raw()
    leaves = [canonical({"index": index}) for index in range(600)]
    growing, made, roots = GrowingTiles(), dict[str, bytes](), {}
    for size, leaf in enumerate(leaves, start=1):
        made.update((tile.path, raw) for tile, raw in growing.append(leaf_hash(leaf)))
        roots[size] = growing.root
    made.update((tile.path, raw) for tile, raw in growing.partial())
    hashes = TileHashes(600, lambda tile: made[tile.path])
    note = signer.checkpoint_note(Checkpoint(ORIGIN, 600, roots[600]))
    signature = witness.sign(cosigned_message(note_text(note), 1_790_000_000))
    cosigned = note + cosignature_line(WITNESS, public, 1_790_000_000, signature) + "\n"
    proof = inclusion_proof(hashes, 299, 600)
    return {
        "leaf": 'canonical {"index": n}', "size": 600, "root": roots[600].hex(), "note": note,
        "files": {path: hashlib.sha256(raw).hexdigest() for path, raw in sorted(made.items())},
        "bundle_2": hashlib.sha256(bundle(leaves[512:])).hexdigest(),
        "inclusion": {"index": 299, "proof": [p.hex() for p in proof]},
        "consistency": {
            "old": 257, "old_root": roots[257].hex(),
            "proof": [p.hex() for p in consistency_proof(hashes, 257, 600)],
        },
        "witness": vkey(WITNESS, public, COSIGNATURE), "cosigned": cosigned,
        "proof_file": ProofFile(299, tuple(proof), cosigned).text,
        "request": add_checkpoint(257, consistency_proof(hashes, 257, 600), note).decode(),
        "fork": ForkProof.of(
            signer.checkpoint_note(Checkpoint(ORIGIN, 257, bytes(32))), note, roots[257],
            consistency_proof(hashes, 257, 600),
        ).text,
    }  # fmt: skip


#: Kind and ordinal, in no order.
TOMBSTONES: list[tuple[str, int]] = [("person", 2**40), ("organisation", 7), ("person", 3)]


def _written() -> dict[str, Any]:
    """Two parts of one batch, as two workers bring them, and what it ended."""
    batch, rows, parts = "ab" * 32, [], []
    for homes, records, versions in (
        ({"990101001001": 2, "990101001002": 1}, [9, 2, 2**40], [1, 2, 1]),
        ({"990101001001": 1}, [4], [1]),
    ):
        count = len(records)
        said = [home for home, held in homes.items() for _ in range(held)]
        sealed, plain = [bytes([n] * 20) for n in range(count)], ["1", None, ""][:count]
        about = [[record, 3] if record > 4 else [] for record in records]
        columns = {
            "record": pa.array(records), "version": pa.array(versions, pa.int32()), "batch_in": pa.array([batch] * count),
            "epoch": pa.array([1] * count, pa.int32()), "mark": pa.array([bytes(16)] * count),
            "link_citizen_number": pa.array([bytes(range(16))] * count), "name": pa.array(sealed),
            "home": pa.array(said), "sex": pa.array(plain, pa.string()), "subjects": pa.array(about, pa.list_(pa.int64())),
        }  # fmt: skip
        digests = written.RowDigests()
        for spans in row_spans(columns):
            digests.add(*spans)
        starts = [0, *np.cumsum(list(homes.values())).tolist()]
        parts.append(digests.lists(list(homes), starts, np.array(records), np.array(versions)))
        rows += [
            {"record": r, "version": v, "home": h, "name": n.hex(), "sex": s, "subjects": a}
            for r, v, h, n, s, a in zip(records, versions, said, sealed, plain, about, strict=True)
        ]
    lists = written.whole(parts, np.array([7, 2]), np.array([3, 1]))
    return {
        "batch_in": batch, "epoch": 1, "mark": bytes(16).hex(), "link_citizen_number": bytes(range(16)).hex(),
        "rows": rows, "ended": [[2, 1], [7, 3]],
        "lists": {home: listed.hex() for home, listed in lists.items()}, "told": written.told(lists),
    }  # fmt: skip


VECTORS = {
    "sealing.json": sealing,
    "sealing_sm.json": sealing_sm,
    "log.json": log,
    "digests.json": digests,
    "tiles.json": tiles,
}


def main() -> None:
    for name, make in VECTORS.items():
        text = json.dumps(make(), ensure_ascii=False, indent=1) + "\n"
        Path(__file__).with_name(name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
