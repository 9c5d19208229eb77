"""Sealing, opening, links: beside what a Python programme would otherwise call, value by value, in one run.

    seal.vs_aessiv, open.vs_aessiv   `--values` telephones (12 padded bytes, one key): one AESSIV call a value ÷ ours
    seal.vs_tink                     Tink's deterministic AEAD (AES-256-SIV), same values and the same bound bytes
    seal.vs_aesgcm, fernet, sqlalchemy_utils     reported: AES-GCM with random nonces, Fernet, StringEncryptedType
    seal.district_run_vs_aessiv      a real batch: `--records` records sorted over 146 keys a field, seven fields of a
                                     record at once; the peer is AESSIV, one object a key (~: from some of the keys)
    seal.vs_pure_aes                 reported: ours ÷ the bare AES calls of the same three blocks a value
    seal.sm_vs_sm4gcm                profile sm: the library's SM4-GCM value by value ÷ ours (SM4-CCM by column)
    index.vs_blake2b                 links: hashlib's keyed BLAKE2b value by value ÷ ours, normalisation included in
                                     ours only
    seal.record7_us                  one record of seven fields alone, as the keeper seals it
    mask.ns                          reported: names of a column masked, a value

Peers get values as bytes and their bound bytes made beforehand: what is timed is their call. Times are processor time
of one thread, the best of interleaved rounds; ratios count. Lengths: see WIDTHS.
"""

from __future__ import annotations

import argparse
import gc
import hashlib
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from cryptography.fernet import Fernet
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, AESSIV
from cryptography.hazmat.primitives.ciphers.algorithms import AES, SM4
from cryptography.hazmat.primitives.ciphers.modes import ECB, GCM
from measuring import Result, machine, show, write

from huanshu.sealing import (
    CellContext,
    link_column,
    mask_column,
    open_padded,
    open_values,
    pad_column,
    seal_column,
    seal_padded,
    seal_values,
)
from huanshu.sealing.cells import bound_row
from huanshu.sealing.rows import Sealed, open_fields, seal_fields
from huanshu.sealing.suites import HeldKey, fresh

ROUNDS, KEYS = 5, 146
#: Seven sealed fields of a resident, bytes of a value.
WIDTHS = {
    "name": 60, "citizen_number": 18, "birth_date": 10, "phone": 11, "household_number": 12, "residence_address": 150,
    "disability_grade": 1,
}  # fmt: skip


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--values", type=int, default=200_000)
    options.add_argument("--records", type=int, default=250_000)
    given = options.parse_args()
    print(machine())
    gc.disable()
    results = [
        *one_column(given.values), *profile_sm(), *links(given.values), district_run(given.records),
        one_record(),
    ]  # fmt: skip
    show(results)
    write("sealing", results)


def best(rounds: int, **timed: Callable[[], object]) -> dict[str, float]:
    """Seconds of processor of each, the best of rounds in which all take their turn."""
    found = dict.fromkeys(timed, float("inf"))
    for _ in range(rounds):
        for name, call in timed.items():
            began = time.process_time()
            call()
            found[name] = min(found[name], time.process_time() - began)
    return found


@dataclass
class Column:
    """Telephones of one home, as ours wants them and as a peer does."""

    count: int

    def __post_init__(self) -> None:
        random = np.random.default_rng(1)
        self.context = CellContext("990101001001", "resident", "phone", "reveal", 1)
        self.records = random.integers(1, 2**40, self.count)
        self.versions = np.ones(self.count, np.int32)
        digits = random.integers(0, 10**10, self.count)
        self.texts = pa.array([f"1{digit:010d}" for digit in digits.tolist()])
        self.padded = pad_column(self.texts, WIDTHS["phone"])
        self.values = [row.tobytes() for row in self.padded]
        self.rows = [bound_row(int(r), int(v)) for r, v in zip(self.records, self.versions, strict=True)]


def one_column(count: int) -> list[Result]:
    column, key = Column(count), fresh("aes", "seal")
    context, bound, values, rows = column.context, column.context.bound(), column.values, column.rows
    siv, gcm, fernet = AESSIV(key), AESGCM(key[:32]), Fernet(Fernet.generate_key())
    cells = seal_padded(key, context, column.records, column.versions, column.padded)
    theirs = [siv.encrypt(value, [bound, row]) for value, row in zip(values, rows, strict=True)]
    assert [cell.tobytes() for cell in cells] == theirs
    arrow = seal_values(key, context, column.records, column.versions, column.texts, WIDTHS["phone"])
    blocks = np.random.default_rng(2).bytes(16 * count)
    room, ecb = bytearray(16 * count + 15), Cipher(AES(key[:32]), ECB()).encryptor()
    few = count // 10
    timed: dict[str, Callable[[], object]] = {
        "ours": lambda: seal_padded(key, context, column.records, column.versions, column.padded),
        "arrow": lambda: seal_values(
            key, context, column.records, column.versions, column.texts, WIDTHS["phone"]
        ),
        "open": lambda: open_padded(key, context, column.records, column.versions, cells),
        "open_arrow": lambda: open_values(key, context, column.records, column.versions, arrow),
        "siv": lambda: [siv.encrypt(v, [bound, r]) for v, r in zip(values, rows, strict=True)],
        "siv_open": lambda: [siv.decrypt(c, [bound, r]) for c, r in zip(theirs, rows, strict=True)],
        "gcm": lambda: [gcm.encrypt(os.urandom(12), v, bound + r) for v, r in zip(values, rows, strict=True)],
        "aes": lambda: [ecb.update_into(blocks, room) for _ in range(3)],
        "fernet": lambda: [fernet.encrypt(v) for v in values[:few]],
        "mask": lambda: mask_column("phone", column.texts),
    }
    tink, bound_to = _tink(), [bound + row for row in rows]
    if tink is not None:
        timed["tink"] = lambda: [
            tink.encrypt_deterministically(v, b) for v, b in zip(values, bound_to, strict=True)
        ]
    utils, texts = _sqlalchemy_utils(), column.texts[:few].to_pylist()
    if utils is not None:
        timed["utils"] = lambda: [utils.process_bind_param(text, None) for text in texts]
    seconds = best(ROUNDS, **timed)
    ns = {
        name: value / (few if name in {"fernet", "utils"} else count) * 1e9 for name, value in seconds.items()
    }

    def over(identity: str, peer: str, goal: str, name: str, by: str = "ours") -> Result:
        return Result(identity, ns[peer] / ns[by] if peer in ns else None, "×", goal, name, ns.get(peer))

    return [
        over("seal.vs_aessiv", "siv", "≥ 10", "cryptography AESSIV, ns"),
        over("open.vs_aessiv", "siv_open", "≥ 10", "cryptography AESSIV, ns", "open"),
        over("seal.vs_tink", "tink", "≥ 5", "Tink AES-256-SIV, ns"),
        over("seal.vs_aesgcm", "gcm", "", "cryptography AESGCM, ns"),
        over("seal.vs_fernet", "fernet", "", "Fernet, ns"),
        over("seal.vs_sqlalchemy_utils", "utils", "", "StringEncryptedType, ns"),
        Result("seal.vs_pure_aes", ns["ours"] / ns["aes"], "×", "", "three blocks of AES-ECB, ns", ns["aes"]),
        Result("seal.ns", ns["ours"], "ns"),
        Result("open.ns", ns["open"], "ns"),
        Result("seal.arrow_ns", ns["arrow"], "ns", "", "text in, cells out"),
        Result("open.arrow_ns", ns["open_arrow"], "ns", "", "cells in, text out"),
        Result("mask.ns", ns["mask"], "ns", "", "telephones of a column"),
    ]


def profile_sm() -> list[Result]:
    column, key = Column(4096), fresh("sm", "seal")
    context, bound = column.context, column.context.bound()
    cells = seal_padded(key, context, column.records, column.versions, column.padded)
    bound_to = [bound + row for row in column.rows]

    def gcm() -> None:
        for value, told in zip(column.values, bound_to, strict=True):
            cipher = Cipher(SM4(key[-16:]), GCM(os.urandom(12))).encryptor()
            cipher.authenticate_additional_data(told)
            cipher.update(value)
            cipher.finalize()
            _ = cipher.tag

    seconds = best(
        8 * ROUNDS,
        ours=lambda: seal_padded(key, context, column.records, column.versions, column.padded),
        open=lambda: open_padded(key, context, column.records, column.versions, cells),
        gcm=gcm,
    )
    ns = {name: value / column.count * 1e9 for name, value in seconds.items()}
    return [
        Result(
            "seal.sm_vs_sm4gcm", ns["gcm"] / ns["ours"], "×", "≥ 5", "cryptography SM4-GCM, ns", ns["gcm"]
        ),
        Result("seal.sm_ns", ns["ours"], "ns"),
        Result("open.sm_ns", ns["open"], "ns"),
    ]


def links(count: int) -> list[Result]:
    random, key = np.random.default_rng(3), fresh("aes", "mac")
    numbers = [f"99010119{n:010d}" for n in random.integers(0, 10**10, count).tolist()]
    texts, raw = pa.array(numbers), [number.encode() for number in numbers]
    sm_key = fresh("sm", "mac")
    seconds = best(
        ROUNDS,
        ours=lambda: link_column(key, "citizen_number", texts),
        sm=lambda: link_column(sm_key, "citizen_number", texts),
        blake=lambda: [hashlib.blake2b(number, key=key, digest_size=16).digest() for number in raw],
    )
    ns = {name: value / count * 1e9 for name, value in seconds.items()}
    return [
        Result("index.vs_blake2b", ns["blake"] / ns["ours"], "×", "≥ 6", "hashlib.blake2b, ns", ns["blake"]),
        Result("index.ns", ns["ours"], "ns"),
        Result("index.sm_ns", ns["sm"], "ns"),
    ]


def district_run(count: int) -> Result:
    """Home communities of uneven size, as a district has them: the smallest a tenth of the largest."""
    random = np.random.default_rng(4)
    shares = random.uniform(0.1, 1.0, KEYS)
    ends = np.round(np.cumsum(shares) / shares.sum() * count).astype(int)
    homes = list(zip([0, *ends[:-1].tolist()], ends.tolist(), strict=True))
    records, versions = random.integers(1, 2**40, count), np.ones(count, np.int32)
    keys = [[fresh("aes", "seal") for _ in WIDTHS] for _ in homes]
    sizes = [width + 1 for width in WIDTHS.values()]
    texts = [np.zeros((count, -(-size // 16) * 16), np.uint8) for size in sizes]
    for size, text in zip(sizes, texts, strict=True):
        text[:, :size] = random.integers(0, 256, (count, size), np.uint8)
    cells = [np.empty((count, size + 16), np.uint8) for size in sizes]
    contexts = [
        [CellContext(f"9901010{n:05d}", "resident", field, "reveal", 1) for field in WIDTHS]
        for n in range(KEYS)
    ]

    def fields(n: int, start: int, end: int) -> list[Sealed]:
        return [
            Sealed(keys[n][f], contexts[n][f], sizes[f], texts[f][start:end], cells[f][start:end])
            for f in range(len(sizes))
        ]

    def ours() -> None:
        for n, (start, end) in enumerate(homes):
            seal_fields(fields(n, start, end), records[start:end], versions[start:end])

    some = [_rows(n, sizes, texts, slice(*homes[n]), records) for n in range(0, KEYS, KEYS // 8)]
    sealed = sum(len(rows) for _, _, rows in some)

    def theirs() -> None:
        for n, columns, rows in some:
            for f, values in enumerate(columns):
                siv, bound = AESSIV(keys[n][f]), contexts[n][f].bound()
                [siv.encrypt(value, [bound, row]) for value, row in zip(values, rows, strict=True)]

    seconds = best(3, ours=ours, theirs=theirs)
    n, columns, rows = some[0]
    assert cells[0][homes[n][0]].tobytes() == AESSIV(keys[n][0]).encrypt(
        columns[0][0], [contexts[n][0].bound(), rows[0]]
    )
    assert open_fields(fields(n, *homes[n]), records[slice(*homes[n])], versions[slice(*homes[n])])
    mine, peer = seconds["ours"] / count / len(sizes) * 1e9, seconds["theirs"] / sealed / len(sizes) * 1e9
    print(f"\na batch of {count} records, {len(sizes)} fields, {KEYS} keys a field: {mine:.0f} ns a value")
    return Result("seal.district_run_vs_aessiv", peer / mine, "×", "≥ 8", "~ cryptography AESSIV, ns", peer)


def _rows(
    home: int, sizes: list[int], texts: list[np.ndarray], here: slice, records: np.ndarray
) -> tuple[int, list[list[bytes]], list[bytes]]:
    """A home's number, the values of each of its fields, and what binds its rows: as the peer wants them."""
    columns = [[row[:size].tobytes() for row in text[here]] for size, text in zip(sizes, texts, strict=True)]
    return home, columns, [bound_row(int(record), 1) for record in records[here]]


def one_record() -> Result:
    keys = {field: HeldKey(fresh("aes", "seal")) for field in WIDTHS}
    values = {field: "8" * min(width, 12) for field, width in WIDTHS.items()}

    def seal(record: int) -> Sequence[bytes]:
        return [
            seal_column(
                keys[field],
                CellContext("990101001001", "resident", field, "reveal", 1),
                width,
                [record],
                [1],
                [values[field]],
            )[0]
            for field, width in WIDTHS.items()
        ]

    times = best(20 * ROUNDS, ours=lambda: [seal(record) for record in range(100)])
    return Result("seal.record7_us", times["ours"] / 100 * 1e6, "µs", "≤ 30")


def _tink() -> Any:
    try:
        import tink
        from tink import daead
    except ImportError:
        return None
    daead.register()
    handle = tink.new_keyset_handle(daead.deterministic_aead_key_templates.AES256_SIV)
    return handle.primitive(daead.DeterministicAead)


def _sqlalchemy_utils() -> Any:
    try:
        from sqlalchemy import String
        from sqlalchemy_utils.types.encrypted.encrypted_type import AesEngine, StringEncryptedType
    except ImportError:
        return None
    return StringEncryptedType(String, "k" * 32, AesEngine, "pkcs5")


if __name__ == "__main__":
    main()
