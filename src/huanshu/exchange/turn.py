"""Is it this extract's turn? Signed by the enrolled sender of this flow, and the next number of its sequence.

Asked by an intake before anything of the extract is read, and by whoever wants to know why none happened.
"""

from __future__ import annotations

import psycopg

from huanshu.auditlog import require_signature
from huanshu.catalog import Flow
from huanshu.errors import InputError, Text
from huanshu.exchange.manifest import Manifest, signing_bytes
from huanshu.keeper.client import Keeper


def require_signed(keeper: Keeper, flow: Flow, manifest: Manifest) -> None:
    """Raises InputError unless the flow's own sender signed it with the key enrolled for it."""
    if manifest.sender != flow.source or manifest.dataset != flow.dataset:
        raise _refused(
            manifest,
            "exchange.manifest.foreign",
            Text("the manifest is of another sender or dataset", "清单属于其他报送方或数据集"),
            Text(
                f"{flow.flow} takes {flow.dataset} from {flow.source}",
                f"{flow.flow} 仅接收 {flow.source} 的 {flow.dataset}",
            ),
        )
    key = keeper.sender_key(manifest.sender)
    if key is None:
        raise _refused(
            manifest,
            "exchange.sender.unenrolled",
            Text(f"no key is enrolled for {manifest.sender}", f"未登记 {manifest.sender} 的公钥"),
            Text("security staff run: huanshu sender enrol", "请安全人员运行：huanshu sender enrol"),
        )
    try:
        require_signature(bytes.fromhex(key), manifest.signature, signing_bytes(manifest))
    except InputError as error:
        error.where = manifest.where
        raise


def require_turn(district: psycopg.Connection, flow: Flow, manifest: Manifest) -> None:
    """Replay and gap: the next sequence number, exactly (drills D02, D03)."""
    with district.transaction():
        row = district.execute(
            "SELECT coalesce(max(sequence), 0) FROM district.batch"
            " WHERE dataset = %s AND sender = %s AND state = 'promoted'",
            (flow.dataset, manifest.sender),
        ).fetchone()
    last = int(row[0]) if row else 0
    if manifest.sequence <= last:
        raise _refused(
            manifest,
            "exchange.sequence.replayed",
            Text(
                f"sequence {manifest.sequence} was taken in before, with other content",
                f"序号 {manifest.sequence} 已接收过且内容不同",
            ),
            Text(f"send the next one as {last + 1}", f"请以序号 {last + 1} 报送"),
        )
    if manifest.sequence > last + 1:
        raise _refused(
            manifest,
            "exchange.sequence.gap",
            Text(
                f"sequence {last + 1} is missing before {manifest.sequence}",
                f"缺少序号 {last + 1}（收到 {manifest.sequence}）",
            ),
            Text("send the missing extract first", "请先补报缺失的一期"),
        )


def _refused(manifest: Manifest, code: str, what: Text, remedy: Text) -> InputError:
    return InputError(code, what, remedy=remedy, where=manifest.where)
