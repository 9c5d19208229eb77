# ruff: noqa: INP001 - a folder of scripts, no package
"""The loop on real files that nobody here wrote: FEBRL's persons, given back to the communities of a real district.

    python examples/real/run.py [--lang zh|en] [--data FOLDER]

This folder is the home of that district, all but ``policies/domains.csv``, which ``huanshu domains import``
makes from the published table into a temporary copy; the casbin model and the holidays, which are the same
everywhere, come from the sample home. Nothing of the real files stays behind. Every figure is read from the log and
the stores, and compared with ``expected.py``, which knows the two files and nothing of Huanshu. Leaves with 1 when
they do not agree, with 0 and a clear word when the files are absent.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from expected import PLAIN, Expected, expected
from sender import ASSIGNED, communities, prepared

from huanshu.assembly import Stack, connect
from huanshu.assembly.sandbox import prepare
from huanshu.auditlog.reader import read_entries
from huanshu.catalog import Flow, Home
from huanshu.cli.speech import Speech
from huanshu.errors import HuanshuError, Text
from huanshu.exchange.intake import run_intake
from huanshu.exchange.runs import complete_run, run_delivery
from huanshu.exchange.tables import receiver_schema
from huanshu.settings import Language, Settings, read_settings
from huanshu_verify import Options, Report, fsck

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
PERSONS, DIVISIONS = "persons_febrl3.csv", "chancheng_divisions.csv"
#: The department that domains.csv gets beside the imported rows; its parent is the one district.
DEPARTMENT = "dept.register,人口登记部门,Register Office,department,{district},"


@dataclass
class Seen:
    """What the log and the stores say."""

    good: int = 0
    quarantined: int = 0
    quarantine_rows: int = 0
    rules: dict[str, int] = field(default_factory=dict)
    warnings: dict[str, int] = field(default_factory=dict)
    #: Receiver → rows of PLAIN in its slice.
    slices: dict[str, Counter[tuple[str, ...]]] = field(default_factory=dict)
    #: Record number → subject ordinal in the district, and → token at the receiver.
    ordinals: dict[str, int] = field(default_factory=dict)
    tokens: dict[str, bytes] = field(default_factory=dict)
    subjects: int = 0
    again: Counter[str] = field(default_factory=Counter)
    opened: int = 0
    opened_again: int = 0
    report: Report = field(default_factory=Report)
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def timed(self, what: str) -> Iterator[None]:
        began = time.monotonic()
        yield
        self.seconds[what] = time.monotonic() - began


def absent(data: Path) -> list[str]:
    """The files that are not there."""
    return [name for name in (PERSONS, DIVISIONS) if not (data / name).is_file()]


def huanshu(*arguments: str) -> subprocess.CompletedProcess[str]:
    """The command line, with this interpreter and the package that this script imported."""
    environment = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
    environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    return subprocess.run(  # noqa: S603 - our own interpreter and module
        [sys.executable, "-m", "huanshu", *arguments],
        capture_output=True, text=True, encoding="utf-8", env=environment, check=False,
    )  # fmt: skip


def make_home(target: Path, divisions: Path) -> Path:
    """A whole home at ``target``: this folder's, with the domains of the table. It has passed ``huanshu check``."""
    for folder in ("policies", "expectations", "dags", "audit"):
        shutil.copytree(HERE / folder, target / folder)
    shutil.copy(ROOT / "policies" / "model.conf", target / "policies")
    shutil.copy(ROOT / "audit" / "calendar.csv", target / "audit")
    domains = target / "policies" / "domains.csv"
    _succeed(huanshu("domains", "import", str(divisions), "--out", str(domains)))
    # Parents stand first in what was imported, and the district is everybody's parent.
    district = domains.read_text(encoding="utf-8").splitlines()[1].split(",")[0]
    with domains.open("a", encoding="utf-8") as file:
        file.write(DEPARTMENT.format(district=district) + "\n")
    _succeed(huanshu("check", str(target)))
    return target


def _succeed(done: subprocess.CompletedProcess[str]) -> None:
    if done.returncode:
        raise SystemExit(f"{' '.join(done.args[3:])}: {done.stdout}{done.stderr}")


def loop(data: Path, work: Path, language: Language) -> Seen:
    """Import, intake, delivery to every community, delivery again, verification; in a deployment in ``work``."""
    seen = Seen()
    with seen.timed("home"):
        home = make_home(work / "home", data / DIVISIONS)
    settings = Settings(home=home, state=work / "state", language=language)
    stack = Stack(settings)
    with seen.timed("start"):
        stack.__enter__()
    try:
        sandbox = prepare(settings)
        intake, delivery = flows(sandbox.home)
        content = prepared(data / PERSONS, communities(data / DIVISIONS))
        names = [f.name for f in sandbox.home.contracts[intake.dataset].fields]
        sandbox.write_extract(
            intake, "persons.csv", content, sequence=1, period="2026-01", records=content.count(b"\n") - 1,
            extra={
                "dialect": {"skip_initial_space": True},
                "columns": {ASSIGNED if name == "community" else name: name for name in names},
            },
        )  # fmt: skip
        ground = connect(settings).ground()
        with seen.timed("intake"):
            run_intake(ground, intake.flow, "real-1", settings.intake_folder / intake.flow)
        with seen.timed("delivery"):
            outcomes = run_delivery(ground, delivery.flow, "real-1")
        complete_run(ground, delivery.flow, "real-1", outcomes)
        seen.opened = sum(outcome.opened for outcome in outcomes)
        with seen.timed("again"):
            again = run_delivery(ground, delivery.flow, "real-2")
        seen.again = Counter(outcome.state for outcome in again)
        seen.opened_again = sum(outcome.opened for outcome in again)
        with seen.timed("verify"):
            seen.report = _verified(settings, stack, delivery)
        _look(seen, settings, intake, delivery)
    finally:
        stack.stop()
    return seen


def flows(home: Home) -> tuple[Flow, Flow]:
    """The intake and the delivery of this home."""
    kinds = {flow.kind: flow for flow in home.flows.values()}
    return kinds["intake"], kinds["delivery"]


def _verified(settings: Settings, stack: Stack, delivery: Flow) -> Report:
    running = connect(settings)
    store = stack.deployment.stores[""]
    return fsck(
        Options(
            stack.deployment.roles["huanshu_app"],
            str(running.keeper.status()["vkey"]),
            (settings.keeper_folder / "head").read_text(),
            dict.fromkeys(delivery.receivers, store),
        )
    )


def _look(seen: Seen, settings: Settings, intake: Flow, delivery: Flow) -> None:
    """Everything that can be read without a key."""
    running = connect(settings)
    dataset = intake.dataset
    with running.district() as district:
        told = next(e.body["detail"] for e in read_entries(district) if e.body["event"] == "exchange.intake.promoted")
        seen.good, seen.quarantined = told["good"], told["quarantined"]
        seen.rules, seen.warnings = told["rules"], told["warnings"]
        seen.quarantine_rows = district.execute("SELECT count(*) FROM district.quarantine").fetchone()[0]  # type: ignore[index]
        seen.subjects = district.execute("SELECT count(*) FROM district.subject").fetchone()[0]  # type: ignore[index]
        query = f"SELECT rec_id, subjects FROM district.{dataset} WHERE batch_out IS NULL"
        seen.ordinals = {rec_id: about[0] for rec_id, about in district.execute(query.encode()) if len(about) == 1}
    with running.receiver(delivery.receivers[0]) as store:
        for code in delivery.receivers:
            query = f"SELECT soc_sec_id, {', '.join(PLAIN)} FROM {receiver_schema(code)}.{dataset}"
            rows = store.execute(query.encode()).fetchall()
            seen.slices[code] = Counter(tuple(cell or "" for cell in row[1:]) for row in rows)
            seen.tokens.update({row[1]: bytes(row[0]) for row in rows})


def disagreements(want: Expected, seen: Seen) -> list[Text]:
    """Every figure that is not what the files alone say; an empty list when all agree."""
    homes = {code: rows for code, rows in want.slices.items() if rows}
    numbers = list(want.persons.values())
    compared = [
        (Text("good rows", "合格行"), seen.good, want.good),
        (Text("quarantined rows", "隔离行"), seen.quarantined, want.quarantined),
        (Text("sealed rows in quarantine", "隔离区密文行"), seen.quarantine_rows, want.quarantined),
        (Text("rows in = good + quarantined", "行数 = 合格 + 隔离"), seen.good + seen.quarantined, want.rows),
        (Text("quarantined by rule", "各规则隔离数"), seen.rules, want.rules),
        (Text("warned by rule", "各规则提示数"), seen.warnings, want.warnings),
        (Text("subjects", "主体"), seen.subjects, want.subjects),
        (Text("persons behind ordinals", "主体序号对应的人"), _groups(seen.ordinals), _groups(want.persons)),
        (Text("persons behind tokens", "比对标记对应的人"), _groups(seen.tokens), _groups(want.persons)),
        (Text("delivered rows", "送达行"), sum(map(Counter.total, seen.slices.values())), len(numbers)),
        (Text("communities served", "已送达社区"), {c for c, rows in seen.slices.items() if rows}, set(homes)),
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


def _groups(named: dict[str, int] | dict[str, bytes] | dict[str, str]) -> set[frozenset[str]]:
    """Which records are one person's, whatever the person is called."""
    by_name: dict[object, set[str]] = {}
    for record, name in named.items():
        by_name.setdefault(name, set()).add(record)
    return {frozenset(records) for records in by_name.values()}


def summary(speech: Speech, want: Expected, seen: Seen, wrong: list[Text], took: float) -> None:
    """The screen: what came in, what became of it, what no rule can see."""
    sizes = [rows.total() for rows in seen.slices.values()]
    shared = want.good - seen.subjects
    speech.table(
        Text("Two real files through the loop", "两份真实文件走完整个闭环"),
        [Text("what", "项目"), Text("platform", "平台"), Text("the files alone", "仅据文件计算")],
        [
            (Text("rows sent", "报送行数"), seen.good + seen.quarantined, want.rows),
            (Text("good", "合格"), seen.good, want.good),
            (Text("quarantined, sealed", "隔离（密封）"), seen.quarantined, want.quarantined),
            (Text("persons (subjects)", "人（主体）"), seen.subjects, want.subjects),
            (Text("duplicate rows linked to a known person", "关联到已有主体的重复行"), shared, want.good - want.subjects),
            (Text("communities served", "送达社区数"), sum(map(bool, sizes)), sum(map(bool, want.slices.values()))),
            (Text("rows delivered", "送达行数"), sum(sizes), want.good),
            (Text("smallest and largest slice", "最小与最大份额"), f"{min(sizes)} – {max(sizes)}",
             "{} – {}".format(*_extremes(want))),
            (Text("opened again by a second run", "再次运行重复开启"), seen.opened_again, 0),
        ],
    )  # fmt: skip
    rules = [(rule, Text("quarantined", "隔离"), seen.rules.get(rule, 0), want.rules.get(rule, 0))
             for rule in sorted(seen.rules.keys() | want.rules.keys())]  # fmt: skip
    rules += [(rule, Text("warned", "提示"), seen.warnings.get(rule, 0), want.warnings.get(rule, 0))
              for rule in sorted(seen.warnings.keys() | want.warnings.keys())]  # fmt: skip
    speech.table(
        Text("What the rules found (a row may break several)", "规则发现的问题（一行可触发多条）"),
        [Text("rule", "规则"), Text("effect", "结果"), Text("platform", "平台"), Text("the files alone", "仅据文件计算")],
        rules,
    )
    missed = want.true_pairs - want.linked_pairs
    speech.tell(
        Text(
            f"FEBRL knows {want.true_pairs} pairs of one person among the good rows: {want.linked_pairs} are linked, "
            f"{missed} are not (the number itself is mistyped), {want.false_pairs} are linked wrongly.",
            f"按 FEBRL 自带答案，合格行中同一人的记录对有 {want.true_pairs} 对：已关联 {want.linked_pairs} 对，"
            f"未关联 {missed} 对（号码本身录错），误关联 {want.false_pairs} 对。",
        )
    )
    report = seen.report
    speech.tell(
        Text(
            f"Independent verifier: {report.entries} entries, {report.loans} loans, {report.rows} delivered rows, "
            f"{len(report.problems)} problems.",
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
            Text("✓ None lost, none invented: every figure agrees.", "✓ 一条不少，一条不多：各项数字全部一致。"),
            style="bold green",
        )


def _extremes(want: Expected) -> tuple[int, int]:
    sizes = [rows.total() for rows in want.slices.values()]
    return min(sizes), max(sizes)


def main() -> int:
    """Exit code: 0 all agree, or nothing to run on; 1 they do not."""
    parser = argparse.ArgumentParser(description="The loop on real files. 在真实文件上运行整个闭环。")
    parser.add_argument("--lang", choices=("zh", "en"))
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    options = parser.parse_args()
    speech = Speech(options.lang or read_settings().language)
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
            seen = loop(options.data, Path(work), speech.language)  # type: ignore[arg-type]
        except HuanshuError as error:
            speech.fail(error)
            return error.exit_code
    wrong = disagreements(want, seen)
    summary(speech, want, seen, wrong, time.monotonic() - began)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
