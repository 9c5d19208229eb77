"""Every drill of the home holds: the attack is stopped, the control arm goes red, the twin passes."""

from __future__ import annotations

from pathlib import Path

import pytest

from huanshu.drill import read_drills, run_drill
from huanshu.errors import ContentError

ROOT = Path(__file__).parents[2]
DRILLS = read_drills(ROOT)


#: Longer than twenty seconds each: ``make drills`` runs these too. What they attack is tested beside its code as well.
LONG = {
    "clock_moved",
    "colluding_custodians",
    "erased_restored",
    "guessed_numbers",
    "log_given_up",
    "machine_rolled_back",
    "matcher_confusion",
    "repeated_denials",
    "revoke_race",
    "roles_accumulated",
    "rotation_killed",
    "slow_drip",
    "tree_rewritten",
    "walked_identifiers",
    "witnesses_cut_off",
    "worker_killed_mid_delivery",
}


def test_there_are_drills() -> None:
    assert {d.id for d in DRILLS} >= {"cross_domain_read", "deleted_log_entry", *LONG}


@pytest.mark.parametrize(
    "drill",
    [pytest.param(d, marks=[pytest.mark.slow] if d.id in LONG else []) for d in DRILLS],
    ids=lambda d: d.id,
)
def test_the_drill_holds(drill) -> None:  # type: ignore[no-untyped-def]
    outcome = run_drill(ROOT, drill)
    assert len(outcome.arms) == 3
    assert [arm.what.en for arm in outcome.arms if not arm.as_expected] == []
    assert outcome.held


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (("verb: ", "verb: nothing_like_it # "), "drill.verb.unknown"),
        (("threat: ", "treat: "), "content.key.unknown"),
        (("owner: district.security_officer\n", ""), "content.key.missing"),
        (("id: cross_domain_read", "id: another"), "drill.id.misfiled"),
        (("title: {", "title: [{"), "content.yaml.malformed"),
    ],
)
def test_a_malformed_drill_is_named(home: Path, change: tuple[str, str], code: str) -> None:
    path = home / "audit/drills/cross_domain_read.yaml"
    text = path.read_text()
    assert change[0] in text
    path.write_text(text.replace(*change, 1))
    with pytest.raises(ContentError) as refused:
        run_drill(home, next(d for d in read_drills(home) if d.where.file.endswith("cross_domain_read.yaml")))
    assert refused.value.code == code
    assert "cross_domain_read.yaml" in str(refused.value.where)
