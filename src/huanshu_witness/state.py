"""A witness's folder: its key, the logs it knows, and the last checkpoint it signed of each.

    witness.key    Ed25519, PKCS #8, mode 0600          name     one line
    logs           one verifier key a line              state.json  origin → the note it signed last, with its own line
    conflicts/     what a log sent that cannot be of the tree seen before: both notes, for whoever investigates

Trust: who can put back an older ``state.json`` makes the witness forget, and a log could then show it another tree; who
can read ``witness.key`` can sign in its name. A missing or spoilt state is never taken for an empty one.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from huanshu_witness.notes import Head, LogKey, NoteError, cosigner_vkey, parse_head, text_of


class StateError(Exception):
    """The folder is not a witness's, or is in use; the message says what is wrong with it."""


def create(folder: Path, name: str, logs: list[str]) -> None:
    """Make a witness. Refuses a folder that has a key already. The state is written last: without it nothing starts."""
    if not name or any(c.isspace() or c == "+" for c in name):
        raise StateError("a name has no blanks and no plus")
    known = "".join(f"{LogKey.parse(log) and log.strip()}\n" for log in logs)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    pem = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    try:
        descriptor = os.open(folder / "witness.key", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise StateError("there is a witness in this folder already") from None
    with os.fdopen(descriptor, "wb") as file:
        file.write(pem)
        file.flush()
        os.fsync(file.fileno())
    write_whole(folder / "name", name + "\n")
    write_whole(folder / "logs", known)
    write_whole(folder / "state.json", "{}\n")


def know(folder: Path, log: str) -> None:
    """Watch one more log: another one, or the next origin of one that was opened again after a loss. The witness must
    not be running. What was signed of others stays as it is."""
    key = LogKey.parse(log)
    with State(folder) as state:
        if key.origin in state.logs:
            raise StateError("a log of this name is known already: its key is never replaced")
        there = (folder / "logs").read_text(encoding="utf-8")
        write_whole(folder / "logs", f"{there}{log.strip()}\n")


class State:
    """One witness, held by one process. Use as a context manager."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock: IO[str] | None = None

    def __enter__(self) -> State:
        try:
            self._lock = (self.folder / "lock").open("w")
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self.__exit__()
            raise StateError("another process holds this witness, or the folder cannot be written") from None
        try:
            self._read()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _read(self) -> None:
        try:
            if (self.folder / "witness.key").stat().st_mode & 0o077:
                raise StateError("witness.key is readable by others: make it mode 0600")
            key = load_pem_private_key((self.folder / "witness.key").read_bytes(), None)
            self.name = (self.folder / "name").read_text(encoding="utf-8").strip()
            named = (self.folder / "logs").read_text(encoding="utf-8").splitlines()
            keys = [LogKey.parse(line) for line in named]
            self._notes: dict[str, str] = _notes(self.folder / "state.json")
            self._heads = {origin: parse_head(text_of(note)) for origin, note in self._notes.items()}
        except (OSError, ValueError) as error:
            raise StateError(f"the folder cannot be read: {type(error).__name__}") from None
        if not isinstance(key, Ed25519PrivateKey) or len({k.origin for k in keys}) != len(keys):
            raise StateError("the key is no Ed25519 key, or a log is named twice")
        if any(head.origin != origin for origin, head in self._heads.items()):
            raise StateError("state.json holds a log's checkpoint under another origin")
        self.key: Ed25519PrivateKey = key
        self.logs: Mapping[str, LogKey] = {k.origin: k for k in keys}

    def __exit__(self, *_: object) -> None:
        if self._lock is not None:
            self._lock.close()

    @property
    def vkey(self) -> str:
        return cosigner_vkey(self.name, self.key.public_key().public_bytes_raw())

    def head(self, origin: str) -> Head | None:
        """The last checkpoint signed of a log; None when none was."""
        return self._heads.get(origin)

    def note(self, origin_hash: str) -> str | None:
        """The note of a log by the hex SHA-256 of its origin."""
        for origin, note in self._notes.items():
            if hashlib.sha256(origin.encode()).hexdigest() == origin_hash:
                return note
        return None

    def advance(self, head: Head, note: str) -> None:
        """Durably remember a checkpoint; never a smaller one. A crash before the end leaves the one before, and then no
        signature has left."""
        before = self._heads.get(head.origin)
        if before is not None and head.size < before.size:
            raise StateError("a witness does not go back")
        notes = {**self._notes, head.origin: note}
        write_whole(self.folder / "state.json", json.dumps(notes, ensure_ascii=False, indent=1) + "\n")
        self._notes, self._heads = notes, {**self._heads, head.origin: head}

    def conflict(self, held: str | None, sent: str, old: int) -> None:
        """Keep what cannot be of one tree; at most a thousand, so that nobody fills the disk."""
        folder = self.folder / "conflicts"
        folder.mkdir(exist_ok=True)
        name = hashlib.sha256(sent.encode()).hexdigest()[:32] + ".json"
        if not (folder / name).exists() and len(list(folder.iterdir())) < 1_000:
            kept = {"held": held, "sent": sent, "old": old}
            write_whole(folder / name, json.dumps(kept, ensure_ascii=False, indent=1) + "\n")

    def held(self, origin: str) -> str | None:
        return self._notes.get(origin)


def _notes(path: Path) -> dict[str, str]:
    said = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(said, dict) or not all(isinstance(note, str) for note in said.values()):
        raise NoteError("state.json is no object of notes")
    return said


def write_whole(path: Path, text: str) -> None:
    """Replace a file durably: temporary, flush, rename, flush of the folder."""
    new = path.with_name(f".{path.name}.new")
    with new.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    new.rename(path)
    with _opened(path.parent) as folder:
        os.fsync(folder)


@contextmanager
def _opened(folder: Path) -> Iterator[int]:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
