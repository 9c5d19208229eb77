"""What is said when the log is not the one that was acknowledged: three errors, each in one shape whoever finds it.

    not_ours      something that was acknowledged, or published, has changed
    rolled_back   there was more once: the machine was set back
    forked        the log's own key has signed two trees

Whoever raises one opens nothing afterwards; none of them repairs anything.
"""

from __future__ import annotations

from typing import Final

from huanshu.errors import TamperedError, Text

#: Where a fork's proof lies among the published files: nothing starts beside it.
FORK: Final = "fork-proof.json"


def not_ours(en: str, zh: str) -> TamperedError:
    """``en``, ``zh``: what differs."""
    return TamperedError(
        "auditlog.log.not_ours",
        Text(f"the log is not the one that was acknowledged: {en}", f"日志与已确认的不一致：{zh}"),
        remedy=Text(
            "run huanshu-verify, tell security staff; nothing is opened meanwhile",
            "运行 huanshu-verify 并通知安全人员；期间不开启任何值",
        ),
    )


def rolled_back(en: str, zh: str) -> TamperedError:
    """``en``, ``zh``: who has seen how many entries, and how many there are."""
    return TamperedError(
        "auditlog.log.rolled_back",
        Text(en, zh),
        remedy=Text(
            "the machine was set back; tell security staff, nothing is opened meanwhile",
            "系统被回退；请通知安全人员，期间不开启任何值",
        ),
    )


def forked() -> TamperedError:
    """The proof lies in ``FORK``."""
    return TamperedError(
        "auditlog.log.forked",
        Text("the log's key has signed two trees that are not one", "日志密钥签署了两份互不相容的日志"),
        remedy=Text(
            f"{FORK} among the published files proves it to anyone; tell security staff, nothing is opened meanwhile",
            f"公布文件夹中的 {FORK} 可向任何人证明；请通知安全人员，期间不开启任何值",
        ),
    )
