"""A deployment that an older version made gets the newer version's tables when it is started, and keeps its data."""

from __future__ import annotations

from pathlib import Path

from huanshu.assembly import Stack, connect
from huanshu.assembly.sandbox import prepare
from huanshu.settings import Settings
from huanshu.store import connect as connect_to

ROOT = Path(__file__).parents[2]
TABLES = ("correction", "correction_batch", "workbook", "workbook_shown")


def test_starting_an_older_deployment_applies_what_it_lacks(tmp_path: Path) -> None:
    settings = Settings(ROOT, tmp_path / "state", "en")
    with Stack(settings) as stack:
        prepare(settings)
        before = connect(settings).keeper.status()
        # As an older version left it: without the newer tables, and without their line in the ledger.
        with connect_to(stack.deployment.roles["huanshu_owner"]) as owner:
            for table in TABLES:
                owner.execute(f"DROP TABLE district.{table} CASCADE".encode())
            owner.execute("DELETE FROM schema_migration WHERE name LIKE '0003%'")
        with connect_to(
            stack.deployment.roles["huanshu_app"]
        ) as app:  # a dataset of before the keeper counted
            app.execute("CREATE TABLE district.resident (record bigint)")
    with Stack(settings):
        running = connect(settings)
        with running.district() as district:
            for table in TABLES:
                assert district.execute(f"SELECT count(*) FROM district.{table}".encode()).fetchone() == (0,)
        with connect_to(stack.deployment.roles["huanshu_keeper"]) as keeper:
            assert keeper.execute("SELECT count(*) FROM district.resident").fetchone() == (0,)
        after = running.keeper.status()
    assert (before["size"], before["root"]) == (after["size"], after["root"])
    assert before["size"] > 0
