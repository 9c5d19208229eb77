"""Whatever happens to one file, reading ends in a Home or in ContentErrors to show: never in a crash."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from huanshu.catalog import inspect_home

MINIMAL = Path(__file__).parents[2] / "content" / "minimal_home"
FILES = sorted(
    p.relative_to(MINIMAL).as_posix() for p in MINIMAL.rglob("*") if p.is_file() and "samples" not in p.parts
)

#: Pieces that mean something to a parser somewhere.
PIECES = st.one_of(
    st.binary(max_size=12),
    st.sampled_from(
        [b"\n", b",", b'"', b":", b"- ", b"{", b"}", b"[", b"]", b"&a ", b"*a", b"!!x ", b"|\n", b"? ",
         b"#", b"~", b"null", b"\xef\xbb\xbf", b"---\n", b"...\n", b"%YAML 1.1\n---\n",
         "\u2028".encode(), b"\t", b"\\", b"''"]
    ),
)  # fmt: skip


@pytest.fixture(scope="module")
def damaged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(shutil.copytree(MINIMAL, tmp_path_factory.mktemp("damage") / "home"))


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(FILES), st.floats(0, 1), st.integers(0, 40), PIECES)
def test_damage_is_reported_or_harmless(
    damaged: Path, file: str, place: float, cut: int, piece: bytes
) -> None:
    raw = (MINIMAL / file).read_bytes()
    at = int(place * len(raw))
    (damaged / file).write_bytes(raw[:at] + piece + raw[at + cut :])
    try:
        home, faults = inspect_home(damaged)
    finally:
        (damaged / file).write_bytes(raw)
    assert (home is None) == bool(faults)
    for fault in faults:
        assert fault.remedy is not None
        assert fault.where is not None
        assert fault.explain("zh") != fault.explain("en")
