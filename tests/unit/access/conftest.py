"""A small district built from nouns, without files: two communities, two departments, two datasets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from huanshu.access import Enforcer, Request
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
    Subject,
)
from huanshu.errors import Text, Where

REPOSITORY = Path(__file__).parents[3]
ZONE = ZoneInfo("Asia/Shanghai")


def _domain(code: str, name: str, zh: str, kind: str, parent: str | None) -> Domain:
    return Domain(code, Text(name, zh), kind, parent, "", Where("policies/domains.csv", 2))  # type: ignore[arg-type]


def _field(name: str, zh: str, level: int, spi: bool, link: str | None, mask: str | None) -> Field:
    return Field(
        name,
        Text(name.replace("_", " "), zh),
        "string",
        True,
        name in ("citizen_number", "credit_code"),
        level,
        spi,
        18 if level >= 3 or spi else None,
        link,
        mask,
        "dept.public_security",
        Where("expectations/resident/contract.yaml", 10, name),
    )


def _contract(dataset: str, zh: str, fields: tuple[Field, ...]) -> Contract:
    where = Where(f"expectations/{dataset}/contract.yaml", 1)
    subjects = (Subject("person", fields[0].name),)
    title = Text(dataset, zh)
    return Contract(
        dataset,
        "1.0.0",
        title,
        title,
        "dept.police",
        "police.steward",
        "",
        "community",
        subjects,
        fields,
        "0" * 64,
        where,
    )


DOMAINS = DomainTree(
    {
        domain.code: domain
        for domain in (
            _domain("990101000000", "Qinghe District", "清禾区", "district", None),
            _domain("dept.police", "Police", "公安分局", "department", "990101000000"),
            _domain("dept.civil", "Civil Affairs", "民政局", "department", "990101000000"),
            _domain("990101001000", "Liu'an Subdistrict", "柳岸街道", "subdistrict", "990101000000"),
            _domain("990101001001", "Yulan Community", "玉兰社区", "community", "990101001000"),
            _domain("990101001002", "Wangjiang Community", "望江社区", "community", "990101001000"),
            _domain("990101001001001", "Yulan Grid 1", "玉兰第一网格", "grid", "990101001001"),
        )
    }
)
CONTRACTS = {
    "resident": _contract(
        "resident",
        "常住人口",
        (
            _field("citizen_number", "公民身份号码", 3, True, "citizen_number", "citizen_number"),
            _field("name", "姓名", 3, False, None, "name"),
            _field("phone", "联系电话", 3, False, None, "phone"),
            _field("marital_status", "婚姻状况", 3, True, None, None),
            _field("care_status", "关爱类别", 4, True, None, None),
            _field("sex", "性别", 2, False, None, None),
            _field("community", "所属社区", 1, False, None, None),
        ),
    ),
    "enterprise": _contract(
        "enterprise",
        "企业",
        (
            _field("credit_code", "统一社会信用代码", 2, False, "credit_code", None),
            _field("name", "名称", 1, False, None, None),
            _field("community", "所属社区", 1, False, None, None),
        ),
    ),
}


def _purpose(name: str, zh: str, datasets: tuple[str, ...], start: date, end: date, line: int) -> Purpose:
    where = Where("policies/purposes.yaml", line)
    return Purpose(
        name, Text(name.replace("_", " "), zh), "", False, datasets, "retention.x", start, end, where
    )


PURPOSES = {
    purpose.purpose: purpose
    for purpose in (
        _purpose("service", "基层服务", ("resident", "enterprise"), date(2026, 1, 1), date(2027, 12, 31), 2),
        _purpose("visit", "关爱走访", ("resident",), date(2026, 1, 1), date(2027, 12, 31), 8),
        _purpose("census", "普查", ("resident",), date(2026, 3, 1), date(2026, 5, 31), 14),
    )
}


def holding(
    post: str,
    domain: str,
    role: str,
    start: date = date(2026, 1, 1),
    end: date = date(2027, 12, 31),
    *,
    person: str = "p.a",
    zh: str = "岗位",
    line: int = 2,
) -> Holding:
    where = Where("policies/posts.csv", line)
    return Holding(post, domain, role, Text(role, zh), person, "holder", start, end, where)


HOLDINGS = (
    holding("yulan.clerk", "990101001001", "clerk", zh="玉兰社区数据专员"),
    holding("wangjiang.clerk", "990101001002", "clerk", zh="望江社区数据专员"),
    holding("yulan.head", "990101001001", "head", zh="玉兰社区站长"),
    holding("police.officer", "dept.police", "officer", zh="公安分局数据交换专员"),
    holding("police.cdo", "dept.police", "cdo", zh="公安分局首席数据官"),
    holding("district.cdo", "990101000000", "cdo", zh="区首席数据官"),
    holding("old.clerk", "990101001001", "clerk", end=date(2026, 3, 31), zh="前任专员", line=8),
    holding("new.clerk", "990101001001", "clerk", start=date(2027, 1, 1), zh="候任专员", line=9),
)


def rule(line: str, kind: str = "community", number: int = 1) -> Rule:
    """A rule from its CSV line (with or without the leading ``p``), in the file of ``kind``."""
    cells = [cell.strip() for cell in line.removeprefix("p,").split(",")]
    priority, role, reach, dataset, name, purpose, action, start, end, effect = cells
    return Rule(
        int(priority),
        role,
        reach,
        dataset,
        name,
        purpose,
        action,
        date.fromisoformat(start),
        date.fromisoformat(end),
        effect,  # type: ignore[arg-type]
        Where(f"policies/rules/{kind}.csv", number),
    )


@dataclass(frozen=True)
class District:
    """Builds enforcers over this district; the model is the repository's own."""

    model: str
    domains: DomainTree = DOMAINS
    contracts: Mapping[str, Contract] = field(default_factory=lambda: CONTRACTS)
    zone: ZoneInfo = ZONE

    def rules(self, **by_kind: Sequence[str]) -> tuple[Rule, ...]:
        """Rules by file: ``rules(community=["100, clerk, own, …"])``; lines count from 1 in each file."""
        return tuple(
            rule(line, kind, number)
            for kind, lines in by_kind.items()
            for number, line in enumerate(lines, 1)
        )

    def policies(
        self, rules: Sequence[Rule] = (), holdings: Sequence[Holding] = HOLDINGS, model: str | None = None
    ) -> Policies:
        keys = KeyPolicy("file", "aes", 1, 60, 64, Where("policies/keys.yaml"))
        return Policies(
            domains=DOMAINS,
            persons={},
            systems={},
            holdings=tuple(holdings),
            purposes=PURPOSES,
            rules=tuple(rules),
            cases=(),
            keys=keys,
            model=self.model if model is None else model,
            digest="d" * 64,
        )

    def enforcer(
        self, rules: Sequence[Rule] = (), holdings: Sequence[Holding] = HOLDINGS, model: str | None = None
    ) -> Enforcer:
        return Enforcer(self.policies(rules, holdings, model), CONTRACTS, zone=ZONE)

    def at(self, day: str, hour: int = 12) -> datetime:
        return datetime.fromisoformat(f"{day}T{hour:02}:00:00+08:00")

    def asks(self, **changed: str | datetime) -> Request:
        """Yulan's clerk asks to reveal a name in Yulan for service on 2026-06-01, but for what is changed."""
        asked: dict[str, str | datetime] = {
            "post": "yulan.clerk",
            "domain": "990101001001",
            "dataset": "resident",
            "field": "name",
            "purpose": "service",
            "action": "reveal",
            "at": self.at("2026-06-01"),
        }
        return Request(**{**asked, **changed})  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def district() -> District:
    return District((REPOSITORY / "policies" / "model.conf").read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def repository() -> Path:
    return REPOSITORY
