"""An evidence bundle convinces somebody who has it, the log's key and a policy; and a forged one does not."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

import huanshu_verify
from huanshu.auditlog import Draft, PublishedLog, Publisher
from huanshu.auditlog.reader import read_entries
from huanshu.errors import InputError, UnavailableError
from huanshu.report.bundle import evidence, named_files
from huanshu.store import connect
from huanshu.tlog import ProofFile, vkey
from huanshu.tlog.cosignatures import cosignature_line, cosigned_message, note_text
from huanshu.tlog.notes import COSIGNATURE
from huanshu_verify.evidence import check

ORIGIN = "qinghe.example/huanshu"
WITNESS = Ed25519PrivateKey.from_private_bytes(b"w" * 32)
PUBLIC = WITNESS.public_key().public_bytes_raw()
POLICY = f"witness audit {vkey('audit.example', PUBLIC, COSIGNATURE)}\nquorum audit\n"
INDEX = 3


class Place:
    """A published, cosigned log of 300 entries, and a home with the contract that entry 3 names."""

    def __init__(self, ground: Any, home: Path) -> None:
        self.ground, self.home, self.folder = ground, home, ground.folder / "log"
        contract = (home / "expectations/resident/contract.yaml").read_bytes()
        writer = ground.started()
        body = {
            "event": "access.record.authorised", "person": "p.tang", "established": {"by": "os", "account": "qh_tang"},
            "policy": "ab" * 32, "post": "yulan.data_clerk", "domain": "990101001001", "dataset": "resident",
            "purpose": "grassroots_service", "fields": {"name": "reveal"}, "how": "viewed",
            "contract": hashlib.sha256(contract).hexdigest(),
            "subjects": {"count": 1, "sha256": "00" * 32, "sealed_sha256": hashlib.sha256(b"b").hexdigest()},
            "detail": {"record": 7, "values": 1, "until": "2026-07-01T09:05:00+08:00"},
        }  # fmt: skip
        writer.append(
            [Draft({**body, "detail": {**body["detail"], "record": n}}, bitmap=b"b") for n in range(300)]
        )
        self.key = writer.vkey
        writer.close()
        self.publisher = Publisher(
            PublishedLog(self.folder), lambda: connect(ground.keeper_url),
            lambda note: ground.signer.read_checkpoint(ORIGIN, note),
        )  # fmt: skip
        self.publisher.publish(ground.head.read())
        self.publisher.close()
        note = (self.folder / "checkpoint").read_text()
        signature = WITNESS.sign(cosigned_message(note_text(note), 1_790_000_000))
        line = cosignature_line("audit.example", PUBLIC, 1_790_000_000, signature)
        (self.folder / "checkpoint.witnessed").write_text(f"{note}{line}\n")

    def bundle(self, index: int = INDEX) -> bytes:
        with connect(self.ground.roles["huanshu_app"]) as district:
            (entry,) = read_entries(district, index, index + 1)
        return evidence(PublishedLog(self.folder), self.key, entry, named_files(self.home, entry), POLICY)

    def write(self, **changed: bytes | None) -> Path:
        """The bundle with members replaced; their names with dots for underscores, two underscores for a hyphen."""
        members = read(self.bundle())
        for name, content in changed.items():
            member = name.replace("__", "-").replace("_", ".")
            members.pop(member)
            if content is not None:
                members[member] = content
        path = self.ground.folder / "bundle.zip"
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in members.items():
                archive.writestr(name, content)
        return path


def read(bundle: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(bundle)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.fixture
def place(ground: Any, home: Path) -> Place:
    return Place(ground, home)


def test_a_bundle_holds_on_a_machine_that_has_nothing_else(place: Place, tmp_path: Path) -> None:
    path = place.write()
    assert path.read_bytes() != b""
    assert place.bundle() == place.bundle()
    shutil.copytree(Path(huanshu_verify.__file__).parent, tmp_path / "clean/huanshu_verify")
    (tmp_path / "clean/policy").write_text(POLICY)
    answer = subprocess.run(
        [sys.executable, "-m", "huanshu_verify", "evidence", str(path), "--vkey", place.key, "--policy", "policy",
         "--json"],
        cwd=tmp_path / "clean", env={"PATH": os.environ["PATH"]}, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert answer.returncode == 0, answer.stderr
    said = json.loads(answer.stdout)
    assert (said["entry"]["index"], said["size"], said["bound"]) == (INDEX, 300, ["contract.yaml"])
    assert said["witnessed"] == {"audit": 1_790_000_000}
    assert said["entry"]["detail"]["record"] == INDEX


def test_the_bundle_is_what_public_tools_read(place: Place) -> None:
    """From C2SP and RFC 6962 with bare primitives, as the README in it says."""
    members = read(place.bundle())
    proof = ProofFile.parse(members["entry.tlog-proof"].decode())
    body, _, lines = proof.note.rpartition("\n\n")
    origin, size, root = body.split("\n")
    hashed, index, last = hashlib.sha256(b"\0" + members["entry.json"]).digest(), proof.index, int(size) - 1
    for sibling in proof.proof:
        right = not (index & 1 or index == last)
        pair = hashed + sibling if right else sibling + hashed
        hashed = hashlib.sha256(b"\1" + pair).digest()
        while not right and index and not index & 1:
            index, last = index >> 1, last >> 1
        index, last = index >> 1, last >> 1
    assert base64.b64encode(hashed).decode() == root
    name, _, key = members["log.vkey"].decode().strip().split("+", 2)
    (line,) = [line for line in lines.split("\n") if line.startswith(f"— {name} ")]
    public = Ed25519PublicKey.from_public_bytes(base64.b64decode(key)[1:])
    public.verify(base64.b64decode(line.split(" ")[2])[4:], f"{body}\n".encode())
    assert origin == name
    assert b"evidence entry-3.zip" in members["README.md"]


def _proof(members: dict[str, bytes], change: Callable[[list[str]], None]) -> bytes:
    head, _, note = members["entry.tlog-proof"].decode().partition("\n\n")
    lines = head.split("\n")
    change(lines)
    return ("\n".join(lines) + "\n\n" + note).encode()


def _flip(lines: list[str]) -> None:
    raw = bytearray(base64.b64decode(lines[2]))
    raw[0] ^= 1
    lines[2] = base64.b64encode(raw).decode()


FORGED: dict[str, tuple[str, Callable[[Place, dict[str, bytes]], dict[str, bytes | None]]]] = {
    "another person in the leaf": (
        "does not lead", lambda p, m: {"entry_json": m["entry.json"].replace(b"p.tang", b"p.luo")}),
    "a leaf that is not canonical": ("canonical", lambda p, m: {"entry_json": m["entry.json"] + b" "}),
    "another entry's leaf": (
        "the proof is for", lambda p, m: {"entry_json": read(p.bundle(4))["entry.json"]}),
    "another entry's proof": (
        "the proof is for", lambda p, m: {"entry_tlog__proof": read(p.bundle(4))["entry.tlog-proof"]}),
    "a hash of the proof changed": ("does not lead", lambda p, m: {"entry_tlog__proof": _proof(m, _flip)}),
    "two hashes exchanged": (
        "does not lead",
        lambda p, m: {"entry_tlog__proof": _proof(m, lambda ls: ls.__setitem__(slice(2, 4), [ls[3], ls[2]]))}),
    "a hash too few": ("too short", lambda p, m: {"entry_tlog__proof": _proof(m, lambda ls: ls.pop())}),
    "a hash too many": ("too long", lambda p, m: {"entry_tlog__proof": _proof(m, lambda ls: ls.append(ls[2]))}),
    "a hash of 31 bytes": (
        "32 bytes", lambda p, m: {"entry_tlog__proof": _proof(m, lambda ls: ls.append(base64.b64encode(bytes(31)).decode()))}),
    "an index beyond the tree": (
        "the proof is for", lambda p, m: {"entry_tlog__proof": _proof(m, lambda ls: ls.__setitem__(1, "index 300"))}),
    "a root of one's own": (
        "not the log key's",
        lambda p, m: {"entry_tlog__proof": m["entry.tlog-proof"].replace(b"\n300\n", b"\n299\n")}),
    "no cosignature": (
        "quorum", lambda p, m: {"entry_tlog__proof": m["entry.tlog-proof"].rsplit("— audit".encode(), 1)[0]}),
    "a cosignature changed": (
        "is not audit's",
        lambda p, m: {"entry_tlog__proof": _last_byte(m["entry.tlog-proof"])}),
    "another contract": ("contract.yaml is not", lambda p, m: {"contract_yaml": m["contract.yaml"] + b"\n"}),
    "no proof": ("has no entry.tlog-proof", lambda p, m: {"entry_tlog__proof": None}),
}  # fmt: skip


def _last_byte(raw: bytes) -> bytes:
    head, _, line = raw.rstrip(b"\n").rpartition(b" ")
    signature = bytearray(base64.b64decode(line))
    signature[-1] ^= 1
    return head + b" " + base64.b64encode(signature) + b"\n"


@pytest.mark.parametrize("name", FORGED)
def test_a_forged_bundle_does_not_hold(place: Place, name: str) -> None:
    what, change = FORGED[name]
    path = place.write(**change(place, read(place.bundle())))
    proven = check(path, place.key, POLICY)
    assert len(proven.problems) == 1
    assert what in proven.problems[0]
    assert not proven.entry


def test_the_key_and_the_quorum_are_the_readers_own(place: Place) -> None:
    path = place.write()
    assert check(path, place.key).problems == []
    other = vkey(ORIGIN, PUBLIC)
    assert check(path, other).problems == ["the log's key has not signed this note"]
    stranger = POLICY.replace("audit.example", "other.example")
    with pytest.raises(ValueError, match="hash is not its own"):
        check(path, place.key, stranger)


def test_a_file_that_is_no_bundle_is_said(place: Place) -> None:
    path = place.ground.folder / "x.zip"
    path.write_bytes(b"PK no")
    with pytest.raises(ValueError, match="no bundle"):
        check(path, place.key)


def test_a_changed_contract_is_left_out_and_an_unpublished_entry_refused(place: Place) -> None:
    (place.home / "expectations/resident/contract.yaml").write_text("changed")
    assert "contract.yaml" not in read(place.bundle())
    writer = place.ground.started()
    writer.append([Draft({
        "event": "report.page.built", "person": "p.xu", "established": {"by": "os", "account": "qh_xu"},
        "policy": "ab" * 32, "detail": {"report": "r", "entries": 1, "sha256": "cd" * 32},
    })])  # fmt: skip
    with pytest.raises(UnavailableError, match=r"report\.evidence\.unpublished"):
        place.bundle(300)
    (place.folder / "checkpoint.witnessed").unlink()
    note = (place.folder / "checkpoint").read_text()
    (place.folder / "checkpoint").write_text(note.replace("\n300\n", "\n299\n"))
    with pytest.raises(InputError):
        place.bundle()
