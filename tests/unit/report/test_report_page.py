"""The page: closed, well-formed, accessible, escaped, in both languages, and sensible when nothing happened."""

from __future__ import annotations

import html.parser
import itertools
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from exchange_story import NOW, WINDOW, YULAN, Body, Log, checkpoint_of

from huanshu.catalog import Home
from huanshu.errors import ContentError, TamperedError, Text
from huanshu.report import build
from huanshu.report.closed import POLICY, openings
from huanshu.tlog.notes import Checkpoint

GOLDEN = Path(__file__).parent / "golden"
REPORT = "audit/reports/exchange_summary"


def page(home: Home, entries: list[Body], lang: str = "zh", *, sandbox: bool = True, note: str = "") -> str:
    return build(entries, home, WINDOW, NOW, lang, checkpoint_of(entries, note=note), sandbox)


class Reader(html.parser.HTMLParser):
    """Refuses what is not well-formed; keeps tags with their attributes, and the text a line a block."""

    VOID = frozenset({"meta", "br"})
    BLOCKS = frozenset(
        {"p", "li", "tr", "h1", "h2", "h3", "caption", "dt", "dd", "title", "pre", "figcaption", "div"}
    )

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.lines: list[str] = [""]
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), (tag, names)
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)
        self._break(tag)
        if tag == "br":
            self.lines[-1] += " / "

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, (tag, self.getpos())
        self._break(tag)
        if tag in ("td", "th"):
            self.lines[-1] += " | "

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.lines[-1] += data

    def _break(self, tag: str) -> None:
        if tag in self.BLOCKS:
            self.lines.append("")

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.tags if name == tag]

    @property
    def text(self) -> str:
        lines = (re.sub(r"\s+", " ", line).strip(" |") for line in self.lines)
        return "\n".join(line for line in lines if line) + "\n"


def test_the_page_reads_as_agreed(sample: Home, entries: list[Body], tmp_path: Path) -> None:
    """The whole text of the page, in Chinese. Read the difference; if it is meant, copy the new file over."""
    # Digests follow every edit of the sample home; they are not what this test is about.
    told = re.sub(r"\b[0-9a-f]{64}\b", "<digest>", Reader(page(sample, entries)).text)
    told = re.sub(r"(?<![\w#])[0-9a-f]{12}(?!\w)(?<!990101\d{6})", "<digest>", told)
    (tmp_path / "exchange_summary.zh.txt").write_text(told, encoding="utf-8")
    assert told == (GOLDEN / "exchange_summary.zh.txt").read_text(encoding="utf-8"), f"see {tmp_path}"


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_the_page_is_closed(sample: Home, entries: list[Body], lang: str) -> None:
    html = page(sample, entries, lang)
    assert openings(html) == []
    assert not re.search(r"https?:|//[a-z]", html.replace("postgresql://…", ""))
    assert f'content="{POLICY}"' in html.replace("&#39;", "'")


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_whoever_cannot_see_can_read_it(sample: Home, entries: list[Body], lang: str) -> None:
    reader = Reader(page(sample, entries, lang))
    assert reader.of("html")[0]["lang"] == {"zh": "zh-CN", "en": "en"}[lang]
    levels = [int(tag[1]) for tag, _ in reader.tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))
    tables = reader.of("table")
    assert len(tables) >= 10
    assert len(reader.of("caption")) == len(tables)
    assert reader.of("th")
    assert all(attrs.get("scope") in ("col", "row") for attrs in reader.of("th"))
    ids = [attrs["id"] for _, attrs in reader.tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    links = [str(attrs["href"]) for _, attrs in reader.tags if "href" in attrs]
    assert links[0] != ""
    assert {link[1:] for link in links} <= set(ids)
    labels = " ".join(str(attrs["aria-labelledby"]) for _, attrs in reader.tags if "aria-labelledby" in attrs)
    assert set(labels.split()) <= set(ids)
    drawings = [attrs for attrs in reader.of("svg") if attrs.get("aria-hidden") != "true"]
    assert len(drawings) == 2
    assert all(attrs["role"] == "img" for attrs in drawings)


def test_the_languages_change_places(sample: Home, entries: list[Body]) -> None:
    chinese, english = Reader(page(sample, entries)).text, Reader(page(sample, entries, "en")).text
    assert "数据回流审计报告Data exchange audit report" in chinese
    assert "Data exchange audit report数据回流审计报告" in english
    assert "玉兰社区" in chinese
    assert "Yulan Community" in english
    assert "1 finding open" in english


def test_the_sandbox_is_on_every_sheet(sample: Home, entries: list[Body]) -> None:
    practising, real = page(sample, entries), page(sample, entries, sandbox=False)
    assert '<div class="sandbox" role="note">演练环境 SANDBOX' in practising
    assert '@top-center { content: "演练环境 SANDBOX"' in practising
    assert "演练环境" not in real
    assert "SANDBOX" not in real


def test_nothing_happened(sample: Home) -> None:
    text = Reader(page(sample, [])).text
    assert "3 个社区中 0 个已到达，0 项逾期，0 次交付待签收，0 项问题未了结；本期日志中没有任何记录" in text
    assert "2 个流向没有有效批准" in text
    assert "本期没有被拒绝的请求。" in text
    assert "从未批准，不能运行" in text


def test_a_district_without_flows(sample: Home) -> None:
    text = Reader(page(replace(sample, flows={}), [])).text
    assert "尚未声明任何交付" in text
    assert "尚未声明接收方。" in text


def test_the_evidence_is_at_the_end(sample: Home, entries: list[Body]) -> None:
    checkpoint = checkpoint_of(entries)
    signed = Checkpoint(checkpoint["origin"], checkpoint["size"], bytes.fromhex(checkpoint["root"])).text
    text = Reader(page(sample, entries, note=f"{signed}\n— log.example/qinghe c2lnbmF0dXJl\n")).text
    end = text[text.index("证据与核验Evidence") :]
    for part in (checkpoint["origin"], "31", checkpoint["root"], "log+0+A", "c2lnbmF0dXJl", "huanshu-verify"):
        assert part in end
    assert "--head page.note" in end
    # A note about another checkpoint is not passed off as this one's.
    unsigned = page(sample, entries, note="other\n\n— log c2lnbmF0dXJl\n")
    assert "c2lnbmF0dXJl" not in unsigned
    assert "--head page.note" not in unsigned


def test_every_citation_is_whole_somewhere(sample: Home) -> None:
    """Forty refusals, each between other entries: cut short under the figure, in full in the annex."""
    log = Log(sample)
    for n in range(40):
        log.deny(f"1 {8 + n // 8:02}:{n % 8 * 5:02}", "p.tang", "access.request.denied", domain=YULAN)
        log.view(
            f"1 {8 + n // 8:02}:{n % 8 * 5 + 1:02}", "p.tang", "yulan.data_clerk", YULAN, {"name": "reveal"}
        )
    text = Reader(page(sample, log.entries)).text
    assert "#0, #2, #4, #6 … 共 40 条，附 1" in text
    assert "附 1（40 条）\n" + ", ".join(f"#{n}" for n in range(0, 80, 2)) in text


def test_hostile_words_stay_words(sample: Home, entries: list[Body]) -> None:
    """From the home (a title) and from the log (a reason, a person who is known no more)."""
    bad = "</title><script>alert(1)</script><img src=x onerror=alert(2)>\"'"
    flows = {name: replace(flow, title=Text(bad, bad)) for name, flow in sample.flows.items()}
    log = Log(sample)
    log.entries = list(entries)
    log.deny("5 09:00", "p.tang", "access.request.denied", domain=YULAN)
    # The writer of today refuses such words; the page does not rely on who wrote the log.
    log.entries[-1]["person"], log.entries[-1]["detail"]["reason"] = "<b>p", bad
    html = page(replace(sample, flows=flows), log.entries)
    assert openings(html) == []
    assert "<script" not in html
    assert "<img" not in html
    assert "<b>p" not in html
    assert "&lt;b&gt;p" in html
    assert html.count("&lt;script&gt;alert(1)") >= 2


def test_a_log_that_was_touched_makes_no_page(sample: Home, entries: list[Body]) -> None:
    with pytest.raises(TamperedError, match=r"report\.log\.differs"):
        build(entries[:-1], sample, WINDOW, NOW, "zh", checkpoint_of(entries), True)


def test_persons_are_named_and_nobody_else(sample: Home, entries: list[Body]) -> None:
    """A record's number is in the log for the verifier; on the page it would single out a resident."""
    log = Log(sample)
    log.entries = list(entries)
    log.view("5 09:00", "p.tang", "yulan.data_clerk", YULAN, {"name": "reveal"})
    log.entries[-1]["detail"]["record"] = 987654321
    assert "987654321" not in page(sample, log.entries)
    assert "唐宁" in page(sample, log.entries)


# ---- what a district may get wrong in its own declaration and template


def edited(sample: Home, home: Path, file: str, old: str, new: str) -> Home:
    """The sample district with one of the report's files changed in a copy of its folders."""
    path = home / REPORT / file
    assert old in path.read_text(encoding="utf-8")
    path.write_text(path.read_text(encoding="utf-8").replace(old, new, 1), encoding="utf-8")
    return replace(sample, path=str(home))


@pytest.mark.parametrize(
    ("old", "new", "code", "told"),
    [
        ("records_delivered", "records_deliverd", "report.measure.unknown", "records_delivered"),
        ("audience: cdo", "audiance: cdo", "content.key.unknown", "audience"),
        ("audience: cdo", "audience: cod", "content.word.unknown", "cdo"),
        ("days: 30", "days: 0", "content.number.range", "3660"),
        ("template.html.j2", "../secret", "report.template.outside", "file"),
        ("template.html.j2", "other.html.j2", "content.file.missing", "other.html.j2"),
        ("section: shared", "section: communities", "report.section.duplicate", "name"),
        ("report: exchange_summary", "report: other", "content.word.unknown", "exchange_summary"),
    ],
)
def test_a_faulty_declaration_is_told_by_line(
    sample: Home, home: Path, old: str, new: str, code: str, told: str
) -> None:
    changed = edited(sample, home, "report.yaml", old, new)
    text = (home / REPORT / "report.yaml").read_text(encoding="utf-8")
    line = max(n for n, content in enumerate(text.splitlines(), 1) if new in content)
    with pytest.raises(ContentError) as refused:
        page(changed, [])
    assert refused.value.code == code
    assert told in refused.value.explain("en")
    assert refused.value.where is not None
    if code != "content.file.missing":
        assert (refused.value.where.file, refused.value.where.line) == (f"{REPORT}/report.yaml", line)


@pytest.mark.parametrize(
    ("new", "told"),
    [
        ("{{ nothing_of_this_name }}", "nothing_of_this_name"),
        ("{{ report.titel }}", "titel"),
        ("{% if %}", "Expected an expression"),
        ("{{ report.__class__.__mro__ }}", "unsafe"),
    ],
)
def test_a_faulty_template_is_told_by_line(sample: Home, home: Path, new: str, told: str) -> None:
    changed = edited(sample, home, "template.html.j2", "<main id", f"{new}<main id")
    text = (home / REPORT / "template.html.j2").read_text(encoding="utf-8")
    line = max(n for n, content in enumerate(text.splitlines(), 1) if new in content)
    with pytest.raises(ContentError) as refused:
        page(changed, [])
    assert refused.value.code == "report.template.malformed"
    assert told in refused.value.explain("en")
    assert refused.value.where is not None
    assert (refused.value.where.file, refused.value.where.line) == (f"{REPORT}/template.html.j2", line)


@pytest.mark.parametrize(
    "opening",
    [
        "<script>1</script>",
        '<link rel="stylesheet" href="https://example.org/a.css">',
        '<img src="https://example.org/a.png">',
        '<a href="https://example.org">out</a>',
        '<iframe src="#"></iframe>',
        '<p onclick="1">p</p>',
        '<p style="background: url(https://example.org)">p</p>',
        "<style>@import 'x';</style>",
        "<style>p { background: u\\72l(x) }</style>",
        '<svg><rect fill="url(https://example.org/a.svg#b)"/></svg>',
        '<meta http-equiv="refresh" content="0; #">',
        '<form action="#"></form>',
    ],
)
def test_a_template_cannot_open_the_page(sample: Home, home: Path, opening: str) -> None:
    changed = edited(sample, home, "template.html.j2", "<main id", f"{opening}<main id")
    with pytest.raises(ContentError) as refused:
        page(changed, [])
    assert refused.value.code == "report.page.open"


def test_a_template_cannot_drop_the_policy(sample: Home, home: Path) -> None:
    changed = edited(sample, home, "template.html.j2", "Content-Security-Policy", "X-Policy")
    with pytest.raises(ContentError, match="Content-Security-Policy"):
        page(changed, [])


def test_a_closed_page_may_use_its_own_places() -> None:
    closed = (
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}"><style>p {{ fill: url(#a) }}</style>'
    )
    assert openings(closed + '<a href="#b">b</a><use href="#c"/><img src="data:image/png;base64,AA">') == []


@pytest.mark.parametrize("measure", ["findings", "timeline", "flows", "requests_denied"])
def test_a_declaration_chooses_what_is_shown(sample: Home, home: Path, measure: str) -> None:
    """One section of one measure is a page; headline and evidence are there undeclared."""
    file = home / REPORT / "report.yaml"
    head: Callable[[str], str] = lambda text: text[: text.index("sections:")]  # noqa: E731
    file.write_text(
        head(file.read_text(encoding="utf-8"))
        + f"sections:\n  - section: only\n    title: {{zh: 仅此, en: Only}}\n    measures: [{measure}]\n",
        encoding="utf-8",
    )
    text = Reader(page(replace(sample, path=str(home)), [])).text
    assert "仅此" in text
    assert "拒绝了什么" not in text
    assert "3 个社区中 0 个已到达" in text
    assert "证据与核验" in text
