"""How a witness's answer comes to us: by one HTTP request, or in a file that somebody carried. Bounded in time and
length; what an answer means is for who asked."""

from __future__ import annotations

import hashlib
import http.client
import ssl
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from huanshu.errors import HuanshuError, InputError, Text
from huanshu.tlog import Witness, WitnessPolicy
from huanshu.tlog.cosignatures import LARGEST_ANSWER

_SECONDS: Final = 5.0
#: Witnesses asked side by side.
AT_ONCE: Final = 16


@dataclass(frozen=True, slots=True)
class Answered:
    """A witness's answer: HTTP status and body; where files were carried, also the note it has signed last."""

    status: int
    body: bytes
    held: str | None = None


def request(url: str, method: str, path: str, body: bytes | None) -> Answered:
    """One request, without redirects and without proxies: it goes where the policy says or nowhere."""
    parts = urlsplit(url)
    assert parts.hostname is not None
    made: http.client.HTTPConnection
    if parts.scheme == "https":
        made = http.client.HTTPSConnection(
            parts.hostname, parts.port, timeout=_SECONDS, context=ssl.create_default_context()
        )
    else:
        made = http.client.HTTPConnection(parts.hostname, parts.port, timeout=_SECONDS)
    try:
        made.request(
            method, parts.path.rstrip("/") + path, body, {"Content-Type": "text/plain; charset=utf-8"}
        )
        answer = made.getresponse()
        raw = answer.read(LARGEST_ANSWER + 1)
    finally:
        made.close()
    if len(raw) > LARGEST_ANSWER:
        raise InputError(
            "tlog.cosignature.malformed", Text("a witness answered at great length", "见证方答复过长")
        )
    return Answered(answer.status, raw)


def answer_file(path: Path) -> Answered:
    """An answer as ``huanshu_witness`` writes it beside the request: status, LF, body; where it is no cosignature, an
    empty line and the note that it has signed last."""
    with path.open("rb") as file:
        raw = file.read(2 * LARGEST_ANSWER)
    status, _, rest = raw.partition(b"\n")
    if len(status) != 3 or not status.isdigit():
        raise InputError("tlog.cosignature.malformed", Text("an answer has no status", "答复缺少状态"))
    if int(status) == 200:
        return Answered(200, rest)
    body, _, held = rest.partition(b"\n\n")
    return Answered(int(status), body + b"\n", held.decode(errors="replace") or None)


def shown(policy: WitnessPolicy, origin: str) -> dict[str, str | None]:
    """What each witness that can be asked shows of an origin: label → the note it signed last, None where it knows
    none. Who does not answer is not in it."""
    asked = [witness for witness in policy.witnesses if witness.url is not None]
    path = f"/{hashlib.sha256(origin.encode()).hexdigest()}/checkpoint"

    def ask(witness: Witness) -> tuple[str, Answered | None]:
        try:
            return witness.label, request(str(witness.url), "GET", path, None)
        except (HuanshuError, OSError, http.client.HTTPException):
            return witness.label, None

    if not asked:
        return {}
    with ThreadPoolExecutor(max_workers=min(len(asked), AT_ONCE)) as pool:
        answers = list(pool.map(ask, asked))
    return {
        label: answer.body.decode(errors="replace") if answer.status == 200 else None
        for label, answer in answers
        if answer is not None and answer.status in (200, 404)
    }
