# ruff: noqa: INP001 - a folder of scripts, no package
"""Do the platform and the files alone say the same? None lost, none invented."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from expected import Expected
from loop import Seen

from huanshu.errors import Text


def disagreements(want: Expected, seen: Seen) -> list[Text]:
    """Every figure that is not what the files alone say; an empty list when all agree."""
    homes = {code: rows for code, rows in want.slices.items() if rows}
    numbers = list(want.persons.values())
    compared = [
        (Text("good rows", "合格行"), seen.good, want.good),
        (Text("quarantined rows", "隔离行"), seen.quarantined, want.quarantined),
        (Text("rows in quarantine and their rules", "隔离区各行及其规则"), seen.quarantine, want.quarantine),
        (Text("rows in = good + quarantined", "行数 = 合格 + 隔离"), seen.good + seen.quarantined, want.rows),
        (Text("quarantined by rule", "各规则隔离数"), seen.rules, want.rules),
        (Text("warned by rule", "各规则提示数"), seen.warnings, want.warnings),
        (Text("subjects", "主体"), seen.subjects, want.subjects),
        (Text("persons behind ordinals", "主体序号对应的人"), _groups(seen.ordinals), _groups(want.persons)),
        (Text("persons behind tokens", "比对标记对应的人"), _groups(seen.tokens), _groups(want.persons)),
        (Text("delivered rows", "送达行"), sum(map(Counter.total, seen.slices.values())), len(numbers)),
        (
            Text("communities served", "已送达社区"),
            {c for c, rows in seen.slices.items() if rows},
            set(homes),
        ),
        (Text("slices", "各社区数据"), seen.slices, want.slices),
        (Text("records opened", "开启记录"), seen.opened, want.good),
        (Text("second run", "再次运行"), dict(seen.again), {"unchanged": len(seen.slices)}),
        (Text("records opened again", "再次开启记录"), seen.opened_again, 0),
        (Text("verifier's rows", "核验行数"), seen.report.rows, want.good),
        (Text("verifier's problems", "核验问题"), len(seen.report.problems), 0),
    ]
    wrong = []
    for what, found, right in compared:
        if found != right:
            numeric = isinstance(found, int)
            shown = (f": {found} ≠ {right}", f"：{found} ≠ {right}") if numeric else ("", "")
            wrong.append(Text(f"{what.en} do not agree{shown[0]}", f"{what.zh}不一致{shown[1]}"))
    return wrong


def _groups(named: Mapping[str, object]) -> set[frozenset[str]]:
    """Which records are one person's, whatever the person is called."""
    by_name: dict[object, set[str]] = {}
    for record, name in named.items():
        by_name.setdefault(name, set()).add(record)
    return {frozenset(records) for records in by_name.values()}
