"""The witness over HTTP: ``POST /add-checkpoint`` and ``GET /<hex SHA-256 of the origin>/checkpoint``. On loopback, or
with TLS; one request is decided at a time. Nothing of a request is logged but its outcome."""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from huanshu_witness.deciding import LARGEST, Answer, add_checkpoint
from huanshu_witness.state import State, StateError

_LOOPBACK = ("127.0.0.1", "::1", "localhost")
_PATIENCE_SECONDS = 10


class _Request(BaseHTTPRequestHandler):
    server: WitnessServer
    protocol_version = "HTTP/1.1"
    timeout = _PATIENCE_SECONDS

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length", "")
        if self.path != "/add-checkpoint":
            self._answer(Answer(404), close=True)
        elif not (length.isascii() and length.isdigit()) or len(length) > 9 or int(length) > LARGEST:
            self._answer(Answer(400), close=True)
        else:
            self._answer(self.server.decide(self.rfile.read(int(length))))

    def do_GET(self) -> None:
        parts = self.path.split("/")
        note = self.server.note(parts[1]) if len(parts) == 3 and parts[2] == "checkpoint" else None
        self._answer(Answer(404) if note is None else Answer(200, note))

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Silent: what a log sends is nobody's reading matter."""

    def _answer(self, answer: Answer, *, close: bool = False) -> None:
        raw = answer.body.encode()
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.kind)
        self.send_header("Content-Length", str(len(raw)))
        if close:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(raw)


class WitnessServer(ThreadingHTTPServer):
    """Serves one state until ``shutdown``."""

    daemon_threads = True

    def __init__(
        self,
        state: State,
        host: str,
        port: int,
        certificate: Path | None = None,
        key: Path | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if host not in _LOOPBACK and certificate is None:
            raise StateError("beyond this machine a witness needs --certificate and --key")
        self._state, self._clock, self._one = state, clock, threading.Lock()
        super().__init__((host, port), _Request)
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.minimum_version = ssl.TLSVersion.TLSv1_2
            context.load_cert_chain(certificate, key)
            self.socket = context.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)

    def decide(self, body: bytes) -> Answer:
        with self._one:
            return add_checkpoint(self._state, body, self._clock)

    def note(self, origin_hash: str) -> str | None:
        with self._one:
            return self._state.note(origin_hash)
