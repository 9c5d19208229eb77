"""Where a batch comes from: the community's key, its own domain, its next number. Otherwise it is held.

Held means: nothing of the batch is kept but its digest in the log, and a finding is open until somebody has looked.
A gap closes by itself when the missing batch comes and the later one is sent again; a replay or a foreign origin is
for security staff (``settle``).
"""

from __future__ import annotations

from dataclasses import dataclass

import psycopg

from huanshu.auditlog import require_signature
from huanshu.catalog import Home, due
from huanshu.errors import InputError, Text
from huanshu.exchange.corrections.message import Message
from huanshu.exchange.ground import Ground

#: Which obligation dates a finding about a held batch, and one about an answer (audit/obligations.yaml).
HELD_DUE = "finding_due"
ANSWER_DUE = "correction_reply"

REPLAYED = "correction.sequence.replayed"
GAP = "correction.sequence.gap"
FOREIGN = "correction.origin.foreign"
ALTERED = "correction.workbook.altered"


@dataclass(frozen=True, slots=True)
class Origin:
    """The judge of origins. A drill's control arm puts one here that believes everything."""

    ground: Ground

    def require(self, district: psycopg.Connection, message: Message, domain: str) -> None:
        """Author and turn. Raises InputError with one of the codes above (the caller holds the batch), or
        ``…unenrolled``."""
        self.require_author(message, domain)
        last = last_sequence(district, message.dataset, domain, "signed")
        if message.sequence <= last:
            raise told(REPLAYED, f"the next one is {last + 1}", f"下一批应为第 {last + 1} 号")
        if message.sequence > last + 1:
            raise told(GAP, f"{last + 1} is missing", f"缺少第 {last + 1} 号")

    def require_author(self, message: Message, domain: str) -> None:
        """Signed by the domain's own key: all that is asked of a batch that has been let in before."""
        if message.sender != domain:
            raise told(FOREIGN)
        key = self.ground.keeper.sender_key(message.sender)
        if key is None:
            raise InputError(
                "exchange.sender.unenrolled",
                Text(f"no key is enrolled for {message.sender}", f"未登记 {message.sender} 的公钥"),
                remedy=Text(
                    "security staff run: huanshu sender enrol", "请安全人员运行：huanshu sender enrol"
                ),
            )
        try:
            require_signature(bytes.fromhex(key), message.signature, message.signed)
        except InputError:
            raise told(FOREIGN) from None


def last_sequence(district: psycopg.Connection, dataset: str, sender: str, channel: str) -> int:
    """The highest number taken in from a community on one channel; 0 before the first."""
    row = district.execute(
        "SELECT coalesce(max(sequence), 0) FROM district.correction_batch"
        " WHERE dataset = %s AND sender = %s AND channel = %s",
        (dataset, sender, channel),
    ).fetchone()
    return int(row[0]) if row else 0


def told(code: str, en: str = "", zh: str = "") -> InputError:
    """The error of a held batch."""
    what = {
        REPLAYED: Text("this number was taken in before, with another content", "该序号已接收过且内容不同"),
        GAP: Text("a batch before this one has not come", "之前有批次尚未报送"),
        FOREIGN: Text("the batch is not from this community", "批次并非来自本社区"),
        ALTERED: Text("the hidden part of the workbook was changed", "工作簿的隐藏内容被改动"),
    }[code]
    remedy = {
        REPLAYED: Text("sign what is new under the next number", "请以下一序号签名后报送新内容"),
        GAP: Text("send the missing batch, then this one again", "请先补报缺失批次，再重报本批"),
        FOREIGN: Text("send it from the community that signed it", "请由签名的社区报送"),
        ALTERED: Text("make a new workbook and fill that in", "请重新生成工作簿后填写"),
    }[code]
    detail = Text(f"{what.en}: {en}" if en else what.en, f"{what.zh}：{zh}" if zh else what.zh)
    return InputError(code, detail, remedy=remedy)


@dataclass(frozen=True, slots=True)
class Held:
    """A batch that is not let in, as the log tells it."""

    batch: str
    channel: str
    sequence: int
    post: str
    domain: str
    dataset: str

    @property
    def finding(self) -> str:
        return f"correction/held/{self.batch[:16]}"

    @property
    def named(self) -> dict[str, str]:
        return {"post": self.post, "domain": self.domain, "dataset": self.dataset}


def hold(ground: Ground, held: Held, error: InputError) -> None:
    """Say in the log that the batch was held, and open a finding about it."""
    ground.keeper.append(
        {
            "event": "correction.batch.held",
            "once": f"correction.batch.held/{held.domain}/{held.batch}/{error.code}",
            **held.named,
            "detail": {
                "batch": held.batch,
                "channel": held.channel,
                "sequence": held.sequence,
                "reason": error.code,
            },
        }
    )
    if any(known["finding"] == held.finding for known in ground.keeper.findings()):
        return
    now = ground.clock()
    until = due(now, ground.home.obligations[HELD_DUE], ground.home.calendar)
    ground.keeper.append(
        {
            "event": "finding.case.opened",
            **held.named,
            "detail": {
                "finding": held.finding,
                "kind": error.code,
                "due": until.isoformat(),
                "owner_post": held.post if error.code == GAP else _security(ground.home) or held.post,
                "about": held.domain,
            },
        }
    )


def close_gap(ground: Ground, held: Held) -> None:
    """The batch that had been held for a gap has been let in."""
    for known in ground.keeper.findings():
        if known["finding"] == held.finding and known["kind"] == GAP:
            settle(ground, held.finding, held.named, "filled")


def settle(ground: Ground, finding: str, named: dict[str, str], disposition: str) -> None:
    """Close a finding about corrections, in person; who may is the keeper's decision."""
    detail = {"finding": finding, "disposition": disposition}
    ground.keeper.append({"event": "finding.case.settled", **named, "detail": detail})


def _security(home: Home) -> str | None:
    return next((h.post for h in home.policies.holdings if h.role == "security_officer"), None)
