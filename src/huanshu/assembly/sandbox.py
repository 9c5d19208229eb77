"""A sandbox made ready: the log begun, policies adopted, senders enrolled, flows approved — by fictional persons.

Only the owner of a sandbox can do this; each act is an entry in the name of the person who would do it. Extracts
for it are signed here with throw-away keys of fictional senders.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Literal

from huanshu.assembly.keeper_process import clock_of
from huanshu.assembly.running import connect
from huanshu.auditlog import Signer, create_signing_key
from huanshu.canonical import canonical
from huanshu.catalog import Flow, Home
from huanshu.catalog.lockout import seconds_bundles
from huanshu.errors import ContentError, Text, Where
from huanshu.identity import (
    adopt_policies,
    approve_flow,
    create_origin,
    enrol_sender,
    propose_policies,
)
from huanshu.keeper.tickets import Ticket
from huanshu.settings import Settings

_APPROVED_DAYS = 180


@dataclass(frozen=True, slots=True)
class Sandbox:
    """A prepared sandbox: senders' signing keys by domain code."""

    settings: Settings
    home: Home
    senders: dict[str, Signer] = field(repr=False)

    def write_extract(
        self, flow: Flow, name: str, content: bytes, *, sequence: int, period: str, records: int,
        mode: Literal["full", "changes"] = "full", encoding: Literal["utf-8", "gb18030"] = "utf-8",
        extra: dict[str, Any] | None = None,
    ) -> Path:  # fmt: skip
        """Put an extract and its signed manifest where the intake flow looks; returns the manifest's path."""
        folder = self.settings.intake_folder / flow.flow
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
        manifest: dict[str, Any] = {
            "manifest": 1,
            "sender": flow.source,
            "dataset": flow.dataset,
            "sequence": sequence,
            "period": period,
            "mode": mode,
            "file": name,
            "encoding": encoding,
            "sha256": hashlib.sha256(content).hexdigest(),
            "records": records,
            **(extra or {}),
        }
        manifest["signature"] = self.senders[flow.source].sign(canonical(manifest)).hex()
        path = folder / f"{Path(name).stem}.manifest.json"
        path.write_text(json.dumps(manifest, ensure_ascii=False, indent=2))
        return path

    def sign_extract(self, flow: Flow, unsigned: Path) -> Path:
        """Send what a department wrote: move the file that ``unsigned`` names, then lay its signed manifest beside it.

        ``unsigned`` is a manifest that lacks only its signature; it stays, and the file, of whatever size, is not
        read. Returns the signed manifest's path."""
        manifest: dict[str, Any] = json.loads(unsigned.read_text(encoding="utf-8"))
        folder = self.settings.intake_folder / flow.flow
        folder.mkdir(parents=True, exist_ok=True)
        name = manifest["file"]
        # The manifest last: an extract without one is not sent yet.
        shutil.move(unsigned.with_name(name), folder / name)
        manifest["signature"] = self.senders[flow.source].sign(canonical(manifest)).hex()
        path = folder / f"{Path(name).stem}.manifest.json"
        path.write_text(json.dumps(manifest, ensure_ascii=False, indent=2))
        return path


def enrol_community(settings: Settings, code: str) -> Signer:
    """The throw-away key by which a fictional community signs its corrections; enrolled when first asked for."""
    security = connect(settings, holder_of_role(connect(settings).home, "security_officer")).keeper
    signer = _sender_key(settings, code)
    if security.sender_key(code) != signer.public_key.hex():
        enrol_sender(security, code, signer.public_key.hex())
    security.close()
    return signer


def sign_corrections(
    signer: Signer, sender: str, dataset: str, sequence: int, changes: Sequence[Mapping[str, Any]]
) -> bytes:
    """A signed batch of corrections as a community would send it."""
    members: dict[str, Any] = {
        "corrections": 1,
        "sender": sender,
        "dataset": dataset,
        "sequence": sequence,
        "nonce": secrets.token_hex(16),
        "changes": list(changes),
    }
    members["signature"] = signer.sign(canonical(members)).hex()
    return json.dumps(members, ensure_ascii=False).encode()


def prepare(settings: Settings) -> Sandbox:
    """Begin the log as a sandbox and put everything of the home in force. The stack must be up; repeatable."""
    observer = connect(settings, None)
    home = observer.home
    officer = holder_of_role(home, "security_officer")
    security = connect(settings, officer).keeper
    status = security.status()
    if status["size"] == 0:
        create_origin(security, sandbox=True)
    if security.status()["adopted"] != home.policies.digest:
        put_in_force(settings)
    senders = {}
    for source in sorted({flow.source for flow in home.flows.values() if flow.kind == "intake"}):
        senders[source] = _sender_key(settings, source)
        public = senders[source].public_key.hex()
        if security.sender_key(source) != public:
            enrol_sender(security, source, public)
    until: date = clock_of(home)().date() + timedelta(days=_APPROVED_DAYS)
    for flow in home.flows.values():
        if security.approval(flow.flow, flow.digest) is None:
            approve_flow(
                connect(settings, holder_of(home, flow.accountable_post)).keeper, home, flow.flow, until
            )
    security.close()
    return Sandbox(settings, home, senders)


def put_in_force(settings: Settings) -> Ticket:
    """Adopt the policies as they are read now, by as many fictional persons as it takes: what may widen takes two."""
    home = connect(settings, None).home
    author = connect(settings, holder_of_role(home, "security_officer")).keeper
    try:
        if author.status()["adopted"] is None:
            return adopt_policies(author, home)
        propose_policies(author, home, home.policies.digest)  # fictional persons have read all of it
    finally:
        author.close()
    other = connect(settings, _second_person(home)).keeper
    try:
        return adopt_policies(other, home, home.policies.digest)
    finally:
        other.close()


def _second_person(home: Home) -> str:
    """Who may agree to what the security officer proposes: another one, or the district's chief data officer."""
    now, author = clock_of(home)().date(), holder_of_role(home, "security_officer")
    for holding in home.policies.holdings:
        held = holding.valid_from <= now <= holding.valid_until
        if seconds_bundles(home.policies, holding) and holding.person != author and held:
            return holding.person
    raise _vacant("cdo")


def holder_of(home: Home, post: str) -> str:
    """The person who holds a post now. ContentError when it is vacant."""
    holders = home.policies.holders(post, clock_of(home)())
    if not holders:
        raise _vacant(post)
    return holders[0].person


def holder_of_role(home: Home, role: str) -> str:
    """The first person who holds a post with that role now."""
    now = clock_of(home)().date()
    for holding in home.policies.holdings:
        if (
            holding.role == role
            and holding.capacity == "holder"
            and holding.valid_from <= now <= holding.valid_until
        ):
            return holding.person
    raise _vacant(role)


def _sender_key(settings: Settings, source: str) -> Signer:
    folder = settings.state / "senders"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / f"{source}.key"
    if not path.exists():
        create_signing_key(path)
    return Signer.load(path)


def _vacant(what: str) -> ContentError:
    return ContentError(
        "identity.post.vacant",
        Text(f"nobody holds {what} now", f"{what} 当前无人任职"),
        remedy=Text("enter a holder in policies/posts.csv", "请在 policies/posts.csv 中登记任职者"),
        where=Where("policies/posts.csv"),
    )
