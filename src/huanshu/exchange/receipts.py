"""Receipts (回执): ``arrived`` was written by the receiving side's machine; ``signed`` is a named clerk's word.

Signing reads the receiver's inbox line again and compares it with the log's entry: a clerk never signs for
a digest that his own store does not show.
"""

from __future__ import annotations

from dataclasses import dataclass

import psycopg

from huanshu.auditlog.reader import read_by_event
from huanshu.errors import InputError, TamperedError, Text
from huanshu.exchange.ground import Ground
from huanshu.exchange.receiving import Receiving
from huanshu.keeper.tickets import Ticket


@dataclass(frozen=True, slots=True)
class Receipt:
    """An arrived delivery, and whether somebody has signed for it."""

    delivery: str
    flow: str
    receiver: str
    arrived: int  # entry index
    count: int
    withdrawn: int
    signed: int | None  # entry index


def receipts(connection: psycopg.Connection) -> list[Receipt]:
    """All arrived deliveries in log order, from the log alone."""
    signed = {
        str(entry.body["detail"]["delivery"]): entry.index
        for entry in read_by_event(connection, "exchange.delivery.signed")
    }
    found = []
    for entry in read_by_event(connection, "exchange.delivery.arrived"):
        detail = entry.body["detail"]
        delivery = str(detail["delivery"])
        found.append(
            Receipt(
                delivery=delivery,
                flow=str(entry.body["flow"]["id"]),
                receiver=str(entry.body["domain"]),
                arrived=entry.index,
                count=int(detail["count"]),
                withdrawn=int(detail["withdrawn"]),
                signed=signed.get(delivery),
            )
        )
    return found


def sign(ground: Ground, receiver: str) -> list[Ticket]:
    """Sign every unsigned delivery to ``receiver`` as the person established. Returns the new entries."""
    with ground.district() as district, ground.receiver(receiver) as store:
        with district.transaction():
            waiting = [r for r in receipts(district) if r.receiver == receiver and r.signed is None]
            digests = {
                str(e.body["detail"]["delivery"]): str(e.body["detail"]["digest"])
                for e in read_by_event(district, "exchange.delivery.arrived")
            }
        if not waiting:
            raise InputError(
                "exchange.receipt.none",
                Text(f"nothing waits for a signature at {receiver}", f"{receiver} 没有待签收的交付"),
            )
        tickets = []
        for receipt in waiting:
            flow = ground.flow(receipt.flow, "delivery")
            line = Receiving(store, ground.contract(flow), flow, receiver).inbox(receipt.delivery)
            if line is None or line.digest.hex() != digests[receipt.delivery]:
                raise TamperedError(
                    "exchange.receipt.differs",
                    Text(
                        "the inbox of this store does not show what the log says", "本域收件记录与日志不一致"
                    ),
                    remedy=Text("do not sign; tell security staff", "请勿签收，并通知安全人员"),
                )
            tickets.append(
                ground.keeper.append(
                    {
                        "event": "exchange.delivery.signed",
                        "once": f"exchange.delivery.signed/{receipt.delivery}",
                        "domain": receiver,
                        "dataset": flow.dataset,
                        "detail": {"delivery": receipt.delivery, "arrived": receipt.arrived},
                    }
                )
            )
    return tickets
