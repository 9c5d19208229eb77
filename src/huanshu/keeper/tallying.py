"""Counting over one sealed field: the keeper reads the rows, opens the one column, and only numbers leave.

    event                       who                        decided by
    access.column.authorised    holder of the post named   plan: ``count``, every field of every clause, every home

Order
    1. The question is clear and allowed, or it is refused and nothing is read.
    2. Beside other requests: the rows of the homes named, as the log vouches for them (``vouched``), still sealed. The
       asker names zones and plain conditions; whom they hold, he does not say.
    3. The entry names those whose value is looked at; its loan how many. Durable, before the first is opened.
    4. Beside other requests: the column is opened in this process, each value becomes a point (``forms``) and is gone.
    5. Judged with all that this reader was told (``counting``), kept, told by an entry; then the numbers leave.
    A crash after 3 leaves an access in the log that gave nobody anything.

One question at a time: a district's column is a hundred megabytes while it is open. Here is neither a lock nor a rule;
those are the service's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Final, Self

import numpy as np
import psycopg
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pyroaring import BitMap

from huanshu.catalog.nouns import Contract, Home, Rung
from huanshu.errors import DeniedError, Text
from huanshu.keeper.counting import Asked, Frame, fields_of, homes_of, key_of, require_few_cells
from huanshu.keeper.forms import Form, form_of
from huanshu.keeper.vouched import Listed, Rows
from huanshu.sealing import CellContext, KeyName, open_values
from huanshu.sealing.keys import data_key

#: How a cell lies in the district store.
_RUNG: Final = Rung.REVEAL.word


@dataclass(frozen=True, slots=True)
class Tally:
    """One question over a sealed field: how many in these homes, where …, by …; ``words`` are the breakdown's own."""

    contract: Contract
    homes: Sequence[str]
    by: str | None
    where: Mapping[str, str]
    form: Form
    #: Values of the sealed field that count; None when it is what the answer is broken down by.
    values: BitMap | None = field(repr=False)
    words: Sequence[str]

    @classmethod
    def of(
        cls, home: Home, claim: Mapping[str, Any], by: str | None, where: Mapping[str, str], words: Sequence[str],
        today: date,
    ) -> Self:  # fmt: skip
        """DeniedError for a field or a form that may not be asked; ValueError for a question that is none."""
        contract = home.contracts[str(claim["dataset"])]
        homes = homes_of(home, claim["detail"]["zones"])
        names = fields_of(contract, by, where, sealed=True)
        sealed = [name for name in names if contract.field(name).sealed]
        if not sealed or by in where:
            raise ValueError
        if len(sealed) > 1:
            raise DeniedError(
                "access.count.two_sealed",
                Text("a count goes over one sealed field at most", "一次统计最多涉及一个密封字段"),
                remedy=Text("ask for one of them", "请只用其中一个"),
            )
        form = form_of(home, contract, sealed[0], today)
        broken_down = form.name == by
        if bool(words) != (broken_down and form.words is None):
            raise ValueError
        said = tuple(words or form.words or ()) if broken_down else ()
        if broken_down:
            form.apart(said)
        values = None if broken_down else form.values(where[form.name])
        return cls(contract, homes, by, where, form, values, said)

    @property
    def fields(self) -> dict[str, str]:
        return {
            name: rung.word
            for name, rung in fields_of(self.contract, self.by, self.where, sealed=True).items()
        }

    @property
    def plain(self) -> Mapping[str, str]:
        """The conditions on plain fields."""
        return {name: value for name, value in self.where.items() if name != self.form.name}

    @property
    def label(self) -> str | None:
        """The plain field that the answer is broken down by."""
        return None if self.by == self.form.name else self.by


@dataclass(frozen=True, slots=True)
class _Slice:
    """The rows of one home that a question is about, sealed."""

    home: str
    rows: pa.Table = field(repr=False)
    people: NDArray[np.int64] = field(repr=False)


class Column:
    """The sealed values that one question is about, and whose they are."""

    def __init__(self, tally: Tally, slices: Sequence[_Slice]) -> None:
        self._tally, self._slices = tally, slices
        self._people = np.concatenate([np.empty(0, np.int64), *(each.people for each in slices)])
        self.everyone = BitMap(self._people.astype(np.uint32))
        if len(self.everyone) != len(self._people):
            raise several()
        if tally.label is not None:
            require_few_cells(len(set(self._labels().tolist())))

    def __len__(self) -> int:
        return len(self._people)

    @property
    def keys(self) -> list[KeyName]:
        """What opens it."""
        return sorted(
            self._key(each.home, epoch)
            for each in self._slices
            for epoch in set(each.rows["epoch"].to_pylist())
        )

    def sets(self, keys: Mapping[KeyName, bytes]) -> list[tuple[str, Asked]]:
        """Opens it: the question's sets, the total first, each under its label."""
        points, tally = self._points(keys), self._tally
        every, said = self.everyone, tally.contract.dataset
        if tally.values is None:
            asked = [("", Asked(key_of(said, tally.homes, tally.where), every))]
            for word in tally.words:
                values = tally.form.values(word)
                frame = Frame(tally.form.name, every, values, tally.form.every)
                key = key_of(said, tally.homes, {**tally.where, tally.form.name: word})
                asked.append((word, Asked(key, self._of(_in(points, values)), frame)))
            return asked
        counts = _in(points, tally.values)
        asked = [("", self._asked(tally.where, np.ones(len(self), bool), counts))]
        if tally.label is not None:
            labels = self._labels()
            for label in sorted(set(labels.tolist())):
                asked.append(
                    (label, self._asked({**tally.where, tally.label: label}, labels == label, counts))
                )
        return asked

    def _asked(self, where: Mapping[str, str], framed: NDArray[np.bool_], counts: NDArray[np.bool_]) -> Asked:
        tally = self._tally
        assert tally.values is not None
        frame = Frame(tally.form.name, self._of(framed), tally.values, tally.form.every)
        key = key_of(tally.contract.dataset, tally.homes, where)
        return Asked(key, self._of(framed & counts), frame)

    def _of(self, chosen: NDArray[np.bool_]) -> BitMap:
        return BitMap(self._people[chosen].astype(np.uint32))

    def _labels(self) -> NDArray[np.str_]:
        name = str(self._tally.label)
        found = [np.array(pc.fill_null(each.rows[name], "").to_pylist(), np.str_) for each in self._slices]
        return np.concatenate([np.empty(0, np.str_), *found])

    def _points(self, keys: Mapping[KeyName, bytes]) -> NDArray[np.int64]:
        known: dict[str | None, int] = {}
        parts = [np.empty(0, np.int64)]
        for each in self._slices:
            epochs = each.rows["epoch"].to_numpy()
            points = np.empty(len(epochs), np.int64)
            for epoch in np.unique(epochs).tolist():
                here = np.flatnonzero(epochs == epoch)
                for value in (opened := self._opened(keys, each, epoch, here)):
                    if value not in known:
                        known[value] = self._tally.form.point(value)
                points[here] = [known[value] for value in opened]
            parts.append(points)
        return np.concatenate(parts)

    def _opened(
        self, keys: Mapping[KeyName, bytes], each: _Slice, epoch: int, here: NDArray[np.intp]
    ) -> list[str | None]:
        name = self._tally.form.name
        context = CellContext(each.home, self._tally.contract.dataset, name, _RUNG, epoch)
        rows = each.rows.take(pa.array(here))
        cells = rows[name].combine_chunks()
        key = keys[self._key(each.home, epoch)]
        opened = open_values(key, context, rows["record"].to_numpy(), rows["version"].to_numpy(), cells)
        found: list[str | None] = opened.to_pylist()
        return found

    def _key(self, home: str, epoch: int) -> KeyName:
        return data_key(home, self._tally.contract.dataset, self._tally.form.name, epoch)


def gathered(
    connection: psycopg.Connection, listed: Listed, tally: Tally, vouching: type[Rows] = Rows
) -> Column:
    """The column of the rows that the question is about, as the log vouches for them; nothing of it is opened."""
    rows = vouching(connection, listed, tally.contract)
    names = sorted(
        {"epoch", tally.form.name, "subjects", *tally.plain, *([tally.label] if tally.label else [])}
    )
    return Column(tally, [_slice(tally, home, rows.of(home, names)) for home in tally.homes])


def _slice(tally: Tally, home: str, rows: pa.Table) -> _Slice:
    chosen = np.ones(len(rows), bool)
    for name, value in tally.plain.items():
        same = pc.fill_null(pc.equal(rows[name], value), False)
        chosen &= same.to_numpy()
    if tally.contract.subjects:
        amounts = pc.list_value_length(rows["subjects"]).to_numpy()
        if (amounts[chosen] > 1).any():
            raise several()
        chosen &= amounts == 1
    rows = rows.filter(pa.array(chosen))
    people = pc.list_flatten(rows["subjects"]) if tally.contract.subjects else rows["record"]
    return _Slice(home, rows.drop_columns(["subjects"]), people.to_numpy())


def _in(points: NDArray[np.int64], values: BitMap) -> NDArray[np.bool_]:
    return np.isin(points, np.array(values, np.int64))


def several() -> DeniedError:
    """A value is one person's, and a person has one value: otherwise numbers over values do not add up to people."""
    return DeniedError(
        "access.count.several",
        Text(
            "somebody has more than one record there, or a record is about several: its sealed fields are not counted",
            "其中有主体对应多条记录或一条记录涉及多个主体，密封字段不能用于统计",
        ),
        remedy=Text("count by plain fields", "请改用明文字段统计"),
    )
