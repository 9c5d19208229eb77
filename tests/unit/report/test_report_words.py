"""No reader is shown a bare code: every reason that may be refused for has words, in both languages."""

from __future__ import annotations

import re
from pathlib import Path

from huanshu.auditlog.events import EVENTS
from huanshu.report.measures import MEASURES
from huanshu.report.wording import ASKED, REASONS, plural

#: Denials whose code is written where it is raised: ``_denied("code"…`` and ``DeniedError(\n"code"…``.
_DENIED = re.compile(r"(?:_denied|DeniedError)\(\s*\"([a-z_]+\.[a-z_]+\.[a-z_]+)\"")


def test_every_denial_has_words(root: Path) -> None:
    codes = {
        code
        for file in (root / "src/huanshu/keeper").glob("*.py")
        for code in _DENIED.findall(file.read_text())
    }
    assert len(codes) > 15
    assert codes <= set(REASONS), "add words to huanshu.report.wording.REASONS"


def test_words_are_in_both_languages_and_no_code() -> None:
    for text in (*REASONS.values(), *ASKED.values()):
        assert text.en
        assert re.search(r"[一-鿿]", text.zh)
        assert "." not in text.en


def test_what_may_be_asked_is_an_event() -> None:
    assert ASKED
    assert set(ASKED) <= set(EVENTS)


def test_plural() -> None:
    assert [plural(n, "delivery", "deliveries") for n in (0, 1, 1204)] == [
        "0 deliveries",
        "1 delivery",
        "1,204 deliveries",
    ]


def test_the_readme_lists_the_measures_there_are(root: Path) -> None:
    text = (root / "audit/reports/exchange_summary/README.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| `([a-z_]+)` \| (?:figure|table|flows|timeline) \|", text, re.MULTILINE)
    assert listed == list(MEASURES)
