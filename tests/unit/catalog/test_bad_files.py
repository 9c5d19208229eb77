"""Every file a person edits × every way a file goes wrong: one ContentError that names that file, and what to do.

The files are those of the minimal home, with a drill and a report put beside them. What a file means is the must-fail
table's question (test_must_fail.py); here it is what happens to *any* file: emptied, cut off, saved in another
encoding, opened in a spreadsheet, replaced by a folder or a link.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from huanshu.access import Enforcer
from huanshu.catalog import Home, inspect_home, read_home
from huanshu.catalog.folder import Folder
from huanshu.conformance import samples
from huanshu.drill.definition import sound_drills
from huanshu.errors import ContentError
from huanshu.quality.samples import sample
from huanshu.report.page import sound_reports

ROOT = Path(__file__).parents[3]
MINIMAL = ROOT / "tests/content/minimal_home"
LONG = 10_000_000


def place_home(target: Path) -> Path:
    """The minimal home, with a drill and a report."""
    home = Path(shutil.copytree(MINIMAL, target))
    for part in ("drills", "reports"):
        shutil.copytree(ROOT / "audit" / part, home / "audit" / part)
    shutil.copy(ROOT / "policies/model.conf", home / "policies/model.conf")
    report = home / "audit/reports/exchange_summary/report.yaml"
    report.write_text(report.read_text().replace("audience: cdo", "audience: steward"))
    return home


def faults_of(path: Path) -> list[ContentError]:
    """All that the readers find wrong, as ``huanshu check`` asks them (without running the samples' rules)."""
    home, faults = inspect_home(path)
    found = list(faults)
    if home is not None:
        found += [
            *samples.tested_rules(home),
            *sound_drills(path),
            *sound_reports(home),
            *_samples(home),
            *_model(home),
        ]
    return found


def _samples(home: Home) -> list[ContentError]:
    found = []
    folder = Folder(Path(home.path))
    for dataset, contract in home.contracts.items():
        for name in folder.names(f"expectations/{dataset}/samples"):
            try:
                sample(folder, f"expectations/{dataset}/samples/{name}", contract)
            except ContentError as error:
                found.append(error)
    return found


def _model(home: Home) -> list[ContentError]:
    try:
        Enforcer(home.policies, home.contracts)
    except ContentError as error:
        return [error]
    return []


FILES = sorted(
    [p.relative_to(MINIMAL).as_posix() for p in MINIMAL.rglob("*") if p.is_file()]
    + ["audit/drills/cross_domain_read.yaml"]
    + [f"audit/reports/exchange_summary/{name}" for name in ("report.yaml", "template.html.j2")]
)

# -- ways to go wrong: bytes → bytes, or None where they do not apply ---------------------------------


def emptied(raw: bytes, file: str) -> bytes | None:
    return b""


def blank(raw: bytes, file: str) -> bytes | None:
    return b" \n\n"


def cut_off(raw: bytes, file: str) -> bytes | None:
    """In the middle of its last line that says something; a YAML file in its middle."""
    if file.endswith(".csv"):
        start = raw.rstrip().rfind(b"\n") + 1
        return raw[: start + 3]
    if file.endswith(".j2"):
        return None  # half a page may be a page
    lines = raw.splitlines(keepends=True)
    return b"".join(lines[: len(lines) // 2]) + lines[len(lines) // 2][:3]


def gb18030(raw: bytes, file: str) -> bytes | None:
    return ("# 说明\n" + raw.decode()).encode("gb18030")


def utf_16(raw: bytes, file: str) -> bytes | None:
    return raw.decode().encode("utf-16")


def nul(raw: bytes, file: str) -> bytes | None:
    return raw[: len(raw) // 2] + b"\0" + raw[len(raw) // 2 :]


def huge_cell(raw: bytes, file: str) -> bytes | None:
    return raw.rstrip() + b"x" * LONG + b"\n"


def formula(raw: bytes, file: str) -> bytes | None:
    if not file.endswith(".csv") or "samples" in file:
        return None
    lines = raw.rstrip().split(b"\n")
    _, _, rest = lines[-1].partition(b",")
    return b"\n".join([*lines[:-1], b"=1+1," + rest]) + b"\n"


def row_twice(raw: bytes, file: str) -> bytes | None:
    if not file.endswith(".csv") or "samples" in file:
        return None
    return raw.rstrip() + b"\n" + raw.rstrip().split(b"\n")[-1] + b"\n"


def _top_keys(raw: bytes) -> list[int]:
    """Lines on which a top-level key of a YAML file begins."""
    return [n for n, line in enumerate(raw.split(b"\n")) if line[:1].isalpha()]


def key_twice(raw: bytes, file: str) -> bytes | None:
    if not file.endswith(".yaml"):
        return None
    lines, keys = raw.split(b"\n"), _top_keys(raw)
    key = lines[keys[0]].split(b":")[0]
    return raw.rstrip() + b"\n" + key + b": again\n"


def unknown_key(raw: bytes, file: str) -> bytes | None:
    return raw.rstrip() + b"\nunheard_of: 1\n" if file.endswith(".yaml") else None


def key_missing(raw: bytes, file: str) -> bytes | None:
    if not file.endswith(".yaml"):
        return None
    lines, keys = raw.split(b"\n"), [*_top_keys(raw), len(raw.split(b"\n"))]
    return b"\n".join(lines[: keys[0]] + lines[keys[1] :]) or b"{}\n"


def wrong_type(raw: bytes, file: str) -> bytes | None:
    if not file.endswith(".yaml"):
        return None
    lines, keys = raw.split(b"\n"), [*_top_keys(raw), len(raw.split(b"\n"))]
    key = lines[keys[0]].split(b":")[0]
    return b"\n".join([*lines[: keys[0]], key + b": [[1]]", *lines[keys[1] :]])


def not_a_mapping(raw: bytes, file: str) -> bytes | None:
    return b"- one\n- two\n" if file.endswith(".yaml") else None


def extra_cell(raw: bytes, file: str) -> bytes | None:
    return raw.rstrip() + b",surplus\n" if file.endswith(".csv") else None


def extra_column(raw: bytes, file: str) -> bytes | None:
    if not file.endswith(".csv") or "/rules/" in file:
        return None
    head, *rows = raw.rstrip().split(b"\n")
    return b"\n".join([head + b",unheard_of", *(row + b",1" for row in rows)]) + b"\n"


def missing_column(raw: bytes, file: str) -> bytes | None:
    if not file.endswith(".csv"):
        return None
    return b"\n".join(row.partition(b",")[2] for row in raw.rstrip().split(b"\n")) + b"\n"


def open_quote(raw: bytes, file: str) -> bytes | None:
    return raw.rstrip() + b'"\n' if file.endswith(".csv") else None


def garbage(raw: bytes, file: str) -> bytes | None:
    return bytes(range(128, 256)) * 4


BYTES: tuple[Callable[[bytes, str], bytes | None], ...] = (
    emptied, blank, cut_off, gb18030, utf_16, nul, huge_cell, formula, row_twice, key_twice, unknown_key, key_missing,
    wrong_type, not_a_mapping, extra_cell, extra_column, missing_column, open_quote, garbage,
)  # fmt: skip


def link_outside(path: Path) -> None:
    outside = path.parents[len(path.parts) - 2] / "tmp" / f"huanshu-outside-{path.name}"
    shutil.copy(path, outside)
    path.unlink()
    path.symlink_to(outside)


def dangling_link(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.parent / "nowhere")


def folder_instead(path: Path) -> None:
    path.unlink()
    path.mkdir()


PLACES = (link_outside, dangling_link, folder_instead)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return place_home(tmp_path_factory.mktemp("bad") / "home")


def check(home: Path, file: str) -> None:
    found = faults_of(home)
    mine = [error for error in found if error.where is not None and error.where.file == file]
    assert mine, [str(error) for error in found] or "nothing was found"
    for error in mine:
        assert isinstance(error, ContentError)
        assert error.exit_code == 3
        assert error.remedy is not None
        assert error.what.zh != error.what.en
        assert error.remedy.zh != error.remedy.en
        assert len(error.explain("zh")) < 2000


def test_the_home_is_sound_before(home: Path) -> None:
    assert [str(error) for error in faults_of(home)] == []
    assert len(FILES) >= 20


LOOSE = [f for f in FILES if f.startswith(("audit/drills", "audit/reports")) or "samples" in f]
PIECE = st.one_of(
    st.binary(max_size=12),
    st.sampled_from(
        [b"\n", b",", b'"', b":", b"- ", b"{", b"}", b"&a ", b"*a", b"!!x ", b"{{", b"{%", b"|\n", b"~"]
    ),
)


@settings(max_examples=80)
@given(file=st.sampled_from(LOOSE), place=st.floats(0, 1), cut=st.integers(0, 40), piece=PIECE)
def test_any_damage_is_told_or_harmless(
    home: Path, sound: Home, file: str, place: float, cut: int, piece: bytes
) -> None:
    """What test_any_damage.py does for the home, for what is read beside it: never another exception."""
    path = home / file
    raw = path.read_bytes()
    at = int(place * len(raw))
    try:
        path.write_bytes(raw[:at] + piece + raw[at + cut :])
        if "drills" in file:
            found = [*sound_drills(home)]
        elif "reports" in file:
            found = [*sound_reports(sound)]
        else:
            found = [*_samples(sound), *samples.tested_rules(sound)]
    finally:
        path.write_bytes(raw)
    for fault in found:
        assert fault.remedy is not None
        assert fault.where is not None
        assert fault.where.file == file or fault.where.file.startswith("expectations/parcel/suite")


@pytest.fixture(scope="module")
def sound(home: Path) -> Home:
    return read_home(home)


SEEN: Counter[str] = Counter()


@pytest.mark.parametrize("change", BYTES, ids=lambda change: change.__name__)
@pytest.mark.parametrize("file", FILES)
def test_bytes(home: Path, file: str, change: Callable[[bytes, str], bytes | None]) -> None:
    path = home / file
    raw = path.read_bytes()
    changed = change(raw, file)
    if changed is None:
        return
    assert changed != raw
    SEEN[change.__name__] += 1
    try:
        path.write_bytes(changed)
        check(home, file)
    finally:
        path.write_bytes(raw)


@pytest.mark.parametrize("change", PLACES, ids=lambda change: change.__name__)
@pytest.mark.parametrize("file", FILES)
def test_places(home: Path, file: str, change: Callable[[Path], None]) -> None:
    path = home / file
    raw = path.read_bytes()
    SEEN[change.__name__] += 1
    try:
        change(path)
        check(home, file)
    finally:
        path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
        path.write_bytes(raw)


@pytest.mark.parametrize("file", FILES)
def test_a_byte_order_mark_changes_nothing(home: Path, file: str) -> None:
    path = home / file
    raw = path.read_bytes()
    try:
        path.write_bytes(b"\xef\xbb\xbf" + raw)
        assert [str(error) for error in faults_of(home)] == []
    finally:
        path.write_bytes(raw)


def test_all_of_them_were_seen() -> None:
    """Last: each way was tried on at least as many files as there are of its kind."""
    if sum(SEEN.values()) < len(FILES) * len(PLACES):
        pytest.skip("only a part of this file was run")
    sheets, documents = (sum(f.endswith(end) for f in FILES) for end in (".csv", ".yaml"))
    assert sheets >= 10
    assert documents >= 10
    for change in (emptied, blank, gb18030, utf_16, nul, huge_cell, garbage, *PLACES):
        assert SEEN[change.__name__] == len(FILES)
    for change in (key_twice, unknown_key, key_missing, wrong_type, not_a_mapping):
        assert SEEN[change.__name__] == documents
    for change in (extra_cell, missing_column, open_quote):
        assert SEEN[change.__name__] == sheets
