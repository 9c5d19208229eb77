"""The keeper's own rounds: every second publish what is new, and say so in the log when nothing else was said.

A round that fails changes nothing by itself: the evidence grows old, and ``freshness`` closes what must not be opened
on old evidence. A round that finds tampering stops the keeper.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from huanshu.errors import HuanshuError

_log = logging.getLogger(__name__)


class Rounds:
    """A thread that calls ``round_`` again and again until ``stop``."""

    def __init__(self, round_: Callable[[], None], pause: float = 1.0) -> None:
        self._round, self._pause = round_, pause
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="huanshu-rounds", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """End after the round that is under way."""
        self._ended.set()
        if self._thread.ident is not None:
            self._thread.join()

    def _run(self) -> None:
        while not self._ended.wait(self._pause):
            try:
                self._round()
            except HuanshuError as error:
                _log.warning("a round ended with %s", error.code)
            except Exception as error:  # noqa: BLE001 - a dead thread could never resume; its silence closes the keeper
                _log.error("a round ended with %s", type(error).__name__)
