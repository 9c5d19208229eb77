"""What people do in the demo: clerks sign, one tries what is not his, one corrects, a resident moves away."""

from __future__ import annotations

from dataclasses import dataclass

from huanshu.assembly.sandbox import enrol_community, holder_of, holder_of_role, sign_corrections
from huanshu.catalog import Rung
from huanshu.cli.demonstration.show import Show, failed
from huanshu.errors import DeniedError, InputError, Text
from huanshu.exchange.corrections import accept, propose, refuse
from huanshu.exchange.receipts import sign
from huanshu.exchange.runs import run_delivery
from huanshu.gate.read import Asked, read
from huanshu.gate.seen import AskedWho, who_saw

#: Which field the clerk corrects, and with what: two good ones, and a telephone number that cannot be one.
_CORRECTIONS = (("phone", "10000000001"), ("education", "20"), ("phone", "12"))
_REFUSAL = "evidence_insufficient"
_TRACE = "access_review"


def sign_all(show: Show) -> None:
    """Every clerk signs for what arrived, but one: the report says so."""
    for code in show.delivery.receivers[:-1]:
        sign(show.acting(show.clerk(code)[0]).ground(), code)


def attempts(show: Show) -> list[tuple[Text, Text]]:
    """What a clerk may and may not do, tried."""
    ours, theirs = show.delivery.receivers[0], show.delivery.receivers[1]
    record, neighbour = first_record(show, ours), first_record(show, theirs)
    purpose = show.delivery.purpose
    return [
        (
            Text("own resident, registered purpose", "本社区居民，登记用途"),
            _ask(show, ours, ours, record, purpose),
        ),
        (Text("neighbour's resident", "邻社区居民"), _ask(show, ours, theirs, neighbour, purpose)),
        (Text("neighbour's record number", "邻社区的记录编号"), _ask(show, ours, ours, neighbour, purpose)),
        (Text("no purpose", "未说明用途"), _ask(show, ours, ours, record, "")),
    ]


@dataclass(frozen=True, slots=True)
class Mover:
    """Who moved between two months: how many, and of one of them what the old community gets now, and who has seen
    him or her: communities to which the record was moved, first to last."""

    count: int
    record: int
    old: str
    new: str
    asked: Text
    seen_at: tuple[str, ...]


def mover(show: Show) -> Mover:
    """Withdrawn from where they lived: the old community asks for one of them and gets what a missing record gets."""
    table = f"district.{show.delivery.dataset}"
    moved = show.rows(
        f"SELECT now.record, was.home, now.home FROM {table} now JOIN {table} was"
        " ON was.record = now.record AND was.version = now.version - 1"
        " WHERE now.batch_out IS NULL AND was.home <> now.home ORDER BY now.record"
    )
    if not moved:
        raise failed(Text("nobody moved in the demo's second month", "演示第二期没有人迁移"))
    record, old, new = moved[0]
    answer = _ask(show, old, old, record, show.delivery.purpose)
    return Mover(len(moved), record, old, new, answer, _seen_at(show, record))


def _seen_at(show: Show, record: int) -> tuple[str, ...]:
    """As the auditor asks for a case."""
    auditor = show.acting(holder_of_role(show.sandbox.home, "auditor"))
    post = next(h.post for h in show.sandbox.home.policies.holdings if h.role == "auditor")
    asked = AskedWho(post, show.delivery.dataset, _TRACE, "demo-1", record)
    found = who_saw(auditor.home, auditor.keeper, auditor.district, asked)
    auditor.keeper.close()
    return tuple(s.domain for s in found.sightings if s.how == "moved" and s.purpose == show.delivery.purpose)


@dataclass(frozen=True, slots=True)
class Answered:
    """What became of one community's corrections."""

    community: str
    proposed: int
    refused_by_rule: int
    accepted: int
    refused_by_steward: int
    delivered_again: int


def correct(show: Show) -> Answered:
    """A clerk proposes, the rules judge, the steward of each field's department answers, the community gets it back."""
    code = show.delivery.receivers[0]
    person, post = show.clerk(code)
    signer = enrol_community(show.sandbox.settings, code)
    records = show.rows(
        f"SELECT record, version FROM district.{show.delivery.dataset}"
        " WHERE batch_out IS NULL AND home = %s ORDER BY record LIMIT 3",
        code,
    )
    changes = [
        {
            "record": record, "field": field, "base": version, "value": value,
            "evidence": {"kind": "visit", "reference": "走访记录"},
        }
        for (record, version), (field, value) in zip(records, _CORRECTIONS, strict=True)
    ]  # fmt: skip
    batch = sign_corrections(signer, code, show.delivery.dataset, 1, changes)
    receipt = propose(show.acting(person).ground(), batch, post)
    waiting = [c for c in receipt.corrections if c.state == "proposed"]
    answered = []
    for correction, answer in zip(waiting, (accept, refuse), strict=True):
        steward = show.acting(holder_of(show.sandbox.home, str(correction.steward))).ground()
        if answer is accept:
            answered.append(accept(steward, correction.correction, str(correction.steward)))
        else:
            answered.append(refuse(steward, correction.correction, str(correction.steward), _REFUSAL))
    (again,) = run_delivery(show.running.ground(), show.delivery.flow, "demo-correction", [code])
    states = [c.state for c in answered]
    return Answered(
        code,
        len(receipt.corrections),
        receipt.count("refused"),
        states.count("accepted"),
        states.count("refused"),
        again.upserts,
    )


def _ask(show: Show, of: str, domain: str, record: int, purpose: str) -> Text:
    """The clerk of ``of`` asks for two fields of a record in ``domain``: what the gate answers."""
    person, post = show.clerk(of)
    running = show.acting(person)
    asked = Asked(
        post, domain, show.delivery.dataset, purpose, {"name": Rung.MASK, "phone": Rung.REVEAL}, record
    )
    try:
        answer = read(running.home, running.keeper, running.district, asked)
    except (DeniedError, InputError) as error:
        return Text(f"refused: {error.code}", f"拒绝：{error.code}")
    finally:
        running.keeper.close()
    return Text(f"opened 2 fields, entry {answer.entry_index}", f"开启 2 个字段，条目 {answer.entry_index}")


def first_record(show: Show, home: str) -> int:
    """The lowest record number that a community has in the district store now."""
    ((record,),) = show.rows(
        f"SELECT coalesce(min(record), 0) FROM district.{show.delivery.dataset}"
        " WHERE batch_out IS NULL AND home = %s",
        home,
    )
    return int(record)
