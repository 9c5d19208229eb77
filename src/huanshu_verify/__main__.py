"""``huanshu-verify``: run the steps and say what was found.

Exit codes: 0 clean · 1 problems · 2 usage · 3 something could not be read.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import sys
from pathlib import Path
from typing import NoReturn

import psycopg

from huanshu_verify import STEPS, Options, Report, evidence, fsck
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
        "8 published": "公布文件与日志相符",
        "9 origins": "各起点相接",
        "10 subjects": "查看记录与所涉主体相符",
        "gap": "缺失 {origin} 的条目 {first}–{last}（{since} 至 {until} 的记录已丢失），"
        "经 {signers} 签署放弃，由条目 {entry} 起续用 {opened}",
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
        "8 published": "published files are what the log says",
        "9 origins": "origins follow one another",
        "10 subjects": "who read a record read about its subjects",
        "gap": "entries {first}–{last} of {origin} are MISSING (what was logged from {since} to {until} is lost):"
        " given up by {signers}; entry {entry} goes on as {opened}",
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
    if sys.argv[1:2] == ["evidence"]:
        _evidence(sys.argv[2:])
    parser = _parser()
    given = parser.parse_args()
    if not given.vkey or not (given.url or given.published):
        parser.error("--vkey is needed, and --url or --published")
    try:
        report = fsck(_options(given))
        if given.state is not None and report.state is not None:
            _replace(given.state, report.state)
    except NoteError as error:
        sys.stderr.write(f"huanshu-verify: {error}\n")
        sys.exit(3)
    except (OSError, ValueError, psycopg.Error) as error:
        sys.stderr.write(f"huanshu-verify: {type(error).__name__}: the log or a store could not be read\n")
        sys.exit(3)
    if given.json:
        said = {name: value for name, value in dataclasses.asdict(report).items() if name != "state"}
        sys.stdout.write(json.dumps(said, ensure_ascii=False, indent=2) + "\n")
    else:
        sys.stdout.write("\n".join(told(report, given.lang)) + "\n")
    sys.exit(0 if report.clean else 1)


def _evidence(arguments: list[str]) -> NoReturn:
    """``huanshu-verify evidence BUNDLE``; the same exit codes."""
    parser = argparse.ArgumentParser(
        prog="huanshu-verify evidence",
        description="Check one entry's evidence bundle, on any machine. 核验一条日志条目的证据包。",
        epilog="Key and policy come from where they were made public, never from the bundle itself.",
    )
    parser.add_argument("bundle", type=Path, help="what huanshu audit export-evidence wrote")
    parser.add_argument("--vkey", required=True, help="the log's verifier key (name+hash+key)")
    parser.add_argument("--policy", type=Path, help="whose cosignatures are asked for (C2SP tlog-policy)")
    parser.add_argument("--json", action="store_true", help="answer as one JSON document")
    parser.add_argument("--lang", choices=("zh", "en"), default="zh")
    given = parser.parse_args(arguments)
    try:
        policy = given.policy.read_text(encoding="utf-8") if given.policy else None
        proven = evidence.check(given.bundle, given.vkey, policy)
    except (OSError, ValueError) as error:
        what = str(error) if not isinstance(error, OSError) else "a file could not be read"
        sys.stderr.write(f"huanshu-verify: {what}\n")
        sys.exit(3)
    if given.json:
        sys.stdout.write(json.dumps(dataclasses.asdict(proven), ensure_ascii=False, indent=2) + "\n")
    else:
        sys.stdout.write("\n".join(evidence.told(proven, given.lang)) + "\n")
    sys.exit(1 if proven.problems else 0)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="huanshu-verify",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Verify a Huanshu log and the data it speaks of, without trusting Huanshu. 独立核验。",
        epilog="""examples:
  huanshu-verify --published FOLDER --vkey NAME+HASH+KEY --policy witnesses.policy --state mine.json
  huanshu-verify --published FOLDER --archive OLD --vkey NAME+HASH+KEY
  huanshu-verify evidence BUNDLE --vkey NAME+HASH+KEY --policy witnesses.policy
  huanshu-verify --url postgresql://… --vkey NAME+HASH+KEY --data --receiver 990101001001=postgresql://…
exit codes: 0 clean · 1 problems · 2 usage · 3 something could not be read""",
    )
    say = parser.add_argument
    say("--url", help="the district database (a role that may read log.*; with --data, also district.*)")
    say("--published", type=Path, metavar="FOLDER", help="the log's published folder, or a copy of it")
    say("--archive", type=Path, metavar="DIR", help="where old published entries were moved to")
    say("--vkey", help="the log's verifier key (name+hash+key)")
    say("--head", type=Path, help="the keeper's head file")
    say("--policy", type=Path, help="whose cosignatures are asked for (C2SP tlog-policy)")
    say("--data", action="store_true", help="also every row of the district store")
    say("--receiver", action="append", default=[], metavar="CODE=URL", help="a receiver's store")
    say("--state", type=Path, help="what was verified last: go on from there; written anew when all is clean")
    say("--full", action="store_true", help="look at everything again; the state is only written")
    say("--json", action="store_true", help="answer as one JSON document")
    say("--lang", choices=("zh", "en"), default="zh")
    return parser


def _options(given: argparse.Namespace) -> Options:
    def text(path: Path | None) -> str | None:
        return None if path is None else path.read_text(encoding="utf-8")

    known = given.state is not None and given.state.exists() and not given.full
    return Options(
        url=given.url,
        vkey=given.vkey,
        head=text(given.head),
        receivers=dict(pair.split("=", 1) for pair in given.receiver),
        data=given.data,
        published=given.published,
        archive=given.archive,
        policy=text(given.policy),
        state=text(given.state) if known else None,
        progress=_tell if sys.stderr.isatty() else None,
    )


def _tell(entries: int) -> None:
    sys.stderr.write(f"\r{entries:,} …\r")
    sys.stderr.flush()


def _replace(path: Path, text: str) -> None:
    """Whole or not at all: a crash leaves the state before, from which a run only looks at more."""
    new = path.with_name(f".{path.name}.new")
    with new.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)


def told(report: Report, lang: str) -> list[str]:
    """The report as lines for a person."""
    words = _WORDS[lang]
    lines = []
    for name, _ in STEPS:
        bad = [problem for problem in report.problems if problem.step == name]
        lines.append(f"{'✗' if bad else '✓'} {name.partition(' ')[0]} {words[name]}")
        lines += [f"    {problem.at}: {problem.what}" for problem in bad[:_SHOWN]]
    lines += [f"    {said}" for said in report.steps if said not in dict(STEPS)]
    for gap in report.gaps:
        said = {**dataclasses.asdict(gap), "signers": ", ".join(gap.persons)}
        lines.append(f"! {words['gap'].format(**said)}")
    lines.append(f"{words['entries']} {report.entries} · {words['root']} {report.root}")
    if report.under_way:
        lines.append(f"{words['under_way']}: {len(report.under_way)}")
    lines.append(words["clean"] if report.clean else f"{words['bad']}: {len(report.problems)}")
    return lines


if __name__ == "__main__":
    main()
