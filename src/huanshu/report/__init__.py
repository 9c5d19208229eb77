"""Reports: pages for people who decide, made from log entries alone — never from the data.

``measures`` are pure functions from entries to figures, each figure with the entry indices it was counted
from; ``picture`` draws; ``page`` renders a home's template. No I/O but reading the template; no clock.
"""

from huanshu.report.page import build

__all__ = ["build"]
