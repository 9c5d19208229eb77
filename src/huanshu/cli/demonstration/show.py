"""One demonstration: what runs, how long each step took, and what is known of its data from the start."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from huanshu.assembly import Running
from huanshu.assembly.airflow_service import AirflowService
from huanshu.assembly.sandbox import Sandbox
from huanshu.catalog import Flow
from huanshu.cli.speech import Speech
from huanshu.errors import Text, UnavailableError
from huanshu.simulator import Simulation


@dataclass
class Show:
    """``running`` asks as the platform; ``acting`` as a person of the district."""

    running: Running
    sandbox: Sandbox
    speech: Speech
    simulation: Simulation
    intake: Flow
    delivery: Flow
    airflow: AirflowService | None = None
    truths: list[dict[str, Any]] = field(default_factory=list)
    started: float = field(default_factory=time.monotonic)
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def step(self, text: Text) -> Iterator[None]:
        """A line that says what is done, while it is done and how long it took."""
        began = time.monotonic()
        with self.speech.err.status(self.speech.say(text)):
            yield
        took = time.monotonic() - began
        self.seconds[text.en] = took
        if not self.speech.as_json:
            self.speech.err.print(f"[green]✓[/] {self.speech.say(text)} [dim]{took:.1f} s[/]")

    def acting(self, person: str) -> Running:
        """The same deployment as one person sees it; nothing is read or connected anew but the keeper."""
        return replace(self.running, keeper=self.running.keeper.acting_as(person))

    def clerk(self, code: str) -> tuple[str, str]:
        """(person, post) of a community's data clerk."""
        holding = next(
            h for h in self.sandbox.home.policies.holdings
            if h.domain == code and h.role == "data_clerk" and h.capacity == "holder"
        )  # fmt: skip
        return holding.person, holding.post

    def rows(self, query: str, *given: Any) -> list[Any]:
        """Rows of the district store, as the platform may read them."""
        with self.running.district() as district:
            return district.execute(query.encode(), given or None).fetchall()


def failed(what: Text, remedy: Text | None = None) -> UnavailableError:
    """The demo did not come out as it must; what it says first is what a newcomer sees."""
    return UnavailableError("cli.demo.run_failed", what, remedy=remedy)
