"""The keeper of a log that lacks acknowledged entries: closed, until two persons give them up.

It holds neither the root key nor a vault, so there is nothing that it could open. It says what is missing, takes
signatures, and with the second one opens the next origin (``auditlog.reopening``); then the ordinary keeper starts.
Everything else it is asked is refused as the start of the ordinary keeper was.

Before it says what is missing it asks the witnesses for the newest checkpoint they have seen: what is given up is never
less than what is known. While fewer than a quorum answer, nobody can sign.

Crash points
    between the signatures   the first waits in its file, and nothing has changed.
    after the second         see ``auditlog.reopening``; the file is taken away last, and binds a statement that no
                             longer is.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import psycopg

from huanshu.auditlog import HeadStore, Origins, PublishedLog, Register
from huanshu.auditlog.asking import shown
from huanshu.auditlog.forgotten import forgotten
from huanshu.auditlog.reopening import REOPENED, Loss, find_loss, reopen, set_aside
from huanshu.catalog import Home
from huanshu.catalog.working_days import due
from huanshu.errors import DeniedError, HuanshuError, TamperedError, Text, UnavailableError
from huanshu.keeper.establish import Asker, Peer, establish
from huanshu.keeper.holding import in_words
from huanshu.keeper.reopening import Signature, TwoPersons
from huanshu.keeper.server import Listener
from huanshu.store.durable import write_whole
from huanshu.tlog import WitnessPolicy

#: The first signature is good as long as a finding may stay open.
_UNTIL: Final = "finding_due"


@dataclass(frozen=True, slots=True)
class ClosedParts:
    """What a closed keeper stands on."""

    read_home: Callable[[], Home]
    policy: Callable[[], WitnessPolicy]
    origins: Origins
    head: HeadStore
    published: PublishedLog
    connect: Callable[[], psycopg.Connection]
    waiting: Path
    clock: Callable[[], datetime]
    keeper_uid: int
    rule: TwoPersons


class ClosedService:
    """``refused``: why the ordinary keeper does not start; what everything but the signatures is answered with.

    TamperedError from the constructor when the log is no beginning of the acknowledged one: then nobody can sign."""

    def __init__(self, parts: ClosedParts, refused: TamperedError) -> None:
        self._parts = parts
        self.refused = TamperedError(
            refused.code,
            refused.what,
            remedy=Text(
                "see what is missing: huanshu audit reopen; nothing is opened meanwhile",
                "查看缺失内容：huanshu audit reopen；期间不开启任何值",
            ),
        )
        self._lock = threading.Lock()
        self._known: tuple[str, Loss, Register] | None = None
        #: Set when the next origin has been opened.
        self.opened = threading.Event()
        self._loss(self._newest({}))

    def tend(self) -> None:
        """Nothing: a closed log does not grow."""

    def close(self) -> None:
        """Holds nothing."""

    def missing(self, peer: Peer, acting_as: str | None) -> dict[str, Any]:
        """What is missing, what would be opened, who has signed: indices, digests and times, for any established
        person."""
        with self._lock:
            loss, _, told = self._told()
            self._asker(peer, acting_as)
            first = self._first(loss)
            return {
                **loss.statement,
                "digest": loss.digest,
                **told,
                "forgotten": self._forgotten(loss),
                "signed": None
                if first is None
                else {"person": first.person, "post": first.post, "until": first.until},
            }

    def give_up(
        self, peer: Peer, acting_as: str | None, digest: str, reason: str, *, dry_run: bool
    ) -> dict[str, Any]:
        """Take a signature; with the second one open the next origin."""
        with self._lock:
            loss, answered, told = self._told()
            asker = self._asker(peer, acting_as)
            if not answered:
                raise UnavailableError(
                    "auditlog.witnesses.silent",
                    Text(
                        "no quorum of witnesses answers: they may have seen more than is known here",
                        "见证方答复未达法定数：其所见可能多于此处已知",
                    ),
                    remedy=Text("reach the witnesses first", "请先恢复与见证方的连接"),
                )
            if digest != loss.digest:
                raise DeniedError(
                    "auditlog.reopening.other",
                    Text("the statement is another by now", "待签署的内容已不同"),
                    remedy=Text("look again: huanshu audit reopen", "请重新查看：huanshu audit reopen"),
                )
            signature = self._signature(asker, digest, reason)
            first = self._first(loss)
            whole = self._parts.rule.complete(self._parts.read_home(), first, signature)
            said = {"digest": digest, "person": signature.person, "post": signature.post, "complete": whole}
            if dry_run:
                return {**said, "entry": None}
            if not whole:
                note = signature.note(self._parts.origins.signer, loss.given_up.origin)
                write_whole(self._parts.waiting, note.encode())  # a person has signed
                return {**said, "until": signature.until, "entry": None}
            return {**said, **self._open(loss, first or signature, signature, told["witnesses"])}

    # -- pieces ---------------------------------------------------------------------------------

    def _open(
        self, loss: Loss, first: Signature, second: Signature, witnesses: dict[str, int]
    ) -> dict[str, Any]:
        parts = self._parts
        vkey = parts.origins.signer.vkey(loss.origin)
        body = {
            "v": 1,
            "index": loss.first,
            "event": REOPENED,
            "at": max(parts.clock(), loss.since).isoformat(timespec="microseconds"),
            "person": second.person,
            "established": {"by": second.by, "account": second.account},
            "post": second.post,
            "policy": self._register.policy_digest or "",
            "detail": {
                **{name: loss.statement[name] for name in ("given_up", "restored", "first", "last", "since", "origin")},
                "vkey": vkey,
                "statement": loss.digest,
                "signed": {
                    name: getattr(first, name) for name in ("person", "post", "by", "account", "at", "reason")
                },
                "reason": second.reason,
                "forgotten": self._forgotten(loss),
                **witnesses,
            },
        }  # fmt: skip
        assert self._known is not None
        parts.head.write(
            self._known[0]
        )  # what is given up is what the head says: ``finish`` asks for it after a crash
        entry, note = reopen(parts.connect, loss, parts.origins.signer, body)
        set_aside(parts.published, loss.origin, loss.first)
        parts.head.write(note)
        with suppress(OSError):
            parts.waiting.unlink()
        self.opened.set()
        return {"entry": entry.index, "origin": loss.origin, "vkey": vkey}

    def _forgotten(self, loss: Loss) -> dict[str, Any]:
        """What was destroyed and erased in the missing range, as far as the published log still says."""
        return forgotten(loss, self._parts.origins, self._parts.published).as_json()

    def _signature(self, asker: Asker, digest: str, reason: str) -> Signature:
        parts, home = self._parts, self._parts.read_home()
        at = parts.clock()
        if home.policies.digest != self._register.policy_digest:
            # Who holds which post is what the restored log says was adopted, not what somebody has edited since.
            raise DeniedError(
                "policy.bundle.unadopted",
                Text(
                    f"the policies read now ({home.policies.digest[:12]}) are not those that the restored log adopted"
                    f" ({(self._register.policy_digest or '')[:12]})",
                    f"当前策略（{home.policies.digest[:12]}）不是已恢复日志所启用的"
                    f"（{(self._register.policy_digest or '')[:12]}）",
                ),
                remedy=Text(
                    "put back the home of that moment (version control)", "请恢复当时的治理目录（版本库）"
                ),
            )
        post = parts.rule.post(home, asker, at)
        ends = due(at, home.obligations[_UNTIL], home.calendar)
        return Signature(
            digest=digest,
            person=str(asker.person),
            post=post,
            by=asker.by,
            account=asker.account,
            at=at.isoformat(timespec="microseconds"),
            until=ends.isoformat(),
            reason=in_words({"detail": {"reason": reason}}, "reason"),
        )

    def _asker(self, peer: Peer, acting_as: str | None) -> Asker:
        parts = self._parts
        policies = parts.read_home().policies
        return establish(
            peer, acting_as, policies, sandbox=self._register.sandbox, keeper_uid=parts.keeper_uid
        )

    @property
    def _register(self) -> Register:
        assert self._known is not None  # the constructor has read it
        return self._known[2]

    def _first(self, loss: Loss) -> Signature | None:
        """The signature that waits, unless it is of another statement or too old."""
        try:
            note = self._parts.waiting.read_text(encoding="utf-8", errors="replace")
        except OSError:
            return None
        found = Signature.of(note, self._parts.origins.signer, loss.given_up.origin)
        if found is None or found.digest != loss.digest:
            return None
        return found if datetime.fromisoformat(found.until) > self._parts.clock() else None

    def _told(self) -> tuple[Loss, bool, dict[str, Any]]:
        """What is missing, whether enough witnesses have answered, and how many were asked."""
        policy = self._parts.policy()
        shown_by = shown(policy, self._parts.origins.current)
        carried = {witness.label for witness in policy.witnesses if witness.url is None}
        loss, _ = self._loss(self._newest(shown_by))
        counts = {"asked": len(policy.witnesses) - len(carried), "answered": len(shown_by)}
        return loss, policy.met(shown_by.keys() | carried), {"witnesses": counts}

    def _newest(self, shown_by: dict[str, str | None]) -> str:
        """The note of the largest checkpoint that the head or a witness knows. Only what our key signed counts."""
        best = self._parts.head.read() or ""
        size = self._parts.origins.read(best).size
        for note in shown_by.values():
            with suppress(HuanshuError):
                if note is not None and (there := self._parts.origins.read(note).size) > size:
                    best, size = note, there
        return best

    def _loss(self, newest: str) -> tuple[Loss, Register]:
        if self._known is None or self._known[0] != newest:
            register = Register()
            with self._parts.connect() as connection:
                loss = find_loss(connection, self._parts.origins, newest, register.apply)
            self._known = (newest, loss, register)
        return self._known[1], self._known[2]


class ClosedServer(Listener):
    """A closed keeper behind the keeper's socket."""

    def __init__(self, path: Path, service: ClosedService) -> None:
        self._service = service
        super().__init__(path, service)

    def _dispatch(self, peer: Peer, request: dict[str, Any]) -> Any:
        service, acting = self._service, request.get("acting_as")
        match request["op"]:
            case "missing":
                return service.missing(peer, acting)
            case "give_up":
                answer = service.give_up(
                    peer,
                    acting,
                    str(request["digest"]),
                    str(request["reason"]),
                    dry_run=bool(request["dry_run"]),
                )
                if answer["entry"] is not None:
                    threading.Thread(target=self.shutdown, daemon=True).start()
                return answer
            case _:
                raise service.refused
