"""New homes, datasets and flows: sound from the first second, whole or not at all, never over anything."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from huanshu.assembly.checking import access_cases, quality_samples
from huanshu.authoring import create_home, draft_dataset, draft_flow, homes, write_drafts
from huanshu.authoring.flow_files import FlowWish, lowest_rung
from huanshu.catalog import Rung, read_home
from huanshu.conformance import check_home
from huanshu.errors import InputError

ROOT = Path(__file__).parents[3]
TODAY = datetime.now(UTC).date()


@pytest.fixture
def small(tmp_path: Path) -> Path:
    create_home(tmp_path / "small", "en", TODAY)
    return tmp_path / "small"


def _problems(home: Path) -> list[str]:
    return [p.explain("en") for p in check_home(home, extra=(access_cases, quality_samples))]


@pytest.mark.parametrize("language", ["zh", "en"])
def test_the_smallest_home_is_in_order(tmp_path: Path, language: str) -> None:
    places = create_home(tmp_path / "home", language, TODAY)
    assert 12 <= len(places) <= 20
    assert _problems(tmp_path / "home") == []
    text = "".join((tmp_path / "home" / place).read_text("utf-8") for place in places)
    assert "⟦" not in text
    assert ("数据契约" in text) == (language == "zh")
    assert ("The data contract" in text) == (language == "en")
    assert [p.name for p in tmp_path.iterdir()] == ["home"]


def test_without_a_calendar_nothing_is_counted_in_working_days(small: Path) -> None:
    file = small / "audit/obligations.yaml"
    file.write_text(file.read_text().replace("unit: days", "unit: working_days", 1))
    (told,) = _problems(small)
    assert told.startswith("audit/calendar.csv: this file is missing")


@pytest.mark.parametrize("there", ["file", "full folder", "link to nothing"])
def test_init_overwrites_nothing(tmp_path: Path, there: str) -> None:
    target = tmp_path / "home"
    if there == "file":
        target.write_text("mine")
    elif there == "full folder":
        target.mkdir()
        (target / "mine").write_text("mine")
    else:
        target.symlink_to(tmp_path / "nothing")
    before = sorted(str(p) for p in tmp_path.rglob("*"))
    with pytest.raises(InputError) as raised:
        create_home(target, "en", TODAY)
    assert raised.value.code == "authoring.place.taken"
    assert sorted(str(p) for p in tmp_path.rglob("*")) == before


def test_an_empty_folder_is_filled(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    create_home(tmp_path / "home", "zh", TODAY)
    assert (tmp_path / "home/policies/domains.csv").is_file()


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), RuntimeError("a defect")])
def test_a_failing_init_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fails(*_: object) -> None:
        raise error

    monkeypatch.setattr(homes, "draft_flow", fails)
    with pytest.raises(type(error) if isinstance(error, RuntimeError) else InputError):
        create_home(tmp_path / "home", "en", TODAY)
    assert list(tmp_path.iterdir()) == []


def test_init_wants_a_folder_to_be_in(tmp_path: Path) -> None:
    with pytest.raises(InputError) as raised:
        create_home(tmp_path / "a/b", "en", TODAY)
    assert raised.value.code == "authoring.place.missing"
    assert list(tmp_path.iterdir()) == []


def test_a_new_dataset_is_in_order_and_written_once(small: Path) -> None:
    home = read_home(small)
    draft = draft_dataset(home, "dog_licence", "en", TODAY)
    write_drafts(small, draft)
    assert _problems(small) == []
    before = {p: p.read_bytes() for p in small.rglob("*") if p.is_file()}
    (small / "expectations/dog_licence/suite.yaml").write_text("mine")
    with pytest.raises(InputError) as raised:
        write_drafts(small, draft)
    assert raised.value.code == "authoring.place.taken"
    assert (small / "expectations/dog_licence/suite.yaml").read_text() == "mine"
    assert {p for p in small.rglob("*") if p.is_file()} == set(before)


def test_a_new_dataset_asks_which_department(home: Path) -> None:
    read = read_home(home)
    departments = {h.domain for h in read.policies.holdings if h.role == "steward"}
    if len(departments) > 1:
        with pytest.raises(InputError, match="department") as raised:
            draft_dataset(read, "dog_licence", "en", TODAY)
        assert raised.value.code == "authoring.department.unclear"
    with pytest.raises(InputError) as raised:
        draft_dataset(read, "dog_licence", "en", TODAY, department="dept.publik_security")
    assert "dept.public_security" in raised.value.explain("en")
    with pytest.raises(InputError) as raised:
        draft_dataset(read, "Dog-Licence", "en", TODAY, department="dept.public_security")
    assert raised.value.code == "authoring.dataset.malformed"


def test_new_flows_read_and_stand_at_the_lowest_rung(home: Path) -> None:
    """On the sample district: its own flow files are removed and proposed anew."""
    for name in ("resident.psb_to_district", "resident.district_to_communities"):
        (home / f"dags/flows/{name}.yaml").unlink()
    read = read_home(home)
    district = read.policies.domains.district.code
    drafts = [
        draft_flow(read, FlowWish("resident", "dept.public_security", (district,)), "zh"),
        draft_flow(read, FlowWish("resident", district, ("communities",)), "en"),
    ]
    for draft in drafts:
        write_drafts(home, draft)
    flows = read_home(home).flows
    intake, delivery = flows["resident.psb_to_district"], flows["resident.district_to_communities"]
    assert (intake.kind, intake.purpose, intake.accountable_post) == (
        "intake",
        "register_upkeep",
        "psb.exchange_officer",
    )
    assert (delivery.kind, delivery.purpose) == ("delivery", "grassroots_service")
    assert len(delivery.receivers) == len(read.policies.domains.below(district, "community"))
    contract = read.contracts["resident"]
    sealed = {f.name for f in contract.sealed_fields}
    assert sealed
    assert not [f for f, rung in delivery.fields.items() if f in sealed and rung is Rung.REVEAL]
    left_out = {f.name for f in contract.fields} - set(delivery.fields)
    assert left_out == {f.name for f in contract.fields if lowest_rung(f) is None}
    text = (home / "dags/flows/resident.district_to_communities.yaml").read_text()
    assert all(f"  # {name}: reveal" in text for name in left_out)
    with pytest.raises(InputError, match="taken"):
        write_drafts(home, drafts[0])


@pytest.mark.parametrize(
    ("wish", "code", "word"),
    [
        (FlowWish("resident", "990101000000", ("communites",)), "authoring.domain.unknown", "communities"),
        (FlowWish("residnt", "990101000000", ("communities",)), "authoring.dataset.unknown", "resident"),
        (
            FlowWish("resident", "990101000000", ("communities", "grids")),
            "authoring.receivers.mixed",
            "--to",
        ),
    ],
)
def test_a_flow_of_nothing_is_refused_by_name(home: Path, wish: FlowWish, code: str, word: str) -> None:
    with pytest.raises(InputError) as raised:
        draft_flow(read_home(home), wish, "en")
    assert raised.value.code == code
    assert word in raised.value.explain("en")


def test_the_command_line_writes_shows_and_refuses(small: Path, huanshu: Callable[..., str]) -> None:
    assert "apiVersion: v3.1.0" in huanshu(small, "dataset", "new", "dog_licence", "--dry-run")
    assert not (small / "expectations/dog_licence").exists()
    told = json.loads(huanshu(small, "--json", "dataset", "new", "dog_licence"))
    assert told["written"] is True
    assert (small / "expectations/dog_licence/contract.yaml").read_text("utf-8") == (
        told["files"]["expectations/dog_licence/contract.yaml"]
    )
    huanshu(small, "schema")
    assert (small / ".huanshu-schemas/flow.json").is_file()
    with pytest.raises(InputError, match=r"authoring\.place\.taken") as raised:
        huanshu(small, "init", str(small))
    assert raised.value.exit_code == 4


def test_the_wheel_ships_templates_and_schemas(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)],
        cwd=ROOT, check=True, capture_output=True,
    )  # fmt: skip
    (wheel,) = tmp_path.glob("*.whl")
    inside = set(zipfile.ZipFile(wheel).namelist())
    package = ROOT / "src/huanshu/authoring"
    data = [p for p in package.rglob("*") if p.is_file() and p.suffix != ".pyc"]
    assert len(data) > 25
    assert {p.relative_to(ROOT / "src").as_posix() for p in data} <= inside
