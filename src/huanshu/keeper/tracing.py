"""Admission of questions to the log itself: who saw whom, what is exposed, what is read. Pure: no I/O, no clock.

    event                           who                                       decided by
    access.seen.asked .authorised   holder of the post named                  plan: ``trace`` on the dataset's key
    access.exposure.authorised      holder of the post named                  plan: ``trace`` on every dataset's key
    access.sighting.withheld        a security officer                        a reason, a reviewer, an end
    access.sighting.confirmed       the reviewer named, an auditor            the withholding, while it has not ended
    log.entries.read                auditor, security officer, or chief       a case
                                    data officer

Nothing here opens a value. Reading the log is itself in the log, with a case: whoever watches is watched (drill B16).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from huanshu.errors import DeniedError, Text
from huanshu.keeper.establish import Asker
from huanshu.keeper.holding import in_words

if TYPE_CHECKING:
    from huanshu.keeper.admission import Admission, Claim

#: What an exposure may be asked of.
KINDS: Final = ("person", "account", "session", "key", "workbook", "domain")
READERS: Final = ("auditor", "security_officer", "cdo")
_NAME: Final = re.compile(r"[0-9A-Za-z][0-9A-Za-z_.:/@+-]{0,199}")
_TOOL: Final = re.compile(r"[a-z]+(?:\.[a-z]+)*")
#: A withholding is looked at again at least so often.
_WITHHELD_AT_MOST: Final = timedelta(days=366)


def _seen(admission: Admission, asker: Asker, claim: Claim) -> dict[str, Any]:
    """Who saw somebody: for a case, by a post whose rules let it trace the dataset. No value is read."""
    admission.require_post(asker, claim["post"])
    contract = admission.home.contracts.get(claim["dataset"])
    if contract is None:
        raise _denied("access.dataset.unknown", "no such dataset", "没有该数据集")
    fields = {contract.primary_key.name: "trace"}
    plan = admission.plan(claim["post"], claim["domain"], contract.dataset, fields, claim["purpose"])
    body: dict[str, Any] = {
        **admission.in_person(asker),
        "post": claim["post"],
        "domain": claim["domain"],
        "dataset": contract.dataset,
        "purpose": claim["purpose"],
        "fields": fields,
    }
    detail = {"case": in_words(claim, "case")}
    if claim["event"] == "access.seen.asked":
        require_kind(claim, {each.link_kind for each in contract.fields})
        return {**body, "detail": detail}
    ends = min(plan.valid_until, _soon(admission))
    return {
        **body,
        "how": "compared",
        "contract": contract.digest,
        "detail": {**detail, "until": ends.isoformat()},
    }


def require_kind(claim: Claim, kinds: Collection[str | None]) -> None:
    """DeniedError unless the identifier that somebody wants a link of is of one of these kinds."""
    if claim.get("kind") is None or claim["kind"] not in kinds:
        raise _denied(
            "keeper.link.unknown", "no such kind of identifier is asked for here", "此处不按该标识种类查找"
        )


def _exposure(admission: Admission, asker: Asker, claim: Claim) -> dict[str, Any]:
    """Numbers over every dataset: so the right to trace is asked for each of them."""
    admission.require_post(asker, claim["post"])
    ends, fields = _soon(admission), {}
    for contract in admission.home.contracts.values():
        key = contract.primary_key.name
        plan = admission.plan(
            claim["post"], claim["domain"], contract.dataset, {key: "trace"}, claim["purpose"]
        )
        ends, fields[f"{contract.dataset}.{key}"] = min(ends, plan.valid_until), "trace"
    detail = claim["detail"]
    start, end = (datetime.fromisoformat(str(detail[name])) for name in ("from", "to"))
    if start.utcoffset() is None or end.utcoffset() is None or start >= end:
        raise ValueError
    return {
        **admission.in_person(asker),
        "post": claim["post"],
        "domain": claim["domain"],
        "purpose": claim["purpose"],
        "fields": fields,
        "detail": {
            "case": in_words(claim, "case"),
            "of": _selected(detail["of"]),
            "from": start.isoformat(),
            "to": end.isoformat(),
            "until": ends.isoformat(),
        },
    }


def _selected(of: Mapping[str, Any]) -> dict[str, str]:
    kind, name = str(of["kind"]), str(of["name"])
    if kind not in KINDS or set(of) != {"kind", "name"} or _NAME.fullmatch(name) is None:
        raise ValueError
    if kind == "key" and (len(name.split("/")) not in (4, 5) or not name.startswith("data/")):
        raise _denied(
            "access.exposure.key", "only data/<domain>/<dataset>/<field> keys open values of residents",
            "只有 data/<域>/<数据集>/<字段> 形式的密钥可开启居民数据",
        )  # fmt: skip
    if kind not in ("account", "domain"):  # a domain's code may look like a telephone number
        in_words({"detail": {"name": name}}, "name")
    return {"kind": kind, "name": name}


def _withheld(admission: Admission, asker: Asker, claim: Claim) -> dict[str, Any]:
    """Kept from the resident's statement, by law: proposed by one person, in force when the other has confirmed it."""
    post = admission.post_with_role(asker, "security_officer")
    detail = claim["detail"]
    until = datetime.fromisoformat(str(detail["until"]))
    if until.utcoffset() is None or not admission.at < until <= admission.at + _WITHHELD_AT_MOST:
        raise _denied(
            "access.sighting.endless", "a withholding ends within a year", "不予告知须在一年内到期复核"
        )
    reviewer = str(detail["reviewer"])
    person = admission.in_person(asker)["person"]
    if reviewer == person or reviewer not in _holders(admission, "auditor"):
        raise _denied(
            "access.sighting.reviewer", "the reviewer is an auditor, and somebody else", "复核人须为另一名审计人员"
        )  # fmt: skip
    entry = int(detail["entry"])
    if not 0 <= entry < admission.register.size:  # what has not happened yet cannot be weighed by anybody
        raise _denied(
            "access.sighting.not_yet", "only an entry that is in the log can be withheld", "仅可对日志中的条目不予告知"
        )  # fmt: skip
    return {
        **admission.in_person(asker),
        "post": post,
        "detail": {
            "entry": entry,
            "reason": in_words(claim, "reason"),
            "reviewer": reviewer,
            "until": until.isoformat(),
        },
    }


def _confirmed(admission: Admission, asker: Asker, claim: Claim) -> dict[str, Any]:
    withheld = admission.register.withholding(int(claim["detail"]["withheld"]))
    person = admission.in_person(asker)["person"]
    if withheld is None or withheld.reviewer != person or withheld.until <= admission.at:
        raise _denied(
            "access.sighting.unknown", "no withholding waits for this person", "没有待本人复核的不予告知事项"
        )
    post = admission.post_with_role(asker, "auditor")
    return {
        **admission.in_person(asker),
        "post": post,
        "detail": {"withheld": withheld.index, "entry": withheld.entry},
    }


def _read(admission: Admission, asker: Asker, claim: Claim) -> dict[str, Any]:
    post = reading_post(admission, asker)
    detail = claim["detail"]
    if _TOOL.fullmatch(str(detail["tool"])) is None:
        raise ValueError
    return {
        **admission.in_person(asker),
        "post": post,
        "detail": {
            "tool": str(detail["tool"]),
            "case": in_words(claim, "case"),
            "first": int(detail["first"]),
            "last": int(detail["last"]),
        },
    }


def reading_post(admission: Admission, asker: Asker) -> str:
    """The post in which the asker may read the log. DeniedError without one."""
    for role in READERS[:-1]:
        try:
            return admission.post_with_role(asker, role)
        except DeniedError:
            continue
    return admission.post_with_role(asker, READERS[-1])


def _holders(admission: Admission, role: str) -> set[str]:
    policies = admission.home.policies
    posts = {holding.post for holding in policies.holdings if holding.role == role}
    return {holding.person for post in posts for holding in policies.holders(post, admission.at)}


def _soon(admission: Admission) -> datetime:
    return admission.at + timedelta(seconds=admission.home.policies.keys.lend_max_seconds)


def _denied(code: str, en: str, zh: str) -> DeniedError:
    return DeniedError(code, Text(en, zh))


RULES: Final[Mapping[str, Callable[[Admission, Asker, Claim], dict[str, Any]]]] = {
    "access.seen.asked": _seen,
    "access.seen.authorised": _seen,
    "access.exposure.authorised": _exposure,
    "access.sighting.withheld": _withheld,
    "access.sighting.confirmed": _confirmed,
    "log.entries.read": _read,
}
