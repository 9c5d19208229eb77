"""Admission of the findings by which alerts speak (``alert/…``). Pure: no I/O, no clock.

    event                  who                                                bound to
    finding.case.opened    the keeper itself, a system that runs flows, or    a post that exists, whom its name names
                           who may read the log
    finding.case.settled   a holder of its owner post or a security officer,  an open finding, a word of a closed list
                           never whom it is about

What is raised is recomputed from the log by anybody; opening one too many harms nobody's data and is itself an entry.
Keeper and systems open in the name of whoever holds the owner post: somebody has to look.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from huanshu.catalog.nouns import Policies
from huanshu.errors import DeniedError, Text
from huanshu.keeper.establish import Asker
from huanshu.keeper.tracing import reading_post

if TYPE_CHECKING:
    from huanshu.keeper.admission import Admission, Claim

FINDINGS: Final = "alert/"
#: The keeper, when it opens what its own watch raised. No system can have this id (policies/systems.csv: no blank).
ITSELF: Final = "the keeper"
#: What a finding of an alert turned out to be.
DISPOSITIONS: Final = frozenset({"justified", "mistake", "misuse", "false_alarm"})
_FINDING: Final = re.compile(r"alert/[a-z][a-z0-9_]*/[0-9]+(?:/[0-9A-Za-z_.+-]+)?")


def finding(admission: Admission, asker: Asker, claim: Claim) -> dict[str, Any]:
    """Opened or settled."""
    return (_opened if claim["event"] == "finding.case.opened" else _settled)(admission, asker, claim)


def _opened(admission: Admission, asker: Asker, claim: Claim) -> dict[str, Any]:
    detail = claim["detail"]
    name, owner = str(detail["finding"]), str(detail["owner_post"])
    holders = admission.home.policies.holders(owner, admission.at)
    if _FINDING.fullmatch(name) is None or not holders:
        raise _unowned()
    if asker.person is None:
        if asker.system != ITSELF:
            admission.require_scheduler(asker)
        said = {
            "person": holders[0].person,
            "established": {"by": "post", "account": asker.account},
        }
    else:
        reading_post(admission, asker)
        said = admission.in_person(asker)
    about = about_whom(name, admission.home.policies)
    due = datetime.fromisoformat(str(detail["due"]))
    if str(detail["about"]) != about or due.utcoffset() is None:
        raise _unowned()
    if claim.get("once") not in (None, f"finding.case.opened/{name}"):
        raise _unowned()  # under another finding's key that one could never be opened
    return {
        **said,
        "detail": {
            "finding": name,
            "kind": "alert",
            "due": due.isoformat(),
            "owner_post": owner,
            "about": about,
        },
    }


def about_whom(finding: str, policies: Policies) -> str:
    """Whom a finding is about, by its name: the first person or domain of its group, otherwise the log. Not the word of
    whoever opens it, who may be the one."""
    group = finding.split("/", 3)[3].split("+") if finding.count("/") > 2 else []
    known = (word for word in group if word in policies.persons or word in policies.domains.by_code)
    return next(known, "log")


def _settled(admission: Admission, asker: Asker, claim: Claim) -> dict[str, Any]:
    detail = claim["detail"]
    known = next((f for f in admission.register.findings if f["finding"] == detail["finding"]), None)
    if known is None or detail["disposition"] not in DISPOSITIONS:
        raise _unowned()
    if known["about"] == admission.in_person(asker)["person"]:
        raise DeniedError(
            "finding.case.own",
            Text("nobody settles a finding about himself", "不得自行了结与本人有关的发现"),
            remedy=Text("leave it to another holder of the post", "请由该岗位的其他任职者处理"),
        )
    try:
        admission.require_post(asker, str(known["owner_post"]))
    except DeniedError:
        admission.post_with_role(asker, "security_officer")
    return {
        **admission.in_person(asker),
        "detail": {"finding": str(detail["finding"]), "disposition": str(detail["disposition"])},
    }


def _unowned() -> DeniedError:
    return DeniedError(
        "finding.case.unowned",
        Text("no such finding, owner or disposition", "没有该发现、责任岗位或处置结论"),
        remedy=Text("see: huanshu audit alerts", "参见：huanshu audit alerts"),
    )
