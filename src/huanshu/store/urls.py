"""Database URLs: refused when they would carry data in the clear, never printed with their password.

What counts is where a connection *goes*: ``hostaddr`` before ``host``, no service file, no default taken from
the environment. ``huanshu.store.sessions`` looks again at the open connection (``require_near``).
"""

from __future__ import annotations

from ipaddress import ip_address

import psycopg
from psycopg import conninfo
from sqlalchemy import URL

from huanshu.errors import ContentError, Text


def parts(url: str) -> dict[str, str]:
    """libpq's parameters in a URL or connection string. ContentError, without the text, when it is neither."""
    try:
        return {k: str(v) for k, v in conninfo.conninfo_to_dict(url).items() if v is not None}
    except (psycopg.Error, UnicodeError):
        # libpq's own message quotes the text, password and all.
        raise ContentError(
            "store.url.malformed",
            Text("a database URL cannot be read", "数据库 URL 无法解析"),
            remedy=Text(
                "write postgresql://role:password@host:port/database?sslmode=verify-full;"
                " percent-encode what is special in the password",
                "格式：postgresql://角色:密码@主机:端口/数据库?sslmode=verify-full；密码中的特殊字符须百分号编码",
            ),
        ) from None


def redacted(url: str) -> str:
    """The URL as a person may see it: user, host and database, without password and options."""
    found = parts(url)
    place = found.get("hostaddr") or found.get("host", "")
    return f"postgresql://{found.get('user', '')}@{place}/{found.get('dbname', '')}"


def require_protected(url: str) -> str:
    """The URL itself, when every host it names is a Unix socket or loopback, or it asks for ``verify-full``."""
    found = parts(url)
    places = (found.get("hostaddr") or found.get("host", "")).split(",")
    if found.get("service") or not all(places):
        raise ContentError(
            "store.url.hostless",
            Text(f"{redacted(url)} does not say which server", f"{redacted(url)} 未写明服务器"),
            remedy=Text(
                "name the host, or the socket folder by ?host=/run/postgresql; no service file is read",
                "请写明主机，或以 ?host=/run/postgresql 指定套接字目录；不读取 service 文件",
            ),
        )
    if found.get("sslmode") != "verify-full" and not all(map(is_near, places)):
        raise _insecure(url)
    return url


def require_near(url: str, address: str) -> None:
    """After connecting: the peer's address ("" for a socket) is what the URL promised.

    The environment of a process can redirect libpq (PGHOSTADDR); what it cannot do is add ``verify-full``."""
    if parts(url).get("sslmode") != "verify-full" and address and not is_near(address):
        raise _insecure(url)


def is_near(place: str) -> bool:
    """Whether a host or address of a URL cannot leave the machine."""
    if place.startswith(("/", "@")) or place == "localhost":
        return True
    try:
        return ip_address(place).is_loopback
    except ValueError:
        return False


def with_role(url: str, role: str, password: str, database: str) -> str:
    """The same server, another role and database."""
    return conninfo.make_conninfo(**{**parts(url), "user": role, "password": password, "dbname": database})


def with_database(url: str, database: str) -> str:
    """The same server and role, another database."""
    return conninfo.make_conninfo(**{**parts(url), "dbname": database})


def for_sqlalchemy(url: str) -> str:
    """The same as an SQLAlchemy URL for psycopg 3 (what Airflow wants). Contains the password."""
    found = parts(url)
    made = URL.create(
        "postgresql+psycopg",
        found.pop("user", None),
        found.pop("password", None),
        database=found.pop("dbname", None),
        query=found,
    )
    return made.render_as_string(hide_password=False)


def _insecure(url: str) -> ContentError:
    return ContentError(
        "store.url.insecure",
        Text(
            f"{redacted(url)} is remote without sslmode=verify-full",
            f"{redacted(url)} 为远程库但未启用 sslmode=verify-full",
        ),
        remedy=Text(
            "add ?sslmode=verify-full and the root certificate", "请加上 ?sslmode=verify-full 及根证书"
        ),
    )
