"""The report says what the entries say: a small story in, exact figures out."""

from __future__ import annotations

import html.parser
import re
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from huanshu.catalog import read_home
from huanshu.errors import ContentError
from huanshu.report import build
from huanshu.report.measures import Figure, summarise

ROOT = Path(__file__).parents[3]
ZONE = ZoneInfo("Asia/Shanghai")
NOW = datetime(2026, 9, 10, 12, tzinfo=ZONE)
WINDOW = (NOW - timedelta(days=30), NOW)
HOME = read_home(ROOT)
A, B, C = "990101001001", "990101001002", "990101001003"
CHECKPOINT = {"origin": "example/log", "size": 9, "root": "ab" * 32, "note": ""}


def entry(index: int, event: str, detail: dict[str, Any], **members: Any) -> dict[str, Any]:
    at = datetime(2026, 9, 1, 8, index, tzinfo=ZONE)
    return {
        "index": index,
        "event": event,
        "at": at.isoformat(),
        "person": "p.lin",
        "detail": detail,
        **members,
    }


def arrived(
    index: int, receiver: str, delivery: str, count: int, withdrawn: int, holds: int
) -> dict[str, Any]:
    detail = {"delivery": delivery, "count": count, "withdrawn": withdrawn, "holds": holds}
    return entry(index, "exchange.delivery.arrived", detail, domain=receiver)


STORY = [
    entry(
        1, "exchange.intake.promoted",
        {"good": 100, "quarantined": 3, "unchanged": 10, "withdrawn": 2, "rules": {"phone_form": 3}, "warnings": {}},
    ),
    arrived(2, A, "d1", 60, 0, 60),
    arrived(3, B, "d2", 40, 5, 35),
    entry(4, "exchange.delivery.signed", {"delivery": "d1", "arrived": 2}, domain=A, person="p.tang"),
    entry(5, "access.request.denied", {"reason": "access.request.denied", "asked": "x"}, person="p.tang", domain=B),
    entry(6, "access.request.denied", {"reason": "access.request.denied", "asked": "x"}, person="p.tang", domain=B),
    entry(
        7, "finding.case.opened",
        {"finding": "f1", "kind": "store.server.unreachable", "due": "2026-09-03T23:59:59+08:00", "owner_post": "psb.exchange_officer", "about": C},
    ),
    entry(
        8, "access.record.authorised", {"record": 1, "values": 2}, person="p.tang", domain=A, purpose="grassroots_service"
    ),
]  # fmt: skip


def page(entries: list[dict[str, Any]], lang: str = "zh", *, sandbox: bool = True) -> str:
    return build(entries, HOME, WINDOW, NOW, lang, CHECKPOINT, sandbox)


def test_figures_are_exact_and_cite_their_entries() -> None:
    told = summarise(STORY, HOME, WINDOW, NOW)
    assert (told.sent, told.withdrawn) == (Figure(100, (2, 3)), Figure(5, (2, 3)))
    assert told.quarantined == Figure(3, (1,))
    assert told.refused == Figure(2, (5, 6))
    assert told.refusals[0].count.cited == "#5–#6"
    assert told.viewed == Figure(1, (8,))
    a, b, c = told.receivers
    assert (a.holds, a.unsigned.value, a.signed_by) == (60, 0, ("p.tang",))
    # Three working days after Tuesday 2026-09-01 have passed by the 10th.
    assert (b.holds, b.unsigned.value, b.signature_due, b.overdue) == (35, 1, "2026-09-04", True)
    assert (c.arrivals, c.finding) == (0, "store.server.unreachable")
    assert (told.unsigned, told.overdue, told.all_arrived) == (1, 1, False)


def test_what_lies_outside_the_window_is_not_counted_but_still_held() -> None:
    told = summarise(STORY, HOME, (NOW - timedelta(days=1), NOW), NOW)
    assert told.sent.value == 0
    assert told.receivers[0].holds == 60


def test_a_settled_finding_is_gone() -> None:
    settled = entry(9, "finding.case.settled", {"finding": "f1", "disposition": "arrived"})
    assert summarise([*STORY, settled], HOME, WINDOW, NOW).findings == ()


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_the_page_stands_alone(lang: str) -> None:
    text = page(STORY, lang)
    assert "default-src 'none'" in text
    assert not re.search(r"(src|href)=[\"'](?!#|data:)", text)
    assert "<script" not in text
    assert not re.search(r"https?://(?!www\.w3\.org)", text)


def test_the_page_is_well_formed() -> None:
    class Reader(html.parser.HTMLParser):
        void = {"meta", "br", "rect", "path", "link"}

        def __init__(self) -> None:
            super().__init__()
            self.open: list[str] = []

        def handle_starttag(self, tag: str, attrs: object) -> None:
            if tag not in self.void:
                self.open.append(tag)

        def handle_endtag(self, tag: str) -> None:
            if tag not in self.void:
                assert self.open.pop() == tag

    reader = Reader()
    reader.feed(page(STORY))
    assert reader.open == []


def test_chinese_first_and_english_on_request() -> None:
    assert "数据回流审计报告" in page(STORY)
    assert "唐宁" in page(STORY)
    assert "2 of 3 communities" in page(STORY, "en")


def test_the_sandbox_is_never_hidden() -> None:
    assert "演练环境" in page(STORY)
    assert "演练环境" not in page(STORY, sandbox=False)


def test_an_empty_log_makes_a_sensible_page() -> None:
    text = page([])
    assert "没有未了结事项" in text
    assert "3 个社区中 0 个已收到数据" in text


def test_hostile_words_are_escaped() -> None:
    hostile = entry(
        9, "access.request.denied", {"reason": "<img src=x onerror=alert(1)>", "asked": "x"}, person="<b>"
    )
    text = page([*STORY, hostile])
    assert "<img src=x" not in text
    assert "&lt;img src=x" in text


@given(st.lists(st.integers(0, 400), max_size=40))
def test_citations_name_exactly_the_entries(indices: list[int]) -> None:
    cited = Figure(len(indices), tuple(indices)).cited
    named: set[int] = set()
    for part in filter(None, cited.removesuffix(" …").split(", ")):
        first, _, last = part.replace("#", "").partition("–")
        named |= set(range(int(first), int(last or first) + 1))
    assert named == set(indices) if not cited.endswith("…") else named < set(indices)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (("sections: [headline", "sections: [headlines"), "headlines"),
        (("audience:", "audiance:"), "keys"),
        (("template.html.j2", "other.html.j2"), "other.html.j2"),
    ],
)
def test_a_malformed_declaration_is_named(home: Path, change: tuple[str, str], told: str) -> None:
    path = home / "audit/reports/exchange_summary/report.yaml"
    assert change[0] in path.read_text()
    path.write_text(path.read_text().replace(*change))
    with pytest.raises(ContentError, match=r"report\.declaration\.malformed") as refused:
        build(STORY, read_home(home), WINDOW, NOW, "en", CHECKPOINT, True)
    assert told in str(refused.value)
