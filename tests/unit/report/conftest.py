"""The story lies beside the tests; the sample home gives its names."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from exchange_story import NOW, WINDOW, Body, story

from huanshu.catalog import Home, read_home
from huanshu.report.facts import Facts


@pytest.fixture(scope="session")
def sample(root: Path) -> Home:
    """The sample home, read once."""
    return read_home(root)


@pytest.fixture(scope="session")
def entries(sample: Home) -> list[Body]:
    """The story's entries, in order."""
    return story(sample)


@pytest.fixture
def facts(sample: Home, entries: list[Body]) -> Facts:
    return Facts(entries, sample, *WINDOW, NOW)
