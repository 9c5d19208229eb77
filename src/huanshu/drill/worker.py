"""A worker to be killed: delivers one flow to one receiver and SIGKILLs itself at a named point.

python -m huanshu.drill.worker HOME STATE FLOW RECEIVER POINT careful|careless
"""

from __future__ import annotations

import os
import signal
import sys
from dataclasses import replace
from pathlib import Path

from huanshu.assembly import connect
from huanshu.drill.careless import StraightIntoTheSlice
from huanshu.drill.range import CHUNK
from huanshu.exchange.runs import run_delivery
from huanshu.settings import Settings


def main(arguments: list[str]) -> None:
    home, state, flow, receiver, kill_at, manner = arguments
    running = connect(Settings(Path(home), Path(state), "en"))

    def pause(point: str) -> None:
        if point == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    ground = running.ground(pause=pause, chunk=CHUNK)
    if manner == "careless":
        ground = replace(ground, receiving=StraightIntoTheSlice)
    run_delivery(ground, flow, f"worker-{os.getpid()}", [receiver])


if __name__ == "__main__":
    main(sys.argv[1:])
