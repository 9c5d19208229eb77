"""Who is asking: from the operating system's word about the other end of the socket, never from the message.

    peer uid → OS account → person (``policies/persons.csv``) or system (``policies/systems.csv``)

by the files in force, not by those that somebody has written since: while the two differ, the keeper asks by what it
kept of the bundle in force, and knows nobody where that is gone (``unkept``).

A *system* (a scheduler's account) names no person by itself; it may only run flows, in the name of
whoever approved the flow's digest (see ``admission``). In a sandbox, the keeper's own OS user may act as a
fictional person and says so in every entry; outside a sandbox asking to act is refused. No I/O here.

A run that somebody started by hand in Airflow is that person's: the scheduler's account hands on the user whom Airflow
authenticated (``triggered``). That gives less than the schedule has, never more: the flow's approval is asked for as
well, and who started it must hold the flow's post.
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
    by: Literal["os", "sandbox", "airflow"]
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


def triggered(scheduler: Asker, account: str, policies: Policies) -> Asker:
    """The person behind an Airflow user, as a scheduler's account names it. The caller has seen that it is one."""
    for person in policies.persons.values():
        if account and person.airflow_account == account:
            return Asker(person.person, None, "airflow", account)
    raise DeniedError(
        "identity.airflow.unknown",
        Text(
            f"the Airflow user who started this run is nobody's account ({scheduler.account} asks)",
            f"启动本次运行的 Airflow 用户未对应任何责任人（由 {scheduler.account} 提出）",
        ),
        remedy=Text(
            "start it as a holder of the flow's post, whose airflow_account is in policies/persons.csv",
            "请由流向责任岗位的任职者启动，其 airflow_account 须登记在 policies/persons.csv",
        ),
    )


def _unestablished() -> DeniedError:
    return DeniedError(
        "identity.person.unestablished",
        Text("no natural person is established for this account", "无法确定该账号对应的责任人"),
        remedy=Text(
            "security staff enter the account in policies/persons.csv and adopt the bundle",
            "请安全人员在 policies/persons.csv 中登记该账号并重新生效策略",
        ),
    )


def unkept() -> DeniedError:
    """Other files are read than those in force, and what is in force cannot be read: nobody is known then."""
    return DeniedError(
        "policy.bundle.unkept",
        Text("the bundle in force was not kept, or was changed", "生效中的策略包未留存或已被改动"),
        remedy=Text(
            "put its files back, start the keeper once, then change them again",
            "请先恢复其文件并启动一次钥匙保管，再行修改",
        ),
    )
