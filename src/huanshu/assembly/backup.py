"""Backup and restore: databases, log, head and keys of one deployment, as one set.

    manifest.json    what the set holds: digest of every file; origin, size and note of the log at that moment
    district.dump    log, wrapped keys, district store, receivers' slices there: as of one moment (pg_dump)
    store.<name>.dump  every other embedded store, taken after that moment
    keys.sealed      root key and log key under a passphrase, bound to the manifest; not a device's root key

What lies in it is ciphertext, and keys under a passphrase: who has the backup alone has what a stolen database is
worth. Not in it: the home (version control has it), the published log (it is published anew), Airflow's own database.

Order of effects of a restore, with what a crash leaves behind:
    (a) the files are checked against the manifest, the keys opened.     Nothing.
    (b) servers, roles, databases filled; keys and head written.         A folder without deployment.json: no
                                                                         deployment, and the next restore refuses it.
    (c) deployment.json.                                                 The deployment.

A restore never goes back in time unnoticed. Whoever restores names the newest note of the log that is known (the old
keeper's head, or a checkpoint of any copy of the published log or of a witness). It becomes the head. When the backup
is older, the keeper stays closed, as for any log that was cut: entries were acknowledged that it does not hold. Two
persons may give them up (``keeper.closed``). Whoever names an older note than there is, is found out by the witnesses,
as a machine that was set back.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from huanshu.assembly.deployment import DISTRICT_SERVER, Deployment, create, exists
from huanshu.auditlog import HeadFile, Origins, Signer
from huanshu.auditlog.origins import generation, origin_of
from huanshu.errors import InputError, Text, UnavailableError
from huanshu.keeper.root import ROOT_FILES
from huanshu.sealing.escrow import open_apart, require_long, seal_apart
from huanshu.settings import Settings
from huanshu.store.dumping import dump, load, moment
from huanshu.store.roles import DISTRICT

MANIFEST: Final = "manifest.json"
KEYS: Final = "keys.sealed"
_DISTRICT: Final = "district.dump"
#: The root key's file is one of two; a device's own copies are its maker's to make.
_SECRETS: Final = (*ROOT_FILES.values(), "log.key")


@dataclass(frozen=True, slots=True)
class Backup:
    """What a backup holds of the log."""

    origin: str
    size: int
    files: dict[str, str]


def take(deployment: Deployment, target: Path, passphrase: str) -> Backup:
    """Write a backup into a folder that is not there yet; whole or not at all."""
    if target.exists():
        raise InputError(
            "assembly.backup.occupied",
            Text(f"{target.name} is there already", f"{target.name} 已存在"),
            remedy=Text("name a folder that does not exist", "请指定不存在的文件夹"),
        )
    require_long(passphrase)
    keeper = deployment.settings.keeper_folder
    secrets = {name: (keeper / name).read_bytes().hex() for name in _SECRETS if (keeper / name).exists()}
    new = target.with_name(f".{target.name}.new")
    shutil.rmtree(new, ignore_errors=True)  # what a crash left
    new.mkdir(mode=0o700)
    with moment(_admin(deployment, DISTRICT_SERVER), DISTRICT) as (connection, snapshot):
        row = connection.execute(
            "SELECT size, note FROM log.checkpoint ORDER BY size DESC LIMIT 1"
        ).fetchone()
        dump(_admin(deployment, DISTRICT_SERVER), DISTRICT, new / _DISTRICT, snapshot)
    # After that moment: a receiver that is ahead of the log is what a crash leaves, and the next run mends it.
    for name in deployment.embedded:
        if name != DISTRICT_SERVER:
            dump(_admin(deployment, name), DISTRICT, new / f"store.{name}.dump")
    size, note = (0, (keeper / "head").read_text(encoding="utf-8")) if row is None else row
    files = {path.name: _digest(path) for path in sorted(new.iterdir())}
    manifest = json.dumps(
        {"v": 1, "origin": origin_of(note), "size": size, "note": note, "files": files}, indent=1
    ).encode()
    (new / MANIFEST).write_bytes(manifest)
    (new / KEYS).write_bytes(seal_apart(passphrase, manifest, json.dumps(secrets).encode()))
    for path in new.iterdir():
        _flush(path)
    _flush(new)
    new.rename(target)
    _flush(target.parent)
    return Backup(origin_of(note), int(size), files)


def restore(
    settings: Settings, source: Path, passphrase: str, newest: str, base: str
) -> tuple[Deployment, Backup]:
    """Make a deployment of a backup in an empty state folder; its servers run afterwards, its keeper does not.
    ``base``: the origin in the home.

    Raises InputError when the set is not whole, when ``newest`` is no note of this log, or for a wrong passphrase."""
    if exists(settings) or (settings.state / "servers").exists() or settings.keeper_folder.exists():
        raise UnavailableError(
            "assembly.restore.occupied",
            Text("there is a deployment in the state folder", "状态目录中已有部署"),
            remedy=Text("move it away, whole, and keep it: it may be newer", "请整体移走并保留：它可能更新"),
        )
    manifest = _read(source / MANIFEST)
    keys = json.loads(open_apart(passphrase, manifest, _read(source / KEYS)))
    said = json.loads(manifest)
    for name, digest in said["files"].items():
        if not (source / name).is_file() or _digest(source / name) != digest:
            raise _broken(f"{name} is missing or damaged", f"{name} 缺失或损坏")
    settings.keeper_folder.mkdir(parents=True)
    for name in (name for name in _SECRETS if name in keys):
        _write_private(settings.keeper_folder / name, bytes.fromhex(keys[name]))
    head = _head(Signer.load(settings.keeper_folder / "log.key"), base, str(said["note"]), newest)
    HeadFile(settings.keeper_folder / "head").write(head)
    deployment = create(settings, _filled_from(source))
    return deployment, Backup(str(said["origin"]), int(said["size"]), dict(said["files"]))


def _head(signer: Signer, base: str, stored: str, newest: str) -> str:
    """The newer of two notes that the log's key signed; the backup's own is one that the log once had. A later origin
    is newer, whatever its size."""
    ours = Origins.of(signer, base, stored).read(stored)
    known = Origins.of(signer, base, newest).read(newest)
    if (generation(base, known.origin), known.size) < (generation(base, ours.origin), ours.size):
        raise InputError(
            "assembly.restore.older_note",
            Text(
                f"the note named covers {known.size} entries, the backup {ours.size}: it is not the newest",
                f"所给检查点覆盖 {known.size} 条，备份已有 {ours.size} 条：并非最新",
            ),
            remedy=Text("name the old keeper's head, or a newer checkpoint", "请提供原日志头或更新的检查点"),
        )
    return newest


def _filled_from(source: Path) -> Callable[[str, str], None]:
    def fill(server: str, admin: str) -> None:
        name = _DISTRICT if server == DISTRICT_SERVER else f"store.{server}.dump"
        if (source / name).is_file():
            load(admin, DISTRICT, source / name)

    return fill


def _admin(deployment: Deployment, server: str) -> str:
    if server in deployment.embedded:
        return deployment.server(server).admin_url
    url = deployment.settings.database_url
    assert url is not None  # otherwise the server is an embedded one
    return url


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        raise _broken(f"{path.name} cannot be read", f"无法读取 {path.name}") from None


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _broken(en: str, zh: str) -> InputError:
    return InputError(
        "assembly.backup.broken",
        Text(f"the backup is not whole: {en}", f"备份不完整：{zh}"),
        remedy=Text("take another copy", "请改用另一份备份"),
    )


def _write_private(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def words(backup: Backup) -> dict[str, Any]:
    """As an answer of a command."""
    return {"origin": backup.origin, "size": backup.size, "files": backup.files}
