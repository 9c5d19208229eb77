"""What both kinds of rotation share: the line in ``district.rotation``, the entry, the telling.

A line says which rotation of a dataset is under way, so that a run finds its way back to the ticket of one before it.
It decides nothing: the log does.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Any, Final

import psycopg

from huanshu.catalog import Contract
from huanshu.errors import DeniedError
from huanshu.exchange.ground import Ground
from huanshu.exchange.renewal import Renewal
from huanshu.keeper.custody import ROTATION
from huanshu.keeper.tickets import Ticket
from huanshu.store.queries import load

QUERIES: Final = load(__package__, "rotation.sql")
#: Refusals that a new entry answers: the rules have changed or time has passed since the old one.
OUTDATED: Final = frozenset({"keeper.ticket.policy_changed", "keeper.ticket.expired"})


@dataclass(frozen=True, slots=True)
class Rotated:
    """What one run did for one dataset. ``what``: cells or links."""

    dataset: str
    what: str
    rotation: str
    rows: int
    entry: int


class Rotation:
    """What both kinds share: the line, the entry, the telling."""

    #: cells or links.
    what: str
    #: Of the rows, under the name that ``begin`` gave.
    renewal: Renewal

    def __init__(self, ground: Ground, district: psycopg.Connection, contract: Contract) -> None:
        self.ground, self.district, self.contract = ground, district, contract
        self.keys = ground.home.policies.keys
        self.name = ""
        self.loan = 0

    def begin(self, name: str | None = None) -> Ticket:
        """(a) and (b): the line of this name, or a new one; then its entry."""
        self.name = name or new_name()
        bound = self.ground.bound(self.district, self.ground.keeper, self.contract.dataset, self.name)
        self.renewal = Renewal(self.contract, self.name, self.keys.profile, bound)
        given = {
            "rotation": self.name,
            "dataset": self.contract.dataset,
            "what": self.what,
            "epoch": self.keys.epoch,
            "generation": self.keys.link_generation,
        }
        self.district.execute(QUERIES["begin"], given)
        self.ground.pause("rotation:line")
        try:
            ticket = self.announce(self.name)
        except DeniedError:
            self.district.execute(QUERIES["refused"], given)
            raise
        self.ground.pause("rotation:authorised")
        return ticket

    def announce(self, name: str) -> Ticket:
        """(b) alone; once for each name."""
        claim = {
            "event": ROTATION,
            "once": f"{ROTATION}/{name}",
            "dataset": self.contract.dataset,
            "detail": {"rotation": name, "what": self.what},
        }
        return self.ground.keeper.append(claim)

    def left(self) -> tuple[str, int, int] | None:
        """The line that a killed run left: its name, epoch and generation."""
        given = {"dataset": self.contract.dataset, "what": self.what}
        return self.district.execute(QUERIES["line"], given).fetchone()

    def take_up(self, name: str) -> Ticket | None:
        """The open ticket of a line that a killed run left; None where all was told, and only the line not closed."""
        ticket = self.begin(name)  # once: an entry that is there is found
        if self.ground.keeper.open_ticket(ROTATION, name) is not None:
            return ticket
        self.district.execute(QUERIES["told"], {"rotation": name})
        return None

    def tell(self, ticket: Ticket, stopped: str | None = None, *, whole: bool = True) -> int:
        """(d): the entry that binds what was written. ``whole``: see ``Renewal.told``."""
        event = "keys.rotation.completed" if stopped is None else "keys.rotation.stopped"
        told: dict[str, Any] = {"written": self.renewal.told(self.district, whole=whole)}
        if stopped is not None:
            told["reason"] = stopped
        entry = self.ground.keeper.append(
            {
                "event": event,
                "once": f"{event}/{self.name}",
                "ticket": {"index": ticket.index, "leaf_hash": ticket.leaf_hash},
                "detail": told,
            }
        )
        self.ground.pause("rotation:told")
        self.district.execute(QUERIES["told"], {"rotation": self.name})
        return entry.index

    def next_loan(self) -> int:
        self.loan += 1
        return self.loan


def new_name() -> str:
    """A rotation's name."""
    return f"rotation/{secrets.token_hex(8)}"


def flows_of(ground: Ground, contract: Contract) -> list[str]:
    """Deliveries of a dataset."""
    return [
        f.flow for f in ground.home.flows.values() if f.kind == "delivery" and f.dataset == contract.dataset
    ]
