"""Corrections (回流更正): the communities' way back.

    message     a signed batch, strictly read            origin     whose it is, and its turn; held otherwise
    proposing   let in, sealed at once                   judging    by the platform, in memory, against rules
    answering   the steward looks, accepts, refuses      books      rows in the district store
    standing    what the department's next extract makes of an accepted correction
    rights      what a post may do, as read here         reasons    codes and their sentences

A proposed value is never at rest in plain, and nobody who proposes or answers ever holds a key.
"""

from huanshu.exchange.corrections.answering import Shown, accept, refuse, show, withdraw
from huanshu.exchange.corrections.books import Correction
from huanshu.exchange.corrections.judging import judge
from huanshu.exchange.corrections.message import parse_message, signing_bytes
from huanshu.exchange.corrections.origin import Origin, settle
from huanshu.exchange.corrections.proposing import Receipt, propose

__all__ = [
    "Correction",
    "Origin",
    "Receipt",
    "Shown",
    "accept",
    "judge",
    "parse_message",
    "propose",
    "refuse",
    "settle",
    "show",
    "signing_bytes",
    "withdraw",
]
