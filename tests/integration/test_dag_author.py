"""A DAG author without database or key rights cannot open a value by importing the library."""

from __future__ import annotations

import json
import os
import pwd
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from huanshu.assembly import connect
from huanshu.drill.range import Range
from huanshu.errors import DeniedError, HuanshuError
from huanshu.keeper.client import Keeper
from huanshu.keeper.establish import Peer, establish

ROOT = Path(__file__).parents[2]


def probe(state: Path, urls: list[str]) -> dict[str, str]:
    """What somebody gets who imports the library and knows every name and URL."""
    told = {}
    for person in (None, "p.tang", "p.lin"):
        try:
            Keeper(state / "keeper" / "keeper.sock", person).status()
            told[f"keeper as {person}"] = "open"
        except HuanshuError as error:
            told[f"keeper as {person}"] = error.code
    for name in (
        "deployment.json",
        "keeper/root.key",
        "keeper/log.key",
        "servers/district/superuser.password",
    ):
        try:
            (state / name).read_bytes()
            told[name] = "read"
        except OSError as error:
            told[name] = type(error).__name__
    for url in urls:
        try:
            psycopg.connect(url).close()
            told["database"] = "open"
        except psycopg.OperationalError:
            told.setdefault("database", "refused")
    return told


@pytest.fixture(scope="module")
def place() -> Iterator[Range]:
    with Range(ROOT) as made:
        yield made


def as_user(place: Range, user: str | None) -> dict[str, str]:
    """The probe in a forked process of another OS user: the library is loaded already, as a DAG's would be."""
    urls = [place.deployment.roles["huanshu_app"], place.deployment.roles["huanshu_keeper"]]
    # The range lies in a private folder; a real state folder may be walked down to its socket.
    above = place.settings.state.parent
    above.chmod(0o711)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            if user is not None:
                entry = pwd.getpwnam(user)
                os.setgroups([])
                os.setgid(entry.pw_gid)
                os.setuid(entry.pw_uid)
            os.write(writing, json.dumps(probe(place.settings.state, urls)).encode())
            code = 0
        finally:
            os._exit(code)
    os.close(writing)
    with os.fdopen(reading, "rb") as told:
        answer = told.read()
    assert os.waitpid(child, 0)[1] == 0
    return dict(json.loads(answer))


def test_another_os_user_gets_nothing(place: Range) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can start a process as another OS user")
    told = as_user(place, "nobody")
    assert told.pop("keeper as None") == "identity.person.unestablished"
    assert {told.pop("keeper as p.tang"), told.pop("keeper as p.lin")} == {"identity.person.stated"}
    assert told.pop("database") == "refused"
    assert set(told.values()) == {"PermissionError"}


def test_the_owner_does_get_through(place: Range) -> None:
    """The twin: the same script, run by the owner, finds open doors — so the refusals above mean something."""
    told = as_user(place, None)
    assert told["keeper as None"] == "open"
    assert told["database"] == "open"
    assert told["keeper/root.key"] == "read"


def test_a_system_account_cannot_read_records_or_approve(place: Range) -> None:
    """The scheduler's own account names no person: it may run approved flows and nothing else."""
    keeper = connect(place.settings).keeper
    for claim in (
        {"event": "access.record.authorised", "post": "yulan.data_clerk", "domain": "990101001001", "dataset": "resident",
         "purpose": "grassroots_service", "fields": {"name": "reveal"}, "detail": {"record": 1, "values": 1}},
        {"event": "policy.bundle.adopted", "detail": {"digest": place.acting().home.policies.digest}},
        {"event": "key.sender.enrolled", "detail": {"sender": "dept.public_security", "public_key": "00" * 32}},
    ):  # fmt: skip
        with pytest.raises(DeniedError, match=r"identity\."):
            keeper.append(claim)


def test_outside_a_sandbox_nobody_is_stated(place: Range) -> None:
    policies = place.acting().home.policies
    with pytest.raises(DeniedError, match=r"identity\.person\.stated"):
        establish(Peer(0, "root"), "p.tang", policies, sandbox=False, keeper_uid=0)
    with pytest.raises(DeniedError, match=r"identity\.person\.unestablished"):
        establish(Peer(0, "root"), None, policies, sandbox=False, keeper_uid=0)
    account = next(p.os_account for p in policies.persons.values() if p.os_account)
    assert establish(Peer(4242, account), None, policies, sandbox=False, keeper_uid=0).person


def test_events_that_are_not_for_clients_are_refused(place: Range) -> None:
    with pytest.raises(DeniedError, match=r"keeper\.event\.not_admitted"):
        connect(place.settings, "p.chen").keeper.append({"event": "access.request.denied", "detail": {}})
