"""How long it takes to count over the sealed birth dates of a district, and what others wait meanwhile.

    python benchmarks/counting.py --records 20000            # a short run
    python benchmarks/counting.py --records 1300000          # reported: count.sealed_district_s

A register is taken in; then one question after the other: the residents of 65 and more in each community of the
district, of one subdistrict and of one community, and the same breakdown by a plain field. For each question over the
sealed field the keeper reads every current row of the homes, checks it against the lists that the log binds, opens the
column and judges.
Meanwhile one process reads single records through the gate, as it did before.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import tempfile
import time
from pathlib import Path

from intake import ROOT, take_in
from measuring import Result, machine, show, write
from rotation import p99, read_beside

from huanshu.assembly import Stack, connect
from huanshu.assembly.sandbox import prepare
from huanshu.gate.count import AskedCount, Counted, count
from huanshu.settings import Settings

FULL = 1_300_000
DISTRICT, SUBDISTRICT, COMMUNITY = "990101000000", "990101001000", "990101002001"
OLD = {"birth_date": "65+"}


def ask(settings: Settings, zone: str, where: dict[str, str]) -> tuple[float, Counted]:
    here = connect(settings, "p.song")
    asked = AskedCount("district.cdo", "resident", "grassroots_service", (zone,), "community", where)
    begun = time.perf_counter()
    answer = count(here.home, here.keeper, here.district, asked)
    return time.perf_counter() - begun, answer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--records", type=int, default=20_000)
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "huanshu-bench-cache")
    given = parser.parse_args()
    print(machine())
    with tempfile.TemporaryDirectory(prefix="huanshu-bench-") as made:
        for part in ("policies", "expectations", "dags", "audit"):
            shutil.copytree(ROOT / part, Path(made) / "home" / part)
        settings = Settings(Path(made) / "home", Path(made) / "state", "en")
        with Stack(settings) as stack:
            take_in(stack, prepare(settings), 1, given.records, given.cache)
            process, told, stop = read_beside(settings, 10.0)
            before = told.get(timeout=120)
            process.join()
            plain, _ = ask(settings, DISTRICT, {"sex": "1"})
            process, told, stop = read_beside(settings, 3600.0)
            time.sleep(3)  # until it reads
            whole, answer = ask(settings, DISTRICT, OLD)
            stop.set()
            during = told.get(timeout=120)
            process.join()
            print(f"{answer.total} of {given.records} are 65 and more; {len(answer.cells)} communities told")
            quiet, _ = ask(settings, DISTRICT, {"birth_date": "60+"})
            part, _ = ask(settings, SUBDISTRICT, OLD)
            one, _ = ask(settings, COMMUNITY, {"birth_date": "60+"})
    alone = "without a count"
    results = [
        Result("count.sealed_district_s", quiet * FULL / given.records, "s", "", "by a plain field", plain),
        Result("count.sealed_beside_reads_s", whole, "s", "", "", None),
        Result("count.sealed_subdistrict_s", part, "s", "", "", None),
        Result("count.sealed_community_s", one, "s", "", "", None),
        Result("count.read_p50_ms", statistics.median(during), "ms", "", alone, statistics.median(before)),
        Result("count.read_p99_ms", p99(during), "ms", "", alone, p99(before)),
    ]
    show(results)
    write("counting", results)


if __name__ == "__main__":
    main()
