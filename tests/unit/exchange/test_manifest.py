"""A manifest says one thing in one way, or is one InputError that quotes nothing foreign."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from huanshu.canonical import canonical
from huanshu.errors import InputError
from huanshu.exchange.manifest import MAX_MANIFEST, Dialect, parse_manifest, read_manifest, signing_bytes

GOOD: dict[str, Any] = {
    "manifest": 1, "sender": "dept.public_security", "dataset": "resident", "sequence": 3,
    "period": "2026-09", "mode": "full", "file": "resident.2026-09.csv", "encoding": "gb18030",
    "sha256": "a" * 64, "records": 600, "signature": "0b" * 64,
}  # fmt: skip


def parse(members: object) -> Any:
    return parse_manifest(json.dumps(members).encode(), "resident.manifest.json")


def test_everything_is_read() -> None:
    columns = {"证件号": "citizen_number"}
    manifest = parse(GOOD | {"dialect": {"delimiter": ";", "skip_initial_space": True}, "columns": columns})
    for name in ("sender", "dataset", "sequence", "period", "mode", "file", "encoding", "sha256", "records"):
        assert getattr(manifest, name) == GOOD[name]
    assert manifest.dialect == Dialect(";", True)
    assert manifest.columns == columns
    assert manifest.signature == b"\x0b" * 64
    plain = parse(GOOD)
    assert (plain.dialect, dict(plain.columns)) == (Dialect(",", False), {})


def test_what_is_signed_is_everything_but_the_signature() -> None:
    unsigned = {key: value for key, value in GOOD.items() if key != "signature"}
    manifest = parse(GOOD)
    assert signing_bytes(manifest) == signing_bytes(GOOD) == signing_bytes(unsigned) == canonical(unsigned)
    spaced = parse_manifest(json.dumps(GOOD, indent=4).encode(), "resident.manifest.json")
    assert spaced.batch == manifest.batch
    resigned = parse(GOOD | {"signature": "0c" * 64})
    assert resigned.batch == manifest.batch
    for key, other in {
        "sequence": 4,
        "period": "2026-10",
        "sha256": "b" * 64,
        "records": 601,
        "mode": "changes",
    }.items():
        assert parse(GOOD | {key: other}).batch != manifest.batch


WRONG = [
    ("manifest", 2), ("manifest", True), ("manifest", 1.0), ("sender", "Public Security"), ("sender", 5),
    ("dataset", "Resident"), ("dataset", "../resident"), ("sequence", 0), ("sequence", True), ("sequence", "3"),
    ("sequence", 2**53), ("period", "2026-13"), ("period", "2026-02-30"), ("period", "09/2026"), ("mode", "FULL"),
    ("file", "../resident.csv"), ("file", "/etc/passwd"), ("file", ".hidden"), ("file", "a/b.csv"), ("file", "a\\b.csv"),
    ("file", "a\n.csv"), ("file", ""), ("file", "resident.manifest.json"), ("encoding", "gbk"), ("encoding", "UTF-8"),
    ("sha256", "A" * 64), ("sha256", "a" * 63), ("records", -1), ("records", None), ("signature", "0b" * 63),
    ("signature", "0b" * 64 + "\n"), ("dialect", []), ("columns", {}), ("columns", {"a": ""}), ("columns", {"": "a"}),
    ("columns", {"a": "name", "b": "name"}), ("columns", {"a": 1}),
]  # fmt: skip


@pytest.mark.parametrize(("key", "value"), WRONG, ids=[f"{k}-{i}" for i, (k, _) in enumerate(WRONG)])
def test_a_wrong_value_is_named_by_its_key_and_line(key: str, value: object) -> None:
    raw = json.dumps(GOOD | {key: value}, indent=1).encode()
    with pytest.raises(InputError) as caught:
        parse_manifest(raw, "resident.manifest.json")
    error = caught.value
    assert error.code in {"manifest.value.wrong", "manifest.json.malformed"}
    if error.code == "manifest.value.wrong":
        assert error.where is not None
        assert (error.where.field or "").split(".")[0] == key
        assert error.where.line is not None
        assert f'"{key}"'.encode() in raw.splitlines()[error.where.line - 1]


@pytest.mark.parametrize("key", sorted(GOOD))
def test_every_key_is_needed(key: str) -> None:
    with pytest.raises(InputError, match=f"lacks {key}"):
        parse({k: v for k, v in GOOD.items() if k != key})


def test_an_unknown_key_gets_the_nearest_right_word() -> None:
    columns_misspelt = {k: v for k, v in GOOD.items() if k != "signature"} | {"signatur": "0b" * 64}
    with pytest.raises(InputError, match="signature") as caught:
        parse(columns_misspelt)
    assert caught.value.code == "manifest.key.unknown"
    with pytest.raises(InputError, match="skip_initial_space"):
        parse(GOOD | {"dialect": {"skip_inital_space": True}})


def test_a_key_that_resembles_nothing_is_not_quoted() -> None:
    with pytest.raises(InputError) as caught:
        parse(GOOD | {"金丝雀甲10098765432": 1})
    assert "金丝雀" not in repr(caught.value) + str(caught.value) + caught.value.explain("zh")


@pytest.mark.parametrize(
    "raw",
    [
        b'{"manifest": 1, "manifest": 1}', b"[]", b"null", b"", b"{", b'{"records": NaN}', b'{"records": 1e3}',
        b"\xef\xbb\xbf{}", b"\xff\xfe{\x00}\x00", b"[" * 60_000, b'{"sequence": ' + b"9" * 5000 + b"}",
        '{"名": "\ud800"}'.encode("utf-8", "surrogatepass"),
    ],
)  # fmt: skip
def test_no_json_object_is_one_error(raw: bytes) -> None:
    with pytest.raises(InputError) as caught:
        parse_manifest(raw, "resident.manifest.json")
    assert caught.value.code == "manifest.json.malformed"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@given(st.sampled_from([*GOOD, "dialect", "columns", "signatures\ud800"]), JSON)
def test_any_value_parses_or_is_one_error(key: str, value: object) -> None:
    try:
        manifest = parse(GOOD | {key: value})
    except InputError:
        return
    assert key in GOOD or key in {"dialect", "columns"}
    assert manifest.batch


@given(st.binary(max_size=200))
def test_any_bytes_parse_or_are_one_error(raw: bytes) -> None:
    with pytest.raises(InputError):
        parse_manifest(raw, "resident.manifest.json")


def test_the_file_itself(tmp_path: Path) -> None:
    path = tmp_path / "resident.manifest.json"
    path.write_text(json.dumps(GOOD))
    assert read_manifest(path).where.file == path.name
    link = tmp_path / "link.manifest.json"
    link.symlink_to(path)
    pipe = tmp_path / "pipe.manifest.json"
    os.mkfifo(pipe)
    large = tmp_path / "large.manifest.json"
    large.write_bytes(b" " * (MAX_MANIFEST + 1))
    empty = tmp_path / "empty.manifest.json"
    empty.touch()
    for wrong, problem in (
        (link, "irregular"), (pipe, "irregular"), (tmp_path, "irregular"), (large, "oversize"), (empty, "empty"),
        (tmp_path / "none.json", "missing"), (tmp_path / "nul\0.json", "irregular"),
    ):  # fmt: skip
        with pytest.raises(InputError) as caught:
            read_manifest(wrong)
        assert caught.value.code == f"incoming.file.{problem}"
        assert str(tmp_path) not in str(caught.value)
