"""The audit log: who saw what, why, in whose name — appended before it happens.

``events`` the closed set and its shapes, ``writer`` the one writer, ``register`` what the entries establish,
``published`` and ``publisher`` the static files that prove it to others, ``witnesses`` who has seen them, ``reader``
for everyone else, ``signing`` and ``head`` what lies outside the database.
"""

from huanshu.auditlog.entries import Draft, Entry
from huanshu.auditlog.events import EVENTS
from huanshu.auditlog.head import HeadFile, HeadStore
from huanshu.auditlog.holds import Hold, Holds, Recall, content_digest
from huanshu.auditlog.origins import Origins
from huanshu.auditlog.published import PublishedLog
from huanshu.auditlog.publisher import Publisher
from huanshu.auditlog.register import Approval, Gap, Register, Withholding
from huanshu.auditlog.signing import Signer, create_signing_key, require_signature
from huanshu.auditlog.witnesses import Witnessed, Witnesses
from huanshu.auditlog.writer import Appended, LogWriter, create_head

__all__ = [
    "EVENTS",
    "Appended",
    "Approval",
    "Draft",
    "Entry",
    "Gap",
    "HeadFile",
    "HeadStore",
    "Hold",
    "Holds",
    "LogWriter",
    "Origins",
    "PublishedLog",
    "Publisher",
    "Recall",
    "Register",
    "Signer",
    "Withholding",
    "Witnessed",
    "Witnesses",
    "content_digest",
    "create_head",
    "create_signing_key",
    "require_signature",
]
