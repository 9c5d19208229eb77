"""A home as a folder on disk: what is missing, what is something else, what leads outside."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from huanshu.catalog import inspect_home, read_home
from huanshu.catalog.bundle import bundle_digest, bundle_files
from huanshu.catalog.folder import Folder
from huanshu.errors import ContentError


def code_of(home: Path) -> str:
    with pytest.raises(ContentError) as raised:
        read_home(home)
    assert raised.value.code in [f.code for f in inspect_home(home)[1]]
    return raised.value.code


def test_home_missing(tmp_path: Path) -> None:
    assert code_of(tmp_path / "nowhere") == "content.home.missing"


def test_file_missing(home: Path) -> None:
    (home / "policies/model.conf").unlink()
    assert code_of(home) == "content.file.missing"


def test_folder_instead_of_file(home: Path) -> None:
    (home / "policies/keys.yaml").unlink()
    (home / "policies/keys.yaml").mkdir()
    assert code_of(home) == "content.file.irregular"


def test_file_instead_of_folder(home: Path) -> None:
    (home / "policies/cases/community.csv").unlink()
    (home / "policies/cases").rmdir()
    (home / "policies/cases").write_text("x")
    assert code_of(home) == "content.file.irregular"


def test_named_pipe_is_not_waited_for(home: Path) -> None:
    (home / "policies/keys.yaml").unlink()
    os.mkfifo(home / "policies/keys.yaml")
    assert code_of(home) == "content.file.irregular"


@pytest.mark.parametrize("place", ["policies/keys.yaml", "audit/log.yaml", "policies/rules/district.csv"])
def test_link_out_of_the_home(home: Path, tmp_path: Path, place: str) -> None:
    outside = tmp_path / "outside.yaml"
    outside.write_text("root_provider: file\n")
    (home / place).unlink(missing_ok=True)
    (home / place).symlink_to(outside)
    assert code_of(home) == "content.file.outside"


def test_folder_that_links_out(home: Path, tmp_path: Path) -> None:
    (home / "policies/rules").rename(tmp_path / "rules")
    (home / "policies/rules").symlink_to(tmp_path / "rules")
    assert code_of(home) == "content.file.outside"


def test_link_inside_the_home_is_read(home: Path) -> None:
    """The twin of the two above."""
    (home / "policies/keys.yaml").rename(home / "audit/reports")
    (home / "policies/keys.yaml").symlink_to("../audit/reports")
    assert read_home(home).policies.keys.epoch == 1


def test_link_ring(home: Path) -> None:
    (home / "policies/keys.yaml").unlink()
    (home / "policies/keys.yaml").symlink_to("keys.yaml")
    assert code_of(home) == "content.file.unreadable"


@pytest.mark.parametrize(
    ("place", "like"),
    [
        ("policies/doamins.csv", "domains.csv"),
        ("policies/keys.yaml~", "keys.yaml"),
        ("policies/rules/comunity.csv", "community.csv"),
        ("policies/cases/Cases.txt", ".csv"),
        ("policies/cases/..csv", "rename"),
        ("expectations/parcel/contract.yml", "contract.yaml"),
        ("expectations/stray.yaml", "rename"),
        ("dags/flows/parcel.land_to_town.yml", "parcel.land_to_town.yaml"),
        ("dags/run.sh", "run.py"),
        ("audit/obligation.yaml", "obligations.yaml"),
    ],
)
def test_file_nobody_obeys(home: Path, place: str, like: str) -> None:
    (home / place).write_text("x")
    with pytest.raises(ContentError) as raised:
        read_home(home)
    assert raised.value.code == "content.file.unknown"
    assert raised.value.where is not None
    assert raised.value.where.file == place
    assert raised.value.remedy is not None
    assert like in raised.value.remedy.en


def test_flow_file_of_another_form(home: Path) -> None:
    source = home / "dags/flows/parcel.land_to_district.yaml"
    source.rename(source.with_name("parcel-land.yaml"))
    assert code_of(home) == "flow.name.misfiled"


def test_no_dataset(home: Path) -> None:
    (home / "expectations/parcel").rename(home / "audit/reports")
    with pytest.raises(ContentError) as error:
        read_home(home)
    assert error.value.code == "home.datasets.none"
    assert error.value.remedy is not None
    assert "huanshu dataset new" in error.value.remedy.en


def test_dataset_folder_with_a_bad_name(home: Path) -> None:
    (home / "expectations/parcel").rename(home / "expectations/Parcel")
    assert code_of(home) == "content.identifier.malformed"


def test_bom_and_windows_line_ends_are_tolerated(home: Path) -> None:
    before = read_home(home)
    for name in ("persons.csv", "purposes.yaml", "posts.csv"):
        file = home / "policies" / name
        file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes().replace(b"\n", b"\r\n"))
    after = read_home(home)
    assert after.policies.persons == before.policies.persons
    assert after.policies.purposes == before.policies.purposes
    assert after.policies.digest != before.policies.digest


def test_bundle_digest_is_what_sha256sum_says(home: Path) -> None:
    (home / "policies/README.md").write_text("for people")
    (home / "audit/README.md").write_text("for people")
    (home / "audit/alerts").mkdir()
    (home / "audit/alerts/some.yaml").write_text("alert: some\n")
    script = (
        "find policies audit/*.* audit/alerts expectations/*/contract.yaml expectations/*/suite.yaml"
        " -type f ! -name 'README*.md' | LC_ALL=C sort | xargs sha256sum | sha256sum"
    )
    told = subprocess.run(["sh", "-c", script], cwd=home, capture_output=True, text=True, check=True).stdout
    assert read_home(home).policies.digest == told.split()[0]


def test_bundle_covers_what_decides(home: Path) -> None:
    """Any byte of any covered file changes the digest; a README and a sample do not."""
    (home / "audit/alerts").mkdir()
    for file in ("audit/alerts/some.yaml", "audit/witnesses.policy"):
        (home / file).write_text("quorum none\n")
    files = bundle_files(Folder(home))
    assert len(files) == 12 + 6
    first = bundle_digest(Folder(home))
    for file in files:
        raw = (home / file).read_bytes()
        (home / file).write_bytes(raw + b"\n")
        assert bundle_digest(Folder(home)) != first, file
        (home / file).write_bytes(raw)
    (home / "audit/drills").mkdir(exist_ok=True)
    for file in (
        "policies/rules/README.md",
        "audit/README.md",
        "audit/alerts/README.md",
        "audit/drills/some.yaml",
    ):
        (home / file).write_text("x")
    (home / "expectations/parcel/samples/passing.csv").write_text("x")
    assert bundle_digest(Folder(home)) == first


def test_a_file_is_read_once(home: Path) -> None:
    """What is digested is what was parsed, whatever happens to the file in between."""
    folder = Folder(home)
    text = folder.text("policies/keys.yaml")
    digest = bundle_digest(folder)
    (home / "policies/keys.yaml").write_text("changed")
    assert folder.text("policies/keys.yaml") == text
    assert bundle_digest(folder) == digest
