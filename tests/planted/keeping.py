"""A sandbox's keeper over a test's ground: a real log, a real vault, no socket."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pyroaring import BitMap
from served import OWNER, service_over

from huanshu.auditlog import HeadFile, create_head
from huanshu.catalog import Home
from huanshu.keeper.cells import StoredCell
from huanshu.keeper.service import Service
from huanshu.keeper.vault import Vault, create_root, load_root
from huanshu.sealing import CellContext, seal_column
from huanshu.sealing.keys import data_key
from huanshu.store import connect

HERE = "990101001001"
BITMAP = BitMap([1]).serialize()


class Keeper:
    """A service of a sandbox, and the vault behind it."""

    def __init__(self, ground: Any, home: Home) -> None:
        self.ground, self.home = ground, home
        self.head = HeadFile(ground.folder / "keeper.head")
        create_head(ground.signer, home.log_origin, self.head)
        create_root(ground.folder / "root.key")
        self.vault = Vault(load_root(ground.folder / "root.key"), connect(ground.keeper_url))
        self.service = self.started()
        self.service.append(OWNER, "p.chen", {"event": "log.origin.created", "detail": {"sandbox": True}})
        adopted = {"event": "policy.bundle.adopted", "detail": {"digest": home.policies.digest}}
        self.service.append(OWNER, "p.chen", adopted)

    def started(self) -> Service:
        return service_over(self.ground, self.home, self.head, self.vault)

    def events(self) -> list[str]:
        return [event for (event,) in self.ground.rows("SELECT event FROM log.entry ORDER BY index")]

    def bodies(self) -> list[dict[str, Any]]:
        return [
            json.loads(bytes(leaf))
            for (leaf,) in self.ground.rows("SELECT leaf FROM log.entry ORDER BY index")
        ]

    def published(self) -> int:
        return int((self.ground.folder / "log" / "checkpoint").read_text().splitlines()[1])

    @contextmanager
    def without_disk(self) -> Iterator[None]:
        """The published folder cannot be written: a file lies where it was."""
        log, aside = self.ground.folder / "log", self.ground.folder / "aside"
        log.rename(aside)
        log.write_text("")
        try:
            yield
        finally:
            log.unlink()
            aside.rename(log)

    @contextmanager
    def without_database(self) -> Iterator[None]:
        """The log takes no writes."""
        with connect(self.ground.tamper_url) as admin:
            admin.execute("REVOKE INSERT ON log.entry FROM huanshu_keeper")
            try:
                yield
            finally:
                admin.execute("GRANT INSERT ON log.entry TO huanshu_keeper")

    def cell(self, record: int = 7, field: str = "name", value: str | None = "张三") -> StoredCell:
        key = self.vault.key(data_key(HERE, "resident", field, 1))
        context = CellContext(HERE, "resident", field, "reveal", 1)
        (sealed,) = seal_column(key, context, 60, [record], [1], [value])
        return StoredCell(field, sealed, HERE, record, 1, 1, "reveal")


def claim(event: str = "access.record.authorised", **changes: Any) -> dict[str, Any]:
    return {
        "event": event, "post": "yulan.data_clerk", "domain": HERE, "dataset": "resident",
        "purpose": "grassroots_service", "fields": {"name": "reveal"}, "subjects": 1,
        "detail": {"record": 7, "values": 1}, **changes,
    }  # fmt: skip
