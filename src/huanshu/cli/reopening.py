"""``huanshu audit reopen``: go on with a log that lost acknowledged entries, by the signatures of two persons."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from huanshu.assembly import running
from huanshu.cli.context import CONTEXT
from huanshu.errors import InputError, Text


def reopen(
    sign: Annotated[
        str, typer.Option(help="Digest of what is given up, as this command shows it: sign it. 签署其摘要。")
    ] = "",
    reason: Annotated[str, typer.Option(help="Why; it stays in the log for ever. 理由，永久留痕。")] = "",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say whether the signature would be taken; nothing changes.")
    ] = False,
) -> None:
    """After a restore from a backup that is older than the log: show which acknowledged entries are missing, or sign
    that they are given up. Two persons sign, a security officer and an auditor or chief data officer. The second
    signature opens the log's next origin, which cites the old checkpoint and the missing range; witnesses have to be
    given its key. Exit codes: 4 nothing is missing, 5 may not sign, 6 witnesses do not answer, 7 no such loss.

    Example: huanshu audit reopen
    Example: huanshu audit reopen --sign 3f0c9a2b7d11… --reason "disk array lost, last backup of 02:00"
    """
    if sign and not reason:
        raise InputError("cli.reason.missing", Text("a signature needs --reason", "签署须附 --reason"))
    with running(CONTEXT.settings, CONTEXT.acting_as) as here:
        missing = here.keeper.missing()
        if not sign:
            _show(missing)
            return
        digest = str(missing["digest"])
        if len(sign) < 12 or not digest.startswith(sign.rstrip("…")):
            raise InputError(
                "cli.digest.other",
                Text("this is not the digest of what is missing now", "与当前待签署内容的摘要不符"),
                remedy=Text("look again: huanshu audit reopen", "请重新查看：huanshu audit reopen"),
            )
        done = here.keeper.give_up(digest, reason, dry_run=dry_run)
    _tell(done, dry_run=dry_run)


def _show(missing: dict[str, Any]) -> None:
    old, signed, asked = missing["given_up"], missing["signed"], missing["witnesses"]
    known = missing["forgotten"]
    erased = ", ".join(f"{each['dataset']} [{each['entry']}]" for each in known["erased"]) or "—"
    CONTEXT.speech.table(
        Text("Acknowledged entries are missing", "已确认的条目有缺失"),
        [Text("what", "项目"), Text("value", "值")],
        [
            (Text("old log", "原日志"), old["origin"]),
            (Text("its newest checkpoint", "最新检查点"), f"{old['size']} · {old['root'][:16]}…"),
            (Text("entries there", "现有条目"), missing["restored"]["size"]),
            (Text("missing", "缺失"), f"{missing['first']} – {missing['last']}"),
            (Text("nothing is known since", "自此无记录"), missing["since"]),
            (Text("published of it", "其中已公布"), f"{known['until'] - missing['first']}"),
            (Text("keys destroyed there", "其中销毁密钥"), f"{len(known['destroyed'])}"),
            (Text("persons erased there", "其中删除个人"), erased),
            (Text("would be opened", "将开启"), missing["origin"]),
            (Text("witnesses that answer", "应答的见证方"), f"{asked['answered']} / {asked['asked']}"),
            (
                Text("signed by", "已签署"),
                "—" if signed is None else f"{signed['person']} ({signed['post']})",
            ),
            (Text("digest to sign", "待签署摘要"), missing["digest"]),
        ],
    )
    CONTEXT.speech.tell(
        Text(
            "nothing is opened until two persons sign: huanshu audit reopen --sign DIGEST --reason …",
            "两人签署前不开启任何值：huanshu audit reopen --sign 摘要 --reason …",
        )
    )
    CONTEXT.speech.tell(
        Text(
            "keys destroyed there stay destroyed; who was erased there is in the store again: after opening propose and"
            " confirm it again (huanshu keys erase), and what was not published, from your own papers",
            "其中已销毁的密钥仍视为已销毁；其中已删除的个人会随备份重现：开启后须重新提请并确认"
            "（huanshu keys erase）；未公布部分请依纸质材料办理",
        )
    )
    CONTEXT.speech.result(missing)


def _tell(done: dict[str, Any], *, dry_run: bool) -> None:
    if dry_run:
        told = Text(
            f"would be signed by {done['person']}; the log would {'open' if done['complete'] else 'stay closed'}",
            f"将由 {done['person']} 签署；日志将{'重新开启' if done['complete'] else '保持关闭'}",
        )
    elif done["complete"]:
        told = Text(
            f"entry {done['entry']} opens {done['origin']}; give its key to every witness and reader: {done['vkey']}",
            f"条目 {done['entry']} 开启 {done['origin']}；请将其公钥交给各见证方与核验者：{done['vkey']}",
        )
    else:
        told = Text(
            f"signed by {done['person']}, good until {done['until']}; another person has to sign",
            f"{done['person']} 已签署，有效至 {done['until']}；尚须另一责任人签署",
        )
    CONTEXT.speech.tell(told)
    CONTEXT.speech.result(done)
