"""From a request to a ticket: established → admitted → appended, in that order and no other.

Crash points: before the append returns, nothing was lent; after it, a ticket may exist that nobody used — the log then
names an access that did not happen, never the other way round (invariant 1).
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from pyroaring import BitMap

from huanshu.catalog import Home
from huanshu.catalog.lockout import locked_out
from huanshu.catalog.narrowing import Widened
from huanshu.errors import DeniedError, Text, UnavailableError
from huanshu.keeper import bundles, comparing, large
from huanshu.keeper.admission import Admission
from huanshu.keeper.budgets import require_subjects
from huanshu.keeper.cells import StoredCell
from huanshu.keeper.corrections import PLATFORM_ONLY
from huanshu.keeper.custody import ROTATION
from huanshu.keeper.establish import Asker, Peer, establish, unkept
from huanshu.keeper.logkeeping import BEFORE_ADOPTION, LogKeeping
from huanshu.keeper.tickets import SETTLING, Ticket, refused, still_valid
from huanshu.keeper.vault import linked_through
from huanshu.sealing import CellContext, open_column
from huanshu.sealing.blobs import seal_blob
from huanshu.sealing.keys import bitmap_key, data_key

#: What says whom it is about, though it be nobody: otherwise the question who saw whom would pass it over.
_ABOUT_MANY = {"exchange.delivery.authorised", "exchange.delivery.stopped"}
_NAMED = 5  # changed files of a bundle that a refusal names
#: What shows a record that was looked up by its identifier.
_FOUND = frozenset({"access.record.authorised", comparing.COMPARED})
#: What the keeper alone says in an entry's detail, whatever a client claims.
_OWN_WORDS = frozenset({"raised", "emergency", "sought"})
#: What is said of the files as they are read now, though others are in force.
_OF_BUNDLES = frozenset({"policy.bundle.proposed", "policy.bundle.adopted"})


class Admitting(LogKeeping):
    """What every request goes through."""

    @contextmanager
    def _asked(self, peer: Peer, acting_as: str | None, *, settled: bool = True) -> Iterator[Asker]:
        """One request: alone, on a live log, under the home as it is now, from an asker established by the bundle in
        force: who can write the files is nobody by them. ``settled``: what it sees of the log is durable; only an
        append may build on what is staged, because it is durable after it."""
        with self._alone():
            self._recover()
            if settled:
                self._parts.writer.settle_all()
            self._refresh()
            if not self._is_ruled:
                raise unkept()
            yield establish(
                peer,
                acting_as,
                self._home.policies,
                sandbox=self._register.sandbox or self._parts.writer.size == 0,
                keeper_uid=self._parts.keeper_uid,
            )

    def _append(
        self, asker: Asker, claim: Mapping[str, Any], bitmap: bytes | None, *, durable: bool = True
    ) -> Ticket:
        once = claim.get("once")
        if once is not None and not _is_of(str(once), str(claim["event"])):
            # Or whoever may log anything at all could take the key of what somebody else is about to tell.
            raise refused("keeper.once.other", "its key names another event", "其幂等键属于另一事件")
        if once is not None and (found := self._parts.writer.find(str(once))) is not None:
            if found.entry.event != claim["event"]:
                raise refused("keeper.once.other", "its key names another event", "其幂等键属于另一事件")
            if found.entry.event.startswith("access."):
                self._require_same(asker, found.entry.body)
            return Ticket(found.entry.index, found.leaf_hash.hex())
        if claim["event"] == "log.origin.created":
            named = {"origin": self._parts.writer.origin, "vkey": self._parts.writer.vkey}
            claim = {**claim, "detail": {**claim["detail"], **named}}
        elif self._parts.writer.mark().size == 0:
            # Not even a refusal may be entry 0: what kind of log this is must be said first, for ever.
            raise UnavailableError(
                "auditlog.log.not_begun",
                Text("the log has not been begun", "日志尚未创建"),
                remedy=Text("huanshu up (or huanshu up --sandbox)", "huanshu up（或 huanshu up --sandbox）"),
            )
        admission = self._admission(self._read if claim["event"] in _OF_BUNDLES else self._home)
        told = {name: said for name, said in claim["detail"].items() if name not in _OWN_WORDS}
        claim = {**claim, "detail": told}
        try:
            body, seen = self._admitted(admission, asker, claim, bitmap)
        except DeniedError as denied:
            self._tell_refusal(admission, asker, claim, denied)
            raise
        if claim["event"] == "policy.bundle.adopted":
            bundles.keep(self._parts.connect, self._read)
        sealed = None
        if bitmap is None and body["event"] in _ABOUT_MANY:
            raise ValueError("a delivery names its subjects")
        if bitmap is not None:
            member = "records" if claim["event"] == "exchange.delivery.recalled" else "subjects"
            body[member], sealed = self._sealed(bitmap)
        ticket = self._write(body, once, sealed, seen, durable=durable)
        if body["event"].startswith("access.emergency."):
            self._pay_emergencies()
        return ticket

    def _admitted(
        self, admission: Admission, asker: Asker, claim: Mapping[str, Any], bitmap: bytes | None
    ) -> tuple[dict[str, Any], BitMap | None]:
        """The entry's body, and whom it is about: after everything that may refuse it."""
        self._require_current(claim)
        body = admission.admit(asker, claim)
        self._recalled.require_readable(body, self._home)
        seen = None if bitmap is None else _bitmap(bitmap)
        require_subjects(self._home.contracts.get(str(body.get("dataset"))), body, seen)
        self._erased.require_none(body, bitmap)
        if (sought := self._sought(body, claim)) is not None:
            body["detail"] = {**body["detail"], "sought": sought}
        self._require_within(body, seen)
        large.require_seconded(self._register, self._home.policies.limits, body, seen)
        if body["event"] == "exchange.delivery.authorised":
            replaced = {str(k): base64.b64decode(v) for k, v in claim.get("replaced", {}).items()}
            if replaces := self._recalled.replaced_by(body, replaced):
                body["detail"] = {**body["detail"], "replaces": replaces}
        return body, seen

    @contextmanager
    def _refusing(self, asker: Asker, claim: Mapping[str, Any]) -> Iterator[None]:
        """A refusal inside is told for the person established."""
        try:
            yield
        except DeniedError as denied:
            self._tell_refusal(self._admission(), asker, claim, denied)
            raise

    def _tell_refusal(
        self, admission: Admission, asker: Asker, claim: Mapping[str, Any], denied: DeniedError
    ) -> None:
        told = admission.denial(asker, claim, denied)
        if told is not None:
            self._write(told, None, None)

    def _good(self, ticket: Ticket) -> Mapping[str, Any]:
        body = self._tickets.entry(ticket)
        self._require_fresh()
        still_valid(body, self._read, self._register, self._parts.writer.now())
        self._recalled.require_readable(body, self._home)
        return body

    def _admission(self, home: Home | None = None) -> Admission:
        return Admission(
            home or self._home,
            self._enforcer,
            self._register,
            self._tickets,
            self._parts.writer.now(),
            self._home.policies if self._is_ruled else None,
            lambda: bool(self._widened()),
            self._parts.second,
            self._parts.another,
            self._parts.due,
        )

    def _widened(self) -> list[Widened]:
        """What in the bundle read now may widen the one in force; asked only where one is put in the other's place."""
        before, now = self._register.policy_digest, self._parts.writer.now()
        found = bundles.widened(self._parts.connect, before, self._read)
        return [*found, *locked_out(self._home.policies, self._read.policies, now)]

    def _require_current(self, claim: Mapping[str, Any]) -> None:
        """Compare-and-append: no entry under rules that are not the adopted ones, or not those decided under."""
        digest = self._read.policies.digest
        proposes = claim["event"] == "policy.bundle.proposed"
        if proposes or claim["event"] in BEFORE_ADOPTION or claim["event"] in SETTLING:
            return  # what has happened is told even while the rules are in doubt
        if self._register.policy_digest != digest:
            raise self._unadopted(digest)
        if claim.get("policy", digest) != digest:
            raise DeniedError(
                "keeper.append.stale_policy",
                Text("decided under a policy that is no longer current", "作出判定所依据的策略已失效"),
                remedy=Text("ask again under the rules of now", "请按现行规则重新申请"),
            )

    def _unadopted(self, digest: str) -> DeniedError:
        files = bundles.differing(self._parts.connect, self._register.policy_digest, self._read)
        named = ", ".join(files[:_NAMED]) + (" …" if len(files) > _NAMED else "")
        return DeniedError(
            "policy.bundle.unadopted",
            Text(
                f"the policies read now ({digest[:12]}) are not the adopted ones"
                + (f": {named}" if named else ""),
                f"当前策略（{digest[:12]}）尚未生效" + (f"，有改动：{named}" if named else ""),
            ),
            remedy=Text(
                "put the files back, or security staff review the change and run: huanshu access plan,"
                " huanshu policy propose, huanshu policy adopt",
                "请恢复这些文件，或由安全人员复核后运行：huanshu access plan、huanshu policy propose、"
                "huanshu policy adopt",
            ),
        )

    def _require_within(self, body: dict[str, Any], seen: BitMap | None) -> None:
        """Within the person's budgets, or by a second person's consent, which the entry then names."""
        limits, now = self._home.policies.limits, self._parts.writer.now()
        consent = self._budgets.require_within(body, seen, limits, now)
        if consent is not None:
            body["detail"] = {**body["detail"], "raised": consent}

    def _sought(self, body: Mapping[str, Any], claim: Mapping[str, Any]) -> int | None:
        """The look-up by identifier that this look settles: the record holds what was sought. ``found_by``: the
        record's own identifier, as it lies in the store; it is opened here, and nothing of it leaves."""
        contract, found_by = self._home.contracts.get(str(body.get("dataset"))), claim.get("found_by")
        if found_by is None or contract is None or body["event"] not in _FOUND:
            return None
        own = contract.primary_key
        if not own.sealed:
            value: str | None = str(found_by)  # whoever could say it wrongly reads it in the store
        else:
            cell = StoredCell.from_json(found_by)
            if (cell.field, cell.record) != (own.name, body["detail"]["record"]) or not self._within(
                cell.domain, body["domain"]
            ):
                raise refused("keeper.open.not_named", "the entry does not name this value", "条目未载明该值")
            value = self._stored(body, cell)
        if value is None or own.link_kind is None:
            return None
        linked = linked_through(self._parts.vault, own.link_kind, value)
        return self._budgets.sought(str(body["person"]), contract.dataset, linked)

    def _require_same(self, asker: Asker, body: Mapping[str, Any]) -> None:
        """A single read is opened for the person its entry names: whoever reads the log can read tickets."""
        if asker.person is None or asker.person != body["person"]:
            raise refused("keeper.ticket.not_yours", "it is another person's", "凭据属于他人")

    def _require_party(self, asker: Asker, body: Mapping[str, Any]) -> None:
        """A run's keys go to a system that runs flows, or to a person who holds the flow's post now."""
        if body["event"] == ROTATION:
            self._admission().require_scheduler(asker)
            return
        if body["event"] in PLATFORM_ONLY and asker.person is not None:
            raise refused("keeper.ticket.platform_only", "its keys are the platform's", "其密钥只借给平台")
        try:
            self._admission().require_runner(asker, str(body["post"]))
        except DeniedError:
            raise refused("keeper.ticket.not_yours", "it is another post's", "凭据属于其他岗位") from None

    def _stored(self, body: Mapping[str, Any], cell: StoredCell) -> str | None:
        """The value as it is; who calls says what of it leaves."""
        dataset = str(body["dataset"])
        key = self._parts.vault.key(data_key(cell.domain, dataset, cell.field, cell.epoch), born=False)
        context = CellContext(cell.domain, dataset, cell.field, cell.rung, cell.epoch)
        (value,) = open_column(key, context, [cell.record], [cell.version], [cell.sealed])
        return value

    def _within(self, code: str, above: str) -> bool:
        domains = self._home.policies.domains
        return code == above or (code in domains and domains.is_below(code, above))

    def _sealed(self, bitmap: bytes) -> tuple[dict[str, Any], bytes]:
        """The bitmap sealed for the log, and the member that binds it to its entry. Counted here: alerts go by the
        number; and what is no bitmap would lie there for ever, in the way of every question who saw whom."""
        count = len(_bitmap(bitmap))
        plain = hashlib.sha256(bitmap)
        name = bitmap_key(self._home.policies.keys.epoch)
        sealed = seal_blob(self._parts.vault.key(name), name, plain.hexdigest(), bitmap)
        member = {
            "count": count,
            "sha256": plain.hexdigest(),
            "sealed_sha256": hashlib.sha256(sealed).hexdigest(),
        }
        return member, sealed


def _bitmap(raw: bytes) -> BitMap:
    try:
        return BitMap.deserialize(raw)
    except (ValueError, IndexError):
        raise ValueError("this is no bitmap") from None


def _is_of(once: str, event: str) -> bool:
    """Whether an idempotency key is of this event, or of a kind of events that it belongs to."""
    kind = once.partition("/")[0]
    return event == kind or event.startswith(f"{kind}.")
