"""Text that a spreadsheet would take for a formula (CWE-1236): recognised on the way in, neutralised on the way out.

``shown`` puts an apostrophe before what begins dangerously, or with an apostrophe; ``meant`` takes exactly that one
away. Together they change nothing: ``meant(shown(text)) == text`` for every text.
"""

from __future__ import annotations

from typing import Final

#: What begins a formula somewhere: also in full width, and after a tab or a carriage return.
DANGEROUS: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠", "﹦", "﹢", "﹣", "﹫")
_GUARD: Final = "'"


def is_formula(text: str) -> bool:
    """Whether a spreadsheet might compute this, also when blanks stand before it."""
    return text.startswith(DANGEROUS) or text.lstrip(" \u3000\ufeff\u200b").startswith(DANGEROUS)


def shown(text: str) -> str:
    """The text as it may stand in a cell."""
    return _GUARD + text if is_formula(text) or text.startswith(_GUARD) else text


def meant(text: str) -> str:
    """Inverse of ``shown``."""
    return text[1:] if text.startswith(_GUARD) else text
