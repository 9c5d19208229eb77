"""Searching every byte that was written for keys: raw, as hex, as base64."""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping
from pathlib import Path

from huanshu.keeper.vault import load_root
from huanshu.sealing import KeyName


def forms(key: bytes) -> list[bytes]:
    return [key, key.hex().encode(), key.hex().upper().encode(), base64.b64encode(key)[:-4]]


def found(folder: Path, needles: list[bytes], *skip: Path) -> list[str]:
    """Files below the folder in which one of the needles lies."""
    hits = []
    for place, _, names in os.walk(folder):
        for path in (Path(place) / name for name in names):
            if path in skip or path.is_symlink() or not path.is_file():
                continue
            data = path.read_bytes()
            hits += [str(path) for needle in needles if needle in data]
    return hits


def one_of_every_use(root_file: Path, wrapped: Mapping[str, bytes]) -> dict[tuple[str, str], bytes]:
    """(use, last part of the name) → one key of it, unwrapped."""
    root = load_root(root_file)
    uses: dict[tuple[str, str], bytes] = {}
    for name, sealed in wrapped.items():
        uses[name.split("/")[0], name.rpartition("/")[2]] = root.unwrap(KeyName(name), bytes(sealed))
    return uses
