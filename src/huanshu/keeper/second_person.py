"""Two natural persons, not two accounts, posts or groups: who agrees to something is not who asked for it.

Persons are those that were established for the two requests; a deputy, a second post or a second account of the same
person is that person. Pure.

    what is agreed to        security officers, and
    a bundle                 the district's chief data officer            ``catalog.lockout.seconds_bundles``
    more of one dataset      the chief data officer of its department,    ``dataset_post``
                             or of a domain above it
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from huanshu.catalog.nouns import Contract, Holding
from huanshu.errors import DeniedError, Text
from huanshu.keeper.establish import Asker

if TYPE_CHECKING:
    from huanshu.keeper.admission import Admission


class SecondPerson:
    """What is asked wherever a second person is needed (a drill's control arm asks nothing)."""

    def require_other(self, first: str, second: str) -> None:
        """DeniedError ``identity.person.same`` unless these are two."""
        if first == second:
            raise DeniedError(
                "identity.person.same",
                Text("nobody agrees to what he or she asked for", "本人不得同意本人提出的事项"),
                remedy=Text("somebody else looks at it and agrees, or does not", "请由另一人核实后决定"),
            )


def dataset_post(admission: Admission, asker: Asker, contract: Contract) -> str:
    """The post in which somebody may agree to more of a dataset: other departments do not answer for it."""
    tree = admission.home.policies.domains

    def fits(held: Holding) -> bool:
        answers = held.domain == contract.domain or tree.is_below(contract.domain, held.domain)
        return held.role == "security_officer" or (held.role == "cdo" and answers)

    return admission.post_where(asker, fits, "security_officer, cdo")
