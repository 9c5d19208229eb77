"""The one reader of the environment: a frozen, documented object. No setting weakens a defence.

    HUANSHU_HOME          the four folders (default: the current folder)
    HUANSHU_STATE         this deployment's state: keys, sockets, embedded servers, reports
                          (default: .huanshu in the home)
    HUANSHU_DATABASE_URL  an administrator's URL of a real PostgreSQL (default: an embedded server in the state)
    HUANSHU_OTLP_ENDPOINT where traces go by OTLP/HTTP (default: nowhere)
    HUANSHU_OPENLINEAGE_URL  where lineage goes by HTTP (default: nowhere)
    HUANSHU_LANG          zh or en (default: from LANG, otherwise zh)

An unknown HUANSHU_* variable is an error: a misspelt setting must not pass silently. An endpoint beyond this machine
is asked by https or not at all.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from huanshu.errors import ContentError, Text, Where

Language = Literal["zh", "en"]
_KNOWN = (
    "HUANSHU_HOME",
    "HUANSHU_STATE",
    "HUANSHU_DATABASE_URL",
    "HUANSHU_OTLP_ENDPOINT",
    "HUANSHU_OPENLINEAGE_URL",
    "HUANSHU_LANG",
)
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True, slots=True)
class Settings:
    """Where things are. Paths are absolute."""

    home: Path
    state: Path
    language: Language
    database_url: str | None = field(default=None, repr=False)
    otlp_endpoint: str | None = None
    openlineage_url: str | None = None

    @property
    def keeper_socket(self) -> Path:
        return self.state / "keeper" / "keeper.sock"

    @property
    def keeper_folder(self) -> Path:
        """Root key, log key, head: belongs to the keeper's OS user alone."""
        return self.state / "keeper"

    @property
    def device_file(self) -> Path:
        """Which cryptographic device holds the root key, where one does (``keeper.root``)."""
        return self.state / "device.json"

    @property
    def intake_folder(self) -> Path:
        """Extracts with their manifests, one folder per intake flow."""
        return self.state / "intake"

    @property
    def log_folder(self) -> Path:
        """The published log: static files for anyone who checks it."""
        return self.state / "log"

    @property
    def archive_folder(self) -> Path:
        """Old published entries, moved out of ``log``: to be carried elsewhere; they stay verifiable."""
        return self.state / "archive"

    @property
    def reports_folder(self) -> Path:
        return self.state / "reports"


def read_settings(environment: Mapping[str, str] | None = None) -> Settings:
    """Settings from the environment. ContentError for an unknown or malformed HUANSHU_* variable."""
    env = os.environ if environment is None else environment
    for name in env:
        if name.startswith("HUANSHU_") and name not in _KNOWN:
            near = difflib.get_close_matches(name, _KNOWN, n=1, cutoff=0.0)[0]
            raise _wrong(
                name, "is no setting", "不是有效设置", Text(f"did you mean {near}?", f"是否应为 {near}？")
            )
    home = Path(env.get("HUANSHU_HOME") or ".").resolve()
    state = Path(env.get("HUANSHU_STATE") or home / ".huanshu").resolve()
    return Settings(
        home=home,
        state=state,
        language=_language(env),
        database_url=env.get("HUANSHU_DATABASE_URL") or None,
        otlp_endpoint=_endpoint(env, "HUANSHU_OTLP_ENDPOINT"),
        openlineage_url=_endpoint(env, "HUANSHU_OPENLINEAGE_URL"),
    )


def _endpoint(env: Mapping[str, str], name: str) -> str | None:
    given = env.get(name)
    if not given:
        return None
    try:
        parts = urlsplit(given)
        good = parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOOPBACK)
        good = good and bool(parts.hostname) and parts.username is None
    except ValueError:
        good = False
    if not good:
        raise _wrong(
            name,
            "must be an https address (http only to this machine), without a password in it",
            "须为 https 地址（仅本机可用 http），且不含密码",
            Text("use https://host/path", "请使用 https://主机/路径"),
        )
    return given


def _language(env: Mapping[str, str]) -> Language:
    chosen = env.get("HUANSHU_LANG")
    if chosen in ("zh", "en"):
        return "zh" if chosen == "zh" else "en"
    if chosen:
        raise _wrong(
            "HUANSHU_LANG", "must be zh or en", "须为 zh 或 en", Text("use zh or en", "请用 zh 或 en")
        )
    return "en" if env.get("LC_ALL", env.get("LANG", "")).lower().startswith("en") else "zh"


def _wrong(name: str, en: str, zh: str, remedy: Text) -> ContentError:
    return ContentError(
        "settings.variable.unknown",
        Text(f"{name} {en}", f"{name} {zh}"),
        remedy=remedy,
        where=Where("environment"),
    )
