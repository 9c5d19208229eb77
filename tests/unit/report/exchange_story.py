"""A small story of one district's log, written to be read: five working days in September 2026.

Tuesday 1   the log begins, policies come into force, both flows are approved, the first extract is taken in
            and all three communities get their first delivery; two of them sign
Wednesday 2 someone asks for the neighbour's data and is refused; two single reads; one look-up finds nobody
Thursday 3  an extract fails as a whole; the next one is good; Yulan gets its changes, and one delivery is stopped
Friday 4    Shiqiao's store is away: a delivery is authorised, does not arrive, and a finding is opened
Tuesday 8   the report is made. Shiqiao has not signed Tuesday's delivery: three working days ended on the 4th
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from huanshu.auditlog.events import check
from huanshu.canonical import canonical
from huanshu.catalog import Home
from huanshu.tlog.tree import Frontier, leaf_hash

Body = dict[str, Any]

YULAN, WANGJIANG, SHIQIAO = "990101001001", "990101001002", "990101001003"
DISTRICT, POLICE = "990101000000", "dept.public_security"
GIVE, TAKE = "resident.district_to_communities", "resident.psb_to_district"

BEGIN = datetime.fromisoformat("2026-09-01T00:00:00+08:00")
NOW = datetime.fromisoformat("2026-09-08T09:30:00+08:00")
WINDOW = (BEGIN, NOW)


class Log:
    """Writes entries as the keeper would, one line of the story at a time."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self.entries: list[Body] = []

    def add(self, at: str, event: str, person: str, detail: Mapping[str, Any], **members: Any) -> int:
        """Append at ``day hh:mm`` of September 2026; returns the index."""
        day, clock = at.split()
        body: Body = {
            "v": 1,
            "index": len(self.entries),
            "event": event,
            "at": f"2026-09-{int(day):02}T{clock}:00.000000+08:00",
            "person": person,
            "established": {"by": "os", "account": person.removeprefix("p.")},
            "policy": self.home.policies.digest,
            "detail": dict(detail),
            **members,
        }
        check(body)
        self.entries.append(body)
        return body["index"]

    def _flow(self, name: str, domain: str) -> Body:
        flow = self.home.flows[name]
        return {
            "post": flow.accountable_post,
            "domain": domain,
            "dataset": flow.dataset,
            "flow": {"id": name, "digest": flow.digest, "approval": 2, "run": "r"},
        }

    def approve(self, at: str, name: str, until: str, **changed: str) -> int:
        detail = {"flow": name, "digest": self.home.flows[name].digest, "until": f"{until}T23:59:59+08:00"}
        return self.add(
            at,
            "approval.flow.granted",
            "p.lin",
            {**detail, **changed},
            post="psb.exchange_officer",
            dataset="resident",
        )

    def authorise_intake(self, at: str, sequence: int, records: int) -> int:
        detail = {
            "batch": f"{sequence:064x}",
            "sequence": sequence,
            "sender": POLICE,
            "records": records,
            "until": "2026-09-30T23:59:59+08:00",
        }
        fields = {field.name: "write" for field in self.home.contracts["resident"].fields}
        return self.add(
            at,
            "exchange.intake.authorised",
            "p.lin",
            detail,
            purpose="register_upkeep",
            fields=fields,
            how="moved",
            contract=self.home.contracts["resident"].digest,
            **self._flow(TAKE, DISTRICT),
        )

    def promote(self, at: str, authorised: int, **told: Any) -> int:
        counts = {"good": 0, "quarantined": 0, "unchanged": 0, "withdrawn": 0, "rules": {}, "warnings": {},
                  "written": {"rows": 0, "sha256": "00" * 32}}  # fmt: skip
        batch = self.entries[authorised]["detail"]["batch"]
        detail = {"batch": batch, "authorised": authorised, **counts, **told}
        return self.add(at, "exchange.intake.promoted", "p.lin", detail, **self._flow(TAKE, DISTRICT))

    def refuse_intake(self, at: str, authorised: int, rules: Mapping[str, int]) -> int:
        batch = self.entries[authorised]["detail"]["batch"]
        detail = {
            "batch": batch,
            "authorised": authorised,
            "reason": "quality.batch.failed",
            "rules": dict(rules),
        }
        return self.add(at, "exchange.intake.refused", "p.lin", detail, **self._flow(TAKE, DISTRICT))

    def authorise(self, at: str, delivery: str, receiver: str, upserts: int, withdrawals: int = 0) -> int:
        detail = {
            "delivery": delivery,
            "receiver": receiver,
            "upserts": upserts,
            "withdrawals": withdrawals,
            "until": "2026-09-30T23:59:59+08:00",
        }
        flow = self.home.flows[GIVE]
        return self.add(
            at,
            "exchange.delivery.authorised",
            "p.lin",
            detail,
            purpose="grassroots_service",
            fields={name: rung.word for name, rung in flow.fields.items()},
            how="moved",
            contract=self.home.contracts["resident"].digest,
            **self._flow(GIVE, receiver),
        )

    def arrive(self, at: str, authorised: int, holds: int) -> int:
        told = self.entries[authorised]["detail"]
        detail = {
            "delivery": told["delivery"],
            "receiver": told["receiver"],
            "authorised": authorised,
            "count": told["upserts"],
            "withdrawn": told["withdrawals"],
            "holds": holds,
            "digest": "d" * 64,
            "slice_digest": "e" * 64,
        }
        return self.add(
            at, "exchange.delivery.arrived", "p.lin", detail, **self._flow(GIVE, told["receiver"])
        )

    def stop(self, at: str, authorised: int, chunks: int) -> int:
        told = self.entries[authorised]["detail"]
        detail = {
            "delivery": told["delivery"],
            "receiver": told["receiver"],
            "authorised": authorised,
            "reason": "exchange.delivery.superseded",
            "chunks": chunks,
        }
        return self.add(
            at, "exchange.delivery.stopped", "p.lin", detail, **self._flow(GIVE, told["receiver"])
        )

    def sign(self, at: str, arrived: int, person: str, post: str) -> int:
        body = self.entries[arrived]
        return self.add(
            at,
            "exchange.delivery.signed",
            person,
            {"delivery": body["detail"]["delivery"], "arrived": arrived},
            post=post,
            domain=body["domain"],
            dataset="resident",
        )

    def view(self, at: str, person: str, post: str, domain: str, fields: Mapping[str, str]) -> int:
        return self.add(
            at,
            "access.record.authorised",
            person,
            {"record": 7, "values": len(fields), "until": "2026-09-30T23:59:59+08:00"},
            post=post,
            domain=domain,
            dataset="resident",
            purpose="grassroots_service",
            fields=dict(fields),
            how="viewed",
            contract=self.home.contracts["resident"].digest,
            subjects={"count": 1, "sha256": "a" * 64, "sealed_sha256": "b" * 64},
        )

    def deny(self, at: str, person: str, reason: str, **members: str) -> int:
        detail = {"reason": reason, "asked": "access.record.authorised"}
        return self.add(at, "access.request.denied", person, detail, **members)

    def find(self, at: str, receiver: str, due: str) -> int:
        detail = {
            "finding": f"receipt/{GIVE}/{receiver}",
            "kind": "store.server.unreachable",
            "due": f"{due}T23:59:59+08:00",
            "owner_post": "psb.exchange_officer",
            "about": receiver,
        }
        return self.add(at, "finding.case.opened", "p.lin", detail, **self._flow(GIVE, receiver))


def story(home: Home) -> list[Body]:
    """The five days. Indices in comments are those the expectations cite."""
    log = Log(home)
    clerk = {"post": "yulan.data_clerk", "dataset": "resident", "purpose": "grassroots_service"}

    log.add(
        "1 08:30", "log.origin.created", "p.chen", {"sandbox": True, "origin": "log", "vkey": "log+0+A"}
    )  # 0
    log.add(
        "1 08:40",
        "policy.bundle.adopted",
        "p.chen",
        {"digest": home.policies.digest},
        post="district.security_officer",
    )  # 1
    log.approve("1 08:50", TAKE, "2026-12-31")  # 2
    log.approve("1 08:51", GIVE, "2027-06-30")  # 3
    first = log.authorise_intake("1 09:00", 1, 3000)  # 4
    log.promote(
        "1 09:05",
        first,
        good=2990,
        quarantined=10,
        rules={"phone_form": 6, "name_form": 4},
        warnings={"education_code": 3},
    )  # 5
    yulan = log.arrive("1 09:11", log.authorise("1 09:10", "d1", YULAN, 1100), 1100)  # 6, 7
    wangjiang = log.arrive("1 09:13", log.authorise("1 09:12", "d2", WANGJIANG, 1000), 1000)  # 8, 9
    log.arrive("1 09:15", log.authorise("1 09:14", "d3", SHIQIAO, 890), 890)  # 10, 11
    log.sign("1 14:00", yulan, "p.tang", "yulan.data_clerk")  # 12
    log.sign("1 15:30", wangjiang, "p.shi", "wangjiang.data_clerk")  # 13

    log.deny("2 10:00", "p.tang", "access.request.denied", domain=WANGJIANG, **clerk)  # 14
    log.deny("2 10:01", "p.tang", "access.request.denied", domain=WANGJIANG, **clerk)  # 15
    log.deny("2 10:20", "p.qiu", "identity.post.not_held", domain=YULAN)  # 16
    log.view(
        "2 11:00", "p.tang", "yulan.data_clerk", YULAN, {"name": "reveal", "citizen_number": "mask"}
    )  # 17
    log.view("2 11:05", "p.ma", "yulan.data_clerk", YULAN, {"name": "reveal", "phone": "reveal"})  # 18
    log.add(
        "2 11:20",
        "access.record.missed",
        "p.luo",
        {"reason": "elsewhere"},
        post="wangjiang.data_clerk",
        domain=WANGJIANG,
        dataset="resident",
        purpose="grassroots_service",
        fields={"name": "reveal"},
    )  # 19

    log.refuse_intake("3 09:02", log.authorise_intake("3 09:00", 2, 40), {"batch_size": 1})  # 20, 21
    second = log.authorise_intake("3 11:00", 3, 3010)  # 22
    log.promote(
        "3 11:05",
        second,
        good=3006,
        quarantined=4,
        unchanged=2940,
        withdrawn=50,
        rules={"phone_form": 1, "contract_name": 3},
        warnings={"education_code": 2},
    )  # 23
    log.stop("3 11:20", log.authorise("3 11:10", "d4", YULAN, 60, 20), 1)  # 24, 25
    again = log.arrive("3 11:25", log.authorise("3 11:22", "d5", YULAN, 66, 20), 1105)  # 26, 27
    log.sign("3 16:00", again, "p.tang", "yulan.data_clerk")  # 28

    log.authorise("4 09:00", "d6", SHIQIAO, 12, 3)  # 29
    log.find("4 09:10", SHIQIAO, "2026-09-09")  # 30
    return log.entries


def checkpoint_of(
    entries: Iterable[Body], origin: str = "log.example/qinghe", note: str = ""
) -> dict[str, Any]:
    """What the keeper would say of a log that holds exactly these entries."""
    tree = Frontier(leaf_hash(canonical(entry)) for entry in entries)
    return {"origin": origin, "size": tree.size, "root": tree.root.hex(), "note": note}
