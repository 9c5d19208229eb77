"""The keeper's home is the one on disk: every file that is obeyed is looked at, and looking is cheap."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import pytest

from huanshu.assembly.fresh_home import FreshHome, home_now
from huanshu.catalog.bundle import bundle_files
from huanshu.catalog.folder import Folder
from huanshu.errors import ContentError


def touch(path: Path) -> None:
    """Another time, and nothing else: what an editor that saves the same size leaves."""
    seen = path.stat()
    os.utime(path, ns=(seen.st_atime_ns, seen.st_mtime_ns + 1_000_000_000))


def test_a_change_of_any_file_that_is_obeyed_is_seen(home: Path) -> None:
    fresh = FreshHome(home)
    files = [home / path for path in bundle_files(Folder(home))]
    files += [
        *(home / "dags/flows").glob("*.yaml"),
        *(home / "audit").glob("*.yaml"),
        home / "audit/calendar.csv",
    ]
    assert len(files) > 30
    last = fresh._look()
    for file in files:
        touch(file)
        now = fresh._look()
        assert now != last, file
        last = now


def test_the_home_is_read_again_when_it_changed_and_only_then(home: Path) -> None:
    fresh = FreshHome(home)
    first = fresh()
    touch(home / "expectations/resident/samples/passing.csv")
    assert fresh() is first
    touch(home / "policies/keys.yaml")
    assert fresh() is not first


def test_a_home_that_lost_its_policies_is_refused_until_they_are_back(home: Path) -> None:
    fresh = FreshHome(home)
    fresh()
    shutil.move(home / "policies", home / "away")
    with pytest.raises(ContentError):
        fresh()
    shutil.move(home / "away", home / "policies")
    assert len(fresh().flows) == 8


def test_what_a_process_has_read_is_kept_until_it_changes(home: Path) -> None:
    first = home_now(home)
    assert home_now(home) is first
    flow = home / "dags/flows/grid_event.urban_to_district.yaml"
    flow.write_text(flow.read_text() + "\n")
    assert (
        home_now(home).flows["grid_event.urban_to_district"].digest
        != first.flows["grid_event.urban_to_district"].digest
    )


def test_a_ring_of_links_ends(home: Path) -> None:
    (home / "expectations/ring").symlink_to(home / "expectations")
    FreshHome(home)._look()


def test_looking_is_cheap(root: Path) -> None:
    """At every request. The sample home takes 0.2 ms on a shared core; a slow machine may take twenty times that."""
    fresh = FreshHome(root)
    began = time.process_time()
    for _ in range(100):
        fresh._look()
    assert time.process_time() - began < 0.4
