"""Drills (演练): attacks run on purpose, each with a control arm that must go red.

A drill that cannot fail proves nothing. Every drill runs three arms in throw-away ranges: the *attack* (must be
stopped, and leave exactly the trace it must leave), the *control* (the same attack with that one defence removed
by wiring another object in the range: must succeed), the *legitimate twin* (must pass).

``definition`` reads audit/drills/*.yaml, ``range`` builds a district to attack, ``verbs`` are the attacks,
``careless`` the objects a control arm wires in, ``running`` puts the arms together.
"""

from huanshu.drill.definition import Drill, read_drills
from huanshu.drill.running import Arm, Outcome, run_drill

__all__ = ["Arm", "Drill", "Outcome", "read_drills", "run_drill"]
