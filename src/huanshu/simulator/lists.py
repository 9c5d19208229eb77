"""Code lists that a home's suite names for a field: ``value_set: '@codes.<list>'``, or the values themselves."""

from __future__ import annotations

from typing import Final

from huanshu.catalog import Suite

_CODES: Final = "@codes."


def listed(suite: Suite | None, field: str) -> dict[str, str]:
    """Code → title (empty for bare values) of what the field may hold; nothing when no rule lists it."""
    for rule in suite.expectations if suite else ():
        values = rule.kwargs.get("value_set")
        if rule.kwargs.get("column") != field:
            continue
        if isinstance(values, list):
            return {str(value): str(value) for value in values}
        if suite and isinstance(values, str) and values.startswith(_CODES):
            return {code.code: code.title.zh for code in suite.codes.get(values.removeprefix(_CODES), ())}
    return {}
