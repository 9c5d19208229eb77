"""policies/domains.csv → the domain tree.

A parent stands before its children, so a ring cannot be written. The code says where a unit belongs (GB/T
2260, GB/T 10114: district 6, subdistrict 9, community 12 significant digits; ours: a grid adds 3), and the
parent column must agree with it. An empty ``name_en`` falls back to the Chinese name; an empty ``store``
means the district's own server.
"""

from __future__ import annotations

from typing import Final, cast

from huanshu.catalog import words
from huanshu.catalog.faults import Faults
from huanshu.catalog.folder import Folder
from huanshu.catalog.nouns import Domain, DomainKind, DomainTree
from huanshu.catalog.sheets import Row, rows
from huanshu.errors import ContentError, Text, Where

FILE: Final = "policies/domains.csv"
COLUMNS: Final = ("code", "name_zh", "name_en", "kind", "parent", "store")

#: Which kind a parent must have.
PARENT_KIND: Final[dict[DomainKind, DomainKind | None]] = {
    "district": None,
    "subdistrict": "district",
    "community": "subdistrict",
    "grid": "community",
    "department": "district",
}


def read_domains(folder: Folder, faults: Faults) -> DomainTree:
    """The tree; with faults noted, what could be read of it."""
    found: dict[str, Domain] = {}
    for row in rows(folder, FILE, COLUMNS, ("code",), faults):
        with faults.caught():
            domain = _domain(row, found)
            found[domain.code] = domain
    districts = [d for d in found.values() if d.kind == "district"]
    if len(districts) != 1 and faults.clean(FILE):
        faults.note(
            ContentError(
                "domain.district.count",
                Text(f"there are {len(districts)} districts", f"共有 {len(districts)} 个区"),
                remedy=Text("a home has exactly one district", "一个治理目录恰有一个区"),
                where=districts[1].where if len(districts) > 1 else Where(FILE),
            )
        )
    return DomainTree(found)


def _domain(row: Row, before: dict[str, Domain]) -> Domain:
    code = words.domain_code(row.text("code"), row.where("code"))
    kind = cast("DomainKind", row.word("kind", PARENT_KIND))
    if kind_of(code) != kind:
        raise ContentError(
            "domain.code.kind",
            Text(f"{code} is not the code of a {kind}", f"{code} 不是 {kind} 的代码"),
            remedy=Text(f"by its digits it is a {kind_of(code)}", f"按代码位数应为 {kind_of(code)}"),
            where=row.where("kind"),
        )
    zh = row.text("name_zh")
    store = row.optional("store")
    return Domain(
        code=code,
        name=Text(en=row.optional("name_en") or zh, zh=zh),
        kind=kind,
        parent=_parent(row, code, kind, before),
        store=words.name(store, row.where("store")) if store else "",
        where=row.where(),
    )


def _parent(row: Row, code: str, kind: DomainKind, before: dict[str, Domain]) -> str | None:
    parent = row.optional("parent")
    wanted = PARENT_KIND[kind]
    if not parent and wanted is None:
        return None
    if parent and parent not in before:
        error = words.unknown(
            "domain.parent.unknown", Text("the parent", "上级域"), parent, before, row.where("parent")
        )
        raise ContentError(
            error.code,
            Text(f"{error.what.en} above this line", f"{error.what.zh}（须写在本行之前）"),
            remedy=error.remedy,
            where=error.where,
        )
    right = parent_code(code)
    if (
        not parent
        or wanted is None
        or before[parent].kind != wanted
        or (right is not None and parent != right)
    ):
        asked = right or (f"the {wanted}" if wanted else "empty")
        raise ContentError(
            "domain.parent.wrong",
            Text(
                f"“{parent}” cannot be the parent of a {kind} {code}",
                f"“{parent}”不能作为 {kind} {code} 的上级",
            ),
            remedy=Text(f"the parent is {asked}", f"上级应为 {asked}"),
            where=row.where("parent"),
        )
    return parent


def kind_of(code: str) -> DomainKind:
    """The kind that a well-formed code has by its digits."""
    if code.startswith("dept."):
        return "department"
    if len(code) == 15:
        return "grid"
    if code[9:] != "000":
        return "community"
    return "subdistrict" if code[6:9] != "000" else "district"


def parent_code(code: str) -> str | None:
    """The parent's code by the digits; None for a district and a department, whose code does not say."""
    parents: dict[DomainKind, str | None] = {
        "grid": code[:12],
        "community": code[:9] + "000",
        "subdistrict": code[:6] + "000000",
    }
    return parents.get(kind_of(code))
