"""The contracts of pyproject.toml hold, and each of them goes red when something is planted against it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

#: contract → file under src/ → what is planted there, and the line that must name it.
PLANTED = {
    "layers, strictly downward": (
        ("huanshu/store/planted_above.py", "import huanshu.gate\n", "huanshu.store.planted_above -> huanshu.gate"),
        ("huanshu/access/planted_beside.py", "import huanshu.sealing\n", "huanshu.access.planted_beside -> huanshu.sealing"),
    ),
    "casbin is imported in access alone": (
        ("huanshu/gate/planted_casbin.py", "import casbin\n", "huanshu.gate.planted_casbin -> casbin"),
    ),
    "great_expectations is imported in quality alone": (
        ("huanshu/exchange/planted_gx.py", "import great_expectations\n", "huanshu.exchange.planted_gx -> great_expectations"),
    ),
    "cryptography is imported in sealing and in the log's signing alone": (
        ("huanshu/keeper/planted_aes.py", "from cryptography.hazmat.primitives.ciphers import aead\n", "huanshu.keeper.planted_aes -> cryptography"),
    ),
    "apache-airflow is imported in huanshu.airflow alone": (
        ("huanshu/cli/planted_airflow.py", "from airflow.sdk import dag\n", "huanshu.cli.planted_airflow -> airflow"),
    ),
    "the verifier imports nothing of the writer": (
        ("huanshu_verify/planted_loan.py", "from huanshu import canonical\n", "huanshu_verify.planted_loan -> huanshu.canonical"),
    ),
}  # fmt: skip


@pytest.fixture
def tree(tmp_path: Path, root: Path) -> Path:
    """A copy of the sources and of the contracts over them."""
    shutil.copy(root / "pyproject.toml", tmp_path)
    shutil.copytree(root / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__", ".*"))
    return tmp_path


def _lint(tree: Path) -> tuple[int, str]:
    command = (
        "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(is_debug_mode=False))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", command], cwd=tree, env={**os.environ, "PYTHONPATH": str(tree / "src"), "COLUMNS": "200"},
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    return ended.returncode, ended.stdout + ended.stderr


def test_the_tree_keeps_its_contracts(tree: Path) -> None:
    code, said = _lint(tree)
    assert code == 0, said
    for contract in PLANTED:
        assert f"{contract} KEPT" in said


def test_what_is_planted_is_named(tree: Path) -> None:
    for plants in PLANTED.values():
        for file, source, _ in plants:
            (tree / "src" / file).write_text(source)
    code, said = _lint(tree)
    assert code != 0
    for contract, plants in PLANTED.items():
        assert f"{contract} BROKEN" in said
        for _, _, line in plants:
            assert line in said


def test_a_package_without_a_place_is_named(tree: Path) -> None:
    (tree / "src/huanshu/planted_package").mkdir()
    (tree / "src/huanshu/planted_package/__init__.py").write_text("")
    code, said = _lint(tree)
    assert code != 0
    assert re.search(r"layers, strictly downward BROKEN", said)
    assert "huanshu.planted_package" in said or "planted_package" in said
