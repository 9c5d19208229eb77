"""The vault: wrapped keys in ``keys.wrapped``, the root key in a file, plain keys only in this process.

Trust: who can change ``keys.wrapped`` can make values unopenable, never open one (each key is wrapped under
its own name). Who can read the root file *and* the database can open everything: the file belongs to the
keeper's own OS user, mode 0600, and is refused otherwise.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

import psycopg

from huanshu.errors import Text, UnavailableError
from huanshu.sealing.keys import ROOT_KEY_BYTES, KeyName, Root, new_key, new_root_key


def create_root(path: Path) -> None:
    """Write a fresh root key; refuses to replace one. Durable before it returns."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(new_root_key())
        file.flush()
        os.fsync(file.fileno())


def load_root(path: Path) -> Root:
    """The root key of a file that only its owner can read."""
    try:
        mode = path.stat()
        raw = path.read_bytes()
    except OSError:
        raise _unusable(path, "cannot be read", "无法读取") from None
    if stat.S_IMODE(mode.st_mode) & 0o077:
        raise _unusable(path, "is readable by others (needs mode 0600)", "可被他人读取（须为 0600）")
    if len(raw) != ROOT_KEY_BYTES:
        raise _unusable(path, f"is not {ROOT_KEY_BYTES} bytes", f"长度不是 {ROOT_KEY_BYTES} 字节")
    return Root(raw)


class Vault:
    """Keys by name. A key is born on first need and durably wrapped before it is used."""

    def __init__(self, root: Root, connection: psycopg.Connection) -> None:
        self._root = root
        self._connection = connection
        self._plain: dict[KeyName, bytes] = {}

    def key(self, name: KeyName, *, born: bool = True) -> bytes:
        """The key of that name. When there is none it is made now; with ``born`` False that is an error: what was
        sealed under a key opens under no other, and a new one in its place would hide that it is gone."""
        if name not in self._plain:
            try:
                self._plain[name] = self._read(name) or (self._create(name) if born else _missing(name))
            except psycopg.Error:
                self._connection.close()
                raise UnavailableError(
                    "keeper.vault.away",
                    Text("the key store cannot be reached", "密钥库无法访问"),
                    remedy=Text("start the database, then run again", "请启动数据库后重试"),
                ) from None
        return self._plain[name]

    @property
    def closed(self) -> bool:
        """Whether its connection is gone."""
        return self._connection.closed

    def close(self) -> None:
        self._plain.clear()
        self._connection.close()

    def use(self, connection: psycopg.Connection) -> None:
        """Go on with another connection after the database was away."""
        self._connection.close()
        self._connection = connection

    def _read(self, name: KeyName) -> bytes | None:
        with self._connection.transaction():
            row = self._connection.execute(
                "SELECT wrapped FROM keys.wrapped WHERE name = %s", (name,)
            ).fetchone()
        return None if row is None else self._root.unwrap(name, bytes(row[0]))

    def _create(self, name: KeyName) -> bytes:
        with self._connection.transaction():
            self._connection.execute(
                "INSERT INTO keys.wrapped (name, wrapped) VALUES (%s, %s) ON CONFLICT (name) DO NOTHING",
                (name, self._root.wrap(name, new_key(name))),
            )
        # Read back what is durable, so that a key in use is always a key that was stored.
        stored = self._read(name)
        if stored is None:
            raise UnavailableError("keeper.vault.lost", Text("a new key was not stored", "新密钥未能保存"))
        return stored


def _missing(name: KeyName) -> bytes:
    raise UnavailableError(
        "keeper.key.missing",
        Text(f"the key {name} is not in the key store", f"密钥库中没有密钥 {name}"),
        remedy=Text("restore its row of keys.wrapped from a backup", "请从备份恢复 keys.wrapped 中的该行"),
    )


def _unusable(path: Path, en: str, zh: str) -> UnavailableError:
    return UnavailableError(
        "keeper.root.unusable",
        Text(f"the root key {path.name} {en}", f"根密钥文件 {path.name} {zh}"),
        remedy=Text("restore the file with owner-only permissions", "请以仅属主可读的权限恢复该文件"),
    )
