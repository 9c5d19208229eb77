"""The matter list 入格事项清单 that events are reported under: code, title, time limit, who deals with it.

A home's own list comes first: of ``MATTERS`` those that are on it, and what else is on it with a week's limit.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from huanshu.catalog import Suite
from huanshu.simulator.lists import listed


class Matter(NamedTuple):
    """``code``: class and item. ``department``: the part after ``dept.``. ``share``: how common it is."""

    code: str
    title: str
    days: int
    department: str
    share: float


MATTERS: Final = (
    Matter("0101", "邻里纠纷", 7, "civil_affairs", 8),
    Matter("0102", "家庭矛盾", 7, "civil_affairs", 4),
    Matter("0103", "劳资纠纷", 15, "human_resources", 3),
    Matter("0104", "物业服务纠纷", 15, "housing", 6),
    Matter("0201", "楼道堆放杂物", 3, "emergency", 10),
    Matter("0202", "电动自行车违规充电", 3, "emergency", 9),
    Matter("0203", "消防设施损坏", 5, "emergency", 4),
    Matter("0204", "危险房屋", 10, "housing", 2),
    Matter("0301", "占道经营", 2, "urban_management", 9),
    Matter("0302", "乱倒垃圾", 2, "urban_management", 9),
    Matter("0303", "违章搭建", 15, "urban_management", 5),
    Matter("0304", "路灯损坏", 3, "urban_management", 6),
    Matter("0305", "井盖缺失", 1, "urban_management", 3),
    Matter("0306", "树木倒伏", 1, "urban_management", 1),
    Matter("0401", "噪声扰民", 3, "public_security", 8),
    Matter("0402", "可疑人员", 1, "public_security", 2),
    Matter("0403", "出租屋信息不符", 5, "public_security", 3),
    Matter("0501", "困难群众求助", 5, "civil_affairs", 4),
    Matter("0502", "独居老人走访", 5, "civil_affairs", 5),
    Matter("0503", "残疾人求助", 5, "disabled_persons", 2),
    Matter("0504", "退役军人事项", 5, "veterans", 1),
    Matter("0601", "无照经营", 10, "market_regulation", 4),
    Matter("0602", "食品卫生", 7, "market_regulation", 4),
    Matter("0701", "传染病线索", 1, "health", 1),
    Matter("0801", "适龄儿童入学", 10, "education", 1),
)


def matters(suite: Suite | None) -> tuple[Matter, ...]:
    """What events of this home can be about."""
    titles = listed(suite, "matter")
    if not titles:
        return MATTERS
    known = {matter.code: matter for matter in MATTERS}
    return tuple(known.get(code, Matter(code, title, 7, "", 1)) for code, title in titles.items())
