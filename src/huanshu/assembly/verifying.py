"""Pointing the independent verifier at a running deployment: where the log, the head and the stores are.

The verifier itself shares no code with the platform; this only fills in its options.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from huanshu.assembly.running import Running
from huanshu.auditlog import HeadFile, Origins, Signer
from huanshu.auditlog.witnesses import POLICY
from huanshu.errors import HuanshuError
from huanshu_verify import STEPS, Options, Report, Rule, fsck


def verify_deployment(running: Running, steps: Sequence[Rule] = STEPS, archive: Path | None = None) -> Report:
    """Verify log, keeper's head, district store and every receiver's slice of a deployment."""
    deployment = running.deployment
    receivers = {
        code: deployment.stores[running.home.policies.domains[code].store]
        for flow in running.home.flows.values()
        if flow.kind == "delivery"
        for code in flow.receivers
    }
    settings = deployment.settings
    head = (settings.keeper_folder / "head").read_text()
    policy = settings.home / POLICY
    options = Options(
        deployment.roles["huanshu_app"],
        _vkey(running),
        head,
        receivers,
        data=True,
        published=settings.log_folder,
        archive=archive or (settings.archive_folder if settings.archive_folder.is_dir() else None),
        policy=policy.read_text(encoding="utf-8") if policy.is_file() else None,
    )
    return fsck(options, steps)


def _vkey(running: Running) -> str:
    """The log's public key: the keeper's word; from its key file when a keeper that refuses the log is not up."""
    try:
        return str(running.keeper.status()["vkey"])
    except HuanshuError:
        folder = running.deployment.settings.keeper_folder
        origins = Origins.of(
            Signer.load(folder / "log.key"), running.home.log_origin, HeadFile(folder / "head").read()
        )
        return origins.signer.vkey(origins.current)
