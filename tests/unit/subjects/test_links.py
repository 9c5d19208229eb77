"""Links sorted are what links compared one by one would be."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from huanshu.subjects.links import among, distinct, places

# Few different halves, so that equal first halves with unlike second ones occur all the time.
LINKS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), max_size=40).map(
    lambda pairs: np.array([[a] * 8 + [b] * 8 for a, b in pairs], np.uint8).reshape(-1, 16)
)


@given(LINKS)
def test_codes_are_equal_exactly_where_links_are(links: np.ndarray) -> None:
    found = distinct(links)
    assert (found.links[found.codes] == links).all()
    listed = [bytes(link) for link in found.links]
    assert listed == sorted({bytes(link) for link in links})


@given(LINKS, LINKS)
def test_a_place_is_where_the_link_stands(wanted: np.ndarray, known: np.ndarray) -> None:
    mine, theirs = distinct(wanted).links, distinct(known).links[::-1]
    there = [bytes(link) for link in theirs]
    expected = [there.index(bytes(link)) if bytes(link) in there else -1 for link in mine]
    assert places(mine, theirs).tolist() == expected


@given(LINKS, st.randoms())
def test_among_some_rows_is_as_if_only_they_were_there(links: np.ndarray, dice: object) -> None:
    rows = np.array([dice.random() < 0.5 for _ in links], np.bool_)  # type: ignore[attr-defined]
    some, alone = among(distinct(links), rows), distinct(links[rows])
    assert (some.links == alone.links).all()
    assert some.codes.tolist() == alone.codes.tolist()
