"""``huanshu dataset new``: contract, suite and samples of a dataset, as a skeleton that already passes ``check``."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

from huanshu.authoring.rendering import rendered
from huanshu.authoring.writing import Draft
from huanshu.catalog import Home
from huanshu.catalog.words import name as check_name
from huanshu.catalog.words import unknown
from huanshu.errors import ContentError, InputError, Text, Where

DatasetDraft = Draft


def dataset_files(language: str, values: Mapping[str, str]) -> dict[str, str]:
    """Place in the home → text. ``values``: dataset, titles, department, steward, first, second, district, on."""
    folder = f"expectations/{values['dataset']}"
    return {f"{folder}/{place}": text for place, text in rendered("dataset", language, values).items()}


def draft_dataset(
    home: Home, dataset: str, language: str, today: date, *, department: str | None = None
) -> DatasetDraft:
    """The files of a new dataset. ``department`` may be left out when only one has a steward.

    InputError for a name that cannot be one, a department that is none or has no steward."""
    _named(dataset)
    code, steward = _owner(home, department)
    communities = [d.code for d in home.policies.domains if d.kind == "community"]
    if not communities:
        raise ContentError(
            "authoring.community.none",
            Text("the home has no community", "治理目录中没有社区"),
            remedy=Text("add one; records belong to communities", "请先添加社区；记录须归属社区"),
            where=Where("policies/domains.csv"),
        )
    values = {
        "dataset": dataset,
        "title_zh": dataset,
        "title_en": dataset,
        "department": code,
        "steward": steward,
        "district": home.policies.domains.district.code,
        "first": communities[0],
        "second": communities[-1],
        "on": today.isoformat(),
    }
    return Draft(f"expectations/{dataset}", dataset_files(language, values))


def _named(dataset: str) -> None:
    try:
        check_name(dataset, Where("command line"))
    except ContentError as error:
        raise InputError(
            "authoring.dataset.malformed", error.what, remedy=error.remedy, where=error.where
        ) from None


def _owner(home: Home, department: str | None) -> tuple[str, str]:
    """(department, its steward's post)"""
    stewards: dict[str, str] = {}
    for holding in home.policies.holdings:
        if holding.role == "steward" and home.policies.domains[holding.domain].kind == "department":
            stewards.setdefault(holding.domain, holding.post)
    if department is None:
        if len(stewards) == 1:
            return next(iter(stewards.items()))
        raise InputError(
            "authoring.department.unclear",
            Text("which department is the source?", "数据来自哪个部门？"),
            remedy=Text(
                f"--department, one of: {', '.join(sorted(stewards))}",
                f"--department 取值之一：{'、'.join(sorted(stewards))}",
            ),
        )
    if department not in stewards:
        wrong = unknown(
            "authoring.department.unknown",
            Text("department with a steward", "设有数据管家的部门"),
            department,
            stewards,
            Where("policies/posts.csv"),
        )
        raise InputError(wrong.code, wrong.what, remedy=wrong.remedy, where=wrong.where)
    return department, stewards[department]
