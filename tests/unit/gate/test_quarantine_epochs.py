"""A row of an earlier key epoch is opened for its repair, whatever epochs have no key of their own."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any

import pytest

from huanshu.errors import TamperedError, UnavailableError
from huanshu.gate.quarantine import opened_for_repair
from huanshu.keeper.tickets import Ticket
from huanshu.keeper.vault import Vault, create_root, load_root
from huanshu.sealing import KeyName
from huanshu.sealing.blobs import seal_blob
from huanshu.sealing.keys import quarantine_key
from huanshu.store import connect

PLACE = "batch/7"


class Lending:
    """The vault behind a keeper that lends whatever is asked for."""

    def __init__(self, vault: Vault) -> None:
        self.vault = vault

    def lend(
        self, ticket: Ticket, chunk: int, names: Sequence[KeyName], existing: Collection[KeyName] = ()
    ) -> dict[KeyName, bytes]:
        return self.vault.keys(names, existing)


@pytest.fixture
def vault(ground: Any) -> Iterator[Vault]:
    create_root(ground.folder / "root.key")
    made = Vault(load_root(ground.folder / "root.key"), connect(ground.keeper_url))
    yield made
    made.close()


def sealed(vault: Vault, epoch: int) -> bytes:
    name = quarantine_key("resident", epoch)
    return seal_blob(vault.key(name), name, PLACE, b'{"name": null}')


def test_an_epoch_without_a_bad_row_is_passed_over(vault: Vault) -> None:
    row = sealed(vault, 1)
    vault.key(quarantine_key("resident", 3))  # the order's own
    keeper: Any = Lending(vault)
    assert opened_for_repair(keeper, Ticket(0, ""), "resident", 3, (PLACE, row)) == [{"name": None}]


def test_what_no_key_opens_is_refused_and_a_vault_that_is_away_is_said_to_be(vault: Vault) -> None:
    row = sealed(vault, 1)
    keeper: Any = Lending(vault)
    with pytest.raises(TamperedError):
        opened_for_repair(keeper, Ticket(0, ""), "resident", 3, ("batch/8", row))
    vault.close()
    with pytest.raises(UnavailableError, match=r"keeper\.vault\.away"):
        opened_for_repair(keeper, Ticket(0, ""), "resident", 3, (PLACE, row))
