"""The sample home, and stories told of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from huanshu.catalog import Home, read_home

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="session")
def sample() -> Home:
    return read_home(ROOT)
