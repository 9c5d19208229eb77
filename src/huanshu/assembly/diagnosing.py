"""A diagnosis of this machine's deployment: works with whatever of it is up, starts nothing that has failed.

A deployment of which nothing runs at all (commands bring it up for their own time) is brought up for the time of the
diagnosis; one of which a part is down stays as it is.
"""

from __future__ import annotations

import stat
from pathlib import Path

from huanshu.assembly.deployment import Deployment, open_deployment
from huanshu.assembly.running import connect
from huanshu.assembly.stack import Stack, answers, owned
from huanshu.catalog import inspect_home
from huanshu.errors import ContentError, HuanshuError, Text
from huanshu.exchange.diagnosis import Diagnosis, Host, diagnose
from huanshu.exchange.failures import BY_KEY
from huanshu.exchange.symptoms import Party, Symptom
from huanshu.keeper.root import ROOT_FILES
from huanshu.sealing.keys import ROOT_KEY_BYTES
from huanshu.settings import Settings


def examine(settings: Settings, acting_as: str | None, subject: str) -> Diagnosis:
    """Diagnose a flow or a run. A home that cannot be read is the diagnosis: nothing else can be asked then."""
    deployment = open_deployment(settings)
    if faults := inspect_home(settings.home)[1]:
        return Diagnosis(subject, known=False, run=None, symptoms=tuple(map(_broken, faults)))
    if not answers(settings) and not owned(settings) and not _anything_runs(deployment):
        try:
            with Stack(settings):
                return _examined(settings, acting_as, subject)
        except HuanshuError as error:
            if error.code != "assembly.keeper.down":
                raise
    return _examined(settings, acting_as, subject)


def _broken(fault: ContentError) -> Symptom:
    row = BY_KEY["home_broken"]
    file = fault.where.file if fault.where else ""
    editors = (
        Text("security staff", "安全人员")
        if file.startswith(("policies/", "audit/"))
        else Text("engineers", "工程师")
    )
    return Symptom(
        failure=row.key,
        flow="",
        about=str(fault.where or ""),
        state=fault.code,
        what=Text(fault.explain("en"), fault.explain("zh")),
        acts=Party(editors),
        waits=Party(Text("every flow", "所有流向")),
        until="",
        first=row.first,
        safe=row.safe,
        never=row.never,
    )


def _examined(settings: Settings, acting_as: str | None, subject: str) -> Diagnosis:
    running = connect(settings, acting_as)
    host = Host(root_key_problem(settings.keeper_folder / "root.key"), _last_words(settings.keeper_folder))
    try:
        return diagnose(running.ground(), subject, lambda flow: settings.intake_folder / flow, host)
    finally:
        running.keeper.close()


def root_key_problem(path: Path) -> Text | None:
    """What can be seen of the root key file from outside: that it is there, whole, and closed to others."""
    try:
        seen = path.stat()
    except FileNotFoundError:
        if path.with_name(ROOT_FILES["pkcs11"]).exists():
            return None  # in a device: only the keeper can say
        return Text(f"the root key file {path.name} is missing", f"根密钥文件 {path.name} 缺失")
    except OSError:
        return None  # another user's folder: only the keeper can say
    if seen.st_size not in ROOT_KEY_BYTES.values():
        return Text(f"{path.name} has not the length of a root key", f"{path.name} 不是根密钥的长度")
    if stat.S_IMODE(seen.st_mode) & 0o077:
        return Text(
            f"{path.name} is readable by others (needs mode 0600)", f"{path.name} 可被他人读取（须为 0600）"
        )
    return None


def _last_words(folder: Path) -> str:
    try:
        return ((folder / "keeper.err").read_text(errors="replace").strip().splitlines() or [""])[-1]
    except OSError:
        return ""


def _anything_runs(deployment: Deployment) -> bool:
    return not deployment.embedded or any(deployment.server(name).running for name in deployment.embedded)
