"""A DAG author without database or key rights cannot open a value by importing the library."""

from __future__ import annotations

import json
import os
import pwd
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from huanshu.assembly import connect
from huanshu.drill.range import Range
from huanshu.errors import DeniedError
from huanshu.keeper.establish import Peer, establish

ROOT = Path(__file__).parents[2]
SCRIPT = """
import json, os, sys
from pathlib import Path
sys.path[:0] = json.loads(sys.argv[3])
told = {}
from huanshu.keeper.client import Keeper
from huanshu.errors import HuanshuError
state = Path(sys.argv[1])
for person in (None, "p.tang", "p.lin"):
    try:
        Keeper(state / "keeper" / "keeper.sock", person).status()
        told[f"keeper as {person}"] = "open"
    except HuanshuError as error:
        told[f"keeper as {person}"] = error.code
for name in ("deployment.json", "keeper/root.key", "keeper/log.key", "servers/district/superuser.password"):
    try:
        (state / name).read_bytes()
        told[name] = "read"
    except OSError as error:
        told[name] = type(error).__name__
import psycopg
for url in json.loads(sys.argv[2]):
    try:
        psycopg.connect(url).close()
        told["database"] = "open"
    except psycopg.OperationalError:
        told.setdefault("database", "refused")
print(json.dumps(told))
"""


@pytest.fixture(scope="module")
def place() -> Iterator[Range]:
    with Range(ROOT) as made:
        yield made


def as_user(place: Range, user: str | None) -> dict[str, str]:
    urls = [place.deployment.roles["huanshu_app"], place.deployment.roles["huanshu_keeper"]]
    path = [str(ROOT / "src"), *(entry for entry in sys.path if "site-packages" in entry)]
    ended = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(place.settings.state), json.dumps(urls), json.dumps(path)],
        user=user, group=None if user is None else pwd.getpwnam(user).pw_gid, extra_groups=None if user is None else [],
        cwd="/", env={"PATH": os.environ["PATH"]}, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr[-1500:]
    return dict(json.loads(ended.stdout))


def test_another_os_user_gets_nothing(place: Range) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can start a process as another OS user")
    try:
        told = as_user(place, "nobody")
    except (AssertionError, PermissionError) as error:
        pytest.skip(f"this machine's Python cannot be run by another user: {str(error)[-200:]}")
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
