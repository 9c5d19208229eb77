"""``huanshu keys inventory``: every use of cryptography, for security staff and assessors. Shows no key."""

from __future__ import annotations

import json
import sys
from typing import Annotated, Literal

import typer

from huanshu.catalog import read_home
from huanshu.cli.context import CONTEXT
from huanshu.conformance.cbom import bill
from huanshu.conformance.cryptography import Use, in_force, library_version
from huanshu.errors import Text
from huanshu.sealing.suites import Profile

_HEADS = [
    Text("purpose", "用途"),
    Text("algorithm", "算法"),
    Text("standard", "标准"),
    Text("key: birth · store · rotation", "密钥：产生 · 存放 · 更换"),
    Text("library", "密码库"),
    Text("certificate", "认证证书"),
    Text("GB/T 39786", "GB/T 39786"),
    Text("exception", "例外"),
]


def inventory(
    cbom: Annotated[
        bool, typer.Option("--cbom", help="As a CycloneDX 1.6 document. 输出 CycloneDX CBOM。")
    ] = False,
    profile: Annotated[
        Literal["aes", "sm"] | None,
        typer.Option(help="As it would be under this profile (default: the home's). 按指定算法套件列出。"),
    ] = None,
) -> None:
    """Every use of cryptography: purpose, algorithm, standard, keys, library, certificate, clause of GB/T 39786.
    Needs no running deployment and shows no key.

    Example: huanshu keys inventory
    Example: huanshu keys inventory --cbom > cbom.json"""
    keys = read_home(CONTEXT.settings.home).policies.keys
    chosen: Profile = profile or keys.profile
    uses, speech = in_force(chosen, keys.root_provider if chosen == keys.profile else "file"), CONTEXT.speech
    if cbom:
        sys.stdout.write(json.dumps(bill(uses, chosen, speech.language), ensure_ascii=False, indent=1) + "\n")
        return
    title = Text(f"Cryptography under profile {chosen}", f"密码应用清单（算法套件 {chosen}）")
    speech.table(title, _HEADS, [_row(use, chosen) for use in uses])
    speech.tell(
        Text(
            "No certificate: not a certified product. Clauses of GB/T 39786-2021 are unverified.",
            "证书栏为空：非认证密码产品。GB/T 39786-2021 条款均未核实。",
        )
    )
    speech.result({"profile": chosen, "uses": [_document(use, chosen) for use in uses]})


def _row(use: Use, profile: Profile) -> list[object]:
    key = Text(
        *(" · ".join(dict.fromkeys(parts)) for parts in zip(use.birth, use.store, use.rotation, strict=True))
    )
    exception = (use.exception if profile == "sm" else None) or Text("", "")
    certificate = use.certificate or Text("none", "无")
    clause = Text(f"{use.clause} (unverified)", f"{use.clause}（未核实）") if use.clause else ""
    return [
        use.purpose, *use.algorithm(profile), key, library_version(use.library), certificate,
        clause, exception,
    ]  # fmt: skip


def _document(use: Use, profile: Profile) -> dict[str, object]:
    return {
        "id": use.id, "purpose": use.purpose, "primitive": use.primitive, "algorithm": use.algorithm(profile).name,
        "standard": use.algorithm(profile).standard,
        "key": {"birth": use.birth, "store": use.store, "rotation": use.rotation},
        "library": library_version(use.library), "certificate": use.certificate,
        "clause": {"standard": "GB/T 39786-2021", "clause": use.clause, "verified": use.verified},
        "exception": use.exception if profile == "sm" else None, "modules": list(use.modules),
    }  # fmt: skip
