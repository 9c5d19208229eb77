"""A row of the failure table, filled in: whose turn it is by name, until when, and the commands as they are typed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from huanshu.catalog import Flow, Home
from huanshu.catalog.working_days import due
from huanshu.errors import ContentError, Text
from huanshu.exchange.failures import ACTORS, BY_KEY, Failure

#: More receivers than this are not listed one by one: a resumption finds them by itself.
ONLY_MOST: Final = 3
#: How long an approval is proposed for. Who approves may write another day.
_PROPOSED: Final = timedelta(days=180)


@dataclass(frozen=True, slots=True)
class Party:
    """Who acts or waits: in words, and by name where a post of the home is meant."""

    who: Text
    post: str = ""
    holder: str = ""
    deputies: tuple[str, ...] = ()

    def named(self, language: str) -> str:
        names = "、".join if language == "zh" else ", ".join
        people = names([name for name in (self.holder, *self.deputies) if name])
        return (
            self.who.in_language(language)
            + (f" {self.post}" if self.post else "")
            + (f" ({people})" if people else "")
        )


@dataclass(frozen=True, slots=True)
class Symptom:
    """One thing a person should know. ``safe`` are the commands that may be run now, in order, after ``first``."""

    failure: str
    flow: str
    about: str
    state: str
    what: Text
    acts: Party
    waits: Party
    until: str
    first: Text
    safe: tuple[str, ...]
    never: Text


@dataclass(frozen=True, slots=True)
class Teller:
    """Fills in rows for one home at one instant. ``sandbox``: commands name the fictional person who would act."""

    home: Home
    now: datetime
    sandbox: bool

    def tell(
        self,
        key: str,
        flow: Flow,
        about: str,
        *,
        state: str = "",
        what: Text | None = None,
        since: datetime | None = None,
        until: str = "",
        receivers: Sequence[str] = (),
        post: str = "",
    ) -> Symptom:
        """``post``: who acts, where it is not the flow's accountable post."""
        row = BY_KEY[key]
        accountable = self._post(ACTORS["accountable"], flow.accountable_post)
        acts = {
            "accountable": self._post(ACTORS["accountable"], post) if post else accountable,
            "security": self._security(),
        }.get(row.acts, Party(ACTORS[row.acts]))
        return Symptom(
            failure=key,
            flow=flow.flow,
            about=about,
            state=state or key.replace("_", " "),
            what=what or row.what,
            acts=acts,
            waits=self._post(row.waits, flow.accountable_post),
            until=until or self._until(row, since or self.now),
            first=row.first,
            safe=tuple(
                self._command(command, flow, receivers, post or flow.accountable_post) for command in row.safe
            ),
            never=row.never,
        )

    def _post(self, who: Text, post: str) -> Party:
        holdings = self.home.policies.holders(post, self.now)
        names = [self.home.policies.persons[h.person].name for h in holdings]
        holder = names[0] if holdings and holdings[0].capacity == "holder" else ""
        return Party(who, post, holder, tuple(names[1:] if holder else names))

    def _security(self) -> Party:
        for holding in self.home.policies.holdings:
            if holding.role == "security_officer" and self.home.policies.holders(holding.post, self.now):
                return self._post(ACTORS["security"], holding.post)
        return Party(ACTORS["security"])

    def _until(self, row: Failure, since: datetime) -> str:
        duty = self.home.obligations.get(row.duty) or self.home.obligations["receipt_due"]
        try:
            return due(since.astimezone(self.now.tzinfo), duty, self.home.calendar).isoformat()
        except ContentError:  # the calendar says nothing about that year: no day is better than a guessed one
            return ""

    def _command(self, command: str, flow: Flow, receivers: Sequence[str], post: str) -> str:
        few = 0 < len(receivers) <= ONLY_MOST
        return command.format(
            flow=flow.flow,
            only="".join(f" --only {code}" for code in receivers) if few else "",
            until=(self.now + _PROPOSED).date().isoformat(),
            accountable=self._as(post),
            security=self._as(self._security().post),
            another=self._as(self._security().post, 1),
        )

    def _as(self, post: str, which: int = 0) -> str:
        holdings = self.home.policies.holders(post, self.now)[which:]
        return f" --as {holdings[0].person}" if self.sandbox and holdings else ""
