"""A witness of transparency logs: a small program that an audit office or a community runs for itself.

Imports nothing of ``huanshu``: who watches a log should not run its code. It speaks C2SP ``tlog-witness`` over HTTP (on
loopback, or with TLS) or by files that somebody carries, and signs C2SP ``tlog-cosignature`` v1.

What it promises: of each log it knows, it has seen one growing tree and no other; it never signs a smaller one after a
larger, and what it has signed is on disk before the answer leaves. What it does not: it reads no entries.

    notes     verifier keys, checkpoints, cosignatures       merkle   consistency proofs
    state     key, known logs and the last checkpoint of each, in one folder
    deciding  a request's body → an answer                  serving  HTTP        carrying  files
"""
