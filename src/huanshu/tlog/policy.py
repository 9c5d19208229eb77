"""C2SP ``tlog-policy``: which witnesses there are, and which of them together suffice.

    log <vkey> [<url>]
    witness <name> <vkey> [<url>]
    group <name> all|any|<k> <name>…
    quorum <name>|none

A line that is none of these, a name used before it stands, or used twice, a key that does not bind together: an error
that names the line. An attacker who can change the file chooses who vouches for the log; so it lies with the other
files that people review, and the keeper writes its digest into the log when it changes.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from huanshu.errors import ContentError, HuanshuError, Text, Where
from huanshu.tlog.cosignatures import Cosignature, Witness
from huanshu.tlog.notes import COSIGNATURE, parse_vkey

_KEYWORDS: Final = ("log", "witness", "group", "quorum")
_LARGEST: Final = 64 * 1024
_MOST: Final = 64


@dataclass(frozen=True, slots=True)
class WitnessPolicy:
    """A policy. ``groups``: name → (how many, of whom)."""

    witnesses: tuple[Witness, ...] = ()
    groups: Mapping[str, tuple[int, tuple[str, ...]]] = field(default_factory=dict)
    quorum: str = "none"
    logs: tuple[str, ...] = ()

    @property
    def asks(self) -> bool:
        """Whether a checkpoint needs anybody's cosignature."""
        return self.quorum != "none"

    def met(self, labels: Collection[str]) -> bool:
        """Whether these witnesses together are the quorum."""
        return self.quorum == "none" or self._met(self.quorum, labels)

    def time(self, found: Sequence[Cosignature]) -> int | None:
        """POSIX seconds of the oldest of the cosignatures that the quorum needs; None while it is not met."""
        labels: set[str] = set()
        for cosignature in sorted(found, key=lambda c: c.time, reverse=True):
            labels.add(cosignature.witness.label)
            if self.met(labels):
                return cosignature.time
        return None

    def _met(self, name: str, labels: Collection[str]) -> bool:
        if name not in self.groups:
            return name in labels
        enough, members = self.groups[name]
        return sum(self._met(member, labels) for member in members) >= enough


def parse_policy(text: str, file: str) -> WitnessPolicy:
    """The policy of a file's text; ``file`` is its name in errors. Raises ContentError."""
    reading = _Reading(file)
    if len(text) > _LARGEST:
        raise reading.wrong("the file is too long", "文件过长")
    for number, line in enumerate(text.split("\n"), start=1):
        reading.line = number
        if any((ord(c) < 0x20 and c != "\t") or c == "\x7f" for c in line):
            raise reading.wrong("a control character", "含控制字符")
        words = line.replace("\t", " ").split(" ")
        words = [word for word in words if word]
        if words and not words[0].startswith("#"):
            reading.take(words)
    if reading.quorum is None:
        raise reading.wrong("there is no quorum line", "缺少 quorum 行", "add: quorum NAME, or quorum none")
    return WitnessPolicy(tuple(reading.witnesses), reading.groups, reading.quorum, tuple(reading.logs))


class _Reading:
    """What the lines read so far have defined."""

    def __init__(self, file: str) -> None:
        self.file, self.line = file, 1
        self.witnesses: list[Witness] = []
        self.groups: dict[str, tuple[int, tuple[str, ...]]] = {}
        self.logs: list[str] = []
        self.quorum: str | None = None
        self._free: set[str] = set()
        self._keys: set[bytes] = set()

    def take(self, words: list[str]) -> None:
        match words:
            case ["log", key, *url] if len(url) <= 1:
                _, public = self._key(key, b"\x01")
                self._once(public)
                self.logs.append(key)
            case ["witness", label, key, *url] if len(url) <= 1:
                name, public = self._key(key, COSIGNATURE)
                self._once(public)
                self._named(label)
                self.witnesses.append(Witness(label, name, public, url[0] if url else None))
            case ["group", label, enough, *members] if members:
                for member in members:
                    self._taken(member)
                self._named(label)
                self.groups[label] = (self._enough(enough, len(members)), tuple(members))
            case ["quorum", name]:
                if self.quorum is not None:
                    raise self.wrong("a second quorum line", "quorum 行重复")
                if name != "none":
                    self._known(name)
                self.quorum = name
            case [word, *_] if word in _KEYWORDS:
                raise self.wrong(f"a {word} line of another form", f"{word} 行格式有误", _FORMS[word])
            case [word, *_]:
                near = difflib.get_close_matches(word, _KEYWORDS, n=1, cutoff=0.0)[0]
                raise self.wrong(f"no line begins with {word[:32]!r}", "行首词无效", f"did you mean {near}?")
        if len(self.witnesses) > _MOST or len(self.groups) > _MOST or len(self.logs) > _MOST:
            raise self.wrong(f"more than {_MOST} of a kind", f"同类超过 {_MOST} 个")

    def _key(self, text: str, kind: bytes) -> tuple[str, bytes]:
        try:
            return parse_vkey(text, kind)
        except HuanshuError:
            raise self.wrong(
                "this is no verifier key of its kind",
                "不是有效的验证密钥",
                "name+hash+key, as the witness shows it",
            ) from None

    def _once(self, public: bytes) -> None:
        if public in self._keys:
            raise self.wrong("this key is named before", "密钥重复")
        self._keys.add(public)

    def _named(self, label: str) -> None:
        if label == "none" or label in self.groups or any(w.label == label for w in self.witnesses):
            raise self.wrong(f"the name {label[:32]!r} is taken", "名称重复")
        self._free.add(label)

    def _known(self, name: str) -> None:
        known = [*self.groups, *(w.label for w in self.witnesses)]
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.0)
            raise self.wrong(
                f"nothing above is named {name[:32]!r}",
                "引用了未定义的名称",
                f"did you mean {near[0]}?" if near else None,
            )

    def _taken(self, name: str) -> None:
        self._known(name)
        if name not in self._free:
            raise self.wrong(f"{name[:32]!r} is in a group already", "同一名称不得属于两个组")
        self._free.discard(name)

    def _enough(self, word: str, members: int) -> int:
        enough = {"any": 1, "all": members}.get(word)
        if enough is None and word.isascii() and word.isdigit() and len(word) < 4:
            enough = int(word)
        if enough is None or not 1 <= enough <= members:
            raise self.wrong(f"all, any, or a number from 1 to {members}", f"应为 all、any 或 1 至 {members}")
        return enough

    def wrong(self, en: str, zh: str, remedy: str | None = None) -> ContentError:
        return ContentError(
            "tlog.policy.malformed",
            Text(en, zh),
            remedy=Text(remedy, remedy) if remedy else None,
            where=Where(self.file, self.line),
        )


_FORMS: Final = {
    "log": "log VKEY [URL]",
    "witness": "witness NAME VKEY [URL]",
    "group": "group NAME all|any|K NAME…",
    "quorum": "quorum NAME|none",
}
