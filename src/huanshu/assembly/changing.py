"""Two bundles, found by the words that a person uses, and what going from one to the other means.

``adopted``: what the log says is in force. A digest, or the beginning of one: a bundle kept beside the log. Anything
else: a folder that holds ``policies/`` and ``expectations/``. Only the first two need a running deployment.
"""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

from huanshu.access.change import Change, Side, change_between
from huanshu.assembly.running import Running
from huanshu.catalog import read_bundle
from huanshu.errors import DeniedError, Text
from huanshu.gate.again import in_force, kept_side

ADOPTED: Final = "adopted"
_DIGEST: Final = re.compile(r"[0-9a-f]{8,64}")


def needs_log(word: str) -> bool:
    """Whether a bundle of that name lies in the log."""
    return word == ADOPTED or (_DIGEST.fullmatch(word) is not None and not Path(word).is_dir())


def kept(here: Running, word: str) -> Side:
    """The bundle of that name, out of the log."""
    zone = here.home.timezone
    with here.district() as district:
        if word == ADOPTED:
            return in_force(district, datetime.now(ZoneInfo(zone)), zone)
        return kept_side(district, word, zone)


def folder_side(folder: Path, timezone: str) -> Side:
    """The bundle as it lies in a folder now. ContentError, with file and line, when anything of it is not in order."""
    policies, contracts = read_bundle(folder)
    return Side.of(policies, contracts, timezone)


def pending(here: Running, at: datetime) -> Change:
    """From what is in force to the files as they are read now."""
    home = here.home
    return change_between(kept(here, ADOPTED), Side.of(home.policies, home.contracts, home.timezone), at)


def require_seen(change: Change, plan: str) -> None:
    """Whoever widens names the change's digest. DeniedError otherwise: nothing widens silently."""
    if change.widens and plan != change.digest:
        raise DeniedError(
            "policy.bundle.widens",
            Text(
                f"this gives {len(change.widening)} rights more, and {len(change.beside)} other things are weaker;"
                " a plan of this very change was not named",
                f"此次变更新增授权 {len(change.widening)} 项，另有 {len(change.beside)} 处放宽；未指明对应的变更方案",
            ),
            remedy=Text(
                "read “huanshu access plan”, then give its hash: huanshu policy adopt --plan HASH",
                "请先查看“huanshu access plan”，再以其摘要执行：huanshu policy adopt --plan 摘要",
            ),
        )
