"""The published files: what the log is, readable by others, whatever is killed or changed on the way."""

from __future__ import annotations

import hashlib
import random
from pathlib import Path
from typing import Any

import pytest

from huanshu.auditlog import Draft, PublishedLog, Publisher
from huanshu.auditlog.published import CHECKPOINT
from huanshu.errors import TamperedError, UnavailableError
from huanshu.store import connect
from huanshu.tlog import Checkpoint, TileHashes, inclusion_proof, require_inclusion
from huanshu.tlog.tiles import Tile, tiles_of, unbundle
from huanshu_verify import merkle
from huanshu_verify.notes import VerifierKey, open_checkpoint

ORIGIN = "qinghe.example/huanshu"


class FailingLog(PublishedLog):
    """A folder whose disk fills up at one write, before or after its effect."""

    def __init__(self, folder: Path, fails_at: int, *, after: bool) -> None:
        super().__init__(folder)
        self.writes, self.fails_at, self.after = 0, fails_at, after

    def _write(self, path: Path, content: bytes) -> None:
        self.writes += 1
        if self.writes == self.fails_at and not self.after:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.with_name(f".{path.name}.new").write_bytes(content[: len(content) // 2])
            raise OSError("the disk is full")
        super()._write(path, content)
        if self.writes == self.fails_at:
            raise OSError("the machine went down")


def publisher(ground: Any, published: PublishedLog | None = None) -> Publisher:
    made = Publisher(
        published or PublishedLog(ground.folder / "log"),
        lambda: connect(ground.keeper_url),
        lambda note: ground.signer.read_checkpoint(ORIGIN, note),
    )
    ground.publishers.append(made)
    return made


def require_whole(ground: Any, folder: Path) -> int:
    """The folder, read from docs/FORMAT.md alone, is the log up to its checkpoint; returns the size."""
    key = VerifierKey.parse(ground.signer.vkey(ORIGIN))
    size, root = open_checkpoint((folder / CHECKPOINT).read_text(), key)
    leaves: list[bytes] = []
    for tile in tiles_of(size):
        raw = (folder / tile.path).read_bytes()
        assert len(raw) == 32 * tile.width
        if tile.level == 0:
            entries = unbundle((folder / tile.bundle_path).read_bytes(), tile.width)
            assert raw == b"".join(merkle.leaf(entry) for entry in entries)
            leaves += entries
    assert dict(merkle.roots_at(map(merkle.leaf, leaves), {size})) == {size: root}
    stored = ground.rows(f"SELECT leaf FROM log.entry WHERE index < {size} ORDER BY index")
    assert [bytes(leaf) for (leaf,) in stored] == leaves
    hashes = TileHashes(size, lambda tile: (folder / tile.path).read_bytes())
    for index in {0, size // 2, size - 1} if size else set():
        require_inclusion(merkle.leaf(leaves[index]), index, size, root, inclusion_proof(hashes, index, size))
    return size


def everything(folder: Path) -> dict[str, bytes]:
    return {
        str(p.relative_to(folder)): p.read_bytes()
        for p in folder.rglob("*")
        if p.is_file() and not p.name.endswith(".new")
    }


def test_what_is_published_is_the_log_at_every_size_it_stops_at(ground: Any, make_draft: Any) -> None:
    writer, made = ground.started(), publisher(ground)
    folder = ground.folder / "log"
    made.publish(ground.head.read())
    assert require_whole(ground, folder) == 0
    total = 0
    for group in (1, 2, 252, 1, 1, 300, 211, 1):
        writer.append([make_draft(total + n) for n in range(group)])
        total += group
        made.publish(ground.head.read())
        assert require_whole(ground, folder) == total
    assert total == 769
    # Full ones have replaced the partial ones; the open tile keeps those of sizes whose checkpoints were shown.
    assert not (folder / "tile/0/000.p").exists()
    assert not (folder / "tile/entries/002.p").exists()
    assert (folder / "tile/0/003.p/1").exists()


def test_full_tiles_and_bundles_are_never_written_again(ground: Any, make_draft: Any) -> None:
    writer, made = ground.started(), publisher(ground)
    folder = ground.folder / "log"
    writer.append([make_draft(n) for n in range(520)])
    made.publish(ground.head.read())
    before = {name: (folder / name).stat() for name in everything(folder) if name != CHECKPOINT}
    assert {"tile/0/000", "tile/0/001", "tile/entries/000", "tile/entries/001"} <= set(before)
    writer.append([make_draft(n) for n in range(300)])
    publisher(ground).publish(ground.head.read())
    for name, stat in before.items():
        if ".p/" not in name:
            now = (folder / name).stat()
            assert (now.st_ino, now.st_mtime_ns) == (stat.st_ino, stat.st_mtime_ns), name


@pytest.mark.parametrize("after", [False, True], ids=["before its effect", "after its effect"])
def test_whichever_write_fails_the_next_attempt_makes_the_same_files(
    ground: Any, make_draft: Any, after: bool
) -> None:
    """The failure table of a publication: every write × {not persisted, persisted anyway}."""
    writer = ground.started()
    bitmap = b"sealed bytes"
    bound = {"count": 1, "sha256": "00" * 32, "sealed_sha256": hashlib.sha256(bitmap).hexdigest()}
    body = seen_by(make_draft, bound)
    writer.append([make_draft(n) for n in range(250)])
    first = ground.head.read()
    writer.append([*(make_draft(n) for n in range(20)), Draft(body, bitmap=bitmap)])
    smooth = publisher(ground, PublishedLog(ground.folder / "smooth"))
    smooth.publish(first)
    smooth.publish(ground.head.read())
    wanted = everything(ground.folder / "smooth")
    assert f"bitmap/{bound['sealed_sha256'][:2]}/{bound['sealed_sha256']}" in wanted
    fails, failures = 1, set[str]()
    while True:
        folder = ground.folder / f"{fails}"
        log = FailingLog(folder, 10**9, after=after)
        made = publisher(ground, log)
        made.publish(first)
        log.writes, log.fails_at = 0, fails
        if outcome(made, ground.head.read()) == "published":
            break
        assert require_whole(ground, folder) in (250, 271)
        failures.add(outcome(publisher(ground, FailingLog(folder, 1, after=after)), ground.head.read()))
        again = made if fails % 2 else publisher(ground, PublishedLog(folder))
        again.publish(ground.head.read())
        assert everything(folder) == wanted or set(everything(folder)) - set(wanted) <= leftovers(folder)
        assert require_whole(ground, folder) == 271
        fails += 1
    assert fails > 6
    assert "auditlog.published.behind" in failures


def outcome(made: Publisher, head: str) -> str:
    try:
        made.publish(head)
    except UnavailableError as error:
        return error.code
    return "published"


def leftovers(folder: Path) -> set[str]:
    """Partial files that a full one has replaced: a crash after the checkpoint may leave them (tlog-tiles allows it)."""
    return {name for name in everything(folder) if ".p/" in name}


def seen_by(make_draft: Any, bound: dict[str, Any]) -> dict[str, Any]:
    body = make_draft(0).body
    return {
        **body, "event": "access.record.authorised", "post": "a.clerk", "domain": "990101001001", "dataset": "resident",
        "purpose": "service", "fields": {"name": "reveal"}, "how": "viewed", "contract": "ab" * 32, "subjects": bound,
        "detail": {"record": 1, "values": 1, "until": "2026-07-01T10:00:00+08:00"},
    }  # fmt: skip


def test_a_step_is_bounded_however_far_behind(ground: Any, make_draft: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr("huanshu.auditlog.publisher.STEP", 300)
    writer = ground.started()
    for at in range(10):
        writer.append([make_draft(at * 100 + n) for n in range(100)])
    noted: list[int] = []
    log = PublishedLog(ground.folder / "log")
    write = log.write_note
    monkeypatch.setattr(
        log,
        "write_note",
        lambda note: (noted.append(Checkpoint.parse(note.split("\n\n")[0] + "\n").size), write(note)),
    )
    publisher(ground, log).publish(ground.head.read())
    assert noted == [300, 600, 900, 1000]
    assert require_whole(ground, ground.folder / "log") == 1000


def test_a_changed_database_is_not_published(ground: Any, make_draft: Any) -> None:
    writer, made = ground.started(), publisher(ground)
    writer.append([make_draft(n) for n in range(5)])
    made.publish(ground.head.read())
    writer.append([make_draft(n) for n in range(300)])
    ground.tamper("UPDATE log.entry SET leaf = leaf || ' '::bytea WHERE index = 100")
    before = everything(ground.folder / "log")
    for again in (made, publisher(ground)):
        with pytest.raises(TamperedError, match=r"auditlog\.log\.not_ours"):
            again.publish(ground.head.read())
    assert everything(ground.folder / "log") == before
    ground.tamper("DELETE FROM log.entry WHERE index = 100")
    with pytest.raises(TamperedError, match=r"auditlog\.log\.not_ours"):
        made.publish(ground.head.read())


def test_a_bitmap_of_other_bytes_is_not_published(ground: Any, make_draft: Any) -> None:
    writer, made = ground.started(), publisher(ground)
    digest = hashlib.sha256(b"sealed").hexdigest()
    bound = {"count": 1, "sha256": "00" * 32, "sealed_sha256": digest}
    writer.append([Draft(seen_by(make_draft, bound), bitmap=b"sealed")])
    ground.tamper("UPDATE log.bitmap SET sealed = 'others'")
    with pytest.raises(TamperedError, match=r"auditlog\.log\.not_ours"):
        made.publish(ground.head.read())
    ground.tamper("DELETE FROM log.bitmap")
    with pytest.raises(TamperedError, match=r"auditlog\.log\.not_ours"):
        made.publish(ground.head.read())
    assert not (ground.folder / "log" / CHECKPOINT).exists()


def test_a_log_set_back_behind_its_published_files_is_found(ground: Any, make_draft: Any) -> None:
    writer, made = ground.started(), publisher(ground)
    writer.append([make_draft(0)])
    older = ground.head.read()
    writer.append([make_draft(1)])
    made.publish(ground.head.read())
    for again in (made, publisher(ground)):
        with pytest.raises(TamperedError, match=r"auditlog\.log\.rolled_back"):
            again.publish(older)


def test_another_log_of_the_same_size_is_found(ground: Any, make_draft: Any) -> None:
    writer, made = ground.started(), publisher(ground)
    writer.append([make_draft(0)])
    made.publish(ground.head.read())
    other = ground.signer.checkpoint_note(Checkpoint(ORIGIN, 1, bytes(32)))
    with pytest.raises(TamperedError, match=r"auditlog\.log\.not_ours"):
        made.publish(other)


@pytest.mark.parametrize("name", ["tile/0/001.p/44", "tile/1/000.p/1", "tile/entries/000"])
def test_changed_files_at_the_edge_are_found_when_publication_goes_on(
    ground: Any, make_draft: Any, name: str
) -> None:
    writer = ground.started()
    writer.append([make_draft(n) for n in range(300)])
    publisher(ground).publish(ground.head.read())
    path = ground.folder / "log" / name
    raw = bytearray(path.read_bytes())
    raw[random.Random(1).randrange(len(raw))] ^= 1
    path.write_bytes(bytes(raw))
    writer.append([make_draft(n) for n in range(300)])
    if name == "tile/entries/000":  # deep inside: the verifier's to find, and never overwritten
        publisher(ground).publish(ground.head.read())
        assert path.read_bytes() == bytes(raw)
        return
    with pytest.raises(TamperedError):
        publisher(ground).publish(ground.head.read())


def test_a_full_tile_that_somebody_put_there_is_found(ground: Any, make_draft: Any) -> None:
    writer, made = ground.started(), publisher(ground)
    writer.append([make_draft(n) for n in range(200)])
    made.publish(ground.head.read())
    (ground.folder / "log/tile/0/000").write_bytes(bytes(8192))
    writer.append([make_draft(n) for n in range(100)])
    with pytest.raises(TamperedError, match=r"auditlog\.published\.not_ours"):
        made.publish(ground.head.read())


def test_the_checkpoint_of_another_key_is_refused(ground: Any, make_draft: Any) -> None:
    writer, made = ground.started(), publisher(ground)
    writer.append([make_draft(0)])
    made.publish(ground.head.read())
    path = ground.folder / "log" / CHECKPOINT
    path.write_text(path.read_text().replace(" ", "  "))
    with pytest.raises(TamperedError):
        publisher(ground).publish(ground.head.read())


def test_the_database_away_is_no_tampering(ground: Any, make_draft: Any) -> None:
    writer, made = ground.started(), publisher(ground)
    writer.append([make_draft(0)])
    made.publish(ground.head.read())
    writer.append([make_draft(1)])
    with connect(ground.tamper_url) as admin:
        admin.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE usename = 'huanshu_keeper'"
        )
    with pytest.raises(UnavailableError, match=r"auditlog\.published\.behind"):
        made.publish(ground.head.read())
    made.publish(ground.head.read())
    assert require_whole(ground, ground.folder / "log") == 2


def test_tile_falls_back_to_the_full_one(ground: Any, make_draft: Any) -> None:
    writer, made = ground.started(), publisher(ground)
    writer.append([make_draft(n) for n in range(300)])
    made.publish(ground.head.read())
    whole = made.published.tile(Tile(0, 0, 256))
    assert made.published.tile(Tile(0, 0, 17)) == whole[: 17 * 32]
    with pytest.raises(TamperedError, match=r"tlog\.tile\.malformed"):
        made.published.tile(Tile(0, 7, 1))
