"""Look-alikes: whatever is not exactly the identifier is refused, unrepeated, before Casbin sees it."""

from __future__ import annotations

import random
import unicodedata
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from huanshu.access import PlanRequest

RULE = "100, clerk, own, resident, {}, service, reveal, 2026-01-01, 2027-12-31, allow"
RIGHT = {
    "post": "yulan.clerk",
    "domain": "990101001001",
    "dataset": "resident",
    "field": "name",
    "purpose": "service",
    "action": "reveal",
}
CONFUSIONS: list[tuple[str, Any]] = [
    ("domain", "９９０１０１００１００１"),  # full-width digits
    ("domain", "٩٩٠١٠١٠٠١٠٠١"),  # Arabic-Indic digits, which int() accepts
    ("domain", "990101001001 "),
    ("domain", " 990101001001"),
    ("domain", "990101001001\n"),
    ("domain", "990101001001\x00"),
    ("domain", "99010100100*"),
    ("domain", "*"),
    ("domain", "%"),
    ("domain", "990101001001%20"),
    ("domain", "990101001001/../990101001002"),
    ("domain", "990101001001,990101001002"),
    ("domain", "99010100100"),
    ("domain", "9901010010010"),
    ("domain", 990101001001),
    ("domain", ["990101001001"]),
    ("domain", None),
    ("post", "Yulan.clerk"),
    ("post", "yulan%2eclerk"),
    ("post", "yulan..clerk"),
    ("post", ".yulan.clerk"),
    ("post", "yulan．clerk"),  # full-width full stop
    ("post", "yulаn.clerk"),  # Cyrillic а
    ("post", "yulan.clerk' or '1'='1"),
    ("dataset", "RESIDENT"),
    ("dataset", "resident\u200b"),  # zero-width space
    ("field", "*"),
    ("field", "@level3"),
    ("field", "@sensitive_personal"),
    ("field", "name "),
    ("field", "NAME"),
    ("field", "ｎａｍｅ"),
    ("field", "argmax(phone)"),
    ("field", unicodedata.normalize("NFD", "é")),
    ("field", "name#"),
    ("field", "name)||(true"),
    ("purpose", "service;visit"),
    ("purpose", "Service"),
    ("purpose", "*"),
    ("action", "REVEAL"),
    ("action", "reveal "),
    ("action", "*"),
    ("action", 4),
]


@pytest.fixture(scope="module")
def enforcer(district: Any) -> Any:
    return district.enforcer(district.rules(community=[RULE.format("name"), RULE.format("@level3")]))


def test_the_right_words_are_allowed(district: Any, enforcer: Any) -> None:
    assert enforcer.decide(district.asks(**RIGHT)).allowed


@pytest.mark.parametrize(("member", "token"), CONFUSIONS)
def test_a_look_alike_is_refused_and_not_repeated(
    district: Any, enforcer: Any, member: str, token: Any
) -> None:
    decision = enforcer.decide(district.asks(**{**RIGHT, member: token}))
    assert not decision.allowed
    assert decision.nearest.kind in {"not_canonical", "unknown"}
    if isinstance(token, str) and token.strip() not in RIGHT.values() and len(token) > 1:
        for text in (*decision.explanation, *decision.remedy):
            assert token not in text


def test_look_alikes_in_a_plan_are_refused(district: Any, enforcer: Any) -> None:
    seen = 0
    for member, token in CONFUSIONS:
        if member != "field":
            continue
        seen += 1
        plan = enforcer.plan(
            PlanRequest(
                "yulan.clerk", "990101001001", "resident", {"name": "reveal", token: "reveal"}, "service",
                district.at("2026-06-01"),
            )
        )  # fmt: skip
        assert not plan.allowed
        assert [*plan.denials] == [token]
    assert seen > 5


def test_an_instant_without_offset_is_refused(district: Any, enforcer: Any) -> None:
    decision = enforcer.decide(district.asks(at=district.at("2026-06-01").replace(tzinfo=None)))
    assert not decision.allowed
    assert decision.nearest.kind == "not_canonical"


def test_a_pasted_value_is_never_repeated(district: Any, enforcer: Any) -> None:
    """A citizen number in the wrong place: canonical characters, no identifier."""
    for member in RIGHT:
        for pasted in ("440604195001010023", "13800138000", "4406041950010100"):
            decision = enforcer.decide(district.asks(**{**RIGHT, member: pasted}))
            assert not decision.allowed
            assert pasted not in repr(decision)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(member=st.sampled_from(sorted(RIGHT)), token=st.text(max_size=20))
def test_no_text_is_taken_for_another(district: Any, enforcer: Any, member: str, token: str) -> None:
    decision = enforcer.decide(district.asks(**{**RIGHT, member: token}))
    if decision.allowed:
        # Only what the rules say: the word itself, another field of level 3, or a lower rung.
        assert token == RIGHT[member] or (member, token) in {
            ("field", "phone"),
            ("field", "citizen_number"),
            ("field", "marital_status"),
            ("action", "count"),
            ("action", "mask"),
        }


# -- words that are nearly right ----------------------------------------------------------------------

LOOK_ALIKE = str.maketrans("aceiopsxy", "асеіорѕху")  # Cyrillic
FULL_WIDTH = {ord(c): ord(c) + 0xFEE0 for c in "abcdefghijklmnopqrstuvwxyz0123456789._"}
INVISIBLE = ["\u200b", "\u00ad", "\u2060", "\ufeff", "\u200e", "\x00", "\u034f"]
BLANKS = [" ", "\t", "\n", "\r", "\u00a0", "\u3000", "\u2028", "."]


def nearly(word: str, chance: random.Random) -> str:
    """The word as somebody would write it who hopes that it is read as the word."""
    place = chance.randrange(len(word))
    at = word[place]
    change = chance.choice(
        [
            word[:place] + at.translate(FULL_WIDTH) + word[place + 1 :],
            word.translate(FULL_WIDTH),
            word.translate(LOOK_ALIKE),
            word[:place] + at.upper() + word[place + 1 :],
            word.title(),
            word[:place] + chance.choice(INVISIBLE) + word[place:],
            word + chance.choice(BLANKS),
            chance.choice(BLANKS) + word,
            word[:place] + f"%{ord(at):02x}" + word[place + 1 :],
            word[:place] + f"%25{ord(at):02X}" + word[place + 1 :],
            word[:place] + "*",
            word[:place] + "*" + word[place + 1 :],
            word[:place] + "?" + word[place + 1 :],
            unicodedata.normalize("NFD", word[:place] + "é" + word[place + 1 :]),
            word[:place] + at + "\u0301" + word[place + 1 :],
            f"{word}//",
            f"/{word}",
            f"./{word}",
            f"{word}/../{word}",
            f"{word};{word}",
            f"{word},{word}",
            f"{word}'--",
            word + word[-1],
            word[:-1],
        ]
    )
    return change if change != word else word + " "


def test_nearly_right_is_not_right(district: Any, enforcer: Any) -> None:
    """At least 5 000 words that are nearly right; none is taken for the right one, or repeated."""
    refused = 0
    members = sorted(RIGHT)

    @settings(max_examples=260, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.integers(0, 2**64))
    def never(seed: int) -> None:
        nonlocal refused
        chance = random.Random(seed)
        for _ in range(4):
            for member in members:
                token = nearly(RIGHT[member], chance)
                decision = enforcer.decide(district.asks(**{**RIGHT, member: token}))
                assert not decision.allowed
                assert decision.nearest.kind in {"not_canonical", "unknown"}
                # A piece of the right word stands in the hint, which names the right word.
                said = "".join((*decision.explanation, *decision.remedy))
                assert len(token) < 5 or token in RIGHT[member] or token not in said
                refused += 1

    never()
    assert refused >= 5_000
