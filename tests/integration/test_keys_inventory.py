"""``huanshu keys inventory`` as people and programs see it; no deployment runs."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from huanshu.cli import context, main

ROOT = Path(__file__).parents[2]


def run(capsys: pytest.CaptureFixture[str], patch: pytest.MonkeyPatch, tmp_path: Path, *words: str) -> str:
    for name, value in {"HUANSHU_HOME": ROOT, "HUANSHU_STATE": tmp_path, "COLUMNS": "240"}.items():
        patch.setenv(name, str(value))
    patch.setattr(sys, "argv", ["huanshu", "keys", "inventory", *words])
    patch.setattr(context.CONTEXT, "_settings", None)
    with pytest.raises(SystemExit) as ended:
        main()
    assert not ended.value.code
    return capsys.readouterr().out


@pytest.mark.parametrize(("lang", "word"), [("zh", "非认证密码产品"), ("en", "not a certified product")])
def test_the_table_in_both_languages(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, lang: str, word: str
) -> None:
    told = run(capsys, monkeypatch, tmp_path, "--lang", lang)
    assert "AES-256-SIV" in told
    assert word in told
    assert not list(tmp_path.iterdir())


def test_a_root_key_in_a_device_is_listed_there(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, home: Path
) -> None:
    keys = home / "policies/keys.yaml"
    keys.write_text(keys.read_text("utf-8").replace("root_provider: file", "root_provider: pkcs11"), "utf-8")
    monkeypatch.setitem(globals(), "ROOT", home)
    uses = {use["id"]: use for use in json.loads(run(capsys, monkeypatch, tmp_path, "--json"))["uses"]}
    assert "root.key" not in uses
    assert uses["root.device"]["algorithm"] == "AES-256-GCM"
    assert uses["root.device"]["certificate"] == ""


def test_json_and_the_bill_of_materials(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    said = json.loads(run(capsys, monkeypatch, tmp_path, "--json"))
    assert said["profile"] == "aes"
    assert all(use["exception"] is None for use in said["uses"])
    sm = json.loads(run(capsys, monkeypatch, tmp_path, "--json", "--profile", "sm"))
    assert {use["algorithm"] for use in sm["uses"] if use["exception"] is None} == {
        "SM4-CCM",
        "SM4-CMAC",
        "SM3",
    }
    assert all(use["clause"]["verified"] is False for use in sm["uses"])
    bill = run(capsys, monkeypatch, tmp_path, "--cbom")
    assert json.loads(bill)["bomFormat"] == "CycloneDX"
    assert run(capsys, monkeypatch, tmp_path, "--cbom") == bill
