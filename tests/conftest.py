"""What every test stands on: a scrubbed environment, real servers, a home to change."""

from __future__ import annotations

import gc
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings as hypothesis_settings

from huanshu.store import EmbeddedServer, connect, migrate
from huanshu.store.roles import DISTRICT_ROLES, new_passwords, prepare_district, role_url

if TYPE_CHECKING:
    from devices import Devices

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared" / "data"

sys.path.insert(0, str(Path(__file__).parent / "planted"))  # what several folders of tests plant

hypothesis_settings.register_profile(
    "huanshu", deadline=None, max_examples=60, derandomize=True, database=None
)
hypothesis_settings.load_profile("huanshu")

for _name in list(os.environ):
    if _name.startswith(("HUANSHU_", "AIRFLOW_", "PG", "OTEL_", "GX_", "GE_")):
        del os.environ[_name]

# A seventh of the suite's time went into walking over what pandas and Great Expectations keep for ever.
gc.set_threshold(50_000, 20, 50)


def pytest_collection_finish() -> None:
    """What was collected stays: nobody need walk over it again."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository's root: the sample home."""
    return ROOT


@pytest.fixture(scope="session")
def shared() -> Path:
    """Real files beside the repository; skips, loudly, where they are absent."""
    if not SHARED.is_dir():
        pytest.skip(f"no real files at {SHARED}")
    return SHARED


@pytest.fixture(scope="session")
def devices(tmp_path_factory: pytest.TempPathFactory) -> Devices:
    """Cryptographic devices of software; skips, loudly, where SoftHSM2 is absent."""
    from devices import made_in

    return made_in(tmp_path_factory.mktemp("softhsm"))


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServer]:
    """One embedded PostgreSQL for the whole session."""
    with EmbeddedServer(tmp_path_factory.mktemp("server") / "district") as started:
        yield started


@pytest.fixture(scope="session")
def second_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServer]:
    """Another server beside it, as a community's own."""
    with EmbeddedServer(tmp_path_factory.mktemp("server") / "community") as started:
        yield started


@pytest.fixture
def roles(server: EmbeddedServer) -> dict[str, str]:
    """Fresh district databases on the session's server: role → URL."""
    passwords = new_passwords(DISTRICT_ROLES)
    with connect(server.admin_url) as admin:
        for database in ("huanshu", "huanshu_airflow"):
            admin.execute(f"DROP DATABASE IF EXISTS {database} WITH (FORCE)".encode())
    prepare_district(server.admin_url, passwords)
    urls = {role: role_url(server.admin_url, role, passwords) for role in DISTRICT_ROLES}
    with connect(urls["huanshu_owner"]) as owner:
        migrate(owner)
    return urls


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A copy of the sample home that a test may change."""
    target = tmp_path / "home"
    for folder in ("policies", "expectations", "dags", "audit"):
        shutil.copytree(ROOT / folder, target / folder)
    return target
