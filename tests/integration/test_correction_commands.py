"""``huanshu correction`` and ``huanshu workbook``, as people type them."""

from __future__ import annotations

import json
import stat
import sys
from pathlib import Path
from typing import Any

import pytest

from huanshu.assembly.sandbox import enrol_community
from huanshu.cli.context import CONTEXT
from huanshu.cli.entry import main
from huanshu.drill.range import Range

ROOT = Path(__file__).parents[2]
INTAKE, DELIVERY, A = "resident.psb_to_district", "resident.district_to_communities", "990101001001"
CLERK = ("--as", "p.tang")


@pytest.fixture(scope="module")
def place():  # type: ignore[no-untyped-def]
    with Range(ROOT) as made:
        made.take_in(INTAKE)
        made.deliver(DELIVERY)
        enrol_community(made.settings, A)
        yield made


@pytest.fixture
def huanshu(place: Range, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):  # type: ignore[no-untyped-def]
    """The command line in this process: its JSON answer, after its exit code has been compared."""
    monkeypatch.setenv("HUANSHU_HOME", str(place.settings.home))
    monkeypatch.setenv("HUANSHU_STATE", str(place.settings.state))
    monkeypatch.setenv("HUANSHU_LANG", "en")

    def run(*words: str, code: int = 0) -> Any:
        monkeypatch.setattr(CONTEXT, "_settings", None)
        monkeypatch.setattr(sys, "argv", ["huanshu", "--json", *words])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        assert (ended.value.code or 0) == code, said.err
        return json.loads(said.out)

    return run


def test_from_a_signed_batch_to_an_answer(place: Range, huanshu: Any, tmp_path: Path) -> None:
    (record, version), *_ = place.due_records("resident", A)
    changes = [
        {"record": record, "field": "phone", "base": version, "value": "13900001234",
         "evidence": {"kind": "visit", "reference": "register page 3"}},
        {"record": record, "field": "building_code", "base": version, "value": "=1",
         "evidence": {"kind": "visit", "reference": "register page 3"}},
    ]  # fmt: skip
    (tmp_path / "changes.json").write_text(json.dumps(changes))
    key = place.settings.state / "senders" / f"{A}.key"
    batch = huanshu(
        "correction", "sign", str(tmp_path / "changes.json"), "--sender", A, "--dataset", "resident",
        "--sequence", "1", "--key", str(key),
    )  # fmt: skip
    (tmp_path / "batch.json").write_text(json.dumps(batch))
    words = ("correction", "propose", str(tmp_path / "batch.json"), "--post", "yulan.data_clerk")
    assert huanshu(*CLERK, *words, "--dry-run")["changes"] == 2
    assert huanshu("correction", "list") == []
    told = huanshu(*CLERK, *words)
    assert told["counts"] == {"proposed": 1, "refused": 1}
    assert huanshu(*CLERK, *words)["known"] is True
    (waiting,) = huanshu("correction", "list", "--state", "proposed")
    assert waiting["overdue"] is False
    assert "value" not in waiting
    seen = huanshu("--as", "p.he", "correction", "show", waiting["correction"])
    assert (seen["rung"], seen["proposed"]) == ("mask", "139****1234")
    assert (
        huanshu("--as", "p.he", "correction", "accept", waiting["correction"], "--dry-run")["would_be"]
        == "accepted"
    )
    assert huanshu("--as", "p.he", "correction", "accept", waiting["correction"])["state"] == "accepted"
    refused = huanshu(
        "--as",
        "p.he",
        "correction",
        "refuse",
        waiting["correction"],
        "--reason",
        "register_right",
        code=4,
    )
    assert refused["error"]["code"] == "correction.change.answered"
    assert huanshu("correction", "judge", "--dry-run") == huanshu("correction", "judge") == []
    settle = (
        "correction",
        "settle",
        "correction/held/none",
        "--post",
        "district.security_officer",
        "--domain",
        A,
    )
    assert huanshu("--as", "p.chen", *settle, "--dataset", "resident", "--dry-run") == []
    assert (
        huanshu("--as", "p.chen", *settle, "--dataset", "resident", code=5)["error"]["code"]
        == "correction.claim.unknown"
    )


def test_a_workbook_and_back(place: Range, huanshu: Any, tmp_path: Path) -> None:
    out = tmp_path / "yulan.xlsx"
    words = ("workbook", "export", "resident", "--post", "yulan.data_clerk", "--out", str(out))
    assert huanshu(*CLERK, *words, "--dry-run")["entry"] is None
    assert not out.exists()
    made = huanshu(*CLERK, *words)
    assert made["records"] > 2
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    assert huanshu(*CLERK, *words, code=4)["error"]["code"] == "cli.file.exists"
    submit = ("workbook", "submit", str(out), "--post", "yulan.data_clerk")
    assert huanshu(*CLERK, *submit, "--dry-run")["records"] == made["records"]
    assert huanshu(*CLERK, *submit)["corrections"] == []
    assert huanshu(*CLERK, "workbook", "answer", "resident", "--post", "yulan.data_clerk", "--out",
                   str(tmp_path / "next.xlsx"))["records"] == 0  # fmt: skip
