"""An evidence bundle: one entry with its proof, for somebody who has neither this platform nor its database.

A zip file (docs/FORMAT.md, 15). Signature and proof are checked here before it is handed out: an entry that the
published log does not prove is an error, never a bundle. It names officials by person id, and no resident.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from huanshu.auditlog import Entry, PublishedLog, require_signature
from huanshu.auditlog.published import CHECKPOINT, WITNESSED
from huanshu.errors import Text, UnavailableError
from huanshu.tlog import (
    Checkpoint,
    ProofFile,
    TileHashes,
    inclusion_proof,
    leaf_hash,
    parse_vkey,
    require_inclusion,
    split_note,
)

_MOMENT: Final = (1980, 1, 1, 0, 0, 0)  # the same entry makes the same bundle
_README: Final = """# Evidence: entry {index} of the log {origin}  日志条目 {index} 的证据

With huanshu-verify (it needs neither this platform nor its database):

    huanshu-verify evidence {name} --vkey KEY --policy witnesses.policy

KEY, and the policy of the witnesses, come from where they were made public, not from this file: compare them with
`log.vkey` and `witnesses.policy` here. 公钥与见证策略须另行取得，不可采信本文件内的副本。

By hand, with public tools: `entry.tlog-proof` is a C2SP tlog-proof (https://c2sp.org/tlog-proof): any RFC 6962 library
checks its hashes, from SHA-256(0x00, bytes of entry.json) to the root in the note (Go: transparency-dev/merkle/proof),
and any C2SP signed-note library the note itself (Go: golang.org/x/mod/sumdb/note, with the two keys above). `sha256sum
contract.yaml flow.yaml` are the digests that the entry names, where these files are here.
"""


def evidence(
    published: PublishedLog, vkey: str, entry: Entry, files: Mapping[str, tuple[Path, str]], policy: str
) -> bytes:
    """The bundle of one entry. ``files``: name in the bundle → where it lies now, and the digest that the entry names;
    a file that has changed since is left out. UnavailableError when the entry is not published yet; an error
    too when the published log is another."""
    note, checkpoint = _covering(published, entry.index)
    origin, key = parse_vkey(vkey)
    text, signature = split_note(note, origin, key)
    require_signature(key, signature, text.encode())
    hashes = TileHashes(checkpoint.size, published.tile)
    proof = inclusion_proof(hashes, entry.index, checkpoint.size)
    require_inclusion(leaf_hash(entry.leaf), entry.index, checkpoint.size, checkpoint.root, proof)
    said = {"index": entry.index, "origin": checkpoint.origin, "name": f"entry-{entry.index}.zip"}
    members = {
        "README.md": _README.format(**said).encode(),
        "entry.json": entry.leaf,
        "entry.tlog-proof": ProofFile(entry.index, tuple(proof), note).text.encode(),
        "log.vkey": f"{vkey}\n".encode(),
        "witnesses.policy": policy.encode(),
    }
    for name, (path, digest) in files.items():
        content = path.read_bytes() if path.is_file() else b""
        if hashlib.sha256(content).hexdigest() == digest:
            members[name] = content
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name, _MOMENT), content, zipfile.ZIP_DEFLATED)
    return out.getvalue()


def named_files(home: Path, entry: Entry) -> dict[str, tuple[Path, str]]:
    """The contract and the flow file that an entry names, where they lie in a home."""
    found = {}
    if "contract" in entry.body and "dataset" in entry.body:
        path = home / "expectations" / str(entry.body["dataset"]) / "contract.yaml"
        found["contract.yaml"] = path, str(entry.body["contract"])
    flow = entry.body.get("flow")
    if isinstance(flow, Mapping):
        found["flow.yaml"] = home / "dags" / "flows" / f"{flow['id']}.yaml", str(flow["digest"])
    return found


def _covering(published: PublishedLog, index: int) -> tuple[str, Checkpoint]:
    """The note that witnesses have cosigned, when it covers the entry already; otherwise the newest."""
    for name in (WITNESSED, CHECKPOINT):
        note = published.note(name)
        if note is None:
            continue
        checkpoint = Checkpoint.parse(note.rpartition("\n\n")[0] + "\n")
        if checkpoint.size > index:
            return note, checkpoint
    raise UnavailableError(
        "report.evidence.unpublished",
        Text(f"entry {index} is not published yet", f"条目 {index} 尚未公布"),
        remedy=Text("is the keeper up? then try again in a minute", "请确认钥匙保管已运行，一分钟后重试"),
    )
