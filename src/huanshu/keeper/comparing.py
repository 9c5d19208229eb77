"""Comparing without seeing (核对): what somebody typed against what one record holds. Pure: no I/O, no clock.

    event                            who                         decided by
    access.comparison.authorised     holder of the post named    plan: the rung that ``needed`` names, every field

The ``match`` rung for one record. A field that offers no ``match`` — few values, or no identifier — is read by guessing
it; so it is compared only for who may see it at least masked or, where it has no mask, in full.
"""

from __future__ import annotations

import hmac
import unicodedata
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from huanshu.catalog.nouns import Contract, Field, Rung
from huanshu.keeper.establish import Asker
from huanshu.sealing import LINK_KINDS

if TYPE_CHECKING:
    from huanshu.keeper.admission import Admission, Claim

COMPARED: Final = "access.comparison.authorised"


def needed(field: Field) -> Rung:
    """The rung that a comparison of this field takes: the lowest from ``match`` on that it offers."""
    if field.link_kind is not None:
        return Rung.MATCH
    return Rung.REVEAL if field.mask is None else Rung.MASK


def agree(contract: Contract, stored: Mapping[str, str | None], typed: Mapping[str, str]) -> dict[str, bool]:
    """Field → whether the two are one value, spelled as people may spell it."""
    return {name: _same(contract.field(name), stored[name], typed[name]) for name in stored}


def _same(field: Field, stored: str | None, typed: str) -> bool:
    spelled = _spelled if field.link_kind is None else LINK_KINDS[field.link_kind]
    # What nobody typed agrees with nothing: that a value is absent is not told for nothing.
    return bool(spelled(typed)) and hmac.compare_digest(
        spelled(stored or "").encode(), spelled(typed).encode()
    )


def _spelled(value: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", value).split())


def _compared(admission: Admission, asker: Asker, claim: Claim) -> dict[str, Any]:
    admission.require_post(asker, claim["post"])
    contract = admission.home.contracts[claim["dataset"]]
    fields = {name: needed(contract.field(name)) for name in claim["fields"]}
    plan = admission.plan(claim["post"], claim["domain"], contract.dataset, fields, claim["purpose"])
    ends = min(
        plan.valid_until, admission.at + timedelta(seconds=admission.home.policies.keys.lend_max_seconds)
    )
    return {
        **admission.in_person(asker),
        "post": claim["post"],
        "domain": claim["domain"],
        "dataset": contract.dataset,
        "purpose": claim["purpose"],
        "fields": {name: rung.word for name, rung in fields.items()},
        "how": "compared",
        "contract": contract.digest,
        "detail": {
            "record": int(claim["detail"]["record"]),
            "values": len(fields),
            "until": ends.isoformat(),
        },
    }


RULES: Final[Mapping[str, Callable[[Admission, Asker, Claim], dict[str, Any]]]] = {COMPARED: _compared}
