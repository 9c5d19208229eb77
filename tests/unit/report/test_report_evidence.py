"""A figure cites its entries in full, and a page is made from the very log whose root it prints."""

from __future__ import annotations

import re

import pytest
from exchange_story import Body, checkpoint_of
from hypothesis import given
from hypothesis import strategies as st

from huanshu.auditlog.entries import Entry
from huanshu.canonical import canonical
from huanshu.errors import TamperedError
from huanshu.report.evidence import bound_entries, cite, signs
from huanshu.tlog.notes import Checkpoint


def test_neighbours_are_joined() -> None:
    assert cite([19, 12, 13, 15, 14, 13]) == "#12–#15, #19"
    assert cite([7]) == "#7"
    assert cite([]) == ""


@given(st.sets(st.integers(0, 300)))
def test_a_citation_names_exactly_its_entries(indices: set[int]) -> None:
    named = set()
    for first, last in re.findall(r"#(\d+)(?:–#(\d+))?", cite(indices)):
        named |= set(range(int(first), int(last or first) + 1))
    assert named == indices


def test_bodies_and_entries_are_the_same_log(entries: list[Body]) -> None:
    assert entries
    checkpoint = checkpoint_of(entries)
    assert bound_entries(entries, checkpoint) == tuple(entries)
    assert bound_entries((Entry.of(canonical(body)) for body in entries), checkpoint) == tuple(entries)


def changed(entries: list[Body], place: int) -> list[Body]:
    other = {**entries[place], "person": "p.other"}
    return [*entries[:place], other, *entries[place + 1 :]]


@pytest.mark.parametrize(
    "tamper",
    [
        pytest.param(lambda log: log[:-1], id="cut"),
        pytest.param(lambda log: log[:9] + log[10:], id="deleted"),
        pytest.param(lambda log: [*log, {**log[-1], "index": len(log)}], id="added"),
        pytest.param(lambda log: [*log[:4], log[5], log[4], *log[6:]], id="swapped"),
        pytest.param(lambda log: changed(log, 14), id="changed"),
        pytest.param(lambda log: [], id="emptied"),
    ],
)
def test_no_report_is_made_from_another_log(entries: list[Body], tamper) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(TamperedError) as refused:
        bound_entries(tamper(list(entries)), checkpoint_of(entries))
    assert refused.value.code == "report.log.differs"


def test_an_entry_that_gives_another_index_is_refused_whatever_was_signed(entries: list[Body]) -> None:
    """Its citation would point at another entry."""
    lying = [{**body, "index": 40} if body["index"] == 14 else body for body in entries]
    with pytest.raises(TamperedError, match="entry #14"):
        bound_entries(lying, checkpoint_of(lying))


def test_a_note_counts_only_for_its_own_checkpoint(entries: list[Body]) -> None:
    checkpoint = checkpoint_of(entries)
    root = bytes.fromhex(checkpoint["root"])
    note = Checkpoint(checkpoint["origin"], checkpoint["size"], root).text + "\n— log AAAA\n"
    newer = Checkpoint(checkpoint["origin"], checkpoint["size"] + 1, root).text + "\n— log AAAA\n"
    assert signs(note, checkpoint)
    assert not signs(newer, checkpoint)
    assert not signs("", checkpoint)
    assert not signs("no note\n\nat all", checkpoint)
