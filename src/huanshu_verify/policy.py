"""C2SP tlog-policy: whose cosignatures together suffice. Written from the specification; believes no other reading.

A line that is not understood is an error: a policy that is read in part would be a weaker one.
"""

from __future__ import annotations

import base64
import binascii
import struct
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from huanshu_verify.notes import NoteError, VerifierKey

_COSIGNATURE = 4
_LENGTH = 4 + 8 + 64


@dataclass(frozen=True, slots=True)
class Policy:
    """``witnesses``: label → key. ``groups``: label → (how many, of whom)."""

    witnesses: Mapping[str, VerifierKey] = field(default_factory=dict)
    groups: Mapping[str, tuple[int, tuple[str, ...]]] = field(default_factory=dict)
    quorum: str = "none"

    @classmethod
    def parse(cls, text: str) -> Policy:
        witnesses: dict[str, VerifierKey] = {}
        groups: dict[str, tuple[int, tuple[str, ...]]] = {}
        quorum: str | None = None
        for line in text.split("\n"):
            words = line.split()
            if not words or words[0].startswith("#"):
                continue
            kind, *rest = words
            label = rest[0] if rest else ""
            fresh = label not in witnesses and label not in groups and label != "none"
            if kind == "witness" and len(rest) in (2, 3) and fresh:
                witnesses[label] = VerifierKey.parse(rest[1], _COSIGNATURE)
            elif kind == "group" and len(rest) >= 3 and fresh:
                members = tuple(rest[2:])
                if any(member not in witnesses and member not in groups for member in members):
                    raise NoteError("the policy names a witness that it has not introduced")
                groups[label] = (_enough(rest[1], len(members)), members)
            elif kind == "quorum" and len(rest) == 1 and quorum is None and (not fresh or label == "none"):
                quorum = label
            elif kind != "log" or len(rest) not in (1, 2):
                raise NoteError("the policy has a line that is not understood")
        if quorum is None:
            raise NoteError("the policy has no quorum")
        return cls(witnesses, groups, quorum)

    def met(self, who: Collection[str]) -> bool:
        """Whether these witnesses together are the quorum."""
        return self.quorum == "none" or self._met(self.quorum, who)

    def _met(self, label: str, who: Collection[str]) -> bool:
        if label not in self.groups:
            return label in who
        enough, members = self.groups[label]
        return sum(self._met(member, who) for member in members) >= enough


def cosigned(note: str, policy: Policy) -> dict[str, int]:
    """Witness → time (POSIX) of each good cosignature on a note. NoteError for one that bears a known witness's
    name and id and does not verify."""
    body, _, signatures = note.rpartition("\n\n")
    found: dict[str, int] = {}
    for line in signatures.split("\n"):
        dash, _, named = line.partition(" ")
        name, _, encoded = named.partition(" ")
        for label, key in policy.witnesses.items():
            if dash != "—" or name != key.name:
                continue
            try:
                raw = base64.b64decode(encoded, validate=True)
            except binascii.Error:
                raise NoteError(f"a cosignature of {label} is not encoded as it should be") from None
            if raw[:4] != key.identity:
                continue
            if len(raw) != _LENGTH or not 0 < (time := struct.unpack(">Q", raw[4:12])[0]) < 1 << 63:
                raise NoteError(f"a cosignature of {label} is malformed")
            message = f"cosignature/v1\ntime {time}\n{body}\n".encode()
            try:
                Ed25519PublicKey.from_public_bytes(key.public).verify(raw[12:], message)
            except InvalidSignature:
                raise NoteError(f"a cosignature is not {label}'s") from None
            found[label] = time
    return found


def _enough(word: str, members: int) -> int:
    enough = {"any": 1, "all": members}.get(word) or (int(word) if word.isascii() and word.isdigit() else 0)
    if not 1 <= enough <= members:
        raise NoteError("the policy has a group that nobody can meet, or everybody")
    return enough
