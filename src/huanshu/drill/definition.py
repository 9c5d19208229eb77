"""A drill as reviewed data: audit/drills/<id>.yaml, read as strictly as every content file; an unknown or missing key,
or a file that is no drill, is an error with its line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, cast

from huanshu.catalog.documents import Node, document
from huanshu.catalog.folder import Folder
from huanshu.errors import ContentError, Text, Where

FOLDER: Final = "audit/drills"
_KEYS: Final = (
    "id", "verb", "title", "class", "asset", "threat", "attack", "cwe", "asvs", "regulation", "actors", "steps",
    "oracle", "control", "twin", "restored_when", "idempotent", "timeout_s", "owner", "review_by",
)  # fmt: skip
_LONGEST: Final = 3600


@dataclass(frozen=True, slots=True)
class Drill:
    """One drill. ``actors`` parametrises its verb; ``steps`` are for people."""

    id: str
    verb: str
    title: Text
    kind: Literal["P", "S"]
    technique: str
    steps: tuple[Text, ...]
    actors: Mapping[str, Any]
    switch_off: Text
    #: Seconds within which the drill's finding must be there.
    within_s: int
    where: Where


def read_drills(home: Path) -> list[Drill]:
    """All drills of a home, by id. Raises the first ContentError."""
    folder = Folder(home)
    for error in folder.expect(FOLDER, (), (".yaml",)):
        raise error
    return [_read(folder, f"{FOLDER}/{name}") for name in folder.names(FOLDER) if name.endswith(".yaml")]


def sound_drills(home: Path) -> Iterator[ContentError]:
    """The fault that keeps the drills of a home from being read, if there is one (for ``huanshu check``)."""
    try:
        read_drills(home)
    except ContentError as error:
        yield error


def _read(folder: Folder, file: str) -> Drill:
    said = document(folder, file).mapping(_KEYS)
    stem = Path(file).stem
    if said["id"].name() != stem:
        raise ContentError(
            "drill.id.misfiled",
            Text("the id is not the file's stem", "id 与文件名不一致"),
            remedy=Text(f"write id: {stem}, or rename the file", f"请写 id: {stem}，或改文件名"),
            where=said["id"].where,
        )
    for key in ("asset", "threat"):
        said[key].text()
    for key in ("cwe", "asvs", "regulation", "twin"):
        for item in said[key].list():
            item.integer(1, 9999) if key == "cwe" else item.text()
    attack = said["attack"].mapping(("technique", "tactic", "attack_version"))
    oracle = said["oracle"].mapping(("prevent", "detect", "evidence"))
    oracle["prevent"].text()
    within_s = oracle["detect"].mapping(("finding", "within_s"))["within_s"].integer(1, _LONGEST)
    control = said["control"].mapping(("switch_off", "must"))
    restored = said["restored_when"].mapping(("state_digest_equal", "audit_growth"))
    restored["state_digest_equal"].boolean()
    restored["audit_growth"].integer(0, 1_000_000)
    said["idempotent"].boolean()
    said["timeout_s"].integer(1, _LONGEST)
    said["owner"].identifier()
    said["review_by"].day()
    return Drill(
        id=stem,
        verb=said["verb"].name(),
        title=said["title"].title(),
        kind=cast("Literal['P', 'S']", said["class"].word(("P", "S"))),
        technique=attack["technique"].text(),
        steps=tuple(step.title() for step in said["steps"].list()),
        actors=_actors(said["actors"]),
        switch_off=control["switch_off"].title(),
        within_s=within_s,
        where=Where(file),
    )


def _actors(node: Node) -> dict[str, object]:
    """What the verb is given: words and numbers by name."""
    return {name: value.value() for name, value in node.any_mapping().items()}
