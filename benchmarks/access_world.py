"""A district of any number of rules, made from a seed: what ``access.py`` and its peers decide over."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from huanshu.access import Request
from huanshu.catalog.nouns import (
    Contract,
    Domain,
    DomainTree,
    Field,
    Holding,
    KeyPolicy,
    Policies,
    Purpose,
    Rule,
    Rung,
    Subject,
)
from huanshu.errors import Text, Where

ZONE = ZoneInfo("Asia/Shanghai")
AT = datetime(2026, 6, 1, 10, tzinfo=ZONE)
DISTRICT, COMMUNITIES, DATASETS, FIELDS, PURPOSES = "990101000000", 146, 10, 25, 8
ROLES = {
    "community": ("station_head", "data_clerk"),
    "department": ("exchange_officer", "cdo", "steward"),
    "district": ("cdo", "auditor"),
}
MODEL = (Path(__file__).parent.parent / "policies" / "model.conf").read_text(encoding="utf-8")
START, END = date(2026, 1, 1), date(2027, 12, 31)


@dataclass(frozen=True)
class World:
    """Policies and contracts, and questions about them: half of them near a rule, half about anything."""

    policies: Policies
    contracts: dict[str, Contract]

    def questions(self, number: int, seed: int) -> list[Request]:
        chance = random.Random(seed)
        by_role: dict[tuple[str, str], list[Holding]] = {}
        for holding in self.policies.holdings:
            kind = self.policies.domains[holding.domain].kind
            by_role.setdefault((kind, holding.role), []).append(holding)
        near = chance.choices(self.policies.rules, k=number // 2)
        asked = [self._near(rule, by_role, chance) for rule in near]
        asked += [self._any(chance) for _ in range(number - len(asked))]
        chance.shuffle(asked)
        return asked

    def _near(
        self, rule: Rule, by_role: dict[tuple[str, str], list[Holding]], chance: random.Random
    ) -> Request:
        kind = rule.where.file.rsplit("/", 1)[1].removesuffix(".csv")
        holding = chance.choice(by_role[kind, rule.role])
        field = rule.field
        if field.startswith("@"):
            level = int(field[-1])
            field = chance.choice([f.name for f in self.contracts[rule.dataset].fields if f.level == level])
        domain = {"own": holding.domain, "below": f"990101{chance.randrange(COMMUNITIES) + 1:06d}"}
        return Request(
            holding.post,
            domain.get(rule.reach, rule.reach),
            rule.dataset,
            field,
            rule.purpose,
            rule.action,
            AT,
        )

    def _any(self, chance: random.Random) -> Request:
        holding = chance.choice(self.policies.holdings)
        return Request(
            holding.post,
            chance.choice([holding.domain, f"990101{chance.randrange(COMMUNITIES) + 1:06d}"]),
            f"dataset_{chance.randrange(DATASETS)}",
            f"field_{chance.randrange(FIELDS)}",
            f"purpose_{chance.randrange(PURPOSES)}",
            chance.choice([rung.word for rung in Rung]),
            AT,
        )


def world(rules: int, seed: int = 7) -> World:
    """A district with so many different rules."""
    chance = random.Random(seed)
    contracts = {f"dataset_{number}": _contract(f"dataset_{number}") for number in range(DATASETS)}
    domains = _domains()
    where = Where("policies/purposes.yaml", 1)
    purposes = {
        name: Purpose(name, Text(name, name), "", False, tuple(contracts), "x", START, END, where)
        for name in (f"purpose_{number}" for number in range(PURPOSES))
    }
    found: dict[tuple[object, ...], Rule] = {}
    while len(found) < rules:
        rule = _rule(chance, len(found) + 1)
        found.setdefault((rule.role, rule.reach, rule.dataset, rule.field, rule.purpose, rule.action, rule.where.file,
                          rule.valid_from), rule)  # fmt: skip
    policies = Policies(
        domains=domains,
        persons={},
        systems={},
        holdings=tuple(_holdings(domains)),
        purposes=purposes,
        rules=tuple(found.values()),
        cases=(),
        keys=KeyPolicy("file", "aes", 1, 60, 64, where),
        model=MODEL,
        digest="d" * 64,
    )
    return World(policies, contracts)


def _rule(chance: random.Random, line: int) -> Rule:
    kind = chance.choice(("community", "community", "department", "district"))
    reach = "own" if kind == "community" else chance.choice(("own", "below"))
    if chance.random() < 0.7:
        reach = f"990101{chance.randrange(COMMUNITIES) + 1:06d}"
    field = (
        f"field_{chance.randrange(FIELDS)}" if chance.random() < 0.8 else f"@level{chance.randrange(1, 5)}"
    )
    return Rule(
        priority=chance.choice((10, 100, 200, 500)),
        role=chance.choice(ROLES[kind]),
        reach=reach,
        dataset=f"dataset_{chance.randrange(DATASETS)}",
        field=field,
        purpose=f"purpose_{chance.randrange(PURPOSES)}",
        action=chance.choice([*(rung.word for rung in Rung), "propose"]),
        valid_from=START + timedelta(days=chance.randrange(120)),
        valid_until=END - timedelta(days=chance.randrange(120)),
        effect="deny" if chance.random() < 0.1 else "allow",
        where=Where(f"policies/rules/{kind}.csv", line),
    )


def _domains() -> DomainTree:
    where = Where("policies/domains.csv", 1)
    found = {DISTRICT: Domain(DISTRICT, Text("district", "区"), "district", None, "", where)}
    for number in range(COMMUNITIES):
        code = f"990101{number + 1:06d}"
        found[code] = Domain(code, Text(code, code), "community", DISTRICT, "", where)
    for number in range(12):
        code = f"dept.d{number}"
        found[code] = Domain(code, Text(code, code), "department", DISTRICT, "", where)
    return DomainTree(found)


def _holdings(domains: DomainTree) -> list[Holding]:
    where = Where("policies/posts.csv", 1)
    return [
        Holding(f"{'p' + d.code if d.code[0].isdigit() else d.code}.{role}", d.code, role, Text(role, role),
                "p.a", "holder", START, END, where)
        for d in domains
        for role in ROLES[d.kind]
    ]  # fmt: skip


def _contract(dataset: str) -> Contract:
    where = Where(f"expectations/{dataset}/contract.yaml", 1)
    title = Text(dataset, dataset)
    fields = tuple(
        Field(f"field_{number}", Text(f"field {number}", f"字段{number}"), "string", True, number == 0,
              number % 4 + 1, number % 8 == 7, 18 if number % 4 >= 2 or number % 8 == 7 else None,
              "citizen_number" if number == 2 else None, "name" if number % 3 else None, "dept.d0", where)
        for number in range(FIELDS)
    )  # fmt: skip
    return Contract(
        dataset, "1.0.0", title, title, "dept.d0", "dept.d0.steward", "", "field_0",
        (Subject("person", "field_0"),), fields, "0" * 64, where,
    )  # fmt: skip
