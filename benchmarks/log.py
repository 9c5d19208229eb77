"""Appending to the log, acknowledging, and proving: beside plain PostgreSQL inserts and pymerkle, in one run.

    log.append_per_s   entries a second in groups of 1 000, each durable before the next: checked against the closed set
                       of events, canonical, hashed, in tree, database, checkpoint, head; the median of the groups.
                       ``log.append_side_by_side_per_s`` is what two callers come to together, over whole rounds: one's
                       group is made while the other's is on its way to the disk
    log.ack_flushes    flushes of the disk until one entry alone is acknowledged (database and head together)
    log.proof_ms       an inclusion proof out of the published files of the whole log, read cold, and checked

Not counted: who may append what (person, post, rules): that is the decision's, and ``access.*`` measures it.
Peers: the same leaves by ``COPY`` and by ``INSERT`` into a plain table, in the same groups; pymerkle's tree in memory.
Times are medians of several rounds; how busy the machine was is said with them. ``benchmarks/who_saw.py`` has the rest.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import tempfile
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
from measuring import Result, machine, show, write
from pymerkle import InmemoryTree

from huanshu.auditlog import (
    Draft,
    HeadFile,
    LogWriter,
    PublishedLog,
    Publisher,
    Signer,
    create_head,
    create_signing_key,
)
from huanshu.store import EmbeddedServer, connect, migrate
from huanshu.store.roles import DISTRICT_ROLES, new_passwords, prepare_district, role_url
from huanshu.store.urls import with_database
from huanshu.tlog import TileHashes, inclusion_proof, require_inclusion

ORIGIN, GROUP = "bench.example/log", 1_000


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--entries", type=int, default=100_000)
    given = options.parse_args()
    print(machine())
    with tempfile.TemporaryDirectory() as folder, EmbeddedServer(Path(folder) / "pg") as server:
        passwords = new_passwords(DISTRICT_ROLES)
        prepare_district(server.admin_url, passwords)
        with connect(role_url(server.admin_url, "huanshu_owner", passwords)) as owner:
            migrate(owner)
        bench = Bench(Path(folder), role_url(server.admin_url, "huanshu_keeper", passwords), server.admin_url)
        results = bench.run(max(given.entries // GROUP, 5))
    write("log", results)
    show(results)


class Bench:
    """One log on one server, and the peers beside it."""

    def __init__(self, folder: Path, url: str, admin_url: str) -> None:
        self.folder, self.url, self.admin_url = folder, url, with_database(admin_url, "huanshu")
        create_signing_key(folder / "log.key")
        self.signer, self.head = Signer.load(folder / "log.key"), HeadFile(folder / "head")
        create_head(self.signer, ORIGIN, self.head)
        self.writer = LogWriter(
            lambda: connect(url), self.signer, ORIGIN, self.head, lambda: datetime.now(UTC)
        )
        list(self.writer.start())

    def run(self, groups: int) -> list[Result]:
        alone, leaves = self._append(groups)
        both = self._append_side_by_side(groups)
        copied, inserted = self._plain(leaves, groups)
        flushes = self._flushes()
        published, proof, peer = self._prove(leaves)
        self.writer.close()
        return [
            Result("log.append_per_s", alone, "entries/s", "≥ 30000", "COPY of the same leaves", copied),
            Result("log.append_side_by_side_per_s", both, "entries/s", "", "COPY of the same leaves", copied),
            Result("log.append_vs_inserts", alone / inserted, "×", "", "INSERT, entries/s", inserted),
            Result("log.ack_flushes", flushes, "flushes", "≤ 2"),
            Result("log.publish_per_s", published, "entries/s"),
            Result("log.proof_ms", proof, "ms", "≤ 5", "pymerkle, in memory", peer),
        ]

    def _append(self, groups: int) -> tuple[float, list[bytes]]:
        """Median entries a second over the groups, and their leaves."""
        rates, leaves, cpu = [], [], []
        for group in range(groups):
            drafts = [Draft(_body(group * GROUP + n)) for n in range(GROUP)]
            began, busy = time.perf_counter(), time.process_time()
            made = self.writer.append(drafts)
            rates.append(GROUP / (time.perf_counter() - began))
            cpu.append((time.process_time() - busy) / GROUP * 1e6)
            leaves += [appended.entry.leaf for appended in made]
        print(
            f"a leaf has {len(leaves[0])} bytes; {statistics.median(cpu):.1f} CPU-µs an entry in this process"
        )
        print(f"rates from {min(rates):.0f} to {max(rates):.0f} entries/s")
        return statistics.median(rates), leaves

    def _append_side_by_side(self, groups: int) -> float:
        """Entries a second of two callers, each with half of the groups: the median of five rounds."""
        lock, rates = threading.Lock(), []

        def call(drafts: list[list[Draft]]) -> None:
            for group in drafts:
                with lock:
                    _, mark = self.writer.stage(group)
                self.writer.settle(mark)

        each = max(groups // 2, 10)
        for _ in range(5):
            work = [[[Draft(_body(n)) for n in range(GROUP)] for _ in range(each)] for _ in range(2)]
            size, began = self.writer.size, time.perf_counter()
            callers = [threading.Thread(target=call, args=(drafts,)) for drafts in work]
            for caller in callers:
                caller.start()
            for caller in callers:
                caller.join()
            rates.append((self.writer.size - size) / (time.perf_counter() - began))
        with psycopg.connect(self.admin_url) as admin:
            row = admin.execute("SELECT count(*), max(index) + 1 FROM log.entry").fetchone()
        assert row == (self.writer.size, self.writer.size), "dense"
        print(f"side by side: rates from {min(rates):.0f} to {max(rates):.0f} entries/s")
        return statistics.median(rates)

    def _plain(self, leaves: list[bytes], groups: int) -> tuple[float, float]:
        """The same leaves into a table with one key: by COPY, by INSERT (a tenth of the groups), a commit a group."""
        with psycopg.connect(self.admin_url, autocommit=True) as plain:
            plain.execute("CREATE TABLE plain (index bigint PRIMARY KEY, leaf bytea NOT NULL)")
            copied, inserted = [], []
            for group in range(groups):
                rows = list(enumerate(leaves[group * GROUP : (group + 1) * GROUP], group * GROUP))
                began = time.perf_counter()
                with (
                    plain.transaction(),
                    plain.cursor() as cursor,
                    cursor.copy("COPY plain FROM STDIN (FORMAT BINARY)") as copy,
                ):
                    copy.set_types(["int8", "bytea"])
                    for row in rows:
                        copy.write_row(row)
                copied.append(GROUP / (time.perf_counter() - began))
                if group % 10 == 0:
                    plain.execute("DELETE FROM plain WHERE index >= %s", (group * GROUP,))
                    began = time.perf_counter()
                    with plain.transaction(), plain.cursor() as cursor:
                        for row in rows:
                            cursor.execute("INSERT INTO plain VALUES (%s, %s)", row)
                    inserted.append(GROUP / (time.perf_counter() - began))
        return statistics.median(copied), statistics.median(inserted)

    def _flushes(self) -> float:
        """Flushes an entry that is appended alone: fsync and fdatasync of this process, and the server's of its WAL."""
        counted, real = [0], os.fsync

        def counting(descriptor: int) -> None:
            counted[0] += 1
            real(descriptor)

        os.fsync = counting
        try:
            with psycopg.connect(self.admin_url, autocommit=True) as admin:
                time.sleep(
                    1.5
                )  # the backend reports its statistics once a second, when it has something to do
                self.writer.append([Draft(_body(0))])
                time.sleep(1.5)
                counted[0], before, rounds = 0, _wal_flushes(admin), 50
                for number in range(rounds):
                    self.writer.append([Draft(_body(number))])
                time.sleep(1.5)
                self.writer.append([Draft(_body(0))])
                time.sleep(1.5)
                server = _wal_flushes(admin) - before
        finally:
            os.fsync = real
        return (counted[0] + server) / (rounds + 1)

    def _prove(self, leaves: list[bytes]) -> tuple[float, float, float]:
        """(entries published a second, median ms of a proof out of files, the same with pymerkle's tree)."""
        published = PublishedLog(self.folder / "log")
        publisher = Publisher(
            published, lambda: connect(self.url), lambda note: self.signer.read_checkpoint(ORIGIN, note)
        )
        began = time.perf_counter()
        checkpoint = publisher.publish(self.head.read() or "")
        rate = checkpoint.size / (time.perf_counter() - began)
        publisher.close()
        tree = InmemoryTree(algorithm="sha256")
        for leaf in leaves:
            tree.append_entry(leaf)
        chance, ours, theirs = random.Random(7), [], []
        for _ in range(200):
            index = chance.randrange(len(leaves))
            began = time.perf_counter()
            hashes = TileHashes(checkpoint.size, published.tile)  # cold: every tile is read again
            proof = inclusion_proof(hashes, index, checkpoint.size)
            require_inclusion(hashes(0, index), index, checkpoint.size, checkpoint.root, proof)
            ours.append((time.perf_counter() - began) * 1000)
            began = time.perf_counter()
            tree.prove_inclusion(index + 1, len(leaves))
            theirs.append((time.perf_counter() - began) * 1000)
        return rate, statistics.median(ours), statistics.median(theirs)


def _wal_flushes(admin: psycopg.Connection) -> int:
    row = admin.execute(
        "SELECT coalesce(sum(fsyncs), 0) FROM pg_stat_io WHERE object = 'wal' AND backend_type = 'client backend'"
    ).fetchone()
    assert row is not None
    return int(row[0])


def _body(number: int) -> dict[str, Any]:
    """An entry of middling length: a workbook's answers told, as a community's day has them."""
    return {
        "event": "correction.change.accepted", "person": "p.he", "established": {"by": "os", "account": "qh_he"},
        "policy": "ab" * 32, "post": "psb.steward", "domain": "990101001001", "dataset": "resident",
        "purpose": "register_upkeep", "fields": {"phone": "approve"}, "contract": "cd" * 32,
        "trace": "0123456789abcdef" * 2,
        "detail": {
            "change": f"{number:012x}.1", "batch": "ef" * 32, "record": number, "version": 2, "authorised": number,
            "written": "01" * 32,
        },
    }  # fmt: skip


if __name__ == "__main__":
    main()
