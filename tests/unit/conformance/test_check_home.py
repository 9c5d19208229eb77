"""What ``huanshu check`` finds beyond the readers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import huanshu.conformance
from huanshu.catalog import Home
from huanshu.conformance import check_home
from huanshu.conformance.distributions import casbin_clash
from huanshu.errors import ContentError, HuanshuError, Text, Where


def replace(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))


def places(home: Path) -> list[tuple[str, str]]:
    return [(p.code, str(p.where)) for p in check_home(home)]


def test_sound_home_has_no_problems(home: Path) -> None:
    assert check_home(home) == []


def test_faults_of_the_readers_come_first_and_alone(home: Path) -> None:
    """Several files broken at once; checks that need a whole home do not run on half a one."""
    replace(home / "policies/keys.yaml", "epoch", "epok")
    replace(home / "policies/posts.csv", "p.three,holder", "p.four,holder")
    replace(home / "policies/posts.csv", "2099-12-31\na1", "2099-12-99\na1")
    (home / "expectations/parcel/samples/passing.csv").unlink()
    assert places(home) == [
        ("content.key.unknown", "policies/keys.yaml:3 [epok]"),
        ("content.date.malformed", "policies/posts.csv:4 [valid_until]"),
    ]


@pytest.mark.parametrize("role", ["security_officer", "auditor"])
def test_duties_are_separated(home: Path, role: str) -> None:
    posts = home / "policies/posts.csv"
    posts.write_text(
        posts.read_text() + f"x.{role},990201000000,{role},某,Some,p.one,deputy,2026-12-31,2027-12-31\n"
    )
    assert places(home) == [("post.duties.unseparated", "policies/posts.csv:6 [person]")]


def test_one_after_the_other_is_separated(home: Path) -> None:
    """The twin: the same person, the day after the first post has ended."""
    posts = home / "policies/posts.csv"
    posts.write_text(
        posts.read_text() + "x.auditor,990201000000,auditor,某,Some,p.one,holder,2100-01-01,2100-12-31\n"
    )
    assert places(home) == []


def test_masks_exist(home: Path) -> None:
    replace(
        home / "expectations/parcel/contract.yaml", "huanshu.mask, value: name", "huanshu.mask, value: nmae"
    )
    (problem,) = check_home(home)
    assert (problem.code, str(problem.where)) == (
        "contract.mask.unknown",
        "expectations/parcel/contract.yaml:29 [schema[0].properties[1].name]",
    )
    assert problem.remedy is not None
    assert "“name”" in problem.remedy.en


def test_samples(home: Path) -> None:
    samples = home / "expectations/parcel/samples"
    (samples / "passing.csv").unlink()
    (samples / "failing.community_code.csv").rename(samples / "failing.comunity_code.csv")
    replace(samples / "failing.owner_number_present.csv", "owner_number,owner", "owner,owner_number")
    assert places(home) == [
        ("sample.rule.unknown", "expectations/parcel/samples/failing.comunity_code.csv"),
        ("sample.header.wrong", "expectations/parcel/samples/failing.owner_number_present.csv:1"),
        ("sample.file.missing", "expectations/parcel/suite.yaml:1"),
        ("sample.file.missing", "expectations/parcel/suite.yaml:6 [expectations[1]]"),
    ]


def test_each_missing_sample_says_what_it_is_for(home: Path) -> None:
    samples = home / "expectations/parcel/samples"
    (samples / "passing.csv").unlink()
    (samples / "failing.community_code.csv").unlink()
    passing, failing = (p.remedy.en for p in check_home(home) if p.remedy is not None)
    assert "rows that are right" in passing
    assert "never seen failing" in failing


def test_samples_are_never_quoted(home: Path) -> None:
    file = home / "expectations/parcel/samples/passing.csv"
    file.write_text("owner_number,owner\n11010519491231002X,张三\n")
    (problem,) = check_home(home)
    assert problem.code == "sample.header.wrong"
    assert "11010519491231002X" not in repr(problem) + problem.explain("zh")
    file.write_bytes(b'"owner_number\n\xff')
    assert [p.code for p in check_home(home)] == ["content.text.encoding"]
    file.write_text('"owner_number\n')
    assert [p.code for p in check_home(home)] == ["sample.header.wrong"]


@pytest.mark.parametrize("name", ["audit/reports/figures.py", "audit/drills/x/run.sh"])
def test_audit_holds_no_code(home: Path, name: str) -> None:
    (home / name).parent.mkdir(parents=True)
    (home / name).write_text("")
    assert places(home) == [("audit.file.code", name)]


def dist_info(folder: Path, name: str) -> None:
    place = folder / f"{name}-1.0.dist-info"
    place.mkdir()
    (place / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")


def test_the_old_casbin_is_refused(tmp_path: Path) -> None:
    dist_info(tmp_path, "pycasbin")
    assert list(casbin_clash([str(tmp_path)])) == []
    dist_info(tmp_path, "casbin")
    assert [e.code for e in casbin_clash([str(tmp_path)])] == ["environment.casbin.clash"]


def test_this_environment_is_clean() -> None:
    assert list(casbin_clash()) == []


def test_extra_checks(home: Path) -> None:
    seen: list[str] = []

    def yields(found: Home) -> Iterator[HuanshuError]:
        seen.append(found.policies.digest)
        yield ContentError("access.case.failed", Text("a", "甲"), where=Where("policies/cases/x.csv", 7))

    def raises(found: Home) -> Iterator[HuanshuError]:
        raise ContentError("quality.sample.passed", Text("b", "乙"), where=Where("expectations/x", 1))

    problems = check_home(home, [yields, raises])
    assert [p.code for p in problems] == ["quality.sample.passed", "access.case.failed"]
    assert problems[1].explain("zh") == "policies/cases/x.csv:7: 甲 [access.case.failed]"
    assert len(seen) == 1
    replace(home / "policies/keys.yaml", "epoch", "epok")
    assert [p.code for p in check_home(home, [yields, raises])] == ["content.key.unknown"]
    assert len(seen) == 1


def test_a_defect_of_a_check_is_not_hidden(home: Path) -> None:
    def broken(found: Home) -> Iterator[HuanshuError]:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        check_home(home, [broken])


def test_every_code_is_provoked() -> None:
    folder = Path(huanshu.conformance.__file__).parent
    source = "".join(f.read_text() for f in folder.glob("*.py"))
    codes = {code for code in re.findall(r'"([a-z]+\.[a-z_]+\.[a-z_]+)"', source) if code[:8] != "huanshu."}
    named = set(re.findall(r'"([a-z]+\.[a-z_]+\.[a-z_]+)"', Path(__file__).read_text()))
    assert len(codes) >= 6
    assert codes <= named


def test_a_policy_of_witnesses_is_read_too(home: Path, root: Path) -> None:
    file = home / "audit/witnesses.policy"
    file.write_text(
        (root / "examples/witnesses/witnesses.policy").read_text(encoding="utf-8"), encoding="utf-8"
    )
    assert places(home) == []
    text = file.read_text(encoding="utf-8")
    file.write_text(text.replace("https://witness.beihe", "http://witness.beihe"), encoding="utf-8")
    assert places(home) == [("tlog.policy.url", "audit/witnesses.policy")]
    file.write_text(text.replace("quorum two", "quorum tow"), encoding="utf-8")
    assert places(home) == [("tlog.policy.malformed", "audit/witnesses.policy:16")]
