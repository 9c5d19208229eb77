"""Who is asking: the table of peer × --as × sandbox."""

from __future__ import annotations

from pathlib import Path

import pytest

from huanshu.catalog import read_home
from huanshu.catalog.nouns import Policies
from huanshu.errors import DeniedError
from huanshu.keeper.establish import Asker, Peer, establish

KEEPER = 4321
OWNER = Peer(KEEPER, "owner")
LIN = Peer(1001, "qh_lin")
SCHEDULER = Peer(1002, "qh_airflow")
STRANGER = Peer(1003, "stranger")


@pytest.fixture(scope="module")
def policies(root: Path) -> Policies:
    return read_home(root).policies


GIVEN = [
    (LIN, None, False, Asker("p.lin", None, "os", "qh_lin")),
    (LIN, None, True, Asker("p.lin", None, "os", "qh_lin")),
    (SCHEDULER, None, False, Asker(None, "district.scheduler", "os", "qh_airflow")),
    (OWNER, None, True, Asker(None, "sandbox", "sandbox", "owner")),
    (OWNER, "p.chen", True, Asker("p.chen", None, "sandbox", "owner")),
    (Peer(KEEPER, "qh_lin"), "p.chen", True, Asker("p.chen", None, "sandbox", "qh_lin")),
]
REFUSED = [
    (STRANGER, None, False, "unestablished"),
    (STRANGER, None, True, "unestablished"),
    (OWNER, None, False, "unestablished"),
    (Peer(1004, ""), None, False, "unestablished"),  # persons and systems without an account are nobody's
    (OWNER, "p.chen", False, "stated"),
    (LIN, "p.lin", False, "stated"),
    (LIN, "p.chen", True, "stated"),
    (SCHEDULER, "p.lin", True, "stated"),
    (Peer(0, "root"), "p.chen", True, "stated"),
    (OWNER, "p.nobody", True, "unestablished"),
    (OWNER, "", True, "unestablished"),
    (OWNER, "qh_lin", True, "unestablished"),
]


@pytest.mark.parametrize(("peer", "acting_as", "sandbox", "asker"), GIVEN)
def test_established(
    policies: Policies, peer: Peer, acting_as: str | None, sandbox: bool, asker: Asker
) -> None:
    assert establish(peer, acting_as, policies, sandbox=sandbox, keeper_uid=KEEPER) == asker


@pytest.mark.parametrize(("peer", "acting_as", "sandbox", "code"), REFUSED)
def test_refused(policies: Policies, peer: Peer, acting_as: str | None, sandbox: bool, code: str) -> None:
    with pytest.raises(DeniedError, match=rf"identity\.person\.{code}"):
        establish(peer, acting_as, policies, sandbox=sandbox, keeper_uid=KEEPER)


def test_every_person_is_established_by_the_account_of_the_file(policies: Policies) -> None:
    assert len(policies.persons) >= 10
    for person in policies.persons.values():
        asker = establish(Peer(9, person.os_account), None, policies, sandbox=False, keeper_uid=KEEPER)
        assert (asker.person, asker.by) == (person.person, "os")
