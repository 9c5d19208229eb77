"""Attacks on sealed values by whoever can write to a store and holds no key: moved, put back, changed, switched off.

The administrator writes straight into the district's tables; the clerk then reads as on any day. A value that is not in
its place opens for nobody, and every refusal is the same; which cell it was stands in the log alone.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

from huanshu.drill import careless
from huanshu.drill.definition import Drill
from huanshu.drill.range import Range
from huanshu.drill.verbs import ATTACK, CONTROL, TWIN, Arm, attempt
from huanshu.errors import ContentError, HuanshuError, TamperedError, Text
from huanshu.keeper.vault import Vault, load_root
from huanshu.sealing import CellContext, KeyName, open_column, seal_padded
from huanshu.sealing.keys import data_key, new_key
from huanshu.sealing.suites import Profile
from huanshu.settings import read_settings
from huanshu.store import connect

_REFUSED: Final = "sealing.cell.refused"
#: What one attempt writes: SQL and its parameters, and what puts it back.
Change = tuple[str, tuple[object, ...]]


def swapped_cells(home: Path, drill: Drill) -> list[Arm]:
    """Sealed values put into another row, another column, another community's row, an older version's place."""
    actors = drill.actors
    with Range(home) as range_:
        range_.take_in(actors["intake"])
        record, other = (record for record, _ in range_.due_records(actors["dataset"], actors["domain"])[:2])
        foreign = range_.due_records(actors["dataset"], actors["victim"])[0][0]
        twin = Arm(
            TWIN,
            attempt(range_, actors, actors["domain"], record) is None,
            Text("what lies in its place is read", "未移动的值可正常查看"),
        )
        table, field = f"district.{actors['dataset']}", actors["field"]
        copied = f"UPDATE {table} SET {field} = (SELECT {{}} FROM {table} WHERE record = %s LIMIT 1) WHERE record = %s"
        changes: dict[str, Change] = {
            "another row's": (copied.format(field), (other, record)),
            "another community's": (copied.format(field), (foreign, record)),
            "another column's": (copied.format(actors["other_field"]), (record, record)),
            "another version's": (f"UPDATE {table} SET version = version + 1 WHERE record = %s", (record,)),
            "another epoch's": (f"UPDATE {table} SET epoch = epoch + 1 WHERE record = %s", (record,)),
            "of random bytes": (
                f"UPDATE {table} SET {field} = %s WHERE record = %s",
                (os.urandom(77), record),
            ),
        }
        told = {name: _told(range_, actors, record, change) for name, change in changes.items()}
        opened = [name for name, error in told.items() if not isinstance(error, HuanshuError)]
        alike = {
            error.explain("en") for name, error in told.items() if error is not None and "epoch" not in name
        }
        stopped = not opened and len(alike) == 1 and _REFUSED in next(iter(alike))
        attack = Arm(
            ATTACK,
            stopped,
            Text(
                f"refused in all {len(told)} places, in the same words; nothing was shown",
                f"{len(told)} 种移动均被拒，答复一致，未显示任何值",
            )
            if stopped
            else Text(f"opened {opened}, said {sorted(alike)}", f"被打开 {opened}，答复 {sorted(alike)}"),
        )
        control = Arm(
            CONTROL,
            _moves_unbound(range_, actors, record, other),
            Text(
                "sealed without its place, another resident's value opens as this one's",
                "不绑定位置的密文移动后仍可打开",
            ),
        )
    return [attack, control, twin]


def malformed_cells(home: Path, drill: Drill) -> list[Arm]:
    """Bits flipped, cells cut and lengthened, a header in front, a wrapped key under another's name."""
    actors = drill.actors
    with Range(home) as range_:
        range_.take_in(actors["intake"])
        record = range_.due_records(actors["dataset"], actors["domain"])[0][0]
        fine = attempt(range_, actors, actors["domain"], record) is None
        twin = Arm(TWIN, fine, Text("the untouched value is read", "未改动的值可正常查看"))
        table, field = f"district.{actors['dataset']}", actors["field"]
        with range_.administrator() as administrator:
            row = administrator.execute(
                f"SELECT {field} FROM {table} WHERE record = %s".encode(), (record,)
            ).fetchone()
        assert row is not None
        said = set()
        cells = list(_malformed(bytes(row[0])))
        for cell in cells:
            error = _told(
                range_, actors, record, (f"UPDATE {table} SET {field} = %s WHERE record = %s", (cell, record))
            )
            said.add(error.explain("en") if isinstance(error, TamperedError) else "opened")
        key_refused = _exchanged_keys(range_, actors, record)
        stopped = len(said) == 1 and _REFUSED in next(iter(said)) and key_refused
        attack = Arm(
            ATTACK,
            stopped,
            Text(
                f"{len(cells)} changed cells refused in the same words; a key under another name does not unwrap",
                f"{len(cells)} 种改动均被拒且答复一致；换名的密钥无法解封",
            )
            if stopped
            else Text(
                f"said {sorted(said)}; key refused: {key_refused}", f"答复 {sorted(said)}；密钥 {key_refused}"
            ),
        )
    value = os.urandom(12)
    believed = careless.open_as_it_says(bytes(64), b"\0" + value) == value
    control = Arm(
        CONTROL,
        believed,
        Text(
            "a reader that lets the cell say its algorithm takes any bytes for a value",
            "由密文自报算法时可被降级为明文",
        ),
    )
    return [attack, control, twin]


def repeated_nonce(home: Path, drill: Drill) -> list[Arm]:  # noqa: ARG001 - no range: sealing alone is attacked
    """Workers forked with one state, a snapshot put back, a million cells: whether what must not repeat does."""
    count = int(drill.actors["cells"])
    attacks = {profile: _repeats(profile, count) for profile in ("aes", "sm")}
    found = sum(repeats for repeats, _ in attacks.values())
    stopped = found == 0 and all(alike for _, alike in attacks.values())
    attack = Arm(
        ATTACK,
        stopped,
        Text(
            f"{count} cells a profile, over forks and a restored snapshot: nothing repeats under another value",
            f"每套算法 {count} 个密文，历经进程分叉与快照恢复：无任何重复",
        )
        if stopped
        else Text(f"{found} repeats", f"重复 {found} 次"),
    )
    key = new_key(KeyName("data/d/s/f/1"), "sm")
    before, after = (
        careless.seal_with_counted_nonce(key, 7, 2, value) for value in (b"the old value", b"a newer value")
    )
    control = Arm(
        CONTROL,
        before[:12] == after[:12],
        Text(
            "a nonce made of record and version repeats after a restore",
            "以记录号与版本号作一次性数，恢复后即重复",
        ),
    )
    same = _cells(key, np.array([[1] * 4]), 1)
    twin = Arm(
        TWIN,
        bool((same == _cells(key, np.array([[1] * 4]), 1)).all()),
        Text(
            "the same value sealed again for the same place is the same cell", "同一位置同一值重做，密文不变"
        ),
    )
    return [attack, control, twin]


def encryption_switched_off(home: Path, drill: Drill) -> list[Arm]:
    """A flag, a profile that is none, a column without a class, a variable of the environment, a class taken down."""
    actors = drill.actors
    contract, keys, field = (
        f"expectations/{actors['dataset']}/contract.yaml",
        "policies/keys.yaml",
        actors["classed"],
    )
    edits: dict[str, tuple[str, Callable[[str], str]]] = {
        "a flag": (keys, lambda text: text + "encryption: off\n"),
        "no profile": (keys, lambda text: text.replace("profile: aes", "profile: none")),
        "another profile": (keys, lambda text: text.replace("profile: aes", "profile: sm")),
        "no class": (contract, lambda text: _without(text, field, ("huanshu.level",))),
        "a lower class": (contract, lambda text: _open_data(text, field, ())),
    }
    with Range(home) as range_:
        range_.take_in(actors["intake"])
        fine = attempt(
            range_, actors, actors["domain"], range_.due_records(actors["dataset"], actors["domain"])[0][0]
        )
        twin = Arm(TWIN, fine is None, Text("as it was, it starts and opens", "未改动时正常启动和开启"))
        started = [name for name, edit in edits.items() if _starts(range_, *edit)]
    try:
        read_settings({**os.environ, "HUANSHU_ENCRYPTION": "off"})
        started.append("a variable")
    except ContentError:
        pass
    attack = Arm(
        ATTACK,
        not started,
        Text(
            f"refused at start, each of {len(edits) + 1}: file and line are named",
            f"{len(edits) + 1} 种做法均在启动时被拒，并指出文件与行",
        )
        if not started
        else Text(f"started with {started}", f"仍可启动：{started}"),
    )
    with Range(home, edit=lambda folder: _declassified(folder / contract, field)) as plain:
        plain.take_in(actors["intake"])
        with plain.administrator() as administrator:
            row = administrator.execute(
                f"SELECT {field}::text FROM district.{actors['dataset']} LIMIT 1".encode()
            ).fetchone()
        control = Arm(
            CONTROL,
            row is not None and not str(row[0]).startswith("\\x"),
            Text(
                "where a field counts as open data, its values lie readable in the store",
                "字段若被视为公开数据，则以明文存放",
            ),
        )
    return [attack, control, twin]


# -- what the administrator does, and what comes of it ---------------------------------------------------


def _told(range_: Range, actors: Mapping[str, Any], record: int, change: Change) -> HuanshuError | None:
    """The clerk's answer after a change that is then taken back: every attempt begins with the honest store."""
    table, kept = f"district.{actors['dataset']}", f"drill_{os.urandom(4).hex()}"
    with range_.administrator() as administrator:
        administrator.execute(
            f"CREATE TABLE {kept} AS SELECT * FROM {table} WHERE record = %s".encode(), (record,)
        )
        try:
            administrator.execute(change[0].encode(), change[1])
            return attempt(range_, actors, actors["domain"], record)
        finally:
            administrator.execute(f"DELETE FROM {table} WHERE record = %s".encode(), (record,))
            administrator.execute(f"INSERT INTO {table} SELECT * FROM {kept}".encode())
            administrator.execute(f"DROP TABLE {kept}".encode())


def _moves_unbound(range_: Range, actors: Mapping[str, Any], record: int, other: int) -> bool:
    """The same two values, sealed under the same key without their place: whether the other one opens here."""
    dataset, domain, field = actors["dataset"], actors["domain"], actors["field"]
    with range_.administrator() as administrator:
        rows = administrator.execute(
            f"SELECT record, version, epoch, {field} FROM district.{dataset} WHERE record = ANY(%s)".encode(),
            ([record, other],),
        ).fetchall()
    with connect(range_.deployment.roles["huanshu_keeper"]) as connection:
        vault = Vault(load_root(range_.settings.keeper_folder / "root.key"), connection)
        key = vault.key(data_key(domain, dataset, field, 1), born=False)
    values = {}
    for number, version, epoch, cell in rows:
        context = CellContext(domain, dataset, field, "reveal", epoch)
        (values[number],) = open_column(key, context, [number], [version], [bytes(cell)])
    moved = careless.seal_without_place(key, str(values[other]))
    return careless.open_without_place(key, moved) == values[other] != values[record]


def _malformed(cell: bytes) -> Iterator[bytes]:
    for at in range(0, len(cell), 5):
        yield cell[:at] + bytes([cell[at] ^ 1 << at % 8]) + cell[at + 1 :]
    for size in (0, 1, 15, 16, 28, len(cell) - 1):
        yield cell[:size]
    yield cell + b"\0"
    yield b"\0" + cell  # a header that would say: not encrypted
    yield b"\1" + cell[1:]
    yield bytes(len(cell))


def _exchanged_keys(range_: Range, actors: Mapping[str, Any], record: int) -> bool:
    """Another field's wrapped key under this field's name: whether a keeper that starts anew refuses to use it."""
    names = [data_key(actors["domain"], actors["dataset"], actors[f], 1) for f in ("field", "other_field")]
    with range_.administrator() as administrator:
        kept: dict[str, bytes] = dict(
            administrator.execute(
                "SELECT name, wrapped FROM keys.wrapped WHERE name = ANY(%s)", (names,)
            ).fetchall()
        )
        change = "UPDATE keys.wrapped SET wrapped = %s WHERE name = %s"
        try:
            administrator.execute(change, (kept[names[1]], names[0]))
            range_.stop_keeper()
            range_.start_keeper()
            error = attempt(range_, actors, actors["domain"], record)
        finally:
            administrator.execute(change, (kept[names[0]], names[0]))
            range_.stop_keeper()
            range_.start_keeper()
    return isinstance(error, TamperedError) and "sealing.key.refused" in error.explain("en")


def _starts(range_: Range, file: str, edit: Callable[[str], str]) -> bool:
    """Whether a keeper starts over a home that was edited so."""
    path = range_.settings.home / file
    text = path.read_text("utf-8")
    assert edit(text) != text
    range_.stop_keeper()
    path.write_text(edit(text), "utf-8")
    try:
        range_.start_keeper()
    except HuanshuError:
        return False
    else:
        return True
    finally:
        range_.stop_keeper()
        path.write_text(text, "utf-8")


def _declassified(contract: Path, field: str) -> None:
    text = _open_data(contract.read_text("utf-8"), field, ("huanshu.width", "huanshu.mask"))
    contract.write_text(text, "utf-8")


def _open_data(text: str, field: str, without: tuple[str, ...]) -> str:
    """The contract with a field as open data, and these properties of it taken away: what a default would mean."""
    lines = _without(text, field, without).splitlines(keepends=True)
    begins = lines.index(f"      - name: {field}\n")
    at = next(n for n in range(begins, len(lines)) if "huanshu.level" in lines[n])
    lines[at] = lines[at].replace("value: 3", "value: 1")
    return "".join(lines)


def _without(text: str, field: str, properties: tuple[str, ...]) -> str:
    """The contract without these properties of a field."""
    kept, inside = [], False
    for line in text.splitlines(keepends=True):
        if line.lstrip().startswith("- name: "):
            inside = line.strip() == f"- name: {field}"
        if not (inside and any(word in line for word in properties)):
            kept.append(line)
    return "".join(kept)


# -- repeats ---------------------------------------------------------------------------------------------


def _repeats(profile: Profile, count: int) -> tuple[int, bool]:
    """How many SIVs or nonces two different inputs share, and whether a forked worker makes the same cells of the same
    values: half are sealed here, half by a fork that knows all that we know; then some again, as after a restore, with
    other values under the same numbers."""
    key = new_key(KeyName("data/d/s/f/1"), profile)
    random = np.random.default_rng(1)
    values = random.integers(0, 10, (count, 4))
    here = _cells(key, values[: count // 2], 0)
    there = _forked(lambda: _cells(key, values[count // 2 :], count // 2).tobytes())
    again = _forked(lambda: here[:1000].tobytes() and _cells(key, values[:1000], 0).tobytes())
    restored = _cells(key, (values[:1000] + 1) % 10, 0)
    every = np.concatenate([here, np.frombuffer(there, np.uint8).reshape(-1, here.shape[1]), restored])
    heads = np.ascontiguousarray(every[:, :12]).view("V12").reshape(-1)
    return len(heads) - len(np.unique(heads)), again == here[:1000].tobytes()


def _cells(key: bytes, values: np.ndarray[Any, Any], first: int) -> np.ndarray[Any, Any]:
    context = CellContext("d", "s", "f", "reveal", 1)
    records = np.arange(first, first + len(values), dtype=np.int64)
    return seal_padded(
        key, context, records, np.ones(len(values), np.int32), np.ascontiguousarray(values.astype(np.uint8))
    )


def _forked(work: Callable[[], bytes]) -> bytes:
    """What a child, a copy of this process, makes."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            with os.fdopen(writing, "wb") as out:
                out.write(work())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as made:
        told = made.read()
    os.waitpid(child, 0)
    return told


VERBS: Final[Mapping[str, Callable[[Path, Drill], list[Arm]]]] = {
    "swapped_cells": swapped_cells,
    "malformed_cells": malformed_cells,
    "repeated_nonce": repeated_nonce,
    "encryption_switched_off": encryption_switched_off,
}
