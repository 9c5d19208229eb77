"""Database URLs: refused when they would carry data in the clear, never printed with their password."""

from __future__ import annotations

from psycopg import conninfo

from huanshu.errors import ContentError, Text

_LOOPBACK = {"", "localhost", "127.0.0.1", "::1"}


def redacted(url: str) -> str:
    """The URL as a person may see it: user, host and database, without password and options."""
    parts = conninfo.conninfo_to_dict(url)
    return f"postgresql://{parts.get('user', '')}@{parts.get('host', '')}/{parts.get('dbname', '')}"


def require_protected(url: str) -> str:
    """The URL itself, when it is a Unix socket, loopback, or asks for ``sslmode=verify-full``."""
    parts = conninfo.conninfo_to_dict(url)
    hosts = str(parts.get("host") or "").split(",")
    far = [host for host in hosts if not (host.startswith(("/", "@")) or host in _LOOPBACK)]
    if far and parts.get("sslmode") != "verify-full":
        raise ContentError(
            "store.url.insecure",
            Text(
                f"{redacted(url)} is remote without sslmode=verify-full",
                f"{redacted(url)} 为远程库但未启用 sslmode=verify-full",
            ),
            remedy=Text(
                "add ?sslmode=verify-full and the root certificate", "请加上 ?sslmode=verify-full 及根证书"
            ),
        )
    return url


def with_role(url: str, role: str, password: str, database: str) -> str:
    """The same server, another role and database."""
    parts = conninfo.conninfo_to_dict(url)
    named = {name: str(value) for name, value in parts.items() if value is not None}
    return conninfo.make_conninfo("", **{**named, "user": role, "password": password, "dbname": database})


def for_sqlalchemy(url: str) -> str:
    """The same as an SQLAlchemy URL for psycopg 3 (what Airflow wants)."""
    from sqlalchemy import URL

    parts = {k: str(v) for k, v in conninfo.conninfo_to_dict(url).items() if v is not None}
    query = {k: v for k, v in parts.items() if k not in {"user", "password", "dbname"}}
    made = URL.create(
        "postgresql+psycopg",
        parts.get("user"),
        parts.get("password"),
        database=parts.get("dbname"),
        query=query,
    )
    return made.render_as_string(hide_password=False)
