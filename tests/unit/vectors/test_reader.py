"""The second implementation of docs/FORMAT.md: its primitives against published vectors, and it opens every vector."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

READER = Path(__file__).parents[2] / "vectors" / "reader.py"
FILES = ("sealing.json", "sealing_sm.json")


@pytest.fixture(scope="module")
def reader() -> ModuleType:
    spec = importlib.util.spec_from_file_location("vector_reader", READER)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_it_needs_nothing_but_python() -> None:
    """Isolated, without site-packages: neither the platform nor any library can be imported."""
    told = subprocess.run([sys.executable, "-I", "-S", READER], capture_output=True, text=True, check=True)
    assert [line.split(":")[0] for line in told.stdout.splitlines()] == list(FILES)
    assert "38 vectors hold" in told.stdout


@pytest.mark.parametrize(("size", "sealed"), [
    (16, "69c4e0d86a7b0430d8cdb78070b4c55a"), (24, "dda97ca4864cdfe06eaf70a0ec0d7191"),
    (32, "8ea2b7ca516745bfeafc49904b496089"),
])  # fmt: skip
def test_fips_197(reader: ModuleType, size: int, sealed: str) -> None:
    """FIPS 197, appendix C."""
    plain = bytes.fromhex("00112233445566778899aabbccddeeff")
    assert reader.aes(bytes(range(size)))(plain).hex() == sealed


def test_gb_t_32907_and_32905(reader: ModuleType) -> None:
    key = bytes.fromhex("0123456789abcdeffedcba9876543210")
    assert reader.sm4(key)(key).hex() == "681edf34d206965e86b3e94f536e4246"
    assert reader.sm3(b"abc").hex() == "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0"
    assert (
        reader.sm3(b"abcd" * 16).hex() == "debe9ff92275b8a138604889c18e5a4d6fdb70e5387e5765293dcba39c0c5732"
    )


def test_rfc_5297(reader: ModuleType) -> None:
    """RFC 5297, A.1 and A.2."""
    key = bytes.fromhex("fffefdfcfbfaf9f8f7f6f5f4f3f2f1f0f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff")
    bound = bytes.fromhex("101112131415161718191a1b1c1d1e1f2021222324252627")
    sealed = bytes.fromhex("85632d07c6e8f37f950acd320a2ecc9340c02b9690c4dc04daef7f6afe5c")
    assert reader.siv_open(key, [bound], sealed).hex() == "112233445566778899aabbccddee"
    key = bytes.fromhex("7f7e7d7c7b7a79787776757473727170404142434445464748494a4b4c4d4e4f")
    strings = [
        bytes.fromhex("00112233445566778899aabbccddeeffdeaddadadeaddadaffeeddccbbaa99887766554433221100"),
        bytes.fromhex("102030405060708090a0"), bytes.fromhex("09f911029d74e35bd84156c5635688c0"),
    ]  # fmt: skip
    sealed = bytes.fromhex(
        "7bdb6e3b432667eb06f4d14bff2fbd0f"
        "cb900f2fddbe404326601965c889bf17dba77ceb094fa663b7a3f748ba8af829ea64ad544a272e9c485b62a3fd5c0d"
    )
    assert reader.siv_open(key, strings, sealed) == b"this is some plaintext to encrypt using SIV-AES"


def test_rfc_8998(reader: ModuleType) -> None:
    """RFC 8998, A.2."""
    plain = reader.ccm_open(
        reader.sm4(bytes.fromhex("0123456789abcdeffedcba9876543210")),
        bytes.fromhex("00001234567800000000abcd"),
        bytes.fromhex("feedfacedeadbeeffeedfacedeadbeefabaddad2"),
        bytes.fromhex(
            "48af93501fa62adbcd414cce6034d895dda1bf8f132f042098661572e7483094"
            "fd12e518ce062c98acee28d95df4416bed31a2f04476c18bb40c84a74b97dc5b"
            "16842d4fa186f56ab33256971fa110f4"
        ),
    )
    assert plain == b"".join(bytes([byte]) * 8 for byte in (0xAA, 0xBB, 0xCC, 0xDD, 0xEE, 0xFF, 0xEE, 0xAA))


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("section", ["cells", "blobs", "wrapped_keys", "links", "content_marks", "refused"])
def test_it_notices_one_wrong_vector_of_each_kind(
    reader: ModuleType, name: str, section: str, tmp_path: Path
) -> None:
    vectors = json.loads(READER.with_name(name).read_text("utf-8"))
    last = {
        "cells": "cell",
        "blobs": "blob",
        "wrapped_keys": "wrapped",
        "links": "token",
        "content_marks": "mark",
    }
    wrong = vectors[section][-1]
    if section == "refused":
        wrong.update(vectors["cells"][0])
    else:
        said = wrong[last[section]]
        wrong[last[section]] = ("1" if said[0] == "0" else "0") + said[1:]
    with pytest.raises((AssertionError, reader.RefusedError)):
        reader.check(vectors)
