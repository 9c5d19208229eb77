"""What the engine refuses to be built from, and what Casbin is kept from saying."""

from __future__ import annotations

import logging
import logging.config
from dataclasses import replace
from typing import Any

import pytest

from huanshu.errors import ContentError

ALLOW = "100, clerk, own, resident, name, service, reveal, 2026-01-01, 2027-12-31, allow"

WEAKER = [
    ("", ""),  # everything gone
    ("r.purpose == p.purpose && ", ""),
    ("r.on <= p.until", "true"),
    (" && reaches(p.reach, r.home, r.domain)", ""),
    ("reaches(p.reach, r.home, r.domain)", "reaches(p.reach, r.home, r.domain) || r.action == 'count'"),
    ("r.dataset == p.dataset", "keyMatch(r.dataset, p.dataset)"),
    ("g(r.post, p.role, r.home)", "!g(r.post, p.role, r.home)"),
    ("g(r.post, p.role, r.home)", "g(r.post, p.role, r.domain)"),
    ("priority(p.eft) || deny", "some(where (p.eft == allow))"),
    ("priority(p.eft) || deny", "!some(where (p.eft == deny))"),
    ("priority(p.eft) || deny", "priority(p.eft)||deny"),
    ("p = priority, role", "p = role, priority"),
    ("r = post, home", "r = home, post"),
    ("g = _, _, _", "g = _, _"),
    ("g = _, _, _", "g = _, _, _\ng2 = _, _"),
    ("[matchers]\n", "[matchers]\nm2 = true\n"),
    ("[matchers]\n", "[matcher]\n"),
    ("[policy_effect]\n", "[policy_efect]\n"),
    ("r.dataset == p.dataset &&", "r.dataset == && p.dataset &&"),
    ("[role_definition]\n", "[role_definition]\nnonsense\n"),
]


@pytest.mark.parametrize(("old", "new"), WEAKER)
def test_an_altered_model_is_refused(district: Any, old: str, new: str) -> None:
    altered = district.model.replace(old, new) if old else "\n"
    assert altered != district.model
    with pytest.raises(ContentError) as refused:
        district.enforcer(model=altered)
    assert refused.value.code == "access.model.altered"
    assert refused.value.where.file == "policies/model.conf"


def test_order_and_spacing_of_the_conjuncts_do_not_matter(district: Any) -> None:
    head, _, _ = district.model.partition("[matchers]")
    matcher = (
        "m = reaches(p.reach,r.home,r.domain) && serves(p.eft, p.action, r.action) && p.from <= r.on"
        " && r.on <= p.until && covers(p.field, r.dataset, r.field) && g(r.post, p.role, r.home)"
        " && r.kind==p.kind && r.purpose == p.purpose && r.dataset == p.dataset"
    )
    enforcer = district.enforcer(district.rules(community=[ALLOW]), model=f"{head}[matchers]\n{matcher}\n")
    assert enforcer.decide(district.asks()).allowed


@pytest.mark.parametrize(
    "changed",
    [
        {"priority": -1},  # Casbin sorts "-1" as text among numbers
        {"field": "*"},
        {"role": "*"},
        {"reach": "99010100100*"},
        {"dataset": "resident "},
        {"purpose": ""},
        {"action": "see"},
        {"action": "REVEAL"},
        {"effect": "Allow"},
        {"role": "clerk, own"},
    ],
)
def test_a_rule_that_casbin_would_read_otherwise_is_refused_with_its_line(
    district: Any, changed: dict[str, Any]
) -> None:
    (rule,) = district.rules(community=[ALLOW])
    with pytest.raises(ContentError) as refused:
        district.enforcer([replace(rule, **changed)])
    assert refused.value.code == "access.rule.not_canonical"
    assert str(refused.value.where) == "policies/rules/community.csv:1"


def test_a_rule_in_a_file_that_is_no_domain_kind_is_refused(district: Any) -> None:
    with pytest.raises(ContentError, match=r"rules/everyone\.csv:1|access\.rule\.not_canonical"):
        district.enforcer(district.rules(everyone=[ALLOW]))


def test_a_post_called_like_a_role_is_refused(district: Any) -> None:
    """Casbin's g(x, x, domain) is always true: a post called ``clerk`` would have every clerk's rights."""
    named = replace(district.policies().holdings[0], post="head")
    with pytest.raises(ContentError) as refused:
        district.enforcer(holdings=[*district.policies().holdings, named])
    assert refused.value.code == "access.post.ambiguous"


@pytest.mark.parametrize("changed", [{"role": "head"}, {"domain": "990101001002"}])
def test_a_post_with_two_roles_or_domains_is_refused(district: Any, changed: dict[str, str]) -> None:
    second = replace(district.policies().holdings[0], **changed)
    with pytest.raises(ContentError) as refused:
        district.enforcer(holdings=[*district.policies().holdings, second])
    assert refused.value.code == "access.post.ambiguous"


def test_casbin_logs_nothing_even_after_a_host_configures_logging(
    district: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """dictConfig with disable_existing_loggers=False re-enables loggers that Casbin merely disabled."""
    enforcer = district.enforcer(district.rules(community=[ALLOW]))
    # What a host (Airflow, uvicorn) does: re-enable what exists and let it propagate.
    logging.config.dictConfig({"version": 1, "disable_existing_loggers": False, "incremental": False})
    names = [name for name in logging.root.manager.loggerDict if name.split(".")[0] == "casbin"]
    assert {"casbin.enforcer", "casbin.policy", "casbin.role"} <= set(names)
    assert not logging.getLogger("casbin.enforcer").disabled, (
        "the host's configuration no longer re-enables it"
    )
    with caplog.at_level(logging.DEBUG):
        for name in names:
            logging.getLogger(name).setLevel(logging.DEBUG)
            logging.getLogger(name).propagate = True
        assert enforcer.decide(district.asks()).allowed
        assert not enforcer.decide(district.asks(domain="990101001002")).allowed
        district.enforcer(district.rules(community=[ALLOW]))
        logging.getLogger("huanshu.control").debug("heard")
    assert [record.name for record in caplog.records] == ["huanshu.control"]
