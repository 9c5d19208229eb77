"""The story lies beside the tests; the sample home gives its names."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from exchange_story import GIVE, NOW, SHIQIAO, TAKE, WANGJIANG, WINDOW, YULAN, Body, story

from huanshu.catalog import Home, read_home
from huanshu.report.facts import Facts


@pytest.fixture(scope="session")
def sample(root: Path) -> Home:
    """The sample home, read once, with the story's two flows and its three communities."""
    home = read_home(root)
    give = replace(home.flows[GIVE], receivers=(YULAN, WANGJIANG, SHIQIAO))
    return replace(home, flows={GIVE: give, TAKE: home.flows[TAKE]})


@pytest.fixture(scope="session")
def entries(sample: Home) -> list[Body]:
    """The story's entries, in order."""
    return story(sample)


@pytest.fixture
def facts(sample: Home, entries: list[Body]) -> Facts:
    return Facts(entries, sample, *WINDOW, NOW)
