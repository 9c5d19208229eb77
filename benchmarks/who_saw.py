"""Who saw a resident: over 10 000 deliveries and 90 million (delivery, subject) pairs, beside a scan of every bitmap.

python benchmarks/who_saw.py [--deliveries N] [--subjects N]

A real log in the embedded PostgreSQL, its entries appended by the log's writer, each bitmap sealed beside it. Subjects'
numbers are spread at random over the communities: the worst case for Roaring, twice the bytes of a sorted register.

cold     a keeper that has just started: connection, segments, the subject's pages fetched, opened and looked up
warm     the same keeper asked again, about others of the same pages and about the same: median
bulk     one delivery of 1.3 million subjects: what its entry and its bitmap take
scan     what the keeper did before it had pages: every bitmap fetched, opened and looked into (on a part, marked ~)
"""

from __future__ import annotations

import argparse
import hashlib
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from measuring import Result, Stages, machine, show, write
from pyroaring import BitMap

from huanshu.auditlog import Draft, HeadFile, LogWriter, Signer, create_head, create_signing_key
from huanshu.auditlog.events import ABOUT_SUBJECTS
from huanshu.auditlog.reader import read_entries
from huanshu.keeper.bitmaps import BEGIN, chained, sightings
from huanshu.keeper.seen import SeenIndex
from huanshu.sealing.blobs import seal_blob
from huanshu.sealing.keys import bitmap_key, new_key
from huanshu.store import EmbeddedServer, connect, migrate
from huanshu.store.roles import DISTRICT_ROLES, new_passwords, prepare_district, role_url

ORIGIN, COMMUNITIES = "bench.example/log", 146


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--deliveries", type=int, default=10_000)
    options.add_argument("--subjects", type=int, default=1_350_000)
    given = options.parse_args()
    print(machine())
    stages = Stages()
    with tempfile.TemporaryDirectory() as folder, EmbeddedServer(Path(folder) / "pg") as server:
        passwords = new_passwords(DISTRICT_ROLES)
        prepare_district(server.admin_url, passwords)
        url = role_url(server.admin_url, "huanshu_keeper", passwords)
        with connect(role_url(server.admin_url, "huanshu_owner", passwords)) as owner:
            migrate(owner)
        key = new_key(bitmap_key(1))
        with stages("appending the entries"):
            pairs, end, asked, truth = _plant(url, Path(folder), key, given.deliveries, given.subjects)
        _measure(url, [(bitmap_key(1), key)], stages, pairs, end, asked, truth, given.deliveries)
        results = [Result("log.bulk_delivery_kb", _bulk(url, Path(folder), key), "KB", "≤ 200")]
        write("log", results)
        show(results)
    stages.print("stages")


def _plant(
    url: str, folder: Path, key: bytes, deliveries: int, subjects: int
) -> tuple[int, int, list[int], list[list[int]]]:
    """Deliveries of whole communities less one record in fifty, and a single view after every fifth of them."""
    create_signing_key(folder / "log.key")
    create_head(Signer.load(folder / "log.key"), ORIGIN, HeadFile(folder / "head"))
    writer = _writer(url, folder)
    rng = np.random.default_rng(7)
    home = rng.integers(0, COMMUNITIES, subjects)
    members = [np.flatnonzero(home == n).astype(np.uint32) for n in range(COMMUNITIES)]
    asked = [int(one) for one in rng.choice(subjects, 40, replace=False)]
    truth: list[list[int]] = [[] for _ in asked]
    drafts: list[Draft] = []
    pairs = at = 0
    for n in range(deliveries):
        mine = members[n % COMMUNITIES]
        for chosen in [mine[rng.random(len(mine)) > 0.02], *([mine[:1]] if n % 5 == 0 else [])]:
            bitmap = BitMap(chosen.tolist())
            for place, one in enumerate(asked):
                if one in bitmap:
                    truth[place].append(at)
            drafts.append(_draft(key, bitmap, viewed=len(bitmap) == 1))
            pairs, at = pairs + len(bitmap), at + 1
        if len(drafts) >= 300 or n == deliveries - 1:
            writer.append(drafts)
            drafts = []
    writer.close()
    return pairs, at, asked, truth


def _writer(url: str, folder: Path) -> LogWriter:
    signer, head = Signer.load(folder / "log.key"), HeadFile(folder / "head")
    writer = LogWriter(lambda: connect(url), signer, ORIGIN, head, lambda: datetime.now(UTC))
    list(writer.start())
    return writer


def _bulk(url: str, folder: Path, key: bytes) -> float:
    """Kilobytes that the log grows by when one delivery tells of 1.3 million subjects: of 1 340 000 numbers every
    thirty-third is somebody else, here and there."""
    numbers = np.arange(1_340_000, dtype=np.uint32)
    subjects = BitMap(numbers[np.random.default_rng(3).random(len(numbers)) > 0.03].tolist())
    assert len(subjects) > 1_299_000
    writer = _writer(url, folder)
    size = writer.size
    writer.append([_draft(key, subjects, viewed=False)])
    writer.close()
    with connect(url) as connection:
        row = connection.execute(
            "SELECT sum(length(e.leaf) + length(b.sealed)), count(*) FROM log.entry e JOIN log.bitmap b"
            " ON encode(b.sealed_sha256, 'hex') = convert_from(e.leaf, 'UTF8')::jsonb -> 'subjects' ->> 'sealed_sha256'"
            " WHERE e.index >= %s",
            (size,),
        ).fetchone()
    assert row is not None
    assert row[1] == 1, "one entry"
    return float(row[0]) / 1000


def _draft(key: bytes, bitmap: BitMap, *, viewed: bool) -> Draft:
    plain = bitmap.serialize()
    digest = hashlib.sha256(plain).hexdigest()
    sealed = seal_blob(key, bitmap_key(1), digest, plain)
    member = {"count": len(bitmap), "sha256": digest, "sealed_sha256": hashlib.sha256(sealed).hexdigest()}
    about = {
        "person": "p.lin", "established": {"by": "os", "account": "qh_lin"}, "policy": "ab" * 32, "post": "psb.officer",
        "domain": "990101001001", "dataset": "resident", "purpose": "grassroots_service", "contract": "cd" * 32,
        "fields": {"name": "reveal", "phone": "mask"}, "subjects": member,
    }  # fmt: skip
    until = "2026-12-31T00:00:00+08:00"
    if viewed:
        detail = {"record": 1, "values": 2, "until": until}
        return Draft(
            {**about, "event": "access.record.authorised", "how": "viewed", "detail": detail}, None, sealed
        )
    flow = {"id": "resident.district_to_communities", "digest": "ef" * 32, "approval": 3, "run": "bench"}
    detail = {
        "delivery": digest,
        "receiver": "990101001001",
        "upserts": len(bitmap),
        "withdrawals": 0,
        "until": until,
    }
    return Draft(
        {**about, "event": "exchange.delivery.authorised", "how": "moved", "flow": flow, "detail": detail},
        None,
        sealed,
    )


def _measure(
    url: str, keys: list[tuple[str, bytes]], stages: Stages, pairs: int, end: int, asked: list[int],
    truth: list[list[int]], deliveries: int,
) -> None:  # fmt: skip
    def ask(index: SeenIndex, n: int) -> float:
        found, seconds = _timed(lambda: index.entries_about(keys, BitMap([asked[n]]), end, chain))  # type: ignore[arg-type]
        assert found == truth[n]
        return seconds * 1000

    chain = BEGIN  # what the keeper's fold of the log would have come to
    with connect(url) as connection:
        for entry in read_entries(connection, 0, end):
            chain = chained(chain, entry.body)
    with stages("turning the bitmaps into pages"):
        first = SeenIndex(lambda: connect(url))
        first.entries_about(keys, BitMap([0]), end, chain)  # type: ignore[arg-type]
        first.close()
    cold, warm = [], []
    with stages("asking"):
        for n in range(len(asked)):
            index = SeenIndex(lambda: connect(url))
            cold.append(ask(index, n))
            warm += [ask(index, n) for _ in range(5)]
            index.close()
        index = SeenIndex(lambda: connect(url))
        others = [ask(index, n) for n in range(len(asked))][5:]
        index.close()
    part = end // 20
    with stages("scanning a part"), connect(url) as connection:
        found, seconds = _timed(
            lambda: [i for i, _ in sightings(connection, keys, BitMap(asked[:1]), ABOUT_SUBJECTS, -1, part)]  # type: ignore[arg-type]
        )
        assert found == [at for at in truth[0] if at < part]
    with connect(url) as connection:
        sizes = connection.execute(
            "SELECT (SELECT sum(length(sealed)) FROM log.bitmap), (SELECT sum(length(sealed)) FROM seen.page)"
        ).fetchone()
    assert sizes is not None
    results = [
        Result("log.who_saw_warm_ms", statistics.median(warm), "ms", "≤ 1", "~ scan", seconds * 1000 * end / part),
        Result("log.who_saw_cold_ms", statistics.median(cold), "ms", "≤ 100", "~ scan", seconds * 1000 * end / part),
        Result("log.who_saw_cold_worst_ms", max(cold), "ms"),
        Result("log.who_saw_other_page_ms", statistics.median(others), "ms"),
        Result("log.who_saw_pages_bytes_per_pair", sizes[1] / pairs, "B", "", "bitmaps", sizes[0] / pairs),
    ]  # fmt: skip
    print(f"{deliveries} deliveries, {end} entries, {pairs / 1e6:.1f} million pairs")
    write("log", results)
    show(results)


def _timed(what: Callable[[], list[int]]) -> tuple[list[int], float]:
    began = time.perf_counter()
    return what(), time.perf_counter() - began


if __name__ == "__main__":
    main()
