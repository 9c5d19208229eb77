"""policies/persons.csv, systems.csv and posts.csv.

An account establishes one person or one system, never two; a post has one domain, one role and one holder
at a time. Who may not hold which posts together is judged by ``separation``, not here.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final, Literal, cast

from huanshu.catalog import words
from huanshu.catalog.faults import Faults
from huanshu.catalog.folder import Folder
from huanshu.catalog.nouns import Holding, Person, System
from huanshu.catalog.sheets import Row, rows
from huanshu.errors import ContentError, Text, Where

PERSONS: Final = "policies/persons.csv"
SYSTEMS: Final = "policies/systems.csv"
POSTS: Final = "policies/posts.csv"

PERSON_COLUMNS: Final = ("person", "name", "os_account", "airflow_account")
SYSTEM_COLUMNS: Final = ("system", "title_zh", "title_en", "domain", "kind", "os_account")
POST_COLUMNS: Final = (
    "post",
    "domain",
    "role",
    "title_zh",
    "title_en",
    "person",
    "capacity",
    "valid_from",
    "valid_until",
)

#: The role words of the platform (DESIGN 3). A district gives them to posts; it invents none.
ROLES: Final = (
    "exchange_officer",
    "cdo",
    "deo",
    "steward",
    "security_officer",
    "auditor",
    "system_administrator",
    "station_head",
    "data_clerk",
    "grid_worker",
)


class Accounts:
    """Who an account establishes; an account that would establish two is refused."""

    def __init__(self) -> None:
        self._owner: dict[tuple[str, str], Where] = {}

    def claim(self, row: Row, column: str) -> str:
        """The account in ``column``, perhaps empty."""
        account = row.optional(column)
        if not account:
            return ""
        words.account(account, row.where(column))
        first = self._owner.setdefault((column, account), row.where(column))
        if first != row.where(column):
            raise ContentError(
                "person.account.shared",
                Text(f"account “{account}” already belongs to {first}", f"账号“{account}”已登记于 {first}"),
                remedy=Text("every person and every system has an account alone", "责任人与系统各用各的账号"),
                where=row.where(column),
            )
        return account


def read_persons(folder: Folder, accounts: Accounts, faults: Faults) -> dict[str, Person]:
    found: dict[str, Person] = {}
    for row in rows(folder, PERSONS, PERSON_COLUMNS, ("person",), faults):
        with faults.caught():
            person = Person(
                person=row.identifier("person"),
                name=row.text("name"),
                os_account=accounts.claim(row, "os_account"),
                airflow_account=accounts.claim(row, "airflow_account"),
                where=row.where(),
            )
            found[person.person] = person
    return found


def read_systems(
    folder: Folder, accounts: Accounts, domains: Collection[str], faults: Faults
) -> dict[str, System]:
    """Systems by name; a home without the file has none, so nothing runs by a scheduler's account."""
    found: dict[str, System] = {}
    if not folder.holds(SYSTEMS):
        return found
    for row in rows(folder, SYSTEMS, SYSTEM_COLUMNS, ("system",), faults):
        with faults.caught():
            system = System(
                system=row.identifier("system"),
                title=Text(en=row.text("title_en"), zh=row.text("title_zh")),
                domain=_known(row, "domain", "system.domain.unknown", Text("domain", "域"), domains),
                kind=row.word("kind", ("source", "scheduler", "receiver")),
                os_account=accounts.claim(row, "os_account"),
                where=row.where(),
            )
            found[system.system] = system
    return found


def read_holdings(
    folder: Folder, domains: Collection[str], persons: Collection[str], faults: Faults
) -> tuple[Holding, ...]:
    found: list[Holding] = []
    of_post: dict[str, list[Holding]] = {}
    for row in rows(folder, POSTS, POST_COLUMNS, ("post", "person", "valid_from"), faults):
        with faults.caught():
            holding = _holding(row, domains, persons)
            before = of_post.setdefault(holding.post, [])
            _one_post(holding, before[0] if before else holding)
            _one_holder(holding, before)
            before.append(holding)
            found.append(holding)
    return tuple(found)


def _holding(row: Row, domains: Collection[str], persons: Collection[str]) -> Holding:
    start, end = row.period()
    return Holding(
        post=row.identifier("post"),
        domain=_known(row, "domain", "post.domain.unknown", Text("domain", "域"), domains),
        role=row.word("role", ROLES),
        title=Text(en=row.text("title_en"), zh=row.text("title_zh")),
        person=_known(row, "person", "post.person.unknown", Text("person", "责任人"), persons),
        capacity=cast("Literal['holder', 'deputy']", row.word("capacity", ("holder", "deputy"))),
        valid_from=start,
        valid_until=end,
        where=row.where(),
    )


def _one_post(holding: Holding, first: Holding) -> None:
    for column, mine, theirs in (
        ("domain", holding.domain, first.domain),
        ("role", holding.role, first.role),
        ("title_zh", holding.title.zh, first.title.zh),
        ("title_en", holding.title.en, first.title.en),
    ):
        if mine != theirs:
            raise ContentError(
                "post.holding.inconsistent",
                Text(
                    f"post {holding.post} has another {column} on line {first.where.line}",
                    f"岗位 {holding.post} 的 {column} 与第 {first.where.line} 行不一致",
                ),
                remedy=Text(
                    "a post has one domain, one role and one title", "一个岗位只有一个域、一个角色和一个名称"
                ),
                where=Where(holding.where.file, holding.where.line, column),
            )


def _one_holder(holding: Holding, before: list[Holding]) -> None:
    """``before``: the holdings of the same post on earlier lines."""
    for other in before:
        if not overlap(other, holding):
            continue
        if other.person == holding.person or other.capacity == holding.capacity == "holder":
            raise ContentError(
                "post.holder.overlap",
                Text(
                    f"post {holding.post} is held twice at once, see line {other.where.line}",
                    f"岗位 {holding.post} 任期重叠，见第 {other.where.line} 行",
                ),
                remedy=Text(
                    "end one holding before the other begins, or make one a deputy",
                    "前任到期后再任命，或改为副职 deputy",
                ),
                where=Where(holding.where.file, holding.where.line, "valid_from"),
            )


def overlap(one: Holding, other: Holding) -> bool:
    """True when there is a day on which both are valid."""
    return one.valid_from <= other.valid_until and other.valid_from <= one.valid_until


def _known(row: Row, column: str, code: str, what: Text, known: Collection[str]) -> str:
    word = row.text(column)
    # An empty ``known`` means its own file is at fault; that is said there.
    if known and word not in known:
        raise words.unknown(code, what, word, known, row.where(column))
    return word
