"""``huanshu flow plan``, the part that needs no running deployment: rungs, what is missing elsewhere, who acts next."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Final, Literal
from zoneinfo import ZoneInfo

from huanshu.access import PlanRequest, alike
from huanshu.authoring.grants import asked_of, enforcer_of, readers
from huanshu.authoring.proposal import propose
from huanshu.catalog import Flow, Home, Rung, due, read_home
from huanshu.errors import Text

#: The obligation that bounds an approval, where a district has one.
APPROVAL_VALIDITY: Final = "approval_validity"


@dataclass(frozen=True, slots=True)
class FieldPlan:
    """One field: the rung asked, the lowest that serves the receivers (None: no role of theirs may read it), and
    the highest rung that each of their roles may read."""

    field: str
    title: Text
    level: int
    asked: str
    serves: str | None
    roles: Mapping[str, str]
    remark: Text | None


@dataclass(frozen=True, slots=True)
class ReceiverAnswer:
    """What the gate says of one receiver by the rules of now; with the patch, when that changes it."""

    receiver: str
    name: Text
    allowed: bool
    allowed_with_patch: bool
    why_not: Text | None


@dataclass(frozen=True, slots=True)
class Step:
    """Something a person has to do before the flow runs; ``act`` names it for whoever knows that it is done."""

    act: Literal["patch", "propose", "adopt", "enrol", "approve"]
    who: tuple[str, ...]
    command: str
    why: Text


@dataclass(frozen=True, slots=True)
class FlowOutline:
    """A planned flow as the home alone tells it."""

    flow: str
    kind: Literal["intake", "delivery"]
    dataset: str
    digest: str
    purpose: str
    accountable_post: str
    fields: tuple[FieldPlan, ...]
    receivers: tuple[ReceiverAnswer, ...]
    patch: str
    undecided: tuple[Text, ...]
    steps: tuple[Step, ...]
    #: Whether the home reads without the patch, so that a running deployment can be asked.
    readable: bool


def outline(home: Path, name: str, at: datetime) -> FlowOutline:
    """The outline of one flow. ContentError, with file and line, for a home that a patch cannot make readable."""
    proposal = propose(home, name, at)
    patched = proposal.home
    flow = patched.flows[name]
    return FlowOutline(
        flow=name,
        kind=flow.kind,
        dataset=flow.dataset,
        digest=flow.digest,
        purpose=flow.purpose,
        accountable_post=flow.accountable_post,
        fields=tuple(_fields(patched, flow, at)),
        receivers=tuple(_receivers(home, patched, flow, at, readable=proposal.readable)),
        patch=proposal.patch,
        undecided=proposal.undecided,
        steps=tuple(_steps(patched, flow, at, patch=bool(proposal.patch))),
        readable=proposal.readable,
    )


def _fields(home: Home, flow: Flow, at: datetime) -> list[FieldPlan]:
    contract = home.contracts[flow.dataset]
    if flow.kind == "intake":
        return [FieldPlan(f.name, f.title, f.level, "write", None, {}, None) for f in contract.fields]
    roles = readers(home, flow, at)
    found = []
    for name, asked in flow.fields.items():
        seen = {reader.role: rung for reader in roles if (rung := reader.rungs[name]) is not None}
        highest = max(seen.values(), default=None)
        field = contract.field(name)
        found.append(
            FieldPlan(
                name,
                field.title,
                field.level,
                asked.word,
                min(asked, highest).word if highest else None,
                {role: rung.word for role, rung in seen.items()},
                _remark(asked, highest),
            )
        )
    return found


def _remark(asked: Rung, highest: Rung | None) -> Text | None:
    """Match hands out a token, which nobody reads: no role's rung says whether it serves."""
    if asked is Rung.MATCH:
        return None
    if highest is None:
        return Text(
            "no receiving role may read it for this purpose: leave it out",
            "接收方没有任何角色可为此用途读取：请删去",
        )
    if asked > highest:
        return Text(
            f"higher than any receiving role may read: {highest.word} would serve",
            f"高于接收方任何角色可读的级别：{highest.word} 即够用",
        )
    return None


def _receivers(
    path: Path, patched: Home, flow: Flow, at: datetime, *, readable: bool
) -> list[ReceiverAnswer]:
    with_patch = _decided(patched, flow, at)
    now = _decided(read_home(path), flow, at) if readable else dict.fromkeys(flow.receivers)
    uncovered = Text(
        f"purpose {flow.purpose} does not cover {flow.dataset}", f"用途 {flow.purpose} 不包含 {flow.dataset}"
    )
    answers = []
    for code in flow.receivers:
        before = now[code]
        answers.append(
            ReceiverAnswer(
                code,
                patched.policies.domains[code].name,
                before is not None and before[0],
                with_patch[code][0],
                (before[1] if before else uncovered) if not (before and before[0]) else None,
            )
        )
    return answers


def _decided(home: Home, flow: Flow, at: datetime) -> dict[str, tuple[bool, Text]]:
    enforcer, asked = enforcer_of(home), asked_of(home, flow)
    found: dict[str, tuple[bool, Text]] = {}
    for group in alike(home.policies, flow.accountable_post, flow.dataset, flow.receivers):
        plan = enforcer.plan(
            PlanRequest(flow.accountable_post, group[0], flow.dataset, asked, flow.purpose, at)
        )
        found.update(dict.fromkeys(group, (plan.allowed, plan.explanation)))
    return found


def _steps(home: Home, flow: Flow, at: datetime, *, patch: bool) -> list[Step]:
    """In the order in which they are done. What has been done already is for the running deployment to say."""
    guards = [h for h in home.policies.holdings if h.role == "security_officer"]
    officers = _names(home, {h.post for h in guards}, at)
    district = home.policies.domains.district.code
    cdos = [h for h in home.policies.holdings if h.role == "cdo" and h.domain == district]
    seconds = officers + tuple(
        person for person in _names(home, {h.post for h in cdos}, at) if person not in officers
    )
    approvers = _names(home, {flow.accountable_post}, at)
    until = _last_day(home, flow, at)
    steps = [
        Step(
            "patch",
            officers,
            f"huanshu flow plan {flow.flow} --patch",
            Text(
                "read it, correct it, apply it: git apply, or patch -p1",
                "审阅、修正后应用：git apply 或 patch -p1",
            ),
        ),
        Step("propose", officers, "huanshu policy propose", Text("propose the policies", "提出策略变更")),
        Step(
            "adopt",
            seconds if patch else officers,
            "huanshu policy adopt --plan HASH" if patch else "huanshu policy adopt",
            Text(
                "another person puts them in force" if patch else "put the policies in force",
                "由另一人使策略生效" if patch else "使策略生效",
            ),
        ),
        Step(
            "enrol",
            officers,
            f"huanshu sender enrol {flow.source} KEY",
            Text("accept the sender's signatures (once)", "登记报送方公钥（一次即可）"),
        ),
        Step(
            "approve",
            approvers,
            f"huanshu flow approve {flow.flow} --until {until}",
            Text(
                f"a holder of {flow.accountable_post} approves this very file",
                f"{flow.accountable_post} 的任职者批准本文件",
            ),
        ),
    ]
    needless = {"patch", "propose"} if not patch else set()
    needless |= {"enrol"} if flow.kind == "delivery" else set()
    return [step for step in steps if step.act not in needless]


def _last_day(home: Home, flow: Flow, at: datetime) -> date:
    """As long as purpose and holder last, and as the district lets an approval last, if it says so."""
    days = [home.policies.purposes[flow.purpose].valid_until]
    days += [h.valid_until for h in home.policies.holders(flow.accountable_post, at)]
    if (longest := home.obligations.get(APPROVAL_VALIDITY)) is not None:
        days.append(due(at.astimezone(ZoneInfo(home.timezone)), longest, home.calendar).date())
    return min(days)


def _names(home: Home, posts: set[str], at: datetime) -> tuple[str, ...]:
    return tuple(dict.fromkeys(h.person for post in sorted(posts) for h in home.policies.holders(post, at)))
