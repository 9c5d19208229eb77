"""The order of the demo: two months in full, the people, then the month of the mistake, then the proof."""

from __future__ import annotations

import json
import shutil
from contextlib import ExitStack
from dataclasses import replace

from huanshu.assembly import Stack, connect
from huanshu.assembly.airflow_service import AirflowService
from huanshu.assembly.reporting import build_report
from huanshu.assembly.sandbox import Sandbox, holder_of_role, prepare
from huanshu.assembly.verifying import verify_deployment
from huanshu.catalog import Flow, Home, read_home
from huanshu.cli.demonstration.mistake import confuse
from huanshu.cli.demonstration.people import attempts, correct, mover, sign_all
from huanshu.cli.demonstration.rounds import deliver, send, take_in
from huanshu.cli.demonstration.screen import Seen, last_screen
from huanshu.cli.demonstration.show import Show
from huanshu.cli.speech import Speech
from huanshu.errors import InputError, Text
from huanshu.settings import Settings
from huanshu.simulator import Form, Scale, Simulation

_SEED = 20260101
_DATASET = "resident"
_FORMS: dict[int, Form] = {1: "csv", 2: "gb18030"}


def demonstrate(settings: Settings, speech: Speech, *, residents: int, airflow: bool, keep: bool) -> None:
    """Run the demonstration and print its last screen. UnavailableError when it did not come out as promised."""
    home = _with_residents(read_home(settings.home))
    if settings.state == settings.home / ".huanshu":
        settings = replace(settings, state=settings.state / "demo")
    if not keep:
        _afresh(settings)
    simulation = Simulation(home, _SEED, Scale.of(residents), (_DATASET,))
    with ExitStack() as up:
        up.enter_context(Stack(settings))
        sandbox = prepare(settings)
        intake, delivery = _flows(sandbox)
        show = Show(connect(settings), sandbox, speech, simulation, intake, delivery)
        if airflow:
            with show.step(Text("Airflow", "启动 Airflow")):
                show.airflow = AirflowService.of(show.running.deployment)
                up.callback(show.airflow.stop)
                show.airflow.start()
        for period, form in _FORMS.items():
            _month(show, period, form)
        with show.step(Text("clerks sign; one tries what is not his", "社区数据员签收；一人试图越权")):
            sign_all(show)
            tried = attempts(show)
        with show.step(
            Text("corrections proposed, judged, answered, delivered", "更正提出、核对、答复、重新下发")
        ):
            answered = correct(show)
        with show.step(Text("a resident who moved: who has seen the record", "迁移居民：谁看过其记录")):
            moved = mover(show)
        with show.step(Text("month 3: two communities confused", "第 3 期：两个社区代码互换")):
            held = confuse(show)
        with show.step(Text("independent verifier over log and slices", "独立核验日志与各社区数据")):
            report = verify_deployment(show.running)
        with show.step(Text("report for the chief data officer", "生成首席数据官报告")):
            officer = show.acting(holder_of_role(sandbox.home, "cdo"))
            page, _ = build_report(officer, speech.language, None, None)
        last_screen(show, Seen(tried, moved, answered, held, report, page))


def _month(show: Show, period: int, form: Form) -> None:
    en, zh = f"month {period}: ", f"第 {period} 期："
    with show.step(Text(f"{en}the department sends its register ({form})", f"{zh}部门报送登记册（{form}）")):
        send(show, period, form)
    with show.step(Text(f"{en}intake — checked, sealed, stored", f"{zh}接收——校验、密封、入库")):
        take_in(show, period)
    with show.step(Text(f"{en}delivery — each community its slice", f"{zh}交付——每个社区恰得其份")):
        if (error := deliver(show, period)) is not None:
            raise error


def _with_residents(home: Home) -> Home:
    if _DATASET not in home.contracts:
        raise InputError(
            "cli.demo.elsewhere",
            Text(
                "the demo needs a home with residents, as the sample district",
                "演示需要含居民登记的治理目录，如示例区",
            ),
            remedy=Text("run it in the repository's folder", "请在代码仓库目录中运行"),
        )
    return home


def _flows(sandbox: Sandbox) -> tuple[Flow, Flow]:
    flows = [flow for flow in sandbox.home.flows.values() if flow.dataset == _DATASET]
    return next(f for f in flows if f.kind == "intake"), next(f for f in flows if f.kind == "delivery")


def _afresh(settings: Settings) -> None:
    marker = settings.state / "deployment.json"
    if marker.exists():
        made = json.loads(marker.read_text())
        from huanshu.assembly import open_deployment

        for name in made["embedded"]:
            open_deployment(settings).server(name).stop()
    shutil.rmtree(settings.state, ignore_errors=True)
