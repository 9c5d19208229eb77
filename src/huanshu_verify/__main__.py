"""``huanshu-verify``: run the six steps and say what was found.

Exit codes: 0 clean · 1 problems · 2 usage · 3 something could not be read.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from pathlib import Path

import psycopg

from huanshu_verify import STEPS, Options, Report, fsck
from huanshu_verify.notes import NoteError

_WORDS = {
    "zh": {
        "1 indices": "序号连续",
        "2 leaves": "条目未改",
        "3 tree": "树与签名相符",
        "4 bitmaps": "位图齐全",
        "5 loans": "借钥均有依据",
        "6 slices": "各社区数据与日志相符",
        "7 store": "区库记录与日志相符",
        "clean": "核验通过",
        "bad": "发现问题",
        "entries": "条目",
        "root": "树根",
        "under_way": "进行中的交付",
    },
    "en": {
        "1 indices": "indices are dense",
        "2 leaves": "leaves are unchanged",
        "3 tree": "tree and signatures agree",
        "4 bitmaps": "bitmaps are all there",
        "5 loans": "every loan has its entry",
        "6 slices": "slices are what the log says",
        "7 store": "the store is what the log says",
        "clean": "clean",
        "bad": "problems found",
        "entries": "entries",
        "root": "root",
        "under_way": "deliveries under way",
    },
}
_SHOWN = 20


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(
        prog="huanshu-verify",
        description="Verify a Huanshu log and the slices it speaks of, without trusting Huanshu. 独立核验。",
        epilog="example: huanshu-verify --url postgresql://… --vkey NAME+HASH+KEY --receiver 990101001001=postgresql://…",
    )
    parser.add_argument("--url", help="the district database (a role that may read log.*)")
    parser.add_argument("--vkey", help="the log's verifier key (name+hash+key)")
    parser.add_argument("--head", type=Path, help="the keeper's head file")
    parser.add_argument(
        "--receiver", action="append", default=[], metavar="CODE=URL", help="a receiver's store"
    )
    parser.add_argument("--data", action="store_true", help="also every row of the district store")
    parser.add_argument("--json", action="store_true", help="answer as one JSON document")
    parser.add_argument("--lang", choices=("zh", "en"), default="zh")
    given = parser.parse_args()
    if not given.url or not given.vkey:
        parser.error("--url and --vkey are needed")
    try:
        receivers = dict(pair.split("=", 1) for pair in given.receiver)
        head = given.head.read_text(encoding="utf-8") if given.head else None
        report = fsck(Options(given.url, given.vkey, head, receivers, given.data))
    except (OSError, ValueError, NoteError, psycopg.Error) as error:
        sys.stderr.write(f"huanshu-verify: {type(error).__name__}: the log or a store could not be read\n")
        sys.exit(3)
    if given.json:
        sys.stdout.write(json.dumps(dataclasses.asdict(report), ensure_ascii=False, indent=2) + "\n")
    else:
        sys.stdout.write("\n".join(told(report, given.lang)) + "\n")
    sys.exit(0 if report.clean else 1)


def told(report: Report, lang: str) -> list[str]:
    """The report as lines for a person."""
    words = _WORDS[lang]
    lines = []
    for name, _ in STEPS:
        bad = [problem for problem in report.problems if problem.step == name]
        lines.append(f"{'✗' if bad else '✓'} {name[0]} {words[name]}")
        lines += [f"    {problem.at}: {problem.what}" for problem in bad[:_SHOWN]]
    lines += [f"    {said}" for said in report.steps if said not in dict(STEPS)]
    lines.append(f"{words['entries']} {report.entries} · {words['root']} {report.root}")
    if report.under_way:
        lines.append(f"{words['under_way']}: {len(report.under_way)}")
    lines.append(words["clean"] if report.clean else f"{words['bad']}: {len(report.problems)}")
    return lines


if __name__ == "__main__":
    main()
