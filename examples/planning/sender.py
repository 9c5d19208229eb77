# ruff: noqa: INP001 - a folder of scripts, no package
"""What the planning office does before it sends: one column more, and not one byte else changed.

Its file names local authorities; a record needs its community's code. The office numbers the names it uses in
alphabetical order, and the same table, as the district's list of divisions, becomes ``domains.csv``.
"""

from __future__ import annotations

import csv
import io
from pathlib import Path

DISTRICT, AUTHORITIES = "990833000000", "990833001000"
#: Header of the appended column; the manifest maps it to the contract's field ``community``.
ASSIGNED = "Authority Code"
#: Header in the file → field of the contract.
COLUMNS = {
    "PA Ref": "reference",
    "Details": "details",
    "Local Authority": "authority",
    "Date": "registered",
    "Pub Date": "published_on",
    "URL": "url",
    ASSIGNED: "community",
}


def codes(events: Path) -> dict[str, str]:
    """Local authority → its code: the first is …001."""
    with events.open(encoding="utf-8", newline="") as file:
        names = sorted({row["Local Authority"] for row in csv.DictReader(file)})
    return {name: f"{AUTHORITIES[:9]}{number:03d}" for number, name in enumerate(names, 1)}


def divisions(events: Path) -> str:
    """The table that ``huanshu domains import`` takes."""
    rows = [("code", "name"), (DISTRICT, "Planning district"), (AUTHORITIES, "Local authorities")]
    rows += [(code, name) for name, code in codes(events).items()]
    return "".join(f"{code},{name}\n" for code, name in rows)


def prepared(events: Path) -> bytes:
    """The office's file with the code appended to every line."""
    known = codes(events)
    lines = events.read_bytes().decode().splitlines()
    place = next(csv.reader([lines[0]])).index("Local Authority")
    sent = io.StringIO()
    sent.write(f'{lines[0]},"{ASSIGNED}"\n')
    for line in lines[1:]:
        sent.write(f'{line},"{known[next(csv.reader([line]))[place]]}"\n')
    return sent.getvalue().encode()
