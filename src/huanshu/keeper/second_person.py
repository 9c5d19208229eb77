"""Two natural persons, not two accounts, posts or groups: who agrees to something is not who asked for it.

Persons are those that were established for the two requests; a deputy, a second post or a second account of the same
person is that person. Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from huanshu.errors import DeniedError, Text
from huanshu.keeper.establish import Asker

if TYPE_CHECKING:
    from huanshu.keeper.admission import Admission

#: Roles that may agree to what somebody else asks for.
SECOND: Final = ("security_officer", "cdo")


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


def second_post(admission: Admission, asker: Asker) -> str:
    """The post, security officer's or chief data officer's, in which somebody may be the second."""
    try:
        return admission.post_with_role(asker, SECOND[0])
    except DeniedError:
        return admission.post_with_role(asker, SECOND[1])
