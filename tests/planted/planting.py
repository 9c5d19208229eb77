"""Entries planted through the log writer, with real sealed bitmaps beside them: what a keeper finds when it starts.

The keeper must be down meanwhile: the log has one writer."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from pyroaring import BitMap

from huanshu.assembly.keeper_process import clock_of
from huanshu.auditlog import Draft, HeadFile, LogWriter, Signer, create_head
from huanshu.catalog import Home
from huanshu.keeper.vault import Vault, create_root, load_root
from huanshu.sealing.blobs import seal_blob
from huanshu.sealing.keys import bitmap_key
from huanshu.store import connect

FLOW = "resident.district_to_communities"
FIELDS = {"name": "reveal", "phone": "mask"}


class Planting:
    """What is planted is durable when a method returns."""

    def __init__(
        self, home: Home, url: str, signer: Signer, head: HeadFile, root: Path, clock: Callable[[], datetime]
    ) -> None:
        self.home, self.head = home, head
        self._made = lambda: LogWriter(lambda: connect(url), signer, home.log_origin, head, clock)
        self.vault = Vault(load_root(root), connect(url))
        self.key = self.vault.key(bitmap_key(1))
        self._writer: LogWriter | None = None
        self._deliveries = 0

    @classmethod
    def fresh(cls, ground: Any, home: Home) -> Planting:
        """Over an empty log on a ground, begun and with the home's policies in force."""
        head = HeadFile(ground.folder / "keeper.head")
        create_head(ground.signer, home.log_origin, head)
        create_root(ground.folder / "root.key")
        made = cls(home, ground.keeper_url, ground.signer, head, ground.folder / "root.key", ground.clock)
        made.begin()
        return made

    @classmethod
    def over(cls, place: Any) -> Planting:
        """Over the log of a range whose keeper is stopped."""
        keeper, home = place.settings.keeper_folder, place.acting().home
        url = place.deployment.roles["huanshu_keeper"]
        signer, head = Signer.load(keeper / "log.key"), HeadFile(keeper / "head")
        return cls(home, url, signer, head, keeper / "root.key", clock_of(home))

    def begin(self) -> None:
        home = self.home
        self.append(
            self.body(
                "log.origin.created", {"sandbox": True, "origin": home.log_origin, "vkey": "x"}, "p.chen"
            ),
            self.body(
                "policy.bundle.adopted",
                {"digest": home.policies.digest},
                "p.chen",
                post="district.security_officer",
            ),
        )

    @property
    def writer(self) -> LogWriter:
        if self._writer is None:
            self._writer = self._made()
            list(self._writer.start())
        return self._writer

    def done(self) -> None:
        """Let go of the log, so that a keeper can start. The vault stays open: ``vault.close`` ends it."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def body(self, event: str, detail: Mapping[str, Any], person: str, **members: Any) -> Draft:
        return self._draft(event, detail, person, None, members)

    def _draft(
        self,
        event: str,
        detail: Mapping[str, Any],
        person: str,
        subjects: BitMap | None,
        members: Mapping[str, Any],
    ) -> Draft:
        body: dict[str, Any] = {
            "event": event, "person": person, "established": {"by": "os", "account": f"qh_{person[2:]}"},
            "policy": self.home.policies.digest, "detail": dict(detail), **members,
        }  # fmt: skip
        if subjects is None:
            return Draft(body)
        plain = subjects.serialize()
        digest = hashlib.sha256(plain).hexdigest()
        sealed = seal_blob(self.key, bitmap_key(1), digest, plain)
        body["subjects"] = {
            "count": len(subjects), "sha256": digest, "sealed_sha256": hashlib.sha256(sealed).hexdigest(),
        }  # fmt: skip
        return Draft(body, bitmap=sealed)

    def append(self, *drafts: Draft) -> list[int]:
        return [appended.entry.index for appended in self.writer.append(drafts)]

    # -- kinds of entries -----------------------------------------------------------------------

    def moved(
        self, receiver: str, subjects: Iterable[int], fields: Mapping[str, str] = FIELDS, *, arrived: bool = True, stopped: Iterable[int] | None = None,
        person: str = "p.lin", dataset: str = "resident",
    ) -> int:  # fmt: skip
        """A delivery: authorised, its keys lent, and arrived, or stopped when it had opened some of them, or not begun.
        Index of the first entry."""
        self._deliveries += 1
        delivery = f"{self._deliveries:064x}"
        about = {
            "post": "psb.exchange_officer", "domain": receiver, "dataset": dataset, "purpose": "grassroots_service",
            "flow": {"id": FLOW, "digest": "ab" * 32, "approval": 0}, "contract": "cd" * 32,
        }  # fmt: skip
        numbers = {"delivery": delivery, "receiver": receiver}
        ordinals = BitMap(subjects)
        (index,) = self.append(
            self._draft(
                "exchange.delivery.authorised",
                {**numbers, "upserts": len(ordinals), "withdrawals": 0, "until": "2026-12-31T00:00:00+08:00"},
                person, ordinals, {**about, "fields": dict(fields), "how": "moved"},
            )
        )  # fmt: skip
        if stopped is not None:
            self.writer.record_loan(index, "keys", 0, sorted(fields), len(fields))
            detail = {**numbers, "authorised": index, "reason": "keeper.ticket.approval_ended", "chunks": 1}
            self.append(
                self._draft(
                    "exchange.delivery.stopped", detail, person, BitMap(stopped), _without(about, "fields")
                )
            )
        elif arrived:
            self.writer.record_loan(index, "keys", 0, sorted(fields), len(fields))
            detail = {
                **numbers, "authorised": index, "count": len(ordinals), "withdrawn": 0, "holds": len(ordinals),
                "digest": "", "slice_digest": "",
            }  # fmt: skip
            self.append(self.body("exchange.delivery.arrived", detail, person, **about))
        return index

    def accessed(
        self, how: str, domain: str, subjects: Iterable[int], fields: Mapping[str, str] = FIELDS, *,
        person: str = "p.tang", post: str = "yulan.data_clerk", dataset: str = "resident",
        purpose: str = "grassroots_service", opened: bool = True, workbook: str | None = None, account: str = "",
        trace: str = "",
    ) -> int:  # fmt: skip
        """A single read, a workbook, or a comparison: what a person did himself."""
        until = "2026-12-31T00:00:00+08:00"
        if workbook is not None:
            event: str = "access.workbook.authorised"
            detail: dict[str, Any] = {"workbook": workbook, "sequence": 1, "records": 1, "until": until}
        elif how == "viewed":
            event, detail = "access.record.authorised", {"record": 1, "values": len(fields), "until": until}
        else:
            event = "correction.batch.authorised"
            detail = {
                "batch": f"{self.writer.size:064x}", "channel": "signed", "sequence": 1, "sender": domain,
                "records": 1, "until": until,
            }  # fmt: skip
        members = {
            "post": post, "domain": domain, "dataset": dataset, "purpose": purpose, "fields": dict(fields),
            "how": how, "contract": "cd" * 32, **({"trace": trace} if trace else {}),
        }  # fmt: skip
        draft = self._draft(event, detail, person, BitMap(subjects), members)
        if account:
            draft.body["established"]["account"] = account
        (index,) = self.append(draft)
        if opened:
            self.writer.record_loan(
                index, "opened" if workbook is None else "keys", 0, sorted(fields), len(fields)
            )
        return index


def _without(members: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in members.items() if key != name}
