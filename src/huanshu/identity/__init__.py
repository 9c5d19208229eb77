"""Acts by which persons put things in force: each is an entry of the log, made for the person established.

The first person of a log, adoption of a policy bundle, enrolment of a sender's key, approval of a flow's exact
digest. Who the person is, and whether the post is held, is the keeper's decision alone.
"""

from __future__ import annotations

from datetime import date, datetime, time
from zoneinfo import ZoneInfo

from huanshu.catalog import Home
from huanshu.errors import ContentError, InputError, Text, Where
from huanshu.keeper.client import Keeper
from huanshu.keeper.tickets import Ticket


def create_origin(keeper: Keeper, *, sandbox: bool) -> Ticket:
    """Entry 0: the log begins, in a sandbox or not, for ever."""
    return keeper.append({"event": "log.origin.created", "detail": {"sandbox": sandbox}})


def adopt_policies(keeper: Keeper, home: Home, plan: str = "") -> Ticket:
    """Put the bundle as it is read now in force: a security officer; of what may widen, another than its author, who
    names the hash of the plan that the author has named. What only takes away needs no plan."""
    detail = {"digest": home.policies.digest, **({"plan": plan} if plan else {})}
    return keeper.append({"event": "policy.bundle.adopted", "detail": detail})


def propose_policies(keeper: Keeper, home: Home, plan: str) -> Ticket:
    """Ask, as their author, that the policies read now replace those in force; somebody else adopts them. ``plan``: the
    hash of what the change gives to whom (``access.change``)."""
    detail = {"before": keeper.status()["adopted"], "digest": home.policies.digest, "plan": plan}
    return keeper.append({"event": "policy.bundle.proposed", "detail": detail})


def enrol_sender(keeper: Keeper, sender: str, public_key: str) -> Ticket:
    """Accept manifests of a sender (domain code) signed by this Ed25519 key (64 hex digits)."""
    try:
        good = len(bytes.fromhex(public_key)) == 32
    except ValueError:
        good = False
    if not good:
        raise InputError(
            "identity.key.malformed",
            Text("a public key is 64 hex digits", "公钥应为 64 位十六进制"),
            remedy=Text("ask the sender for its Ed25519 public key", "请向报送方索取 Ed25519 公钥"),
        )
    return keeper.append(
        {"event": "key.sender.enrolled", "detail": {"sender": sender, "public_key": public_key.lower()}}
    )


def approve_flow(keeper: Keeper, home: Home, name: str, until: date) -> Ticket:
    """Approve a flow's digest of now, to the end of a local day; needs a holder of its accountable post."""
    flow = home.flows.get(name)
    if flow is None:
        raise ContentError(
            "exchange.flow.unknown",
            Text(f"no declared flow is named {name}", f"没有名为 {name} 的流向"),
            remedy=Text(
                f"declared are: {', '.join(sorted(home.flows))}", f"已声明：{'、'.join(sorted(home.flows))}"
            ),
            where=Where("dags/flows"),
        )
    ends = datetime.combine(until, time(23, 59, 59), ZoneInfo(home.timezone))
    return keeper.append(
        {
            "event": "approval.flow.granted",
            "flow": {"id": flow.flow},
            "detail": {"digest": flow.digest, "until": ends.isoformat()},
        }
    )


def second_flow(keeper: Keeper, home: Home, name: str) -> Ticket:
    """Agree, as another person, to the approval of a flow whose deliveries are large."""
    digest = home.flows[name].digest if name in home.flows else ""
    return keeper.append(
        {"event": "approval.flow.seconded", "flow": {"id": name}, "detail": {"digest": digest}}
    )


def revoke_flow(keeper: Keeper, name: str) -> Ticket:
    """Take the approval back; a running delivery stops within one chunk."""
    return keeper.append({"event": "approval.flow.revoked", "flow": {"id": name}, "detail": {}})
