"""The ``mask`` rung: what remains readable of a value. Format-preserving, one function per mask name.

A mask keeps what a person needs to recognise a record beside another paper, never enough to identify someone alone: as
many characters as before, hidden ones as stars, at least two of them hidden (of a name, one). An absent value stays
absent; a value of unexpected shape is masked whole (fail closed).

    citizen_number    place and last four          name          surname (compound ones whole); dots between names stay
    phone             first three, last four       landline      area and last four
    birth_date        year                         coordinates   a grid of a hundredth of a degree, about a kilometre
    address           to the road or community     address_city, address_district, address_town: no further than that
    bank_card         last four                    licence_plate place letter and last two
    credit_code       authority, kind, place, check character
    email             first letter, provider       passport      kind letter and last three (permits of travel too)
    household_number  last three                   medical_card  last four
    postal_code       first four                   vehicle_number (VIN) maker and last four
    all               nothing

An address is cut at the first mark of its depth, so it may end sooner than meant (广西壮族自治区…), never later.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Final

_STAR = "*"

#: Heads and tails that stay.
ENDS: Final[Mapping[str, tuple[int, int]]] = {
    "citizen_number": (6, 4),
    "phone": (3, 4),
    "household_number": (0, 3),
    "bank_card": (0, 4),
    "licence_plate": (2, 2),
    "credit_code": (8, 1),
    "passport": (1, 3),
    "medical_card": (0, 4),
    "postal_code": (4, 0),
    "vehicle_number": (3, 4),
}

#: After which an address ends, whichever comes first.
DEPTHS: Final[Mapping[str, Sequence[str]]] = {
    "address": ("路", "街道", "社区", "村"),
    "address_city": ("市", "州", "盟"),
    "address_district": ("区", "县", "旗"),
    "address_town": ("街道", "镇", "乡", "苏木"),
}

#: Shapes: of the groups k0 h0 k1 h1 k2, the ks stay and the hs are hidden. In the syntax that RE2 and Python share.
SHAPES: Final[Mapping[str, str]] = {
    "email": r"(?P<k0>[^@])(?P<h0>[^@]{2,})(?P<k1>@[^@]+)(?P<h1>)(?P<k2>)",
    "landline": r"(?P<k0>(?:010|02[0-9]|0[3-9][0-9]{2})-?)(?P<h0>[0-9]{3,4})(?P<k1>[0-9]{4})(?P<h1>)(?P<k2>)",
    "coordinates": r"(?P<k0>[+-]?[0-9]{1,3}\.[0-9]{2})(?P<h0>[0-9]{2,})"
    r"(?:(?P<k1>, ?[+-]?[0-9]{1,3}\.[0-9]{2})(?P<h1>[0-9]{2,}))?(?P<k2>)",
}

#: What stands between the parts of a name and stays.
DOTS: Final = "·•・．."

_SURNAMES: Final = (
    "欧阳太史端木上官司马东方独孤南宫万俟闻人夏侯诸葛尉迟公羊赫连澹台皇甫宗政濮阳公冶太叔申屠"
    "公孙慕容仲孙钟离长孙宇文司徒鲜于司空闾丘子车亓官司寇巫马公西颛孙壤驷公良漆雕乐正宰父谷梁"
    "拓跋夹谷轩辕令狐段干百里呼延东郭南门羊舌微生梁丘左丘东门西门南荣第五完颜纳兰叶赫爱新"
)
COMPOUND_SURNAMES: Final = frozenset(_SURNAMES[at : at + 2] for at in range(0, len(_SURNAMES), 2))


def _keep(value: str, head: int, tail: int) -> str:
    """Keep ``head`` and ``tail`` characters; mask all when fewer than two would be hidden."""
    hidden = len(value) - head - tail
    if hidden < 2:
        return _whole(value)
    return value[:head] + _STAR * hidden + value[len(value) - tail :]


def _whole(value: str) -> str:
    return _STAR * len(value)


def _name(value: str) -> str:
    head = 2 if len(value) > 2 and value[:2] in COMPOUND_SURNAMES else 1
    rest = "".join(char if char in DOTS else _STAR for char in value[head:])
    return value[:head] + rest if _STAR in rest else _whole(value)


def _birth_date(value: str) -> str:
    return value[:4] + "-**-**" if len(value) == 10 and value[4] == "-" else _whole(value)


def _address(marks: Sequence[str]) -> Callable[[str], str]:
    def masked(value: str) -> str:
        found = [(place, len(mark)) for mark in marks if (place := value.find(mark)) > 0]
        if not found:
            return _whole(value)
        place, size = min(found)
        return _keep(value, place + size, 0)

    return masked


def _shaped(pattern: str) -> Callable[[str], str]:
    shape = re.compile(pattern)

    def masked(value: str) -> str:
        found = shape.fullmatch(value)
        if found is None:
            return _whole(value)
        kept, hidden = found.group("k0", "k1", "k2"), found.group("h0", "h1")
        return (
            (kept[0] or "")
            + _whole(hidden[0] or "")
            + (kept[1] or "")
            + _whole(hidden[1] or "")
            + (kept[2] or "")
        )

    return masked


def _ends(head: int, tail: int) -> Callable[[str], str]:
    return lambda value: _keep(value, head, tail)


MASKS: Final[Mapping[str, Callable[[str], str]]] = {
    "name": _name,
    "birth_date": _birth_date,
    **{name: _ends(*kept) for name, kept in ENDS.items()},
    **{name: _address(marks) for name, marks in DEPTHS.items()},
    **{name: _shaped(pattern) for name, pattern in SHAPES.items()},
    "all": _whole,
}


def mask(name: str, value: str | None) -> str | None:
    """``value`` at the mask rung. ``KeyError`` for an unknown mask name."""
    return None if value is None else MASKS[name](value)
