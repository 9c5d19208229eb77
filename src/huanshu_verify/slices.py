"""Step 6: what lies at the receivers is what the log says, both ways."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Mapping
from typing import Any

import psycopg
from psycopg import sql

from huanshu_verify.report import Entry, Log, Step

_COPY_HEAD = 19  # bytes before the first row: signature, flags, length of the extension
_DIGEST_LENGTH = struct.pack(">I", 32)
_TOLD = ("count", "withdrawn", "holds", "digest", "slice_digest")


class Slices(Step):
    """Each inbox line and arrived entry agree both ways; each row has its digest; each slice is the one that its last
    arrived entry binds. Keeps a line for every delivery that has arrived; rows are streamed."""

    name = "6 slices"

    def __init__(self, log: Log) -> None:
        super().__init__(log)
        self._arrived: dict[str, dict[str, dict[str, Any]]] = {}

    def entry(self, entry: Entry) -> None:
        body = entry.body
        if body is None or body["event"] != "exchange.delivery.arrived":
            return
        told = {name: body["detail"][name] for name in _TOLD}
        line = {"index": entry.index, "dataset": body["dataset"], "detail": told}
        self._arrived.setdefault(body["domain"], {})[body["detail"]["delivery"]] = line

    def finish(self) -> None:
        receivers = self.log.options.receivers
        for code in sorted(self._arrived.keys() - receivers.keys()):
            self.log.report.steps.append(f"slices: no store was given for {code}")
        # One connection a store, not one a receiver: a district's communities mostly lie in one.
        stores: dict[str, list[str]] = {}
        for code, url in receivers.items():
            stores.setdefault(url, []).append(code)
        for url, codes in stores.items():
            with psycopg.connect(url, autocommit=True) as store:
                store.execute("SET default_transaction_read_only = on")
                for code in codes:
                    self._receiver(store, code, self._arrived.get(code, {}))

    def memory(self) -> Any:
        return self._arrived

    def recall(self, memory: Any) -> None:
        self._arrived = memory

    def _receiver(
        self, store: psycopg.Connection, code: str, arrived: Mapping[str, Mapping[str, Any]]
    ) -> None:
        find, report = self.find, self.log.report
        schema = "receiver_" + code.replace(".", "_")
        if store.execute("SELECT to_regclass(%s)", (f"{schema}.inbox",)).fetchone() == (None,):
            for delivery in arrived:
                find(code, f"delivery {delivery[:16]} arrived, but there is no inbox")
            return
        lines = store.execute(
            sql.SQL("SELECT delivery, count, withdrawn, holds, digest, slice_digest FROM {}").format(
                sql.Identifier(schema, "inbox")
            )
        ).fetchall()
        for delivery, count, withdrawn, holds, digest, whole in lines:
            body = arrived.get(delivery)
            if body is None:
                if delivery not in report.under_way:
                    find(code, f"inbox line {delivery[:16]} has no arrived entry")
                continue
            told = body["detail"]
            found = (count, withdrawn, holds, bytes(digest).hex(), bytes(whole).hex())
            if found != (
                told["count"],
                told["withdrawn"],
                told["holds"],
                told["digest"],
                told["slice_digest"],
            ):
                find(code, f"inbox line {delivery[:16]} differs from entry {body['index']}")
        for delivery in arrived.keys() - {line[0] for line in lines}:
            find(code, f"arrived entry {arrived[delivery]['index']} has no inbox line")
        last = {body["dataset"]: body for body in sorted(arrived.values(), key=lambda b: int(b["index"]))}
        # A delivery that took effect but is not yet told in the log has changed the slice: looked at when it is.
        pending = {line[0] for line in lines} & set(report.under_way)
        for dataset, body in last.items():
            if store.execute("SELECT to_regclass(%s)", (f"{schema}.{dataset}",)).fetchone() == (None,):
                find(f"{code} {dataset}", "the slice's table is gone")
                continue
            seen = report.rows
            whole = self._slice(store, code, schema, dataset)
            counted, said = report.rows - seen, int(body["detail"]["holds"])
            if counted != said and not pending:
                find(f"{code} {dataset}", f"{counted} rows, entry {body['index']} says {said}")
            if whole != body["detail"]["slice_digest"] and not pending:
                find(f"{code} {dataset}", f"the slice is not the one that entry {body['index']} binds")

    def _slice(self, store: psycopg.Connection, code: str, schema: str, dataset: str) -> str:
        """Recompute every row's digest and the slice's; returns the latter in hex.

        What a row's digest covers is the row in PostgreSQL's binary COPY after its field count (docs/FORMAT.md, 9).
        So the row is hashed as the server sends it, and compared with the digest that comes last, after its length."""
        table = sql.Identifier(schema, dataset)
        described = store.execute(sql.SQL("SELECT * FROM {} LIMIT 0").format(table)).description or ()
        columns = [column.name for column in described]
        if lacking := {"record", "version", "epoch", "digest"} - set(columns):
            raise KeyError(*lacking)
        fields = [
            name for name in columns if name not in ("record", "version", "epoch", "delivery", "digest")
        ]
        query = sql.SQL("COPY (SELECT {} FROM {} ORDER BY record) TO STDOUT (FORMAT binary)").format(
            sql.SQL(", ").join(map(sql.Identifier, ("record", "version", "epoch", *fields, "digest"))), table
        )
        whole = hashlib.sha256()
        with store.cursor().copy(query) as copy:
            for number, message in enumerate(copy):
                row = bytes(message)[_COPY_HEAD:] if number == 0 else bytes(message)
                if row in (b"", b"\xff\xff"):  # the head alone; the end
                    continue
                self.log.report.rows += 1
                digest = hashlib.sha256(row[2:-36]).digest()
                if row[-36:] != _DIGEST_LENGTH + digest:
                    record = int.from_bytes(row[6:14], "big", signed=True)
                    self.find(f"{code} {dataset} record {record}", "the row was changed")
                whole.update(digest)
        return whole.hexdigest()
