"""The keeper's end of the socket: the kernel names the peer, the service answers, errors travel as errors.

The socket may be connected to by any local account; what an account may do follows from who it is
(``establish``). One thread per connection, and one for the keeper's own rounds; the service serialises. A broken or
malformed message ends its connection and nothing else.
"""

from __future__ import annotations

import contextlib
import logging
import os
import pwd
import resource
import socket
import socketserver
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import psycopg
from pyroaring import BitMap

from huanshu import telemetry
from huanshu.defects import kind_of, place_of, unforeseen
from huanshu.errors import HuanshuError, InputError, Text
from huanshu.keeper import protocol
from huanshu.keeper.cells import StoredCell
from huanshu.keeper.counting import Question
from huanshu.keeper.establish import Peer
from huanshu.keeper.proposals import Acceptance, Proposed
from huanshu.keeper.rounds import Rounds
from huanshu.keeper.service import Service
from huanshu.keeper.tickets import Ticket
from huanshu.sealing import KeyName

_log = logging.getLogger(__name__)


def forbid_core_files() -> None:
    """Neither keys nor values may reach a core file."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def peer_of(connection: socket.socket) -> Peer:
    """Who the kernel says is at the other end (SO_PEERCRED; LOCAL_PEERCRED on macOS)."""
    if sys.platform == "darwin":  # pragma: no cover - struct xucred: version, uid, …
        raw = connection.getsockopt(0, 1, 76)
        _, uid = struct.unpack_from("=II", raw)
    else:
        raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        _, uid, _ = struct.unpack("3i", raw)
    try:
        account = pwd.getpwuid(uid).pw_name
    except KeyError:
        account = f"uid:{uid}"
    return Peer(uid, account)


class _Connection(socketserver.BaseRequestHandler):
    server: Listener

    def handle(self) -> None:
        peer = peer_of(self.request)
        with contextlib.suppress(OSError):
            while (request := protocol.receive(self.request)) is not None:
                protocol.send(self.request, self.server.answer(peer, request))


class Served(Protocol):
    """What stands behind a socket: looked after in rounds, let go of at the end."""

    def tend(self) -> None: ...

    def close(self) -> None: ...


class Listener(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    """Listens on ``path`` until ``shutdown``. The socket's folder must belong to the keeper's user."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, path: Path, served: Served) -> None:
        self._served = served
        path.unlink(missing_ok=True)
        super().__init__(str(path), _Connection)
        self._rounds = Rounds(served.tend)
        self._rounds.start()
        os.chmod(path, 0o666)  # noqa: S103 - who may do what is decided by peer credential, not by mode

    def server_close(self) -> None:
        """Stop listening and let go of log and vault."""
        super().server_close()
        self._rounds.stop()
        self._served.close()

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002
        """A fault of one connection: its class and place are logged, never its text."""
        if (error := sys.exception()) is not None:
            _log.error("a connection ended with %s at %s", kind_of(error), place_of(error))

    def answer(self, peer: Peer, request: dict[str, Any]) -> dict[str, Any]:
        """One request → ``{"ok": …}`` or ``{"error": …}``. A database that is away ends the connection instead: the
        client asks once more, and then says that the keeper does not answer."""
        try:
            with telemetry.continued(request.get("traceparent")):
                return {"ok": self._dispatch(peer, request)}
        except HuanshuError as error:
            return protocol.error_message(error)
        except (KeyError, TypeError, ValueError):
            return protocol.error_message(
                InputError(
                    "keeper.message.malformed",
                    Text(
                        "a message to the keeper lacks a member or has a wrong one",
                        "发往钥匙保管的消息缺少成员或成员有误",
                    ),
                )
            )
        except psycopg.Error:
            raise
        except Exception as error:  # noqa: BLE001 - its words may quote what was sealed
            told = unforeseen(error)
            _log.error("%s", told)
            return protocol.error_message(told)

    def _dispatch(self, peer: Peer, request: dict[str, Any]) -> Any:
        """What the served one answers."""
        raise NotImplementedError


class Server(Listener):
    """The keeper of a log that is whole."""

    def __init__(self, path: Path, service: Service, watch: Callable[[], None] | None = None) -> None:
        """``watch`` is called in rounds of its own, beside the service's: alerts over what was appended."""
        self._service = service
        self._watch = None if watch is None else Rounds(watch)
        super().__init__(path, service)
        if self._watch is not None:
            self._watch.start()

    def server_close(self) -> None:
        if self._watch is not None:
            self._watch.stop()
        super().server_close()

    def _dispatch(self, peer: Peer, request: dict[str, Any]) -> Any:
        service, acting = self._service, request.get("acting_as")
        match request["op"]:
            case "status":
                return service.status(peer, acting)
            case "append":
                raw = request.get("bitmap")
                bitmap = None if raw is None else protocol.as_bytes(raw)
                return _json(service.append(peer, acting, request["claim"], bitmap))
            case "open_ticket":
                found = service.open_ticket(peer, acting, request["event"], request["about"])
                return None if found is None else _json(found)
            case "lend":
                names = [KeyName(str(name)) for name in request["names"]]
                existing = {KeyName(str(name)) for name in request.get("existing", ())}
                lent = service.lend(peer, acting, _ticket(request), int(request["chunk"]), names, existing)
                return {name: protocol.as_text(key) for name, key in lent.items()}
            case "open":
                cells = [StoredCell.from_json(cell) for cell in request["cells"]]
                return service.open(peer, acting, _ticket(request), cells)
            case "compare" | "spent" | "count" | "tally":
                return _within_limits(service, peer, acting, request)
            case "seal" | "accept" | "mark" | "marked":
                return _proposed(service, peer, acting, request)
            case "link":
                linked = service.link(
                    peer, acting, request["claim"], str(request["kind"]), str(request["value"])
                )
                return protocol.as_text(linked)
            case (
                "changes"
                | "custody"
                | "emergencies"
                | "erasures"
                | "findings"
                | "holds"
                | "probe"
                | "recalls"
                | "withheld" as plain
            ):
                return getattr(service, plain)(peer, acting)
            case "seen" | "exposed" | "opened_of" | "open_quarantined" | "order_repair":
                return _asked_of_evidence(service, peer, acting, request)
            case "covered" | "destroy" | "escrow":
                return _confirmed(service, peer, acting, request)
            case "sender_key" | "approval" | "expectations" | "slice_of" | "bound" | "renewals":
                return _looked_up(service, peer, acting, request)
            case other:
                raise _unknown(str(other))


def _unknown(request: str) -> InputError:
    if request in ("missing", "give_up"):  # asked of a closed keeper alone
        return InputError(
            "auditlog.reopening.none",
            Text("nothing that was acknowledged is missing", "已确认的条目没有缺失"),
        )
    return InputError(
        "keeper.message.unknown",
        Text(f"the keeper knows no request {request[:40]!r}", "钥匙保管不识别该请求"),
    )


def _looked_up(service: Service, peer: Peer, acting: str | None, request: dict[str, Any]) -> Any:
    """What the log says of a sender, an approval, a flow, a slice, a batch."""
    match request["op"]:
        case "bound":
            return service.bound(peer, acting, str(request["dataset"]), str(request["batch"]))
        case "renewals":
            return service.renewals(peer, acting, str(request["dataset"]))
        case "sender_key":
            return service.sender_key(peer, acting, str(request["sender"]))
        case "approval":
            return service.approval(peer, acting, str(request["flow"]), str(request["digest"]))
        case "expectations":
            return service.expectations(peer, acting, str(request["flow"]))
        case _:
            return service.slice_of(peer, acting, str(request["flow"]), str(request["receiver"]))


def _confirmed(service: Service, peer: Peer, acting: str | None, request: dict[str, Any]) -> Any:
    """Keys destroyed, or the root key copied, on two persons' word."""
    if request["op"] == "covered":
        return service.covered(peer, acting, request["selector"])
    if request["op"] == "destroy":
        ticket, gone = service.destroy(peer, acting, int(request["proposed"]))
        return {**_json(ticket), "gone": gone}
    words = [str(word) for word in request["passphrases"]]
    ticket, copy = service.escrow(peer, acting, int(request["proposed"]), words)
    return {**_json(ticket), "copy": protocol.as_text(copy)}


def _proposed(service: Service, peer: Peer, acting: str | None, request: dict[str, Any]) -> Any:
    """A proposer's values sealed, a steward's acceptance, a workbook's mark."""
    if request["op"] == "seal":
        given = [Proposed(**item) for item in request["given"]]
        return [protocol.as_text(cell) for cell in service.seal(peer, acting, _ticket(request), given)]
    if request["op"] == "mark":
        return protocol.as_text(service.mark(peer, acting, _ticket(request), str(request["text"])))
    if request["op"] == "marked":
        domain, dataset, text = (str(request[name]) for name in ("domain", "dataset", "text"))
        return service.marked(peer, acting, domain, dataset, text, protocol.as_bytes(request["mark"]))
    made = service.accept(peer, acting, _ticket(request), Acceptance.from_json(request["given"]))
    return None if made is None else made.as_json()


def _asked_of_evidence(service: Service, peer: Peer, acting: str | None, request: dict[str, Any]) -> Any:
    """Who saw somebody; a quarantined row; the order to repair one."""
    if request["op"] == "seen":
        return service.seen(peer, acting, _ticket(request))
    if request["op"] == "exposed":
        organisations = protocol.as_bytes(request["organisations"])
        return service.exposed(peer, acting, _ticket(request), organisations)
    if request["op"] == "opened_of":
        return service.opened_of(peer, acting, int(request["entry"]))
    if request["op"] == "open_quarantined":
        return service.open_quarantined(peer, acting, _ticket(request), protocol.as_bytes(request["sealed"]))
    ticket, sealed = service.order_repair(peer, acting, request["claim"], request["values"])
    return {**_json(ticket), "sealed": protocol.as_text(sealed)}


def _within_limits(service: Service, peer: Peer, acting: str | None, request: dict[str, Any]) -> Any:
    """Comparisons, counts, and what a person has used up."""
    if request["op"] == "spent":
        person = request["person"]
        return service.spent(peer, acting, None if person is None else str(person))
    if request["op"] == "tally":
        by, words = request["by"], [str(word) for word in request["words"]]
        where = {str(name): str(value) for name, value in request["where"].items()}
        ticket, labelled = service.tally(
            peer, acting, request["claim"], None if by is None else str(by), where, words
        )
        return {**_json(ticket), "figures": labelled}
    if request["op"] == "count":
        by, where = request["by"], request["where"]
        question = Question(
            None if by is None else str(by),
            {str(name): str(value) for name, value in where.items()},
            _bitmap(str(request["total"])),
            [(str(value), _bitmap(str(members))) for value, members in request["cells"]],
        )
        ticket, figures = service.count(peer, acting, request["claim"], question)
        return {**_json(ticket), "figures": figures}
    cells = [StoredCell.from_json(cell) for cell in request["cells"]]
    asked = {
        str(name): (str(typed), None if plain is None else str(plain))
        for name, (typed, plain) in request["asked"].items()
    }
    bitmap = protocol.as_bytes(request["bitmap"])
    ticket, found = service.compare(peer, acting, request["claim"], bitmap, cells, asked)
    return {**_json(ticket), "found": found}


def _bitmap(text: str) -> BitMap:
    try:
        return BitMap.deserialize(protocol.as_bytes(text))
    except IndexError:
        raise ValueError from None


def _ticket(request: dict[str, Any]) -> Ticket:
    return Ticket(int(request["ticket"]["index"]), str(request["ticket"]["leaf_hash"]))


def _json(ticket: Ticket) -> dict[str, Any]:
    return {"index": ticket.index, "leaf_hash": ticket.leaf_hash}
