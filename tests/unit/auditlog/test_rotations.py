"""How far a dataset is, as the log tells it: nobody claims a rotation where nothing can be behind."""

from __future__ import annotations

from typing import Any

import pytest

from huanshu.auditlog import Entry
from huanshu.auditlog.rotations import CELLS, LINKS, Rotations

Said = tuple[str, dict[str, Any]]
D, OTHER = "resident", "household"


def folded(*said: Said, person: str = "p.lin") -> Rotations:
    made = Rotations()
    for index, (event, detail) in enumerate(said):
        dataset = detail.get("dataset", D)
        made.apply(
            Entry(index, event, {"event": event, "person": person, "dataset": dataset, "detail": detail}, b"")
        )
    return made


def adopted(epoch: int = 1, generation: int = 1) -> Said:
    return "policy.bundle.adopted", {"epoch": epoch, "generation": generation}


def taken_in(dataset: str = D) -> Said:
    return "exchange.intake.authorised", {"dataset": dataset}


def told(authorised: int, event: str = "exchange.intake.promoted", dataset: str = D) -> Said:
    return event, {"authorised": authorised, "dataset": dataset}


def begun(what: str = CELLS, dataset: str = D) -> Said:
    return "keys.rotation.authorised", {"what": what, "dataset": dataset}


def ended(
    authorised: int, epoch: int = 1, generation: int = 1, what: str = CELLS, how: str = "completed"
) -> Said:
    detail = {"authorised": authorised, "epoch": epoch, "generation": generation, "what": what}
    return f"keys.rotation.{how}", detail


def test_where_nothing_was_raised_nothing_is_due() -> None:
    made = folded(adopted(), taken_in(), told(1))
    assert not made.due(D, CELLS, 1)
    assert not made.due(D, LINKS, 1)
    assert made.due(D, CELLS, 2)
    assert made.due(D, LINKS, 2)


def test_what_a_rotation_completed_is_due_no_more_and_what_it_left_is() -> None:
    done = [adopted(), taken_in(), told(1), adopted(2), begun()]
    assert folded(*done).due(D, CELLS, 2)
    assert not folded(*done, ended(4, 2)).due(D, CELLS, 2)
    assert folded(*done, ended(4, 2, how="stopped")).due(D, CELLS, 2)
    assert folded(*done, ended(4, 2)).due(D, CELLS, 3)
    assert folded(*done, ended(4, 2)).due(D, LINKS, 2), "cells are not links"


def test_a_dataset_first_taken_in_under_an_epoch_has_nothing_before_it() -> None:
    made = folded(adopted(3), taken_in())
    assert not made.due(D, CELLS, 3)
    assert made.due(D, CELLS, 4)
    assert folded(("policy.bundle.adopted", {}), taken_in()).due(D, CELLS, 2), "an older log does not tell"


@pytest.mark.parametrize(
    "event",
    ["exchange.intake.promoted", "exchange.intake.refused", "quarantine.repair.promoted",
     "correction.change.accepted", "correction.batch.judged"],
)  # fmt: skip
def test_rows_that_were_written_late_under_the_old_epoch_are_due_once_more(event: str) -> None:
    late = [adopted(), taken_in(), told(1), taken_in(), adopted(2), begun()]  # 3 is authorised and not told
    assert not folded(*late, ended(5, 2)).due(D, CELLS, 2)
    for order in ([ended(5, 2), told(3, event)], [told(3, event), ended(5, 2)]):
        assert folded(*late, *order).due(D, CELLS, 2)
        assert not folded(*late, *order).due(OTHER, CELLS, 1)
        assert not folded(*late, *order, begun(), ended(8, 2)).due(D, CELLS, 2)
    assert not folded(*late, ended(5, 2), taken_in(), told(7, event)).due(D, CELLS, 2), "authorised after it"


def test_links_are_made_anew_for_all_datasets_at_once() -> None:
    made = folded(adopted(1, 2), taken_in(), taken_in(OTHER), begun(LINKS), ended(3, 1, 2, LINKS))
    assert not made.due(D, LINKS, 2)
    assert not made.due(OTHER, LINKS, 2)
    assert made.due(OTHER, LINKS, 3)


def test_who_raised_a_number_ordered_it_and_not_who_adopted_other_rules_later() -> None:
    made = Rotations()
    for index, (person, epoch, generation) in enumerate([("a", 1, 1), ("b", 2, 1), ("c", 2, 2), ("d", 2, 2)]):
        detail = {"epoch": epoch, "generation": generation}
        made.apply(Entry(index, "policy.bundle.adopted", {"person": person, "detail": detail}, b""))
    assert made.ordered_by(CELLS, 2) == "b"
    assert made.ordered_by(LINKS, 2) == "c"
    assert made.ordered_by(CELLS, 3) is None
    made.apply(Entry(9, "policy.bundle.adopted", {"person": "e", "detail": {}}, b""))
    assert made.ordered_by(CELLS, 2) is None, (
        "an older version did not tell: then nobody is named by guessing"
    )
