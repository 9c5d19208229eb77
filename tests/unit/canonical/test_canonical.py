"""Canonical bytes: RFC 8785 where it applies, refusals where we are narrower on purpose."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from huanshu.canonical import canonical, digest
from huanshu.errors import InputError

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
scalars = texts | st.integers(-(2**53) + 1, 2**53 - 1) | st.booleans()
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)


def test_members_sort_by_utf_16_code_units() -> None:
    """RFC 8785 section 3.2.3."""
    given_ = {
        "€": "Euro Sign",
        "\r": "Carriage Return",
        "\ufb33": "Hebrew Letter Dalet With Dagesh",
        "1": "One",
        "\U0001f600": "Emoji: Grinning Face",
        "\u0080": "Control",
        "\u00f6": "Latin Small Letter O With Diaeresis",
    }
    assert list(json.loads(canonical(given_)).values()) == [
        "Carriage Return",
        "One",
        "Control",
        "Latin Small Letter O With Diaeresis",
        "Euro Sign",
        "Emoji: Grinning Face",
        "Hebrew Letter Dalet With Dagesh",
    ]


def test_strings_and_literals_of_the_rfc() -> None:
    """RFC 8785 section 3.2.2, without its floats and null."""
    assert canonical({"string": '€$\u000f\nA\'B"\\\\"/', "literals": [True, False]}) == (
        b'{"literals":[true,false],"string":"\xe2\x82\xac$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}'
    )
    assert canonical("\b\t\n\f\r\u0000\u007f") == b'"\\b\\t\\n\\f\\r\\u0000\x7f"'
    assert canonical([0, -1, 2**53 - 1, -(2**53) + 1]) == b"[0,-1,9007199254740991,-9007199254740991]"
    assert canonical({}) == b"{}"


def test_composed_and_decomposed_text_stay_two_texts() -> None:
    assert canonical("\u00e9") != canonical("e\u0301")


@given(values)
def test_reading_back_gives_the_value_and_writing_again_the_bytes(value: Any) -> None:
    raw = canonical(value)
    assert json.loads(raw) == value
    assert canonical(json.loads(raw)) == raw
    assert digest(value) == hashlib.sha256(raw).hexdigest()


@given(values)
def test_the_library_writes_the_same_bytes(value: Any) -> None:
    """Python's encoder against an implementation of the RFC that somebody else wrote."""
    assert canonical(value) == rfc8785.dumps(value)


@given(st.dictionaries(st.text("ab\U0001f600\U0010ffff\uffff\ufb33\u20ac", max_size=3), scalars, max_size=8))
def test_names_beyond_the_basic_plane_are_ordered_as_the_library_does(value: dict[str, Any]) -> None:
    assert canonical([value]) == rfc8785.dumps([value])


@given(st.dictionaries(texts, scalars, min_size=2, max_size=6))
def test_the_order_of_members_does_not_matter(value: dict[str, Any]) -> None:
    assert canonical(dict(reversed(value.items()))) == canonical(value)


REFUSED = [
    1.0, 0.5, float("nan"), float("inf"), None, 2**53, -(2**53), "\ud800", "a\udfff", {1: "a"}, {None: "a"},
    {True: "a"}, {"\ud800": 1}, b"bytes", {"a"}, object(),
]  # fmt: skip


@pytest.mark.parametrize("value", REFUSED, ids=lambda value: ascii(value).split(" at 0x")[0])
@pytest.mark.parametrize("wrap", [lambda v: v, lambda v: [v], lambda v: {"a": {"b": [v]}}])
def test_what_has_no_one_spelling_is_refused_at_any_depth(value: Any, wrap: Any) -> None:
    with pytest.raises(InputError, match=r"canonical\.value\.refused"):
        canonical(wrap(value))


def test_one_is_not_true() -> None:
    assert canonical([1, True]) == b"[1,true]"
