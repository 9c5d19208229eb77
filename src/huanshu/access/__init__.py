"""Access: may this post do this to that field, in this domain, for this purpose, now — and if not, why.

Modules, each one idea: ``decisions`` (questions and answers), ``query`` (is the question in order), ``terms`` (what
reach, group and rung mean), ``casbin_door`` (Casbin, the authority), ``candidates`` (which rules it need look at),
``model`` and ``rulebook`` (what it is given), ``nearest`` and ``explain`` (the nearest miss and the smallest grant),
``enforcer`` (their order), ``columns`` (plans over whole columns), ``cases`` (the cases beside the rules), ``alike``
(domains that no rule tells apart), ``seeing`` (who sees what), ``change`` (what a new bundle changes), ``lint`` (odd
rules).

Deny is the default; no wildcard exists; expiry is judged at the instant asked. Nothing here does I/O, knows a
clock, establishes a person (``huanshu.identity``), or learns whether a record exists.
"""

from huanshu.access.alike import alike
from huanshu.access.cases import CaseFailure, run_cases
from huanshu.access.columns import granted_rungs
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
    "granted_rungs",
    "run_cases",
]
