"""Counts tell of whole groups only: judged one by one, in pairs, and by an audit of everything told."""

from __future__ import annotations

import random
from collections.abc import Sequence
from fractions import Fraction
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keeping import Keeper, claim
from pyroaring import BitMap
from served import OWNER

from huanshu.errors import DeniedError, TamperedError
from huanshu.keeper.counting import Question, Reader, Told

K = 10


def determined(told: Sequence[BitMap], least: int) -> list[BitMap]:
    """By an independent way (Gauss over fractions): the atoms of fewer people that the figures determine."""
    everyone = sorted(BitMap.union(*told)) if told else []
    atoms: dict[tuple[bool, ...], BitMap] = {}
    for one in everyone:
        atoms.setdefault(tuple(one in members for members in told), BitMap()).add(one)
    signatures = list(atoms)
    rows = [[Fraction(int(signature[n])) for signature in signatures] for n in range(len(told))]
    rank = _rank(rows)
    found = []
    for place, signature in enumerate(signatures):
        if len(atoms[signature]) < least:
            unit = [Fraction(int(n == place)) for n in range(len(signatures))]
            if _rank([*rows, unit]) == rank:
                found.append(atoms[signature])
    return found


def _rank(rows: list[list[Fraction]]) -> int:
    left, rank = [list(row) for row in rows], 0
    for column in range(len(left[0]) if left else 0):
        pivot = next((n for n in range(rank, len(left)) if left[n][column]), None)
        if pivot is None:
            continue
        left[rank], left[pivot] = left[pivot], left[rank]
        for n in range(rank + 1, len(left)):
            if left[n][column]:
                times = left[n][column] / left[rank][column]
                left[n] = [a - times * b for a, b in zip(left[n], left[rank], strict=True)]
        rank += 1
    return rank


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
        figures, _ = Reader(K).ask([("a", a), ("b", b)] if first != second else [("a", a)])
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
    homes, chance, reader = communities(2), random.Random(3), Reader(K)
    told: list[BitMap] = []
    for number in range(60):
        zone = BitMap.union(BitMap(), *(homes[n] for n in chance.sample(range(30), chance.randint(1, 10))))
        (figure,), fresh = reader.ask([(f"q{number}", zone)])
        told += [each.members for each in fresh]
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
    figures, fresh = Reader(K).ask([("total", total), *cells])
    assert figures == [100, 50, None, None, None]
    assert determined([each.members for each in fresh], K) == []


def test_two_cells_of_six_are_withheld_and_their_sum_is_not() -> None:
    cells = [("a", BitMap(range(50))), ("c", BitMap(range(50, 56))), ("d", BitMap(range(56, 62)))]
    figures, _ = Reader(K).ask([("total", BitMap(range(62))), *cells])
    assert figures == [62, 50, None, None]


def test_few_and_none_are_answered_alike() -> None:
    figures, _ = Reader(K).ask(
        [("none", BitMap()), ("few", BitMap(range(9))), ("ten", BitMap(range(20, 30)))]
    )
    assert figures == [None, None, 10]


def test_the_same_question_is_answered_as_before_until_a_whole_group_has_changed() -> None:
    reader = Reader(K)
    assert reader.ask([("q", BitMap(range(100)))])[0] == [100]
    assert reader.ask([("q", BitMap(range(4, 103)))]) == ([100], [])
    assert reader.ask([("q", BitMap(range(20, 140)))])[0] == [120]


def test_a_total_less_a_union_of_others_is_found_though_no_pair_is_close() -> None:
    """T − A − B = 4 people: only the audit of all three sees it."""
    reader = Reader(K)
    assert reader.ask([("t", BitMap(range(100))), ("a", BitMap(range(48)))])[0] == [100, 48]
    assert reader.ask([("b", BitMap(range(48, 96)))])[0] == [None]


def test_what_was_withheld_tells_nothing_later() -> None:
    reader = Reader(K)
    reader.ask([("t", BitMap(range(100)))])
    for _ in range(3):
        assert reader.ask([("all but three", BitMap(range(97)))]) == ([None], [])
    assert reader.ask([("half", BitMap(range(50)))])[0] == [50]


def test_what_is_kept_is_what_was_told() -> None:
    told = [Told("a", 12, BitMap(range(12))), Told("b", 20, BitMap(range(30, 50)))]
    assert Told.unpack(Told.pack(told)) == told


people = st.integers(0, 23)
questions = st.lists(st.sets(people, min_size=1), min_size=1, max_size=7)


@settings(max_examples=150)
@given(questions, st.integers(2, 6))
def test_no_sequence_of_questions_determines_a_small_atom(asked: list[set[int]], least: int) -> None:
    reader, told = Reader(least), list[BitMap]()
    for number, members in enumerate(asked):
        told += [each.members for each in reader.ask([(str(number), BitMap(members))])[1]]
    assert determined(told, least) == []
    for a, b in combinations(told, 2):
        assert len(a ^ b) >= least


# -- over a real log -------------------------------------------------------------------------------------------

ZONES = ["990101001001", "990101001002"]


@pytest.fixture
def cdo(keeper: Keeper) -> str:
    return next(h.person for h in keeper.home.policies.holdings if h.post == "district.cdo")


def test_a_keeper_that_starts_again_remembers_what_was_told(keeper: Keeper, cdo: str) -> None:
    zone = Question(None, {}, BitMap(range(100)), [])
    other = Question(None, {"sex": "1"}, BitMap(range(95)), [])
    asked = claim("access.count.authorised", post="district.cdo", fields={}, detail={"zones": ZONES})
    assert keeper.service.count(OWNER, cdo, asked, zone)[1] == [100]
    keeper.service.close()
    again = keeper.started()
    try:
        assert again.count(OWNER, cdo, asked, other)[1] == [None]
        keeper.ground.tamper("DELETE FROM told.counted WHERE length(sealed) > 0")
    finally:
        again.close()
    third = keeper.started()
    try:
        with pytest.raises(TamperedError):
            third.count(OWNER, cdo, asked, other)
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
    asked = claim("access.count.authorised", post="district.cdo", fields={}, detail={"zones": ZONES})
    hidden = [
        Question(None, {"pregnancy": "1"}, people, []),
        Question("pregnancy", {}, people, [("1", people)]),
        Question("employer", {}, people, [("x", people)]),
        Question(None, {"sex AS pregnancy": "1"}, people, []),
    ]
    for question in hidden:
        with pytest.raises(DeniedError):
            keeper.service.count(OWNER, cdo, asked, question)
    clerk = claim("access.count.authorised", fields={}, detail={"zones": ZONES})
    with pytest.raises(DeniedError):
        keeper.service.count(OWNER, "p.tang", clerk, Question(None, {}, people, []))
    assert keeper.events()[2:] == ["access.request.denied"] * 5
    assert keeper.service.count(OWNER, cdo, asked, Question("sex", {}, people, [("1", people)]))[1] == [
        100,
        None,
    ]
