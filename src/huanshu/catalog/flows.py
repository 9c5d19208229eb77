"""dags/flows/<dataset>.<from>_to_<to>.yaml → Flow. One declared exchange a file; the file's stem is its
id."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Final, Literal, cast

from huanshu.catalog import words
from huanshu.catalog.bounds import bounds
from huanshu.catalog.crosschecks import check_purpose
from huanshu.catalog.documents import Node, document
from huanshu.catalog.domains import PARENT_KIND
from huanshu.catalog.faults import Faults
from huanshu.catalog.folder import Folder
from huanshu.catalog.nouns import (
    Contract,
    DomainKind,
    DomainTree,
    Field,
    Flow,
    Purpose,
    Rung,
)
from huanshu.catalog.schedules import schedule
from huanshu.errors import ContentError, Text

FOLDER: Final = "dags/flows"
_FILE: Final = re.compile(r"([a-z][a-z0-9_]*)\.([a-z][a-z0-9_]*)_to_([a-z][a-z0-9_]*)\.yaml")
_REQUIRED: Final = (
    "flow",
    "kind",
    "title",
    "dataset",
    "from",
    "to",
    "purpose",
    "accountable_post",
    "schedule",
)

#: How a delivery goes round its receivers in Airflow (docs/operations.md).
_ROUND: Final = ("runs", "missing_at_most")

#: Rungs that move a field; ``count`` moves none, it answers a question.
RUNGS: Final = tuple(rung.word for rung in Rung if rung is not Rung.COUNT)


def flow_digest(path: Path) -> str:
    """What an approval approves: SHA-256 of the flow file's bytes, lower-case hex."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def flow_files(folder: Folder) -> tuple[str, ...]:
    return tuple(f"{FOLDER}/{name}" for name in folder.names(FOLDER) if name.endswith(".yaml"))


def read_flows(
    folder: Folder,
    tree: DomainTree,
    contracts: Mapping[str, Contract],
    posts: Collection[str],
    purposes: Mapping[str, Purpose],
    faults: Faults,
) -> dict[str, Flow]:
    """All flows by id, in the order of their file names.

    ``contracts``, ``posts`` and ``purposes`` may be empty when their own files are at fault; references are
    then not judged."""
    for error in folder.expect(FOLDER, (), (".yaml",)):
        faults.note(error)
    found: dict[str, Flow] = {}
    for file in flow_files(folder):
        with faults.caught():
            flow = _flow(folder, file, tree, contracts, posts, purposes)
            _alone(flow, found.values())
            found[flow.flow] = flow
    return found


def _alone(flow: Flow, before: Collection[Flow]) -> None:
    """A receiver has one table a dataset: a second flow into it would withdraw what the first delivered."""
    for other in before:
        shared = set(flow.receivers) & set(other.receivers) if other.dataset == flow.dataset else set()
        if shared:
            receiver = next(code for code in flow.receivers if code in shared)
            raise ContentError(
                "flow.receiver.shared",
                Text(
                    f"{receiver} already gets {flow.dataset} by {other.flow}",
                    f"{receiver} 已由流向 {other.flow} 取得 {flow.dataset}",
                ),
                remedy=Text(
                    "give each receiver one flow of a dataset: join the two, or part their receivers",
                    "同一数据集对同一接收方只设一条流向：请合并，或分开接收方",
                ),
                where=flow.where,
            )


def _flow(
    folder: Folder,
    file: str,
    tree: DomainTree,
    contracts: Mapping[str, Contract],
    posts: Collection[str],
    purposes: Mapping[str, Purpose],
) -> Flow:
    root = document(folder, file)
    members = root.mapping(_REQUIRED, ("fields", "expect", *_ROUND))
    kind = cast("Literal['intake', 'delivery']", members["kind"].word(("intake", "delivery")))
    dataset = members["dataset"].name()
    if contracts and dataset not in contracts:
        raise words.unknown(
            "flow.dataset.unknown", Text("dataset", "数据集"), dataset, contracts, members["dataset"].where
        )
    contract = contracts.get(dataset)
    flow = members["flow"].text()
    _named(file, flow, dataset, members["flow"])
    post = members["accountable_post"].identifier()
    if posts and post not in posts:
        raise words.unknown(
            "flow.post.unknown", Text("post", "岗位"), post, posts, members["accountable_post"].where
        )
    source = _domain(members["from"], tree)
    if kind == "intake" and contract is not None and source != contract.domain:
        raise ContentError(
            "flow.source.unauthoritative",
            Text(
                f"{dataset} comes from {contract.domain}, not from {source}",
                f"{dataset} 的来源部门是 {contract.domain}，不是 {source}",
            ),
            remedy=Text(f"write from: {contract.domain}", f"请写 from: {contract.domain}"),
            where=members["from"].where,
        )
    purpose = members["purpose"].name()
    check_purpose("flow", purpose, dataset, purposes, members["purpose"].where)
    receivers = _receivers(members["to"], tree, kind)
    runs, missing_at_most = _round(members, kind, len(receivers))
    return Flow(
        flow=flow,
        kind=kind,
        title=members["title"].title(),
        dataset=dataset,
        source=source,
        receivers=receivers,
        purpose=purpose,
        accountable_post=post,
        schedule=schedule(members["schedule"].text(), members["schedule"].where, asset=kind == "delivery"),
        fields=_fields(root, members.get("fields"), kind, contract),
        expect=bounds(root, members.get("expect"), kind),
        digest=folder.sha256(file),
        where=root.where,
        runs=runs,
        missing_at_most=missing_at_most,
    )


def _round(
    members: Mapping[str, Node], kind: str, receivers: int
) -> tuple[Literal["one", "per_receiver"], int]:
    given = [members[key] for key in _ROUND if key in members]
    if kind == "intake" and given:
        raise ContentError(
            "flow.round.idle",
            Text("an intake has one receiver, the district", "报送只有区级一个接收方"),
            remedy=Text("remove runs and missing_at_most", "请删除 runs 与 missing_at_most"),
            where=given[0].where,
        )
    runs = members["runs"].word(("one", "per_receiver")) if "runs" in members else "one"
    most = members["missing_at_most"].integer(0, max(receivers - 1, 0)) if "missing_at_most" in members else 0
    return cast("Literal['one', 'per_receiver']", runs), most


def _named(file: str, flow: str, dataset: str, node: Node) -> None:
    name = file.rsplit("/", 1)[1]
    match = _FILE.fullmatch(name)
    if match is None or flow != name.removesuffix(".yaml") or match[1] != dataset:
        raise ContentError(
            "flow.name.misfiled",
            Text(
                f"flow “{flow}” of {dataset} cannot stand in {name}",
                f"流向“{flow}”（{dataset}）不应写在 {name} 中",
            ),
            remedy=Text(
                "name the file <dataset>.<from>_to_<to>.yaml and the flow alike",
                "文件名为 <数据集>.<来源>_to_<去向>.yaml，且与 flow 相同",
            ),
            where=node.where,
        )


def _domain(node: Node, tree: DomainTree) -> str:
    code = node.text()
    if tree.by_code and code not in tree:
        raise words.unknown("flow.domain.unknown", Text("domain", "域"), code, tree.by_code, node.where)
    return code


def _receivers(node: Node, tree: DomainTree, kind: str) -> tuple[str, ...]:
    """Codes in tree order. ``to`` is a list of codes, or {kind, below}: all domains of a kind below one."""
    if node.members is not None:
        members = node.mapping(("kind", "below"))
        wanted = cast("DomainKind", members["kind"].word(PARENT_KIND))
        below = _domain(members["below"], tree)
        chosen = [d.code for d in tree.below(below, wanted)] if below in tree else []
    else:
        listed = [_domain(item, tree) for item in node.list()]
        for item, code in zip(node.list(), listed, strict=True):
            if listed.count(code) > 1:
                raise ContentError(
                    "flow.receiver.duplicate",
                    Text(f"{code} comes twice", f"{code} 重复"),
                    remedy=Text("name each receiver once", "每个接收方只写一次"),
                    where=item.where,
                )
        chosen = [d.code for d in tree if d.code in set(listed)]
    if tree.by_code and not chosen:
        raise ContentError(
            "flow.receiver.none",
            Text("the flow reaches nobody", "该流向没有接收方"),
            remedy=Text(
                "check kind and below against policies/domains.csv",
                "请对照 policies/domains.csv 检查 kind 与 below",
            ),
            where=node.where,
        )
    if kind == "intake" and chosen and chosen != [tree.district.code]:
        raise ContentError(
            "flow.receiver.unfit",
            Text("an intake goes to the district and nowhere else", "报送流向只能到区级"),
            remedy=Text(f"write to: ['{tree.district.code}']", f"请写 to: ['{tree.district.code}']"),
            where=node.where,
        )
    return tuple(chosen)


def _fields(root: Node, node: Node | None, kind: str, contract: Contract | None) -> dict[str, Rung]:
    if kind == "intake":
        if node is not None:
            raise ContentError(
                "flow.fields.idle",
                Text("an intake writes every field of the contract", "报送写入契约的全部字段"),
                remedy=Text("remove fields", "请删除 fields"),
                where=node.where,
            )
        return {}
    if node is None or not node.any_mapping():
        raise ContentError(
            "flow.fields.none",
            Text("a delivery must name its fields", "交付必须列出字段"),
            remedy=Text(
                "fields: {<field>: mask | match | reveal}", "fields: {<字段>: mask | match | reveal}"
            ),
            where=(node or root).where,
        )
    found: dict[str, Rung] = {}
    names = {f.name for f in contract.fields} if contract else set()
    for name, rung in node.any_mapping().items():
        if names and name not in names:
            raise words.unknown("flow.field.unknown", Text("field", "字段"), name, names, rung.where)
        found[name] = Rung.of(rung.word(RUNGS))
        if contract is not None:
            _offered(contract.field(name), found[name], rung)
    return found


def _offered(field: Field, rung: Rung, node: Node) -> None:
    """``mask`` needs ``huanshu.mask`` in the contract, ``match`` needs ``huanshu.link``."""
    missing = {Rung.MASK: field.mask is None, Rung.MATCH: field.link_kind is None}.get(rung, False)
    if missing:
        prop = "huanshu.mask" if rung is Rung.MASK else "huanshu.link"
        raise ContentError(
            "flow.rung.unoffered",
            Text(f"{field.name} is not offered at {rung.word}", f"{field.name} 不提供 {rung.word} 级"),
            remedy=Text(
                f"ask for another rung, or let the steward add {prop} to the contract",
                f"请改用其他级别，或由数据管家在契约中补充 {prop}",
            ),
            where=node.where,
        )
