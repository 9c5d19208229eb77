# ruff: noqa: INP001 - a folder of scripts, no package
"""What the register office does before it sends: one column more, and not one byte else changed.

The FEBRL file knows no communities of this district, but a record must say where it is at home. The office
derives that from the postcode: SHA-256 of the postcode, modulo the number of communities of the published
division table, in the order of their codes. So one postcode is one community, on every machine. Nothing is
cleaned: typing errors, blanks after commas and absent values go out as they are.
"""

from __future__ import annotations

import csv
import hashlib
from pathlib import Path

#: Header of the appended column; the manifest maps it to the contract's field ``community``.
ASSIGNED = "assigned_community"


def communities(divisions: Path) -> list[str]:
    """Codes of the table's communities, ascending: twelve digits of which the last three are not zero."""
    with divisions.open(encoding="utf-8-sig", newline="") as file:
        codes = {row["code"] for row in csv.DictReader(file)}
    return sorted(code for code in codes if not code.endswith("000"))


def community_of(postcode: str, codes: list[str]) -> str:
    """The community that a postcode belongs to."""
    return codes[int.from_bytes(hashlib.sha256(postcode.encode()).digest()) % len(codes)]


def prepared(persons: Path, codes: list[str]) -> bytes:
    """The office's file with the column appended to every line."""
    lines = persons.read_bytes().decode().splitlines()
    place = next(csv.reader([lines[0]], skipinitialspace=True)).index("postcode")
    sent = [f"{lines[0]}, {ASSIGNED}"]
    for line in lines[1:]:
        postcode = next(csv.reader([line], skipinitialspace=True))[place]
        sent.append(f"{line}, {community_of(postcode, codes)}")
    return ("\n".join(sent) + "\n").encode()
