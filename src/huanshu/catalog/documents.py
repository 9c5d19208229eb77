"""YAML content files, read by what the reader expects and never by what YAML guesses.

YAML turns ``no`` into false, ``010`` into eight and ``2026-01-31`` into a date, each reader differently.
Here a value is what its place asks for: text that another reader would take for something else must be
quoted, true and false are the only booleans, a date is an ISO date. Anchors, aliases, tags, merges and
second documents are refused, a key comes once, and every value remembers its line and its path
(``fields.name``).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Final

import yaml

from huanshu.catalog import words
from huanshu.catalog.folder import Folder
from huanshu.errors import ContentError, Text, Where

_LOADER: Final[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_RESOLVER: Final[Any] = yaml.resolver.Resolver()
_MAX_DEPTH: Final = 24

#: Plain text that PyYAML leaves alone but YAML 1.1 or 1.2 readers do not: y, n, 0o17.
_ALSO_AMBIGUOUS: Final = re.compile(r"[yYnN]|0o[0-7]+|[-+]?[0-9][0-9_]*")
_INTEGER: Final = re.compile(r"-?(?:0|[1-9][0-9]{0,17})")
_FLOAT: Final = re.compile(r"-?(?:0|[1-9][0-9]{0,15})\.[0-9]{1,15}")


@dataclass(frozen=True, slots=True)
class Node:
    """One value of a document: exactly one of scalar, items and members is set."""

    file: str
    line: int
    path: str
    scalar: str | None = None
    plain: bool = False
    items: tuple[Node, ...] | None = None
    members: Mapping[str, Node] | None = field(default=None, hash=False)

    @property
    def where(self) -> Where:
        return Where(self.file, self.line, self.path or None)

    def mapping(self, required: Collection[str], optional: Collection[str] = ()) -> Mapping[str, Node]:
        """The members, which must be exactly these keys."""
        members = self.any_mapping()
        allowed = {*required, *optional}
        for key, node in members.items():
            if key not in allowed:
                raise ContentError(
                    "content.key.unknown",
                    Text(f"“{key}” is no key of this place", f"此处没有“{key}”这个键"),
                    remedy=words.hint(key, allowed - set(members)),
                    where=node.where,
                )
        for key in required:
            if key not in members:
                raise ContentError(
                    "content.key.missing",
                    Text(f"key {key} is missing", f"缺少键 {key}"),
                    remedy=Text(f"keys: {', '.join(required)}", f"必填的键：{', '.join(required)}"),
                    where=self.where,
                )
        return members

    def any_mapping(self) -> Mapping[str, Node]:
        """The members, whatever their keys."""
        if self.members is None:
            raise self._type(Text("keys and values", "键和值"))
        return self.members

    def list(self) -> tuple[Node, ...]:
        """The items, at least one."""
        if self.items is None:
            raise self._type(Text("a list", "列表"))
        if not self.items:
            raise ContentError(
                "content.list.empty",
                Text("the list is empty", "列表为空"),
                remedy=Text("name at least one", "至少写一项"),
                where=self.where,
            )
        return self.items

    def text(self) -> str:
        """Text, not empty; plain text that YAML may take for another type is refused."""
        if self.scalar is None or not self.scalar.strip():
            raise self._type(Text("text", "文本"))
        if self.plain and _guessed(self.scalar):
            raise self._ambiguous(self.scalar)
        return self.scalar

    def identifier(self) -> str:
        return words.identifier(self.text(), self.where)

    def name(self) -> str:
        return words.name(self.text(), self.where)

    def word(self, allowed: Collection[str]) -> str:
        return words.word(self.text(), allowed, self.where)

    def title(self) -> Text:
        """``{zh, en}``, both filled."""
        members = self.mapping(("zh", "en"))
        return Text(en=members["en"].text().strip(), zh=members["zh"].text().strip())

    def integer(self, low: int, high: int) -> int:
        if self.scalar is None or not self.plain:
            raise self._type(Text("a whole number", "整数"))
        return words.integer(self.scalar, self.where, low, high)

    def boolean(self) -> bool:
        """``true`` or ``false``; yes, no, on and off are refused because readers disagree on them."""
        if self.scalar not in {"true", "false"} or not self.plain:
            raise self._type(Text("true or false", "true 或 false"))
        return self.scalar == "true"

    def day(self) -> date:
        if self.scalar is None:
            raise self._type(Text("a date", "日期"))
        return words.day(self.scalar, self.where)

    def value(self) -> object:
        """Whatever stands here as Python objects (None, bool, int, float, str, list, dict), nothing
        guessed."""
        if self.members is not None:
            return {key: node.value() for key, node in self.members.items()}
        if self.items is not None:
            return [node.value() for node in self.items]
        scalar = self.scalar or ""
        if not self.plain:
            return scalar
        if scalar in {"null", "true", "false"}:
            return {"null": None, "true": True, "false": False}[scalar]
        if _INTEGER.fullmatch(scalar):
            return int(scalar)
        if _FLOAT.fullmatch(scalar):
            return float(scalar)
        if _guessed(scalar):
            raise self._ambiguous(scalar)
        return scalar

    def _type(self, expected: Text) -> ContentError:
        return ContentError(
            "content.value.type",
            Text(f"{expected.en} expected here", f"此处应为{expected.zh}"),
            remedy=Text("correct the value", "请更正此值"),
            where=self.where,
        )

    def _ambiguous(self, scalar: str) -> ContentError:
        return ContentError(
            "content.value.ambiguous",
            Text(
                f"YAML readers disagree on what {scalar[:40]!r} is",
                f"不同 YAML 解析器对 {scalar[:40]!r} 理解不一",
            ),
            remedy=Text("put it in quotation marks", "请加引号"),
            where=self.where,
        )


def document(folder: Folder, file: str) -> Node:
    """The one document of a YAML file. Raises ContentError ``content.yaml.*`` and
    ``content.key.duplicate``."""
    text = folder.text(file)
    try:
        return _Composer(file, text).document()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise ContentError(
            "content.yaml.malformed",
            Text(
                f"no valid YAML: {error.problem or 'syntax'}", f"YAML 语法错误：{error.problem or 'syntax'}"
            ),
            remedy=Text("check indentation, colons and quotation marks", "请检查缩进、冒号和引号"),
            where=Where(file, mark.line + 1 if mark else None),
        ) from None


def _guessed(scalar: str) -> bool:
    tag = _RESOLVER.resolve(yaml.ScalarNode, scalar, (True, False))
    return tag != "tag:yaml.org,2002:str" or _ALSO_AMBIGUOUS.fullmatch(scalar) is not None


class _Composer:
    """Builds nodes from the parser's events, so that every refusal has its line."""

    def __init__(self, file: str, text: str) -> None:
        self._file = file
        self._events: Iterator[Any] = iter(yaml.parse(text, Loader=_LOADER))

    def document(self) -> Node:
        next(self._events)  # stream start
        event = next(self._events)
        if not isinstance(event, yaml.DocumentStartEvent):
            raise self._refused(event, "empty", Text("the file holds no document", "文件没有内容"))
        root = self._node(next(self._events), "", 0)
        next(self._events)  # document end
        event = next(self._events)
        if not isinstance(event, yaml.StreamEndEvent):
            raise self._refused(
                event, "documents", Text("a second document begins here", "此处开始了第二个文档")
            )
        return root

    def _node(self, event: Any, path: str, depth: int) -> Node:
        line = event.start_mark.line + 1
        if depth > _MAX_DEPTH:
            raise self._refused(event, "deep", Text("the file is nested too deeply", "嵌套过深"))
        if isinstance(event, yaml.AliasEvent) or event.anchor is not None:
            raise self._refused(
                event, "alias", Text("anchors and aliases are not allowed", "不允许使用锚点和别名")
            )
        if event.tag is not None:
            raise self._refused(event, "tag", Text("tags (!) are not allowed", "不允许使用标签（!）"))
        if isinstance(event, yaml.ScalarEvent):
            return Node(self._file, line, path, scalar=event.value, plain=not event.style)
        if isinstance(event, yaml.SequenceStartEvent):
            items: list[Node] = []
            while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
                items.append(self._node(event, f"{path}[{len(items)}]", depth + 1))
            return Node(self._file, line, path, items=tuple(items))
        members: dict[str, Node] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            key = self._node(event, path, depth + 1)
            if key.scalar is None:
                raise self._refused(event, "key", Text("a key must be a word", "键必须是一个词"))
            inner = f"{path}.{key.scalar}" if path else key.scalar
            if key.scalar in members:
                raise ContentError(
                    "content.key.duplicate",
                    Text(f"key {key.scalar} comes twice", f"键 {key.scalar} 重复"),
                    remedy=Text(
                        f"delete one of the two; the first is on line {members[key.scalar].line}",
                        f"请删除其中一个，第一个在第 {members[key.scalar].line} 行",
                    ),
                    where=Where(self._file, key.line, inner),
                )
            value = self._node(next(self._events), inner, depth + 1)
            # An empty value stands nowhere; its key's line is the one to show.
            members[key.scalar] = value if value.line == key.line else _at(value, key.line)
        return Node(self._file, line, path, members=members)

    def _refused(self, event: Any, problem: str, what: Text) -> ContentError:
        return ContentError(
            f"content.yaml.{problem}",
            what,
            remedy=Text("write it out in plain keys, lists and text", "请用普通的键、列表和文本写出"),
            where=Where(self._file, event.start_mark.line + 1),
        )


def _at(node: Node, line: int) -> Node:
    return Node(node.file, line, node.path, node.scalar, node.plain, node.items, node.members)
