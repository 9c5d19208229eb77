"""The objects a control arm wires in: each lacks exactly one defence. Nothing outside a range may use them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

import psycopg
from numpy.typing import NDArray
from psycopg.sql import Composable
from pyroaring import BitMap

from huanshu.access import Decision, Enforcer, Plan, PlanRequest, Request
from huanshu.auditlog import Entry
from huanshu.auditlog.rotations import Rotations
from huanshu.catalog import Home, Limits, Rung
from huanshu.errors import Text
from huanshu.exchange.bound import Bound
from huanshu.exchange.corrections import Origin
from huanshu.exchange.corrections.message import Message
from huanshu.exchange.receiving import Numbers, Receiving, digested
from huanshu.keeper.budgets import SOUGHT, Budgets
from huanshu.keeper.counting import Asked, Reader, Told
from huanshu.keeper.erased import ErasedSubjects
from huanshu.keeper.freshness import Freshness
from huanshu.keeper.recalled import RecalledRecords
from huanshu.keeper.reopening import Signature, TwoPersons
from huanshu.keeper.second_person import SecondPerson
from huanshu.keeper.vouched import Rows
from huanshu.sealing.ccm import ccm_encrypt
from huanshu.sealing.cells import bound_row
from huanshu.sealing.keys import KeyName, new_key
from huanshu.sealing.suites import aead
from huanshu.store.blocks import Block, write_blocks

_YES = Text("nobody asked the rules", "未经规则判定")


class AllowsEverything(Enforcer):
    """A decider without rules."""

    def decide(self, request: Request) -> Decision:
        return Decision(
            allowed=True,
            rule=None,
            granted=Rung.REVEAL,
            explanation=_YES,
            nearest=None,
            valid_until=request.at + timedelta(days=1),
            remedy=None,
        )

    def plan(self, request: PlanRequest) -> Plan:
        return Plan(
            policy_digest=self.policy_digest,
            asked=dict(request.fields),
            decisions={},
            allowed=True,
            valid_until=request.at + timedelta(days=1),
            explanation=_YES,
            remedy=None,
        )


class AlwaysFresh(Freshness):
    """Evidence that never grows old."""

    def require(self, checkpoint: timedelta, witness: timedelta | None) -> None:
        """Whatever the ages are."""


class StraightIntoTheSlice(Receiving):
    """A receiving side without staging: every chunk shows at once, whether the rest ever comes or not."""

    def stage(
        self,
        delivery: str,  # noqa: ARG002
        chunk: int,  # noqa: ARG002
        blocks: Iterable[Block],
        count: int,  # noqa: ARG002
        withdrawn: Numbers,  # noqa: ARG002
    ) -> None:
        with self._connection.transaction():
            self._make_staging()
            self._run("CREATE TABLE IF NOT EXISTS {slice} ({columns}, PRIMARY KEY (record)) {rows}")
            write_blocks(self._connection, self._tables.slice, self._columns, digested(blocks, []))


class BelievesEverySender(Origin):
    """A judge of origins that asks neither whose a batch is nor whether it is its turn."""

    def require(self, district: psycopg.Connection, message: Message, domain: str) -> None:
        """Believes it."""


def leaves_formulas(text: str) -> str:
    """A workbook's text as it is."""
    return text


def takes_no_lock(connection: psycopg.Connection) -> bool:  # noqa: ARG001
    """A second writer that asks nobody whether there is a first."""
    return True


class CountsNothing(Budgets):
    """Budgets that nobody ever spends."""

    def require_within(
        self,
        body: Mapping[str, Any],  # noqa: ARG002
        bitmap: BitMap | None,  # noqa: ARG002
        limits: Limits,  # noqa: ARG002
        at: datetime,  # noqa: ARG002
    ) -> int | None:
        """Everything is within."""
        return None


class BelievesWhoSeeks(Budgets):
    """Budgets that take a look-up for a miss only when its asker says so."""

    def apply(self, entry: Entry, bitmap: BitMap | None = None) -> None:
        """What was sought is nothing yet."""
        if entry.event != SOUGHT:
            super().apply(entry, bitmap)


class TellsEveryNumber(Reader):
    """A judge of counts that withholds none."""

    def ask(self, least: int, asked: Sequence[Asked]) -> tuple[list[int | None], list[Told]]:  # noqa: ARG002
        """Whatever it is."""
        return [len(each.members) for each in asked], []


class CountsAnyRow(Rows):
    """A reader of rows that asks nobody whether they are the log's."""

    def require_same(self, listed: NDArray[Any], there: NDArray[Any]) -> None:
        """Whatever is there."""


class OnePersonIsEnough(SecondPerson):
    """Nobody asks whether the second person is another."""

    def require_other(self, first: str, second: str) -> None:
        """One will do."""


class ForgetsRecalls(RecalledRecords):
    """A keeper's memory without recalls: what was taken back is opened as before."""

    def require_readable(self, body: Mapping[str, Any], home: Home) -> None:
        """Everything is readable."""


class ForgetsErasures(ErasedSubjects):
    """A keeper's memory without erasures: who was erased is opened as before, when a store has him again."""

    def require_none(self, body: Mapping[str, Any], bitmap: bytes | None) -> None:
        """Nobody was erased."""


def anybody_confirms(proposer: str, person: str) -> None:
    """Also who proposed it."""


def whenever_asked(rotations: Rotations, dataset: str, kind: str, wanted: int) -> bool:  # noqa: ARG001
    """A rotation has something to do whenever somebody says so."""
    return True


class BelievesTheStore(Bound):
    """A reader of lists that takes the newest one that lies there, whoever wrote it."""

    def refresh(self) -> None:
        """There is nothing to compare with."""

    def current(self, batch: str, home: str) -> bytes | None:
        row = self._district.execute(
            "SELECT rows FROM district.written WHERE (batch, home) = (%s, %s) OR home = %s"
            " ORDER BY sequence DESC LIMIT 1",
            (batch, home, f"{batch}/{home}"),
        ).fetchone()
        return None if row is None else bytes(row[0])


class CommitsEveryStatement(psycopg.Connection):
    """A connection on which a transaction is only a word: what a crash leaves is half of what belongs together."""

    @contextmanager
    def transaction(self, *_: Any, **__: Any) -> Iterator[Any]:
        yield None

    def execute(self, query: Any, *given: Any, **named: Any) -> Any:
        """A lock is nothing without a transaction."""
        text = query.as_string() if isinstance(query, Composable) else str(query)
        return super().execute("SELECT 1" if text.startswith("LOCK TABLE") else query, *given, **named)


class OneIsEnough(TwoPersons):
    """A rule by which one person gives up what was acknowledged."""

    def complete(self, home: Home, first: Signature | None, second: Signature) -> bool:  # noqa: ARG002
        return True


class OneKeyForAll:
    """Gives birth to one data key, whatever it is asked for."""

    def __init__(self) -> None:
        self._key = new_key(KeyName("data/d/s/f/1"))

    def __call__(self, name: KeyName) -> bytes:  # noqa: ARG002
        return self._key


def seal_without_place(key: bytes, value: str) -> bytes:
    """The same cipher and key; bound to no domain, dataset, field, record or version."""
    return aead(key).encrypt(value.encode(), [])


def open_without_place(key: bytes, cell: bytes) -> str:
    """Inverse, wherever the cell lies now."""
    return aead(key).decrypt(cell, []).decode()


def seal_with_counted_nonce(key: bytes, record: int, version: int, value: bytes) -> bytes:
    """SM4-CCM with the row's numbers as its nonce: unique until a snapshot is put back."""
    nonce = bound_row(record, version)
    return nonce + ccm_encrypt(key[-16:], nonce, value, b"")


def open_as_it_says(key: bytes, cell: bytes) -> bytes:
    """A reader of cells that say their algorithm in the first byte; 0 is none."""
    return cell[1:] if cell[0] == 0 else aead(key).decrypt(cell[1:], [])
