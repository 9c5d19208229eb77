"""The objects a control arm wires in: each lacks exactly one defence. Nothing outside a range may use them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta

from psycopg import sql

from huanshu.access import Decision, Enforcer, Plan, PlanRequest, Request
from huanshu.catalog import Rung
from huanshu.errors import Text
from huanshu.exchange.digests import row_digest
from huanshu.exchange.receiving import Cell, Receiving

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


class StraightIntoTheSlice(Receiving):
    """A receiving side without staging: every chunk shows at once, whether the rest ever comes or not."""

    def stage(
        self,
        delivery: str,
        chunk: int,  # noqa: ARG002 - the careful one keeps it apart
        records: Sequence[int],
        versions: Sequence[int],
        epoch: int,
        cells: Mapping[str, Sequence[Cell]],
        withdrawn: Sequence[tuple[int, int]],  # noqa: ARG002
    ) -> None:
        columns = [cells[name] for name in self._fields]
        names = ["record", "version", "epoch", *self._fields, "delivery", "digest"]
        statement = sql.SQL("INSERT INTO {} ({}) VALUES ({})").format(
            self._slice,
            sql.SQL(", ").join(map(sql.Identifier, names)),
            sql.SQL(", ").join(sql.Placeholder() * len(names)),
        )
        with self._connection.transaction():
            for record, version, *row in zip(records, versions, *columns, strict=True):
                digest = row_digest(record, version, epoch, row)
                self._connection.execute(statement, (record, version, epoch, *row, delivery, digest))
