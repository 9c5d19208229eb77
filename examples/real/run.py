# ruff: noqa: INP001 - a folder of scripts, no package
"""The loop on real files that nobody here wrote: FEBRL's persons, given back to a real district.

    python examples/real/run.py [--lang zh|en] [--data FOLDER]

Everything happens in a temporary folder; nothing of the real files stays behind. Leaves with 1 when the
platform and ``expected.py``, which knows the two files and nothing of Huanshu, do not agree; with 0 and a
clear word when the files are absent.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from compare import disagreements
from expected import Expected, expected
from loop import DIVISIONS, PERSONS, ROOT, Seen, absent, loop

from huanshu.cli.speech import Speech
from huanshu.errors import HuanshuError, Text
from huanshu.settings import Language, read_settings


def summary(speech: Speech, want: Expected, seen: Seen, wrong: list[Text], took: float) -> None:
    """The screen: what came in, what became of it, what no rule can see."""
    sizes = [rows.total() for rows in seen.slices.values()]
    platform, alone = Text("platform", "平台"), Text("the files alone", "仅据文件计算")
    linked = Text("duplicate rows, linked to a known person", "关联到已有主体的重复行")
    served = sum(map(bool, sizes)), sum(map(bool, want.slices.values()))
    speech.table(
        Text("Two real files through the loop", "两份真实文件走完整个闭环"),
        [Text("what", "项目"), platform, alone],
        [
            (Text("rows sent", "报送行数"), seen.good + seen.quarantined, want.rows),
            (Text("good", "合格"), seen.good, want.good),
            (Text("quarantined, sealed", "隔离（密封）"), len(seen.quarantine), want.quarantined),
            (Text("persons (subjects)", "人（主体）"), seen.subjects, want.subjects),
            (linked, seen.good - seen.subjects, want.good - want.subjects),
            (Text("communities served", "送达社区数"), *served),
            (Text("rows delivered", "送达行数"), sum(sizes), want.good),
            (Text("smallest and largest slice", "最小与最大份额"), _extremes(seen), _extremes(want)),
            (Text("opened again by a second run", "再次运行重复开启"), seen.opened_again, 0),
        ],
    )
    effects = (Text("quarantined", "隔离"), seen.rules, want.rules), (
        Text("warned", "提示"), seen.warnings, want.warnings
    )  # fmt: skip
    speech.table(
        Text("What the rules found (a row may break several)", "规则发现的问题（一行可触发多条）"),
        [Text("rule", "规则"), Text("effect", "结果"), platform, alone],
        [
            (rule, effect, ours.get(rule, 0), theirs.get(rule, 0))
            for effect, ours, theirs in effects
            for rule in sorted(ours.keys() | theirs.keys())
        ],
    )
    missed = want.true_pairs - want.linked_pairs
    speech.tell(
        Text(
            f"FEBRL knows {want.true_pairs} pairs of rows of one person among the good ones: {want.linked_pairs} "
            f"linked, {missed} not (the number itself is mistyped), {want.false_pairs} linked wrongly.",
            f"按 FEBRL 自带答案，合格行中同一人的记录对共 {want.true_pairs} 对：已关联 {want.linked_pairs} 对，"
            f"未关联 {missed} 对（号码本身录错），误关联 {want.false_pairs} 对。",
        )
    )
    report = seen.report
    speech.tell(
        Text(
            f"Independent verifier: {report.entries} entries, {report.loans} loans, {report.rows} delivered "
            f"rows, {len(report.problems)} problems.",
            f"独立核验：日志 {report.entries} 条，借钥 {report.loans} 次，已交付 {report.rows} 行，"
            f"问题 {len(report.problems)} 个。",
        )
    )
    phases = ", ".join(f"{what} {seconds:.1f}" for what, seconds in seen.seconds.items())
    speech.tell(Text(f"{took:.0f} s ({phases}).", f"用时 {took:.0f} 秒（{phases}）。"))
    for text in wrong:
        speech.tell(Text(f"✗ {text.en}", f"✗ {text.zh}"), style="bold red")
    if not wrong:
        speech.tell(
            Text(
                "✓ None lost, none invented: every figure agrees.", "✓ 一条不少，一条不多：各项数字全部一致。"
            ),
            style="bold green",
        )


def _extremes(of: Expected | Seen) -> str:
    sizes = [rows.total() for rows in of.slices.values()]
    return f"{min(sizes)} – {max(sizes)}"


def main() -> int:
    """Exit code: 0 all agree, or nothing to run on; 1 they do not."""
    parser = argparse.ArgumentParser(description="The loop on real files. 在真实文件上运行整个闭环。")
    parser.add_argument("--lang", choices=("zh", "en"))
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    options = parser.parse_args()
    language: Language = options.lang or read_settings().language
    speech = Speech(language)
    if missing := absent(options.data):
        names = ", ".join(missing)
        speech.tell(
            Text(
                f"SKIPPED: {names} not found in {options.data}; nothing was run, nothing is shown.",
                f"已跳过：{options.data} 中没有 {names}；未运行，也没有任何结论。",
            ),
            style="bold yellow",
        )
        return 0
    began = time.monotonic()
    want = expected(options.data / PERSONS, options.data / DIVISIONS)
    with tempfile.TemporaryDirectory(prefix="huanshu-real-") as work:
        try:
            seen = loop(options.data, Path(work), language)
        except HuanshuError as error:
            speech.fail(error)
            return error.exit_code
    wrong = disagreements(want, seen)
    summary(speech, want, seen, wrong, time.monotonic() - began)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
