"""Wording: what a code of the log is called by people, in both languages. Names come from the home.

A code that names nothing any more stays a code: a report never drops what it cannot name.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

from huanshu.catalog import Flow, Holding, Home, Purpose
from huanshu.errors import Text
from huanshu.report.evidence import Body
from huanshu.report.forms import same

#: Why something was refused, not delivered or stopped. The code itself stands beneath the words on the page.
REASONS: Final = {
    "access.request.denied": Text("not granted by the rules", "规则未授权"),
    "alert": Text("an alert", "告警"),
    "approval.flow.ended": Text("the approval had no future end", "批准截止时间已过"),
    "approval.flow.other_digest": Text("the flow's file is not the one approved", "流向文件与所批准的不符"),
    "access.exposure.key": Text("a key that opens no resident's values", "该密钥不能开启居民数据"),
    "access.sighting.endless": Text("a withholding without an end within a year", "不予告知未在一年内到期"),
    "access.sighting.not_yet": Text("withholding what is not in the log", "不予告知的条目不在日志中"),
    "access.sighting.reviewer": Text("no other auditor as reviewer", "复核人不是另一名审计人员"),
    "access.sighting.unknown": Text("nothing to review", "没有待复核事项"),
    "access.dataset.unknown": Text("no such dataset", "没有该数据集"),
    "access.quarantine.none": Text("no right to any field of the row", "对该行字段均无权限"),
    "quarantine.order.unknown": Text("no such repair was ordered", "没有该修复指令"),
    "access.budget.spent": Text("more than one person sees alone", "超出一人可独自查看的数量"),
    "access.budget.unknown": Text(
        "a budget of nobody or nothing known", "限额所指的人员、数据集或用途不存在"
    ),
    "access.budget.endless": Text("a budget without an end within a week", "提高限额未在七日内到期"),
    "access.count.zone": Text("a zone that is no community", "统计范围有误"),
    "access.count.sealed": Text("a count over a field that is as good as free", "以可自由填写的密封字段统计"),
    "access.count.cells": Text("a breakdown into too many groups", "分组过多"),
    "access.count.form": Text("a count by a single value of a sealed field", "以密封字段的单个值统计"),
    "access.count.two_sealed": Text("a count over two sealed fields at once", "同时以两个密封字段统计"),
    "access.count.several": Text(
        "a count over records that are not one a person", "非一人一条的记录不能统计"
    ),
    "access.field.unknown": Text("no such field", "没有该字段"),
    "access.emergency.role": Text("a post that breaks no glass", "该岗位无权紧急调阅"),
    "access.emergency.elsewhere": Text("an emergency in another domain", "紧急调阅超出本域"),
    "access.emergency.suspended": Text(
        "the last emergency was not reviewed, or misuse", "上次紧急调阅未复核或属滥用"
    ),
    "access.emergency.bounds": Text("an emergency too long or without a purpose", "紧急调阅超时或用途无效"),
    "access.emergency.unknown": Text("nothing to review", "没有待复核事项"),
    "access.misses.spent": Text("too many wrong numbers or comparisons", "查无此号或核对不一致次数过多"),
    "access.record.recalled": Text("its delivery was recalled", "所属交付已被召回"),
    "exchange.delivery.recalled": Text("the delivery was recalled", "交付已被召回"),
    "exchange.delivery.unexpected": Text("outside what the flow expects", "超出流向的期望范围"),
    "exchange.delivery.unknown": Text("no such delivery", "没有该交付"),
    "exchange.flow.held": Text("the flow is held by hand", "流向已被人工暂停"),
    "exchange.hold.unknown": Text("no such hold", "没有该暂停"),
    "exchange.run.held": Text("the run waits for a release", "运行待放行"),
    "exchange.delivery.superseded": Text("replaced by a newer delivery", "被更新的交付取代"),
    "exchange.delivery.unseconded": Text("too many for one person's approval", "超出一人单独批准的数量"),
    "exchange.flow.unapproved": Text("the flow is not approved", "流向未经有效批准"),
    "exchange.flow.unknown": Text("no such flow", "没有该流向"),
    "exchange.receiver.undeclared": Text("the flow does not go to this receiver", "流向未声明该接收方"),
    "exchange.receipt.unknown": Text("no such delivery has arrived there", "该域没有收到此次交付"),
    "access.subject.erased": Text("somebody who was erased", "该主体已被删除"),
    "erasure.subject.unknown": Text("no such erasure to carry out", "没有待执行的该项删除"),
    "keeper.key.destroyed": Text("a key that was destroyed", "该密钥已销毁"),
    "keys.proposal.own": Text("confirming one's own proposal", "确认本人的提请"),
    "keys.proposal.unknown": Text("no such proposal", "没有该项提请"),
    "keys.rotation.not_due": Text("a rotation with nothing to do", "无待轮换内容的轮换"),
    "keys.selector.unknown": Text("no such keys", "没有该名称的密钥"),
    "retention.floor.reached": Text("not yet past its retention", "保存期限未满"),
    "retention.kind.kept": Text("a kind that is never deleted", "该类记录不删除"),
    "finding.case.own": Text("a finding about oneself", "与本人有关的发现"),
    "finding.case.unowned": Text("a finding without a flow", "发现未归属流向"),
    "identity.system.no_scheduler": Text("a system that runs no flows", "该系统账号不能运行流向"),
    "exchange.sender.undeclared": Text("the flow names another sender", "报送方与流向声明不符"),
    "exchange.staging.changed": Text("the staged data was changed", "暂存数据被改动"),
    "exchange.staging.incomplete": Text("the staged data was incomplete", "暂存数据不完整"),
    "identity.person.missing": Text("no natural person behind it", "没有对应的责任人"),
    "identity.person.stated": Text("the person was only stated", "责任人仅为自称"),
    "identity.airflow.unknown": Text(
        "a run started in Airflow by nobody’s account", "启动运行的 Airflow 用户未对应责任人"
    ),
    "identity.person.unestablished": Text("the person was not established", "责任人身份未确立"),
    "identity.post.not_held": Text("the person does not hold the post", "未任该岗位"),
    "keeper.append.stale_policy": Text("decided under superseded policies", "判定所依策略已失效"),
    "keeper.database.away": Text("the log could not be written", "日志无法写入"),
    "keeper.event.not_admitted": Text("nobody may write such an entry", "不允许写入此类条目"),
    "keeper.lend.not_named": Text("keys the ticket does not name", "凭据未载明所借钥匙"),
    "keeper.open.not_named": Text("values the ticket does not name", "凭据未载明所开值"),
    "access.workbook.recalled": Text("a delivery in the slice was recalled", "切片中有交付已被召回"),
    "correction.answer.due": Text("corrections wait for their answer", "更正待答复"),
    "correction.sequence.gap": Text("a batch of corrections came before its turn", "更正批次跳号"),
    "correction.sequence.replayed": Text("a batch of corrections came again, changed", "更正批次重放"),
    "correction.workbook.altered": Text("a workbook's hidden part was changed", "工作簿隐藏内容被改动"),
    "correction.claim.unknown": Text("no such correction to act on", "没有可如此处理的更正"),
    "correction.field.fixed": Text("a field that only the department corrects", "该字段只由部门更正"),
    "correction.judge.in_person": Text("judging by a person", "由个人执行核对"),
    "correction.origin.foreign": Text("a correction from another domain", "更正来自其他域"),
    "correction.steward.proposer": Text("an answer to one's own proposal", "答复本人提出的更正"),
    "correction.steward.other": Text("another steward answers for the field", "该字段由其他数据管家答复"),
    "keeper.open.too_many": Text("too many values at once", "一次开启过多"),
    "auditlog.reopening.other": Text("a signature under another statement", "签署内容不符"),
    "auditlog.reopening.same_person": Text("one person signing twice", "同一人重复签署"),
    "auditlog.reopening.same_side": Text("two signatures of one side", "两签署人岗位类别相同"),
    "keeper.origin.acting": Text("a fictional person outside a sandbox", "非演练环境使用虚构人员"),
    "keeper.origin.exists": Text("the log has begun already", "日志已有起点"),
    "keeper.socket.unreachable": Text("the keeper did not answer", "钥匙保管无应答"),
    "keeper.ticket.approval_ended": Text("the approval ended meanwhile", "其间批准已到期"),
    "keeper.ticket.expired": Text("the ticket had expired", "凭据已过期"),
    "keeper.ticket.flow_changed": Text("the flow changed meanwhile", "其间流向已改动"),
    "keeper.ticket.other_kind": Text("a ticket of another kind", "凭据种类不符"),
    "keeper.ticket.policy_changed": Text("the policies changed meanwhile", "其间策略已变更"),
    "keeper.ticket.unknown": Text("no such ticket", "没有该凭据"),
    "key.sender.unknown": Text("an unknown sender", "报送方不存在"),
    "access.subjects.unsaid": Text("a record without saying whom it is about", "未载明记录的主体"),
    "policy.bundle.other_plan": Text("another plan than its author has read", "与提出人所核阅的变更方案不同"),
    "policy.bundle.planless": Text(
        "wider rules without a plan that was read", "放宽策略而未指明已核阅的变更方案"
    ),
    "policy.bundle.author_left": Text("its author is no security officer any more", "提出人已不再担任安全员"),
    "keeper.link.unknown": Text("by a kind of number not used there", "按不适用的标识种类查找"),
    "policy.bundle.unproposed": Text("wider rules put in force by one person", "一人使更宽的策略生效"),
    "policy.bundle.unkept": Text("the rules in force were not kept", "生效策略未留存"),
    "policy.bundle.self_named": Text("named by the changed rules themselves", "由拟变更的策略自行任命"),
    "policy.bundle.overtaken": Text("compared with rules no longer in force", "所比较的策略已不再生效"),
    "identity.person.same": Text("one's own request agreed to by oneself", "同意本人提出的事项"),
    "policy.bundle.other": Text("the policies are other than stated", "策略摘要与申请不符"),
    "policy.bundle.unadopted": Text("the policies are not in force", "策略尚未生效"),
    "quality.batch.failed": Text("the extract failed as a whole", "整批质量不合格"),
    "store.server.unreachable": Text("the receiving store could not be reached", "接收库无法连接"),
}

#: What was asked for, by the event that would have been logged.
ASKED: Final = {
    "access.record.authorised": Text("view a single record", "逐条查看"),
    "access.record.missed": Text("view a single record", "逐条查看"),
    "access.record.sought": Text("look up a person", "按标识查找"),
    "approval.flow.granted": Text("approve a flow", "批准流向"),
    "approval.flow.revoked": Text("revoke an approval", "撤销批准"),
    "approval.flow.seconded": Text("second an approval", "附议批准"),
    "access.correction.authorised": Text("look at a correction", "查看更正"),
    "access.workbook.authorised": Text("make a workbook", "生成工作簿"),
    "correction.batch.authorised": Text("propose corrections", "提出更正"),
    "correction.batch.held": Text("propose corrections", "提出更正"),
    "correction.batch.judged": Text("judge corrections", "核对更正"),
    "correction.change.accepted": Text("accept a correction", "采纳更正"),
    "correction.change.authorised": Text("accept a correction", "采纳更正"),
    "correction.change.refused": Text("refuse a correction", "退回更正"),
    "correction.change.withdrawn": Text("withdraw a correction", "撤回更正"),
    "exchange.delivery.authorised": Text("deliver", "交付"),
    "access.quarantine.authorised": Text("look at a quarantined row", "查看隔离行"),
    "quarantine.repair.authorised": Text("repair a quarantined row", "修复隔离行"),
    "quarantine.repair.ordered": Text("order a repair", "下修复指令"),
    "quarantine.row.dismissed": Text("dismiss quarantined rows", "对隔离行不予处理"),
    "access.exposure.authorised": Text("count who was exposed", "统计受影响人数"),
    "access.sighting.withheld": Text("keep an access from a statement", "对某次查看不予告知"),
    "access.sighting.confirmed": Text("review a withholding", "复核不予告知"),
    "log.entries.read": Text("read the log", "查阅日志"),
    "retention.files.archived": Text("archive published entries", "归档已公布条目"),
    "retention.rows.deleted": Text("delete after retention", "到期删除"),
    "keys.rotation.authorised": Text("rotate keys", "轮换密钥"),
    "keys.destruction.proposed": Text("propose to destroy keys", "提请销毁密钥"),
    "keys.destruction.confirmed": Text("destroy keys", "销毁密钥"),
    "keys.escrow.proposed": Text("propose a copy of the root key", "提请备存根密钥"),
    "keys.escrow.sealed": Text("make a copy of the root key", "备存根密钥"),
    "keys.escrow.rehearsed": Text("rehearse recovery", "恢复演练"),
    "erasure.subject.proposed": Text("propose to erase a person", "提请删除个人"),
    "erasure.subject.confirmed": Text("erase a person", "删除个人"),
    "erasure.subject.completed": Text("erase a person", "删除个人"),
    "access.comparison.authorised": Text("compare a certificate with a record", "核对证件与登记"),
    "access.column.authorised": Text("look at a sealed field to count people", "为统计人数读取密封字段"),
    "access.count.authorised": Text("count people", "统计人数"),
    "access.emergency.declared": Text("break the glass", "紧急调阅"),
    "access.emergency.reviewed": Text("review an emergency", "复核紧急调阅"),
    "access.budget.raised": Text("raise somebody's budget", "提高他人限额"),
    "access.seen.asked": Text("ask who saw a record", "核查查看情况"),
    "access.seen.authorised": Text("ask who saw a record", "核查查看情况"),
    "exchange.delivery.recalled": Text("recall a delivery", "召回交付"),
    "exchange.flow.held": Text("hold a flow", "暂停流向"),
    "exchange.flow.released": Text("release a flow", "放行流向"),
    "exchange.run.held": Text("hold a run", "暂停运行"),
    "exchange.run.released": Text("release a run", "放行运行"),
    "exchange.delivery.signed": Text("sign a delivery", "签收"),
    "exchange.intake.authorised": Text("take in an extract", "接收报送"),
    "exchange.run.completed": Text("complete a run", "结束运行"),
    "exchange.run.started": Text("run a flow", "运行流向"),
    "finding.case.opened": Text("open a finding", "登记问题"),
    "finding.case.settled": Text("settle a finding", "了结问题"),
    "key.sender.enrolled": Text("enrol a sender's key", "登记报送方密钥"),
    "log.origin.created": Text("begin a log", "创建日志"),
    "log.origin.reopened": Text("open a log after a loss", "日志缺失后续用新起点"),
    "policy.bundle.proposed": Text("propose policies", "提出策略变更"),
    "policy.bundle.adopted": Text("put policies in force", "使策略生效"),
    "report.page.built": Text("build a report", "生成报告"),
}

#: Rungs from the highest down, then the write actions.
RUNGS: Final = {
    "reveal": Text("full value", "明文"),
    "mask": Text("masked", "脱敏"),
    "match": Text("token for matching", "仅可比对"),
    "count": Text("counts only", "仅统计"),
    "write": Text("written", "写入"),
    "propose": Text("proposed", "提议更正"),
    "approve": Text("approved", "批准"),
    "compare": Text("compared in memory", "内存中核对"),
    "reseal": Text("re-sealed unseen", "重新密封，无人查看"),
    "trace": Text("traced", "追查"),
}

NOBODY: Final = Text("no post established", "未确立岗位")


class Wording:
    """Names of one home, at one time (posts change hands)."""

    def __init__(self, home: Home, at: datetime) -> None:
        self._home = home
        self._at = at

    def reason(self, code: str) -> Text:
        return REASONS.get(code, Text("another reason", "其他原因"))

    def asked(self, event: str) -> Text:
        return ASKED.get(event, same(event))

    def rung(self, word: str) -> Text:
        return RUNGS.get(word, same(word))

    def domain(self, code: str) -> Text:
        domains = self._home.policies.domains
        return domains[code].name if code in domains else same(code)

    def person(self, person: str) -> Text:
        known = self._home.policies.persons.get(person)
        return same(known.name if known else person)

    def post(self, post: str) -> Text:
        held = self._holdings(post)
        return held[0].title if held else same(post)

    def holders(self, post: str) -> Text:
        """The persons who hold a post now, the holder first; empty when nobody does."""
        return listed([self.person(h.person) for h in self._home.policies.holders(post, self._at)])

    def signatory(self, body: Body) -> tuple[Text, Text]:
        """(person, post) of an entry."""
        post = body.get("post")
        return self.person(str(body["person"])), self.post(str(post)) if post else NOBODY

    def audience(self, role: str) -> list[tuple[Text, Text]]:
        """(person, post) of those who hold ``role`` in the district now, holders before deputies."""
        district = self._home.policies.domains.district.code
        posts = dict.fromkeys(
            h.post for h in self._home.policies.holdings if h.role == role and h.domain == district
        )
        return [
            (self.person(h.person), h.title)
            for post in posts
            for h in self._home.policies.holders(post, self._at)
        ]

    def flow(self, name: str) -> Text:
        flow: Flow | None = self._home.flows.get(name)
        return flow.title if flow else same(name)

    def purpose(self, name: str) -> Text:
        purpose: Purpose | None = self._home.policies.purposes.get(name)
        return purpose.title if purpose else same(name)

    def field(self, dataset: str, name: str) -> Text:
        """A field's title; ★ marks level 3 and above and sensitive personal information."""
        contract = self._home.contracts.get(dataset)
        for field in contract.fields if contract else ():
            if field.name == name:
                star = "★" if field.sealed else ""
                return Text(field.title.en + star, field.title.zh + star)
        return same(name)

    def dataset(self, name: str) -> Text:
        contract = self._home.contracts.get(name)
        return contract.title if contract else same(name)

    def rule(self, dataset: str, rule: str) -> Text:
        """A quality rule's title; rules that follow from the contract are named by their field."""
        suite = self._home.suites.get(dataset)
        for expectation in suite.expectations if suite else ():
            if expectation.rule == rule:
                return expectation.title
        if rule.startswith("contract_"):
            field = self.field(dataset, rule.removeprefix("contract_"))
            en, zh = field.en.rstrip("★"), field.zh.rstrip("★")
            return Text(f"{en}: as the contract says", f"{zh}：符合数据契约")
        return same(rule)

    def _holdings(self, post: str) -> list[Holding]:
        return [holding for holding in self._home.policies.holdings if holding.post == post]


def listed(words: list[Text]) -> Text:
    """Words in a row, as each language separates them."""
    return Text(", ".join(word.en for word in words), "、".join(word.zh for word in words))


def plural(number: int, one: str, many: str) -> str:
    """``1 delivery``, ``1,204 deliveries``."""
    return f"{number:,} {one if number == 1 else many}"
