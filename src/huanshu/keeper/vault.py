"""The vault: wrapped keys in ``keys.wrapped``, the root key in a file or a device, plain keys only in this process.

Trust: who can change ``keys.wrapped`` can make values unopenable, never open one (each key is wrapped under
its own name). Who can read the root file *and* the database can open everything: the file belongs to the
keeper's own OS user, mode 0600, and is refused otherwise.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Final

import psycopg

from huanshu.catalog import Home
from huanshu.errors import DeniedError, Text, UnavailableError
from huanshu.sealing import link, token
from huanshu.sealing.keys import KeyName, Root, RootKey, link_keys, new_key, new_root_key
from huanshu.sealing.suites import HeldKey, Profile

#: Milliseconds that a request waits for the key table to be free.
_SWEEP_WAITS: Final = 500


def create_root(path: Path, profile: Profile = "aes") -> None:
    """Write a fresh root key of this profile, which is then that of all keys; refuses to replace one. Durable before
    it returns."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(new_root_key(profile))
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
    root = Root(raw)
    if not root.whole:
        raise _unusable(path, "has not the length of a root key", "不是根密钥的长度")
    return root


def require_profile(root: RootKey, home: Home) -> None:
    """Nobody changes the algorithms by changing a file: UnavailableError when the key policy wants others than the
    root key was made for."""
    wanted = home.policies.keys.profile
    if wanted != root.profile:
        raise UnavailableError(
            "keeper.profile.other",
            Text(
                f"policies/keys.yaml wants profile {wanted}; this deployment's keys are of profile {root.profile}",
                f"policies/keys.yaml 要求算法套件 {wanted}，本部署的密钥属于 {root.profile}",
            ),
            remedy=Text(
                f"write profile: {root.profile}, or make a new deployment of the other profile",
                f"请写 profile: {root.profile}，或以另一套件新建部署",
            ),
        )


class Vault:
    """Keys by name. A key is born on first need and durably wrapped before it is used; one that the log says is
    destroyed is neither read nor born again."""

    def __init__(self, root: RootKey, connection: psycopg.Connection) -> None:
        self._root = root
        self._connection = connection
        self._plain: dict[KeyName, bytes] = {}
        self._is_destroyed: Callable[[str], bool] = lambda _: False
        self._swept = False

    def key(self, name: KeyName, *, born: bool = True) -> bytes:
        """The key of that name; ``born`` as in ``keys``."""
        return self.keys([name], existing=() if born else (name,))[name]

    def keys(self, names: Sequence[KeyName], existing: Collection[KeyName] = ()) -> dict[KeyName, bytes]:
        """The keys of these names. Those that have none yet are born together, in one commit; for one of ``existing``
        that is an error: what was sealed under a key opens under no other, and a new one in its place would hide that
        it is gone."""
        for name in names:
            if self._is_destroyed(name):
                raise _destroyed(name)
        missing = [name for name in names if name not in self._plain]
        if missing:
            try:
                self._plain |= self._found_or_born(missing, existing)
            except psycopg.Error:
                self._connection.close()
                raise UnavailableError(
                    "keeper.vault.away",
                    Text("the key store cannot be reached", "密钥库无法访问"),
                    remedy=Text("start the database, then run again", "请启动数据库后重试"),
                ) from None
        return {name: self._plain[name] for name in names}

    def obey(self, is_destroyed: Callable[[str], bool]) -> None:
        """From now on the log's word says which names are destroyed; ``purge`` makes it so."""
        self._is_destroyed = is_destroyed

    def names(self, beginning: str = "") -> list[KeyName]:
        """Names of the stored keys that begin so; no key."""
        with self._connection.transaction():
            rows = self._connection.execute(
                "SELECT name FROM keys.wrapped WHERE starts_with(name, %s) ORDER BY name", (beginning,)
            ).fetchall()
        return [KeyName(name) for (name,) in rows]

    def wrapped(self) -> list[tuple[KeyName, bytes]]:
        """All stored keys as they lie there, wrapped."""
        rows = self._connection.execute("SELECT name, wrapped FROM keys.wrapped ORDER BY name")
        return [(KeyName(name), bytes(raw)) for name, raw in rows]

    def sealed_root(self, passphrases: Sequence[str], bound: bytes) -> bytes:
        """A copy of the root key that two of three custodians open; UnavailableError for one that cannot leave."""
        if not isinstance(self._root, Root):
            raise UnavailableError(
                "keeper.root.kept",
                Text(
                    "this root key does not leave its device: no copy of it can be sealed for custodians",
                    "该根密钥不能离开密码设备，无法为保管人制作备存",
                ),
                remedy=Text(
                    "keep a second device that its maker's tool made of the first, at another office",
                    "请用厂商工具制作第二台同密钥设备，由另一办公地点保管",
                ),
            )
        return self._root.sealed_among(passphrases, bound)

    def link_generation(self) -> int:
        """How many keys the links of the store have gone through; told by the store, which changes it with them."""
        with self._connection.transaction():
            row = self._connection.execute("SELECT generation FROM district.link_generation").fetchone()
        return 1 if row is None else int(row[0])

    def purge(self) -> int:
        """Delete every stored key that is destroyed, and forget it here; how many there were. Repeatable: after a
        crash, or when a store was put back from a backup, what is destroyed goes again before anything is lent."""
        gone = [name for name in self.names() if self._is_destroyed(name)]
        if gone:
            self.destroy(gone)
        for name in [name for name in self._plain if self._is_destroyed(name)]:
            del self._plain[name]
        self._sweep()
        return len(gone)

    @property
    def profile(self) -> Profile:
        """Of what algorithms its keys are."""
        return self._root.profile

    def destroy(self, names: Collection[KeyName]) -> None:
        """For ever: durably out of the store, then out of this process. Backups keep theirs until they expire."""
        with self._connection.transaction():
            self._connection.execute("DELETE FROM keys.wrapped WHERE name = ANY(%s)", (list(names),))
        for name in names:
            self._plain.pop(name, None)
        self._swept = False
        self._sweep()

    def _sweep(self) -> None:
        """Write the key table's file anew, once after whatever was deleted from it and once after every start: else
        the wrapped keys lie on in its pages. While somebody else reads the table (a backup) the next round does it."""
        if self._swept:
            return
        try:
            self._connection.execute(f"SET lock_timeout = {_SWEEP_WAITS}")
            self._connection.execute("VACUUM FULL keys.wrapped")
            self._swept = True
        except psycopg.errors.LockNotAvailable:
            return
        finally:
            if not self._connection.broken:
                self._connection.execute("RESET lock_timeout")

    @property
    def closed(self) -> bool:
        """Whether its connection is gone."""
        return self._connection.closed

    def close(self) -> None:
        self._plain.clear()
        self._root.close()
        self._connection.close()

    def use(self, connection: psycopg.Connection) -> None:
        """Go on with another connection after the database was away."""
        self._connection.close()
        self._connection = connection

    def _found_or_born(self, names: Sequence[KeyName], existing: Collection[KeyName]) -> dict[KeyName, bytes]:
        found = self._read(names)
        if gone := sorted(set(names).intersection(existing) - set(found)):
            raise _missing(gone[0])
        if unborn := sorted(set(names) - set(found)):
            wrapped = [self._root.wrap(name, new_key(name, self._root.profile)) for name in unborn]
            with self._connection.transaction():
                self._connection.execute(
                    "INSERT INTO keys.wrapped (name, wrapped) SELECT * FROM unnest(%s::text[], %s::bytea[])"
                    " ON CONFLICT (name) DO NOTHING",
                    (unborn, wrapped),
                )
            # Read back what is durable, so that a key in use is always a key that was stored.
            found |= self._read(unborn)
        if not all(name in found for name in names):
            raise UnavailableError("keeper.vault.lost", Text("a new key was not stored", "新密钥未能保存"))
        return found

    def _read(self, names: Sequence[KeyName]) -> dict[KeyName, bytes]:
        with self._connection.transaction():
            rows = self._connection.execute(
                "SELECT name, wrapped FROM keys.wrapped WHERE name = ANY(%s)", (list(names),)
            ).fetchall()
        return {
            KeyName(name): HeldKey(self._root.unwrap(KeyName(name), bytes(wrapped))) for name, wrapped in rows
        }


def linked_through(vault: Vault, kind: str, value: str) -> bytes:
    """The link of an identifier as the store has links now."""
    first, *later = link_keys(kind, vault.link_generation())
    made = link(vault.key(first), kind, value)
    for name in later:
        made = token(vault.key(name, born=False), made)
    return made


def _destroyed(name: KeyName) -> DeniedError:
    return DeniedError(
        "keeper.key.destroyed",
        Text(f"the key {name} was destroyed, by two persons", f"密钥 {name} 已由两人销毁"),
        remedy=Text(
            "what was sealed under it is gone for ever; to seal new values raise epoch in policies/keys.yaml",
            "以其密封的数据已永久不可读；如需密封新值，请将 policies/keys.yaml 的 epoch 加一",
        ),
    )


def _missing(name: KeyName) -> UnavailableError:
    return UnavailableError(
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
