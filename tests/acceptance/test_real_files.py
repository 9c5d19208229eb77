"""The loop on real files that nobody here wrote, against an answer computed from the files alone.

One run of ``examples/real`` serves all tests of counts. Damaged copies of the published division table go
through the command line: every problem by line, exit code 4, nothing written.
"""

from __future__ import annotations

import copy
import csv
import io
import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

EXAMPLE = Path(__file__).parents[2] / "examples" / "real"
NAMES = ("expected", "sender", "loop", "compare")
DISTRICT, SUBDISTRICT, FIRST = "440604000000", "440604010000", "440604010001"


@pytest.fixture(scope="module")
def example() -> Iterator[SimpleNamespace]:
    """The example's scripts; its folder is no package, so it is on the path only while they are imported."""
    sys.path.insert(0, str(EXAMPLE))
    try:
        yield SimpleNamespace(**{name: __import__(name) for name in NAMES})
    finally:
        sys.path.remove(str(EXAMPLE))
        for name in NAMES:
            sys.modules.pop(name, None)


@pytest.fixture(scope="module")
def data(shared: Path, example: SimpleNamespace) -> Path:
    if missing := example.loop.absent(shared):
        pytest.skip(f"SKIPPED LOUDLY: {', '.join(missing)} not found in {shared}")
    return shared


@pytest.fixture(scope="module")
def want(example: SimpleNamespace, data: Path) -> object:
    return example.expected.expected(data / example.loop.PERSONS, data / example.loop.DIVISIONS)


@pytest.fixture(scope="module")
def seen(example: SimpleNamespace, data: Path, tmp_path_factory: pytest.TempPathFactory) -> object:
    began = time.monotonic()
    seen = example.loop.loop(data, tmp_path_factory.mktemp("real"))
    seen.seconds["all"] = time.monotonic() - began
    return seen


def test_the_files_are_worth_the_run(want) -> None:
    """FEBRL's errors and duplicates are there: otherwise agreement would prove nothing."""
    assert want.rows == want.good + want.quarantined == 5000
    assert want.quarantined > 100
    assert len(want.rules) >= 3
    assert want.subjects < want.good
    assert want.linked_pairs > 0
    assert len(want.slices) == 144


def test_none_lost_none_invented(example, want, seen) -> None:
    assert [wrong.en for wrong in example.compare.disagreements(want, seen)] == []


def test_every_community_is_served_once_and_in_time(want, seen) -> None:
    assert sum(rows.total() for rows in seen.slices.values()) == want.good
    assert seen.again == Counter(unchanged=144)
    assert seen.opened_again == 0
    assert seen.seconds["delivery"] < 90, seen.seconds


def test_the_verifier_saw_every_delivered_row(want, seen) -> None:
    assert seen.report.clean, seen.report.problems
    assert seen.report.rows == want.good
    assert seen.report.loans >= 144


def test_duplicates_are_one_subject(want, seen) -> None:
    """Records with one security number, and only those, share an ordinal in the district and a token outside."""
    groups: dict[str, list[str]] = {}
    for record, number in want.persons.items():
        groups.setdefault(number, []).append(record)
    several = [records for records in groups.values() if len(records) > 1]
    assert several
    for records in several:
        assert len({seen.ordinals[record] for record in records}) == 1
        assert len({seen.tokens[record] for record in records}) == 1
    assert len(set(seen.ordinals.values())) == len(set(seen.tokens.values())) == len(groups)


def _lose(seen) -> None:
    code = max(seen.slices, key=lambda code: seen.slices[code].total())
    seen.slices[code].popitem()


def _invent(seen) -> None:
    next(iter(seen.slices.values()))[("rec-9999-org", "", "", "", "")] += 1


def _misroute(seen) -> None:
    one, other, *_ = seen.slices
    seen.slices[one], seen.slices[other] = seen.slices[other], seen.slices[one]


def _split(seen) -> None:
    shared_by = Counter(seen.ordinals.values())
    record = next(record for record, ordinal in seen.ordinals.items() if shared_by[ordinal] > 1)
    seen.ordinals[record] = -1


def _merge(seen) -> None:
    one, other = sorted(set(seen.tokens.values()))[:2]
    seen.tokens = {record: one if token == other else token for record, token in seen.tokens.items()}


def _release(seen) -> None:
    seen.quarantine.popitem()


@pytest.mark.parametrize("change", [_lose, _invent, _misroute, _split, _merge, _release])
def test_the_comparison_can_fail(example, want, seen, change: Callable[[object], None]) -> None:
    changed = copy.deepcopy(seen)
    change(changed)
    assert example.compare.disagreements(want, changed)


def test_the_sender_adds_a_column_and_cleans_nothing(example, data) -> None:
    persons = data / example.loop.PERSONS
    codes = example.sender.communities(data / example.loop.DIVISIONS)
    before = persons.read_bytes().splitlines()
    after = example.sender.prepared(persons, codes).splitlines()
    assert len(before) == len(after) == 5001
    for old, new in zip(before, after, strict=True):
        kept, _, added = new.rpartition(b", ")
        assert kept == old
        assert added.decode() in {*codes, example.sender.ASSIGNED}


def test_absent_files_are_skipped_with_a_word(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(EXAMPLE / "run.py"), "--lang", "en", "--data", str(tmp_path)],
        capture_output=True, text=True, env={"PYTHONPATH": str(EXAMPLE.parents[1] / "src")}, check=False,
    )  # fmt: skip
    assert done.returncode == 0
    assert "SKIPPED" in done.stdout
    assert "persons_febrl3.csv" in done.stdout


# ---------------------------------------------------------------- huanshu domains import, on damaged copies


Rows = list[list[str]]


def _line(rows: Rows, code: str) -> int:
    """The line that a code stands on."""
    return next(number for number, row in enumerate(rows, 1) if row[0] == code)


def _wrong_parent(rows: Rows) -> tuple[int, str]:
    line = _line(rows, FIRST)
    other = next(row[0] for row in rows if row[4] in {"subdistrict", "town"} and row[0] != SUBDISTRICT)
    rows[line - 1][3] = other
    return line, "division.parent.wrong"


def _duplicate(rows: Rows) -> tuple[int, str]:
    rows.append(list(rows[_line(rows, FIRST) - 1]))
    return len(rows), "division.code.duplicate"


def _missing_parent(rows: Rows) -> tuple[int, str]:
    rows.pop(_line(rows, SUBDISTRICT) - 1)
    return _line(rows, FIRST), "division.parent.missing"


def _rounded(rows: Rows) -> tuple[int, str]:
    line = _line(rows, FIRST)
    rows[line - 1][0] = "4.40604E+11"
    return line, "division.code.malformed"


def _ragged(rows: Rows) -> tuple[int, str]:
    line = _line(rows, FIRST)
    rows[line - 1].append("surplus")
    return line, "division.row.ragged"


def _wrong_level(rows: Rows) -> tuple[int, str]:
    line = _line(rows, FIRST)
    rows[line - 1][2] = "4"
    return line, "division.level.wrong"


DAMAGES = [_wrong_parent, _duplicate, _missing_parent, _rounded, _ragged, _wrong_level]


def _table(example: SimpleNamespace, data: Path) -> Rows:
    text = (data / example.loop.DIVISIONS).read_text(encoding="utf-8-sig")
    return list(csv.reader(io.StringIO(text)))


def _written(rows: Rows) -> str:
    return "".join(",".join(row) + "\n" for row in rows)


def _import(example: SimpleNamespace, table: Path, out: Path) -> tuple[int, dict[str, list[dict[str, str]]]]:
    done = example.loop.huanshu("--json", "domains", "import", str(table), "--out", str(out))
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_reported_by_line_and_nothing_is_written(example, data, tmp_path, damage) -> None:
    rows = _table(example, data)
    line, code = damage(rows)
    table, out = tmp_path / "divisions.csv", tmp_path / "domains.csv"
    table.write_text(_written(rows), encoding="utf-8")
    status, told = _import(example, table, out)
    assert status == 4
    assert any(p["code"] == code and f"divisions.csv:{line}" in p["where"] for p in told["problems"]), told
    assert list(tmp_path.iterdir()) == [table]


def test_all_problems_come_at_once(example, data, tmp_path) -> None:
    rows = _table(example, data)
    found = [_wrong_parent(rows), _duplicate(rows)]
    table = tmp_path / "divisions.csv"
    table.write_text(_written(rows), encoding="utf-8")
    status, told = _import(example, table, tmp_path / "domains.csv")
    assert status == 4
    assert [code for _, code in sorted(found)] == [p["code"] for p in told["problems"]]


def test_gb18030_is_read_and_a_line_of_it_in_utf8_is_reported(example, data, tmp_path) -> None:
    """A table wholly in GB18030 gives the same tree; one line of another encoding is a problem of that line."""
    text = _written(_table(example, data))
    paths = {name: tmp_path / f"{name}.csv" for name in ("utf8", "gb18030", "mixed")}
    paths["utf8"].write_bytes(text.encode())
    paths["gb18030"].write_bytes(text.encode("gb18030"))
    lines = text.encode().split(b"\n")
    odd = _line(_table(example, data), FIRST)
    lines[odd - 1] = lines[odd - 1].decode().encode("gb18030")
    paths["mixed"].write_bytes(b"\n".join(lines))
    outs = {name: tmp_path / f"{name}.out" for name in paths}
    told = {name: _import(example, path, outs[name]) for name, path in paths.items()}
    assert (told["utf8"][0], told["gb18030"][0], told["mixed"][0]) == (0, 0, 4)
    assert told["gb18030"][1]["encoding"] == "gb18030"
    assert outs["utf8"].read_bytes() == outs["gb18030"].read_bytes()
    assert [(p["code"], p["where"]) for p in told["mixed"][1]["problems"]] == [
        ("division.encoding.odd", f"mixed.csv:{odd}")
    ]
    assert not outs["mixed"].exists()


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "division.table.empty"),
        (b"\xff\xfec\x00o\x00d\x00e\x00", "division.encoding.unsupported"),
        (b"code,title\n440604000000,x\n", "division.header.unknown"),
        (b"PK\x03\x04\x00\x00not a table", "division.encoding.unsupported"),
    ],
)
def test_what_is_no_table_is_refused(example, tmp_path, content: bytes, code: str) -> None:
    table, out = tmp_path / "divisions.csv", tmp_path / "domains.csv"
    table.write_bytes(content)
    status, told = _import(example, table, out)
    assert status == 4
    assert code in {p["code"] for p in told["problems"]}
    assert not out.exists()
