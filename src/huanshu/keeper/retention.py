"""Admission of deletions after retention. Pure: no I/O, no clock.

    event                    who                    bound to
    retention.rows.deleted   a security officer     an instant that the home's own obligation lets go
    retention.files.archived a security officer     an instant that every obligation of log records lets go

Nothing is deleted below its floor, whoever asks: the keeper reckons the instant from its own reading of the home, and
no home is read whose period is shorter than the law's (``catalog.evidence``). Entries of the log, their bitmaps and
loans are never deleted by the platform: no role may.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from huanshu.catalog.working_days import kept_from
from huanshu.errors import DeniedError, Text
from huanshu.keeper.establish import Asker

if TYPE_CHECKING:
    from huanshu.keeper.admission import Admission, Claim

#: What may be deleted at all.
DELETABLE: Final = ("quarantine",)


def _deleted(admission: Admission, asker: Asker, claim: Claim) -> dict[str, Any]:
    post = admission.post_with_role(asker, "security_officer")
    detail = claim["detail"]
    kind, before = str(detail["kind"]), datetime.fromisoformat(str(detail["before"]))
    key = admission.home.retention.get(kind)
    if kind not in DELETABLE or key is None:
        raise DeniedError(
            "retention.kind.kept",
            Text("the platform never deletes this", "平台不删除该类记录"),
            remedy=Text("archive the published log instead", "请改为归档已发布的日志"),
        )
    obligation = admission.home.obligations[key]
    if before.utcoffset() is None or before > kept_from(admission.at, obligation, admission.home.calendar):
        raise floor(key, obligation.citation)
    return {
        **admission.in_person(asker),
        "post": post,
        "detail": {
            "kind": kind,
            "before": before.isoformat(),
            "rows": int(detail["rows"]),
            "obligation": key,
        },
    }


def _archived(admission: Admission, asker: Asker, claim: Claim) -> dict[str, Any]:
    """Published files of entries that are past every period are moved; whoever verifies is told by this entry."""
    post = admission.post_with_role(asker, "security_officer")
    detail, home = claim["detail"], admission.home
    before = datetime.fromisoformat(str(detail["before"]))
    keys = [key for kind, key in home.retention.items() if kind not in DELETABLE]
    if before.utcoffset() is None or not keys:
        raise ValueError
    for key in keys:
        if before > kept_from(admission.at, home.obligations[key], home.calendar):
            raise floor(key, home.obligations[key].citation)
    return {
        **admission.in_person(asker),
        "post": post,
        "detail": {
            "before": before.isoformat(),
            **{name: int(detail[name]) for name in ("bundles", "bitmaps", "last")},
        },
    }


def floor(key: str, citation: str) -> DeniedError:
    """What is too young to go."""
    return DeniedError(
        "retention.floor.reached",
        Text(
            f"what is younger than {key} says must be kept ({citation})",
            f"未满 {key} 规定的保存期限（{citation}）",
        ),
        remedy=Text("see: huanshu audit retention --dry-run", "参见：huanshu audit retention --dry-run"),
    )


RULES: Final[Mapping[str, Callable[[Admission, Asker, Claim], dict[str, Any]]]] = {
    "retention.rows.deleted": _deleted,
    "retention.files.archived": _archived,
}
