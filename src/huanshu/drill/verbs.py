"""The attacks, by verb. Each makes its ranges, runs its three arms and says what it saw — never a value.

A verb reads its actors from the drill's file; the name of a district never stands here. "For all" is asserted
over something: an attack on an empty range is an error, not a success.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from huanshu.catalog import Rung
from huanshu.drill.careless import AllowsEverything
from huanshu.drill.definition import Drill
from huanshu.drill.range import KILLED, Range
from huanshu.errors import DeniedError, HuanshuError, InputError, TamperedError, Text
from huanshu.gate.read import Asked, read
from huanshu_verify import STEPS

POINTS: Final = (
    "a:frozen",
    "b:authorised",
    "c:opened:0",
    "c:chunk:0",
    "c:staged",
    "d:promoted",
    "e:arrived",
    "e:booked",
)


@dataclass(frozen=True, slots=True)
class Arm:
    """One arm's result. ``as_expected``: stopped (attack), succeeded (control), passed (twin)."""

    name: Text
    as_expected: bool
    what: Text


ATTACK: Final = Text("attack", "攻击")
CONTROL: Final = Text("control (defence removed)", "对照（撤去防线）")
TWIN: Final = Text("legitimate twin", "合法对照")


def cross_domain_read(home: Path, drill: Drill) -> list[Arm]:
    """A clerk reads another community's resident: in that community, and under a neighbour's record number."""
    actors = drill.actors
    with Range(home) as range_:
        range_.take_in(actors["intake"])
        theirs, ours = (
            _one_record(range_, actors, actors["victim"]),
            _one_record(range_, actors, actors["domain"]),
        )
        receivers = (actors["domain"], actors["victim"])
        before, size, loans = (
            range_.state_digest(actors["dataset"], receivers),
            len(range_.acts()),
            range_.loans(),
        )
        across = attempt(range_, actors, actors["victim"], theirs)
        beside = attempt(range_, actors, actors["domain"], theirs)
        nothing = attempt(range_, actors, actors["domain"], 10**9)
        events = [entry.event for entry in range_.acts()[size:]]
        persons = {entry.body["person"] for entry in range_.acts()[size:]}
        stopped = (
            isinstance(across, DeniedError)
            and isinstance(beside, InputError)
            and isinstance(nothing, InputError)
            and beside.explain("en") == nothing.explain("en")
            and events == ["access.request.denied", "access.record.missed", "access.record.missed"]
            and persons == {actors["person"]}
            and range_.loans() == loans
            and range_.state_digest(actors["dataset"], receivers) == before
        )
        attack = Arm(
            ATTACK,
            stopped,
            Text(
                "denied; a neighbour's number answers like none; three entries name the clerk; nothing was opened",
                "被拒；邻社区编号与不存在的编号答复相同；三条日志记到本人；未开启任何值",
            )
            if stopped
            else Text(f"not stopped as it must be: {events}", f"未按要求阻止：{events}"),
        )
        opened = attempt(range_, actors, actors["domain"], ours)
        twin = Arm(TWIN, opened is None, Text("the clerk's own resident is read", "本社区居民可正常查看"))
    with Range(home, enforcer=lambda h: AllowsEverything(h.policies, h.contracts)) as open_range:
        open_range.take_in(actors["intake"])
        got = attempt(open_range, actors, actors["victim"], _one_record(open_range, actors, actors["victim"]))
        control = Arm(
            CONTROL,
            got is None,
            Text("without the rules the neighbour's resident is read", "撤去规则后可读到邻社区居民"),
        )
    return [attack, control, twin]


def deleted_log_entry(home: Path, drill: Drill) -> list[Arm]:
    """The database administrator deletes the entry of a refused access."""
    actors = drill.actors
    with Range(home) as range_:
        range_.take_in(actors["intake"])
        denied = attempt(range_, actors, actors["victim"], _one_record(range_, actors, actors["victim"]))
        attempt(range_, actors, actors["domain"], _one_record(range_, actors, actors["domain"]))
        clean = range_.verify()
        twin = Arm(
            TWIN, clean.clean and clean.entries > 0, Text("an untouched log verifies", "未动过的日志核验通过")
        )
        (index,) = [e.index for e in range_.entries() if e.event == "access.request.denied"]
        with range_.administrator() as administrator:
            administrator.execute("DELETE FROM log.entry WHERE index = %s", (index,))
        found = {(problem.step, problem.at) for problem in range_.verify().problems}
        range_.stop_keeper()
        refused = None
        try:
            range_.start_keeper()
        except TamperedError as error:
            refused = error
        stopped = (
            isinstance(denied, DeniedError) and ("1 indices", str(index)) in found and refused is not None
        )
        stopped = stopped and any(step == "3 tree" for step, _ in found)
        attack = Arm(
            ATTACK,
            stopped,
            Text(
                f"the verifier names entry {index}; the signed tree differs; the keeper refuses to start",
                f"核验指出条目 {index} 缺失，签名树不符；钥匙保管拒绝启动",
            ),
        )
        blind = [step for step in STEPS if step[0] not in ("1 indices", "3 tree")]
        unseen = _verify_stopped(range_, blind)
        control = Arm(
            CONTROL, unseen, Text("without indices and tree nobody notices", "不核对序号与签名树则无人察觉")
        )
    return [attack, control, twin]


def worker_killed_mid_delivery(home: Path, drill: Drill) -> list[Arm]:
    """A worker is SIGKILLed between every two steps of a delivery; then the flow runs again."""
    actors = drill.actors
    receiver, dataset, flow = actors["domain"], actors["dataset"], actors["delivery"]
    faults: list[str] = []
    with Range(home) as range_:
        range_.take_in(actors["intake"])
        due = range_.due_records(dataset, receiver)
        if not due:
            raise AssertionError("the range holds no record for the receiver")
        killed = 0
        for point in POINTS:
            killed += range_.worker(flow, receiver, point) == KILLED
            half = range_.slice_records(dataset, receiver)
            if half not in ([], due):
                faults.append(f"{point}: half a slice")
        range_.deliver(flow)
        arrived = [
            e
            for e in range_.entries()
            if e.event == "exchange.delivery.arrived" and e.body["domain"] == receiver
        ]
        if range_.slice_records(dataset, receiver) != due:
            faults.append("the slice is not what was due")
        if len(arrived) != 1:
            faults.append(f"{len(arrived)} arrivals")
        report = range_.verify()
        faults += [f"{p.step} {p.at}: {p.what}" for p in report.problems]
        stopped = not faults and killed >= len(POINTS) - 1
        attack = Arm(
            ATTACK,
            stopped,
            Text(
                f"killed {killed} times; one arrival, every record once, log and slice verify",
                f"被终止 {killed} 次；仅一次到达，每条记录恰一次，日志与数据核验通过",
            )
            if stopped
            else Text(f"killed {killed} times; {faults}", f"被终止 {killed} 次；{faults}"),
        )
    with Range(home) as calm:
        calm.take_in(actors["intake"])
        calm.deliver(flow)
        same = calm.slice_records(dataset, receiver) == calm.due_records(dataset, receiver)
        twin = Arm(
            TWIN, same and calm.verify().clean, Text("an undisturbed run arrives", "未受干扰的运行正常到达")
        )
    with Range(home) as careless:
        careless.take_in(actors["intake"])
        careless.worker(flow, receiver, "c:chunk:0", careless=True)
        half = careless.slice_records(dataset, receiver)
        broken = bool(half) and half != careless.due_records(dataset, receiver)
        control = Arm(
            CONTROL, broken, Text("without staging half a slice is left behind", "不经暂存则留下半份数据")
        )
    return [attack, control, twin]


VERBS: Final[Mapping[str, Callable[[Path, Drill], list[Arm]]]] = {
    "cross_domain_read": cross_domain_read,
    "deleted_log_entry": deleted_log_entry,
    "worker_killed_mid_delivery": worker_killed_mid_delivery,
}


def _one_record(range_: Range, actors: Mapping[str, Any], home: str) -> int:
    due = range_.due_records(actors["dataset"], home)
    if not due:
        raise AssertionError(f"the range holds no record for {home}")
    return due[0][0]


def attempt(range_: Range, actors: Mapping[str, Any], domain: str, record: int) -> HuanshuError | None:
    """Read one field of one record as the drill's person; None when a value came back."""
    running = range_.acting(actors["person"])
    asked = Asked(
        post=actors["post"],
        domain=domain,
        dataset=actors["dataset"],
        purpose=actors["purpose"],
        fields={actors["field"]: Rung.REVEAL},
        record=record,
    )
    try:
        answer = read(running.home, running.keeper, running.district, asked)
    except HuanshuError as error:
        return error
    finally:
        running.keeper.close()
    assert actors["field"] in answer.values
    return None


def _verify_stopped(range_: Range, steps: list[Any]) -> bool:
    """Whether a verifier with only these steps finds nothing, while no keeper runs."""
    from huanshu.auditlog import Signer
    from huanshu_verify import Options, fsck

    signer = Signer.load(range_.settings.keeper_folder / "log.key")
    vkey = signer.vkey(range_.acting().home.log_origin)
    return fsck(Options(range_.deployment.roles["huanshu_app"], vkey), steps).clean
