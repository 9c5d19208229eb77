"""expectations/<dataset>/contract.yaml → Contract: the part of ODCS v3.1.0 that the platform obeys.

Taken: apiVersion, kind, id, version, status, name, domain, description, tags, customProperties, and one
schema object with its properties (name, logicalType, required, primaryKey, businessName, description, tags,
customProperties). A key that ODCS knows but nothing here obeys (``servers``, ``quality``,
``slaProperties``, …) is refused by name rather than silently ignored; a contract therefore never carries
hosts or credentials. Custom properties are those of ``huanshu.*`` below, each once. A contract without this
module's additions stays a valid ODCS 3.1.0 file.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final, Literal, cast, get_args

from huanshu.catalog import words
from huanshu.catalog.documents import Node, document
from huanshu.catalog.faults import Faults
from huanshu.catalog.folder import Folder
from huanshu.catalog.nouns import Contract, DomainTree, Field, LinkKind, Subject
from huanshu.errors import ContentError, Text

API_VERSION: Final = "v3.1.0"

_ROOT_REQUIRED: Final = (
    "apiVersion",
    "kind",
    "id",
    "version",
    "status",
    "domain",
    "schema",
    "customProperties",
)
_ROOT_OPTIONAL: Final = ("name", "description", "tags")
_OBJECT_REQUIRED: Final = ("name", "logicalType", "properties")
_OBJECT_OPTIONAL: Final = ("businessName", "description", "physicalType", "tags")
_FIELD_REQUIRED: Final = ("name", "logicalType", "customProperties")
_FIELD_OPTIONAL: Final = ("required", "primaryKey", "businessName", "description", "tags")

#: Keys of ODCS v3.1.0 that nothing here obeys yet.
_ODCS: Final = frozenset(
    {
        "tenant",
        "servers",
        "dataProduct",
        "support",
        "price",
        "team",
        "roles",
        "slaDefaultElement",
        "slaProperties",
        "authoritativeDefinitions",
        "contractCreatedTs",
        "physicalName",
        "dataGranularityDescription",
        "relationships",
        "quality",
        "primaryKeyPosition",
        "logicalTypeOptions",
        "physicalType",
        "unique",
        "partitioned",
        "partitionKeyPosition",
        "classification",
        "encryptedName",
        "transformSourceObjects",
        "transformLogic",
        "transformDescription",
        "examples",
        "criticalDataElement",
        "items",
        "properties",
        "customProperties",
        "id",
    }
)

_DATASET_CUSTOM: Final = (
    "huanshu.title",
    "huanshu.description",
    "huanshu.homeField",
    "huanshu.subjects",
    "huanshu.stewardPost",
    "huanshu.legalBasis",
)
_DATASET_CUSTOM_OPTIONAL: Final = ("huanshu.minimumGroup",)
_FIELD_CUSTOM: Final = ("huanshu.title", "huanshu.level", "huanshu.sensitivePersonal")
_FIELD_CUSTOM_OPTIONAL: Final = ("huanshu.width", "huanshu.link", "huanshu.mask", "huanshu.authority")

#: Logical types of ODCS that a field may have; time, object and array are refused.
_LOGICAL: Final = ("string", "integer", "number", "boolean", "date", "timestamp")
#: The widest sealed value. A record of thirty such fields still fits PostgreSQL's page with TOAST.
MAX_WIDTH: Final = 4096
#: Of how many a count speaks at least, where a contract says nothing; and the least that one may say.
MINIMUM_GROUP: Final = 10
_SMALLEST_GROUP: Final = 5


def read_contract(
    folder: Folder, dataset: str, tree: DomainTree, posts: Collection[str], faults: Faults
) -> Contract | None:
    """The contract of one dataset; None when faults of its fields were noted. Raises ContentError for the
    rest.

    ``tree`` and ``posts`` may be empty when their own files are at fault; references are then not judged."""
    file = f"expectations/{dataset}/contract.yaml"
    root = document(folder, file)
    members = _obeyed(root, _ROOT_REQUIRED, _ROOT_OPTIONAL)
    members["apiVersion"].word((API_VERSION,))
    members["kind"].word(("DataContract",))
    members["id"].text()
    members["status"].word(("proposed", "draft", "active", "deprecated", "retired"))
    _prose(members)
    table = _table(members["schema"], dataset)
    custom = _custom(members["customProperties"], _DATASET_CUSTOM, _DATASET_CUSTOM_OPTIONAL)
    departments = frozenset(d.code for d in tree if d.kind == "department")
    fields = _fields(table["properties"], members["domain"].text(), departments, faults)
    if not faults.clean(file):
        return None
    by_name = {f.name: f for f in fields}
    return Contract(
        dataset=dataset,
        version=members["version"].text(),
        title=custom["huanshu.title"].title(),
        description=custom["huanshu.description"].title(),
        domain=_department(members["domain"], "contract.domain.unknown", departments),
        steward_post=_steward(custom["huanshu.stewardPost"], posts),
        legal_basis=custom["huanshu.legalBasis"].text(),
        home_field=_home_field(custom["huanshu.homeField"], by_name),
        subjects=_subjects(custom["huanshu.subjects"], by_name),
        fields=fields,
        digest=folder.sha256(file),
        where=root.where,
        minimum_group=_minimum_group(custom),
    )


def _minimum_group(custom: Mapping[str, Node]) -> int:
    named = custom.get("huanshu.minimumGroup")
    return MINIMUM_GROUP if named is None else named.integer(_SMALLEST_GROUP, 100_000)


def _department(node: Node, problem: str, departments: Collection[str]) -> str:
    code = words.domain_code(node.text(), node.where)
    if departments and code not in departments:
        raise words.unknown(problem, Text("department", "部门"), code, departments, node.where)
    return code


def _steward(node: Node, posts: Collection[str]) -> str:
    post = node.identifier()
    if posts and post not in posts:
        raise words.unknown("contract.steward.unknown", Text("post", "岗位"), post, posts, node.where)
    return post


def _obeyed(node: Node, required: tuple[str, ...], optional: tuple[str, ...]) -> Mapping[str, Node]:
    for key, member in node.any_mapping().items():
        if key not in required and key not in optional and key in _ODCS:
            raise ContentError(
                "contract.key.unsupported",
                Text(f"ODCS knows {key}, but nothing here obeys it", f"{key} 是 ODCS 的键，但本平台尚不执行"),
                remedy=Text("remove it, so that nobody relies on it", "请删除，以免误以为已生效"),
                where=member.where,
            )
    return node.mapping(required, optional)


def _prose(members: Mapping[str, Node]) -> None:
    """Checks the shape of what only people read."""
    if "description" in members:
        for node in members["description"].mapping((), ("purpose", "usage", "limitations")).values():
            node.text()
    for key in ("name", "businessName"):
        if key in members:
            members[key].text()
    if "tags" in members:
        for node in members["tags"].list():
            node.text()


def _table(schema: Node, dataset: str) -> Mapping[str, Node]:
    objects = schema.list()
    if len(objects) != 1:
        raise ContentError(
            "contract.schema.count",
            Text(f"the contract has {len(objects)} schema objects", f"契约含 {len(objects)} 个对象"),
            remedy=Text("one contract describes one dataset", "一份契约只描述一个数据集"),
            where=objects[1].where,
        )
    table = _obeyed(objects[0], _OBJECT_REQUIRED, _OBJECT_OPTIONAL)
    table["logicalType"].word(("object",))
    if table["name"].name() != dataset:
        raise ContentError(
            "contract.dataset.misfiled",
            Text(
                f"the folder is {dataset}, the dataset {table['name'].text()}",
                f"目录名为 {dataset}，数据集名为 {table['name'].text()}",
            ),
            remedy=Text("give both the same name", "请使两者一致"),
            where=table["name"].where,
        )
    _strings(table, ("businessName", "description", "physicalType"))
    return table


def _strings(members: Mapping[str, Node], keys: tuple[str, ...]) -> None:
    for key in keys:
        if key in members:
            members[key].text()
    if "tags" in members:
        for node in members["tags"].list():
            node.text()


def _custom(node: Node, required: tuple[str, ...], optional: tuple[str, ...]) -> dict[str, Node]:
    """ODCS ``customProperties`` ([{property, value}]) by property name."""
    found: dict[str, Node] = {}
    for item in node.list():
        members = item.mapping(("property", "value"), ("description",))
        key = members["property"].text()
        if key not in required and key not in optional:
            raise ContentError(
                "contract.custom.unknown",
                Text(f"“{key}” is no custom property of this place", f"此处没有自定义属性“{key}”"),
                remedy=words.hint(key, {*required, *optional} - set(found)),
                where=members["property"].where,
            )
        if key in found:
            raise ContentError(
                "contract.custom.duplicate",
                Text(f"{key} comes twice", f"{key} 重复"),
                remedy=Text("delete one of the two", "请删除其中一个"),
                where=members["property"].where,
            )
        found[key] = members["value"]
    for key in required:
        if key not in found:
            missing = (
                "contract.classification.missing" if key in _CLASSIFICATION else "contract.custom.missing"
            )
            raise ContentError(
                missing,
                Text(f"{key} is missing", f"缺少 {key}"),
                remedy=Text(f"required here: {', '.join(required)}", f"此处必填：{', '.join(required)}"),
                where=node.where,
            )
    return found


_CLASSIFICATION: Final = frozenset({"huanshu.level", "huanshu.sensitivePersonal"})


def _fields(
    properties: Node, authority: str, departments: Collection[str], faults: Faults
) -> tuple[Field, ...]:
    found: dict[str, Field] = {}
    for node in properties.list():
        with faults.caught():
            _add_field(_field(node, authority, departments), found)
    if faults.clean(properties.file):
        _primary_key(properties, found)
    return tuple(found.values())


def _add_field(field: Field, found: dict[str, Field]) -> None:
    if field.name in found:
        first = found[field.name].where.line
        raise ContentError(
            "contract.field.duplicate",
            Text(f"field {field.name} comes twice", f"字段 {field.name} 重复"),
            remedy=Text(f"the first is on line {first}", f"第一个在第 {first} 行"),
            where=field.where,
        )
    found[field.name] = field


def _primary_key(properties: Node, found: Mapping[str, Field]) -> None:
    keys = [f for f in found.values() if f.primary_key]
    if len(keys) != 1 or not keys[0].required or keys[0].link_kind is None:
        raise ContentError(
            "contract.primary_key.unfit",
            Text(
                "the contract needs one primary key, required and with huanshu.link",
                "须恰有一个主键，且必填并带 huanshu.link",
            ),
            remedy=Text("records are found by the link of their primary key", "记录按主键的关联值查找"),
            where=keys[-1].where if keys else properties.where,
        )


def _field(node: Node, authority: str, departments: Collection[str]) -> Field:
    """``authority``: the dataset's department, which answers for every field that names no other."""
    members = _obeyed(node, _FIELD_REQUIRED, _FIELD_OPTIONAL)
    _strings(members, ("businessName", "description"))
    name = members["name"].name()
    custom = _custom(members["customProperties"], _FIELD_CUSTOM, _FIELD_CUSTOM_OPTIONAL)
    field = Field(
        name=name,
        title=custom["huanshu.title"].title(),
        logical_type=cast(
            "Literal['string', 'integer', 'number', 'boolean', 'date', 'timestamp']",
            members["logicalType"].word(_LOGICAL),
        ),
        required=members["required"].boolean() if "required" in members else False,
        primary_key=members["primaryKey"].boolean() if "primaryKey" in members else False,
        level=custom["huanshu.level"].integer(1, 4),
        sensitive_personal=custom["huanshu.sensitivePersonal"].boolean(),
        width=custom["huanshu.width"].integer(1, MAX_WIDTH) if "huanshu.width" in custom else None,
        link_kind=_link_kind(custom["huanshu.link"]) if "huanshu.link" in custom else None,
        mask=custom["huanshu.mask"].name() if "huanshu.mask" in custom else None,
        authority=_department(custom["huanshu.authority"], "contract.authority.unknown", departments)
        if "huanshu.authority" in custom
        else authority,
        where=members["name"].where,
    )
    _width(field, custom)
    return field


def _link_kind(node: Node) -> str:
    kind = node.text()
    if kind not in get_args(LinkKind):
        raise words.unknown(
            "contract.link.unknown",
            Text("kind of identifier", "标识种类"),
            kind,
            get_args(LinkKind),
            node.where,
        )
    return kind


def _width(field: Field, custom: Mapping[str, Node]) -> None:
    if field.sealed and field.width is None:
        raise ContentError(
            "contract.width.missing",
            Text(
                f"{field.name} is sealed but has no huanshu.width",
                f"{field.name} 须密封，却没有 huanshu.width",
            ),
            remedy=Text(
                "give the longest value in UTF-8 bytes; lengths must not show",
                "请填最长值的 UTF-8 字节数；长度不得外露",
            ),
            where=field.where,
        )
    if not field.sealed and field.width is not None:
        raise ContentError(
            "contract.width.idle",
            Text(
                f"{field.name} is stored plain, its huanshu.width says otherwise",
                f"{field.name} 明文存放，不应有 huanshu.width",
            ),
            remedy=Text("remove the width, or raise the level", "请删除宽度，或调高级别"),
            where=custom["huanshu.width"].where,
        )


def _home_field(node: Node, fields: Mapping[str, Field]) -> str:
    name = node.text()
    if name not in fields:
        raise words.unknown("contract.home_field.unknown", Text("field", "字段"), name, fields, node.where)
    if fields[name].sealed or not fields[name].required:
        raise ContentError(
            "contract.home_field.unfit",
            Text(
                f"the home field {name} must be stored plain and required",
                f"归属字段 {name} 须明文存放且必填",
            ),
            remedy=Text("records are routed by it without opening anything", "系统不开启密文即按此字段分发"),
            where=node.where,
        )
    return name


def _subjects(node: Node, fields: Mapping[str, Field]) -> tuple[Subject, ...]:
    found: list[Subject] = []
    # None is a true answer (a dataset about places); so an empty list is allowed here.
    for item in node.items if node.items is not None else node.list():
        members = item.mapping(("kind", "field"))
        name = members["field"].text()
        if name not in fields:
            raise words.unknown(
                "contract.subject.unknown", Text("field", "字段"), name, fields, members["field"].where
            )
        if fields[name].link_kind is None:
            raise ContentError(
                "contract.subject.unlinked",
                Text(
                    f"{name} names a subject but has no huanshu.link", f"{name} 指向主体，却没有 huanshu.link"
                ),
                remedy=Text(
                    "give the kind of identifier, e.g. citizen_number", "请填写标识种类，例如 citizen_number"
                ),
                where=members["field"].where,
            )
        kind = cast("Literal['person', 'organisation']", members["kind"].word(("person", "organisation")))
        found.append(Subject(kind, name))
    return tuple(found)
