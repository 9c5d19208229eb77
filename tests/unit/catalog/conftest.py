"""A home small enough to break in one place at a time: a private copy of ``tests/content/minimal_home``."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

MINIMAL = Path(__file__).parents[2] / "content" / "minimal_home"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return Path(shutil.copytree(MINIMAL, tmp_path / "home"))
