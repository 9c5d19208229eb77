"""A policy bundle packed and unpacked is the same bundle; anything else is refused."""

from __future__ import annotations

import json
import zlib
from pathlib import Path

import pytest

from huanshu.catalog import read_bundle, read_home
from huanshu.catalog.bundle import pack_bundle, unpack_bundle
from huanshu.errors import TamperedError


def test_a_kept_bundle_reads_as_the_home_it_came_from(root: Path, tmp_path: Path) -> None:
    home = read_home(root)
    digest, packed = pack_bundle(root)
    assert digest == home.policies.digest
    unpack_bundle(packed, digest, tmp_path)
    policies, contracts = read_bundle(tmp_path)
    assert policies.digest == digest
    assert [r.where for r in policies.rules] == [r.where for r in home.policies.rules]
    assert len(policies.rules) > 100
    assert policies.holdings == home.policies.holdings
    assert policies.purposes == home.policies.purposes
    assert {name: c.digest for name, c in contracts.items()} == {
        n: c.digest for n, c in home.contracts.items()
    }
    assert (tmp_path / "audit/obligations.yaml").read_bytes() == (
        root / "audit/obligations.yaml"
    ).read_bytes()
    assert not (tmp_path / "audit/drills").exists()


def _repacked(packed: bytes, **changes: str) -> bytes:
    files = json.loads(zlib.decompress(packed))
    return zlib.compress(json.dumps(files | {k.replace("__", "/"): v for k, v in changes.items()}).encode())


@pytest.mark.parametrize("harm", ["rule", "more", "outside", "cut", "empty", "array", "bomb", "digest"])
def test_another_bundle_is_refused_and_writes_nothing(root: Path, tmp_path: Path, harm: str) -> None:
    digest, packed = pack_bundle(root)
    harmed = {
        "rule": lambda: _repacked(packed, policies__purposes_yaml="purposes: {}"),
        "more": lambda: _repacked(packed, policies__extra="x"),
        "outside": lambda: _repacked(packed, **{"..__..__outside": "x"}),
        "cut": lambda: packed[:-9],
        "empty": lambda: b"",
        "array": lambda: zlib.compress(b"[1, 2]"),
        "bomb": lambda: zlib.compress(b"0" * (65 << 20)),
        "digest": lambda: packed,
    }[harm]()
    with pytest.raises(TamperedError, match=r"policy\.bundle\.changed"):
        unpack_bundle(harmed, "00" * 32 if harm == "digest" else digest, tmp_path / "into")
    assert not list(tmp_path.iterdir())
