"""Go's ``sumdb/tlog`` and ``sumdb/note``, which every Go distribution carries, read our tree, proofs, tiles and notes: at every
size to 1 030 and at powers of two ± 1. Skips, loudly, where there is no Go."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from huanshu.auditlog import Signer
from huanshu.tlog import (
    Checkpoint,
    Frontier,
    GrowingTiles,
    TileHashes,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
)
from huanshu.tlog.cosignatures import cosignature_line, cosigned_message
from huanshu.tlog.tiles import tiles_of

ORIGIN = "qinghe.example/huanshu"
SIZES = sorted({*range(1031), *(2**p + d for p in range(11, 13) for d in (-1, 0, 1))})


@pytest.fixture(scope="module")
def oracle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program beside this file, built with the sources that lie in Go's own tree: nothing is downloaded."""
    go = shutil.which("go")
    if go is None:
        pytest.skip("no Go here: Go's sumdb/tlog was not asked")
    root = subprocess.run([go, "env", "GOROOT"], capture_output=True, text=True, check=True).stdout.strip()
    vendored = Path(root) / "src/cmd/vendor/golang.org/x/mod/sumdb"
    if not vendored.is_dir():
        pytest.skip("this Go does not carry golang.org/x/mod/sumdb")
    folder = tmp_path_factory.mktemp("go")
    module = folder / "src/golang.org/x/mod/sumdb"
    for name in ("note", "tlog"):
        shutil.copytree(vendored / name, module / name)
    for file in module.rglob(
        "*.go"
    ):  # older releases name a package that has long been in the standard library
        text = file.read_text()
        file.write_text(text.replace('"golang.org/x/crypto/ed25519"', '"crypto/ed25519"'))
    (folder / "src/oracle").mkdir()
    shutil.copy(Path(__file__).parent / "go/oracle.go.txt", folder / "src/oracle/main.go")
    environment = {
        **os.environ, "GOPATH": str(folder), "GO111MODULE": "off", "GOFLAGS": "", "GOCACHE": str(folder / "cache"),
        "CGO_ENABLED": "0",
    }  # fmt: skip
    built = subprocess.run(
        [go, "build", "-o", str(folder / "oracle"), "oracle"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stderr
    return folder / "oracle"


def test_go_agrees(oracle: Path) -> None:
    leaves = [b"entry %d" % n for n in range(SIZES[-1])]
    growing, tiles, roots = GrowingTiles(), dict[str, bytes](), {0: Frontier().root}
    published: dict[str, bytes] = {}
    for size, leaf in enumerate(leaves, start=1):
        tiles.update((t.path, raw) for t, raw in growing.append(leaf_hash(leaf)))
        if size in SIZES:
            published.update((t.path, raw) for t, raw in growing.partial())
        roots[size] = growing.root
    tiles |= published
    inclusion, consistency = [], []
    for size in SIZES[1:]:
        hashes = TileHashes(size, lambda tile: tiles[tile.path])
        for index in {0, size // 3, size - 1}:
            proof = inclusion_proof(hashes, index, size)
            inclusion.append((index, size, [p.hex() for p in proof]))
        for old in {1, size // 2, size - 1, size} - {0}:
            proof = consistency_proof(hashes, old, size)
            consistency.append((old, size, [p.hex() for p in proof]))
    key = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
    signer = Signer(key)
    checkpoint = Checkpoint(ORIGIN, SIZES[-1], roots[SIZES[-1]])
    witness = Ed25519PrivateKey.from_private_bytes(bytes(32))
    line = cosignature_line(
        "w.example/w",
        witness.public_key().public_bytes_raw(),
        7,
        witness.sign(cosigned_message(checkpoint.text, 7)),
    )
    asked = {
        "leaves": [leaf.hex() for leaf in leaves],
        "roots": {str(size): roots[size].hex() for size in {*SIZES, *(old for old, _, _ in consistency)}},
        "inclusion": inclusion, "consistency": consistency, "size": SIZES[-1],
        "tiles": {path: raw.hex() for path, raw in tiles.items()},
        "vkey": signer.vkey(ORIGIN), "note": signer.checkpoint_note(checkpoint) + line + "\n",
    }  # fmt: skip
    ran = subprocess.run(
        [oracle], input=json.dumps(asked), capture_output=True, text=True, timeout=120, check=False
    )
    assert ran.returncode == 0, ran.stderr[-500:]
    word, agreed = ran.stdout.split()
    assert word == "agreed"
    least = len(asked["roots"]) + len(inclusion) + len(consistency) + len(list(tiles_of(SIZES[-1])))
    assert int(agreed) >= least > 7_000
    # And it can disagree: one hash changed.
    asked["inclusion"] = [(0, 2, ["00" * 32])]
    ran = subprocess.run(
        [oracle], input=json.dumps(asked), capture_output=True, text=True, timeout=120, check=False
    )
    assert ran.returncode != 0
