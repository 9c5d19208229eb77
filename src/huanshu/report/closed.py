"""A page that leaves its folder must stay closed: it asks no host for anything and runs nothing.

The template belongs to the home and may be edited by people who do not think of this; so what was rendered is
looked at before it is handed out. The page's own Content-Security-Policy says the same to the browser.
"""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Final

POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
_ACTIVE: Final = frozenset(
    {
        *("script", "link", "base", "iframe", "frame", "frameset", "object", "embed", "applet", "portal"),
        *(
            "form",
            "input",
            "button",
            "audio",
            "video",
            "source",
            "track",
            "image",
            "feimage",
            "foreignobject",
        ),
    }
)
#: Attributes that make a browser fetch or go somewhere; a place on the page (#…) is allowed.
_PLACES: Final = frozenset(
    {
        *("src", "srcset", "href", "xlink:href", "poster", "data", "action", "formaction"),
        *("background", "ping", "manifest", "cite"),
    }
)
#: In a style: a fetch, or an escape that could hide one. ``url(#…)`` names a pattern of the page itself.
_STYLE: Final = re.compile(r"url\s*\((?!#)|@import|image-set|expression\s*\(|\\", re.IGNORECASE)
#: SVG takes addresses in attributes of any name (fill, filter, marker-end, …).
_ADDRESS: Final = re.compile(r"url\s*\((?!#)", re.IGNORECASE)


class _Looking(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[str] = []
        self.policies: list[str | None] = []
        self._style = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._style = tag == "style"
        given = dict(attrs)
        if tag in _ACTIVE:
            self.found.append(f"<{tag}>")
        equiv = (given.get("http-equiv") or "").lower()
        if tag == "meta" and equiv == "content-security-policy":
            self.policies.append(given.get("content"))
        elif tag == "meta" and equiv:
            self.found.append(f"<meta http-equiv={equiv}>")
        for name, value in attrs:
            text = (value or "").strip()
            inline = tag == "img" and name == "src" and text.startswith("data:image/")
            if (
                name.startswith("on")
                or (name in _PLACES and not text.startswith("#") and not inline)
                or (name == "style" and _STYLE.search(text))
                or _ADDRESS.search(text)
            ):
                self.found.append(f"<{tag} {name}>")

    def handle_endtag(self, tag: str) -> None:
        if tag == "style":
            self._style = False

    def handle_data(self, data: str) -> None:
        if self._style and _STYLE.search(data):
            self.found.append("<style> with url(), @import or an escape")


def openings(html: str) -> list[str]:
    """What in the page would run, load or lead away; a missing or other policy counts. Empty when closed."""
    looking = _Looking()
    looking.feed(html)
    looking.close()
    if looking.policies != [POLICY]:
        looking.found.append("Content-Security-Policy")
    return list(dict.fromkeys(looking.found))
