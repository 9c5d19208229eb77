"""requirements.lock: all that pyproject.toml asks for, by hash, from wherever the installer gets its packages."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

Pins = list[tuple[Requirement, list[str]]]


@pytest.fixture(scope="module")
def pins(root: Path) -> Pins:
    """Each pin and the lines of its hashes. One for all Pythons and systems: some are pinned twice, by marker."""
    found: Pins = []
    for line in (root / "requirements.lock").read_text().splitlines():
        if line.startswith(" "):
            found[-1][1].append(line.strip())
        else:
            found.append((Requirement(line.removesuffix(" \\")), []))
    assert len(found) > 50
    return found


def _named(pins: Pins, name: str) -> list[Requirement]:
    return [pin for pin, _ in pins if canonicalize_name(pin.name) == canonicalize_name(name)]


def test_every_pin_has_its_hashes_and_no_address(pins: Pins) -> None:
    for pin, hashes in pins:
        assert pin.url is None, pin
        assert re.fullmatch(r"==[^*,]+", str(pin.specifier)), pin
        assert hashes, pin
        assert all(re.fullmatch(r"--hash=sha256:[0-9a-f]{64}( \\)?", line) for line in hashes), pin


def test_it_answers_every_requirement(root: Path, pins: Pins) -> None:
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    asked = [Requirement(text) for text in (*project["dependencies"], *extras["airflow"], *extras["dev"])]
    assert len(asked) > 20
    for requirement in asked:
        pinned = _named(pins, requirement.name)
        assert pinned, f"{requirement.name} is not in the lock: make lock"
        for pin in pinned:
            version = str(pin.specifier).removeprefix("==")
            assert requirement.specifier.contains(version), f"{requirement} but {pin}: make lock"


def test_one_casbin(pins: Pins) -> None:
    """The old distribution owns the same package folder as pycasbin: never both."""
    assert _named(pins, "pycasbin")
    assert not _named(pins, "casbin")


def test_the_build_needs_nothing_else(root: Path, pins: Pins) -> None:
    """make installs the repository without build isolation: what builds it is locked too."""
    build = tomllib.loads((root / "pyproject.toml").read_text())["build-system"]["requires"]
    assert build
    for needed in (*build, "editables", "uv"):
        assert _named(pins, Requirement(needed).name), f"{needed} is not in the lock"
