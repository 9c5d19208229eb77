"""The inventory of cryptography as a CycloneDX 1.6 bill of materials (CBOM): the same list, for programs.

One ``cryptographic-asset`` a use, with its algorithm; what CycloneDX has no word for stands in ``huanshu:`` properties.
No time and no random number in it: two runs over the same platform give the same bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from typing import Any, Final

from huanshu.conformance.cryptography import Use, library_version
from huanshu.sealing.suites import Profile

#: CycloneDX's words: primitive, what it does, and bits of security against classical and quantum computers' algorithms
#: by name of the algorithm (0 where the CycloneDX scale of 0 to 6 has no category).
_PRIMITIVES: Final = {
    "ae": ("ae", ["encrypt", "decrypt", "tag"]), "mac": ("mac", ["tag", "verify"]), "hash": ("hash", ["digest"]),
    "signature": ("signature", ["sign", "verify"]), "kdf": ("kdf", ["keyderive"]),
    "drbg": ("drbg", ["generate"]), "other": ("other", ["other"]),
}  # fmt: skip
_STRENGTH: Final = {
    "AES-256-SIV": (256, 5), "AES-256-GCM": (256, 5), "AES-256-CMAC": (256, 5), "SM4-CCM": (128, 1),
    "SM4-CMAC": (128, 1), "SM3": (128, 2), "SHA-256": (128, 2), "Ed25519": (128, 0),
}  # fmt: skip
_MODES: Final = {"SM4-CCM": "ccm", "AES-256-SIV": "other", "AES-256-GCM": "gcm"}


def bill(uses: Sequence[Use], profile: Profile, language: str) -> dict[str, Any]:
    """The document; sentences in one language."""
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "component": {
                "type": "application", "bom-ref": "huanshu", "name": "huanshu", "version": version("huanshu"),
            },
            "properties": [{"name": "huanshu:profile", "value": profile}],
        },
        "components": [_component(use, profile, language) for use in uses],
        "dependencies": [{"ref": "huanshu", "dependsOn": [use.id for use in uses]}],
    }  # fmt: skip


def _component(use: Use, profile: Profile, language: str) -> dict[str, Any]:
    algorithm, standard = use.algorithm(profile)
    primitive, functions = _PRIMITIVES[use.primitive]
    said = {
        "purpose": use.purpose.in_language(language),
        "standard": standard,
        "key.birth": use.birth.in_language(language),
        "key.store": use.store.in_language(language),
        "key.rotation": use.rotation.in_language(language),
        "library": library_version(use.library),
        "certificate": use.certificate,
        "gbt39786.clause": use.clause,
        "gbt39786.verified": str(use.verified).lower(),
        "exception": use.exception.in_language(language) if profile == "sm" and use.exception else "",
    }
    properties: dict[str, Any] = {
        "primitive": primitive,
        "executionEnvironment": "software-plain-ram",
        "certificationLevel": ["none"],
        "cryptoFunctions": functions,
    }
    if algorithm in _MODES:
        properties["mode"] = _MODES[algorithm]
    if algorithm in _STRENGTH:
        properties["classicalSecurityLevel"], properties["nistQuantumSecurityLevel"] = _STRENGTH[algorithm]
    return {
        "type": "cryptographic-asset",
        "bom-ref": use.id,
        "name": algorithm,
        "cryptoProperties": {"assetType": "algorithm", "algorithmProperties": properties},
        "evidence": {"occurrences": [{"location": module} for module in use.modules]},
        "properties": [{"name": f"huanshu:{name}", "value": value} for name, value in said.items()],
    }
