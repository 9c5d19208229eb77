"""The words a fictional district is written with. Lists only; weights beside the words they weigh."""

from __future__ import annotations

from typing import Final

import numpy as np

_FAMILIES = (
    "王李张刘陈杨黄赵吴周徐孙马朱胡郭何林高罗郑梁谢宋唐许韩冯邓曹彭曾肖田董袁潘于蒋蔡余杜叶程苏魏吕丁任沈"
    "姚卢姜崔钟谭陆汪范金石廖贾夏韦付方白邹孟熊秦邱江尹薛闫段雷侯龙史陶黎贺顾毛郝龚邵万钱严覃武戴莫孔向汤"
)
_COMPOUND = ("欧阳", "上官", "诸葛", "司徒", "司马", "皇甫", "东方", "尉迟")
#: Single surnames by frequency, then the compound ones, which are rare.
FAMILIES: Final = (*_FAMILIES, *_COMPOUND)
_rank = np.arange(len(_FAMILIES), dtype=np.float64)
_weights = np.concatenate([1 / (_rank + 4), np.full(len(_COMPOUND), 0.004)])
FAMILY_SHARES: Final = _weights / _weights.sum()

#: The first is no character: a given name has one or two.
GIVEN: Final = (
    "",
    *"伟强磊军洋勇杰涛明超刚平辉健俊峰鹏飞斌波宇浩凯鑫博文志建国华东海林森旭晨宏毅松柏川江山",
    *"芳娜敏静丽艳娟霞秀兰英玉萍红娥玲芬燕彩春菊凤洁梅琳素云莲真环雪荣爱妹香月莺媛瑞凡佳嘉琼勤珍贞莉婷欣怡悦瑶",
)
MALE_GIVEN: Final = (1, GIVEN.index("芳"))
FEMALE_GIVEN: Final = (GIVEN.index("芳"), len(GIVEN))

#: Names with a dot: (ethnicity, men's first names, women's first names, second parts).
_DOTTED_PARTS = (
    (5, ("吐尔逊", "艾合买提", "买买提", "阿不都", "玉素甫", "亚森", "库尔班"),
     ("阿依古丽", "古丽娜尔", "热依汗", "帕提古丽", "茹仙", "米娜瓦尔"),
     ("买买提", "艾合买提", "热合曼", "吐尔地", "克里木", "阿不都热依木", "司马义")),
    (4, ("扎西", "多吉", "丹增", "洛桑"), ("卓玛", "央金", "拉姆", "白玛"), ("多吉", "央金", "次仁", "顿珠", "旺姆")),
    (2, ("巴特尔", "那日苏", "苏和"), ("乌云", "其其格", "萨仁"), ("苏和", "巴图", "图雅", "高娃")),
    (17, ("叶尔江", "努尔兰"), ("阿依努尔", "加娜尔"), ("哈里", "赛力克", "木拉提")),
)  # fmt: skip
DOTTED: Final[list[str]] = []
#: (ethnicity, sex) → the stretch of ``DOTTED`` with such names.
DOTTED_STRETCH: Final[dict[tuple[int, int], tuple[int, int]]] = {}
for _ethnicity, _men, _women, _second in _DOTTED_PARTS:
    for _sex, _first in ((1, _men), (2, _women)):
        _start = len(DOTTED)
        DOTTED.extend(f"{a}·{b}" for a in _first for b in _second if a != b)
        DOTTED_STRETCH[_ethnicity, _sex] = (_start, len(DOTTED))
#: GB/T 3304 codes and how common they are; the dotted ones among them.
ETHNICITIES: Final = (1, 8, 3, 11, 15, 6, 10, 19, 5, 4, 2, 17, 97)
ETHNICITY_SHARES: Final = (
    0.915,
    0.018,
    0.014,
    0.012,
    0.01,
    0.008,
    0.004,
    0.002,
    0.008,
    0.004,
    0.003,
    0.001,
    0.001,
)

STREETS: Final = (
    "清荷路", "柳堤街", "映月巷", "稻香里", "石板街", "书院路", "望江路", "桂花街", "松风里", "沿河路", "新安街",
    "南园路", "北苑路", "梅岭街", "云锦路", "听雨巷", "东渡街", "西桥路", "锦绣里", "和平路", "青年路", "光明街",
    "丰收路", "渔港街", "文昌路", "学府路", "双塔街", "竹林巷", "钟楼街", "荷塘路",
)  # fmt: skip
OUTSIDE: Final = ("邻水县", "安和市", "云岭县", "大泽市", "南屏县", "白沙镇", "三河县", "青山县")

_TRADES = ("纺织", "电子", "食品", "建材", "物流", "家具", "印务", "机械", "商贸", "餐饮", "服装", "包装")
_HOUSES = ("柳岸", "清和", "望江", "玉带", "东湖", "恒丰", "瑞祥", "同心", "华章", "新禾")
EMPLOYERS: Final = (
    *(f"{house}{trade}有限公司" for house in _HOUSES for trade in _TRADES),
    "区第一小学", "区第二中学", "街道卫生院", "区公交公司", "区自来水厂", "渡口管理站", "中心农贸市场",
)  # fmt: skip
#: GB/T 6565: main, then finer codes.
OCCUPATIONS: Final = (
    "10100",
    "20101",
    "20902",
    "20800",
    "30101",
    "40101",
    "40201",
    "40302",
    "40700",
    "50101",
    "60203",
    "61801",
    "62400",
)

#: Trade names of enterprises: two characters of these.
TRADE: Final = tuple("恒瑞祥泰和兴隆盛达福源丰华宏信诚美佳顺康悦景锦荣昌吉茂嘉永安远鼎汇众智云川")
#: (GB/T 4754 code, word in the name, share).
INDUSTRIES: Final = (
    ("F51", "贸易", 0.12), ("F52", "百货", 0.17), ("H62", "餐饮", 0.14), ("O80", "家政服务", 0.05),
    ("O82", "美容美发", 0.05), ("L72", "商务咨询", 0.08), ("I65", "软件技术", 0.06), ("E48", "建筑工程", 0.04),
    ("E50", "装饰", 0.04), ("C13", "食品", 0.03), ("C18", "服饰", 0.04), ("C33", "五金制品", 0.03),
    ("C39", "电子", 0.02), ("G54", "运输", 0.04), ("K70", "物业管理", 0.02), ("M74", "检测技术", 0.01),
    ("P83", "培训", 0.02), ("Q84", "门诊部", 0.01), ("R90", "健身", 0.01), ("A01", "种植", 0.02),
)  # fmt: skip
FORMS: Final = ("有限公司", "商行", "经营部", "店", "中心")

CLINIC: Final = "卫生服务站预防接种门诊"
#: Where in a street something was seen.
SPOTS: Final = ("门前", "楼道", "院内", "路口", "地下车库", "后巷")
