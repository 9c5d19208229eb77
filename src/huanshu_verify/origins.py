"""Step 9: the log's origins follow one another, and each says what was given up for it (docs/FORMAT.md, 17).

A log that lost acknowledged entries goes on under another origin, by an entry that two persons signed. That is no
fault, and no secret: the report says what is missing. It is a fault when a note is of an origin that no entry opened,
or of one that had ended; when what is cited was not signed by the log's key; when one person signed twice.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from huanshu_verify.notes import NoteError, VerifierKey, open_checkpoint
from huanshu_verify.report import Entry, Gap, Log, Step

OPENS = "log.origin.reopened"


class Origins(Step):
    """Every note is of the origin that the entries before it speak under. Keeps one line a loss."""

    name = "9 origins"

    def __init__(self, log: Log) -> None:
        super().__init__(log)
        self._gaps: list[Gap] = []

    def entry(self, entry: Entry) -> None:
        body = entry.body
        if body is None or body["event"] != OPENS:
            return
        gap = _gap(body)
        self._gaps.append(gap)
        for fault in self._faults(gap, body):
            self.find(entry.index, fault)

    def finish(self) -> None:
        self.log.report.gaps = list(self._gaps)
        names = [*(gap.origin for gap in self._gaps), *(gap.opened for gap in self._gaps[-1:])]
        key = self.log.key.name
        if names and key not in names:
            self.find(key, "the key is named after an origin that the log never had")
        for name, size, origin in self.log.notes:
            valid = next((gap.origin for gap in self._gaps if size <= gap.entry), names[-1] if names else key)
            if origin != valid:
                self.find(name, f"is of {origin}, but {size} entries were signed under {valid}")

    def memory(self) -> Any:
        return [asdict(gap) for gap in self._gaps]

    def recall(self, memory: Any) -> None:
        self._gaps = [Gap(**{**line, "persons": tuple(line["persons"])}) for line in memory]

    def _faults(self, gap: Gap, body: Mapping[str, Any]) -> list[str]:
        faults = []
        said = body["detail"]["given_up"]
        key = VerifierKey.named(gap.origin, self.log.key.public)
        root = bytes.fromhex(said["root"])
        signature = base64.b64encode(key.identity + base64.b64decode(said["signature"])).decode()
        note = f"{gap.origin}\n{gap.size}\n{base64.b64encode(root).decode()}\n\n— {gap.origin} {signature}\n"
        try:
            open_checkpoint(note, key)
        except NoteError:
            faults.append("the checkpoint that it gives up was not signed by the log's key")
        if (gap.first, gap.last) != (gap.entry, gap.size - 1) or gap.last < gap.first:
            faults.append("the missing range is not what the checkpoint covers beyond this entry")
        if int(body["detail"]["restored"]["size"]) != gap.entry:
            faults.append("it stands at another index than the end of what was restored")
        if len(set(gap.persons)) != 2:
            faults.append("one person signed twice")
        before = self._gaps[-2].opened if len(self._gaps) > 1 else None
        if gap.opened == gap.origin or (before is not None and gap.origin != before):
            faults.append("the origin that it gives up is not the one before")
        return faults


def _gap(body: Mapping[str, Any]) -> Gap:
    detail = body["detail"]
    given_up = detail["given_up"]
    return Gap(
        entry=int(body["index"]),
        origin=str(given_up["origin"]),
        size=int(given_up["size"]),
        first=int(detail["first"]),
        last=int(detail["last"]),
        since=str(detail["since"]),
        until=str(body["at"]),
        opened=str(detail["origin"]),
        persons=(str(detail["signed"]["person"]), str(body["person"])),
    )
