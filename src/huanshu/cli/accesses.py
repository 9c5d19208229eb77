"""``huanshu access``: why may this post see that field, or why not; who can see it; what can this person see."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, time
from typing import Annotated, TypeVar
from zoneinfo import ZoneInfo

import typer

from huanshu.access import Request
from huanshu.access.change import Side
from huanshu.access.seeing import Seeing, Sight
from huanshu.assembly import running
from huanshu.assembly.keeper_process import enforcer_of
from huanshu.catalog import Home, read_home
from huanshu.catalog.words import hint
from huanshu.cli.context import CONTEXT
from huanshu.errors import InputError, Text
from huanshu.gate.again import in_force

Value = TypeVar("Value")

app = typer.Typer(no_args_is_help=True, help="Who may see what, and why. 权限。")

On = Annotated[str, typer.Option(help="As of noon of this day, YYYY-MM-DD (default: now). 截至某日。")]
Then = Annotated[
    bool,
    typer.Option(
        "--in-force",
        help="Under the policies in force on that day, out of the log. 依当日生效的策略（取自日志）。",
    ),
]


def moment(home: Home, on: str) -> datetime:
    """Noon, local time, of the day that a person wrote; now when none is given."""
    zone = ZoneInfo(home.timezone)
    if not on:
        return datetime.now(zone)
    try:
        return datetime.combine(datetime.strptime(on, "%Y-%m-%d").date(), time(12), zone)  # noqa: DTZ007
    except ValueError:
        raise InputError(
            "cli.time.malformed", Text("a day is written 2026-07-01", "日期写作 2026-07-01")
        ) from None


@app.command()
def explain(
    post: Annotated[str, typer.Option(help="The post that asks.")],
    domain: Annotated[str, typer.Option(help="The domain asked about.")],
    field: Annotated[str, typer.Option(help="The field.")],
    purpose: Annotated[str, typer.Option(help="The purpose.")] = "",
    action: Annotated[
        str, typer.Option(help="count, match, mask, reveal, propose, write, approve, trace.")
    ] = "reveal",
    dataset: Annotated[str, typer.Option(help="The dataset.")] = "resident",
    on: On = "",
    then: Then = False,
) -> None:
    """The rule that decides, or the nearest miss and the smallest grant that would do. Logs and opens nothing.

    Example: huanshu access explain --post yulan.data_clerk --domain 990101001001 --field phone
    --purpose grassroots_service"""
    home = read_home(CONTEXT.settings.home)
    at = moment(home, on)
    enforcer = _side(home, at).enforcer if then else enforcer_of(home)
    decision = enforcer.decide(Request(post, domain, dataset, field, purpose, action, at))
    CONTEXT.speech.tell(
        Text("allowed", "允许") if decision.allowed else Text("denied", "拒绝"),
        style="green" if decision.allowed else "red",
    )
    CONTEXT.speech.tell(decision.explanation)
    if decision.remedy:
        CONTEXT.speech.tell(decision.remedy)
    nearest = decision.nearest
    CONTEXT.speech.result(
        {"allowed": decision.allowed, "explanation": decision.explanation, "remedy": decision.remedy,
         "rule": str(decision.rule.where) if decision.rule else None,
         "missing": nearest.kind if nearest else None, "grant": nearest.grant if nearest else None,
         "policy": enforcer.policy_digest}
    )  # fmt: skip


@app.command()
def who(
    dataset: Annotated[str, typer.Argument(help="The dataset.")],
    field: Annotated[str, typer.Argument(help="The field.")],
    domain: Annotated[str, typer.Option(help="Only in this domain (default: anywhere).")] = "",
    on: On = "",
    then: Then = False,
) -> None:
    """Who can see this field: every person, in which post, for which purpose, where, up to which rung.

    Example: huanshu access who resident phone --domain 990101001001 --on 2026-07-01 --in-force"""
    home = read_home(CONTEXT.settings.home)
    at = moment(home, on)
    seeing = _seeing(home, at, then=then)
    contract = _known(seeing.contracts, dataset, Text("dataset", "数据集"))
    _known(contract.by_name, field, Text("field", "字段"))
    if domain:
        _known(seeing.policies.domains.by_code, domain, Text("domain", "域"))
    found = list(seeing.who(dataset, field, at, [domain] if domain else None))
    _show(Text(f"Who can see {dataset}.{field}", f"谁能看 {dataset}.{field}"), found, seeing)


@app.command()
def what(
    person: Annotated[str, typer.Argument(help="The person, as in policies/persons.csv.")],
    on: On = "",
    then: Then = False,
) -> None:
    """What can this person see: every field, in which post, for which purpose, where, up to which rung.

    Example: huanshu access what p.tang"""
    home = read_home(CONTEXT.settings.home)
    at = moment(home, on)
    seeing = _seeing(home, at, then=then)
    _known(seeing.policies.persons, person, Text("person", "责任人"))
    _show(Text(f"What {person} can see", f"{person} 能看什么"), list(seeing.what(person, at)), seeing)


def _side(home: Home, at: datetime) -> Side:
    with running(CONTEXT.settings, CONTEXT.acting_as) as here, here.district() as district:
        return in_force(district, at, home.timezone)


def _seeing(home: Home, at: datetime, *, then: bool) -> Seeing:
    if then:
        side = _side(home, at)
        return Seeing(side.enforcer, side.policies, side.contracts)
    return Seeing(enforcer_of(home), home.policies, home.contracts)


def _known(known: Mapping[str, Value], word: str, kind: Text) -> Value:
    """What is named so. A word that names nothing is not repeated: it could be a value that somebody pasted."""
    if word not in known:
        raise InputError(
            "cli.word.unknown",
            Text(f"there is no such {kind.en}", f"没有这个{kind.zh}"),
            remedy=hint(word, known),
        )
    return known[word]


def _show(title: Text, found: Iterable[Sight], seeing: Seeing) -> None:
    sights = list(found)
    CONTEXT.speech.table(
        title,
        [
            Text("person", "责任人"), Text("post", "岗位"), Text("field", "字段"), Text("purpose", "用途"),
            Text("where", "何处"), Text("may", "可"),
        ],
        [
            (
                sight.person, sight.post, f"{sight.dataset}.{sight.field}", sight.purpose,
                places(sight.domains, seeing), ", ".join(sight.rights),
            )
            for sight in sights
        ],
    )  # fmt: skip
    if not sights:
        CONTEXT.speech.tell(Text("nobody, nothing", "无"))
    CONTEXT.speech.result({"policy": seeing.policies.digest, "sights": sights})


def places(codes: tuple[str, ...], seeing: Seeing) -> Text:
    """One domain by name, several by their number."""
    if len(codes) > 1:
        return Text(f"{len(codes)} domains", f"{len(codes)} 个域")
    name = seeing.policies.domains[codes[0]].name
    return Text(f"{codes[0]} {name.en}", f"{codes[0]} {name.zh}")
