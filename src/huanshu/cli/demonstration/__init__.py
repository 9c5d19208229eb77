"""``huanshu demo``: two months of a fictional district, through the gate, and what came of it on one screen.

    show      what runs, and what was seen      rounds   a month: send, intake, delivery
    people    who signs, tries, moves, corrects mistake  the month in which two communities were confused
    screen    the last screen                   story    the order of it all

Nothing here is special to the demo but its data: the same stack, flows, gate and log as anywhere. Each figure on the
last screen is read from the log or the stores, not remembered.
"""

from huanshu.cli.demonstration.story import demonstrate

__all__ = ["demonstrate"]
