"""Running one drill: its verb's three arms, and the verdict over them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from huanshu.drill import (
    approving,
    choosing,
    correcting,
    counting,
    custody,
    erring,
    guessing,
    hiding,
    hoarding,
    laundering,
    misruling,
    prying,
    publishing,
    reopening,
    sealed,
    stealing,
    storing,
    verbs,
    witnessing,
    writing,
)
from huanshu.drill.definition import Drill
from huanshu.drill.verbs import Arm
from huanshu.errors import ContentError, Text

__all__ = ["Arm", "Outcome", "run_drill"]

VERBS = {
    **verbs.VERBS,
    **choosing.VERBS,
    **correcting.VERBS,
    **custody.VERBS,
    **laundering.VERBS,
    **erring.VERBS,
    **storing.VERBS,
    **stealing.VERBS,
    **misruling.VERBS,
    **prying.VERBS,
    **hoarding.VERBS,
    **counting.VERBS,
    **approving.VERBS,
    **hiding.VERBS,
    **witnessing.VERBS,
    **publishing.VERBS,
    **reopening.VERBS,
    **sealed.VERBS,
    **guessing.VERBS,
    **writing.VERBS,
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """A drill that was run. It held when every arm came out as it must."""

    drill: str
    arms: tuple[Arm, ...]

    @property
    def held(self) -> bool:
        return len(self.arms) == 3 and all(arm.as_expected for arm in self.arms)


def run_drill(home: Path, drill: Drill) -> Outcome:
    """Run a drill of ``home`` in ranges made from it. ContentError when its verb does not exist."""
    verb = VERBS.get(drill.verb)
    if verb is None:
        raise ContentError(
            "drill.verb.unknown",
            Text(f"no verb {drill.verb}", f"没有动作 {drill.verb}"),
            remedy=Text(f"known: {', '.join(VERBS)}", f"可用：{'、'.join(VERBS)}"),
            where=drill.where,
        )
    return Outcome(drill.id, tuple(verb(home, drill)))
