"""Our client against three real witnesses: a quorum of two cosigns what is durable, and holds a fork or a rollback against
the log. The clock is the ground's; HTTP is real, on loopback."""

from __future__ import annotations

import hashlib
import shutil
import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from huanshu.auditlog import PublishedLog, Publisher, Witnesses, require_signature
from huanshu.auditlog.published import WITNESSED
from huanshu.auditlog.tampering import FORK
from huanshu.auditlog.witnesses import SKEW, check_urls
from huanshu.errors import ContentError, TamperedError
from huanshu.store import connect
from huanshu.tlog import Checkpoint, ForkProof, Frontier, WitnessPolicy, parse_policy
from huanshu.tlog.cosignatures import note_text
from huanshu_witness.carrying import answer_files
from huanshu_witness.deciding import SIZE_TYPE, Answer
from huanshu_witness.notes import cosign
from huanshu_witness.serving import WitnessServer
from huanshu_witness.state import State, create

ORIGIN = "qinghe.example/huanshu"
EMPTY = Checkpoint(ORIGIN, 0, Frontier().root)


class Office:
    """One witness that can go away and come back."""

    def __init__(self, ground: Any, label: str) -> None:
        self.ground, self.label, self.folder = ground, label, ground.folder / f"witness-{label}"
        create(self.folder, f"{label}.example/witness", [ground.signer.vkey(ORIGIN)])
        self.port = 0
        self.open()

    def open(self) -> None:
        self.state = State(self.folder).__enter__()
        self.server = WitnessServer(
            self.state, "127.0.0.1", self.port, clock=lambda: self.ground.clock().timestamp()
        )
        self.port = int(self.server.server_address[1])
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.state.__exit__()

    @property
    def line(self) -> str:
        return f"witness {self.label} {self.state.vkey} http://127.0.0.1:{self.port}\n"


class District:
    """A log with its publisher and its client of witnesses."""

    def __init__(self, ground: Any, offices: list[Office]) -> None:
        self.ground, self.offices = ground, offices
        self.file = ground.folder / "witnesses.policy"
        self.file.write_text("".join(o.line for o in offices) + "group two 2 a b c\nquorum two\n")
        self.publisher = Publisher(
            PublishedLog(ground.folder / "log"), lambda: connect(ground.keeper_url), self.read
        )
        ground.publishers.append(self.publisher)
        self.witnesses = self.new_client()
        self.writer = ground.started()

    def new_client(self) -> Witnesses:
        return Witnesses(
            self.file, self.publisher.published, self.read, require_signature, self.ground.folder / "exchange",
            self.ground.clock,
        )  # fmt: skip

    def read(self, note: str) -> Any:
        return self.ground.signer.read_checkpoint(ORIGIN, note)

    def append(self, make_draft: Any, number: int) -> str:
        self.writer.append([make_draft(n) for n in range(number)])
        note = str(self.ground.head.read())
        self.publisher.publish(note)
        return note


@pytest.fixture
def offices(ground: Any) -> Iterator[list[Office]]:
    made = [Office(ground, label) for label in "abc"]
    yield made
    for office in made:
        office.close()


@pytest.fixture
def district(ground: Any, offices: list[Office]) -> District:
    return District(ground, offices)


def test_a_quorum_cosigns_what_is_published(district: District, make_draft: Any) -> None:
    for number in (3, 260, 1):
        note = district.append(make_draft, number)
        found = district.witnesses.round(note)
        assert found is not None
        assert (found.size, found.time) == (district.writer.size, int(district.ground.clock().timestamp()))
        assert found.note.startswith(note)
        assert len(found.note.splitlines()) == len(note.splitlines()) + 3
        assert district.read(found.note).size == found.size
        district.ground.clock.pass_(60)
    assert all(office.state.head(ORIGIN).size == 264 for office in district.offices)


def test_a_published_checkpoint_bears_the_cosignatures_and_publication_goes_on(
    district: District, make_draft: Any
) -> None:
    note = district.append(make_draft, 3)
    found = district.witnesses.round(note)
    assert found is not None
    published = district.publisher.published
    published.write_note(found.note)
    published.write_note(found.note, WITNESSED)
    again = Publisher(published, lambda: connect(district.ground.keeper_url), district.read)
    district.ground.publishers.append(again)
    district.writer.append([make_draft(9)])
    again.publish(district.ground.head.read())
    assert district.read(published.note()).size == 4
    # A client that starts anew still knows when the quorum spoke last, though nobody is there any more.
    for office in district.offices:
        office.close()
    later = district.new_client().round(str(published.note()))
    assert later is not None
    assert (later.size, later.time) == (3, found.time)
    for office in district.offices:
        office.open()


def test_one_witness_away_is_no_matter_two_are(district: District, make_draft: Any) -> None:
    first, second, _ = district.offices
    note = district.append(make_draft, 3)
    first.close()
    found = district.witnesses.round(note)
    assert found is not None
    assert found.size == 3
    second.close()
    district.ground.clock.pass_(600)
    note = district.append(make_draft, 2)
    found = district.witnesses.round(note)
    assert found is not None
    assert found.size == 3, "the newest that a quorum has cosigned, with its old time"
    assert district.ground.clock().timestamp() - found.time > 500
    first.open()
    second.open()
    found = district.witnesses.round(note)
    assert found is not None
    assert found.size == 5


def test_a_log_set_back_is_told_by_any_witness_that_has_seen_more(
    district: District, make_draft: Any
) -> None:
    shorter = district.append(make_draft, 3)
    assert district.witnesses.round(shorter) is not None
    longer = district.append(make_draft, 4)
    assert district.witnesses.round(longer) is not None
    # The whole machine of last week: database, head, published files.
    for client in (district.witnesses, district.new_client()):
        with pytest.raises(TamperedError, match=r"auditlog\.log\.rolled_back"):
            client.round(shorter)


def test_a_tree_rewritten_with_the_stolen_key_is_a_fork_that_anyone_can_verify(
    district: District, make_draft: Any
) -> None:
    note = district.append(make_draft, 300)
    assert district.witnesses.round(note) is not None
    # Whoever holds database, keeper's folder and log key writes another history, longer than the one that was seen.
    published = district.publisher.published
    district.writer.close()
    district.publisher.close()
    ground = district.ground
    ground.tamper("DELETE FROM log.entry", "DELETE FROM log.checkpoint")
    ground.head.write(ground.signer.checkpoint_note(EMPTY))
    shutil.rmtree(published.folder)
    forged = District(ground, district.offices)
    forged.writer.append([make_draft(1000 + n) for n in range(310)])
    other = str(ground.head.read())
    forged.publisher.publish(other)
    with pytest.raises(TamperedError, match=r"auditlog\.log\.forked"):
        forged.witnesses.round(other)
    proof = ForkProof.parse(str(forged.publisher.published.note(FORK)))
    first, second = proof.require(forged.read)
    assert (first.size, second.size) == (300, 310)
    # From then on nothing starts beside it; a proof that proves nothing stops nobody.
    with pytest.raises(TamperedError, match=r"auditlog\.log\.forked"):
        forged.new_client().require_unforked()
    forged.publisher.published.write_note("{}", FORK)
    forged.new_client().require_unforked()
    assert any((office.folder / "conflicts").is_dir() for office in district.offices)


def test_a_fork_of_the_same_size_is_found_too(district: District, make_draft: Any) -> None:
    note = district.append(make_draft, 5)
    assert district.witnesses.round(note) is not None
    district.writer.close()
    district.publisher.close()
    ground = district.ground
    ground.tamper("DELETE FROM log.entry", "DELETE FROM log.checkpoint")
    ground.head.write(ground.signer.checkpoint_note(EMPTY))
    shutil.rmtree(district.publisher.published.folder)
    forged = District(ground, district.offices)
    forged.writer.append([make_draft(77 + n) for n in range(5)])
    other = str(ground.head.read())
    forged.publisher.publish(other)
    with pytest.raises(TamperedError, match=r"auditlog\.log\.forked"):
        forged.witnesses.round(other)


def test_a_lying_witness_stops_nobody(district: District, make_draft: Any, monkeypatch: Any) -> None:
    """Its word alone that it has seen more, or a note that the log never signed, counts for nothing."""
    note = district.append(make_draft, 3)
    liar = district.offices[0].server
    state = district.offices[0].state
    never = cosign(state.name, state.key, note_text(note), 1 << 62)  # in a year that no calendar has
    for answer, shown in (
        (Answer(409, "999\n", SIZE_TYPE), None),
        (Answer(409, "999\n", SIZE_TYPE), note.replace("\n3\n", "\n999\n")),
        (Answer(422), "rubbish"),
        (Answer(200, "rubbish"), None),
        (Answer(200, note.split("\n\n")[1]), None),
        (Answer(200, "— " + "x" * 30_000), None),
        (Answer(409, "0009\n", SIZE_TYPE), None),
        (Answer(200, never), None),
        (Answer(500), None),
    ):
        monkeypatch.setattr(liar, "decide", lambda _, answer=answer: answer)
        monkeypatch.setattr(liar, "note", lambda _, shown=shown: shown)
        found = district.new_client().round(note)
        assert found is not None
        assert "a.example" not in found.note


def test_a_time_that_has_not_come_counts_for_nothing(
    district: District, make_draft: Any, monkeypatch: Any
) -> None:
    """One of three suffices here: the one ahead of us must not decide how old the evidence looks."""
    clock = district.ground.clock
    district.file.write_text(district.file.read_text().replace("two 2", "two 1"))
    note = district.append(make_draft, 3)
    now, (liar, *_) = int(clock().timestamp()), district.offices

    def says(time: int) -> None:
        line = cosign(liar.state.name, liar.state.key, note_text(note), time)
        monkeypatch.setattr(liar.server, "decide", lambda _: Answer(200, line))

    says(now + SKEW)  # clocks differ a little
    found = district.new_client().round(note)
    assert found is not None
    assert (found.time, "a.example" in found.note) == (now + SKEW, True)

    says(now + SKEW + 1)
    client = district.new_client()
    found = client.round(note)
    assert found is not None
    assert (found.time, "a.example" in found.note, client.ahead) == (now, False, {"a": SKEW + 1})
    says(now)
    assert client.round(note) is not None
    assert client.ahead == {}, "right again"

    says(now + 86_400)
    district.file.write_text(district.file.read_text().replace("quorum two", "quorum a"))
    alone = district.new_client()
    assert alone.round(note) is None, "nobody else is asked for"
    clock.at += timedelta(days=1)
    found = alone.round(note)
    assert found is not None
    assert found.time == now + 86_400


def test_a_witness_without_a_line_is_asked_by_files(
    ground: Any, offices: list[Office], make_draft: Any
) -> None:
    district = District(ground, offices)
    a, b, c = offices
    district.file.write_text(
        f"witness a {a.state.vkey}\n{b.line}{c.line.replace(str(c.port), '1')}group two 2 a b c\nquorum two\n"
    )
    note = district.append(make_draft, 3)
    folder = ground.folder / "exchange" / "a"
    assert district.witnesses.round(note) is None
    assert [path.name for path in folder.iterdir()] == ["3.add-checkpoint"]
    later = district.append(make_draft, 2)
    assert district.witnesses.round(later) is None
    assert [path.name for path in folder.iterdir()] == ["3.add-checkpoint"], "left alone until it comes back"
    assert [
        answer.status for _, answer in answer_files(a.state, folder, lambda: ground.clock().timestamp())
    ] == [200]
    found = district.witnesses.round(later)
    assert found is not None
    assert found.size == 3
    # The next request begins where the witness is, also after a start that has forgotten.
    assert district.witnesses.round(later) is not None
    assert (folder / "5.add-checkpoint").read_text().startswith("old 3\n")
    (folder / "5.add-checkpoint").unlink()
    fresh = district.new_client()
    fresh.round(later)
    answer_files(a.state, folder, lambda: ground.clock().timestamp())
    assert (folder / "5.answer").read_text().startswith("409\n3\n\n")
    fresh.round(later)
    fresh.round(later)
    assert (folder / "5.add-checkpoint").read_text().startswith("old 3\n")


@pytest.mark.parametrize("request_", ["", "rubbish", "old 0\n\nrubbish\n\n— x y\n", "old 0\n\na\n1\nx\n"])
def test_whoever_carries_files_cannot_stop_the_keeper(
    ground: Any, offices: list[Office], make_draft: Any, request_: str
) -> None:
    district = District(ground, offices)
    a = offices[0]
    district.file.write_text(f"witness a {a.state.vkey}\nquorum a\n")
    note = district.append(make_draft, 2)
    folder = ground.folder / "exchange" / "a"
    folder.mkdir(parents=True)
    (folder / "9.add-checkpoint").write_text(request_)
    (folder / "9.answer").write_text("200\n— x y\n")
    assert district.witnesses.round(note) is None
    assert not list(folder.iterdir())
    district.witnesses.round(note)
    answer_files(a.state, folder, lambda: ground.clock().timestamp())
    assert district.witnesses.round(note) is not None


def test_a_carried_answer_can_hold_a_rollback_against_us(
    ground: Any, offices: list[Office], make_draft: Any
) -> None:
    district = District(ground, offices)
    a = offices[0]
    district.file.write_text(f"witness a {a.state.vkey}\nquorum a\n")
    shorter = district.append(make_draft, 2)
    longer = district.append(make_draft, 2)
    folder = ground.folder / "exchange" / "a"
    district.witnesses.round(longer)
    answer_files(a.state, folder, lambda: ground.clock().timestamp())
    assert district.witnesses.round(longer) is not None
    shutil.rmtree(folder)
    client = district.new_client()
    client.round(shorter)
    answer_files(a.state, folder, lambda: ground.clock().timestamp())
    with pytest.raises(TamperedError, match=r"auditlog\.log\.rolled_back"):
        client.round(shorter)


def test_who_vouches_is_read_anew_when_the_file_changes(district: District, make_draft: Any) -> None:
    note = district.append(make_draft, 3)
    assert district.witnesses.round(note) is not None
    digest, _ = district.witnesses.policy()
    assert digest == hashlib.sha256(district.file.read_bytes()).hexdigest()
    for office in district.offices[1:]:
        office.close()
    assert district.witnesses.round(note) is not None
    district.file.write_text(district.file.read_text().replace("two 2", "two 3"))
    (district.publisher.published.folder / WITNESSED).unlink(missing_ok=True)
    assert district.witnesses.round(note) is None
    district.file.write_text("witnes a\n")
    with pytest.raises(ContentError, match=r"did you mean witness"):
        district.witnesses.policy()
    district.file.unlink()
    assert district.witnesses.policy()[1] == WitnessPolicy()
    district.file.symlink_to("elsewhere")  # what is there and cannot be read is not nobody
    with pytest.raises(OSError, match=r"."):
        district.witnesses.policy()
    for office in district.offices[1:]:
        office.open()


@pytest.mark.parametrize(
    "url",
    ["http://witness.example", "ftp://x", "https://", "https://u:p@x", "https://x:0", "https://x:99999", "https://x?y",
     "http://127.0.0.1.example", "x", "https://[::1"],
)  # fmt: skip
def test_no_witness_is_asked_in_the_clear(ground: Any, url: str) -> None:
    create(ground.folder / "w", "w.example/w", [])
    with State(ground.folder / "w") as state:
        policy = parse_policy(f"witness w {state.vkey} {url}\nquorum w\n", "audit/witnesses.policy")
    with pytest.raises(ContentError, match=r"tlog\.policy\.url"):
        check_urls(policy)


def test_good_urls_pass(ground: Any) -> None:
    create(ground.folder / "w", "w.example/w", [])
    with State(ground.folder / "w") as state:
        for url in (
            "https://w.example/some/where",
            "http://127.0.0.1:7380",
            "http://localhost",
            "https://[::1]:9",
        ):
            check_urls(parse_policy(f"witness w {state.vkey} {url}\nquorum w\n", "p"))
