"""A publisher to be struck at its system calls.

python publishing.py URL KEY_FOLDER ORIGIN

For every line "FOLDER HEAD" on standard input it forks a child, says its process id, waits for another line, and lets the
child publish up to that head into that folder; then it says the child's end: its exit code, or -SIGNAL. The child
alone is traced; it has everything imported and connected before.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from huanshu.auditlog import PublishedLog, Publisher, Signer
from huanshu.errors import UnavailableError
from huanshu.store import connect


def publish(url: str, signer: Signer, origin: str, folder: Path, head: str) -> int:
    """0: published; 3: given up, as it must be when the disk fails."""
    publisher = Publisher(
        PublishedLog(folder), lambda: connect(url), lambda note: signer.read_checkpoint(origin, note)
    )
    try:
        publisher.publish(head)
    except UnavailableError:
        return 3
    return 0


def main(url: str, keys: str, origin: str) -> None:
    signer = Signer.load(Path(keys) / "log.key")
    for line in sys.stdin:
        folder, head = map(Path, line.split())
        text = head.read_text()
        child = os.fork()
        if child == 0:
            os.kill(os.getpid(), signal.SIGSTOP)  # until it is traced
            os._exit(publish(url, signer, origin, folder, text))
        os.waitpid(child, os.WUNTRACED)
        print(child, flush=True)  # noqa: T201 - the answer
        sys.stdin.readline()
        os.kill(child, signal.SIGCONT)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)  # noqa: T201


if __name__ == "__main__":
    main(*sys.argv[1:])
