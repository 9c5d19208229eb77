"""The verifier stands alone, and its command answers by exit code."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import huanshu_verify

ORIGIN = "qinghe.example/huanshu"
PACKAGE = Path(huanshu_verify.__file__).parent
MAY_IMPORT = {
    "__future__", "argparse", "array", "base64", "binascii", "bisect", "collections", "contextlib", "cryptography",
    "dataclasses", "datetime", "hashlib", "huanshu_verify", "json", "os", "pathlib", "psycopg", "re", "struct", "sys",
    "typing", "zipfile",
}  # fmt: skip


def test_the_verifier_imports_nothing_of_the_writer() -> None:
    seen = set()
    sources = sorted(PACKAGE.rglob("*.py"))
    assert len(sources) >= 4
    for source in sources:
        for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                seen |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, source
                seen.add((node.module or "").split(".")[0])
            elif isinstance(node, ast.Call):
                name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
                assert name not in {"__import__", "import_module", "exec", "eval"}, source
    assert "psycopg" in seen
    assert seen <= MAY_IMPORT


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHONPATH": str(PACKAGE.parent), "LC_ALL": "C.UTF-8"}
    command = [sys.executable, "-m", "huanshu_verify", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=env, check=False, timeout=60)


def test_exit_codes_and_what_is_said(ground: Any, make_draft: Any) -> None:
    writer = ground.started()
    writer.append([make_draft(0), make_draft(1)])
    where = (
        "--url",
        ground.roles["huanshu_app"],
        "--vkey",
        writer.vkey,
        "--head",
        str(ground.folder / "head"),
    )
    clean = run(*where)
    assert (clean.returncode, clean.stderr) == (0, "")
    assert "核验通过" in clean.stdout
    assert writer.root.hex() in clean.stdout
    as_json = json.loads(run(*where, "--json").stdout)
    assert (as_json["entries"], as_json["problems"]) == (2, [])

    ground.tamper("UPDATE log.entry SET leaf_hash = decode(repeat('00', 32), 'hex') WHERE index = 1")
    bad = run(*where, "--lang", "en")
    assert bad.returncode == 1
    assert "✗ 2 leaves" in bad.stdout
    assert "    1: the leaf hash" in bad.stdout
    assert "✓ 3 tree" in bad.stdout

    assert run().returncode == 2
    assert run("--url", "x").returncode == 2
    assert run(*where, "--lang", "fr").returncode == 2
    unread = [
        run(*where[:2], "--vkey", "no key"),
        run("--url", "postgresql://nobody:secret@/none?host=/nonexistent", "--vkey", writer.vkey),
        run(*where[:4], "--head", str(ground.folder / "absent")),
        run(*where, "--receiver", "no-equals-sign"),
    ]
    assert [answer.returncode for answer in unread] == [3, 3, 3, 3]
    assert all("Traceback" not in answer.stderr and "secret" not in answer.stderr for answer in unread)
