"""One table: a file, one change to it, the error it must produce, and on which line.

Each row breaks the minimal home in one place. ``read_home`` must raise exactly that error there, and
``inspect_home`` must list it; so the strict and the collecting reader cannot drift apart.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import pytest

import huanshu.catalog
from huanshu.catalog import inspect_home, read_home
from huanshu.catalog.folder import MAX_DOCUMENT
from huanshu.errors import ContentError

DOMAINS = "policies/domains.csv"
PERSONS = "policies/persons.csv"
POSTS = "policies/posts.csv"
SYSTEMS = "policies/systems.csv"
PURPOSES = "policies/purposes.yaml"
KEYS = "policies/keys.yaml"
RULES = "policies/rules/community.csv"
CASES = "policies/cases/community.csv"
CONTRACT = "expectations/parcel/contract.yaml"
SUITE = "expectations/parcel/suite.yaml"
INTAKE = "dags/flows/parcel.land_to_district.yaml"
DELIVERY = "dags/flows/parcel.district_to_communities.yaml"
LOG = "audit/log.yaml"
DUTIES = "audit/obligations.yaml"
CALENDAR = "audit/calendar.csv"
KEPT = "audit/retention.yaml"
LIMITS = """subjects_per_day: 10
subjects_per_month: 20
export_alone: 20
misses_per_day: 5
emergency:
  roles: [clerk]
  hours: 1
  review_hours: 24
"""


class Broken(NamedTuple):
    """``old`` is replaced by ``new`` in ``file``; ``old`` None makes ``new`` the whole file."""

    code: str
    file: str
    old: bytes | str | None
    new: bytes | str
    line: int | None
    hint: str = ""


TABLE = [
    # ---- text
    Broken("content.file.empty", LOG, None, " \n\n", None),
    Broken("content.file.empty", CALENDAR, None, "# only a comment\n", None),
    Broken("content.file.oversize", LOG, None, b"#" * (MAX_DOCUMENT + 1), None),
    Broken("content.text.encoding", PERSONS, "p.two,乙", b"p.two,\xd2\xd2", 3),
    Broken("content.text.encoding", PERSONS, None, "person,name\n".encode("utf-16"), 1),
    Broken("content.text.nul", LOG, "timezone", b"time\0zone", 2),
    Broken("content.text.invisible", PERSONS, "p.three", "p.thr\u200bee", 4),
    Broken("content.text.invisible", RULES, "# priority", "# \u202epriority", 1),
    Broken("content.text.invisible", PERSONS, "甲,one", "甲,o\rne", 2),
    Broken("content.text.denormalised", PERSONS, "丙", "e\u0301", 4),
    # ---- CSV
    Broken("content.csv.malformed", PERSONS, "p.two,乙", 'p.two,"乙', 3),
    Broken("content.csv.malformed", PERSONS, "p.two,乙", 'p.two,"乙"x', 3),
    Broken("content.header.duplicate", PERSONS, "os_account,", "name,", 1),
    Broken("content.header.unknown", PERSONS, "os_account,", "os_acount,", 1, "os_account"),
    Broken("content.header.missing", PERSONS, None, "person,name,os_account\np.one,甲,one\n", 1),
    Broken("content.row.ragged", PERSONS, "p.two,乙,two,", "p.two,乙,two", 3),
    Broken("content.row.duplicate", PERSONS, "p.three", "p.two", 4),
    Broken("content.row.duplicate", DOMAINS, "990201001002,", "990201001001,", 6),
    Broken("content.cell.blanks", PERSONS, "p.two,乙", "p.two,乙 ", 3),
    Broken("content.cell.blanks", PERSONS, "p.two,乙", "p.two,乙\u3000", 3),
    Broken("content.cell.formula", PERSONS, "p.two,乙", "p.two,=1+1", 3),
    Broken("content.cell.formula", PERSONS, "p.two,乙", "p.two,-乙", 3),
    Broken("content.cell.oversize", PERSONS, "p.two,乙", "p.two," + "乙" * 70_000, 3),
    Broken("content.csv.malformed", PERSONS, "p.two,乙", 'p.two,乙"', 3),
    Broken("content.cell.empty", PERSONS, "p.two,乙", "p.two,", 3),
    # ---- YAML
    Broken("limits.role.unknown", "policies/limits.yaml", None, LIMITS, 6, "data_clerk"),
    Broken("content.yaml.malformed", LOG, "timezone: ", "timezone: [", 3),
    Broken("content.yaml.malformed", KEYS, "epoch: 1", "\tepoch: 1", 3),
    Broken("content.yaml.empty", LOG, None, "# nothing\n", 2),
    Broken("content.yaml.documents", LOG, "timezone", "---\ntimezone", 2),
    Broken("content.yaml.alias", LOG, "origin: ", "origin: &x ", 1),
    Broken("content.yaml.alias", LOG, "Asia/Shanghai", "*x", 2),
    Broken("content.yaml.tag", LOG, "Asia/Shanghai", "!!python/object:os.system x", 2),
    Broken("content.yaml.key", LOG, "timezone: Asia/Shanghai", "[timezone]: Asia/Shanghai", 2),
    Broken("content.yaml.deep", LOG, "Asia/Shanghai", "[" * 30 + "]" * 30, 2),
    Broken("content.key.duplicate", KEYS, "profile: aes", "root_provider: file", 2),
    Broken("content.key.unknown", KEYS, "lend_max_seconds", "lend_max_second", 4, "lend_max_seconds"),
    Broken("content.key.unknown", LOG, "timezone: Asia", "<<: {a: b}\ntimezone: Asia", 2),
    Broken("content.key.missing", KEYS, "epoch: 1\n", "", 1),
    Broken("content.value.type", KEYS, "epoch: 1", "epoch: '1'", 3),
    Broken("content.value.type", PURPOSES, "verified: false", "verified: no", 4),
    Broken("content.value.type", DUTIES, "verified: true", "verified: 'true'", 13),
    Broken("content.value.type", LOG, "Asia/Shanghai", "", 2),
    Broken("content.value.ambiguous", DELIVERY, "'990201000000'\nto", "990201000000\nto", 5),
    Broken("content.value.ambiguous", SUITE, "mostly: 1.0", "mostly: on", 7),
    Broken("content.value.ambiguous", SUITE, "mostly: 1.0", "mostly: 010", 7),
    Broken("content.value.ambiguous", SUITE, "mostly: 1.0", "mostly: 2026-01-01", 7),
    Broken("content.value.ambiguous", PURPOSES, "zh: 维护", "zh: n", 3),
    Broken("content.list.empty", PURPOSES, "[parcel]", "[]", 5),
    Broken("content.text.unsayable", PURPOSES, "某法第一条", "某" * 501, 4),
    Broken("content.text.unsayable", PURPOSES, "某法第一条", '"某法\\n第一条"', 4),
    # ---- words
    Broken("content.word.unknown", KEYS, "profile: aes", "profile: aess", 2, "aes"),
    Broken("keys.profile.device", KEYS, "file\nprofile: aes", "pkcs11\nprofile: sm", 2),
    Broken("content.word.unknown", POSTS, "steward,数据管家", "stewart,数据管家", 3, "steward"),
    Broken(
        "content.word.unknown",
        RULES,
        "p, 10, data_clerk, own, parcel, owner",
        "P, 10, data_clerk, own, parcel, owner",
        3,
    ),
    Broken("content.word.unknown", RULES, "@level1", "@levle1", 2, "@level1"),
    Broken("content.word.unknown", RULES, "reveal", "reveel", 2, "reveal"),
    Broken("content.word.unknown", DELIVERY, "owner: mask", "owner: count", 12),
    Broken("content.word.unknown", CONTRACT, "apiVersion: v3.1.0", "apiVersion: v3.0.2", 1, "v3.1.0"),
    Broken("content.word.unknown", CONTRACT, "kind: DataContract", "kind: DataProduct", 2),
    Broken("content.word.unknown", CALENDAR, "working_day", "workday", 3, "working_day"),
    Broken("content.identifier.malformed", PERSONS, "p.two", "P.two", 3),
    Broken("content.identifier.malformed", PERSONS, "p.two", "p..two", 3),
    Broken("content.identifier.malformed", PERSONS, "p.two", "р.two", 3),  # Cyrillic р
    Broken("content.identifier.malformed", PERSONS, "乙,two", "乙,t wo", 3),
    Broken("content.identifier.malformed", DOMAINS, ",second", ",../second", 6),
    Broken("content.identifier.malformed", CONTRACT, "name: owner\n", "name: owner.x\n", 29),
    Broken("content.date.malformed", POSTS, "p.two,holder,2026-01-01", "p.two,holder,2026-1-1", 3),
    Broken("content.date.malformed", POSTS, "p.two,holder,2026-01-01", "p.two,holder,2026-02-30", 3),
    Broken("content.date.malformed", POSTS, "p.two,holder,2026-01-01", "p.two,holder,２０２６-01-01", 3),
    Broken(
        "content.date.malformed", PURPOSES, "valid_from: 2026-01-01", "valid_from: 2026-01-01 00:00:00", 7
    ),
    Broken("content.dates.reversed", POSTS, "p.two,holder,2026-01-01", "p.two,holder,2100-01-01", 3),
    Broken("content.dates.reversed", PURPOSES, "valid_until: 2099", "valid_until: 2025", 8),
    Broken(
        "content.dates.reversed",
        RULES,
        "own, parcel, owner, upkeep, mask, 2026",
        "own, parcel, owner, upkeep, mask, 2100",
        3,
    ),
    Broken(
        "content.number.malformed",
        RULES,
        "p, 10, data_clerk, own, parcel, owner",
        "p, 010, data_clerk, own, parcel, owner",
        3,
    ),
    Broken("content.number.malformed", KEYS, "epoch: 1", "epoch: -1", 3),
    Broken("content.number.range", KEYS, "open_max_values: 64", "open_max_values: 65", 5),
    Broken(
        "content.number.range",
        CONTRACT,
        "huanshu.level, value: 3}\n          - {property: huanshu.sensitivePersonal, value: true",
        "huanshu.level, value: 5}\n          - {property: huanshu.sensitivePersonal, value: true",
        24,
    ),
    # ---- domains and people
    Broken("domain.code.malformed", DOMAINS, "990201001002,", "99020100100２,", 6),
    Broken("domain.code.malformed", DOMAINS, "dept.land,土", "dept.Land,土", 3),
    Broken("domain.code.kind", DOMAINS, "Community A2,community", "Community A2,subdistrict", 6),
    Broken(
        "domain.parent.unknown",
        DOMAINS,
        "Community A2,community,990201001000",
        "Community A2,community,990201001009",
        6,
    ),
    Broken(
        "domain.parent.unknown",
        DOMAINS,
        "甲区,District A,district,",
        "甲区,District A,district,990201000000",
        2,
    ),
    Broken(
        "domain.parent.wrong",
        DOMAINS,
        "Community A2,community,990201001000",
        "Community A2,community,990201000000",
        6,
        "990201001000",
    ),
    Broken(
        "domain.parent.wrong",
        DOMAINS,
        "Community A2,community,990201001000",
        "Community A2,community,",
        6,
        "990201001000",
    ),
    Broken(
        "domain.district.count",
        DOMAINS,
        "990201001000,甲街道",
        "990301000000,乙区,,district,,\n990201001000,甲街道",
        4,
    ),
    Broken("person.account.shared", PERSONS, "丙,,", "丙,one,", 4),
    Broken("person.account.shared", SYSTEMS, ",airflow", ",two", 2),
    Broken("system.domain.unknown", SYSTEMS, "990201000000", "990201000001", 2),
    Broken("post.domain.unknown", POSTS, "a1.data_clerk,990201001001", "a1.data_clerk,990201001003", 5),
    Broken("post.person.unknown", POSTS, "p.four", "p.fuor", 5, "p.four"),
    Broken(
        "post.holder.overlap",
        POSTS,
        "a1.data_clerk,",
        "land.steward,dept.land,steward,数据管家,Steward,p.four,holder,2026-12-31,2027-12-31\na1.data_clerk,",
        5,
    ),
    Broken(
        "post.holder.overlap",
        POSTS,
        "a1.data_clerk,",
        "land.steward,dept.land,steward,数据管家,Steward,p.two,deputy,2026-06-01,2027-12-31\na1.data_clerk,",
        5,
    ),
    Broken(
        "post.holding.inconsistent",
        POSTS,
        "a1.data_clerk,",
        "land.steward,dept.land,cdo,数据管家,Steward,p.four,deputy,2026-01-01,2026-12-31\na1.data_clerk,",
        5,
    ),
    Broken("purpose.dataset.unknown", PURPOSES, "[parcel]", "[parcels]", 5, "parcel"),
    Broken("purpose.retention.unknown", PURPOSES, "one_year", "two_years", 6),
    Broken("purpose.retention.unfit", PURPOSES, "one_year", "receipt_due", 6),
    # ---- rules and cases
    Broken(
        "rule.role.unheld",
        RULES,
        "p, 10, data_clerk, own, parcel, owner",
        "p, 10, data_clark, own, parcel, owner",
        3,
        "data_clerk",
    ),
    Broken(
        "rule.role.unheld",
        RULES,
        "p, 10, data_clerk, own, parcel, owner",
        "p, 10, station_head, own, parcel, owner",
        3,
    ),
    Broken(
        "rule.role.misfiled",
        RULES,
        "p, 10, data_clerk, own, parcel, owner",
        "p, 10, auditor, own, parcel, owner",
        3,
        "district.csv",
    ),
    Broken("rule.domain.unknown", RULES, "own, parcel, owner", "990201001009, parcel, owner", 3),
    Broken("content.word.unknown", RULES, "own, parcel, owner", "ownn, parcel, owner", 3, "own"),
    Broken("rule.dataset.unknown", RULES, "own, parcel, owner", "own, parcle, owner", 3, "parcel"),
    Broken("rule.dataset.unknown", RULES, "own, parcel, owner", "own, *, owner", 3),
    Broken("rule.field.unknown", RULES, "own, parcel, owner,", "own, parcel, onwer,", 3, "owner"),
    Broken("rule.field.unknown", RULES, "own, parcel, owner,", "own, parcel, *,", 3),
    Broken("rule.purpose.unknown", RULES, "owner, upkeep", "owner, upkep", 3, "upkeep"),
    Broken("rule.purpose.unknown", RULES, "owner, upkeep", "owner, *", 3),
    Broken(
        "rule.effect.ambiguous",
        RULES,
        "@level1, upkeep, reveal, 2026-01-01, 2099-12-31, allow\n",
        "owner, upkeep, mask, 2026-12-31, 2027-12-31, deny\n",
        3,
    ),
    Broken("content.row.ragged", RULES, "owner, upkeep, mask", "owner, upkeep, mask, mask", 3),
    Broken("content.row.duplicate", RULES, "@level1, upkeep, reveal", "owner, upkeep, mask", 3),
    Broken(
        "case.post.unknown",
        CASES,
        "a1.data_clerk,990201001001,parcel,owner,upkeep",
        "a1.data_clark,990201001001,parcel,owner,upkeep",
        2,
        "a1.data_clerk",
    ),
    Broken(
        "case.domain.unknown",
        CASES,
        "990201001001,parcel,owner,upkeep",
        "990201001003,parcel,owner,upkeep",
        2,
    ),
    Broken("case.dataset.unknown", CASES, "parcel,owner,upkeep", "parcle,owner,upkeep", 2, "parcel"),
    Broken("case.field.unknown", CASES, "owner,upkeep", "ownr,upkeep", 2, "owner"),
    Broken("case.field.unknown", CASES, "owner,upkeep", "@level1,upkeep", 2),
    Broken("case.purpose.unknown", CASES, "owner,upkeep", "owner,upkep", 2, "upkeep"),
    Broken("content.cell.empty", CASES, ",,mask,2026-06-01,deny", ",,mask,2026-06-01,allow", 3),
    # ---- contract
    Broken(
        "contract.key.unsupported",
        CONTRACT,
        "status: active",
        "status: active\nservers: [{server: x, type: postgresql, host: h}]",
        6,
    ),
    Broken(
        "contract.key.unsupported",
        CONTRACT,
        "logicalType: string\n        required: true\n        primaryKey",
        "logicalType: string\n        unique: true\n        primaryKey",
        20,
    ),
    Broken(
        "contract.schema.count",
        CONTRACT,
        "schema:\n",
        "schema:\n  - {name: other, logicalType: object, properties: []}\n",
        16,
    ),
    Broken("contract.dataset.misfiled", CONTRACT, "- name: parcel", "- name: parcels", 15),
    Broken(
        "contract.custom.unknown",
        CONTRACT,
        "huanshu.mask, value: name",
        "huanshu.masc, value: name",
        36,
        "huanshu.mask",
    ),
    Broken(
        "contract.custom.unknown",
        CONTRACT,
        "huanshu.stewardPost",
        "huanshu.steward",
        12,
        "huanshu.stewardPost",
    ),
    Broken(
        "contract.custom.duplicate", CONTRACT, "huanshu.mask, value: name", "huanshu.width, value: 60", 36
    ),
    Broken(
        "contract.custom.missing", CONTRACT, "  - {property: huanshu.legalBasis, value: 某法第二条}\n", "", 7
    ),
    Broken(
        "contract.classification.missing",
        CONTRACT,
        "          - {property: huanshu.level, value: 1}\n",
        "",
        40,
    ),
    Broken(
        "contract.classification.missing",
        CONTRACT,
        "          - {property: huanshu.sensitivePersonal, value: false}\n          - {property: huanshu.width, value: 60}\n",
        "          - {property: huanshu.width, value: 60}\n",
        31,
    ),
    Broken("contract.width.missing", CONTRACT, "          - {property: huanshu.width, value: 60}\n", "", 29),
    Broken(
        "contract.width.idle",
        CONTRACT,
        "huanshu.level, value: 3}\n          - {property: huanshu.sensitivePersonal, value: false",
        "huanshu.level, value: 2}\n          - {property: huanshu.sensitivePersonal, value: false",
        35,
    ),
    Broken("contract.field.duplicate", CONTRACT, "- name: owner\n", "- name: owner_number\n", 29),
    Broken("contract.primary_key.unfit", CONTRACT, "        primaryKey: true\n", "", 17),
    Broken(
        "contract.primary_key.unfit",
        CONTRACT,
        "        required: true\n        primaryKey",
        "        primaryKey",
        18,
    ),
    Broken(
        "contract.primary_key.unfit",
        CONTRACT,
        "          - {property: huanshu.link, value: citizen_number}\n",
        "",
        18,
    ),
    Broken(
        "contract.home_field.unknown",
        CONTRACT,
        "homeField, value: community",
        "homeField, value: comunity",
        10,
        "community",
    ),
    Broken(
        "contract.home_field.unfit", CONTRACT, "homeField, value: community", "homeField, value: owner", 10
    ),
    Broken(
        "contract.subject.unknown", CONTRACT, "field: owner_number", "field: owner_nmber", 11, "owner_number"
    ),
    Broken("contract.subject.unlinked", CONTRACT, "field: owner_number", "field: owner", 11),
    Broken("contract.domain.unknown", CONTRACT, "domain: dept.land", "domain: dept.lamd", 6, "dept.land"),
    Broken("contract.domain.unknown", CONTRACT, "domain: dept.land", "domain: '990201000000'", 6),
    Broken("contract.steward.unknown", CONTRACT, "land.steward", "land.stewart", 12, "land.steward"),
    Broken(
        "contract.link.unknown",
        CONTRACT,
        "huanshu.link, value: citizen_number",
        "huanshu.link, value: citizen_nmber",
        27,
        "citizen_number",
    ),
    Broken(
        "contract.authority.unknown",
        CONTRACT,
        "          - {property: huanshu.mask, value: name}\n",
        "          - {property: huanshu.mask, value: name}\n          - {property: huanshu.authority, value: dept.lnd}\n",
        37,
        "dept.land",
    ),
    # ---- suite
    Broken("suite.dataset.misfiled", SUITE, "dataset: parcel", "dataset: parcels", 1),
    Broken(
        "suite.type.malformed",
        SUITE,
        "type: expect_column_values_to_match",
        "type: column_values_to_match",
        6,
    ),
    Broken("suite.rule.duplicate", SUITE, "rule: community_code", "rule: owner_number_present", 6),
    Broken("suite.column.unknown", SUITE, "column: community,", "column: comunity,", 6, "community"),
    # ---- flows
    Broken("flow.dataset.unknown", INTAKE, "dataset: parcel", "dataset: parcels", 4, "parcel"),
    Broken("flow.name.misfiled", INTAKE, "flow: parcel.land_to_district", "flow: parcel.land_to_distrikt", 1),
    Broken(
        "flow.post.unknown",
        INTAKE,
        "land.exchange_officer",
        "land.exchange_oficer",
        8,
        "land.exchange_officer",
    ),
    Broken("flow.domain.unknown", INTAKE, "from: dept.land", "from: dept.lnd", 5, "dept.land"),
    Broken("flow.domain.unknown", DELIVERY, "below: '990201000000'", "below: '990201000001'", 6),
    Broken("flow.source.unauthoritative", INTAKE, "from: dept.land", "from: '990201000000'", 5, "dept.land"),
    Broken("flow.receiver.none", DELIVERY, "below: '990201000000'", "below: '990201001001'", 6),
    Broken(
        "flow.receiver.duplicate",
        DELIVERY,
        "{kind: community, below: '990201000000'}",
        "['990201001001', '990201001001']",
        6,
    ),
    Broken("flow.receiver.unfit", INTAKE, "to: ['990201000000']", "to: ['990201001001']", 6, "990201000000"),
    Broken("flow.purpose.unknown", DELIVERY, "purpose: upkeep", "purpose: upkep", 7, "upkeep"),
    Broken("flow.schedule.malformed", DELIVERY, "30 5 * * 1-5", "30 25 * * 1-5", 9),
    Broken("flow.fields.idle", INTAKE, "schedule: manual", "schedule: manual\nfields: {owner: reveal}", 10),
    Broken("flow.round.idle", INTAKE, "schedule: manual", "schedule: manual\nruns: one", 10),
    Broken("content.number.range", DELIVERY, "30 5 * * 1-5", "30 5 * * 1-5\nmissing_at_most: 2", 10),
    Broken(
        "flow.fields.none",
        DELIVERY,
        "fields:\n  owner_number: match\n  owner: mask\n  community: reveal\n",
        "",
        1,
    ),
    Broken("flow.field.unknown", DELIVERY, "owner: mask", "owmer: mask", 12, "owner"),
    Broken(
        "flow.expect.missing", DELIVERY, "expect: {subjects: 10 %, per_receiver: 30 %}\n", "", 1, "expect:"
    ),
    Broken("flow.expect.malformed", DELIVERY, "subjects: 10 %", "subjects: 10", 14, "10 %"),
    Broken("flow.expect.malformed", DELIVERY, "subjects: 10 %", "subjects: 0.1 %", 14),
    Broken("flow.expect.malformed", DELIVERY, "subjects: 10 %", "subjects: [10 %]", 14),
    Broken(
        "flow.expect.idle",
        INTAKE,
        "schedule: manual\n",
        "schedule: manual\nexpect: {subjects: 10 %, per_receiver: 30 %}\n",
        10,
    ),
    Broken("content.key.unknown", DELIVERY, "per_receiver: 30 %", "per_reciever: 30 %", 14, "per_receiver"),
    Broken("content.number.range", DELIVERY, "per_receiver: 30 %", "per_receiver: 30 %, at_least: 0", 14),
    Broken("flow.rung.unoffered", DELIVERY, "community: reveal", "community: mask", 13, "huanshu.mask"),
    Broken("flow.rung.unoffered", DELIVERY, "owner: mask", "owner: match", 12, "huanshu.link"),
    # ---- audit
    Broken("log.origin.malformed", LOG, "minimal.huanshu", "https://minimal.huanshu", 1),
    Broken("log.timezone.unknown", LOG, "Asia/Shanghai", "Asia/Shanghia", 2),
    Broken("obligation.key.missing", DUTIES, "receipt_due", "receipt_duee", 1),
    # A period that no calendar reaches the end of, in each unit.
    Broken("content.number.range", DUTIES, "value: 1\n    unit: years", "value: 9000\n    unit: years", 11),
    Broken(
        "content.number.range", DUTIES, "value: 11\n    unit: months", "value: 1201\n    unit: months", 42
    ),
    Broken("content.number.range", DUTIES, "value: 360\n    unit: days", "value: 40000\n    unit: days", 35),
    Broken("calendar.day.idle", CALENDAR, "2026-01-04", "2026-01-05", 3),
    Broken(
        "retention.obligation.unknown", KEPT, "quarantine: one_year", "quarantine: one_yaer", 5, "one_year"
    ),
    Broken("retention.period.below_floor", KEPT, "quarantine: one_year", "quarantine: eleven_months", 5),
    Broken("content.word.unknown", DUTIES, "floor_of: quarantine", "floor_of: quarantin", 38, "quarantine"),
    Broken("retention.obligation.unfit", KEPT, "quarantine: one_year", "quarantine: receipt_due", 5),
]


def apply(home: Path, broken: Broken) -> None:
    """Makes the one change; a row whose ``old`` is not there exactly once is a defect of the table."""
    file = home / broken.file
    raw = b"" if broken.old is None and not file.exists() else file.read_bytes()
    new = broken.new.encode() if isinstance(broken.new, str) else broken.new
    if broken.old is not None:
        old = broken.old.encode() if isinstance(broken.old, str) else broken.old
        assert raw.count(old) >= 1, "the table expects text that is not in the file"
        new = raw.replace(old, new, 1)
    assert new != raw
    file.write_bytes(new)


@pytest.mark.parametrize("broken", TABLE, ids=lambda b: f"{b.code}-{b.file}-{b.line}")
def test_one_change_one_error(home: Path, broken: Broken) -> None:
    apply(home, broken)
    with pytest.raises(ContentError) as raised:
        read_home(home)
    error = raised.value
    assert error.code == broken.code, str(error)
    assert error.where is not None
    assert (error.where.file, error.where.line) == (broken.file, broken.line), str(error)
    assert error.remedy is not None
    assert broken.hint in error.remedy.en
    assert error.what.zh != error.what.en
    whole, faults = inspect_home(home)
    assert whole is None
    assert (error.code, error.where) in [(f.code, f.where) for f in faults]


def test_unbroken_home_is_read(home: Path) -> None:
    """The twin of the table: without a change there is no error."""
    assert read_home(home).contracts.keys() == {"parcel"}
    assert inspect_home(home)[1] == ()


#: Codes that need more than a change of one file's bytes; the test beside each says how.
ELSEWHERE = {
    "post.duties.unseparated",  # more than one holding: test_separation
    "post.duties.self_approval",
    "policy.bundle.changed",  # a bundle out of the database: test_bundle_kept
    "content.home.missing",  # test_folder.py
    "content.file.missing",
    "content.file.irregular",
    "content.file.outside",
    "content.file.unreadable",
    "content.file.unknown",
    "home.datasets.none",
    "rule.purpose.uncovered",  # test_readers.py
    "flow.purpose.uncovered",
    "flow.receiver.shared",
    "calendar.year.missing",  # test_working_days.py
}


def test_every_code_is_provoked() -> None:
    """Codes are found in the source; a new one without a row here fails."""
    folder = Path(huanshu.catalog.__file__).parent
    source = "".join(f.read_text() for f in folder.glob("*.py") if f.name != "divisions.py")
    codes = set(re.findall(r'"([a-z]+\.[a-z_]+\.[a-z_]+)"', source))
    codes |= {f"content.yaml.{p}" for p in re.findall(r'_refused\(\s*event, "([a-z]+)"', source)}
    codes |= {f"{a}.{o}.unknown" for a in ("rule", "case") for o in ("dataset", "field")}
    codes |= {f"{a}.purpose.{p}" for a in ("rule", "flow") for p in ("unknown", "uncovered")}
    codes |= {f"{a}.{p}" for a in ("purpose.retention", "retention.obligation") for p in ("unknown", "unfit")}
    assert len(codes) > 80
    assert codes - ELSEWHERE == {row.code for row in TABLE}
