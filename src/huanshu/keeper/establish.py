"""Who is asking: from the operating system's word about the other end of the socket, never from the message.

    peer uid → OS account → person (``policies/persons.csv``) or system (``policies/systems.csv``)

A *system* (a scheduler's account) names no person by itself; it may only run flows, in the name of
whoever approved the flow's digest (see ``admission``). In a sandbox, the keeper's own OS user may act as a
fictional person and says so in every entry; outside a sandbox asking to act is refused. No I/O here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from huanshu.catalog.nouns import Policies
from huanshu.errors import DeniedError, Text


@dataclass(frozen=True, slots=True)
class Peer:
    """The other end of a connection, as the kernel names it."""

    uid: int
    account: str


@dataclass(frozen=True, slots=True)
class Asker:
    """An established asker: a person, or a system that may run approved flows."""

    person: str | None
    system: str | None
    by: Literal["os", "sandbox"]
    account: str


def establish(
    peer: Peer, acting_as: str | None, policies: Policies, *, sandbox: bool, keeper_uid: int
) -> Asker:
    """The asker behind ``peer``. Raises DeniedError when no person or system can be established."""
    if acting_as is not None:
        if not sandbox or peer.uid != keeper_uid:
            raise DeniedError(
                "identity.person.stated",
                Text("a person is established, never stated", "责任人须经认证确定，不能自称"),
                remedy=Text(
                    "use your own operating-system account; --as works only for the owner of a sandbox",
                    "请使用本人操作系统账号；--as 仅供演练环境的所有者使用",
                ),
            )
        if acting_as not in policies.persons:
            raise _unestablished()
        return Asker(acting_as, None, "sandbox", peer.account)
    for person in policies.persons.values():
        if person.os_account and person.os_account == peer.account:
            return Asker(person.person, None, "os", peer.account)
    for system in policies.systems.values():
        if system.os_account and system.os_account == peer.account:
            return Asker(None, system.system, "os", peer.account)
    if sandbox and peer.uid == keeper_uid:
        return Asker(None, "sandbox", "sandbox", peer.account)
    raise _unestablished()


def _unestablished() -> DeniedError:
    return DeniedError(
        "identity.person.unestablished",
        Text("no natural person is established for this account", "无法确定该账号对应的责任人"),
        remedy=Text(
            "security staff enter the account in policies/persons.csv and adopt the bundle",
            "请安全人员在 policies/persons.csv 中登记该账号并重新生效策略",
        ),
    )
