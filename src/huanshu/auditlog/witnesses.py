"""Our side of C2SP ``tlog-witness``: a durable checkpoint is shown to every witness of the policy, and what they answer
is kept, or held against us.

A witness is asked over HTTPS (plainly only on this machine), or, where the policy gives it no URL, by files in a folder
of its own that somebody carries. Nothing is sent but checkpoint and proof: no entry leaves. A witness is believed only
where the log's own signature speaks: its word that it has seen another or a larger log counts when it shows the note.
Its word of a time that has not come counts for nothing and is told (``ahead``): where one of several suffices, it could
otherwise make the newest evidence look a day wrong, and close the platform.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from huanshu.auditlog.asking import AT_ONCE, answer_file, request
from huanshu.auditlog.published import WITNESSED, PublishedLog
from huanshu.auditlog.tampering import FORK, forked, rolled_back
from huanshu.errors import ContentError, HuanshuError, InputError, Text, Where
from huanshu.tlog import (
    Checkpoint,
    Cosignature,
    ForkProof,
    TileHashes,
    Witness,
    WitnessPolicy,
    consistency_proof,
    parse_policy,
)
from huanshu.tlog.cosignatures import (
    Check,
    add_checkpoint,
    answered_lines,
    answered_size,
    cosignatures,
    note_lines,
    note_text,
)
from huanshu.tlog.notes import DASH
from huanshu.tlog.proofs import root_of

POLICY: Final = "audit/witnesses.policy"
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})


#: Checkpoints whose cosignatures are still being gathered.
_GATHERED: Final = 16
_DAY: Final = 86_400
#: Seconds that a witness's clock may be ahead of ours: no more than the shortest longest age that a home may set.
SKEW: Final = 60


@dataclass(frozen=True, slots=True)
class Witnessed:
    """A note that a quorum has cosigned, with their lines, and the oldest of the times that the quorum needs."""

    note: str
    size: int
    time: int


def check_urls(policy: WitnessPolicy) -> None:
    """Raises ContentError for a witness that would be asked in the clear."""
    for witness in policy.witnesses:
        if witness.url is None:
            continue
        try:
            parts = urlsplit(witness.url)
            port = parts.port  # also: a number that is none raises
            good = parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOOPBACK)
            good = good and bool(parts.hostname) and parts.username is None and not parts.query and port != 0
        except ValueError:
            good = False
        if not good:
            raise ContentError(
                "tlog.policy.url",
                Text(
                    f"the URL of witness {witness.label} is not https (http only to this machine)",
                    f"见证方 {witness.label} 的地址须为 https（仅本机可用 http）",
                ),
                remedy=Text(
                    "write https://host/path, or leave it out to carry files",
                    "请写 https 地址，或留空以文件交换",
                ),
                where=Where(POLICY),
            )


class Witnesses:
    """The witnesses that the home's policy names now, and what each of them has seen. Not thread-safe: its owner
    serialises. ``exchange`` is where files for witnesses without a URL lie; ``clock`` says what a time is ahead of."""

    def __init__(
        self,
        file: Path,
        published: PublishedLog,
        read_checkpoint: Callable[[str], Checkpoint],
        check: Check,
        exchange: Path,
        clock: Callable[[], datetime],
    ) -> None:
        self._file, self._published, self._exchange = file, published, exchange
        self._read, self._check, self._clock = read_checkpoint, check, clock
        #: Witness → by how many seconds it was ahead of us, further than it may be, when it answered last.
        self.ahead: dict[str, int] = {}
        self._policy: tuple[str, WitnessPolicy] | None = None
        self._asked_under = ""
        self._sizes: dict[str, int] = {}
        self._gathered: dict[str, list[Cosignature]] = {}

    def policy(self) -> tuple[str, WitnessPolicy]:
        """Hex SHA-256 of the policy's file, and the policy as the file is now; no file names nobody. ContentError when
        it cannot be read: then nobody has vouched."""
        try:
            self._file.lstat()
        except FileNotFoundError:
            text = ""
        else:  # what is there and cannot be read names nobody's absence
            text = self._file.read_text(encoding="utf-8", errors="replace")
        digest = hashlib.sha256(text.encode()).hexdigest()
        if self._policy is None or self._policy[0] != digest:
            read = parse_policy(text, POLICY) if text else WitnessPolicy()
            check_urls(read)
            self._policy = (digest, read)
        return self._policy

    def require_unforked(self) -> None:
        """Raises TamperedError when a proof lies among the published files that this log was forked."""
        text = self._published.note(FORK)
        if text is None:
            return
        try:
            ForkProof.parse(text).require(self._read)
        except InputError:
            return  # proves nothing, so it stops nobody
        raise forked()

    def round(self, note: str) -> Witnessed | None:
        """Show a published checkpoint to every witness; the newest one that a quorum has cosigned by now, if any.

        A witness that is away, or answers nonsense, is passed over: what counts is the quorum. TamperedError when one
        can show that the log has signed another tree, or a larger one than ours."""
        digest, policy = self.policy()
        if digest != self._asked_under:  # other witnesses, or the same ones under other names
            self._asked_under, self._sizes, self._gathered, self.ahead = digest, {}, {}, {}
        checkpoint = self._read(note)
        self._recall(policy)
        if policy.witnesses:
            # Side by side: one that lets us wait keeps nobody else waiting.
            with ThreadPoolExecutor(max_workers=min(len(policy.witnesses), AT_ONCE)) as pool:
                answers = pool.map(lambda witness: self._answer(witness, checkpoint, note), policy.witnesses)
                for about, found in answers:
                    self._gather(about, found)
                    self._compare_clocks(found)
        return self._best(policy)

    def _compare_clocks(self, found: Sequence[Cosignature]) -> None:
        now = int(self._clock().timestamp())
        for cosignature in found:
            self.ahead.pop(cosignature.witness.label, None)
            if cosignature.time > now + SKEW:
                self.ahead[cosignature.witness.label] = cosignature.time - now

    def _answer(self, witness: Witness, checkpoint: Checkpoint, note: str) -> tuple[str, list[Cosignature]]:
        """(the note it answered about, its good cosignature, if it gave one)."""
        try:
            about, lines = self._asked(witness, checkpoint, note)
            return about, cosignatures(note_text(about), lines, [witness], self._check)
        except (InputError, OSError, http.client.HTTPException):
            return note, []

    def _gather(self, note: str, found: Sequence[Cosignature]) -> None:
        text = note_text(note)
        bare = next((known for known in self._gathered if note_text(known) == text), note)
        fresh = {cosignature.witness.label for cosignature in found}
        before = self._gathered.pop(bare, [])
        self._gathered[bare] = [c for c in before if c.witness.label not in fresh] + list(found)
        while len(self._gathered) > _GATHERED:
            del self._gathered[next(iter(self._gathered))]

    def _best(self, policy: WitnessPolicy) -> Witnessed | None:
        best: Witnessed | None = None
        latest = int(self._clock().timestamp()) + SKEW
        for note, gathered in self._gathered.items():
            found = [cosignature for cosignature in gathered if cosignature.time <= latest]
            time = policy.time(found)
            size = self._read(note).size
            if time is not None and (best is None or (size, time) > (best.size, best.time)):
                best = Witnessed(note + "".join(f"{c.line}\n" for c in found), size, time)
        return best

    def _recall(self, policy: WitnessPolicy) -> None:
        """After a start: the cosignatures on the checkpoint that a quorum had cosigned last still say when."""
        there = self._published.note(WITNESSED)
        if self._gathered or there is None:
            return
        try:
            checkpoint = self._read(there)
            found = cosignatures(note_text(there), note_lines(there), policy.witnesses, self._check)
        except HuanshuError:
            return
        lines = [line for line in note_lines(there) if line.startswith(f"{DASH} {checkpoint.origin} ")]
        self._gather(note_text(there) + "\n" + "".join(f"{line}\n" for line in lines), found)

    # -- one witness ----------------------------------------------------------------------------

    def _asked(self, witness: Witness, checkpoint: Checkpoint, note: str) -> tuple[str, Sequence[str]]:
        """(the note it answered about, its lines)."""
        hashes = TileHashes(checkpoint.size, self._published.tile)
        if witness.url is None:
            return self._carried(witness, checkpoint, note, hashes)
        for _ in range(2):
            answered = request(
                witness.url, "POST", "/add-checkpoint", self._body(witness, checkpoint, note, hashes)
            )
            if answered.status == 200:
                self._sizes[witness.label] = checkpoint.size
                return note, answered_lines(answered.body)
            if answered.status != 409 or answered_size(answered.body) > checkpoint.size:
                break
            self._sizes[witness.label] = answered_size(answered.body)
        name = hashlib.sha256(checkpoint.origin.encode()).hexdigest()
        shown = request(witness.url, "GET", f"/{name}/checkpoint", None)
        if shown.status == 200:
            self._hold_against_us(witness, shown.body.decode(errors="replace"), checkpoint, note, hashes)
        return note, ()

    def _body(self, witness: Witness, checkpoint: Checkpoint, note: str, hashes: TileHashes) -> bytes:
        old = self._sizes.get(witness.label, 0)
        old = old if old <= checkpoint.size else 0  # then it will say what it has seen
        return add_checkpoint(old, consistency_proof(hashes, old, checkpoint.size), note)

    def _carried(
        self, witness: Witness, checkpoint: Checkpoint, note: str, hashes: TileHashes
    ) -> tuple[str, Sequence[str]]:
        """Leave a request for whoever carries it, and leave it alone for a day; read the answer that came back."""
        folder = self._exchange / witness.label
        folder.mkdir(parents=True, exist_ok=True)
        asked = max(folder.glob("*.add-checkpoint"), key=lambda path: path.stat().st_mtime, default=None)
        if asked is not None and (came := asked.with_suffix(".answer")).exists():
            about = asked.read_text(encoding="utf-8", errors="replace").partition("\n\n")[2]
            answered = answer_file(came)
            try:
                size = self._read(about).size
            except (
                HuanshuError
            ):  # not our request: whoever can write here must not be able to stop the keeper
                asked.unlink()
                came.unlink()
                return note, ()
            if answered.status == 200:
                self._sizes[witness.label] = size
            elif answered.status == 409:
                self._sizes[witness.label] = min(answered_size(answered.body), checkpoint.size)
            if answered.status != 200 and answered.held is not None:
                self._hold_against_us(witness, answered.held, checkpoint, note, hashes)
            asked.unlink()
            came.unlink()
            return about, answered_lines(answered.body) if answered.status == 200 else ()
        if asked is None or asked.stat().st_mtime < time.time() - _DAY:
            new = folder / f".{checkpoint.size}.new"
            with new.open("wb") as out:
                out.write(self._body(witness, checkpoint, note, hashes))
                out.flush()
                os.fsync(out.fileno())
            new.rename(folder / f"{checkpoint.size}.add-checkpoint")
        return note, ()

    def _hold_against_us(
        self, witness: Witness, theirs: str, ours: Checkpoint, note: str, hashes: TileHashes
    ) -> None:
        """A witness did not cosign: has it a checkpoint, signed by our key, that ours does not follow?"""
        try:
            there = self._read(theirs)
        except HuanshuError:
            return  # not signed by the log: a witness's word alone stops nobody
        if there.size > ours.size:
            raise rolled_back(
                f"witness {witness.label} has cosigned {there.size} entries, this log has {ours.size}",
                f"见证方 {witness.label} 见证过 {there.size} 条，本日志只有 {ours.size} 条",
            )
        if there.size == 0:
            return
        root = root_of(hashes, 0, there.size)
        if root == there.root:
            return
        fork = ForkProof.of(theirs, note, root, consistency_proof(hashes, there.size, ours.size))
        fork.require(self._read)
        self._published.write_note(fork.text, FORK)
        raise forked()
