"""Entries as OCSF 1.8.0 events, for a security operations centre that already reads that form.

    6005 datastore activity   values opened, moved or written; a refused access to a dataset
    6003 API activity         acts of administrators, runs, questions to the log
    3002 authentication       a refusal because the person was not who or where he said: post not held, system account
    3003 authorize session    approvals given and taken back, withholdings: what lets somebody do something
    2003 compliance finding   findings, quality verdicts that refused a batch, drills, coverage
    2004 detection finding    alerts, and what the log noticed about itself: a moved clock, stale evidence

The table below is closed: an event without a line is an error, so nothing is left out silently. An entry holds no value
and no resident's identity, and nothing is added here but the district's log name. What OCSF has no place for is in
``unmapped``. The leaf's index and the log's origin are in ``metadata``: whoever doubts a line proves the entry.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

VERSION: Final = "1.8.0"
DATASTORE, API, AUTHENTICATION, AUTHORIZE, COMPLIANCE, DETECTION = 6005, 6003, 3002, 3003, 2003, 2004
CLASSES: Final = (DATASTORE, API, AUTHENTICATION, AUTHORIZE, COMPLIANCE, DETECTION)

_READ, _UPDATE, _QUERY, _WRITE, _DELETE, _OTHER = 1, 2, 4, 5, 7, 99
_API_CREATE, _API_READ, _API_UPDATE, _API_DELETE = 1, 2, 3, 4
_LOGON, _ASSIGN = 1, 1
_OPENED, _CLOSED = 1, 3
_SUCCESS, _FAILURE = 1, 2
_INFORMATIONAL, _LOW, _MEDIUM, _HIGH = 1, 2, 3, 4
#: A finding's own status: new, resolved.
_NEW, _RESOLVED = 1, 4
_POSTGRESQL_RELATIONAL: Final = 1
#: Findings by which an alert speaks.
ALERTS: Final = "alert/"
_IDENTITY: Final = "identity."


@dataclass(frozen=True, slots=True)
class _Line:
    """Where an event goes."""

    class_uid: int
    activity: int
    status: int = _SUCCESS
    severity: int = _INFORMATIONAL


_FAILED: Final = {"status": _FAILURE, "severity": _LOW}
EVENTS: Final[Mapping[str, _Line]] = {
    "log.origin.created": _Line(API, _API_CREATE),
    "log.origin.reopened": _Line(DETECTION, _OPENED, _NEW, _HIGH),
    "log.heartbeat.sent": _Line(API, _OTHER),
    "log.staleness.ended": _Line(DETECTION, _CLOSED, _RESOLVED, _HIGH),
    "log.clock.moved": _Line(DETECTION, _OPENED, _NEW, _HIGH),
    "log.witnesses.named": _Line(API, _API_UPDATE),
    "log.witness.doubted": _Line(DETECTION, _OPENED, _NEW, _MEDIUM),
    "log.publication.renewed": _Line(DETECTION, _OPENED, _NEW, _HIGH),
    "log.entries.read": _Line(API, _API_READ),
    "keys.rotation.authorised": _Line(DATASTORE, _UPDATE),
    "keys.rotation.completed": _Line(DATASTORE, _UPDATE),
    "keys.rotation.stopped": _Line(DATASTORE, _UPDATE, **_FAILED),
    "keys.destruction.proposed": _Line(API, _API_CREATE, severity=_MEDIUM),
    "keys.destruction.confirmed": _Line(DATASTORE, _DELETE, severity=_HIGH),
    "keys.escrow.proposed": _Line(API, _API_CREATE, severity=_MEDIUM),
    "keys.escrow.sealed": _Line(API, _API_READ, severity=_HIGH),
    "keys.escrow.rehearsed": _Line(API, _API_READ),
    "erasure.subject.proposed": _Line(API, _API_CREATE, severity=_MEDIUM),
    "erasure.subject.confirmed": _Line(DATASTORE, _DELETE, severity=_MEDIUM),
    "erasure.subject.completed": _Line(DATASTORE, _DELETE, severity=_MEDIUM),
    "policy.bundle.proposed": _Line(API, _API_CREATE),
    "policy.bundle.adopted": _Line(API, _API_UPDATE),
    "key.purpose.ended": _Line(API, _API_DELETE),
    "key.sender.enrolled": _Line(API, _API_CREATE),
    "approval.flow.granted": _Line(AUTHORIZE, _ASSIGN),
    "approval.flow.revoked": _Line(AUTHORIZE, _OTHER),
    "approval.flow.seconded": _Line(AUTHORIZE, _ASSIGN),
    "exchange.intake.authorised": _Line(DATASTORE, _WRITE),
    "exchange.intake.promoted": _Line(DATASTORE, _WRITE),
    "exchange.intake.refused": _Line(COMPLIANCE, _OPENED, _NEW, _MEDIUM),
    "exchange.delivery.authorised": _Line(DATASTORE, _READ),
    "exchange.delivery.arrived": _Line(DATASTORE, _WRITE),
    "exchange.delivery.stopped": _Line(DATASTORE, _WRITE, **_FAILED),
    "exchange.delivery.signed": _Line(API, _API_UPDATE),
    "exchange.delivery.recalled": _Line(DATASTORE, _OTHER, severity=_MEDIUM),
    "exchange.run.started": _Line(API, _API_CREATE),
    "exchange.run.completed": _Line(API, _API_UPDATE),
    "exchange.run.held": _Line(COMPLIANCE, _OPENED, _NEW, _MEDIUM),
    "exchange.run.released": _Line(COMPLIANCE, _CLOSED, _RESOLVED),
    "exchange.flow.held": _Line(API, _API_UPDATE, severity=_MEDIUM),
    "exchange.flow.released": _Line(API, _API_UPDATE),
    "exchange.coverage.reached": _Line(COMPLIANCE, _CLOSED, _RESOLVED),
    "access.record.sought": _Line(DATASTORE, _QUERY),
    "access.record.authorised": _Line(DATASTORE, _READ),
    "access.record.missed": _Line(DATASTORE, _QUERY, **_FAILED),
    "access.comparison.authorised": _Line(DATASTORE, _QUERY),
    "access.column.authorised": _Line(DATASTORE, _QUERY),
    "access.count.authorised": _Line(DATASTORE, _QUERY),
    "access.emergency.declared": _Line(AUTHORIZE, _ASSIGN, severity=_HIGH),
    "access.emergency.reviewed": _Line(API, _API_UPDATE),
    "access.emergency.escalated": _Line(COMPLIANCE, _OPENED, _NEW, _HIGH),
    "access.budget.raised": _Line(AUTHORIZE, _ASSIGN),
    "access.seen.asked": _Line(API, _API_READ),
    "access.seen.authorised": _Line(API, _API_READ),
    "access.exposure.authorised": _Line(API, _API_READ),
    "access.sighting.withheld": _Line(AUTHORIZE, _OTHER),
    "access.sighting.confirmed": _Line(AUTHORIZE, _ASSIGN),
    "access.quarantine.authorised": _Line(DATASTORE, _READ),
    "access.correction.authorised": _Line(DATASTORE, _READ),
    "access.workbook.authorised": _Line(DATASTORE, _READ),
    "access.request.denied": _Line(DATASTORE, _READ, **_FAILED),
    "quarantine.row.dismissed": _Line(API, _API_UPDATE),
    "quarantine.repair.ordered": _Line(API, _API_CREATE),
    "quarantine.repair.authorised": _Line(DATASTORE, _UPDATE),
    "quarantine.repair.promoted": _Line(DATASTORE, _UPDATE),
    "quarantine.repair.refused": _Line(DATASTORE, _UPDATE, **_FAILED),
    "correction.batch.authorised": _Line(DATASTORE, _WRITE),
    "correction.batch.judged": _Line(DATASTORE, _QUERY),
    "correction.batch.held": _Line(DATASTORE, _WRITE, **_FAILED),
    "correction.change.authorised": _Line(DATASTORE, _UPDATE),
    "correction.change.accepted": _Line(DATASTORE, _UPDATE),
    "correction.change.conflicted": _Line(DATASTORE, _UPDATE, **_FAILED),
    "correction.change.refused": _Line(API, _API_UPDATE),
    "correction.change.withdrawn": _Line(API, _API_UPDATE),
    "finding.case.opened": _Line(COMPLIANCE, _OPENED, _NEW, _MEDIUM),
    "finding.case.settled": _Line(COMPLIANCE, _CLOSED, _RESOLVED),
    "retention.rows.deleted": _Line(DATASTORE, _DELETE, severity=_LOW),
    "retention.files.archived": _Line(API, _OTHER),
    "report.page.built": _Line(API, _API_READ),
    "drill.run.completed": _Line(COMPLIANCE, _OPENED, _NEW),
}


def as_ocsf(body: Mapping[str, Any], origin: str) -> dict[str, Any]:
    """One entry's event. KeyError for an event that has no line: a table to be mended, never skipped."""
    line = _line(body)
    at = datetime.fromisoformat(str(body["at"]))
    offset = at.utcoffset()
    event: dict[str, Any] = {
        "class_uid": line.class_uid,
        "category_uid": line.class_uid // 1000,
        "activity_id": line.activity,
        "type_uid": line.class_uid * 100 + line.activity,
        "severity_id": line.severity,
        "status_id": line.status,
        "time": int(at.timestamp() * 1000),
        "timezone_offset": int(offset.total_seconds() // 60) if offset else 0,
        "message": str(body["event"]),
        "metadata": _metadata(body, origin),
        "unmapped": {name: body[name] for name in sorted(body.keys() - _PLACED - _placed(line.class_uid))},
    }
    if line.status == _FAILURE and "reason" in body["detail"]:
        event["status_code"] = str(body["detail"]["reason"])
    return event | _OF_CLASS[line.class_uid](body)


_PLACED: Final = frozenset({"v", "index", "event", "at", "trace"})


def _placed(class_uid: int) -> frozenset[str]:
    """A finding has no actor in OCSF: who answers for it stays in ``unmapped``."""
    return frozenset() if class_uid in (COMPLIANCE, DETECTION) else frozenset({"person", "established"})


def _line(body: Mapping[str, Any]) -> _Line:
    """Refusals and findings go by what they are about."""
    event, detail = str(body["event"]), body["detail"]
    line = EVENTS[event]
    if event == "access.request.denied":
        if str(detail["reason"]).startswith(_IDENTITY):
            return _Line(AUTHENTICATION, _LOGON, **_FAILED)
        if "dataset" not in body:
            return _Line(API, _OTHER, **_FAILED)
    if event.startswith("finding.case.") and str(detail["finding"]).startswith(ALERTS):
        return _Line(DETECTION, line.activity, line.status, _HIGH)
    return line


def _metadata(body: Mapping[str, Any], origin: str) -> dict[str, Any]:
    found: dict[str, Any] = {
        "version": VERSION,
        "product": {"name": "Huanshu", "uid": "huanshu"},
        "log_name": origin,
        "uid": f"{origin}#{body['index']}",
        "sequence": int(body["index"]),
        "event_code": str(body["event"]),
        "original_time": str(body["at"]),
    }
    if "trace" in body:
        found["correlation_uid"] = str(body["trace"])
    return found


# -- what each class asks for -----------------------------------------------------------------------------


def _user(body: Mapping[str, Any]) -> dict[str, Any]:
    """The natural person, by id; the account by which he or she was established."""
    user: dict[str, Any] = {"uid": str(body["person"]), "name": str(body["established"]["account"])}
    if "post" in body:
        user["groups"] = [{"name": str(body["post"])}]
    return user


def _actor(body: Mapping[str, Any]) -> dict[str, Any]:
    actor: dict[str, Any] = {"user": _user(body)}
    decided = "denied" if body["event"] == "access.request.denied" else "allowed"
    actor["authorizations"] = [{"decision": decided, "policy": {"uid": str(body["policy"])}}]
    return actor


def _endpoint(body: Mapping[str, Any]) -> dict[str, Any]:
    """The keeper's socket: entries come from this machine, through the one process."""
    return {"svc_name": "huanshu-keeper", "name": str(body["established"]["by"])}


def _datastore(body: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {
        "actor": _actor(body),
        "src_endpoint": _endpoint(body),
        "database": {"name": str(body.get("domain", "district")), "type_id": _POSTGRESQL_RELATIONAL},
    }
    if "dataset" in body:
        found["table"] = {"name": str(body["dataset"])}
    if "subjects" in body:
        found["count"] = max(int(body["subjects"]["count"]), 1)
    return found


def _api(body: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "actor": _actor(body),
        "src_endpoint": _endpoint(body),
        "api": {"operation": str(body["event"]), "service": {"name": "huanshu"}},
    }


def _authentication(body: Mapping[str, Any]) -> dict[str, Any]:
    return {"user": _user(body), "service": {"name": "huanshu"}, "src_endpoint": _endpoint(body)}


def _authorize(body: Mapping[str, Any]) -> dict[str, Any]:
    detail = body["detail"]
    about = str(detail.get("flow") or f"entry {detail.get('entry')}")
    return {"user": _user(body), "actor": _actor(body), "privileges": [about]}


def _finding(body: Mapping[str, Any]) -> dict[str, Any]:
    detail = body["detail"]
    named = next((detail[name] for name in ("finding", "drill", "batch", "held") if name in detail), None)
    uid = str(named if named is not None else f"{body['event']}#{body['index']}")
    return {"finding_info": {"uid": uid, "title": str(detail.get("kind") or body["event"])}}


def _compliance(body: Mapping[str, Any]) -> dict[str, Any]:
    detail = body["detail"]
    passed = body["event"] in ("finding.case.settled", "exchange.run.released", "exchange.coverage.reached")
    if body["event"] == "drill.run.completed":
        passed = str(detail["verdict"]) == "passed"
    return _finding(body) | {
        "compliance": {
            "control": str(detail.get("drill") or detail.get("kind") or body["event"]),
            "standards": [str(body["policy"])],
            "status_id": 1 if passed else 3,
        }
    }


_OF_CLASS: Final = {
    DATASTORE: _datastore,
    API: _api,
    AUTHENTICATION: _authentication,
    AUTHORIZE: _authorize,
    COMPLIANCE: _compliance,
    DETECTION: _finding,
}
