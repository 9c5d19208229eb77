"""The fast road through CSV text: Arrow's reader, let loose only on text that it reads exactly as the rules say.

``fast_cells`` answers None for whatever is unusual — a quotation mark out of place, a ragged line, a huge cell, a
blank after the delimiter — and never an error: the caller's slow road then judges each line, with its number. So
nothing here decides what is right; a test holds both roads side by side over random text.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import csv

from huanshu.exchange.manifest import Dialect

_QUOTE: Final = ord('"')
_FEED: Final = ord("\n")
_RETURN: Final = ord("\r")


def fast_cells(raw: bytes, dialect: Dialect, width: int, max_cell: int) -> pa.Table | None:
    """``width`` ``large_string`` columns, null where the cell is empty; None where the slow road must judge.

    ``raw`` is whole lines in valid UTF-8, without a NUL and without a carriage return that no line feed follows."""
    if dialect.skip_initial_space or width < 2 or raw.startswith(b"\xef\xbb\xbf"):
        return None  # a byte-order mark, Arrow would take for no content
    data = np.frombuffer(raw, np.uint8)
    ends = np.flatnonzero(data == _FEED)
    lengths = np.diff(ends, prepend=-1, append=len(raw)) - 1
    # No cell is longer than its line.
    if lengths.max() > max_cell or _has_empty_line(data, ends, lengths[:-1]):
        return None
    if b'"' in raw and not _quotes_stand_well(data, ends, dialect.delimiter):
        return None
    names = [str(n) for n in range(width)]
    try:
        table = csv.read_csv(
            pa.BufferReader(raw),
            read_options=csv.ReadOptions(column_names=names, use_threads=False, block_size=max(len(raw), 1)),
            parse_options=csv.ParseOptions(delimiter=dialect.delimiter, ignore_empty_lines=False),
            convert_options=csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.large_string()),
                null_values=[""],
                strings_can_be_null=True,
                quoted_strings_can_be_null=True,
                check_utf8=False,  # it was decoded, strictly
            ),
        )
    except pa.ArrowInvalid:
        return None
    return table


def _has_empty_line(data: NDArray[np.uint8], ends: NDArray[np.int64], lengths: NDArray[np.int64]) -> bool:
    """An empty line is a row of one cell, which is ragged; Arrow would take it for a row of absent ones."""
    short = ends[lengths <= 1]
    return bool((lengths == 0).any() or (data[short - 1] == _RETURN).any())


def _quotes_stand_well(data: NDArray[np.uint8], ends: NDArray[np.int64], delimiter: str) -> bool:
    """True when every cell is quoted as a whole or holds no quotation mark (RFC 4180, 2.5–2.7)."""
    quotes = np.flatnonzero(data == _QUOTE)
    if len(quotes) % 2 or (np.searchsorted(quotes, ends) % 2).any():
        return False  # a line with an open quotation
    padded = np.concatenate([[_FEED], data, [_FEED]]).astype(np.uint8)
    before, after = padded[quotes[::2]], padded[quotes[1::2] + 2]
    outside = np.array(
        [ord(delimiter), _FEED, _QUOTE], np.uint8
    )  # a doubled mark is a closing and an opening one
    return bool(np.isin(before, outside).all() and np.isin(after, np.append(outside, _RETURN)).all())
