"""Why a correction was refused, held, or is in conflict: a closed list of codes, each with its sentence.

A steward chooses among ``STEWARD``; nothing is typed, so nothing about a resident can be typed into the log.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from huanshu.errors import Text

STEWARD: Final[Mapping[str, Text]] = {
    "evidence_insufficient": Text("the evidence does not suffice", "依据不足"),
    "register_right": Text("the register is right", "经核实，登记无误"),
    "other_authority": Text("another authority answers for this", "不属本部门职责"),
    "other_procedure": Text("this change needs another procedure", "须另行办理变更手续"),
    "already_corrected": Text("it has been corrected already", "已更正"),
}

REASONS: Final[Mapping[str, Text]] = {
    **STEWARD,
    "correction.value.formula": Text("the value would be taken for a formula", "内容会被当作公式"),
    "correction.value.too_long": Text("the value is too long for its field", "内容超过字段长度"),
    "correction.value.type": Text("neither text nor a whole number nor a date", "既非文本、整数，也非日期"),
    "correction.value.fails": Text("the value does not pass the rules", "未通过质量规则"),
    "correction.value.disagrees": Text("it does not agree with registered data", "与登记数据不一致"),
    "correction.field.denied": Text("this field may not be proposed by this post", "本岗位不能对该字段提出更正"),
    "correction.field.fixed": Text("only the department corrects this field", "该字段只由部门更正"),
    "correction.field.changed": Text("the field has changed since", "该字段此后已变更"),
    "correction.record.missing": Text("no such record in this domain", "本域没有这条记录"),
    "correction.record.left": Text("the record has left this domain since", "该记录此后已不在本域"),
    "correction.attempts.spent": Text("tried too often against data you may not see", "对不可见数据尝试过多"),
    "correction.batch.expired": Text("not judged in time, or rules changed: propose again", "未及时核对，请重新提出"),
}  # fmt: skip


def sentence(code: str | None) -> Text:
    """The sentence of a code; a code without one is shown as it is."""
    return Text("", "") if code is None else REASONS.get(code, Text(code, code))
