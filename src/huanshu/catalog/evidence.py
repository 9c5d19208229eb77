"""The plain files of ``audit/``: log.yaml, obligations.yaml, calendar.csv, retention.yaml.

Every deadline and retention period of the platform is a line here, with its citation and whether somebody has
read it in the text. Reports, drills and alerts of that folder are read by their own packages.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Final, Literal, cast
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from huanshu.catalog import words
from huanshu.catalog.documents import Node, document
from huanshu.catalog.faults import Faults
from huanshu.catalog.folder import Folder
from huanshu.catalog.nouns import Obligation
from huanshu.catalog.sheets import rows
from huanshu.catalog.working_days import due
from huanshu.errors import ContentError, Text

LOG: Final = "audit/log.yaml"
OBLIGATIONS: Final = "audit/obligations.yaml"
CALENDAR: Final = "audit/calendar.csv"
RETENTION: Final = "audit/retention.yaml"

CALENDAR_COLUMNS: Final = ("date", "kind", "name_zh", "name_en", "source", "verified")
#: What the platform keeps and for how long; each names an obligation.
KEPT: Final = ("log_entries", "delivery_records", "processing_records", "quarantine")

#: Obligations that a part of the platform asks for by name; a home without one could not date a finding.
REQUIRED: Final = ("receipt_due", "quarantine_due", "finding_due", "correction_reply")

#: Units, and the most of each: a century, or what a calendar of working days can hold. Beyond it no date is reckoned.
_UNITS: Final = {"working_days": 2_500, "days": 36_500, "hours": 87_600, "months": 1_200, "years": 100}
#: A C2SP origin is a schema-less URL; it is the key name in signed notes, so no blank and no plus.
_ORIGIN: Final = re.compile(r"[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?(?:/[A-Za-z0-9._-]+)+")


@dataclass(frozen=True, slots=True)
class LogSettings:
    """audit/log.yaml."""

    origin: str
    timezone: str
    #: Minutes after which the last published checkpoint, or the witnesses' last word, is too old to open anything.
    checkpoint_minutes: int = 15
    witness_minutes: int = 15


def read_log(folder: Folder) -> LogSettings:
    """``origin`` of the checkpoints, ``timezone`` of the district, and how old the log's own evidence may become.

    The bounds are no way to switch a defence off: an hour for our own checkpoint, a day for witnesses who are asked by
    carried files."""
    members = document(folder, LOG).mapping(
        ("origin", "timezone"), ("checkpoint_max_age_minutes", "witness_max_age_minutes")
    )
    origin = members["origin"].text()
    if _ORIGIN.fullmatch(origin) is None or len(origin) > 128:
        raise ContentError(
            "log.origin.malformed",
            Text("the origin is no schema-less URL", "origin 不是无协议前缀的 URL"),
            remedy=Text("for example district.huanshu.example/log", "例如 district.huanshu.example/log"),
            where=members["origin"].where,
        )
    ages = [
        members[key].integer(1, most) if key in members else 15
        for key, most in (("checkpoint_max_age_minutes", 60), ("witness_max_age_minutes", 1_440))
    ]
    return LogSettings(origin, _timezone(members["timezone"]), *ages)


def _timezone(node: Node) -> str:
    name = node.text()
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ContentError(
            "log.timezone.unknown",
            Text(f"“{name[:64]}” is no IANA time zone", f"“{name[:64]}”不是 IANA 时区"),
            remedy=Text("for example Asia/Shanghai", "例如 Asia/Shanghai"),
            where=node.where,
        ) from None
    return name


def read_obligations(folder: Folder, faults: Faults) -> dict[str, Obligation]:
    """``obligations: {<key>: {title, citation, value, unit, verified[, floor_of]}}``; ``floor_of``: what the law
    wants kept at least so long."""
    root = document(folder, OBLIGATIONS).mapping(("obligations",))["obligations"]
    found: dict[str, Obligation] = {}
    for key, node in root.any_mapping().items():
        with faults.caught():
            words.identifier(key, node.where)
            members = node.mapping(("title", "citation", "value", "unit", "verified"), ("floor_of",))
            unit = members["unit"].word(_UNITS)
            found[key] = Obligation(
                key=key,
                title=members["title"].title(),
                citation=members["citation"].text(),
                value=members["value"].integer(1, _UNITS[unit]),
                unit=cast("Literal['working_days', 'days', 'hours', 'months', 'years']", unit),
                verified=members["verified"].boolean(),
                floor_of=members["floor_of"].word(KEPT) if "floor_of" in members else "",
                where=node.where,
            )
    for key in REQUIRED:
        if key not in root.any_mapping():
            faults.note(
                ContentError(
                    "obligation.key.missing",
                    Text(f"obligation {key} is missing", f"缺少义务 {key}"),
                    remedy=Text("add it, or rename the line that means it", "请补上，或改正同义的一行"),
                    where=root.where,
                )
            )
    return found


def read_calendar(folder: Folder, obligations: Mapping[str, Obligation], faults: Faults) -> dict[date, bool]:
    """Date → True for a working day that falls on a weekend, False for a day off.

    The file may be left out where nothing is counted in working days. ``verified`` is for people: false means the
    year's notice of the State Council was not read."""
    found: dict[date, bool] = {}
    if not folder.holds(CALENDAR) and all(o.unit != "working_days" for o in obligations.values()):
        return found
    for row in rows(folder, CALENDAR, CALENDAR_COLUMNS, ("date",), faults):
        with faults.caught():
            day = row.day("date")
            working = row.word("kind", ("holiday", "working_day")) == "working_day"
            for column in ("name_zh", "name_en", "source"):
                row.text(column)
            row.word("verified", ("true", "false"))
            if working and day.weekday() < 5:
                raise ContentError(
                    "calendar.day.idle",
                    Text(f"{day} is a working day anyway", f"{day} 本来就是工作日"),
                    remedy=Text("only make-up days on a weekend are listed", "只列出周末调休上班的日子"),
                    where=row.where("date"),
                )
            found[day] = working
    return found


def read_retention(folder: Folder, obligations: Mapping[str, Obligation]) -> dict[str, str]:
    """What is kept → key of the obligation that says how long; nothing when the file is left out.
    ``obligations`` empty: references not judged."""
    if not folder.holds(RETENTION):
        return {}
    members = document(folder, RETENTION).mapping(("retention",))["retention"].mapping(KEPT)
    found = {kept: retention(node, "retention.obligation", obligations) for kept, node in members.items()}
    for kept, key in found.items():
        for floor in obligations.values():
            if floor.floor_of == kept and key in obligations and _shorter(obligations[key], floor):
                raise ContentError(
                    "retention.period.below_floor",
                    Text(
                        f"{kept} must be kept at least as long as {floor.key} says ({floor.citation})",
                        f"{kept} 的保存期限不得短于 {floor.key}（{floor.citation}）",
                    ),
                    remedy=Text(f"name {floor.key}, or a longer one", f"请写 {floor.key} 或更长的期限"),
                    where=members[kept].where,
                )
    return found


def _shorter(kept: Obligation, floor: Obligation) -> bool:
    """Whether the one may end before the other, whatever the day it begins on."""
    starts = [datetime(year, month, 1, tzinfo=UTC) for year in range(2024, 2028) for month in range(1, 13)]
    return any(due(start, kept, {}) < due(start, floor, {}) for start in starts)


def retention(node: Node, code: str, obligations: Mapping[str, Obligation]) -> str:
    """Key of an obligation that is a retention period. Raises ``<code>.unknown``, ``<code>.unfit``."""
    key = node.identifier()
    if not obligations:
        return key
    if key not in obligations:
        raise words.unknown(f"{code}.unknown", Text("obligation", "义务"), key, obligations, node.where)
    if (unit := obligations[key].unit) in {"working_days", "hours"}:
        raise ContentError(
            f"{code}.unfit",
            Text(f"{key} is counted in {unit}: no retention period", f"{key} 以 {unit} 计，不是保存期限"),
            remedy=Text("a retention is counted in days, months or years", "保存期限以日、月或年计"),
            where=node.where,
        )
    return key
