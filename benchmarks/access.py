"""Deciding: one cold question, a plan of 25 fields, whole columns — beside pycasbin, cedarpy and oso in one run.

    access.cold_p50_us, _p99_us   one question that nobody asked before, with its explanation: the standing, Casbin
                                  over the candidates, for a denial the nearest miss; half the questions near a rule
    access.growth_1k_100k         that median at 100 000 rules, divided by that at 1 000
    access.load_100k_s            rules, holdings and contracts in memory → an enforcer
    access.plan_ns_per_field      reading what a plan in force answers, a field of it
    access.plan_first_us          25 fields, decided; access.plan_again_us: asked again at another instant
    access.apply_1300k_x25_ms     25 fields of 1.3 million records of 146 communities: which cell to which rung
    access.vs_pycasbin            pycasbin's median on the same questions ÷ ours

Times are of the processor, not of the clock, and of this thread: what else the machine does counts for nothing. Peers
answer the same questions over the same rules, as far as their words go: Cedar and Polar know no priorities, a deny
wins. A short run (--rules) is printed and not kept.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import casbin
import numpy as np
from access_world import AT, COMMUNITIES, FIELDS, ZONE, World, world
from casbin.persist import Adapter
from measuring import Result, machine, show, write

from huanshu.access import Enforcer, PlanRequest, Request, granted_rungs
from huanshu.access.rulebook import kind_of
from huanshu.access.terms import READS, Terms
from huanshu.catalog.nouns import Rung

QUESTIONS = 4_000


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--rules", type=int, default=100_000)
    options.add_argument("--records", type=int, default=1_300_000)
    options.add_argument("--oso", default="", help="a Python that has oso")
    given = options.parse_args()
    print(machine())
    small, large = world(1_000), world(given.rules)
    enforcer, load = built(large)
    cold = microseconds(enforcer.decide, large.questions(QUESTIONS, 3))
    cold_small = microseconds(built(small)[0].decide, small.questions(QUESTIONS, 3))
    asked = large.questions(24, 5)
    peers = Peers(large, asked)
    ours = statistics.median(microseconds(enforcer.decide, asked))
    plain = peers.pycasbin()
    results = [
        Result(
            "access.cold_p50_us", statistics.median(cold), "µs", "≤ 100", "pycasbin", statistics.median(plain)
        ),
        Result("access.cold_p99_us", percentile(cold, 99), "µs", "≤ 1000", "pycasbin", max(plain)),
        Result("access.growth_1k_100k", statistics.median(cold) / statistics.median(cold_small), "×", "≤ 2"),
        Result("access.load_100k_s", load, "s", "≤ 1.5", "pycasbin, handed a list", peers.loaded),
        *plans(enforcer, large),
        Result("access.apply_1300k_x25_ms", applied(enforcer, given.records), "ms", "≤ 100"),
        Result(
            "access.vs_pycasbin",
            statistics.median(plain) / ours,
            "×",
            "",
            "pycasbin",
            statistics.median(plain),
        ),
        *peers.cedar(),
        *peers.oso(given.oso),
    ]
    if given.rules == 100_000 and given.records == 1_300_000:
        write("access", results)
    show(results)


def built(of: World) -> tuple[Enforcer, float]:
    """The enforcer, and the median of the seconds that making it took."""
    spent, enforcer = [], None
    for _ in range(3):
        began = time.thread_time()
        enforcer = Enforcer(of.policies, of.contracts, zone=ZONE)
        spent.append(time.thread_time() - began)
    assert enforcer is not None
    return enforcer, statistics.median(spent)


def microseconds(ask: Callable[[Any], Any], questions: Sequence[Any]) -> list[float]:
    """What each question cost, asked once."""
    spent = []
    for question in questions:
        began = time.thread_time_ns()
        ask(question)
        spent.append((time.thread_time_ns() - began) / 1_000)
    return spent


def percentile(values: Sequence[float], share: int) -> float:
    return sorted(values)[len(values) * share // 100]


def plans(enforcer: Enforcer, of: World) -> list[Result]:
    """A plan of all fields: decided, asked again, read."""
    posts = [holding.post for holding in of.policies.holdings]
    fields = {f"field_{number}": Rung.COUNT for number in range(FIELDS)}
    wanted = [
        PlanRequest(post, holding.domain, "dataset_0", fields, f"purpose_{number % 8}", AT)
        for number, (post, holding) in enumerate(zip(posts, of.policies.holdings, strict=True))
    ]
    first = microseconds(enforcer.plan, wanted)
    granted = _granted_everything(of)
    lenient = Enforcer(granted.policies, granted.contracts, zone=ZONE)
    allowed = lenient.plan(wanted[0])
    assert allowed.allowed
    again = [replace(wanted[0], at=AT + timedelta(seconds=second)) for second in range(2_000)]
    repeated = microseconds(lenient.plan, again)
    names, decisions, rounds = list(fields), allowed.decisions, 2_000
    read = []
    for _ in range(9):
        began = time.thread_time_ns()
        for _ in range(rounds):
            for name in names:
                decisions[name]
        read.append((time.thread_time_ns() - began) / rounds / len(names))
    return [
        Result("access.plan_ns_per_field", statistics.median(read), "ns", "≤ 20"),
        Result("access.plan_first_us", statistics.median(first), "µs"),
        Result("access.plan_again_us", statistics.median(repeated), "µs"),
    ]


def _granted_everything(of: World) -> World:
    """The same district with rules that allow one post all fields: a plan that is allowed can be remembered."""
    like = next(r for r in of.policies.rules if r.effect == "allow" and kind_of(r) == "district")
    rules = tuple(
        replace(like, role="p990101000000.cdo", reach="own", dataset="dataset_0", field=f"field_{number}",
                purpose="purpose_0", action="reveal", priority=1)
        for number in range(FIELDS)
    )  # fmt: skip
    return replace(of, policies=replace(of.policies, rules=(*of.policies.rules, *rules)))


def applied(enforcer: Enforcer, records: int) -> float:
    """Milliseconds from plans by community to a rung for every cell."""
    communities = [f"990101{number + 1:06d}" for number in range(COMMUNITIES)]
    fields = {f"field_{number}": Rung.REVEAL for number in range(FIELDS)}
    plans_by_community = [
        enforcer.plan(PlanRequest("p990101000000.cdo", code, "dataset_0", fields, "purpose_0", AT))
        for code in communities
    ]
    home = np.random.default_rng(1).integers(0, COMMUNITIES, records).astype(np.uint8)
    spent = []
    for _ in range(5):
        began = time.thread_time()
        cells = granted_rungs(plans_by_community, home)
        spent.append((time.thread_time() - began) * 1_000)
        assert cells.shape == (FIELDS, records)
    return statistics.median(spent)


class Peers:
    """The same questions over the same rules."""

    def __init__(self, of: World, questions: Sequence[Request]) -> None:
        self.terms = Terms(of.policies.domains, of.contracts)
        ordered = sorted(of.policies.rules, key=lambda rule: (rule.priority, rule.effect == "allow"))
        self.lines = [
            [str(r.priority), r.role, r.reach, r.dataset, r.field, r.purpose, r.action, r.valid_from.isoformat(),
             r.valid_until.isoformat(), r.effect, kind_of(r)]
            for r in ordered
        ]  # fmt: skip
        home = {holding.post: holding.domain for holding in of.policies.holdings}
        self.links = [[h.post, h.role, h.domain] for h in of.policies.holdings]
        self.questions = [
            (q.post, home[q.post], of.policies.domains[home[q.post]].kind, q.domain, q.dataset, q.field, q.purpose,
             q.action, q.at.date().isoformat())
            for q in questions
        ]  # fmt: skip
        self.model, self.loaded = of.policies.model, 0.0

    def pycasbin(self) -> list[float]:
        lines, links = self.lines, self.links

        class Lines(Adapter):  # type: ignore[misc]
            def load_policy(self, model: Any) -> None:
                model["p"]["p"].policy = lines
                model["g"]["g"].policy = links

        began = time.thread_time()
        engine = casbin.Enforcer(casbin.Enforcer.new_model(text=self.model), Lines())
        self.loaded = time.thread_time() - began
        for name in ("covers", "serves", "reaches"):
            engine.add_function(name, getattr(self.terms, name))
        return microseconds(lambda tokens: engine.enforce_ex(*tokens), self.questions)

    def cedar(self) -> list[Result]:
        try:
            import cedarpy
        except ImportError:
            return [Result("access.cedar_p50_us", None, "µs", "", "cedarpy is not installed")]
        began = time.thread_time()
        policies = cedarpy.PolicySet.from_str("\n".join(map(_cedar_policy, self.lines)))
        loaded = time.thread_time() - began
        asked = [self._cedar_question(tokens) for tokens in self.questions]
        spent = microseconds(lambda q: cedarpy.is_authorized(q[0], policies, q[1]), asked)
        return [
            Result("access.cedar_p50_us", statistics.median(spent), "µs", "", "cedarpy: one decision"),
            Result("access.cedar_load_s", loaded, "s", "", "cedarpy: policies parsed once"),
        ]

    def _cedar_question(self, tokens: Sequence[str]) -> tuple[dict[str, Any], str]:
        post, home, kind, domain, dataset, field, purpose, action, on = tokens
        groups = [{"type": "Group", "id": f"{dataset}.{g}"} for g in self.terms.covering(dataset, field)]
        entities = [
            {"uid": {"type": "Post", "id": post}, "attrs": {},
             "parents": [{"type": "Role", "id": f"{kind}.{post.rsplit('.', 1)[1]}"}]},
            {"uid": {"type": "Field", "id": f"{dataset}.{field}"}, "attrs": {}, "parents": groups},
        ]  # fmt: skip
        context = {
            "purpose": purpose,
            "on": int(on.replace("-", "")),
            "reach": self.terms.reaching(home, domain),
        }
        request = {
            "principal": f'Post::"{post}"', "action": f'Action::"{action}"',
            "resource": f'Field::"{dataset}.{field}"', "context": context,
        }  # fmt: skip
        return request, json.dumps(entities)

    def oso(self, python: str) -> list[Result]:
        if not python:
            return [Result("access.oso_p50_us", None, "µs", "", "oso is not installed: make bench-access")]
        given = {
            "rules": self.lines,
            "questions": [
                (q, sorted(self.terms.covering(q[4], q[5])), self.terms.reaching(q[1], q[3]))
                for q in self.questions
            ],
        }
        command = [python, str(Path(__file__).parent / "access_oso.py")]
        try:
            ran = subprocess.run(
                command, input=json.dumps(given), capture_output=True, text=True, check=True, timeout=900
            )
            answer = json.loads(ran.stdout)
        except (OSError, subprocess.SubprocessError) as error:
            return [Result("access.oso_p50_us", None, "µs", "", f"oso did not run: {type(error).__name__}")]
        return [
            Result("access.oso_p50_us", statistics.median(answer["us"]), "µs", "", "oso: one decision"),
            Result("access.oso_load_s", answer["load_s"], "s", "", "oso: rules loaded once"),
        ]


def _cedar_policy(line: Sequence[str]) -> str:
    _, role, reach, dataset, field, purpose, action, since, until, effect, kind = line
    if action in READS:
        held = [
            w
            for w in READS
            if (READS[w] <= READS[action] if effect == "allow" else READS[w] >= READS[action])
        ]
    else:
        held = [action]
    actions = ", ".join(f'Action::"{word}"' for word in held)
    return (
        f'{"permit" if effect == "allow" else "forbid"}(principal in Role::"{kind}.{role}", action in [{actions}], '
        f'resource in Group::"{dataset}.{field}") when {{ context.purpose == "{purpose}" && '
        f'context.reach.contains("{reach}") && context.on >= {since.replace("-", "")} && '
        f"context.on <= {until.replace('-', '')} }};"
    )


if __name__ == "__main__":
    main()
