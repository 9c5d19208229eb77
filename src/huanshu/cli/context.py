"""What all commands share: settings, language, who to act as. Chosen once, before the command runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from huanshu import telemetry
from huanshu.cli.speech import Speech
from huanshu.errors import ContentError, Text, Where
from huanshu.settings import Language, Settings, read_settings

_WITH_VALUE = {"--lang", "--as"}


@dataclass
class Context:
    """The one command's surroundings."""

    speech: Speech
    acting_as: str | None = None
    frames: bool = False
    _settings: Settings | None = None

    @property
    def settings(self) -> Settings:
        if self._settings is None:
            self._settings = read_settings()
            if self._settings.otlp_endpoint:
                telemetry.export_to(self._settings.otlp_endpoint)
        return self._settings

    def choose(self, lang: str, acting_as: str | None, *, as_json: bool, frames: bool = False) -> None:
        self.frames = frames
        chosen: Language = "en" if lang == "en" else "zh"
        if lang not in ("", "zh", "en"):
            raise ContentError(
                "settings.variable.unknown",
                Text("--lang is zh or en", "--lang 须为 zh 或 en"),
                where=Where("command line"),
            )
        settings = self.settings
        self._settings = replace(settings, language=chosen) if lang else settings
        self.speech = Speech(self._settings.language, as_json=as_json)
        self.acting_as = acting_as


def hoist(arguments: Sequence[str]) -> list[str]:
    """Move the common options to the front, where the parser wants them, wherever a person wrote them."""
    front: list[str] = []
    rest: list[str] = []
    left = list(arguments)
    while left:
        word = left.pop(0)
        if word == "--":
            rest += [word, *left]
            break
        if word in ("--json", "--frames") or (word.split("=", 1)[0] in _WITH_VALUE and "=" in word):
            front.append(word)
        elif word in _WITH_VALUE and left:
            front += [word, left.pop(0)]
        else:
            rest.append(word)
    return front + rest


CONTEXT = Context(Speech("zh"))
