"""What a table shows is what it was given: brackets are no markup, and no sentence is cut short."""

from __future__ import annotations

import io

from rich.console import Console

from huanshu.cli.speech import Speech
from huanshu.errors import Text


def test_codes_and_long_chinese_sentences_are_shown_whole() -> None:
    speech = Speech("zh")
    out = io.StringIO()
    speech.out = Console(file=out, width=40, highlight=False)
    sentence = "去向不明的条目由钥匙保管凭签名认领" * 4
    speech.table(Text("t", "t"), [Text("a", "甲")], [("x [exchange.sequence.gap] y",), (sentence,)])
    shown = "".join(part.strip(" │┃") for part in out.getvalue().splitlines())
    assert "[exchange.sequence.gap]" in shown
    assert sentence in shown
