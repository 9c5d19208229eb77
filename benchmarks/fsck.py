"""The independent verifier over a log of a million entries, in PostgreSQL and as published files.

python benchmarks/fsck.py [--entries N]

The log is made cheaply: canonical leaves of 500 bytes, a signed checkpoint every 1 000, loaded by COPY; then it is
published. Seconds by the clock and by the processor: steps 1 to 5 over the database, all tiles and bundles alone, and
a run that goes on from the state of the one before after 1 000 more entries.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from measuring import Result, Stages, machine, show, write

from huanshu.auditlog import PublishedLog, Publisher, Signer, create_signing_key
from huanshu.canonical import canonical
from huanshu.store import EmbeddedServer, connect, migrate
from huanshu.store.roles import DISTRICT_ROLES, new_passwords, prepare_district, role_url
from huanshu.tlog import Checkpoint, Frontier, leaf_hash
from huanshu_verify import Options, fsck

ORIGIN, EVERY = "bench.example/log", 1_000
MADE = {
    "v": 1, "event": "access.record.missed", "at": "2026-07-01T09:00:00.000000+08:00", "person": "p.tang",
    "established": {"by": "os", "account": "qh_tang"}, "policy": "ab" * 32, "post": "yulan.data_clerk",
    "domain": "990101001001", "dataset": "resident", "purpose": "grassroots_service", "trace": "0" * 32,
    "fields": {"name": "reveal", "phone": "mask"}, "detail": {"reason": "absent"},
}  # fmt: skip


class Growing:
    """A log that grows by COPY, with the checkpoints that its writer would have signed."""

    def __init__(self, url: str, folder: Path) -> None:
        create_signing_key(folder / "log.key")
        self.signer, self.tree, self.url, self.head = Signer.load(folder / "log.key"), Frontier(), url, ""

    def grow(self, entries: int) -> None:
        notes = []
        with connect(self.url) as keeper, keeper.transaction():
            copied = "COPY log.entry (index, event, leaf, leaf_hash) FROM STDIN (FORMAT binary)"
            with keeper.cursor().copy(copied) as copy:
                copy.set_types(["int8", "text", "bytea", "bytea"])
                for _ in range(entries):
                    leaf = canonical({**MADE, "index": self.tree.size})
                    copy.write_row((self.tree.size, MADE["event"], leaf, leaf_hash(leaf)))
                    self.tree.append(leaf_hash(leaf))
                    if self.tree.size % EVERY == 0:
                        self.head = self.signer.checkpoint_note(
                            Checkpoint(ORIGIN, self.tree.size, self.tree.root)
                        )
                        notes.append((self.tree.size, self.head))
            with keeper.cursor().copy("COPY log.checkpoint (size, note) FROM STDIN") as copy:
                for note in notes:
                    copy.write_row(note)

    def publish(self, folder: Path) -> None:
        made = Publisher(
            PublishedLog(folder), lambda: connect(self.url), lambda n: self.signer.read_checkpoint(ORIGIN, n)
        )
        made.publish(self.head)
        made.close()


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--entries", type=int, default=1_000_000)
    entries = options.parse_args().entries // EVERY * EVERY
    print(machine())
    stages = Stages()
    with tempfile.TemporaryDirectory() as folder, EmbeddedServer(Path(folder) / "pg") as server:
        passwords = new_passwords(DISTRICT_ROLES)
        prepare_district(server.admin_url, passwords)
        with connect(role_url(server.admin_url, "huanshu_owner", passwords)) as owner:
            migrate(owner)
        log = Growing(role_url(server.admin_url, "huanshu_keeper", passwords), Path(folder))
        with stages("making the log"):
            log.grow(entries)
        with stages("publishing it"):
            log.publish(Path(folder) / "log")
        database = Options(role_url(server.admin_url, "huanshu_app", passwords), log.signer.vkey(ORIGIN))
        alone = replace(database, url=None, published=Path(folder) / "log")
        state, clock, cpu = _timed(database, stages, "verifying the database", entries)
        _, files, files_cpu = _timed(alone, stages, "verifying the files alone", entries)
        log.grow(EVERY)
        _, later, _ = _timed(replace(database, state=state), stages, "going on from there", entries + EVERY)
    million = entries / 1_000_000
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    results = [
        Result("log.fsck_1m_s", clock / million, "s", "≤ 60", "of which processor, s", cpu / million),
        Result("log.fsck_files_1m_s", files / million, "s", "", "of which processor, s", files_cpu / million),
        Result("log.fsck_1000_more_s", later, "s"),
        Result("log.fsck_peak_rss_gb", peak, "GB"),
    ]
    stages.print("stages")
    show(results)
    write("log", results)


def _timed(options: Options, stages: Stages, what: str, entries: int) -> tuple[str | None, float, float]:
    began, used = time.perf_counter(), time.process_time()
    with stages(what):
        report = fsck(options)
    assert report.clean, report.problems
    assert report.entries == entries
    return report.state, time.perf_counter() - began, time.process_time() - used


if __name__ == "__main__":
    main()
