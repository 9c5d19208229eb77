"""What an intake shows to the person who ran it."""

from __future__ import annotations

from pathlib import Path

import pytest

from huanshu.cli import flows
from huanshu.cli.context import CONTEXT
from huanshu.cli.speech import Speech
from huanshu.exchange.intake import BatchOutcome, IntakeOutcome, State


@pytest.mark.parametrize(("language", "said"), [("en", "nothing to take in"), ("zh", "没有可接收的内容")])
def test_an_empty_folder_is_said(
    language: str, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(CONTEXT, "speech", Speech(language))
    flows._show_intake(IntakeOutcome("parcel.land_to_district", ()), Path("in/parcel"))
    shown = capsys.readouterr().out
    assert said in shown
    assert "in/parcel" in shown
    assert ".manifest.json" in shown


@pytest.mark.parametrize("state", ["promoted", "refused", "known"])
def test_a_state_is_said_in_the_reader_s_language(
    state: State, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(CONTEXT, "speech", Speech("zh"))
    flows._show_intake(IntakeOutcome("parcel.land_to_district", (BatchOutcome("b", 1, state),)), Path("in"))
    assert state not in capsys.readouterr().out
