"""What links and tokens tell whoever steals them: a frequency attack with public statistics of names, measured.

The attacker knows how common every surname and telephone is, and holds the whole column. Where a value of few kinds has
a link (a surname, a status), counting finds most of them: the control. Where identifiers are linked, as contracts allow,
and names are sealed, counting finds no more than naming the commonest for everybody.
"""

from __future__ import annotations

from collections import Counter
from typing import get_args

import numpy as np
import pyarrow as pa
import pytest

from huanshu.catalog import LinkKind
from huanshu.sealing import CellContext, link, link_column, new_key, seal_values, token_column
from huanshu.sealing.keys import data_key, link_key, token_key
from huanshu.sealing.suites import Profile
from huanshu.simulator.lexicon import FAMILIES, FAMILY_SHARES

ROWS = 20_000
PUBLIC = [FAMILIES[n] for n in np.argsort(-FAMILY_SHARES)]  # commonest first


def _population() -> tuple[list[str], list[str], list[str]]:
    """Surnames as common as in the public statistics, citizen numbers, telephones that families share."""
    random = np.random.default_rng(3)
    surnames = [FAMILIES[n] for n in random.choice(len(FAMILIES), ROWS, p=FAMILY_SHARES)]
    numbers = [f"99010119{n:09d}X" for n in (np.arange(ROWS) * 7919 % 10**8).tolist()]
    families = np.sort(random.integers(0, ROWS // 3, ROWS))
    phones = [f"139{n:08d}" for n in (families * 7919 % 10**8).tolist()]
    return surnames, numbers, phones


def _recovered(tokens: list[bytes], surnames: list[str]) -> float:
    """The commonest token is the commonest name, and so on; whoever is left over is called by the commonest."""
    ranked = [token for token, _ in Counter(tokens).most_common()]
    guess = {token: PUBLIC[rank] if rank < len(PUBLIC) else PUBLIC[0] for rank, token in enumerate(ranked)}
    return float(np.mean([guess[token] == surname for token, surname in zip(tokens, surnames, strict=True)]))


@pytest.mark.parametrize("profile", ["aes", "sm"])
def test_counting_finds_no_more_than_the_commonest_name(profile: Profile) -> None:
    surnames, numbers, phones = _population()
    baseline = Counter(surnames).most_common(1)[0][1] / ROWS
    rows = (np.arange(ROWS), np.ones(ROWS, np.int32))
    key = new_key(data_key("990101001001", "resident", "name", 1), profile)
    cells = seal_values(
        key, CellContext("990101001001", "resident", "name", "reveal", 1), *rows, pa.array(surnames), 60
    )
    stolen = {"sealed names": cells.to_pylist()}
    for kind, values in (("citizen_number", numbers), ("phone", phones)):
        links = link_column(new_key(link_key(kind), profile), kind, pa.array(values))
        tokens = token_column(new_key(token_key("subsidy_check", kind), profile), links)
        stolen |= {f"links of {kind}": list(map(bytes, links)), f"tokens of {kind}": list(map(bytes, tokens))}
    assert len(stolen) == 5
    for what, tokens in stolen.items():
        assert _recovered(tokens, surnames) <= baseline + 0.01, what
    # What is known to leak, and no more: who shares a telephone.
    shared = Counter(stolen["links of phone"])
    assert sorted(shared.values()) == sorted(Counter(phones).values())
    assert set(Counter(stolen["links of citizen_number"]).values()) == {1}


def test_the_attack_succeeds_where_names_would_have_links() -> None:
    surnames, _, _ = _population()
    key = new_key(link_key("record_number"))
    blind = {surname: link(key, "record_number", surname) for surname in FAMILIES}
    baseline = Counter(surnames).most_common(1)[0][1] / ROWS
    assert _recovered([blind[surname] for surname in surnames], surnames) > baseline + 0.4


def test_only_identifiers_have_links() -> None:
    """No kind for a name, a status, a date: their values are too few to be linked."""
    assert set(get_args(LinkKind)) == {
        "citizen_number",
        "credit_code",
        "person_number",
        "phone",
        "record_number",
    }


def test_tokens_of_two_purposes_share_nothing_but_their_counts() -> None:
    _, numbers, _ = _population()
    links = link_column(new_key(link_key("citizen_number")), "citizen_number", pa.array(numbers))
    made = [
        set(map(bytes, token_column(new_key(token_key(purpose, "citizen_number")), links)))
        for purpose in ("subsidy_check", "vaccination_call")
    ]
    assert len(made[0]) == len(made[1]) == ROWS
    assert not made[0] & made[1]
