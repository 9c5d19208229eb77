"""The gate (闸口): decide → append → open. The one way to plaintext, for one record or a million.

``read`` a single record, ``bulk`` a delivery's chunks, ``intake`` values on their way in. The gate never opens
without a ticket and never keeps a key: both come from the keeper, per access, per chunk.
"""
