"""The policy bundle: the bytes that decide who sees what, what is sealed, how long things are kept, who vouches for the
log and what raises an alarm; adopted as one or not at all.

The digest is SHA-256 over this preimage, one line a file, ordered by path in code-point order::

    <SHA-256 of the file's bytes, lower-case hex><two spaces><path relative to the home, with />\\n

The files are everything below ``policies/`` except README files, every ``expectations/<dataset>/contract.yaml``,
``suite.yaml`` and ``codes/*.csv``, and of ``audit/`` the files and ``alerts/`` (reports and drills only look).
The lines are those of ``sha256sum``, so anyone can recompute the digest without Huanshu::

    find policies expectations audit \\( -path 'policies/*' -o -path '*/codes/*.csv' -o -name contract.yaml \\
      -o -name suite.yaml -o -path 'audit/alerts/*' -o -path 'audit/*' ! -path 'audit/*/*' \\) \\
      -type f ! -name 'README*.md' \\
      | LC_ALL=C sort | xargs sha256sum | sha256sum
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Final

from huanshu.catalog.folder import MAX_SHEET, README, Folder
from huanshu.catalog.suites import code_files
from huanshu.errors import TamperedError, Text

#: Bytes of a bundle, unpacked: what unpacks to more was not packed here.
_LARGEST: Final = 64 << 20


def bundle_files(folder: Folder) -> tuple[str, ...]:
    """Paths of the bundle's files, in the order of the preimage."""
    found: list[str] = []
    for name in folder.names("policies"):
        path = f"policies/{name}"
        if folder.is_folder(path):
            found.extend(f"{path}/{inner}" for inner in folder.names(path) if inner not in README)
        elif name not in README:
            found.append(path)
    for dataset in folder.names("expectations"):
        if folder.is_folder(f"expectations/{dataset}"):
            present = folder.names(f"expectations/{dataset}")
            found.extend(
                f"expectations/{dataset}/{n}" for n in ("contract.yaml", "suite.yaml") if n in present
            )
            found.extend(code_files(folder, dataset))
    inner = [name for name in folder.names("audit") if name not in README]
    found.extend(f"audit/{name}" for name in inner if not folder.is_folder(f"audit/{name}"))
    if folder.is_folder("audit/alerts"):
        found.extend(f"audit/alerts/{name}" for name in folder.names("audit/alerts") if name not in README)
    return tuple(sorted(found))


def bundle_digest(folder: Folder) -> str:
    """SHA-256 of the preimage above, lower-case hex."""
    return _digest({path: folder.raw(path, MAX_SHEET) for path in bundle_files(folder)})


def pack_bundle(home: Path) -> tuple[str, bytes]:
    """(digest, packed files) of the bundle as it lies in ``home`` now: zlib of a JSON object, path → text."""
    folder = Folder(home)
    files = {path: folder.raw(path, MAX_SHEET) for path in bundle_files(folder)}
    text = json.dumps({path: raw.decode() for path, raw in files.items()}, ensure_ascii=False)
    return _digest(files), zlib.compress(text.encode(), 9)


def read_packed(packed: bytes, digest: str) -> dict[str, str]:
    """Path → text of a packed bundle's files. TamperedError unless they have this digest."""
    try:
        unpacking = zlib.decompressobj()
        raw = unpacking.decompress(packed, _LARGEST)
        files = {str(path): str(text) for path, text in json.loads(raw).items()}
    except (zlib.error, ValueError, AttributeError):
        raise _changed() from None
    if not unpacking.eof or _digest({path: text.encode() for path, text in files.items()}) != digest:
        raise _changed()
    return files


def unpack_bundle(packed: bytes, digest: str, into: Path) -> None:
    """Write the files of a packed bundle into an empty folder. TamperedError unless they have this digest."""
    files = read_packed(packed, digest)
    if any(PurePosixPath(path).is_absolute() or ".." in path.split("/") for path in files):
        raise _changed()
    for path, content in files.items():
        target = into / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content.encode())


def _digest(files: Mapping[str, bytes]) -> str:
    lines = "".join(f"{hashlib.sha256(files[path]).hexdigest()}  {path}\n" for path in sorted(files))
    return hashlib.sha256(lines.encode()).hexdigest()


def _changed() -> TamperedError:
    return TamperedError(
        "policy.bundle.changed",
        Text("a kept policy bundle is not the one its entry names", "留存的策略包与条目所载摘要不符"),
        remedy=Text(
            "tell security staff; restore log.bundle from a backup", "请通知安全人员，并从备份恢复 log.bundle"
        ),
    )
