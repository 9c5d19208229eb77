"""The inventory of cryptography is what the source does: nothing is called that it does not list, nothing listed uncalled."""

from __future__ import annotations

import ast
import json
import re
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from huanshu.conformance.cbom import bill
from huanshu.conformance.cryptography import USES, in_force, library_version
from huanshu.sealing.suites import growth_of

SOURCE = Path(__file__).parents[3] / "src"
#: Whatever is called out of these is cryptography; so are these functions, and these of PostgreSQL.
WATCHED = {
    "hashlib", "hmac", "secrets", "ssl", "cryptography", "pkcs11", "Crypto", "nacl", "jwt", "gmssl", "OpenSSL",
    "passlib", "bcrypt",
}  # fmt: skip
FUNCTIONS = {"os.urandom", "os.getrandom", "uuid.uuid4", "random.SystemRandom"}
IN_SQL = re.compile(r"\b(sha(?:224|256|384|512)|md5|digest|hmac|pgp_\w+|crypt|gen_random_\w+)\s*\(")


def called(module: Path) -> set[str]:
    """Symbols of cryptography in one file: by import, by attribute, in SQL."""
    text = module.read_text("utf-8")
    if module.suffix == ".sql":
        return {f"sql.{name}" for name in IN_SQL.findall(text)}
    tree, names, found = ast.parse(text), dict[str, str](), set[str]()
    prose = {
        node.body[0].value
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {each.asname or each.name: each.name for each in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            top = node.module.split(".")[0]
            found |= {
                f"{top}.{each.name}"
                for each in node.names
                if (top in WATCHED and not node.module.endswith("exceptions"))
                or f"{top}.{each.name}" in FUNCTIONS
            }
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in names:
            symbol = f"{names[node.value.id]}.{node.attr}"
            if symbol.split(".")[0] in WATCHED or symbol in FUNCTIONS:
                found.add(symbol)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in prose:
            sql = "SELECT" in node.value or "select" in node.value
            found |= {f"sql.{name}" for name in IN_SQL.findall(node.value)} if sql else set()
    # A module imported whole and nothing called out of it by name is worth a look too.
    whole = {name.split(".")[0] for name in names.values()} & WATCHED
    return found | {top for top in whole if not any(symbol.startswith(f"{top}.") for symbol in found)}


@cache
def all_calls(source: Path = SOURCE) -> set[tuple[str, str]]:
    return {
        (".".join(path.relative_to(source).with_suffix("").parts), symbol)
        for path in sorted([*source.rglob("*.py"), *source.rglob("*.sql")])
        for symbol in called(path)
    } - {("huanshu.sealing.suites", "cryptography.backend")}  # its version is read


def listed(module: str, symbol: str) -> bool:
    """Whether a use covers this call."""
    return any(
        symbol in use.symbols and any(fnmatchcase(module, place) for place in use.modules) for use in USES
    )


def test_nothing_is_called_that_the_inventory_does_not_list() -> None:
    calls = all_calls()
    assert len(calls) > 80
    assert sorted(call for call in calls if not listed(*call)) == []


def test_nothing_is_listed_that_is_not_called() -> None:
    calls = all_calls()
    for use in USES:
        for place in [place for place in use.modules if "*" not in place]:
            assert {s for m, s in calls if fnmatchcase(m, place)} & set(use.symbols), (use.id, place)
        for symbol in use.symbols:
            assert any(s == symbol and fnmatchcase(m, place) for m, s in calls for place in use.modules), (
                use.id, symbol,
            )  # fmt: skip


def test_what_seals_and_signs_is_listed_by_its_module() -> None:
    """A package may be named for digests, random numbers, comparing and TLS; a cipher's module is named itself."""
    for module, symbol in all_calls():
        if symbol.startswith("cryptography."):
            assert any(symbol in use.symbols and module in use.modules for use in USES), (module, symbol)


@pytest.mark.parametrize(
    ("file", "text", "symbol"),
    [
        ("a.py", "import hashlib\nhashlib.md5(b'')", "hashlib.md5"),
        ("a.py", "from hashlib import sha1 as h\nh(b'')", "hashlib.sha1"),
        ("a.py", "import hashlib as x\nx.new('md5')", "hashlib.new"),
        ("a.py", "import hashlib\ngetattr(hashlib, 'md5')(b'')", "hashlib"),
        ("a.py", "from cryptography.hazmat.primitives.ciphers.algorithms import ARC4", "cryptography.ARC4"),
        ("a.py", "import jwt\njwt.encode({}, 'x')", "jwt.encode"),
        ("a.py", "from os import urandom", "os.urandom"),
        ("a.py", "x = 'SELECT md5(name) FROM t'", "sql.md5"),
        ("a.sql", "SELECT encode(sha256(a), 'hex');", "sql.sha256"),
    ],
)
def test_the_walk_sees_what_a_hasty_hand_writes(tmp_path: Path, file: str, text: str, symbol: str) -> None:
    (tmp_path / file).write_text(text)
    assert ("a", symbol) in all_calls(tmp_path)
    assert not listed("a", symbol)


def test_under_sm_all_is_of_sm_or_an_exception_with_its_reason() -> None:
    uses = in_force("sm")
    assert {use.id for use in USES} - {use.id for use in uses} == {"root.device"}
    for use in uses:
        national = use.algorithm("sm").name in {"SM4-CCM", "SM4-CMAC", "SM3"}
        assert national == (use.exception is None), use.id
    assert {use.id for use in uses if use.exception is None} == {
        "field.seal", "root.key", "identifier.link", "context.hash",
    }  # fmt: skip
    assert growth_of("sm") == 28


def test_the_root_key_is_listed_where_it_lies() -> None:
    for provider, here, elsewhere in (
        ("file", "root.key", "root.device"),
        ("pkcs11", "root.device", "root.key"),
    ):
        listed = {use.id for use in in_force("aes", provider)}
        assert here in listed
        assert elsewhere not in listed


def test_every_line_answers_every_question() -> None:
    assert len({use.id for use in USES}) == len(USES) >= 14
    for use in USES:
        for text in (
            use.purpose,
            use.birth,
            use.store,
            use.rotation,
            *([use.exception] if use.exception else []),
        ):
            assert text.en
            assert text.zh
            assert text.en != text.zh
        assert library_version(use.library)
        assert use.certificate == ""  # no product here is certified
        assert not use.verified  # nobody has read the clauses in the text itself
        for profile in ("aes", "sm"):
            if use in in_force(profile):
                assert all(use.algorithm(profile))
    assert "OpenSSL" in library_version("pyca")


@pytest.mark.parametrize("profile", ["aes", "sm"])
@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("schema", [SchemaVersion.V1_6, SchemaVersion.V1_7])
def test_the_bill_is_cyclonedx(profile: str, language: str, schema: SchemaVersion) -> None:
    uses = in_force(profile, "pkcs11" if profile == "aes" else "file")
    document = bill(uses, profile, language)
    document["specVersion"] = schema.to_version()
    assert JsonStrictValidator(schema).validate_str(json.dumps(document)) is None
    assert len(document["components"]) == len(uses)
    assert document["metadata"]["properties"] == [{"name": "huanshu:profile", "value": profile}]
    broken = json.loads(json.dumps(document))
    broken["components"][0]["cryptoProperties"]["algorithmProperties"]["primitive"] = "magic"
    assert JsonStrictValidator(schema).validate_str(json.dumps(broken)) is not None
