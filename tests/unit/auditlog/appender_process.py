"""A writer in a process of its own, to be killed: appends one entry after another and says which were acknowledged.

Run as: python appender_process.py URL FOLDER. Prints one line per acknowledged index, after "ready".
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path

from huanshu.auditlog import Draft, HeadFile, LogWriter, Signer
from huanshu.store import connect


def main() -> None:
    url, folder = sys.argv[1], Path(sys.argv[2])
    head = HeadFile(folder / "head")
    signer = Signer.load(folder / "log.key")
    writer = LogWriter(
        lambda: connect(url), signer, "qinghe.example/huanshu", head, lambda: datetime.now(UTC)
    )
    list(writer.start())
    sys.stdout.write("ready\n")
    while True:
        body = {
            "event": "report.page.built",
            "person": "p.xu",
            "established": {"by": "os", "account": "qh_xu"},
            "policy": "ab" * 32,
            "detail": {"report": "r", "entries": writer.size, "sha256": "cd" * 32},
        }
        made = writer.append([Draft(body), Draft(body)])
        sys.stdout.write("".join(f"{appended.entry.index} {appended.leaf_hash.hex()}\n" for appended in made))
        sys.stdout.flush()


if __name__ == "__main__":
    main()
