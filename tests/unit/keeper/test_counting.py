"""Counts tell of whole groups only: judged one by one, in pairs, and by an audit of everything told."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import combinations
from zoneinfo import ZoneInfo

import pytest
from elimination import rank
from hypothesis import given, settings
from hypothesis import strategies as st
from keeping import Keeper, claim
from pyroaring import BitMap
from served import OWNER

from huanshu.catalog import Home
from huanshu.drill.careless import AllowsEverything
from huanshu.errors import DeniedError, TamperedError
from huanshu.keeper.counting import COUNTED, Asked, Frame, Question, Reader, Told
from huanshu.keeper.determined import _prime

K = 10


def asked(*sets: tuple[str, BitMap]) -> list[Asked]:
    return [Asked(key, members) for key, members in sets]


def told_of(fresh: Sequence[Told]) -> list[BitMap]:
    return [each.asked.members for each in fresh if each.figure is not None]


def confined(told: Sequence[BitMap], least: int) -> bool:
    """By an independent way (Gauss over fractions, people one by one): whether some combination of the figures is
    nonzero on fewer than ``least`` people. The figures that are whole numbers times these are among the combinations."""
    everyone = sorted(BitMap.union(*told)) if told else []
    rows = [[Fraction(int(one in members)) for one in everyone] for members in told]
    whole = rank(rows)
    for few in combinations(range(len(everyone)), min(least - 1, len(everyone))):
        others = [[value for n, value in enumerate(row) if n not in few] for row in rows]
        if rank(others) < whole:
            return True
    return False


def determined(told: Sequence[BitMap], least: int) -> list[BitMap]:
    """The atoms of fewer people that the figures determine, by the same independent way."""
    everyone = sorted(BitMap.union(*told)) if told else []
    atoms: dict[tuple[bool, ...], BitMap] = {}
    for one in everyone:
        atoms.setdefault(tuple(one in members for members in told), BitMap()).add(one)
    signatures = list(atoms)
    rows = [[Fraction(int(signature[n])) for signature in signatures] for n in range(len(told))]
    whole = rank(rows)
    found = []
    for place, signature in enumerate(signatures):
        if len(atoms[signature]) < least:
            unit = [Fraction(int(n == place)) for n in range(len(signatures))]
            if rank([*rows, unit]) == whole:
                found.append(atoms[signature])
    return found


def communities(seed: int) -> list[BitMap]:
    """Thirty communities of none to forty people."""
    chance, found, first = random.Random(seed), [], 1
    for _ in range(30):
        size = chance.choice([0, 1, 2, 3, 5, 8, 9, 10, 11, 20, 40])
        found.append(BitMap(range(first, first + size)))
        first += size
    return found


def test_of_a_thousand_random_pairs_of_zones_none_reveals_one_to_nine_people() -> None:
    homes, chance, both = communities(1), random.Random(7), 0
    close = 0
    for pair in range(1000):
        first = set(chance.sample(range(30), chance.randint(1, 12)))
        # Half of them differ in one or two communities: what somebody asks who wants to know about those.
        second = (
            first ^ set(chance.sample(range(30), chance.randint(1, 2)))
            if pair % 2
            else set(chance.sample(range(30), chance.randint(1, 12)))
        )
        a, b = (BitMap.union(BitMap(), *(homes[n] for n in zone)) for zone in (first, second))
        figures, _ = Reader().ask(K, asked(("a", a), ("b", b)) if first != second else asked(("a", a)))
        told = [members for members, figure in zip((a, b), figures, strict=False) if figure is not None]
        assert all(figure is None or figure >= K for figure in figures)
        assert determined(told, K) == []
        if len(told) == 2:
            both += 1
            assert len(a ^ b) >= K
        close += len(a ^ b) < K
    assert both > 300, "the guard lets ordinary pairs through"
    assert close > 100, "and there were pairs to be stopped"


def test_one_reader_who_asks_again_and_again_learns_of_no_small_group() -> None:
    homes, chance, reader = communities(2), random.Random(3), Reader()
    told: list[BitMap] = []
    for number in range(60):
        zone = BitMap.union(BitMap(), *(homes[n] for n in chance.sample(range(30), chance.randint(1, 10))))
        (figure,), fresh = reader.ask(K, asked((f"q{number}", zone)))
        told += told_of(fresh)
        assert figure is None or figure == len(zone)
    assert len(told) > 10
    assert determined(told, K) == []


def test_three_whole_cells_and_the_total_would_tell_the_fourth() -> None:
    """50 + 44 + 3 + 3: the two small ones are withheld, and so is one more, or their sum of six would be told."""
    cells = [
        ("a", BitMap(range(50))),
        ("b", BitMap(range(50, 94))),
        ("c", BitMap(range(94, 97))),
        ("d", BitMap([97, 98, 99])),
    ]
    total = BitMap(range(100))
    figures, fresh = Reader().ask(K, asked(("total", total), *cells))
    assert figures == [100, 50, None, None, None]
    assert determined(told_of(fresh), K) == []


def test_two_cells_of_six_are_withheld_and_their_sum_is_not() -> None:
    cells = [("a", BitMap(range(50))), ("c", BitMap(range(50, 56))), ("d", BitMap(range(56, 62)))]
    figures, _ = Reader().ask(K, asked(("total", BitMap(range(62))), *cells))
    assert figures == [62, 50, None, None]


def test_few_and_none_are_answered_alike() -> None:
    figures, _ = Reader().ask(
        K, asked(("none", BitMap()), ("few", BitMap(range(9))), ("ten", BitMap(range(20, 30))))
    )
    assert figures == [None, None, 10]


def test_the_same_question_is_answered_as_before_until_a_whole_group_has_changed() -> None:
    reader = Reader()
    assert reader.ask(K, asked(("q", BitMap(range(100)))))[0] == [100]
    assert reader.ask(K, asked(("q", BitMap(range(4, 103))))) == ([100], [])
    assert reader.ask(K, asked(("q", BitMap(range(20, 140)))))[0] == [120]


def test_a_total_less_a_union_of_others_is_found_though_no_pair_is_close() -> None:
    """T − A − B = 4 people: only the audit of all three sees it."""
    reader = Reader()
    assert reader.ask(K, asked(("t", BitMap(range(100))), ("a", BitMap(range(48)))))[0] == [100, 48]
    assert reader.ask(K, asked(("b", BitMap(range(48, 96)))))[0] == [None]


def test_what_was_withheld_tells_nothing_later() -> None:
    reader = Reader()
    reader.ask(K, asked(("t", BitMap(range(100)))))
    for _ in range(3):
        assert reader.ask(K, asked(("all but three", BitMap(range(97))))) == ([None], [])
    assert reader.ask(K, asked(("half", BitMap(range(50)))))[0] == [50]


def test_what_is_kept_is_what_was_told() -> None:
    frame = Frame("born", BitMap(range(80)), BitMap([1, 2]), BitMap(range(9)))
    told = [
        Told(Asked("a", BitMap(range(12))), 12),
        Told(Asked("b", BitMap(range(30, 50)), frame), 20),
        Told(Asked("c", BitMap(), frame), None),
    ]
    assert Told.unpack(Told.pack(told)) == told


people = st.integers(0, 8)
questions = st.lists(st.sets(people, min_size=1), min_size=1, max_size=7)


@settings(max_examples=200)
@given(questions, st.integers(2, 5), st.randoms(use_true_random=False))
def test_no_sequence_of_questions_says_anything_of_fewer_people(
    given_sets: list[set[int]], least: int, chance: random.Random
) -> None:
    """Whatever the order; and what is refused is refused for a reason: the figures would."""
    for _ in range(2):
        reader, told = Reader(), list[BitMap]()
        for number, members in enumerate(given_sets):
            fresh = told_of(reader.ask(least, asked((str(number), BitMap(members))))[1])
            assert bool(fresh) == (
                not confined([*told, BitMap(members)], least) and BitMap(members) not in told
            )
            told += fresh
        assert not confined(told, least)
        chance.shuffle(given_sets)


def test_a_small_group_that_no_order_of_columns_shows_is_found() -> None:
    """Sets of whole groups and of several small ones, so that more than one combination is of small ones alone. The audit
    once looked at one basis of those combinations only: what it told depended on the order of the columns."""
    big = [BitMap(range(100 * n, 100 * n + 50)) for n in range(1, 4)]
    small = [BitMap(range(10 * n, 10 * n + 4)) for n in range(6)]
    chance, sets = random.Random(5), list[BitMap]()
    stopped = 0
    for _ in range(300):
        reader, told = Reader(), list[BitMap]()
        sets = [
            BitMap.union(*chance.sample(big, 2), *chance.sample(small, chance.randint(2, 4)))
            for _ in range(7)
        ]
        for number, members in enumerate(sets):
            (figure,), fresh = reader.ask(9, asked((str(number), members)))
            told += told_of(fresh)
            stopped += figure is None
        assert not confined_by_atoms(told, 9)
    assert stopped > 100


def confined_by_atoms(told: Sequence[BitMap], least: int) -> bool:
    """``confined``, for people who come in whole atoms."""
    atoms: dict[tuple[bool, ...], int] = {}
    for one in BitMap.union(*told):
        signature = tuple(one in members for members in told)
        atoms[signature] = atoms.get(signature, 0) + 1
    signatures = list(atoms)
    rows = [[Fraction(int(signature[n])) for signature in signatures] for n in range(len(told))]
    whole = rank(rows)
    small = [n for n, signature in enumerate(signatures) if atoms[signature] < least]
    return any(
        sum(atoms[signatures[n]] for n in few) < least
        and rank([[value for n, value in enumerate(row) if n not in few] for row in rows]) < whole
        for size in range(1, len(small) + 1)
        for few in combinations(small, size)
    )


@settings(max_examples=150)
@given(questions, st.integers(2, 5))
def test_a_question_is_judged_as_its_sets_are_one_after_the_other(
    given_sets: list[set[int]], least: int
) -> None:
    """At a glance, by halves or one by one: the same figures."""
    sets = asked(*((str(number), BitMap(members)) for number, members in enumerate(given_sets)))
    one = Reader()
    singly = [one.ask(least, [each])[0][0] for each in sets]
    assert Reader().ask(least, sets)[0] == singly


def test_a_district_with_many_grids_is_still_told_nearly_all_of_it() -> None:
    """The audit once stopped at four hundred figures that hang together. 40 communities of 12 grids, broken down by grid,
    sex and relation: 1 121 figures, of which one in eight is of few or would tell."""
    chance, grids, first = random.Random(5), list[list[BitMap]](), 1
    for _ in range(40):
        row = []
        for _ in range(12):
            size = chance.choice([3, 8, 15, 40, 120, 300])
            row.append(BitMap(range(first, first + size)))
            first += size
        grids.append(row)
    reader, figures = Reader(), list[int | None]()
    homes = [BitMap.union(*row) for row in grids]
    figures += reader.ask(
        K, asked(("all", BitMap.union(*homes)), *((f"c{n}", h) for n, h in enumerate(homes)))
    )[0]
    for number, row in enumerate(grids):
        cells = ((f"c{number}g{n}", grid) for n, grid in enumerate(row))
        figures += reader.ask(K, asked((f"c{number}", homes[number]), *cells))[0]
    assert len(figures) == 561
    assert sum(figure is not None for figure in figures) > 400


def test_a_breakdown_into_very_many_groups_is_refused(keeper: Keeper, cdo: str) -> None:
    cells = [(str(n), BitMap([n])) for n in range(700)]
    question = Question("grid", {}, BitMap(range(700)), cells)
    with pytest.raises(DeniedError) as error:
        keeper.service.count(
            OWNER, cdo, claim(COUNTED, post="district.cdo", fields={}, detail={"zones": ZONES}), question
        )
    assert error.value.code == "access.count.cells"
    assert keeper.events()[-1] == "access.request.denied"


def test_sets_that_cut_each_other_up_do_not_hold_up_everybody_else() -> None:
    """The keeper judges alone. What a question may cost is bounded, and so is what one costs that comes after it."""
    chance = random.Random(3)
    crossed = [(str(n), BitMap([one for one in range(20_000) if chance.random() < 0.5])) for n in range(60)]
    reader, begun = Reader(), time.monotonic()
    figures, fresh = reader.ask(K, asked(*crossed))
    assert time.monotonic() - begun < 60, "it was minutes"
    assert None in figures
    assert any(figures)
    again = Reader()
    again.remember(K, fresh)
    assert again.ask(K, asked(("apart", BitMap(range(50_000, 50_040)))))[0] == [40]
    assert time.monotonic() - begun < 90


def test_who_may_not_count_makes_the_keeper_keep_nothing(keeper: Keeper) -> None:
    clerk = claim(COUNTED, fields={}, detail={"zones": ZONES})
    with pytest.raises(DeniedError):
        keeper.service.count(OWNER, "p.tang", clerk, Question(None, {}, BitMap(range(100)), []))
    assert keeper.ground.rows("SELECT * FROM told.counted") == []
    assert keeper.events()[-1] == "access.request.denied"


def test_what_was_counted_is_said_by_the_keeper_alone(keeper: Keeper, cdo: str) -> None:
    """An entry that names what was never kept would end this person's counting for ever."""
    home_field = keeper.home.contracts["resident"].home_field
    said = {"zones": ZONES, "told": 0, "withheld": 0, "minimum": 0, "kept": "00"}
    forged = claim(COUNTED, post="district.cdo", fields={home_field: "count"}, detail=said)
    with pytest.raises(DeniedError) as error:
        keeper.service.append(OWNER, cdo, forged, BitMap([1, 2]).serialize())
    assert error.value.code == "keeper.append.own"
    asking = claim(COUNTED, post="district.cdo", fields={}, detail={"zones": ZONES})
    assert keeper.service.count(OWNER, cdo, asking, Question(None, {}, BitMap(range(100)), []))[1] == [100]


def test_nobody_can_choose_sets_whose_combination_a_prime_hides() -> None:
    """Doubling chains end in a multiple of one person: by a prime that is known beforehand, that is zero."""
    drawn = {_prime() for _ in range(20)}
    assert len(drawn) > 15
    assert all(one >> 30 == 1 and all(one % small for small in range(3, 40_000, 2)) for one in drawn)


def test_who_was_told_of_another_dataset_is_judged_over_both(keeper: Keeper, cdo: str) -> None:
    """Subjects have the same numbers in every dataset: 100 residents, 95 of them vaccinated. (No post of the sample may
    count in both, so the rules are left out.)"""
    home = keeper.home
    keeper.service._enforcer = AllowsEverything(home.policies, home.contracts, zone=ZoneInfo(home.timezone))
    wide = Question(None, {}, BitMap(range(100)), [])
    near = Question(None, {}, BitMap(range(95)), [])
    whom = {"post": "district.cdo", "fields": {}, "detail": {"zones": ZONES}}
    assert keeper.service.count(OWNER, cdo, claim(COUNTED, **whom), wide)[1] == [100]
    other = claim(COUNTED, **{**whom, "dataset": "vaccination_due"})
    assert keeper.service.count(OWNER, cdo, other, near)[1] == [None]


def test_the_larger_minimum_of_two_datasets_holds_for_both() -> None:
    reader = Reader()
    assert reader.ask(5, asked(("seven", BitMap(range(7)))))[0] == [7]
    assert reader.ask(10, asked(("many", BitMap(range(100, 150)))))[0] == [50]
    assert reader.ask(5, asked(("others", BitMap(range(200, 207)))))[0] == [None]
    assert reader.ask(10, asked(("all but eight", BitMap(range(100, 142)))))[0] == [None]


def test_what_was_told_under_rules_of_yesterday_is_not_forgotten(keeper: Keeper, cdo: str) -> None:
    """A contract is changed and changed back, in its minimum group and in whom it is about: what was told in between
    counts."""
    zone = claim(COUNTED, post="district.cdo", fields={}, detail={"zones": ZONES})
    contract = keeper.home.contracts["resident"]

    def with_least(least: int) -> Home:
        changed = {**keeper.home.contracts, "resident": replace(contract, minimum_group=least, subjects=())}
        return replace(keeper.home, contracts=changed)

    read = [keeper.home]
    keeper.service._parts = replace(keeper.service._parts, read_home=lambda: read[0])
    assert keeper.service.count(OWNER, cdo, zone, Question(None, {}, BitMap(range(100)), []))[1] == [100]
    read[0] = with_least(5)
    other = Question(None, {"sex": "1"}, BitMap(range(200, 240)), [])
    assert keeper.service.count(OWNER, cdo, zone, other)[1] == [40]
    read[0] = keeper.home
    third = Question(None, {"sex": "2"}, BitMap(range(200, 245)), [])
    assert keeper.service.count(OWNER, cdo, zone, third)[1] == [None]


# -- over a real log -------------------------------------------------------------------------------------------

ZONES = ["990101001001", "990101001002"]


@pytest.fixture
def cdo(keeper: Keeper) -> str:
    return next(h.person for h in keeper.home.policies.holdings if h.post == "district.cdo")


def test_a_keeper_that_starts_again_remembers_what_was_told(keeper: Keeper, cdo: str) -> None:
    zone = Question(None, {}, BitMap(range(100)), [])
    other = Question(None, {"sex": "1"}, BitMap(range(95)), [])
    asking = claim("access.count.authorised", post="district.cdo", fields={}, detail={"zones": ZONES})
    assert keeper.service.count(OWNER, cdo, asking, zone)[1] == [100]
    keeper.service.close()
    again = keeper.started()
    try:
        assert again.count(OWNER, cdo, asking, other)[1] == [None]
        keeper.ground.tamper("DELETE FROM told.counted WHERE length(sealed) > 0")
    finally:
        again.close()
    third = keeper.started()
    try:
        with pytest.raises(TamperedError):
            third.count(OWNER, cdo, asking, other)
    finally:
        third.close()
    told = [body for body in keeper.bodies() if body["event"] == "access.count.authorised"]
    assert [(body["how"], body["subjects"]["count"], body["detail"]["withheld"]) for body in told] == [
        ("counted", 100, 0),
        ("counted", 95, 1),
    ]


def test_every_clause_is_asked_of_the_rules(keeper: Keeper, cdo: str) -> None:
    """A hidden field as filter, as breakdown, under another name; a zone that is not one's own."""
    people = BitMap(range(100))
    asking = claim("access.count.authorised", post="district.cdo", fields={}, detail={"zones": ZONES})
    hidden = [
        Question(None, {"pregnancy": "1"}, people, []),
        Question("pregnancy", {}, people, [("1", people)]),
        Question("employer", {}, people, [("x", people)]),
        Question(None, {"sex AS pregnancy": "1"}, people, []),
    ]
    for question in hidden:
        with pytest.raises(DeniedError):
            keeper.service.count(OWNER, cdo, asking, question)
    clerk = claim("access.count.authorised", fields={}, detail={"zones": ZONES})
    with pytest.raises(DeniedError):
        keeper.service.count(OWNER, "p.tang", clerk, Question(None, {}, people, []))
    assert keeper.events()[2:] == ["access.request.denied"] * 5
    assert keeper.service.count(OWNER, cdo, asking, Question("sex", {}, people, [("1", people)]))[1] == [
        100,
        None,
    ]
