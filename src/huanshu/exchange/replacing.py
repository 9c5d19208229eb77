"""What a delivery says of the recalls that stand: which of the recalled records it leaves at the receiver.

The keeper opens a recall's own record numbers and compares them itself; a recall ends with the delivery after which
none of its records is left, not with one that merely carries as many.
"""

from __future__ import annotations

import base64

import numpy as np
import psycopg
from pyroaring import BitMap

from huanshu.catalog import Flow
from huanshu.exchange import books
from huanshu.exchange.due import Due
from huanshu.keeper.client import Keeper


def replaced(
    keeper: Keeper, district: psycopg.Connection, flow: Flow, receiver: str, due: Due
) -> dict[str, str]:
    """By the entry of each recall that stands here: the bitmap of its records that will no longer lie at the receiver
    as they were brought. Nothing, as nearly always, when nothing is recalled."""
    standing = [recall for recall in keeper.recalls(flow.flow) if recall.receiver == receiver]
    if not standing:
        return {}
    carried = np.concatenate([due.found.record, due.found.withdrawn])
    told = {}
    for recall in standing:
        gone = books.replaced(district, flow.flow, receiver, recall.delivery, carried)
        told[str(recall.index)] = base64.b64encode(BitMap(gone.tolist()).serialize()).decode()
    return told
