"""Who may give up entries that were acknowledged, and how a signature waits for the second one. Pure: no I/O, no clock.

Two natural persons, established as for every request: a security officer, and an auditor or a chief data officer. Two
accounts of one person are one person. Each signs the digest of one exact statement: the checkpoint given up, what was
restored, the missing range, the origin to be opened. Another checkpoint becoming known, or one entry more in the
database, is another statement, and voids what was signed.

Between the two, the first signature lies in a file of the keeper's, as a note that the log's key has signed: who can
change the file can only take the signature away.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Final

from huanshu.auditlog.signing import Signer, require_signature
from huanshu.canonical import canonical
from huanshu.catalog.nouns import Home
from huanshu.errors import DeniedError, HuanshuError, Text
from huanshu.keeper.establish import Asker
from huanshu.tlog import sign_note, split_note

_FIRST_LINE: Final = "huanshu/reopening/1"
#: Of the two, one holds a post of each line.
ROLES: Final = (frozenset({"security_officer"}), frozenset({"auditor", "cdo"}))


@dataclass(frozen=True, slots=True)
class Signature:
    """One person's consent to the statement of digest ``digest``; void after ``until``."""

    digest: str
    person: str
    post: str
    by: str
    account: str
    at: str
    until: str
    reason: str

    def note(self, signer: Signer, origin: str) -> str:
        """As it waits in a file."""
        text = f"{_FIRST_LINE}\n{canonical(asdict(self)).decode()}\n"
        return sign_note(text, origin, signer.public_key, signer.sign)

    @classmethod
    def of(cls, note: str, signer: Signer, origin: str) -> Signature | None:
        """The signature of a note that the log's key signed; None for anything else."""
        try:
            text, signed = split_note(note, origin, signer.public_key)
            require_signature(signer.public_key, signed, text.encode())
            first, body, _ = text.split("\n")
            return cls(**json.loads(body)) if first == _FIRST_LINE else None
        except (HuanshuError, ValueError, TypeError):
            return None


class TwoPersons:
    """The rule. (A drill's control arm puts a careless one in its place.)"""

    def post(self, home: Home, asker: Asker, at: datetime) -> str:
        """The post in which the asker may sign at all."""
        if asker.person is not None:
            for holding in home.policies.posts_of(asker.person, at):
                if any(holding.role in line for line in ROLES):
                    return holding.post
        raise DeniedError(
            "identity.post.not_held",
            Text(
                "only a security officer, an auditor or a chief data officer may give entries up",
                "仅安全负责人、审计人员或首席数据官可签署放弃",
            ),
            remedy=Text("leave it to a holder of such a post", "请由相应岗位的任职者签署"),
        )

    def complete(self, home: Home, first: Signature | None, second: Signature) -> bool:
        """Whether the two together suffice. DeniedError when the second can never complete the first."""
        at = datetime.fromisoformat(second.at)
        if first is None or first.digest != second.digest or datetime.fromisoformat(first.until) <= at:
            return (
                False  # there is none, or it is of another statement, or too old: the second is now the first
            )
        if first.person == second.person:
            raise DeniedError(
                "auditlog.reopening.same_person",
                Text(
                    "the same person has signed before, whatever the account",
                    "同一责任人已签署（不论使用哪个账号）",
                ),
                remedy=Text("another person signs", "须由另一责任人签署"),
            )
        one, other = (self._roles(home, person, at) for person in (first.person, second.person))
        if not ((one & ROLES[0] and other & ROLES[1]) or (one & ROLES[1] and other & ROLES[0])):
            raise DeniedError(
                "auditlog.reopening.same_side",
                Text(
                    "one of the two is a security officer, the other an auditor or chief data officer",
                    "两人中一人须为安全负责人，另一人须为审计人员或首席数据官",
                ),
                remedy=Text("a holder of the other post signs", "请由另一类岗位的任职者签署"),
            )
        return True

    @staticmethod
    def _roles(home: Home, person: str, at: datetime) -> set[str]:
        return {holding.role for holding in home.policies.posts_of(person, at)}
