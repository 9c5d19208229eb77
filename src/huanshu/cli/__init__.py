"""The command line: one face of the platform. ``huanshu --help`` lists it; every command has an example.

``--json``, ``--lang``, ``--as`` and ``--frames`` may stand anywhere on the line. Exit codes: 0 done · 2 usage ·
3 a file to edit · 4 a foreign input · 5 denied · 6 something is down · 7 evidence of tampering · 8 held ·
9 a fault of the program · 130 interrupted.
"""

from huanshu.cli.entry import main

__all__ = ["main"]
