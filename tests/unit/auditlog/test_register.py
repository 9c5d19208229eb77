"""The register is what the entries say, folded in order."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from huanshu.auditlog import Entry, Register


def folded(*said: tuple[str, dict[str, Any]]) -> Register:
    register = Register()
    for index, (event, detail) in enumerate(said):
        body = {"event": event, "person": "p.lin", "post": "psb.exchange_officer", "detail": detail}
        register.apply(Entry(index, event, body, b""))
    return register


UNTIL = "2026-12-31T00:00:00+08:00"
GRANTED = ("approval.flow.granted", {"flow": "f", "digest": "d1", "until": UNTIL})


def test_an_empty_log_establishes_nothing() -> None:
    register = folded()
    assert (register.policy_digest, register.sandbox, register.findings) == (None, False, [])
    assert register.approval("f", "d1") is None
    assert register.sender_key("s") is None


def test_the_last_bundle_is_the_adopted_one() -> None:
    adopted = [("policy.bundle.adopted", {"digest": digest}) for digest in ("a", "b")]
    assert folded(*adopted).policy_digest == "b"


def test_an_approval_is_of_one_digest_and_ends_when_revoked() -> None:
    register = folded(("log.origin.created", {"sandbox": True}), GRANTED)
    approval = register.approval("f", "d1")
    assert approval is not None
    assert (approval.person, approval.post, approval.index) == ("p.lin", "psb.exchange_officer", 1)
    assert approval.until.isoformat() == UNTIL
    assert register.approval("f", "d2") is None
    assert register.approval("g", "d1") is None
    assert register.sandbox
    assert (
        folded(GRANTED, ("approval.flow.revoked", {"flow": "f", "digest": "d1"})).approval("f", "d1") is None
    )
    assert folded(GRANTED, ("approval.flow.revoked", {"flow": "f", "digest": "d2"})).approval("f", "d1")
    again = folded(GRANTED, ("approval.flow.revoked", {"flow": "f", "digest": "d1"}), GRANTED)
    assert again.approval("f", "d1") is not None


def test_a_senders_newest_key_counts() -> None:
    keys = [("key.sender.enrolled", {"sender": "s", "public_key": key}) for key in ("aa", "bb")]
    assert folded(*keys).sender_key("s") == "bb"


def test_findings_stay_open_until_settled() -> None:
    opened = [("finding.case.opened", {"finding": name, "kind": "k"}) for name in ("one", "two")]
    register = folded(
        *opened, ("finding.case.settled", {"finding": "one"}), ("finding.case.settled", {"finding": "?"})
    )
    assert [(f["finding"], f["opened"]) for f in register.findings] == [("two", 1)]


def test_a_withholding_of_what_was_not_there_yet_keeps_nothing() -> None:
    of = {"reason": "r", "reviewer": "p.xu", "until": UNTIL}
    register = folded(
        *(("report.page.built", {}) for _ in range(3)),
        ("access.sighting.withheld", {**of, "entry": 1}), ("access.sighting.confirmed", {"withheld": 3, "entry": 1}),
        ("access.sighting.withheld", {**of, "entry": 7}), ("access.sighting.confirmed", {"withheld": 5, "entry": 7}),
    )  # fmt: skip
    assert register.size == 7
    assert set(register.withheld(datetime.fromisoformat("2026-01-01T00:00:00+08:00"))) == {1}
