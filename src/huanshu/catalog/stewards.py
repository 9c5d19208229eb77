"""Who answers for a field: the steward of the department that has authority over it."""

from __future__ import annotations

from huanshu.catalog.nouns import Contract, Field, Home

STEWARD = "steward"


def steward_of(home: Home, contract: Contract, field: Field) -> str:
    """The steward post of the field's authority; the contract's steward post where that department has none."""
    for holding in home.policies.holdings:
        if holding.role == STEWARD and holding.domain == field.authority:
            return holding.post
    return contract.steward_post
