"""A log that is not the one that was acknowledged does not start, whatever was done to it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from huanshu.errors import TamperedError
from huanshu.tlog import Checkpoint, Frontier, sign_note

ORIGIN = "qinghe.example/huanshu"
FOUR_AGO = "SELECT note FROM log.checkpoint WHERE size = 2"


def forge(ground: Any, size: int) -> str:
    """A note of some size with a signature that is none."""
    checkpoint = Checkpoint(ORIGIN, size, Frontier().root)
    return sign_note(checkpoint.text, ORIGIN, ground.signer.public_key, lambda _: bytes(64))


def by_sql(*statements: str) -> Callable[[Any], None]:
    return lambda ground: ground.tamper(*statements)


def by_head(note: Callable[[Any], str]) -> Callable[[Any], None]:
    return lambda ground: ground.head.write(note(ground))


EXTRA = """INSERT INTO log.entry SELECT 6, event, convert_to(replace(convert_from(leaf, 'UTF8'),
           '"index":5', '"index":6'), 'UTF8'), leaf_hash, NULL FROM log.entry WHERE index = 5"""

TAMPERINGS: dict[str, Callable[[Any], None]] = {
    "first entry deleted": by_sql("DELETE FROM log.entry WHERE index = 0"),
    "inner entry deleted": by_sql("DELETE FROM log.entry WHERE index = 3"),
    "entry deleted and the rest moved up": by_sql(
        "DELETE FROM log.entry WHERE index = 3", "UPDATE log.entry SET index = index - 1 WHERE index > 3"
    ),
    "leaf changed": by_sql(
        """UPDATE log.entry SET leaf = convert_to(replace(convert_from(leaf, 'UTF8'), 'p.xu', 'p.wu'), 'UTF8')
           WHERE index = 2"""
    ),
    "leaf and hash changed": by_sql(
        """UPDATE log.entry SET leaf = convert_to(replace(convert_from(leaf, 'UTF8'), 'p.xu', 'p.wu'), 'UTF8')
           WHERE index = 2""",
        "UPDATE log.entry SET leaf_hash = sha256('\\x00'::bytea || leaf) WHERE index = 2",
    ),
    "leaf no JSON": by_sql("UPDATE log.entry SET leaf = 'rubbish' WHERE index = 2"),
    "leaf no object": by_sql("UPDATE log.entry SET leaf = '[]' WHERE index = 2"),
    "leaf without a time": by_sql(
        """UPDATE log.entry SET leaf = '{"index":2,"event":"x"}' WHERE index = 2"""
    ),
    "two entries exchanged": by_sql(
        "UPDATE log.entry SET index = 99 WHERE index = 1",
        "UPDATE log.entry SET index = 1 WHERE index = 2",
        "UPDATE log.entry SET index = 2 WHERE index = 99",
    ),
    "tail cut": by_sql("DELETE FROM log.entry WHERE index = 5"),
    "tail and its checkpoints cut": by_sql(
        "DELETE FROM log.entry WHERE index >= 2", "DELETE FROM log.checkpoint WHERE size > 2"
    ),
    "everything deleted": by_sql("DELETE FROM log.entry", "DELETE FROM log.checkpoint"),
    "last checkpoint deleted": by_sql("DELETE FROM log.checkpoint WHERE size = 6"),
    "checkpoints deleted": by_sql("DELETE FROM log.checkpoint"),
    "row beyond the last checkpoint": by_sql(EXTRA),
    "row beyond and an old checkpoint under its size": by_sql(
        EXTRA, "INSERT INTO log.checkpoint SELECT 7, note FROM log.checkpoint WHERE size = 6"
    ),
    "row beyond and a forged checkpoint": lambda ground: ground.tamper(
        EXTRA, f"INSERT INTO log.checkpoint VALUES (7, '{forge(ground, 7)}')"
    ),
    "checkpoint is rubbish": by_sql("UPDATE log.checkpoint SET note = 'rubbish' WHERE size = 6"),
    "head missing": lambda ground: (ground.folder / "head").unlink(),
    "head empty": by_head(lambda _: ""),
    "head is rubbish": lambda ground: (ground.folder / "head").write_bytes(b"\xff\xfe\x00"),
    "head forged": by_head(lambda ground: forge(ground, 6)),
    "older head forged": by_head(lambda ground: forge(ground, 2)),
    "head of another log": by_head(
        lambda ground: ground.signer.checkpoint_note(Checkpoint("elsewhere", 6, Frontier().root))
    ),
}


@pytest.mark.parametrize("name", TAMPERINGS)
def test_a_tampered_log_does_not_start(ground: Any, make_draft: Any, name: str) -> None:
    writer = ground.started()
    for number in (0, 2, 4):
        writer.append([make_draft(number), make_draft(number + 1)])
    writer.close()
    TAMPERINGS[name](ground)
    with pytest.raises(TamperedError):
        ground.started()
    with pytest.raises(TamperedError):  # and again: the refusal left no lock behind
        ground.started()


def test_an_untouched_log_starts(ground: Any, make_draft: Any) -> None:
    writer = ground.started()
    writer.append([make_draft(0)])
    writer.close()
    assert ground.started().size == 1


def test_an_older_genuine_head_is_adopted_forward(ground: Any, make_draft: Any) -> None:
    """The database is ahead of the head by entries that we signed: the crash between commit and head."""
    writer = ground.started()
    writer.append([make_draft(0)])
    older = ground.head.read()
    writer.append([make_draft(1)])
    newest = ground.head.read()
    writer.close()
    ground.head.write(older)
    assert ground.started().size == 2
    assert ground.head.read() == newest
