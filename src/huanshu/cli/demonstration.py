"""``huanshu demo``: the whole loop on the fictional district, twice round, and what came of it on one screen.

Nothing here is special to the demo but its data: the same stack, flows, gate and log as anywhere. Each figure on
the last screen is read from the log or the stores, not remembered.
"""

from __future__ import annotations

import json
import shutil
import time
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from huanshu.assembly import Running, Stack, connect
from huanshu.assembly.airflow_service import AirflowService
from huanshu.assembly.reporting import build_report
from huanshu.assembly.sandbox import Sandbox, holder_of_role, prepare
from huanshu.assembly.verifying import verify_deployment
from huanshu.auditlog.reader import read_entries
from huanshu.catalog import Flow, Rung, read_home
from huanshu.cli.speech import Speech
from huanshu.errors import DeniedError, InputError, Text, UnavailableError
from huanshu.exchange.intake import run_intake
from huanshu.exchange.receipts import sign
from huanshu.exchange.runs import complete_run, run_delivery
from huanshu.gate.read import Asked, read
from huanshu.settings import Settings
from huanshu.simulator import Form, Scale, Simulation, write
from huanshu_verify import Report

_SEED = 20260101
_DATASET = "resident"


@dataclass
class _Show:
    """One demonstration: what runs, and what was seen."""

    settings: Settings
    speech: Speech
    simulation: Simulation
    airflow: AirflowService | None = None
    truths: list[dict[str, Any]] = field(default_factory=list)
    started: float = field(default_factory=time.monotonic)
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def step(self, text: Text):  # type: ignore[no-untyped-def]
        began = time.monotonic()
        with self.speech.err.status(self.speech.say(text)):
            yield
        took = time.monotonic() - began
        self.seconds[text.en] = took
        if not self.speech.as_json:
            self.speech.err.print(f"[green]✓[/] {self.speech.say(text)} [dim]{took:.1f} s[/]")


def demonstrate(settings: Settings, speech: Speech, *, residents: int, airflow: bool, keep: bool) -> None:
    """Run the demonstration and print its last screen."""
    home = read_home(settings.home)
    if _DATASET not in home.contracts:
        raise InputError(
            "cli.demo.elsewhere",
            Text(
                "the demo needs a home with residents, as the sample district",
                "演示需要含居民登记的治理目录，如示例区",
            ),
            remedy=Text("run it in the repository's folder", "请在代码仓库目录中运行"),
        )
    if settings.state == settings.home / ".huanshu":
        settings = replace(settings, state=settings.state / "demo")
    _afresh(settings, keep=keep)
    show = _Show(settings, speech, Simulation(home, _SEED, Scale.of(residents), (_DATASET,)))
    with show.step(Text("PostgreSQL twice, keeper, log", "启动两套 PostgreSQL、钥匙保管与日志")):
        stack = Stack(settings).__enter__()
    try:
        with show.step(
            Text("policies adopted, sender enrolled, flows approved", "策略生效、报送方登记、流向批准")
        ):
            sandbox = prepare(settings)
        if airflow:
            show.airflow = AirflowService.of(stack.deployment)
            with show.step(Text("Airflow", "启动 Airflow")):
                show.airflow.start()
        intake, delivery = _flows(sandbox)
        for period in (1, 2):
            _period(show, sandbox, intake, delivery, period)
        with show.step(Text("clerks sign for what arrived", "社区数据员签收")):
            _sign(show, sandbox, delivery)
        tried = _attempts(show, sandbox, delivery)
        with show.step(Text("independent verifier over log and slices", "独立核验日志与各社区数据")):
            report = verify_deployment(connect(show.settings))
        with show.step(Text("report for the chief data officer", "生成首席数据官报告")):
            page, _ = build_report(_officer(show, sandbox), speech.language, None, None)
        _last_screen(show, sandbox, delivery, tried, report, page)
    finally:
        if show.airflow is not None:
            show.airflow.stop()
        stack.stop()


def _afresh(settings: Settings, *, keep: bool) -> None:
    marker = settings.state / "deployment.json"
    if marker.exists() and not keep:
        made = json.loads(marker.read_text())
        from huanshu.assembly import open_deployment

        for name in made["embedded"]:
            open_deployment(settings).server(name).stop()
    if not keep:
        shutil.rmtree(settings.state, ignore_errors=True)


def _flows(sandbox: Sandbox) -> tuple[Flow, Flow]:
    flows = sandbox.home.flows.values()
    intake = next(flow for flow in flows if flow.kind == "intake" and flow.dataset == _DATASET)
    return intake, next(f for f in flows if f.kind == "delivery" and f.dataset == intake.dataset)


def _period(show: _Show, sandbox: Sandbox, intake: Flow, delivery: Flow, period: int) -> None:
    encoding = "utf-8" if period == 1 else "gb18030"
    with show.step(
        Text(
            f"period {period}: the department sends its register ({encoding})",
            f"第 {period} 期：部门报送登记册（{encoding}）",
        )
    ):
        _send(show, sandbox, intake, period, "csv" if period == 1 else "gb18030")
    with show.step(
        Text(f"period {period}: intake — checked, sealed, stored", f"第 {period} 期：接收——校验、密封、入库")
    ):
        _run_intake(show, intake, period)
    with show.step(
        Text(
            f"period {period}: delivery — each community its slice", f"第 {period} 期：交付——每个社区恰得其份"
        )
    ):
        _run_delivery(show, delivery, period)


def _send(show: _Show, sandbox: Sandbox, intake: Flow, period: int, form: Form) -> None:
    extract = show.simulation.extract(intake.dataset, period)
    written = write(sandbox.home, extract, show.settings.state / "department", form)
    show.truths.append(dict(extract.truth))
    # The platform has the extract only until it is taken in; the department would keep its own.
    sandbox.sign_extract(intake, written.manifest)


def _run_intake(show: _Show, intake: Flow, period: int) -> None:
    if show.airflow is None:
        ground = connect(show.settings).ground()
        run_intake(ground, intake.flow, f"demo-{period}", show.settings.intake_folder / intake.flow)
        return
    run = show.airflow.trigger(intake.flow)
    _require_success(show, intake.flow, run, show.airflow.wait(intake.flow, run))


def _run_delivery(show: _Show, delivery: Flow, period: int) -> None:
    if show.airflow is None:
        ground = connect(show.settings).ground()
        outcomes = run_delivery(ground, delivery.flow, f"demo-{period}")
        complete_run(ground, delivery.flow, f"demo-{period}", outcomes)
        return
    # Nobody triggers this one: the intake updated the dataset's asset, and the flow waits for that.
    run = show.airflow.wait_for_asset_run(delivery.flow, after=period - 1)
    _require_success(show, delivery.flow, run, show.airflow.wait(delivery.flow, run))


def _require_success(show: _Show, dag: str, run: str, state: str) -> None:
    if state != "success":
        raise UnavailableError(
            "cli.demo.run_failed",
            Text(f"{dag} run {run} ended as {state}", f"{dag} 运行 {run} 结束状态为 {state}"),
            remedy=Text(
                f"logs: {show.settings.state}/airflow/logs", f"日志：{show.settings.state}/airflow/logs"
            ),
        )


def _sign(show: _Show, sandbox: Sandbox, delivery: Flow) -> None:
    for code in delivery.receivers[:-1]:  # one community has not signed yet: the report says so
        sign(connect(show.settings, _clerk(sandbox, code)[0]).ground(), code)


def _clerk(sandbox: Sandbox, code: str) -> tuple[str, str]:
    """(person, post) of a community's data clerk."""
    holding = next(
        h for h in sandbox.home.policies.holdings
        if h.domain == code and h.role == "data_clerk" and h.capacity == "holder"
    )  # fmt: skip
    return holding.person, holding.post


def _attempts(show: _Show, sandbox: Sandbox, delivery: Flow) -> list[tuple[Text, Text]]:
    """What a clerk may and may not do, tried."""
    ours, theirs = delivery.receivers[0], delivery.receivers[1]
    person, post = _clerk(sandbox, ours)
    running = connect(show.settings, person)
    record = _first(running, delivery.dataset, ours)
    neighbour = _first(running, delivery.dataset, theirs)

    def attempt(domain: str, number: int, purpose: str) -> Text:
        asked = Asked(
            post, domain, delivery.dataset, purpose, {"name": Rung.MASK, "phone": Rung.REVEAL}, number
        )
        try:
            answer = read(running.home, running.keeper, running.district, asked)
        except (DeniedError, InputError) as error:
            return Text(f"refused: {error.code}", f"拒绝：{error.code}")
        return Text(
            f"opened 2 fields, entry {answer.entry_index}", f"开启 2 个字段，条目 {answer.entry_index}"
        )

    purpose = delivery.purpose
    seen = [
        (Text("own resident, registered purpose", "本社区居民，登记用途"), attempt(ours, record, purpose)),
        (Text("neighbour's resident", "邻社区居民"), attempt(theirs, neighbour, purpose)),
        (Text("neighbour's record number", "邻社区的记录编号"), attempt(ours, neighbour, purpose)),
        (Text("no purpose", "未说明用途"), attempt(ours, record, "")),
    ]
    running.keeper.close()
    return seen


def _first(running: Running, dataset: str, home: str) -> int:
    with running.district() as district:
        row = district.execute(
            f"SELECT min(record) FROM district.{dataset} WHERE batch_out IS NULL AND home = %s".encode(),
            (home,),
        ).fetchone()
    return int(row[0]) if row else 0


def _officer(show: _Show, sandbox: Sandbox) -> Running:
    return connect(show.settings, holder_of_role(sandbox.home, "cdo"))


def _last_screen(
    show: _Show, sandbox: Sandbox, delivery: Flow, tried: list[tuple[Text, Text]], report: Report, page: Path
) -> None:
    speech, running = show.speech, connect(show.settings)
    with running.district() as district:
        entries = [entry.body for entry in read_entries(district)]
    intakes = [e["detail"] for e in entries if e["event"] == "exchange.intake.promoted"]
    arrivals = [e for e in entries if e["event"] == "exchange.delivery.arrived"]
    signed = {e["detail"]["delivery"] for e in entries if e["event"] == "exchange.delivery.signed"}
    speech.tell(Text("", ""))
    speech.table(
        Text("Intake: the department's register", "接收：部门登记册"),
        [
            Text("period", "期"),
            Text("rows", "行数"),
            Text("good", "合格"),
            Text("quarantined", "隔离"),
            Text("planted defects", "植入错误"),
            Text("unchanged", "未变"),
            Text("left the district", "迁出/注销"),
        ],
        [
            (number, truth["rows"], told["good"], told["quarantined"],
             sum(1 for d in truth["defects"] if d["rules"]), told["unchanged"], told["withdrawn"])
            for number, (truth, told) in enumerate(zip(show.truths, intakes, strict=True), 1)
        ],
    )  # fmt: skip
    rows = []
    for code in delivery.receivers:
        mine = [e for e in arrivals if e["domain"] == code]
        holds = _holds(running, delivery.dataset, code)
        sent = " + ".join(str(e["detail"]["count"]) for e in mine)
        gone = sum(e["detail"]["withdrawn"] for e in mine)
        marks = sum(e["detail"]["delivery"] in signed for e in mine)
        domain = sandbox.home.policies.domains[code]
        store = Text(domain.store or "district", domain.store or "区库")
        rows.append(
            (domain.name, store, sent, gone, holds, f"{len(mine)}/{len(mine)}", f"{marks}/{len(mine)}")
        )
    speech.table(
        Text("Delivery: each community exactly its slice", "交付：每个社区恰得其份"),
        [
            Text("community", "社区"),
            Text("store", "存储"),
            Text("sent", "送达"),
            Text("withdrawn", "撤回"),
            Text("holds", "现有"),
            Text("arrived", "到达"),
            Text("signed", "签收"),
        ],
        rows,
    )
    speech.table(
        Text("A clerk tries", "一名社区数据员的尝试"),
        [Text("what", "操作"), Text("answer", "闸口答复")],
        tried,
    )
    words = Text("clean", "通过") if report.clean else Text("PROBLEMS", "发现问题")
    speech.tell(
        Text(
            f"Log: {report.entries} entries, {report.loans} key loans, {report.rows} delivered rows"
            f" — verifier: {words.en}",
            f"日志 {report.entries} 条，借钥 {report.loans} 次，已交付 {report.rows} 行——独立核验：{words.zh}",
        ),
        style="bold green" if report.clean else "bold red",
    )
    total = time.monotonic() - show.started
    speech.tell(Text(f"Report: {page}", f"报告：{page}"))
    speech.tell(
        Text(
            f"Done in {total:.0f} s. This is a sandbox: every person and resident is fictional.",
            f"用时 {total:.0f} 秒。演练环境：人员与居民均为虚构。",
        )
    )
    speech.result(
        {
            "seconds": show.seconds,
            "total": total,
            "clean": report.clean,
            "entries": report.entries,
            "report": str(page),
        }
    )
    if not report.clean:
        raise UnavailableError("cli.demo.unclean", Text("the verifier found problems", "核验发现问题"))


def _holds(running: Running, dataset: str, code: str) -> int:
    with running.receiver(code) as store:
        row = store.execute(f"SELECT count(*) FROM receiver_{code}.{dataset}".encode()).fetchone()
    return int(row[0]) if row else 0
