"""PostgreSQL: the embedded server, roles, migrations, sessions. No dataset is known here."""

from huanshu.store.embedded import EmbeddedServer
from huanshu.store.migrations import migrate
from huanshu.store.sessions import available, connect, require_promises

__all__ = ["EmbeddedServer", "available", "connect", "migrate", "require_promises"]
