"""policies/purposes.yaml and policies/keys.yaml."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final, Literal, cast

from huanshu.catalog import words
from huanshu.catalog.documents import Node, document
from huanshu.catalog.evidence import retention
from huanshu.catalog.faults import Faults
from huanshu.catalog.folder import Folder
from huanshu.catalog.nouns import KeyPolicy, Obligation, Purpose
from huanshu.errors import ContentError, Text

PURPOSES: Final = "policies/purposes.yaml"
KEYS: Final = "policies/keys.yaml"

_PURPOSE_KEYS: Final = ("title", "legal_basis", "datasets", "retention", "valid_from", "valid_until")

#: The keeper opens at most this many values itself (DESIGN 4); keys.yaml may say fewer, never more.
MAX_OPEN_VALUES: Final = 64
#: A loan is for one chunk; longer than this it would outlive a revocation by more than a person notices.
MAX_LEND_SECONDS: Final = 900
#: Each generation is one more key that a link goes through, at every intake and look-up.
MAX_LINK_GENERATION: Final = 99


def read_purposes(
    folder: Folder, datasets: Collection[str], obligations: Mapping[str, Obligation], faults: Faults
) -> dict[str, Purpose]:
    """``purposes: {<purpose>: {title, legal_basis: {citation, verified}, datasets, retention, valid_…}}``

    ``datasets`` and ``obligations`` may be empty when their files are at fault; references are then not
    judged."""
    root = document(folder, PURPOSES).mapping(("purposes",))["purposes"]
    found: dict[str, Purpose] = {}
    for key, node in root.any_mapping().items():
        with faults.caught():
            found[key] = _purpose(words.name(key, node.where), node, datasets, obligations)
    return found


def _purpose(
    key: str, node: Node, datasets: Collection[str], obligations: Mapping[str, Obligation]
) -> Purpose:
    members = node.mapping(_PURPOSE_KEYS)
    basis = members["legal_basis"].mapping(("citation", "verified"))
    start, end = members["valid_from"].day(), members["valid_until"].day()
    words.period(start, end, members["valid_until"].where)
    return Purpose(
        purpose=key,
        title=members["title"].title(),
        legal_basis=words.said(basis["citation"].text(), basis["citation"].where),
        legal_basis_verified=basis["verified"].boolean(),
        datasets=tuple(_dataset(item, datasets) for item in members["datasets"].list()),
        retention=retention(members["retention"], "purpose.retention", obligations),
        valid_from=start,
        valid_until=end,
        where=node.where,
    )


def _dataset(node: Node, datasets: Collection[str]) -> str:
    name = node.name()
    if datasets and name not in datasets:
        raise words.unknown("purpose.dataset.unknown", Text("dataset", "数据集"), name, datasets, node.where)
    return name


def read_keys(folder: Folder) -> KeyPolicy:
    """``root_provider``, ``profile``, ``epoch``, ``lend_max_seconds``, ``open_max_values``; ``link_generation`` and
    ``backups_kept_days`` may be left out."""
    root = document(folder, KEYS)
    members = root.mapping(
        ("root_provider", "profile", "epoch", "lend_max_seconds", "open_max_values"),
        ("link_generation", "backups_kept_days"),
    )
    provider, profile = (
        members["root_provider"].word(("file", "pkcs11")),
        members["profile"].word(("aes", "sm")),
    )
    if (provider, profile) == ("pkcs11", "sm"):
        raise ContentError(
            "keys.profile.device",
            Text(
                "root_provider: pkcs11 wraps with AES: it goes with profile: aes",
                "root_provider: pkcs11 以 AES 封装，仅可用于 profile: aes",
            ),
            where=members["profile"].where,
            remedy=Text(
                "write root_provider: file, or profile: aes", "请写 root_provider: file 或 profile: aes"
            ),
        )
    generation, kept = members.get("link_generation"), members.get("backups_kept_days")
    return KeyPolicy(
        root_provider=cast("Literal['file', 'pkcs11']", provider),
        profile=cast("Literal['aes', 'sm']", profile),
        epoch=members["epoch"].integer(1, 1_000_000),
        lend_max_seconds=members["lend_max_seconds"].integer(1, MAX_LEND_SECONDS),
        open_max_values=members["open_max_values"].integer(1, MAX_OPEN_VALUES),
        where=root.where,
        link_generation=1 if generation is None else generation.integer(1, MAX_LINK_GENERATION),
        backups_kept_days=90 if kept is None else kept.integer(1, 3_660),
    )
