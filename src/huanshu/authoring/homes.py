"""``huanshu init``: the smallest home that passes ``huanshu check`` and runs end to end.

Everything in it is a place-holder that says so: an example district whose code no real place has, five invented
persons, one dataset with its two flows. The new home is read before it appears; what does not read never does.
"""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Final

from huanshu.authoring.datasets import dataset_files
from huanshu.authoring.flow_files import FlowWish, draft_flow
from huanshu.authoring.rendering import rendered
from huanshu.authoring.writing import new_home, put
from huanshu.catalog import read_home

#: Codes that begin with 99 are no real place's.
_VALUES: Final = {
    "district": "990001000000",
    "subdistrict": "990001001000",
    "first": "990001001001",
    "second": "990001001002",
    "dataset": "household",
    "title_zh": "家庭",
    "title_en": "Households",
    "department": "dept.register",
    "steward": "register.steward",
}


def create_home(target: Path, language: str, today: date) -> list[str]:
    """Write the home, valid from this year to the end of the year after next; returns the places written.

    InputError when something is in the way; then nothing is written."""
    values = {
        **_VALUES,
        "from": f"{today.year}-01-01",
        "until": f"{today.year + 2}-12-31",
        "on": f"{today.year}-06-01",
    }
    files = {**rendered("home", language, values), **dataset_files(language, values)}
    with new_home(target) as hidden:
        put(hidden, files)
        home = read_home(hidden)
        dataset, district = values["dataset"], values["district"]
        for wish in (
            FlowWish(dataset, values["department"], (district,), purpose="register_upkeep"),
            FlowWish(dataset, district, ("communities",), purpose="grassroots_service"),
        ):
            draft = draft_flow(home, wish, language)
            put(hidden, draft.files)
            files.update(draft.files)
        read_home(hidden)
    return sorted(files)
