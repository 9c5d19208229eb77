"""Attacks on what is done to keys and with persons for ever: a rotation struck down, a person brought back, a root key
carried off by those who are trusted with it."""

from __future__ import annotations

import secrets
import signal
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from huanshu.auditlog.rotations import CELLS, LINKS
from huanshu.catalog import Rung
from huanshu.drill.careless import CommitsEveryStatement, ForgetsErasures, anybody_confirms, whenever_asked
from huanshu.drill.definition import Drill
from huanshu.drill.range import Range
from huanshu.drill.striking import struck
from huanshu.drill.verbs import ATTACK, CONTROL, TWIN, Arm
from huanshu.errors import DeniedError, HuanshuError, InputError, Text
from huanshu.exchange import erasure
from huanshu.exchange.rotation import rotate
from huanshu.gate.read import Asked, read
from huanshu.identity import adopt_policies, propose_policies
from huanshu.keeper.custody import ROTATION
from huanshu.sealing.escrow import open_among
from huanshu.sealing.keys import data_key

_KILLED: Final = -signal.SIGKILL
#: Exchanges with the database after which a rotation is struck down.
_STRIKES: Final = (14, 30, 44, 60)
_WORDS: Final = ("three custodians one", "three custodians two", "three custodians six")


def rotation_killed(home: Path, drill: Drill) -> list[Arm]:
    """A rotation is SIGKILLed again and again, in the middle of a home too; then it is run to its end."""
    actors = drill.actors
    with Range(home) as range_:
        range_.take_in(actors["intake"])
        rows = _rows(range_, actors)
        killed, lost = 0, 0
        for strike in _STRIKES:
            raise_epoch(range_, actors)
            killed += struck(lambda: rotate(range_.acting().ground()), at_statement=strike) == _KILLED
            lost += _rows(range_, actors) != rows
        rotate(range_.acting().ground())
        report = range_.verify()
        left = _epochs(range_, actors)
        range_.deliver(actors["delivery"])  # opens every value
        stopped = killed > 2 and not lost and report.clean and len(left) == 1
        attack = Arm(
            ATTACK,
            stopped,
            Text(
                f"killed {killed} times; every row is there once under the new epoch, and opens",
                f"被终止 {killed} 次；每行恰一份，均在新版密钥下可开启",
            )
            if stopped
            else Text(
                f"killed {killed} times, rows lost {lost}, epochs {left}", f"终止 {killed} 次，缺行 {lost}"
            ),
        )
    with Range(home) as calm:
        calm.take_in(actors["intake"])
        raise_epoch(calm, actors)
        done = rotate(calm.acting().ground())
        twin = Arm(
            TWIN,
            bool(done) and calm.verify().clean and len(_epochs(calm, actors)) == 1,
            Text("an undisturbed rotation ends, and verifies", "未受干扰的轮换正常完成并核验通过"),
        )
    with Range(home) as careless:
        careless.take_in(actors["intake"])
        rows, broken = _rows(careless, actors), False
        raise_epoch(careless, actors)
        url = careless.deployment.roles["huanshu_app"]
        for strike in range(14, 60):
            ground = replace(
                careless.acting().ground(),
                district=lambda: CommitsEveryStatement.connect(url, autocommit=True),
            )
            struck(lambda: rotate(ground), at_statement=strike)  # noqa: B023 - used at once
            if broken := _rows(careless, actors) != rows:
                break
        control = Arm(
            CONTROL, broken, Text("without transactions rows are lost or there twice", "不用事务则丢行或重行")
        )
    return [attack, control, twin]


def rotation_claimed(home: Path, drill: Drill) -> list[Arm]:
    """Whoever runs under the scheduler's account claims a rotation that nobody ordered, for the keys it is lent."""
    actors = drill.actors
    with Range(home) as range_:
        range_.take_in(actors["intake"])
        raise_epoch(range_, actors)
        done = rotate(range_.acting().ground())
        loans = range_.loans()
        answers = [_claimed(range_, actors, what) for what in (CELLS, LINKS)]
        codes = {answer.code for answer in answers if isinstance(answer, DeniedError)}
        stopped = codes == {"keys.rotation.not_due"} and range_.loans() == loans and range_.verify().clean
        attack = Arm(
            ATTACK,
            stopped,
            Text("nothing is behind by the log: no ticket, no key", "按日志无待轮换内容：不给凭据，不借密钥")
            if stopped
            else Text(f"answered {answers}", f"答复 {answers}"),
        )
        raise_epoch(range_, actors)
        again = rotate(range_.acting().ground())
        twin = Arm(
            TWIN,
            bool(done) and bool(again) and len(_epochs(range_, actors)) == 1,
            Text("a rotation that two persons ordered is lent its keys", "两人下令的轮换照常借得密钥"),
        )
    with Range(home, due=whenever_asked) as careless:
        careless.take_in(actors["intake"])
        control = Arm(
            CONTROL,
            not isinstance(_claimed(careless, actors, CELLS), HuanshuError),
            Text(
                "where a claim is enough, every key of the dataset is lent", "只凭申请即借出该数据集全部密钥"
            ),
        )
    return [attack, control, twin]


def erased_restored(home: Path, drill: Drill) -> list[Arm]:
    """The administrator puts back, from what he had kept, an erased person's rows and a destroyed key."""
    actors = drill.actors
    with Range(home) as range_:
        record, key = _erased_and_put_back(range_, actors)
        refused = _opened(range_, actors, record)
        range_.stop_keeper()
        range_.start_keeper()
        with range_.administrator() as administrator:
            kept = administrator.execute("SELECT FROM keys.wrapped WHERE name = %s", (key,)).fetchone()
        report = range_.verify()
        steps = {problem.step for problem in report.problems}
        named = {problem.at for problem in report.problems}
        others = [r for r, _ in range_.due_records(actors["dataset"], actors["domain"]) if r != record]
        other = _opened(range_, actors, others[0])
        stopped = (
            isinstance(refused, DeniedError)
            and refused.code == "access.subject.erased"
            and kept is None
            and steps == {"7 store"}
            and named == {f"{actors['dataset']} record {record}"}
        )
        attack = Arm(
            ATTACK,
            stopped,
            Text(
                "nothing of the person opens; the key is gone again; the log verifies and the store's row is named",
                "该人数据均不可开启；密钥再次清除；日志核验通过并指出该行",
            )
            if stopped
            else Text(f"{refused}; found at {sorted(named)}", f"{refused}；发现于 {sorted(named)}"),
        )
        twin = Arm(TWIN, other is None, Text("somebody else is read as before", "其他人的数据照常可看"))
    with Range(home, erased=ForgetsErasures) as forgetful:
        record, _ = _erased_and_put_back(forgetful, actors)
        control = Arm(
            CONTROL,
            _opened(forgetful, actors, record) is None,
            Text("a keeper that forgets erasures opens the person again", "忘记删除记录则可再次开启"),
        )
    return [attack, control, twin]


def colluding_custodians(home: Path, drill: Drill) -> list[Arm]:
    """A security officer and the database's administrator want the root key, and have one custodian's words."""
    actors = drill.actors
    with Range(home) as range_:
        range_.take_in(actors["intake"])
        alone = _copy(range_, actors, actors["officer"])
        report = range_.verify()
        denied = [e.body for e in range_.entries() if e.event == "access.request.denied"]
        granted = _copy(range_, actors, actors["second"])
        origin = range_.acting().home.log_origin.encode()
        one: object = None
        if isinstance(granted, bytes):
            with suppress(InputError):
                one = open_among([_WORDS[0], "whatever they can think of"], origin, granted)
        stopped = (
            isinstance(alone, DeniedError)
            and alone.code == "keys.proposal.own"
            and [body["person"] for body in denied] == [actors["officer"]]
            and report.clean
            and one is None
        )
        attack = Arm(
            ATTACK,
            stopped,
            Text(
                "the officer may not confirm himself, the log says he tried; one custodian opens no copy",
                "安全员不能自行确认且已留痕；单个保管人打不开备存",
            )
            if stopped
            else Text("the root key was to be had", "可取得根密钥"),
        )
        raw = (range_.settings.keeper_folder / "root.key").read_bytes()
        opened = isinstance(granted, bytes) and open_among(list(_WORDS[1:]), origin, granted) == raw
        twin = Arm(
            TWIN,
            opened,
            Text("two persons make a copy, two custodians open it", "两人制作，两名保管人可开启"),
        )
    with Range(home, another=anybody_confirms) as careless:
        careless.take_in(actors["intake"])
        control = Arm(
            CONTROL,
            isinstance(_copy(careless, actors, actors["officer"]), bytes),
            Text(
                "where anybody confirms, one officer has a copy of his own",
                "任何人可确认时，一人即可取得备存",
            ),
        )
    return [attack, control, twin]


VERBS: Final[Mapping[str, Callable[[Path, Drill], list[Arm]]]] = {
    "rotation_killed": rotation_killed,
    "rotation_claimed": rotation_claimed,
    "erased_restored": erased_restored,
    "colluding_custodians": colluding_custodians,
}


def raise_epoch(range_: Range, actors: Mapping[str, Any]) -> None:
    """Two officers adopt the next epoch."""
    path = range_.settings.home / "policies" / "keys.yaml"
    epoch = range_.acting().home.policies.keys.epoch
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace(f"\nepoch: {epoch}\n", f"\nepoch: {epoch + 1}\n"), encoding="utf-8")
    author, second = range_.acting(actors["officer"]), range_.acting(actors["second"])
    propose_policies(author.keeper, author.home, author.home.policies.digest)
    adopt_policies(second.keeper, second.home, second.home.policies.digest)


# -- pieces -----------------------------------------------------------------------------------------


def _claimed(range_: Range, actors: Mapping[str, Any], what: str) -> HuanshuError | int:
    """How many keys a claimed rotation is lent."""
    keeper, name = range_.acting().keeper, f"rotation/{secrets.token_hex(8)}"
    detail = {"rotation": name, "what": what}
    claim = {"event": ROTATION, "once": f"{ROTATION}/{name}", "dataset": actors["dataset"], "detail": detail}
    names = [data_key(actors["domain"], actors["dataset"], actors["field"], 1)]
    try:
        keeper.lend(keeper.append(claim), 1, names)
        return len(names)
    except HuanshuError as error:
        return error


def _rows(range_: Range, actors: Mapping[str, Any]) -> list[tuple[int, int]]:
    with range_.administrator() as administrator:
        query = f"SELECT record, version FROM district.{actors['dataset']} ORDER BY 1, 2"
        found = administrator.execute(query.encode()).fetchall()
    if not found:
        raise AssertionError("the range holds no record")
    return found


def _epochs(range_: Range, actors: Mapping[str, Any]) -> set[int]:
    with range_.administrator() as administrator:
        query = f"SELECT DISTINCT epoch FROM district.{actors['dataset']}"
        return {row[0] for row in administrator.execute(query.encode())}


def _erased_and_put_back(range_: Range, actors: Mapping[str, Any]) -> tuple[int, str]:
    """The record of an erased person and the name of a destroyed key; both lie in the store again."""
    dataset = actors["dataset"]
    range_.take_in(actors["intake"])
    record = range_.due_records(dataset, actors["domain"])[0][0]
    key = f"data/{actors['elsewhere']}/{dataset}/{actors['field']}/1"
    tables = (f"district.{dataset}", "district.record", "keys.wrapped")
    with range_.administrator() as administrator:
        for number, table in enumerate(tables):
            administrator.execute(f"CREATE TABLE public.kept{number} AS TABLE {table}".encode())
    officer, second = range_.acting(actors["officer"]), range_.acting(actors["second"])
    selector = {"domain": actors["elsewhere"], "dataset": dataset, "field": actors["field"], "epoch": 1}
    detail = {"selector": selector, "keys": 0, "reason": "end of the purpose"}
    proposed = officer.keeper.append({"event": "keys.destruction.proposed", "detail": detail}).index
    second.keeper.destroy(proposed)
    proposed = erasure.propose(officer.ground(), dataset, record, "request of the person").index
    erasure.confirm(second.ground(), proposed)
    erasure.apply(range_.acting().ground())
    with range_.administrator() as administrator:
        for number, (table, column) in enumerate(zip(tables, ("record", "record", "name"), strict=True)):
            administrator.execute(
                f"INSERT INTO {table} OVERRIDING SYSTEM VALUE SELECT * FROM public.kept{number} k"
                f" WHERE NOT EXISTS (SELECT FROM {table} t WHERE t.{column} = k.{column})".encode()
            )
    return record, key


def _opened(range_: Range, actors: Mapping[str, Any], record: int) -> HuanshuError | None:
    """Read one field of a record as the drill's clerk; None when a value came back."""
    here = range_.acting(actors["person"])
    fields = {actors["field"]: Rung.REVEAL}
    with range_.administrator() as administrator:
        query = f"SELECT home FROM district.{actors['dataset']} WHERE record = %s AND batch_out IS NULL"
        found = administrator.execute(query.encode(), (record,)).fetchone()
    domain = actors["domain"] if found is None else str(found[0])
    asked = Asked(actors["post"], domain, actors["dataset"], actors["purpose"], fields, record)
    try:
        read(here.home, here.keeper, here.district, asked)
    except HuanshuError as error:
        return error
    return None


def _copy(range_: Range, actors: Mapping[str, Any], confirmer: str) -> bytes | HuanshuError:
    """A copy of the root key that the officer proposes and somebody confirms."""
    claim = {"event": "keys.escrow.proposed", "detail": {"reason": "a copy for another office"}}
    proposed = range_.acting(actors["officer"]).keeper.append(claim).index
    try:
        _, made = range_.acting(confirmer).keeper.escrow(proposed, _WORDS)
    except HuanshuError as error:
        return error
    return made
