"""``huanshu flow new``: one commented flow file, every field at the lowest rung that is sensible for its kind.

The proposal is made from the contract alone: levels 1 and 2 as they are, sealed fields masked, otherwise as a
token, otherwise left out with a word why. A person raises a rung; ``huanshu flow plan`` says who may see it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

from huanshu.authoring.writing import Draft
from huanshu.catalog import Contract, DomainKind, DomainTree, Field, Home, Rung
from huanshu.catalog.flows import FOLDER
from huanshu.catalog.words import unknown
from huanshu.errors import InputError, Text, Where

FlowDraft = Draft
Kind = Literal["intake", "delivery"]

#: How all domains of a kind are written on the command line and in a file's name.
PLURALS: Final[dict[str, DomainKind]] = {
    "subdistricts": "subdistrict",
    "communities": "community",
    "grids": "grid",
    "departments": "department",
}


@dataclass(frozen=True, slots=True)
class FlowWish:
    """What was asked for. ``receivers``: domain codes, or one plural word. None: to be proposed."""

    dataset: str
    source: str
    receivers: tuple[str, ...]
    kind: Kind | None = None
    purpose: str | None = None
    name: str | None = None


def draft_flow(home: Home, wish: FlowWish, language: str) -> FlowDraft:
    """The file of a new flow. InputError for words that name nothing in the home."""
    tree = home.policies.domains
    contract = home.contracts.get(wish.dataset)
    if contract is None:
        raise _unknown("dataset", Text("dataset", "数据集"), wish.dataset, [*home.contracts], "expectations")
    _known(tree, wish.source)
    for receiver in wish.receivers:
        if receiver not in PLURALS:
            _known(tree, receiver)
    inward = wish.source == contract.domain and wish.receivers == (tree.district.code,)
    kind: Kind = wish.kind or ("intake" if inward else "delivery")
    post = _accountable(home, contract)
    name = wish.name or f"{wish.dataset}.{_short(home, wish.source)}_to_{_short_of_receivers(home, wish)}"
    purpose = wish.purpose or _purpose(home, contract.dataset, kind)
    lines = _Lines(language)
    lines.note("yaml-language-server: $schema=../../.huanshu-schemas/flow.json", None)
    lines.note(
        "一条流向。改动一个字节，原批准即失效，须由责任岗位重新批准。",
        "One declared exchange. Changing one byte of this file voids its approval.",
    )
    lines.write(f"flow: {name}")
    lines.note(
        "intake：部门报送区级，写入契约的全部字段；delivery：下发",
        "intake: a department's register into the district, every field; delivery: given out",
    )
    lines.write(f"kind: {kind}")
    lines.write("title:")
    for word, text in zip(("zh", "en"), _title(contract, kind), strict=True):
        lines.write(f"  {word}: {text}")
    lines.write(f"dataset: {wish.dataset}")
    lines.write(f"from: '{wish.source}'")
    if len(wish.receivers) == 1 and wish.receivers[0] in PLURALS:
        lines.note("某域之下某一类的全部域", "every domain of a kind below one")
        lines.write(f"to: {{kind: {PLURALS[wish.receivers[0]]}, below: '{tree.district.code}'}}")
    else:
        lines.write(f"to: [{', '.join(repr(code) for code in wish.receivers)}]")
    lines.note(
        "policies/purposes.yaml 中的一项，且须包含本数据集",
        "one of policies/purposes.yaml, which must cover this dataset",
    )
    lines.write(f"purpose: {purpose}")
    lines.note(
        "其任职者须批准本文件：huanshu flow approve",
        "whose holder must approve this file: huanshu flow approve",
    )
    lines.write(f"accountable_post: {post}")
    lines.note(
        "manual 手动；asset 数据集更新后；或五段 cron，如 '30 5 * * 1-5'",
        "manual; asset: when the dataset was updated; or five-field cron as in '30 5 * * 1-5'",
    )
    lines.write(f"schedule: {'asset' if kind == 'delivery' else 'manual'}")
    if kind == "delivery":
        lines.note(
            "一次运行允许的变化；超出则暂停，等责任岗位说明理由后放行",
            "how much a run may change; beyond it the run waits for the accountable post's release",
        )
        lines.write("expect: {subjects: 10 %, per_receiver: 30 %, at_least: 3}")
        lines.note(
            "match 用途令牌、mask 脱敏、reveal 原值：取够用的最低一级；不需要的字段删去",
            "match a token, mask, reveal: the lowest rung that serves; delete what is not needed",
        )
        lines.write("fields:")
        for field in contract.fields:
            lines.write(_field(field, language))
    place = f"{FOLDER}/{name}.yaml"
    return Draft(place, {place: "".join(lines.text)})


def lowest_rung(field: Field) -> Rung | None:
    """The lowest rung that is sensible to begin with; None when only the plain value of a sealed field is left."""
    if not field.sealed:
        return Rung.REVEAL
    if field.mask is not None:
        return Rung.MASK
    return Rung.MATCH if field.link_kind is not None else None


class _Lines:
    """The file, line by line; notes in one language."""

    def __init__(self, language: str) -> None:
        self._language = language
        self.text: list[str] = []

    def write(self, line: str) -> None:
        self.text.append(f"{line}\n")

    def note(self, zh: str, en: str | None) -> None:
        self.write(f"# {zh if self._language == 'zh' or en is None else en}")


def _field(field: Field, language: str) -> str:
    rung = lowest_rung(field)
    sensitive = Text(", sensitive", "，敏感个人信息") if field.sensitive_personal else Text("", "")
    said = Text(
        f"{field.title.en}, level {field.level}{sensitive.en}",
        f"{field.title.zh}，{field.level} 级{sensitive.zh}",
    )
    if rung is None:
        why = Text("no mask and no link in the contract: reveal it or leave it out",
                   "契约未提供脱敏与关联：要么给原值，要么不给")  # fmt: skip
        return f"  # {field.name}: reveal # {said.in_language(language)}; {why.in_language(language)}"
    return f"  {field.name}: {rung.word} # {said.in_language(language)}"


def _title(contract: Contract, kind: Kind) -> Iterator[str]:
    words = {
        "intake": (f"{contract.title.zh}报送", f"{contract.title.en}, reported to the district"),
        "delivery": (f"{contract.title.zh}回流", f"{contract.title.en}, given back"),
    }
    for text in words[kind]:
        yield "'" + text.replace("'", "''") + "'"


def _accountable(home: Home, contract: Contract) -> str:
    for holding in home.policies.holdings:
        if holding.role == "exchange_officer" and holding.domain == contract.domain:
            return holding.post
    raise InputError(
        "authoring.post.none",
        Text(f"{contract.domain} has no exchange officer", f"{contract.domain} 没有数据交换专员"),
        remedy=Text("enter one in policies/posts.csv", "请在 policies/posts.csv 中登记"),
        where=Where("policies/posts.csv"),
    )


def _purpose(home: Home, dataset: str, kind: Kind) -> str:
    """What flows of this kind are mostly for; of several, one that covers the dataset already; then what rules of
    this kind are for."""
    flows = Counter(flow.purpose for flow in home.flows.values() if flow.kind == kind)
    wanted = {"write"} if kind == "intake" else {rung.word for rung in Rung if rung is not Rung.COUNT}
    rules = Counter(rule.purpose for rule in home.policies.rules if rule.action in wanted)
    known = home.policies.purposes
    if known:
        return max(
            known,
            key=lambda key: (flows[key] > 0, dataset in known[key].datasets, flows[key], rules[key]),
        )
    raise InputError(
        "authoring.purpose.none",
        Text("no purpose is registered", "尚未登记任何用途"),
        remedy=Text("register one in policies/purposes.yaml", "请先在 policies/purposes.yaml 中登记"),
        where=Where("policies/purposes.yaml"),
    )


def _short(home: Home, code: str) -> str:
    """A department by the first word of its exchange officer's post, the district as such, others by kind and
    code."""
    domain = home.policies.domains[code]
    if domain.kind == "department":
        for holding in home.policies.holdings:
            if holding.domain == code and holding.role == "exchange_officer" and "." in holding.post:
                return holding.post.split(".", 1)[0]
        return code.removeprefix("dept.")
    return "district" if domain.kind == "district" else f"{domain.kind}_{code}"


def _short_of_receivers(home: Home, wish: FlowWish) -> str:
    if len(wish.receivers) == 1:
        return wish.receivers[0] if wish.receivers[0] in PLURALS else _short(home, wish.receivers[0])
    if any(receiver in PLURALS for receiver in wish.receivers):
        raise InputError(
            "authoring.receivers.mixed",
            Text("a plural word stands alone", "“某类全部”须单独使用"),
            remedy=Text(
                f"--to CODE (repeatable), or one of {', '.join(PLURALS)}",
                f"--to 代码（可重复），或 {'、'.join(PLURALS)} 之一",
            ),
        )
    kinds = {home.policies.domains[receiver].kind for receiver in wish.receivers}
    plural = next((word for word, kind in PLURALS.items() if kinds == {kind}), None)
    return f"some_{plural or 'domains'}"


def _known(tree: DomainTree, code: str) -> None:
    if code not in tree:
        raise _unknown(
            "domain", Text("domain", "域"), code, [*PLURALS, *tree.by_code], "policies/domains.csv"
        )


def _unknown(what: str, text: Text, word: str, known: list[str], file: str) -> InputError:
    wrong = unknown(f"authoring.{what}.unknown", text, word, known, Where(file))
    return InputError(wrong.code, wrong.what, remedy=wrong.remedy, where=wrong.where)
