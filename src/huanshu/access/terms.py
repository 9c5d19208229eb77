"""What the words of a rule mean: reach, field group, rung. Pure predicates over the home's nouns.

Casbin calls them from the matcher (``policies/model.conf``) and the explanation calls the same ones, so that
what is said about a rule is what was decided by it.
"""

from __future__ import annotations

from collections.abc import Mapping

from huanshu.catalog.nouns import Contract, DomainTree, Field, Rung

READS = {rung.word: rung for rung in Rung}
WRITES = frozenset({"write", "propose", "approve", "trace"})


class Terms:
    """The predicates over one district's domains and contracts."""

    def __init__(self, domains: DomainTree, contracts: Mapping[str, Contract]) -> None:
        self._domains = domains
        self._groups = {
            name: {field.name: _groups(field) for field in contract.fields}
            for name, contract in contracts.items()
        }
        self._base = {domain.code: _base(domains, domain.code) for domain in domains}

    def reaches(self, reach: str, home: str, domain: str) -> bool:
        """Does ``reach``, given to a post in ``home``, include ``domain``?

        ``own``: the post's own domain. ``below``: administrative units strictly below it — for a department,
        strictly below its district; never another department, whose code a rule has to name. A code: exactly
        that domain and nothing under it."""
        if reach == "own":
            return domain == home
        if reach == "below":
            base = self._base[home]
            return (
                base is not None
                and self._domains.is_below(domain, base)
                and self._domains[domain].kind != "department"
            )
        return reach == domain

    def reaching(self, home: str, domain: str) -> list[str]:
        """Every word of reach that includes ``domain`` for a post in ``home``: the inverse of ``reaches``."""
        words = [word for word in ("own", "below") if self.reaches(word, home, domain)]
        return words if domain in words else [*words, domain]

    def covers(self, group: str, dataset: str, field: str) -> bool:
        """Is ``field`` the one or in the group named (``@level1``…``@level4``, ``@sensitive_personal``)?"""
        return group in self._groups[dataset][field]

    def covering(self, dataset: str, field: str) -> frozenset[str]:
        """Every word of field that includes ``field``: the inverse of ``covers``."""
        return self._groups[dataset][field]

    @staticmethod
    def serves(effect: str, ruled: str, asked: str) -> bool:
        """Does a rule about ``ruled`` speak to a request for ``asked``?

        Reads: an allow speaks to its rung and every lower one, a deny to its rung and every higher one, so
        that whoever may read at a rung may read at every lower rung. Writes: the same action."""
        if ruled in READS and asked in READS:
            return READS[asked] <= READS[ruled] if effect == "allow" else READS[asked] >= READS[ruled]
        return ruled == asked


def offers(field: Field, action: str) -> bool:
    """``mask`` needs a mask in the contract, ``match`` an identifier kind; the rest any field offers."""
    if action == Rung.MASK.word:
        return field.mask is not None
    if action == Rung.MATCH.word:
        return field.link_kind is not None
    return True


def _groups(field: Field) -> frozenset[str]:
    groups = {field.name, f"@level{field.level}"}
    if field.sensitive_personal:
        groups.add("@sensitive_personal")
    return frozenset(groups)


def _base(domains: DomainTree, home: str) -> str | None:
    """What ``below`` is below of: the domain itself, or the nearest unit above a department."""
    if domains[home].kind != "department":
        return home
    return next((code for code in domains.ancestors(home) if domains[code].kind != "department"), None)
