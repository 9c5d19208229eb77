"""A process that says of a look that it was about somebody else: the keeper cannot know, the verifier does."""

from __future__ import annotations

from pathlib import Path

from pyroaring import BitMap

from huanshu.catalog import Rung
from huanshu.drill.range import Range
from huanshu.gate.read import Asked, read
from huanshu_verify import STEPS

ROOT = Path(__file__).parents[2]
HERE = "990101001001"


def test_a_look_that_names_somebody_else_is_found() -> None:
    with Range(ROOT) as place:
        place.take_in("resident.psb_to_district")
        (record, _), *_ = place.due_records("resident", HERE)
        running = place.acting("p.tang")
        asked = Asked(
            "yulan.data_clerk", HERE, "resident", "grassroots_service", {"name": Rung.REVEAL}, record=record
        )
        read(running.home, running.keeper, running.district, asked)
        report = place.verify()
        assert report.clean, report.problems
        with place.acting().district() as district:
            ((mine,),) = district.execute(
                "SELECT subjects FROM district.resident WHERE record = %s", (record,)
            )
        other = BitMap([max(mine) + 1])
        claim = {
            "event": "access.record.authorised", "post": "yulan.data_clerk", "domain": HERE, "dataset": "resident",
            "purpose": "grassroots_service", "fields": {"name": "reveal"}, "subjects": 1,
            "detail": {"record": record, "values": 1},
        }  # fmt: skip
        lie = running.keeper.append(claim, other.serialize()).index
        problems = {(problem.step, problem.at) for problem in place.verify().problems}
        assert problems == {("10 subjects", str(lie))}
        assert place.verify([step for step in STEPS if step[0] != "10 subjects"]).clean
        truth = running.keeper.append(claim, BitMap(mine).serialize()).index
        assert truth > lie
        assert {(p.step, p.at) for p in place.verify().problems} == {("10 subjects", str(lie))}
