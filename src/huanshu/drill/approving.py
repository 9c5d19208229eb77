"""Consent, by verb: agreeing to oneself, going on after the right has gone, breaking the glass and not looking back."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from huanshu.catalog import Home, Rung
from huanshu.drill.careless import OnePersonIsEnough
from huanshu.drill.definition import Drill
from huanshu.drill.range import CHUNK, Range
from huanshu.drill.verbs import ATTACK, CONTROL, TWIN, Arm
from huanshu.errors import DeniedError, HuanshuError, Text
from huanshu.exchange.ground import Pause, no_pause
from huanshu.exchange.runs import run_delivery
from huanshu.gate.read import Asked, read
from huanshu.identity import adopt_policies, propose_policies, second_flow

_WAIT: Final = 10.0


def self_approval(home: Path, drill: Drill) -> list[Arm]:
    """A security officer widens a rule alone: outright, after proposing it, and from the post that he also holds."""
    actors = drill.actors
    with Range(home) as range_:
        in_force = range_.acting().keeper.status()["adopted"]
        _widen(range_, actors)
        outright = _try(range_, actors["person"], _adopt)
        proposed = _try(range_, actors["person"], _propose)
        codes = [_code(_try(range_, actors["person"], _adopt)) for _ in range(2)]  # and once more, replayed
        forged = _try(range_, actors["outsider"], _propose)
        denied = [e.body["person"] for e in range_.entries() if e.event == "access.request.denied"]
        stopped = (
            _code(outright) == "policy.bundle.unproposed"
            and proposed is None
            and codes == ["identity.person.same"] * 2
            and isinstance(forged, DeniedError)
            and range_.acting().keeper.status()["adopted"] == in_force
            and denied == [actors["person"]] * 3 + [actors["outsider"]]
        )
        attack = Arm(
            ATTACK,
            stopped,
            Text(
                "refused outright, after his own proposal, and again; the rules in force are those of before",
                "直接生效、提出后自行生效及重放均被拒；生效策略未变",
            ),
        )
        agreed = _try(range_, actors["second"], _adopt)
        last = range_.acts()[-1]
        twin = Arm(
            TWIN,
            agreed is None
            and (last.body["person"], last.body["detail"]["author"]) == (actors["second"], actors["person"]),
            Text("another person puts it in force; the entry names both", "由另一人使其生效，条目载明两人"),
        )
    with Range(home, second=OnePersonIsEnough()) as open_range:
        _widen(open_range, actors)
        _try(open_range, actors["person"], _propose)
        control = Arm(
            CONTROL,
            _try(open_range, actors["person"], _adopt) is None,
            Text(
                "without the question who it is, one person widens the rules",
                "不问是否同一人则一人即可扩大权限",
            ),
        )
    return [attack, control, twin]


def revoke_race(home: Path, drill: Drill) -> list[Arm]:
    """A rule is revoked while a delivery that stands on it is under way, after its first chunk."""
    actors = drill.actors
    receiver, dataset = actors["domain"], actors["dataset"]
    with Range(home) as range_:
        range_.take_in(actors["intake"])
        refused, loans = _deliver_and_revoke(range_, actors)
        entries = range_.entries()
        adopted = max(e.index for e in entries if e.event == "policy.bundle.adopted")
        after = [e.event for e in entries if e.index > adopted]
        stopped = (
            isinstance(refused, DeniedError)
            and range_.slice_records(dataset, receiver) == []
            and range_.loans() == loans
            and "exchange.delivery.arrived" not in after
            and isinstance(_deliver(range_, actors), DeniedError)
        )
        attack = Arm(
            ATTACK,
            stopped,
            Text(
                "the next chunk gets no key: no row after the revocation, nothing shows, and it does not begin again",
                "下一块取不到密钥：收回后零行，数据不可见，且不能重新开始",
            ),
        )
    with Range(home) as calm:
        calm.take_in(actors["intake"])
        passed = _deliver(calm, actors) is None
        same = calm.slice_records(dataset, receiver) == calm.due_records(dataset, receiver)
        twin = Arm(TWIN, passed and same, Text("undisturbed, it arrives whole", "未收回时完整到达"))
    with Range(home, reread=_once) as deaf:
        deaf.take_in(actors["intake"])
        refused, _ = _deliver_and_revoke(deaf, actors)
        control = Arm(
            CONTROL,
            refused is None and deaf.slice_records(dataset, receiver) == deaf.due_records(dataset, receiver),
            Text(
                "a keeper that read its rules once goes on to the end",
                "只在启动时读取策略的钥匙保管会继续到底",
            ),
        )
    return [attack, control, twin]


def broken_glass(home: Path, drill: Drill) -> list[Arm]:
    """A station head breaks the glass, looks, reviews himself, and waits for it to be forgotten."""
    actors = drill.actors
    with Range(home) as range_:
        range_.take_in(actors["intake"])
        before, opened = _look(range_, actors), _declare(range_, actors)
        looked = _look(range_, actors)
        told = [(f["owner_post"], f["about"]) for f in range_.acting().keeper.findings()]
        own = _review(range_, actors["person"])
        escalated = _a_day_later(range_)
        again = _declare(range_, actors)
        findings = [f["owner_post"] for f in range_.acting().keeper.findings()]
        stopped = (
            (_code(before), opened, looked) == ("access.request.denied", None, None)
            and told == [(actors["owner_post"], actors["person"])]
            and _code(own) == "identity.person.same"
            and escalated
            and _code(again) == "access.emergency.suspended"
            and isinstance(_look(range_, actors), DeniedError)
            and findings == [actors["owner_post"], actors["officer_post"]]
        )
        attack = Arm(
            ATTACK,
            stopped,
            Text(
                "the data owner is told at once, nobody reviews himself; after a day security staff have it, and the"
                " glass stays whole",
                "数据主管岗位即时获知，不得自行复核；一日后升级至安全人员，且不得再次紧急调阅",
            ),
        )
    with Range(home) as calm:
        calm.take_in(actors["intake"])
        _declare(calm, actors)
        reviewed = _review(calm, actors["owner"])
        quiet = not _a_day_later(calm, wait=2.0)
        twin = Arm(
            TWIN,
            reviewed is None and quiet and _declare(calm, actors) is None,
            Text("reviewed by the data owner in time, nothing is escalated", "数据主管按时复核则不升级"),
        )
    with Range(home, second=OnePersonIsEnough(), edit=_owner_is(actors)) as open_range:
        open_range.take_in(actors["intake"])
        _declare(open_range, actors)
        own = _review(open_range, actors["person"])
        control = Arm(
            CONTROL,
            own is None and not _a_day_later(open_range, wait=2.0),
            Text(
                "without a second person it is reviewed by himself and forgotten",
                "不要求第二人则自行复核了事",
            ),
        )
    return [attack, control, twin]


def large_delivery(home: Path, drill: Drill) -> list[Arm]:
    """Who may approve a flow sends out more residents at once than one person alone lets go."""
    actors = drill.actors
    receiver, dataset = actors["domain"], actors["dataset"]
    with Range(home, edit=_one_alone) as range_:
        range_.take_in(actors["intake"])
        refused, loans = _deliver(range_, actors), range_.loans()
        own = _try(range_, actors["person"], lambda k, h: second_flow(k, h, actors["delivery"]))
        stopped = (
            (_code(refused), _code(own)) == ("exchange.delivery.unseconded", "identity.person.same")
            and range_.slice_records(dataset, receiver) == []
            and isinstance(_deliver(range_, actors), DeniedError)
            and range_.loans() == loans
        )
        attack = Arm(
            ATTACK,
            stopped,
            Text(
                "no key is lent on one approval, and its giver does not second it himself",
                "仅凭一人批准不借出密钥，批准人亦不得自行附议",
            ),
        )
        agreed = _try(range_, actors["second"], lambda k, h: second_flow(k, h, actors["delivery"]))
        twin = Arm(
            TWIN,
            agreed is None
            and _deliver(range_, actors) is None
            and range_.slice_records(dataset, receiver) == range_.due_records(dataset, receiver) != [],
            Text("after a second person has agreed it arrives", "经第二人附议后到达"),
        )
    with Range(home) as open_range:
        open_range.take_in(actors["intake"])
        control = Arm(
            CONTROL,
            _deliver(open_range, actors) is None and open_range.slice_records(dataset, receiver) != [],
            Text("below the limit, one person's approval is enough", "未达上限时一人批准即可交付"),
        )
    return [attack, control, twin]


VERBS: Final[Mapping[str, Callable[[Path, Drill], list[Arm]]]] = {
    "large_delivery": large_delivery,
    "self_approval": self_approval,
    "revoke_race": revoke_race,
    "broken_glass": broken_glass,
}


def _code(error: HuanshuError | None) -> str | None:
    return None if error is None else error.code


def _try(range_: Range, person: str, act: Callable[[Any, Home], object]) -> HuanshuError | None:
    running = range_.acting(person)
    try:
        act(running.keeper, running.home)
    except HuanshuError as error:
        return error
    finally:
        running.keeper.close()
    return None


def _propose(keeper: Any, home: Home) -> object:
    """Both persons name the same plan: that of the bundle itself stands for what they read."""
    return propose_policies(keeper, home, home.policies.digest)


def _adopt(keeper: Any, home: Home) -> object:
    return adopt_policies(keeper, home, home.policies.digest)


def _widen(range_: Range, actors: Mapping[str, Any]) -> None:
    _edit(range_, actors["file"], actors["rule"], actors["wider"])


def _edit(range_: Range, file: str, old: str, new: str) -> None:
    path = range_.settings.home / file
    text = path.read_text("utf-8")
    assert text.count(old) == 1, f"{file} has not this line once"
    path.write_text(text.replace(old, new), "utf-8")


def _deliver_and_revoke(range_: Range, actors: Mapping[str, Any]) -> tuple[HuanshuError | None, int]:
    """(how the delivery ended, loans when the rule went)."""
    loans = [0]

    def pause(point: str) -> None:
        if point == "c:chunk:0":
            _edit(range_, actors["file"], actors["rule"], f"# {actors['rule']}")
            with suppress(DeniedError):  # of a keeper that reads no rules any more
                running = range_.acting(actors["officer"])
                adopt_policies(running.keeper, running.home)
            loans[0] = range_.loans()

    return _deliver(range_, actors, pause), loans[0]


def _deliver(range_: Range, actors: Mapping[str, Any], pause: Pause = no_pause) -> HuanshuError | None:
    ground = range_.acting().ground(chunk=CHUNK, pause=pause)
    try:
        run_delivery(ground, actors["delivery"], f"drill-{time.monotonic_ns()}", [actors["domain"]])
    except HuanshuError as error:
        return error
    return None


def _once(home: Callable[[], Home]) -> Callable[[], Home]:
    """A keeper that reads its rules when it begins and never again."""
    kept = home()
    return lambda: kept


def _declare(range_: Range, actors: Mapping[str, Any]) -> HuanshuError | None:
    claim = {
        "event": "access.emergency.declared",
        "post": actors["post"],
        "domain": actors["domain"],
        "dataset": actors["dataset"],
        "purpose": actors["purpose"],
        "fields": {actors["field"]: Rung.REVEAL.word},
        "detail": {"reason": "drill: fire in a building", "hours": 2},
    }
    return _try(range_, actors["person"], lambda keeper, _: keeper.append(claim))


def _review(range_: Range, person: str) -> HuanshuError | None:
    (declared,) = [e.index for e in range_.entries() if e.event == "access.emergency.declared"]
    detail = {"declared": declared, "verdict": "justified", "reason": "drill"}
    claim = {"event": "access.emergency.reviewed", "detail": detail}
    return _try(range_, person, lambda keeper, _: keeper.append(claim))


def _look(range_: Range, actors: Mapping[str, Any]) -> HuanshuError | None:
    record = range_.due_records(actors["dataset"], actors["domain"])[0][0]
    running = range_.acting(actors["person"])
    asked = Asked(
        actors["post"], actors["domain"], actors["dataset"], actors["purpose"],
        {actors["field"]: Rung.REVEAL}, record=record,
    )  # fmt: skip
    try:
        read(running.home, running.keeper, running.district, asked)
    except HuanshuError as error:
        return error
    finally:
        running.keeper.close()
    return None


def _a_day_later(range_: Range, wait: float = _WAIT) -> bool:
    """Let 25 hours pass: whether the keeper's own rounds escalate something."""
    range_.pass_(timedelta(hours=25))
    ends = time.monotonic() + wait
    while time.monotonic() < ends:
        if any(entry.event == "access.emergency.escalated" for entry in range_.entries()):
            return True
        time.sleep(0.2)
    return False


def _one_alone(home: Path) -> None:
    """A limit that the sample is above of."""
    path = home / "policies/limits.yaml"
    kept = [line for line in path.read_text("utf-8").splitlines() if not line.startswith("deliver_alone:")]
    path.write_text("\n".join([*kept, "deliver_alone: 1"]) + "\n", "utf-8")


def _owner_is(actors: Mapping[str, Any]) -> Callable[[Path], None]:
    """The control's home: who breaks the glass also answers for the data: only the second person is missing."""

    def edit(home: Path) -> None:
        path = home / "policies/posts.csv"
        path.write_text(path.read_text("utf-8") + actors["also"] + "\n", "utf-8")

    return edit
