"""The policy bundle: the bytes that decide who sees what and what is sealed, adopted as one or not at all.

The digest is SHA-256 over this preimage, one line a file, ordered by path in code-point order::

    <SHA-256 of the file's bytes, lower-case hex><two spaces><path relative to the home, with />\\n

The files are everything below ``policies/`` except README files, and every
``expectations/<dataset>/contract.yaml``, ``suite.yaml`` and ``codes/*.csv``. The lines are those of
``sha256sum``, so anyone can recompute the digest without Huanshu::

    find policies expectations \\( -path 'policies/*' -o -path '*/codes/*.csv' -o -name contract.yaml \\
      -o -name suite.yaml \\) -type f ! -name 'README*.md' \\
      | LC_ALL=C sort | xargs sha256sum | sha256sum
"""

from __future__ import annotations

import hashlib

from huanshu.catalog.folder import README, Folder
from huanshu.catalog.suites import code_files


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
    return tuple(sorted(found))


def bundle_digest(folder: Folder) -> str:
    """SHA-256 of the preimage above, lower-case hex."""
    lines = "".join(f"{folder.sha256(path)}  {path}\n" for path in bundle_files(folder))
    return hashlib.sha256(lines.encode()).hexdigest()
