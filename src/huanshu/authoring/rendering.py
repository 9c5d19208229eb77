"""Templates → text in one language. Both languages stand side by side in one template, so neither can lag."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Final

_MARK: Final = re.compile(r"⟦(=?)([^⟦⟧|]*)(?:\|([^⟦⟧|]*))?⟧")


def render(template: str, language: str, values: Mapping[str, str]) -> str:
    """The text in ``language``. ``KeyError`` for a word that ``values`` lacks: a defect of the template."""

    def chosen(match: re.Match[str]) -> str:
        if match[1]:
            return values[match[2]]
        return match[2] if language == "zh" else match[3]

    return _MARK.sub(chosen, template)


def rendered(folder: str, language: str, values: Mapping[str, str]) -> dict[str, str]:
    """Every template below ``templates/<folder>``, rendered: place → text, in the order of the places."""
    root = resources.files("huanshu.authoring.templates") / folder
    found = {
        place.removesuffix(".template"): render(file.read_text("utf-8"), language, values)
        for place, file in _files(root, "")
    }
    return dict(sorted(found.items()))


def _files(folder: Traversable, above: str) -> Iterator[tuple[str, Traversable]]:
    for entry in folder.iterdir():
        if entry.is_dir():
            if entry.name != "__pycache__":
                yield from _files(entry, f"{above}{entry.name}/")
        else:
            yield f"{above}{entry.name}", entry
