"""Access: may this post do this to that field, in this domain, for this purpose, now — and if not, why.

Modules, each one idea: ``decisions`` (questions and answers), ``query`` (is the question in order),
``terms`` (what reach, group and rung mean), ``casbin_scan`` (Casbin, the authority), ``explain`` (the nearest
miss and the smallest grant), ``enforcer`` (their order), ``cases`` (the cases beside the rules), ``alike`` (domains
that no rule tells apart).

Deny is the default; no wildcard exists; expiry is judged at the instant asked. Nothing here does I/O, knows a
clock, establishes a person (``huanshu.identity``), or learns whether a record exists.
"""

from huanshu.access.alike import alike
from huanshu.access.cases import CaseFailure, run_cases
from huanshu.access.decisions import Decision, MissKind, NearestMiss, Plan, PlanRequest, Request
from huanshu.access.enforcer import Enforcer

__all__ = [
    "CaseFailure",
    "Decision",
    "Enforcer",
    "MissKind",
    "NearestMiss",
    "Plan",
    "PlanRequest",
    "Request",
    "alike",
    "run_cases",
]
