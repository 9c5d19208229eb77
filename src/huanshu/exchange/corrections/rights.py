"""What a post may do with a dataset's fields, by the rules as read here. The keeper decides again."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from huanshu.access import Enforcer, Request
from huanshu.catalog import Contract, Rung
from huanshu.errors import DeniedError, InputError, Text
from huanshu.exchange.ground import Ground


@dataclass(frozen=True)
class Rights:
    """One post's rights in one domain of one dataset. Answers are remembered for the object's short life."""

    ground: Ground
    contract: Contract
    post: str
    domain: str

    def __post_init__(self) -> None:
        home = self.ground.home
        enforcer = Enforcer(home.policies, home.contracts, zone=ZoneInfo(home.timezone))
        object.__setattr__(self, "_enforcer", enforcer)
        object.__setattr__(self, "_known", {})

    def allows(self, field: str, action: str, purpose: str) -> bool:
        """Whether the rules allow this action on the field for the purpose, now."""
        known: dict[tuple[str, str, str], bool] = self._known  # type: ignore[attr-defined]
        asked = (field, action, purpose)
        if asked not in known:
            request = Request(
                self.post, self.domain, self.contract.dataset, field, purpose, action, self.ground.clock()
            )
            known[asked] = self._enforcer.decide(request).allowed  # type: ignore[attr-defined]
        return known[asked]

    def purpose(self, fields: Collection[str], action: str) -> str | None:
        """The purpose, first in the registry, for which most of the fields are allowed; None when none is."""
        registered = [p.purpose for p in self.ground.home.policies.purposes.values()]
        best = max(registered, key=lambda p: sum(self.allows(f, action, p) for f in fields), default=None)
        return best if best is not None and any(self.allows(f, action, best) for f in fields) else None

    def rung(self, field: str, purpose: str) -> Rung | None:
        """The highest of reveal and mask that is allowed for a purpose."""
        for rung in (Rung.REVEAL, Rung.MASK):
            if self.allows(field, rung.word, purpose):
                return rung
        return None

    def sees(self, field: str) -> bool:
        """Whether the post may see the field at least masked, for any registered purpose."""
        return any(self.rung(field, purpose) for purpose in self.ground.home.policies.purposes)


def domain_of(ground: Ground, post: str) -> str:
    """The domain that a post is in. InputError when there is no such post."""
    for holding in ground.home.policies.holdings:
        if holding.post == post:
            return holding.domain
    raise InputError(
        "correction.post.unknown",
        Text("there is no such post", "没有该岗位"),
        remedy=Text("see policies/posts.csv", "参见 policies/posts.csv"),
    )


def require_held(ground: Ground, post: str) -> None:
    """DeniedError unless the person asking holds the post now: for answers that need no entry."""
    person = ground.keeper.status()["person"]
    if person not in {h.person for h in ground.home.policies.holders(post, ground.clock())}:
        raise DeniedError(
            "identity.post.not_held",
            Text(f"you do not hold {post} now", f"您当前未任 {post}"),
            remedy=Text(
                "act in a post you hold (policies/posts.csv)", "请以本人现任岗位操作（policies/posts.csv）"
            ),
        )


def contract_of(ground: Ground, dataset: str) -> Contract:
    """The dataset's contract. InputError when there is none."""
    contract = ground.home.contracts.get(dataset)
    if contract is None:
        raise InputError(
            "correction.dataset.unknown",
            Text("there is no such dataset", "没有该数据集"),
            remedy=Text("see expectations/", "参见 expectations/"),
        )
    return contract
