"""Sealing: field values in, ciphertext that fits one place and one time out (invariant 6).

Modules, each one idea: ``padding`` (fixed widths, absent values), ``suites`` (the algorithm is the key's to say),
``cells`` (value by value), ``values`` (one value or a column, in Arrow), ``ccm`` (SM4-CCM), ``blocks``, ``s2v``,
``rows``, ``ccm_rows``, ``columns`` and ``padded`` (the same bytes for a column at once), ``arrow`` (matrices),
``links`` (CMAC links, purpose tokens, content marks), ``masks`` and ``masking`` (the ``mask`` rung), ``keys``
(names and wrapping), ``device`` (a root key by PKCS#11, imported where one is used). But for that one, nothing here
does I/O, knows a clock, or decides who may open anything: it is handed keys.
"""

from huanshu.sealing.cells import CellContext, open_column, seal_column
from huanshu.sealing.columns import open_columns, open_padded, seal_padded
from huanshu.sealing.keys import KeyName, Keyring, new_key
from huanshu.sealing.links import (
    LINK_KINDS,
    content_mark,
    content_marks,
    link,
    link_column,
    token,
    token_column,
)
from huanshu.sealing.masking import mask_column
from huanshu.sealing.masks import MASKS, mask
from huanshu.sealing.padded import pad_blocks, pad_column, unpad_column
from huanshu.sealing.values import open_value, open_values, seal_value, seal_values

__all__ = [
    "LINK_KINDS",
    "MASKS",
    "CellContext",
    "KeyName",
    "Keyring",
    "content_mark",
    "content_marks",
    "link",
    "link_column",
    "mask",
    "mask_column",
    "new_key",
    "open_column",
    "open_columns",
    "open_padded",
    "open_value",
    "open_values",
    "pad_blocks",
    "pad_column",
    "seal_column",
    "seal_padded",
    "seal_value",
    "seal_values",
    "token",
    "token_column",
    "unpad_column",
]
