"""Counts over a sealed field: whom one was asked about tells nothing of fewer, whatever the answers were."""

from __future__ import annotations

import random
from collections.abc import Sequence
from fractions import Fraction
from itertools import combinations

from elimination import rank
from hypothesis import given, settings
from hypothesis import strategies as st
from pyroaring import BitMap

from huanshu.keeper.counting import Asked, Frame, Frames, Reader
from huanshu.keeper.determined import Effort

EVERY = BitMap(range(4))
people = st.sets(st.integers(0, 6), min_size=1)
values = st.sets(st.integers(0, 3), min_size=1, max_size=3)


def confined(told: list[tuple[set[int], set[int]]], least: int) -> bool:
    """By another way: unknowns are (person, value), each person has one value and that is known; is some combination of
    the figures nonzero on fewer people?"""
    everyone = sorted(set().union(*(who for who, _ in told))) if told else []
    rows = [
        [
            Fraction(int(one in who) * (int(value in what) - int(0 in what)))
            for one in everyone
            for value in range(1, 4)
        ]
        for who, what in told
    ]
    whole = rank(rows)
    for few in combinations(range(len(everyone)), min(least - 1, len(everyone))):
        others = [[v for n, v in enumerate(row) if n // 3 not in few] for row in rows]
        if rank(others) < whole:
            return True
    return False


@settings(max_examples=200)
@given(st.lists(st.tuples(people, values), min_size=1, max_size=6), st.integers(2, 4))
def test_no_sequence_of_frames_says_anything_of_fewer_people(
    asked: list[tuple[set[int], set[int]]], least: int
) -> None:
    frames, told = Frames(), list[tuple[set[int], set[int]]]()
    for who, what in asked:
        more = frames.with_frame(Frame("born", BitMap(who), BitMap(what), EVERY))
        refused = more.confine(least, Effort())
        assert refused == confined([*told, (who, what)], least)
        if not refused:
            frames = more
            told.append((who, what))
    assert not confined(told, least)


def ask(reader: Reader, key: str, who: BitMap, has: BitMap, word: int = 1) -> int | None:
    frame = Frame("born", who, BitMap([word]), EVERY)
    (figure,), _ = reader.ask(10, [Asked(key, who & has, frame)])
    return figure


def test_that_somebody_has_not_the_value_is_not_told_by_a_sum_that_comes_out() -> None:
    """Two groups and both with one person more, who has it not: 20 + 20 = 40 would say so. The sets of those who have it
    add up, and no atom of them is small."""
    one, other, him = BitMap(range(40)), BitMap(range(100, 140)), BitMap([999])
    has = BitMap(range(20)) | BitMap(range(100, 120))
    reader = Reader()
    assert ask(reader, "one", one, has) == 20
    assert ask(reader, "other", other, has) == 20
    assert ask(reader, "both and him", one | other | him, has) is None
    assert ask(reader, "both and him", one | other | him, has | him) is None, "refused alike if he has it"
    assert ask(reader, "both", one | other, has) == 40, "what is no more than a sum may be told"


def test_a_band_and_the_rest_of_a_group_do_not_tell_of_who_is_in_between() -> None:
    """65+ of all, and all the others of all but one."""
    everyone = BitMap(range(60))
    has = BitMap(range(30))
    reader = Reader()
    assert ask(reader, "old", everyone, has) == 30
    young = BitMap([0, 2, 3])
    frame = Frame("born", everyone - BitMap([59]), young, EVERY)
    (figure,), _ = reader.ask(10, [Asked("young", BitMap(range(30, 59)), frame)])
    assert figure is None


def test_nearly_everybody_is_told_no_more_than_nearly_nobody() -> None:
    reader = Reader()
    assert ask(reader, "all but nine", BitMap(range(100)), BitMap(range(91))) is None
    assert ask(reader, "nine", BitMap(range(200, 300)), BitMap(range(200, 209))) is None
    assert ask(reader, "everybody", BitMap(range(600, 700)), BitMap(range(600, 700))) is None
    assert ask(reader, "half", BitMap(range(400, 500)), BitMap(range(400, 450))) == 50


def test_two_bands_do_not_tell_of_the_few_in_neither() -> None:
    """30 and 27 of sixty whom anybody can count: three are left."""
    everyone, reader = BitMap(range(60)), Reader()
    assert ask(reader, "old", everyone, BitMap(range(30)), 1) == 30
    assert ask(reader, "young", everyone, BitMap(range(30, 57)), 2) is None
    assert ask(reader, "in between", everyone, BitMap(range(30, 45)), 3) == 15


def test_the_last_cell_is_not_told_by_what_is_left_of_everybody() -> None:
    """A breakdown by grid: what is withheld in one is not the total without the others, nor those of the frame."""
    grids = [BitMap(range(100 * n, 100 * n + 40)) for n in range(3)]
    has = BitMap(range(20)) | BitMap(range(100, 120)) | BitMap(range(200, 204))
    frame = Frame("born", BitMap.union(*grids), BitMap([1]), EVERY)
    asked = [Asked("all", has, frame)]
    asked += [Asked(f"g{n}", has & g, Frame("born", g, BitMap([1]), EVERY)) for n, g in enumerate(grids)]
    figures, _ = Reader().ask(10, asked)
    assert figures[0] == 44
    assert figures[3] is None
    assert figures[1:3].count(None) == 1, "and one more, or the four were told by the others"


@settings(max_examples=100)
@given(st.lists(st.tuples(people, st.sets(st.integers(0, 6))), min_size=1, max_size=6), st.integers(2, 3))
def test_a_question_over_a_sealed_field_is_judged_as_its_sets_are_one_after_the_other(
    given_sets: list[tuple[set[int], set[int]]], least: int
) -> None:
    asked = [
        Asked(str(n), BitMap(who & has), Frame("born", BitMap(who), BitMap([1]), EVERY))
        for n, (who, has) in enumerate(given_sets)
    ]
    one, known = Reader(), Reader()
    for each in asked:  # of a question, all frames are known from the beginning
        assert each.frame is not None
        one._know(each.frame)
        known._know(each.frame)
    singly = [one.ask(least, [each])[0][0] for each in asked]
    assert known.ask(least, asked)[0] == singly


def test_a_reader_that_starts_again_knows_the_frames_too() -> None:
    reader, again = Reader(), Reader()
    who, has = BitMap(range(60)), BitMap(range(30))
    _, fresh = reader.ask(10, [Asked("a", who & has, Frame("born", who, BitMap([1]), EVERY))])
    again.remember(10, fresh)
    few = who - BitMap([59])
    for each in (reader, again):
        assert ask(each, "b", few, has) is None


def test_who_sends_plain_sets_learns_nothing_of_those_who_have_a_value() -> None:
    """A plain set has the members that its sender chose. Judged beside those who have the sealed value it would be refused
    when it is near them: somebody who flips one member after the other reads everybody's value off the refusals."""
    who, chance = BitMap(range(24)), random.Random(4)
    first = BitMap(range(12))
    readers = [Reader(), Reader()]
    for reader, has in zip(readers, (first, BitMap(range(6, 18))), strict=True):
        assert ask(reader, "old", who, has) == 12
    answers = set()
    for number in range(60):
        guess = BitMap(chance.sample(range(24), 12)) if number % 2 else first ^ BitMap([number % 12, 12])
        one, other = (reader.ask(10, [Asked(f"guess {number}", guess)])[0] for reader in readers)
        assert one == other
        answers |= set(one)
    assert answers == {12, None}, "among themselves they are judged as ever"


def test_one_person_more_is_refused_though_nothing_was_told_without_him() -> None:
    """Nine have it, which is withheld; with one person more there are ten: then he has it."""
    who, him = BitMap(range(40)), BitMap([500])
    has = BitMap(range(9)) | him
    for again in (False, True):
        reader = Reader()
        (figure,), kept = reader.ask(10, [Asked("a", who & has, Frame("born", who, BitMap([1]), EVERY))])
        assert figure is None
        if again:
            reader = Reader()
            reader.remember(10, kept)
        assert ask(reader, "a and him", who | him, has) is None
    assert ask(Reader(), "a and him", who | him, has) == 10, "or asked alone"
    assert reader.ask(10, [Asked("a", who & has, Frame("born", who, BitMap([1]), EVERY))]) == ([None], [])


ONE, OTHER, MORE = BitMap([1, 2, 3]), BitMap([11, 12, 13]), BitMap([0, 1, 2, 3])


def test_that_everybody_has_one_value_is_known_whatever_other_lists_of_them_there_were() -> None:
    """All the others of all but one: of a field whose list of values was another before, or is another elsewhere."""
    who, him = BitMap(range(60)), BitMap([77])
    for before in (ONE, MORE):
        for list_ in (ONE, OTHER):
            low, high = list_[:1], list_[1:]
            reader = Reader()
            far = Frame("kind", BitMap(range(900, 960)), BitMap([1]), before)
            assert reader.ask(10, [Asked("far", BitMap(range(900, 920)), far)])[0] == [20]
            frame = Frame("kind", who, low, list_)
            assert reader.ask(10, [Asked("low", BitMap(range(30)), frame)])[0] == [30]
            rest = Frame("kind", who | him, high, list_)
            assert reader.ask(10, [Asked("high", BitMap(range(30, 60)), rest)])[0] == [None]


def test_that_somebody_has_a_value_elsewhere_says_nothing_of_whether_he_has_one_here() -> None:
    """Everybody has one there. Here it may be absent: 20 + 20 of two groups, and 40 of both with one person more."""
    one, other, him = BitMap(range(40)), BitMap(range(100, 140)), BitMap([999])
    everyone, has = one | other | him, BitMap(range(20)) | BitMap(range(100, 120))
    reader = Reader()
    there = Frame("kind", everyone, ONE[:1], ONE)
    assert reader.ask(10, [Asked("there", everyone & BitMap(range(60)), there)])[0] == [40]
    for key, who, figure in (("one", one, 20), ("other", other, 20), ("all", everyone, None)):
        frame = Frame("kind", who, ONE, MORE)
        assert reader.ask(10, [Asked(key, who & has, frame)])[0] == [figure]


def says_of_few(told: Sequence[Frame], least: int) -> bool:
    """As ``confined``, by another way still: that everybody has one of the values that he may have are figures, too."""
    everyone = sorted(BitMap.union(*(each.people for each in told)))
    values = sorted(BitMap.union(*(each.every for each in told)))
    whole = {(one, tuple(each.every)) for each in told for one in each.people}

    def row(who: BitMap, what: Sequence[int]) -> list[Fraction]:
        return [Fraction(int(one in who and value in what)) for one in everyone for value in values]

    known = {one: [row(BitMap([one]), what) for who, what in whole if who == one] for one in everyone}
    rows = [row(each.people, sorted(each.values)) for each in told] + [
        r for each in known.values() for r in each
    ]
    for few in combinations(everyone, min(least - 1, len(everyone))):
        kept = [n for n, one in enumerate(v for v in everyone for _ in values) if one not in few]
        beyond = rank(rows) - rank([[r[n] for n in kept] for r in rows])
        if beyond > rank([r for one in few for r in known[one]]):
            return True
    return False


framed = st.tuples(
    st.sets(st.integers(0, 4), min_size=1),
    st.sampled_from([BitMap([0, 1]), BitMap([0, 1, 2]), BitMap([2, 3])]),
    st.sets(st.integers(0, 3), min_size=1),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(framed, min_size=1, max_size=6), st.integers(2, 3))
def test_no_sequence_of_frames_with_several_lists_says_anything_of_fewer_people(
    asked: list[tuple[set[int], BitMap, set[int]]], least: int
) -> None:
    reader, told = Reader(), list[Frame]()
    reader._least = least
    for number, (who, every, what) in enumerate(asked):
        values = every & BitMap(what)
        if values:
            frame = Frame("kind", BitMap(who), values, every)
            refused, _ = reader._look([Asked(str(number), BitMap(), frame)], Effort())
            told += [] if refused else [frame]
    if told:
        assert not says_of_few(told, least)
    for every in (each.every for each in told):
        assert not says_of_few([each for each in told if each.every == every], least)
