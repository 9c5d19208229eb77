"""``huanshu up``: everything running, where to look, and Ctrl-C to stop all of it."""

from __future__ import annotations

import time

from huanshu.assembly import Stack
from huanshu.assembly.airflow_service import AirflowService, airflow_installed
from huanshu.assembly.running import connect
from huanshu.assembly.sandbox import holder_of_role, prepare
from huanshu.cli.speech import Speech
from huanshu.errors import HuanshuError, InputError, Text
from huanshu.identity import create_origin
from huanshu.settings import Settings

#: How often ``up`` looks whether server and keeper still live.
_LOOK_SECONDS = 5


def bring_up(
    settings: Settings, speech: Speech, *, sandbox: bool, airflow: bool, acting_as: str | None
) -> None:
    """Bring the stack up and hold it until interrupted."""
    if airflow and not airflow_installed():
        raise InputError(
            "cli.airflow.missing",
            Text("Airflow is not installed", "未安装 Airflow"),
            remedy=Text(
                "install huanshu[airflow], or: huanshu up --no-airflow",
                "请安装 huanshu[airflow]，或：huanshu up --no-airflow",
            ),
        )
    with speech.err.status(
        speech.say(Text("starting PostgreSQL and keeper …", "正在启动 PostgreSQL 与钥匙保管 …"))
    ):
        stack = Stack(settings).__enter__()
    service: AirflowService | None = None
    try:
        _begin(settings, sandbox=sandbox, acting_as=acting_as)
        if airflow:
            service = AirflowService.of(stack.deployment)
            with speech.err.status(speech.say(Text("starting Airflow …", "正在启动 Airflow …"))):
                service.start()
        _say_where(settings, speech, service)
        while True:
            time.sleep(_LOOK_SECONDS)
            try:
                stack.mend()
            except HuanshuError as error:  # told, and tried again: what is down stays closed meanwhile
                speech.err.print(f"✗ {error.explain(speech.language)}", style="red", markup=False)
    except KeyboardInterrupt:
        speech.tell(Text("stopping …", "正在停止 …"))
    finally:
        if service is not None:
            service.stop()
        stack.stop()


def _begin(settings: Settings, *, sandbox: bool, acting_as: str | None) -> None:
    """An empty log is begun: as a sandbox by a fictional officer, otherwise by the person established."""
    home = connect(settings).home
    keeper = connect(
        settings, acting_as or (holder_of_role(home, "security_officer") if sandbox else None)
    ).keeper
    status = keeper.status()
    if status["size"] == 0 and not sandbox:
        create_origin(keeper, sandbox=False)
    keeper.close()
    if status["sandbox"] or (sandbox and status["size"] == 0):
        prepare(settings)


def _say_where(settings: Settings, speech: Speech, service: AirflowService | None) -> None:
    speech.tell(Text(f"state    {settings.state}", f"状态目录  {settings.state}"))
    if service is not None:
        speech.tell(Text(f"Airflow  {service.url}  (user admin, password in {service.password_file})",
                         f"Airflow   {service.url}（用户 admin，密码见 {service.password_file}）"))  # fmt: skip
    speech.tell(
        Text(
            "try      huanshu status · huanshu flow list · huanshu drill list",
            "试试      huanshu status · huanshu flow list · huanshu drill list",
        )
    )
    speech.tell(Text("Ctrl-C stops all of it", "Ctrl-C 停止全部"))
    speech.result({"state": str(settings.state), "airflow": service.url if service else None})
