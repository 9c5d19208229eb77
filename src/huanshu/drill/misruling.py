"""Attacks on the rules themselves, by verb: a rule slipped in, an account borrowed, a word that is nearly right, two
duties in one hand."""

from __future__ import annotations

import os
import pwd
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from huanshu.catalog import Rung
from huanshu.drill.definition import Drill
from huanshu.drill.range import Range
from huanshu.drill.unwary import ReadsLeniently, duties_unjudged, rules_as_they_lie
from huanshu.drill.verbs import ATTACK, CONTROL, TWIN, Arm
from huanshu.errors import DeniedError, HuanshuError, Text
from huanshu.gate.read import Asked, read
from huanshu.identity import adopt_policies, propose_policies

_CONFUSIONS: Final[tuple[Callable[[str], str], ...]] = (
    str.upper,
    str.title,
    lambda word: word + " ",
    lambda word: word + "\u3000",
    lambda word: word.replace("_", "\uff3f"),
    lambda word: "".join(chr(ord(c) + 0xFEE0) for c in word),
    lambda word: word.replace("e", "\u0435"),  # Cyrillic
    lambda word: word[:3] + "\u200b" + word[3:],
    lambda word: word.replace("_", "%5f"),
    lambda word: word[:-1] + "*",
    lambda word: word[:0] + "*",
    lambda word: f"./{word}",
)


def policy_tampered(home: Path, drill: Drill) -> list[Arm]:
    """Somebody with the file system under him slips a rule into the rule file; the clerk then asks by it."""
    actors = drill.actors
    with Range(home) as range_:
        range_.take_in(actors["intake"])
        record, loans = _record(range_, actors), range_.loans()
        before = _read(range_, actors, record, actors["purpose"])
        whole = _slip_in(range_, actors)
        slipped = _read(range_, actors, record, actors["purpose"])
        stopped = (
            isinstance(before, DeniedError)
            and isinstance(slipped, DeniedError)
            and slipped.code == "policy.bundle.unadopted"
            and range_.loans() == loans
        )
        attack = Arm(
            ATTACK,
            stopped,
            Text(
                "its digest is not the adopted one: nothing at all is opened",
                "策略摘要与生效版本不符，一律不予开启",
            ),
        )
        _rules(range_, actors).write_text(whole + "# looked through\n", encoding="utf-8")
        _put_in_force(range_, actors)
        asked = _read(range_, actors, record, actors["purpose"], rung=Rung.MASK)
        twin = Arm(
            TWIN,
            asked is None,
            Text("a change that an officer adopts is in force", "经安全员启用的变更正常生效"),
        )
    with rules_as_they_lie(), Range(home) as careless:
        careless.take_in(actors["intake"])
        record = _record(careless, actors)
        _slip_in(careless, actors)
        opened = _read(careless, actors, record, actors["purpose"]) is None
        control = Arm(
            CONTROL, opened, Text("whoever writes the file reads the value", "谁能改文件谁就能看到数据")
        )
    return [attack, control, twin]


def matcher_confusion(home: Path, drill: Drill) -> list[Arm]:
    """A purpose, a field and a post written so that a lenient reader takes them for registered ones."""
    actors = drill.actors
    purpose = str(actors["purpose"])
    with Range(home) as range_:
        range_.take_in(actors["intake"])
        record, loans = _record(range_, actors), range_.loans()
        words = {change(purpose) for change in _CONFUSIONS} - {purpose}
        refused = [_read(range_, actors, record, word, rung=Rung.MASK) for word in sorted(words)]
        attack = Arm(
            ATTACK,
            len(words) >= 10
            and all(isinstance(answer, HuanshuError) for answer in refused)
            and range_.loans() == loans,
            Text(
                f"none of {len(words)} spellings is taken for the purpose",
                f"{len(words)} 种写法无一被当作该用途",
            ),
        )
        right = _read(range_, actors, record, purpose, rung=Rung.MASK)
        twin = Arm(TWIN, right is None, Text("the purpose as it is registered", "按登记写法提出的用途"))
    with Range(home, enforcer=ReadsLeniently.of) as lenient:
        lenient.take_in(actors["intake"])
        record = _record(lenient, actors)
        opened = _read(lenient, actors, record, purpose.upper(), rung=Rung.MASK) is None
        control = Arm(
            CONTROL,
            opened,
            Text("a lenient reader opens for a purpose nobody registered", "宽松读取则以未登记的用途开启"),
        )
    return [attack, control, twin]


def roles_accumulated(home: Path, drill: Drill) -> list[Arm]:
    """By a transfer, somebody who exchanges data is entered as auditor as well: he would review himself."""
    actors = drill.actors
    with Range(home) as range_:
        taken = _entered(range_, actors, actors["overlapping"])
        attack = Arm(
            ATTACK,
            isinstance(taken, HuanshuError) and taken.code == "post.duties.unseparated",
            Text("refused where the post is read; nothing is in force", "读取岗位时即予拒绝，不会生效"),
        )
    with Range(home) as later:
        twin = Arm(
            TWIN,
            _entered(later, actors, actors["afterwards"]) is None,
            Text("after the first post has ended it is in force", "前任岗位期满后任命正常生效"),
        )
    with duties_unjudged(), Range(home) as careless:
        control = Arm(
            CONTROL,
            _entered(careless, actors, actors["overlapping"]) is None,
            Text("unjudged, one person exchanges and audits", "不加判定则一人兼任交换与审计"),
        )
    return [attack, control, twin]


def borrowed_account(home: Path, drill: Drill) -> list[Arm]:
    """Somebody with the file system under him enters his own account beside a clerk's name, and asks for a record."""
    actors = drill.actors
    with Range(home) as range_:
        range_.take_in(actors["intake"])
        record, loans, size = _record(range_, actors), range_.loans(), len(range_.acts())
        _enter_account(range_, actors)
        refused = _read(range_, {**actors, "person": None}, record, actors["purpose"])
        named = [entry for entry in range_.acts()[size:] if entry.body["person"] == actors["person"]]
        attack = Arm(
            ATTACK,
            isinstance(refused, DeniedError) and not named and range_.loans() == loans,
            Text(
                "refused, and no entry names the clerk: who is who says the bundle in force",
                "被拒且日志未记到该专员名下：账号归属以生效策略为准",
            ),
        )
        _put_in_force(range_, actors)
        opened = _read(range_, {**actors, "person": None}, record, actors["purpose"])
        said = [
            entry.body["established"]["by"]
            for entry in range_.acts()
            if entry.body["person"] == actors["person"]
        ]
        twin = Arm(
            TWIN,
            opened is None and set(said) == {"os"},
            Text(
                "once two persons have adopted it, the account is the clerk's", "经两人生效后账号方归该专员"
            ),
        )
    with rules_as_they_lie(), Range(home) as careless:
        careless.take_in(actors["intake"])
        record = _record(careless, actors)
        _enter_account(careless, actors)
        opened = _read(careless, {**actors, "person": None}, record, actors["purpose"])
        control = Arm(
            CONTROL,
            opened is None and any(e.body["person"] == actors["person"] for e in careless.acts()),
            Text("whoever writes the file reads in the clerk's name", "谁能改文件谁就能以该专员之名查看"),
        )
    return [attack, control, twin]


VERBS: Final[Mapping[str, Callable[[Path, Drill], list[Arm]]]] = {
    "borrowed_account": borrowed_account,
    "policy_tampered": policy_tampered,
    "matcher_confusion": matcher_confusion,
    "roles_accumulated": roles_accumulated,
}


def _rules(range_: Range, actors: Mapping[str, Any]) -> Path:
    return range_.settings.home / str(actors["file"])


def _enter_account(range_: Range, actors: Mapping[str, Any]) -> None:
    """This process's own account becomes that of the drill's person, in the file."""
    path, mine = range_.settings.home / "policies/persons.csv", pwd.getpwuid(os.geteuid()).pw_name
    text = path.read_text(encoding="utf-8")
    theirs = range_.acting().home.policies.persons[actors["person"]].os_account
    assert text.count(f",{theirs},") == 1
    path.write_text(text.replace(f",{theirs},", f",{mine},"), encoding="utf-8")


def _slip_in(range_: Range, actors: Mapping[str, Any]) -> str:
    """Add the rule; the file as it was before."""
    path = _rules(range_, actors)
    whole = path.read_text(encoding="utf-8")
    path.write_text(f"{whole}{actors['line']}\n", encoding="utf-8")
    return whole


def _record(range_: Range, actors: Mapping[str, Any]) -> int:
    due = range_.due_records(actors["dataset"], actors["domain"])
    if not due:
        raise AssertionError("the range holds no record of the domain")
    return due[0][0]


def _read(
    range_: Range, actors: Mapping[str, Any], record: int, purpose: str, rung: Rung = Rung.REVEAL
) -> HuanshuError | None:
    """None when it was opened; the refusal otherwise."""
    running = range_.acting(actors["person"])
    asked = Asked(
        actors["post"], actors["domain"], actors["dataset"], purpose, {actors["field"]: rung}, record
    )
    try:
        read(running.home, running.keeper, running.district, asked)
    except HuanshuError as refused:
        return refused
    return None


def _put_in_force(range_: Range, actors: Mapping[str, Any]) -> None:
    """One officer proposes what is read now, another adopts it."""
    first, second = (range_.acting(actors[name]) for name in ("officer", "second"))
    propose_policies(first.keeper, first.home, first.home.policies.digest)
    adopt_policies(second.keeper, second.home, second.home.policies.digest)


def _entered(range_: Range, actors: Mapping[str, Any], line: str) -> HuanshuError | None:
    """Enter a holding and put it in force: None when it is; the refusal otherwise."""
    path = range_.settings.home / "policies/posts.csv"
    path.write_text(path.read_text(encoding="utf-8") + line + "\n", encoding="utf-8")
    try:
        _put_in_force(range_, actors)
    except HuanshuError as refused:
        return refused
    return None
