"""The failures an exchange can meet, as one table: what happened, who acts, what is safe now, what is not.

``diagnosis`` finds which rows apply and fills in names, days and commands; ``huanshu flow failures`` prints the
table; docs/operations.md holds it between markers. Every row is provoked, named and cured in tests/faults.

A row is found by the shape of what lies in the stores, or by the code of an error (``of``): the longest beginning
that matches. ``safe`` is run in order, as printed. Placeholders: ``{flow}`` the flow, ``{only}`` the receivers
concerned (nothing when all are), ``{until}`` a day, ``{accountable}``, ``{security}`` and ``{another}``, a second
security officer, who acts, named only in a sandbox. ``HASH`` is what the command before has shown a person.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

from huanshu.errors import Text

Acts = Literal["accountable", "security", "operator", "sender"]

ACTORS: Final[dict[Acts, Text]] = {
    "accountable": Text("the accountable post", "责任岗位"),
    "security": Text("a security officer", "安全人员"),
    "operator": Text("the operator", "运维人员"),
    "sender": Text("the sender", "报送方"),
}
RESUME: Final = "huanshu flow resume {flow}{only}"
APPROVE: Final = "huanshu flow approve {flow} --until {until}{accountable}"
RELEASE: Final = "huanshu flow release {flow} --reason REASON{accountable}"
#: A change of the bundle takes two: one reads what it gives and proposes it, another adopts what the first has read.
CHANGE: Final = (
    "huanshu access plan",
    "huanshu policy propose{security}",
    "huanshu policy adopt --plan HASH{another}",
)
VERIFY: Final = "huanshu verify"

_POST: Final = Text("the accountable post", "责任岗位")
_RECEIVERS: Final = Text("the receivers, for them the accountable post", "接收方，由责任岗位负责")
_EVERYBODY: Final = Text("every flow, for each its accountable post", "所有流向，由各自责任岗位负责")


@dataclass(frozen=True, slots=True)
class Failure:
    """One row. ``waits``: who, until the day that ``duty``, an obligation, counts to (a finding has its own). ``first``
    is done by hand before ``safe``, or empty."""

    key: str
    what: Text
    acts: Acts
    first: Text
    safe: tuple[str, ...]
    never: Text
    codes: tuple[str, ...] = ()
    duty: str = "receipt_due"
    waits: Text = _POST

    @property
    def commands(self) -> tuple[str, ...]:
        """``safe`` as it is shown where no flow is meant in particular."""
        shown = {
            "flow": "FLOW",
            "only": "",
            "until": "DATE",
            "accountable": "",
            "security": "",
            "another": "",
        }
        return tuple(command.format(**shown) for command in self.safe)


_NOTHING: Final = Text("", "")

FAILURES: Final[tuple[Failure, ...]] = (
    # ---- the machine
    Failure(
        "home_broken",
        Text(
            "A file of the home cannot be read. Nothing runs until it is mended: the keeper fails closed, and"
            " Airflow shows the same line as an import error",
            "治理目录中有文件无法读取；修好之前一切停止，Airflow 以导入错误显示同一行",
        ),
        "operator",
        Text("mend the line it names, or put the file back", "按所示文件和行更正，或恢复原文件"),
        ("huanshu check",),
        Text("delete the file to get rid of the error", "为消除报错而删除文件"),
        ("content.",),
        waits=_EVERYBODY,
    ),
    Failure(
        "keeper_down",
        Text(
            "The keeper does not answer, so nothing is decided, logged or opened",
            "钥匙保管进程无应答，不判定、不留痕、不开启",
        ),
        "operator",
        Text(
            "a keeper of a service manager: start it there; “keeper/keeper.err” says why it did not come up",
            "由服务管理器启动的，请在那里启动；keeper/keeper.err 载明未能启动的原因",
        ),
        (RESUME,),
        Text(
            "remove keeper/head or a key “to start clean”, or start a second keeper",
            "为“重新开始”而删除 keeper/head 或密钥，或另启一个钥匙保管",
        ),
        ("keeper.socket.", "assembly.keeper."),
        waits=_EVERYBODY,
    ),
    Failure(
        "key_missing",
        Text(
            "The root key file or a stored key is not there, or not as it must be. What it sealed stays shut",
            "根密钥文件或密钥库中的密钥缺失、不合要求；以其密封的数据无法开启",
        ),
        "operator",
        Text(
            "restore it from its backup: the file with mode 0600, or the row of keys.wrapped",
            "从备份恢复：文件权限 0600，或恢复 keys.wrapped 的行",
        ),
        (RESUME,),
        Text(
            "make a new key under the old name: every value under the old one would be lost",
            "以旧名新建密钥：旧密钥下的数据将永远无法开启",
        ),
        ("keeper.root.", "keeper.key.", "keeper.vault.lost", "sealing.key.", "auditlog.key."),
        waits=_EVERYBODY,
    ),
    Failure(
        "store_down",
        Text(
            "The district's database cannot be reached. Open runs wait; nothing is half done",
            "区级数据库无法连接；未了结的运行等待，不会只完成一半",
        ),
        "operator",
        Text(
            "a server of your own: start it; an embedded one is started by the command",
            "自有数据库请先启动；内置数据库由所示命令启动",
        ),
        (RESUME,),
        Text(
            "switch fsync off, or point the deployment at another database",
            "关闭 fsync，或把部署指向别的数据库",
        ),
        ("keeper.database.", "store.server.", "keeper.vault.away", "store.embedded."),
        waits=_EVERYBODY,
    ),
    Failure(
        "log_unwritable",
        Text(
            "The log cannot be written (read-only server, a standby, no access to keeper/head), so nothing is opened",
            "日志无法写入（数据库只读、连到备库、keeper/head 不可写），因此不开启任何值",
        ),
        "operator",
        Text(
            "make database and keeper/ writable again; the keeper adopts an append of unclear fate by its signature",
            "恢复数据库与 keeper 目录可写；去向不明的条目由钥匙保管凭签名认领",
        ),
        (RESUME,),
        Text("write log tables by hand, or replace the head", "手工改写日志表，或替换日志头"),
        ("auditlog.log.unwritable", "store.server.read_only"),
        waits=_EVERYBODY,
    ),
    Failure(
        "log_stale",
        Text(
            "The log's evidence is older than audit/log.yaml allows: it is not published, witnesses do not cosign, or"
            " the clock was turned. Nothing sensitive is opened; what is under way waits",
            "日志证据超过 audit/log.yaml 的时限（未公布、见证方未签名或时钟被改动）；不开启敏感字段，未了结的运行等待",
        ),
        "operator",
        Text(
            "make the log folder of the state folder writable, the witnesses reachable, the clock right; the keeper"
            " resumes by itself",
            "恢复状态目录中 log 文件夹可写、见证方可达、时钟正确；钥匙保管自动恢复",
        ),
        (RESUME,),
        Text("raise the longest age, or turn the clock back", "放宽时限，或回拨时钟"),
        ("auditlog.log.stale", "auditlog.published."),
        waits=_EVERYBODY,
    ),
    Failure(
        "disk_full",
        Text(
            "A disk is full: the district's, or a receiver's. What was being written is as if never begun",
            "磁盘已满（区级或接收方）；正在写入的部分等于没有开始",
        ),
        "operator",
        Text("free space, or give the server more", "释放空间或扩容"),
        (RESUME,),
        Text("delete WAL, staging or log rows to make room", "为腾空间删除 WAL、暂存或日志行"),
        ("store.disk.", "auditlog.log.full"),
        waits=_RECEIVERS,
    ),
    # ---- people
    Failure(
        "policies_unadopted",
        Text(
            "A file of the bundle changed since it was adopted; nothing new is allowed until it is in force",
            "策略包在生效后有改动；生效之前不允许任何新的访问",
        ),
        "security",
        Text("read the change; or put the file back", "复核改动，或恢复原文件"),
        (*CHANGE, RESUME),
        Text("adopt unread “to make it run”", "未经复核就生效"),
        ("policy.bundle.", "keeper.append.stale_policy"),
        waits=_EVERYBODY,
    ),
    Failure(
        "post_vacant",
        Text(
            "Nobody holds the flow's accountable post today, so nobody's approval counts",
            "流向的责任岗位今日无人任职，任何批准都不算数",
        ),
        "security",
        Text("enter a holder or deputy in policies/posts.csv", "在 policies/posts.csv 中登记任职者或副手"),
        (*CHANGE, APPROVE, RESUME),
        Text("change the flow's accountable post to somebody handy", "把流向的责任岗位换成随便一个在岗的人"),
        ("identity.post.",),
    ),
    Failure(
        "flow_changed",
        Text(
            "The flow file is not the one that was approved: one changed byte voids an approval",
            "流向文件与所批准的不同：改动一个字节，批准即失效",
        ),
        "accountable",
        Text("read what changed; or put the file back", "查看改动内容，或恢复原文件"),
        (APPROVE, RESUME),
        Text(
            "approve unread, or change the accountable post to somebody handy",
            "未看就批准，或把责任岗位换成随便一个人",
        ),
        ("keeper.ticket.flow_changed",),
    ),
    Failure(
        "approval_ended",
        Text(
            "No approval of the flow's present digest is in force: it ended, was revoked, was never given, or its giver"
            " no longer holds the post",
            "流向当前摘要没有有效批准：已到期、已撤销、从未批准，或批准人已不在岗",
        ),
        "accountable",
        Text("a holder reads the file and decides", "由任职者阅读流向文件后决定"),
        (APPROVE, RESUME),
        Text("change the accountable post to somebody handy", "把责任岗位换成随便一个人"),
        ("exchange.flow.unapproved", "keeper.ticket.approval_ended"),
    ),
    Failure(
        "unseconded",
        Text(
            "A delivery brings one receiver more residents than one person alone lets go (policies/limits.yaml)",
            "一次交付的主体数超过一人单独批准的上限（policies/limits.yaml）",
        ),
        "security",
        Text(
            "somebody else than the approver looks at what goes where", "由批准人以外的人员核实交付内容与去向"
        ),
        ("huanshu flow second {flow}{security}", RESUME),
        Text(
            "cut the flow into smaller ones, or raise the limit to get it through",
            "拆分流向或为放行而提高上限",
        ),
        ("exchange.delivery.unseconded",),
        waits=_RECEIVERS,
    ),
    Failure(
        "rules_changed",
        Text(
            "Rules changed, or a grant ended, while a delivery ran; it stopped within one chunk",
            "交付进行中规则变更或授权到期；一个批次内即停止",
        ),
        "security",
        Text(
            "settle why. What is due is frozen anew under the rules of now",
            "查明原因；应交付的内容按现行规则重新冻结",
        ),
        (RESUME,),
        Text("put the old rule back just to let it finish", "只为跑完而恢复旧规则"),
        ("keeper.ticket.", "exchange.delivery.superseded"),
        waits=_RECEIVERS,
    ),
    Failure(
        "not_granted",
        Text(
            "The rules do not give the accountable post what the flow asks for",
            "规则没有授予责任岗位该流向所需的权限",
        ),
        "security",
        Text(
            "“huanshu flow plan” names the missing grant; grant it, or let the flow ask for less",
            "huanshu flow plan 指出所缺授权；补充授权，或让流向少要",
        ),
        (*CHANGE, RESUME),
        Text("grant by a wider group than the field needs", "用比所需更宽的分组授权"),
        ("access.", "exchange.receiver.", "exchange.sender.undeclared"),
        waits=_RECEIVERS,
    ),
    # ---- what comes in
    Failure(
        "source_late",
        Text(
            "The schedule has come round and no new extract was taken in",
            "已到约定时间，尚未接收到新一期报送",
        ),
        "sender",
        Text(
            "ask the sender; put extract and manifest into the intake folder",
            "联系报送方；把报送文件与清单放入接收目录",
        ),
        (RESUME,),
        Text("send last period's extract under a new number", "把上一期换个序号再报"),
    ),
    Failure(
        "column_changed",
        Text(
            "The extract's header is not the contract's; nothing of it was kept",
            "报送文件的表头与数据契约不符；未保留任何内容",
        ),
        "sender",
        Text(
            "the sender corrects the header, or maps it in the manifest (“columns”), under the same number",
            "由报送方更正表头，或在清单 columns 中映射，序号不变",
        ),
        (RESUME,),
        Text("edit a sender's file: digest and signature void", "改动报送方的文件：摘要与签名即失效"),
        ("extract.header.", "manifest.columns."),
    ),
    Failure(
        "extract_faulty",
        Text(
            "The extract or its manifest is faulty (encoding, count, digest, a cell, the file); nothing was kept",
            "报送文件或清单有误（编码、条数、摘要、单元格、文件本身）；未保留任何内容",
        ),
        "sender",
        Text("the sender corrects it and sends it under the same number", "由报送方更正后以同一序号重报"),
        (RESUME,),
        Text("edit a sender's file: digest and signature void", "改动报送方的文件：摘要与签名即失效"),
        ("extract.", "manifest.", "incoming.", "exchange.manifest."),
    ),
    Failure(
        "sender_unproven",
        Text(
            "The manifest is not signed by the enrolled key, or no key is enrolled",
            "清单不是以登记的公钥对应的私钥签名，或尚未登记公钥",
        ),
        "security",
        Text(
            "ask the sender by a second way; enrol only a key you have confirmed: huanshu sender enrol SENDER KEY",
            "另行向报送方核实；只登记核实过的公钥：huanshu sender enrol 报送方 公钥",
        ),
        (RESUME,),
        Text("enrol the key that happens to fit", "登记恰好能对上的公钥"),
        ("auditlog.signature.", "exchange.sender.unenrolled"),
    ),
    Failure(
        "sequence_gap",
        Text("An earlier extract is missing before this one", "这一期之前缺少一期"),
        "sender",
        Text("get the missing one first", "先补上缺失的一期"),
        (RESUME,),
        Text("renumber", "改序号"),
        ("exchange.sequence.gap",),
    ),
    Failure(
        "sequence_replayed",
        Text(
            "This number was taken in before, with other content. (The same extract again is no error.)",
            "该序号已接收过且内容不同（原样重报不算错误）",
        ),
        "sender",
        Text("the sender sends it as the number shown", "由报送方以所示序号重报"),
        (RESUME,),
        Text("renumber it yourself", "自行改序号"),
        ("exchange.sequence.replayed",),
    ),
    Failure(
        "verdict_failed",
        Text(
            "The batch was refused: a rule over the whole batch failed. Its bad rows lie sealed in quarantine",
            "整批被拒：针对整批的规则未通过；有问题的行已密封隔离",
        ),
        "sender",
        Text(
            "the sender corrects the extract and sends it under the same number",
            "由报送方更正后以同一序号重报",
        ),
        (RESUME,),
        Text("lower the rule", "放宽规则"),
        ("quality.",),
        duty="quarantine_due",
    ),
    Failure(
        "intake_interrupted",
        Text(
            "An intake was stopped half-way; nothing of its batch is in force",
            "接收中途停止；该批没有任何内容生效",
        ),
        "operator",
        _NOTHING,
        (RESUME,),
        Text("send the extract under a new number", "换个序号重报"),
        ("exchange.worker.", "exchange.versions."),
    ),
    # ---- what goes out
    Failure(
        "receiver_unreachable",
        Text(
            "A receiver's own server cannot be reached; the others were served",
            "某接收方自己的数据库无法连接；其余已送达",
        ),
        "operator",
        Text(
            "mend its server or the way to it; success settles the finding",
            "修复其数据库或网络；送达后发现自动了结",
        ),
        (RESUME,),
        Text("point the store at another database", "把该存储指向别的数据库"),
        waits=_RECEIVERS,
    ),
    Failure(
        "interrupted_before",
        Text(
            "A run was stopped before its effect, or is still going. Staged chunks are not opened again",
            "运行在生效之前停止（或仍在进行）；已暂存的批次不会重新开启",
        ),
        "operator",
        _NOTHING,
        (RESUME,),
        Text("delete staging rows by hand", "手工删除暂存行"),
        ("exchange.staging.incomplete",),
        waits=_RECEIVERS,
    ),
    Failure(
        "interrupted_after",
        Text(
            "A delivery took effect, but the log does not say so yet. Nothing is opened again; the entry is written",
            "交付已生效但日志尚未记载；再次运行不重新开启，只补记",
        ),
        "operator",
        _NOTHING,
        (RESUME,),
        Text("write the books or the inbox by hand", "手工改写账目或收件记录"),
        waits=_RECEIVERS,
    ),
    Failure(
        "not_delivered",
        Text("A receiver was not served, for the reason shown", "某接收方因所示原因未送达"),
        "accountable",
        Text("settle the reason", "先解决所示原因"),
        (RESUME,),
        Text("settle the finding by hand", "手工了结该发现"),
        ("store.server.refused",),
        waits=_RECEIVERS,
    ),
    Failure(
        "held",
        Text(
            "A run is outside what the flow expects, or the flow is held by hand. Nothing of it is opened (exit 8)",
            "运行超出流向的期望范围，或流向被手工暂停；不开启任何值（退出码 8）",
        ),
        "accountable",
        Text(
            "look at “huanshu flow holds”. Wrong extract: ask for a corrected one. Meant: say why, instead of REASON",
            "查看 huanshu flow holds。报送有误：请报送方更正；确属有意：以理由替换 REASON",
        ),
        (RELEASE, RESUME),
        Text(
            "release without looking, or widen the bounds so that it passes", "未看就放行，或为通过而放宽范围"
        ),
        ("exchange.run.held", "exchange.flow.held", "exchange.delivery.unexpected"),
        waits=_RECEIVERS,
    ),
    # ---- tampering
    Failure(
        "value_changed",
        Text(
            "A sealed value in the district store was changed or moved; it does not open",
            "区级库中某密封值被改动或移位，无法开启",
        ),
        "security",
        Text(
            "stop and keep everything as it is; the second command is for when security staff have put it right",
            "停止操作，保持现状；第二条命令在安全人员处置之后运行",
        ),
        (VERIFY, RESUME),
        Text("overwrite the row", "覆盖该行"),
        ("sealing.", "exchange.chunk.changed"),
        waits=_RECEIVERS,
    ),
    Failure(
        "receiver_changed",
        Text(
            "A receiver's tables were changed: its staging, inbox or slice is not what the log says",
            "接收方的表被改动：暂存、收件记录或切片与日志不一致",
        ),
        "security",
        Text(
            "stop and keep everything as it is; the second command is for when security staff have put it right",
            "停止操作，保持现状；第二条命令在安全人员处置之后运行",
        ),
        (VERIFY, RESUME),
        Text("sign the receipt", "签收"),
        ("exchange.staging.changed", "exchange.slice.changed", "exchange.receipt."),
        waits=_RECEIVERS,
    ),
    Failure(
        "log_changed",
        Text(
            "The log is not the one that was acknowledged: entries are missing, others, or a checkpoint is forged",
            "日志不是已确认的那一份：条目缺失、不同，或检查点系伪造",
        ),
        "security",
        Text(
            "keep database and keeper/ as they are and copy both; huanshu-verify --url … --vkey … --head … shows where",
            "保持数据库与 keeper/ 原样并各复制一份；huanshu-verify --url … --vkey … --head … 可指出位置",
        ),
        (VERIFY,),
        Text("replace the head, cut the log, restore over it", "替换日志头、截断日志或用备份覆盖"),
        (
            "auditlog.log.not_ours",
            "auditlog.log.rolled_back",
            "auditlog.log.forked",
            "auditlog.published.not_ours",
            "auditlog.checkpoint.",
        ),
        waits=_EVERYBODY,
    ),
)

BY_KEY: Final = {failure.key: failure for failure in FAILURES}


def of(code: str) -> Failure | None:
    """The row of an error's code: the longest beginning that matches, None when no row names it."""
    found = [(len(start), row) for row in FAILURES for start in row.codes if code.startswith(start)]
    return max(found, key=lambda each: each[0])[1] if found else None


def markdown(language: str, rows: Iterable[Failure] = FAILURES) -> str:
    """The table as it stands in the documentation."""
    heads = {
        "en": (
            "failure",
            "what happened",
            "who must act first",
            "who waits, until",
            "what is safe",
            "what not to do",
        ),
        "zh": ("故障", "发生了什么", "谁先处理", "谁在等，期限", "可以安全执行", "不要做"),
    }[language]
    lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    for row in rows:
        told = row.what.in_language(language)
        if row.codes:
            told += " " + " ".join(f"`{code}{'*' if code.endswith('.') else ''}`" for code in row.codes[:4])
        acts = ACTORS[row.acts].in_language(language)
        if row.first.en:
            acts += f": {row.first.in_language(language)}"
        commands = ", ".join(f"`{command}`" for command in row.commands)
        waits = f"{row.waits.in_language(language)}; `{row.duty}`"
        cells = (f"`{row.key}`", told, acts, waits, commands, row.never.in_language(language))
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"
