"""How tests make a rotation due: two persons put the next epoch in force."""

from __future__ import annotations

from huanshu.drill.range import Range
from huanshu.identity import adopt_policies, propose_policies

AUTHOR, SECOND = "p.chen", "p.deng"


def raise_epoch(place: Range) -> None:
    epoch, path = place.acting().home.policies.keys.epoch, place.settings.home / "policies/keys.yaml"
    path.write_text(path.read_text().replace(f"\nepoch: {epoch}\n", f"\nepoch: {epoch + 1}\n"))
    author, second = place.acting(AUTHOR), place.acting(SECOND)
    propose_policies(author.keeper, author.home, author.home.policies.digest)
    adopt_policies(second.keeper, second.home, second.home.policies.digest)
