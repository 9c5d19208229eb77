"""Entries planted through the log writer, with real sealed bitmaps beside them: what a keeper finds when it starts.

The keeper must be down meanwhile: the log has one writer."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

from pyroaring import BitMap

from huanshu.auditlog import Draft, HeadFile, LogWriter, create_head
from huanshu.catalog import Home
from huanshu.keeper.vault import Vault, create_root, load_root
from huanshu.sealing.blobs import seal_blob
from huanshu.sealing.keys import bitmap_key
from huanshu.store import connect

FLOW = "resident.district_to_communities"
FIELDS = {"name": "reveal", "phone": "mask"}


class Planting:
    """A fresh log of ``home`` on a ground; what is planted is durable when ``append`` returns."""

    def __init__(self, ground: Any, home: Home) -> None:
        self.ground, self.home = ground, home
        self.head = HeadFile(ground.folder / "keeper.head")
        create_head(ground.signer, home.log_origin, self.head)
        create_root(ground.folder / "root.key")
        self.vault = Vault(load_root(ground.folder / "root.key"), connect(ground.keeper_url))
        self.key = self.vault.key(bitmap_key(1))
        self._writer: LogWriter | None = None
        self._deliveries = 0
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
            url, ground = self.ground.keeper_url, self.ground
            self._writer = LogWriter(
                lambda: connect(url), ground.signer, self.home.log_origin, self.head, ground.clock
            )
            list(self._writer.start())
        return self._writer

    def done(self) -> None:
        """Let go of the log, so that a keeper can start."""
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
        self, receiver: str, subjects: Iterable[int], fields: Mapping[str, str] = FIELDS, *, arrived: bool = True,
        person: str = "p.lin", dataset: str = "resident",
    ) -> int:  # fmt: skip
        """A delivery: authorised, its keys lent, and arrived (or under way). Index of the first entry."""
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
        if arrived:
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
