"""A deployment's state folder: made once, opened ever after.

    deployment.json   URLs of our database roles and of the receivers' stores (mode 0600)
    servers/<name>/   embedded PostgreSQL servers; ``district`` and one per store that domains.csv names
    log/              the published log: checkpoint, tiles, bundles, bitmaps (docs/FORMAT.md)
    keeper/           root.key (or root.device), log.key, head, keeper.sock: the keeper's own
    device.json       the operator's, where a cryptographic device holds the root key (keeper.root)
    intake/<flow>/    extracts with manifests        reports/   what was built

Trust: who can read ``deployment.json`` reaches ciphertext and the log (read-only); who can read ``keeper/`` too can
open everything. In production the keeper's folder belongs to an OS user of its own.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from huanshu.assembly.fresh_home import home_now
from huanshu.auditlog import HeadFile, Signer, create_head, create_signing_key
from huanshu.catalog import Home
from huanshu.errors import ContentError, Text, UnavailableError, Where
from huanshu.keeper.root import RootPlace, make_root
from huanshu.settings import Settings
from huanshu.store import EmbeddedServer, connect, migrate
from huanshu.store.durable import write_whole
from huanshu.store.roles import (
    DISTRICT_ROLES,
    RECEIVER_ROLES,
    new_passwords,
    prepare_district,
    prepare_receiver,
    role_url,
    show_keeper_all,
)

DISTRICT_SERVER = "district"
_LARGEST = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Deployment:
    """Where a deployment's parts are. URLs hold passwords and never print."""

    settings: Settings
    roles: dict[str, str] = field(repr=False)
    stores: dict[str, str] = field(repr=False)
    embedded: tuple[str, ...]

    def server(self, name: str) -> EmbeddedServer:
        return EmbeddedServer(server_folder(self.settings, name))


def server_folder(settings: Settings, name: str) -> Path:
    return settings.state / "servers" / name


def _file(settings: Settings) -> Path:
    return settings.state / "deployment.json"


def exists(settings: Settings) -> bool:
    return _file(settings).exists()


def open_deployment(settings: Settings) -> Deployment:
    """The deployment in the state folder. UnavailableError when there is none."""
    try:
        made = _object(_file(settings), {"roles", "stores", "embedded"})
    except FileNotFoundError:
        raise UnavailableError(
            "assembly.deployment.none",
            Text("no deployment has been made here yet", "此处尚未创建部署"),
            remedy=Text(
                "huanshu up --sandbox (fictional district), or huanshu up",
                "huanshu up --sandbox（虚构区）或 huanshu up",
            ),
        ) from None
    return Deployment(settings, made["roles"], made["stores"], tuple(made["embedded"]))


def upgrade(deployment: Deployment) -> list[str]:
    """Apply the migrations that this version brings and the deployment does not have, as the owner role; their names.
    Its servers must be up, its keeper down: nobody works on tables that are being changed."""
    return _migrate(deployment.roles)


def _migrate(roles: dict[str, str]) -> list[str]:
    with connect(roles["huanshu_owner"]) as owner:
        applied = migrate(owner)
    with connect(roles["huanshu_app"]) as app:
        show_keeper_all(app)
    return applied


def create(settings: Settings, fill: Callable[[str, str], None] | None = None) -> Deployment:
    """Make the state folder: servers, roles, tables, keys, head. Repeatable after a crash until
    ``deployment.json`` is written, which is the last step. Leaves embedded servers running.

    ``fill`` is told each server's name and administrator's URL while its databases are empty (a restore)."""
    home = home_now(settings.home)
    for folder in (settings.state, settings.keeper_folder, settings.intake_folder, settings.reports_folder):
        folder.mkdir(parents=True, exist_ok=True)
    # Other accounts may walk to the socket, and no further.
    settings.keeper_folder.chmod(0o711)
    passwords = new_passwords(DISTRICT_ROLES)
    embedded: list[str] = []
    if settings.database_url is None:
        admin = EmbeddedServer(server_folder(settings, DISTRICT_SERVER)).start().admin_url
        embedded.append(DISTRICT_SERVER)
    else:
        admin = settings.database_url
    prepare_district(admin, passwords)
    if fill is not None:
        fill(DISTRICT_SERVER, admin)
    roles = {role: role_url(admin, role, passwords) for role in DISTRICT_ROLES}
    _migrate(roles)
    stores = {"": roles["huanshu_courier"]}
    named = _named_stores(settings)
    for name in sorted({domain.store for domain in home.policies.domains} - {""}):
        if name in named:
            stores[name] = named[name]
        elif settings.database_url is None:
            server = EmbeddedServer(server_folder(settings, name)).start()
            courier = new_passwords(RECEIVER_ROLES)
            prepare_receiver(server.admin_url, courier)
            if fill is not None:
                fill(name, server.admin_url)
            stores[name] = role_url(server.admin_url, "huanshu_courier", courier)
            embedded.append(name)
        else:
            raise ContentError(
                "assembly.store.unnamed",
                Text(f"no URL is given for the store {name}", f"未给出存储 {name} 的 URL"),
                remedy=Text(
                    'write {"NAME": "postgresql://…"} into stores.json',
                    '请在 stores.json 中写入 {"名称": "postgresql://…"}',
                ),
                where=Where("stores.json"),
            )
    _make_keys(settings, home)
    deployment = Deployment(settings, roles, stores, tuple(embedded))
    told = {"roles": roles, "stores": stores, "embedded": embedded}
    write_whole(_file(settings), json.dumps(told, indent=2).encode())
    return deployment


def _named_stores(settings: Settings) -> dict[str, str]:
    """Receivers' own servers: ``stores.json`` in the state folder, name → URL of its courier role."""
    try:
        named = _object(settings.state / "stores.json")
    except FileNotFoundError:
        return {}
    for name, url in named.items():
        if not isinstance(url, str) or not url:
            raise _malformed("stores.json", Text(f"{name} has no URL", f"{name} 没有 URL"))
    return named


def _object(path: Path, keys: Collection[str] = ()) -> dict[str, Any]:
    """A JSON object that a person may have edited: small, UTF-8, every key once, and ``keys`` among them."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len({key for key, _ in pairs}) != len(pairs):
            raise ValueError
        return dict(pairs)

    made: object = None
    try:
        with path.open("rb") as file:
            raw = file.read(_LARGEST + 1)
        if len(raw) <= _LARGEST:
            made = json.loads(raw.decode("utf-8-sig"), object_pairs_hook=once)
    except FileNotFoundError:
        raise
    except (OSError, ValueError, RecursionError):
        made = None
    if not isinstance(made, dict) or not made.keys() >= set(keys):
        raise _malformed(
            path.name, Text("this is no JSON object with each key once", "不是键不重复的 JSON 对象")
        )
    return made


def _malformed(file: str, what: Text) -> ContentError:
    return ContentError(
        "assembly.file.malformed",
        what,
        remedy=Text(
            'name → URL, as in {"shiqiao": "postgresql://…"}; of deployment.json: restore it',
            '名称 → URL，例如 {"shiqiao": "postgresql://…"}；deployment.json 请从备份恢复',
        ),
        where=Where(file),
    )


def root_place(settings: Settings) -> RootPlace:
    """Where the root key of a deployment with these settings is."""
    return RootPlace(settings.keeper_folder, settings.device_file)


def _make_keys(settings: Settings, home: Home) -> None:
    folder = settings.keeper_folder
    keys = home.policies.keys
    make_root(root_place(settings), keys.root_provider, keys.profile)
    if not (folder / "log.key").exists():
        create_signing_key(folder / "log.key")
    head = HeadFile(folder / "head")
    if head.read() is None:
        create_head(Signer.load(folder / "log.key"), home.log_origin, head)
