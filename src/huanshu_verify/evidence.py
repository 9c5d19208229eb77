"""An evidence bundle: one entry of the log, proven to somebody who has nothing but the bundle and the log's public key.

    1  the leaf is a canonical entry and says the index that the proof is for
    2  the checkpoint is signed by the log's key
    3  the proof leads from the leaf to the checkpoint's root (RFC 6962, 2.1.1)
    4  with a policy: a quorum of its witnesses has cosigned the checkpoint
    5  contract and flow file, where they lie in the bundle, have the digests that the entry names

Key and policy come from elsewhere than the bundle: what vouches for itself proves nothing. docs/FORMAT.md, 15.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from huanshu_verify import merkle
from huanshu_verify.notes import NoteError, VerifierKey, open_checkpoint
from huanshu_verify.policy import Policy, cosigned
from huanshu_verify.reading import parsed

ENTRY, PROOF = "entry.json", "entry.tlog-proof"
CONTRACT, FLOW = "contract.yaml", "flow.yaml"
_FIRST = "c2sp.org/tlog-proof@v1"
_LARGEST = 1 << 20


@dataclass(slots=True)
class Proven:
    """What a bundle proves: the entry, under which checkpoint, and who cosigned it. Nothing when there is a problem."""

    entry: Mapping[str, Any] = field(default_factory=dict)
    size: int = 0
    witnessed: dict[str, int] = field(default_factory=dict)
    #: Files of the bundle whose digest the entry names.
    bound: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def check(bundle: Path, vkey: str, policy: str | None = None) -> Proven:
    """Check a bundle. Raises OSError or ValueError when it is no bundle, NoteError for a malformed key or policy."""
    key, asked = VerifierKey.parse(vkey), Policy.parse(policy or "quorum none")
    files = _files(bundle)
    proven = Proven()
    try:
        body = parsed(files[ENTRY])
        if body is None or not isinstance(body.get("index"), int):
            raise NoteError("the leaf is no canonical entry")
        index, proof, note = _proof(files[PROOF])
        if index != body["index"]:
            raise NoteError(f"the leaf says it is entry {body['index']}, the proof is for {index}")
        proven.size, root = open_checkpoint(note, key)
        if merkle.root_of(merkle.leaf(files[ENTRY]), index, proven.size, proof) != root:
            raise NoteError("the proof does not lead from this leaf to the checkpoint")
        proven.witnessed = cosigned(note, asked)
        if not asked.met(proven.witnessed):
            raise NoteError("the checkpoint has not the cosignatures of a quorum")
        _bound(proven, files, body)
        proven.entry = body
    except KeyError as error:
        proven.problems.append(f"the bundle has no {error.args[0]}")
    except ValueError as error:
        proven.problems.append(str(error))
    if proven.problems:
        return Proven(problems=proven.problems)
    return proven


def _bound(proven: Proven, files: Mapping[str, bytes], body: Mapping[str, Any]) -> None:
    flow = body.get("flow")
    said = {CONTRACT: body.get("contract"), FLOW: flow.get("digest") if isinstance(flow, dict) else None}
    for name, digest in said.items():
        if name in files:
            if hashlib.sha256(files[name]).hexdigest() != digest:
                raise NoteError(f"{name} is not the one that the entry names")
            proven.bound.append(name)


def _files(bundle: Path) -> dict[str, bytes]:
    """The members that are known, each of bounded size; others are passed over."""
    found = {}
    try:
        with zipfile.ZipFile(bundle) as archive:
            for name in (ENTRY, PROOF, CONTRACT, FLOW):
                if name in archive.NameToInfo:
                    with archive.open(name) as member:
                        found[name] = member.read(_LARGEST + 1)
                    if len(found[name]) > _LARGEST:
                        raise ValueError(f"{name} is too large")
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError) as error:
        raise ValueError(f"this is no bundle: {type(error).__name__}") from None
    return found


def _proof(raw: bytes) -> tuple[int, list[bytes], str]:
    """Index, hashes and note of a C2SP tlog-proof file."""
    head, found, note = raw.decode().partition("\n\n")
    first, *lines = head.split("\n")
    if not found or first != _FIRST:
        raise NoteError("this is no tlog-proof file")
    if lines and lines[0].startswith("extra "):
        del lines[0]
    word, _, number = (lines or [""])[0].partition(" ")
    if word != "index" or not number.isascii() or not number.isdigit() or number != str(int(number)):
        raise NoteError("the proof names no index")
    try:
        hashes = [base64.b64decode(line, validate=True) for line in lines[1:]]
    except binascii.Error:
        raise NoteError("a hash of the proof is not encoded as it should be") from None
    if len(hashes) > 63 or any(len(hashed) != 32 for hashed in hashes):
        raise NoteError("a hash of the proof has not 32 bytes")
    return int(number), hashes, note


def told(proven: Proven, lang: str) -> list[str]:
    """The outcome as lines for a person; the entry whole, as it stands."""
    zh = lang == "zh"
    if proven.problems:
        return [f"✗ {problem}" for problem in proven.problems] + [
            "证据无效" if zh else "the evidence does not hold"
        ]
    index = proven.entry["index"]
    who = ", ".join(proven.witnessed) or ("无" if zh else "none asked for")
    return [
        f"✓ 条目 {index} 在日志前 {proven.size} 条之内"
        if zh
        else f"✓ entry {index} is among the log's first {proven.size}",
        f"  见证方：{who}" if zh else f"  witnesses: {who}",
        *(
            f"  {name}: {'与条目所载摘要相符' if zh else 'is the one that the entry names'}"
            for name in proven.bound
        ),
        json.dumps(proven.entry, ensure_ascii=False, indent=2),
    ]
