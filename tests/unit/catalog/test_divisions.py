"""Division tables of other people: every problem at once, by line."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

import huanshu.catalog.divisions
from huanshu.catalog import domains_csv, read_divisions, read_home
from huanshu.catalog.divisions import MAX_TABLE
from huanshu.errors import InputError

#: The real table lies beside the repository, never in it.
REAL = Path(__file__).parents[3] / ".." / "shared" / "data" / "chancheng_divisions.csv"

TABLE = """code,name,level,parent_code,kind
990301000000,乙区,3,990300000000,district
990301001000,乙街道,4,990301000000,subdistrict
990301001001,乙一社区,5,990301001000,residents_committee
990301100000,乙镇,4,990301000000,town
990301100200,乙二村,5,990301100000,village_committee
"""


def write(tmp_path: Path, text: str | bytes) -> Path:
    file = tmp_path / "divisions.csv"
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    return file


class Wrong(NamedTuple):
    code: str
    old: str
    new: str
    line: int | None


WRONG = [
    Wrong("division.header.unknown", "parent_code,", "parent,", 1),
    Wrong("division.header.unknown", "parent_code,", "name,", 1),
    Wrong("division.header.missing", "code,name", "level,name", 1),
    Wrong("division.row.ragged", "乙一社区,5", "乙一社区", 4),
    Wrong("division.row.ragged", "乙一社区", '"乙一社区', 4),
    Wrong("division.code.malformed", "990301001001", "99030100100", 4),
    Wrong("division.code.malformed", "990301001001", "9.90301E+11", 4),
    Wrong("division.code.malformed", "990301001001", "99030100100１", 4),
    Wrong("division.code.duplicate", "990301100200", "990301001001", 6),
    Wrong("division.level.unsupported", "990301001001", "990300000000", 4),
    Wrong("division.name.empty", "乙一社区", "", 4),
    Wrong("division.name.damaged", "乙一社区", "乙一\u200b社区", 4),
    Wrong("division.name.damaged", "乙一社区", "乙\ufffd社区", 4),
    Wrong("division.name.damaged", "乙一社区", "乙\ue863社区", 4),
    Wrong("division.name.denormalised", "乙一社区", "e\u0301社区", 4),
    Wrong("division.level.wrong", "乙一社区,5", "乙一社区,4", 4),
    Wrong("division.kind.unknown", "residents_committee", "residents_comittee", 4),
    Wrong("division.kind.wrong", "residents_committee", "town", 4),
    Wrong("division.parent.wrong", "5,990301001000", "5,990301100000", 4),
    Wrong("division.parent.missing", "990301001000,乙街道,4,990301000000,subdistrict\n", "", 3),
    Wrong(
        "division.district.count", "990301100000,乙镇,4,990301000000,town", "990401000000,丙区,3,,district", 5
    ),
]


@pytest.mark.parametrize("wrong", WRONG, ids=lambda w: f"{w.code}-{w.new[:12]}")
def test_one_change_one_problem(tmp_path: Path, wrong: Wrong) -> None:
    assert wrong.old in TABLE
    found = read_divisions(write(tmp_path, TABLE.replace(wrong.old, wrong.new, 1)))
    places = [(p.code, p.where.line) for p in found.problems if p.where]
    assert (wrong.code, wrong.line) in places
    with pytest.raises(InputError) as raised:
        domains_csv(found)
    assert raised.value.code == "division.table.faulty"


def test_all_problems_at_once(tmp_path: Path) -> None:
    text = TABLE
    for old, new in (("乙一社区,5", ",4"), ("990301100200", "9903011002"), ("town", "city")):
        text = text.replace(old, new, 1)
    found = read_divisions(write(tmp_path, text))
    assert [(p.code, p.where.line) for p in found.problems if p.where] == [
        ("division.name.empty", 4),
        ("division.level.wrong", 4),
        ("division.kind.unknown", 5),
        ("division.code.malformed", 6),
    ]


@pytest.mark.parametrize(
    ("raw", "encoding"),
    [
        (TABLE.encode(), "utf-8"),
        (TABLE.encode("utf-8-sig"), "utf-8-sig"),
        (TABLE.encode("gb18030"), "gb18030"),
        (TABLE.replace("\n", "\r\n").encode("gb18030"), "gb18030"),
    ],
)
def test_encodings(tmp_path: Path, raw: bytes, encoding: str) -> None:
    found = read_divisions(write(tmp_path, raw))
    assert (found.encoding, found.problems, found.remarks) == (encoding, (), ())
    assert [(d.code, d.name, d.kind, d.parent) for d in found.rows] == [
        ("990301000000", "乙区", "district", None),
        ("990301001000", "乙街道", "subdistrict", "990301000000"),
        ("990301001001", "乙一社区", "community", "990301001000"),
        ("990301100000", "乙镇", "subdistrict", "990301000000"),
        ("990301100200", "乙二村", "community", "990301100000"),
    ]


@pytest.mark.parametrize("whole", ["utf-8", "gb18030"])
def test_a_line_in_another_encoding(tmp_path: Path, whole: str) -> None:
    other = "gb18030" if whole == "utf-8" else "utf-8"
    lines = [line.encode(whole) for line in TABLE.splitlines()]
    lines[3] = TABLE.splitlines()[3].encode(other)
    found = read_divisions(write(tmp_path, b"\n".join(lines)))
    assert found.encoding == whole
    assert [(p.code, p.where.line) for p in found.problems if p.where] == [("division.encoding.odd", 4)]


def test_gb18030_that_is_also_utf8_by_accident(tmp_path: Path) -> None:
    """Two-byte pairs of GB18030 can be valid UTF-8 that spells no Chinese; the table's encoding decides."""
    accident = b"\xc4\xa3\xcd\xa8".decode("gb18030")
    assert accident.encode("gb18030").decode() != accident
    found = read_divisions(
        write(tmp_path, TABLE.replace("乙一", accident).replace("社区", "").encode("gb18030"))
    )
    assert found.problems == ()
    assert found.rows[2].name == accident


@pytest.mark.parametrize("raw", [TABLE.encode("utf-16"), b"PK\x03\x04\0\0"])
def test_unsupported_encodings(tmp_path: Path, raw: bytes) -> None:
    found = read_divisions(write(tmp_path, raw))
    assert [p.code for p in found.problems] == ["division.encoding.unsupported"]


def test_empty(tmp_path: Path) -> None:
    assert [p.code for p in read_divisions(write(tmp_path, "\n")).problems] == ["division.table.empty"]


def test_oversize(tmp_path: Path) -> None:
    file = tmp_path / "big.csv"
    with file.open("wb") as out:
        out.truncate(MAX_TABLE + 1)  # sparse
    assert [p.code for p in read_divisions(file).problems] == ["division.table.oversize"]


def test_a_doubtful_name_is_a_remark(tmp_path: Path) -> None:
    found = read_divisions(write(tmp_path, TABLE.replace("乙一社区", "乙一社")))
    assert found.problems == ()
    assert [(r.code, r.where.line) for r in found.remarks if r.where] == [("division.name.cut_short", 4)]


def test_a_name_in_another_script_has_no_usual_ending(tmp_path: Path) -> None:
    found = read_divisions(write(tmp_path, TABLE.replace("乙一社区", "Port Erin")))
    assert (found.problems, found.remarks) == ((), ())


def test_codes_alone_are_enough(tmp_path: Path) -> None:
    lines = [",".join(line.split(",")[:2]) for line in TABLE.splitlines()]
    found = read_divisions(write(tmp_path, "\n".join(lines)))
    assert found.problems == ()
    assert len(found.rows) == 5


@given(st.permutations(TABLE.splitlines()[1:]))
def test_order_does_not_matter(lines: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        first = read_divisions(write(Path(folder), TABLE))
        other = read_divisions(write(Path(folder), "\n".join([TABLE.splitlines()[0], *lines])))
    assert domains_csv(other) == domains_csv(first)


@given(st.binary(max_size=300))
def test_any_bytes_give_an_answer(raw: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        found = read_divisions(write(Path(folder), b"code,name\n" + raw))
    assert bool(found.problems) or all(d.name for d in found.rows)


def test_every_code_is_provoked() -> None:
    source = Path(huanshu.catalog.divisions.__file__).read_text()
    codes = set(re.findall(r'"(division\.[a-z_]+\.[a-z_]+)"', source))
    named = set(re.findall(r"division\.[a-z_]+\.[a-z_]+", Path(__file__).read_text()))
    assert len(codes) > 15
    assert codes <= named


def test_imported_table_is_a_readable_tree(tmp_path: Path, home: Path) -> None:
    """The rows that come out are rows that the catalog takes in."""
    table = TABLE.replace("990301", "990201").replace("9902010000", "9902010000")
    text = domains_csv(read_divisions(write(tmp_path, table)))
    text = text.replace("990201001000,", "dept.land,土地办,,department,990201000000,\n990201001000,", 1)
    (home / "policies/domains.csv").write_text(text)
    (home / "policies/cases/community.csv").write_text(
        "post,domain,dataset,field,purpose,action,on,expect,because\n"
    )
    found = read_home(home)
    assert [d.code for d in found.policies.domains if d.kind == "community"] == [
        "990201001001",
        "990201100200",
    ]


def test_real_table() -> None:
    """144 communities of a real district, one name cut short in the source."""
    if not REAL.exists():
        pytest.skip(
            "no shared/data/chancheng_divisions.csv beside the repository: the real table is not tried"
        )
    found = read_divisions(REAL)
    assert found.problems == ()
    assert [r.code for r in found.remarks] == ["division.name.cut_short"]
    kinds = [d.kind for d in found.rows]
    assert (kinds.count("district"), kinds.count("subdistrict"), kinds.count("community")) == (1, 4, 144)
    assert len(domains_csv(found).splitlines()) == 150


def test_real_table_damaged_by_line(tmp_path: Path) -> None:
    """A parent moved, a code doubled and a line in another encoding: exactly those three."""
    if not REAL.exists():
        pytest.skip(
            "no shared/data/chancheng_divisions.csv beside the repository: the real table is not tried"
        )
    lines = REAL.read_bytes().splitlines()
    lines[9] = lines[9].replace(b",440604010000,", b",440604011000,")
    lines[20] = lines[19]
    lines[30] = lines[30].decode().encode("gb18030")
    found = read_divisions(write(tmp_path, b"\n".join(lines)))
    assert [(p.code, p.where.line) for p in found.problems if p.where] == [
        ("division.parent.wrong", 10),
        ("division.code.duplicate", 21),
        ("division.encoding.odd", 31),
    ]
