"""An ended purpose loses its keys: what was made comparable for it is comparable with nothing new, not even by us.

After ``valid_until`` of the *adopted* rules the keys of its tokens are destroyed. That cannot be taken back, so a clock
that somebody turned must not bring it about: a purpose has to have been ended for a day of the clock that nobody can
set, counted anew when the keeper starts. The entry comes first: a crash in between leaves the keys and a second entry,
never a destruction untold. A purpose that is prolonged afterwards gets new keys, and other tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date
from typing import Final

from huanshu.catalog import Home
from huanshu.keeper.vault import Vault
from huanshu.sealing import KeyName

#: Seconds that a purpose must have been ended.
WAIT: Final = 86_400.0


class Endings:
    """Since when purposes have been seen ended, by a clock that nobody can set."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._since: dict[str, float] = {}
        self._done: set[str] = set()

    def due(self, home: Home, vault: Vault, today: date) -> Iterator[tuple[str, list[KeyName]]]:
        """Purposes that have been ended long enough and have keys yet, with their names. Consume one before the next is
        asked for: it is destroyed then. The store is asked once a purpose."""
        ended = {p.purpose for p in home.policies.purposes.values() if p.valid_until < today}
        self._since = {name: self._since.get(name, self._monotonic()) for name in ended}
        self._done &= ended
        for purpose in sorted(ended - self._done):
            if self._monotonic() - self._since[purpose] >= WAIT:
                if names := vault.names(f"token/{purpose}/"):
                    yield purpose, names
                self._done.add(purpose)
