"""A keeper of the sample home, for whatever asks one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from keeping import Keeper

from huanshu.catalog import read_home


@pytest.fixture
def keeper(ground: Any, root: Path) -> Iterator[Keeper]:
    made = Keeper(ground, read_home(root))
    yield made
    made.service.close()
