"""Database URLs: refused when they leave the machine in the clear, and never shown with their password."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from huanshu.errors import ContentError, HuanshuError
from huanshu.store import connect
from huanshu.store.urls import (
    for_sqlalchemy,
    parts,
    redacted,
    require_near,
    require_protected,
    with_database,
    with_role,
)

NEAR = [
    "postgresql://app:x@/huanshu?host=%2Frun%2Fpostgresql",
    "postgresql://app:x@localhost/huanshu",
    "postgresql://app:x@127.0.0.1:5433/huanshu",
    "postgresql://app:x@[::1]/huanshu",
    "host=/run/postgresql dbname=huanshu user=app password=x",
    "host=/run/postgresql,127.0.0.2 dbname=huanshu",
]
PROTECTED = [
    "postgresql://app:x@db.district.example/huanshu?sslmode=verify-full",
    "postgresql://app:x@db1.example,db2.example/huanshu?sslmode=verify-full",
    "host=db.example hostaddr=203.0.113.7 sslmode=verify-full dbname=huanshu",
]
INSECURE = [
    "postgresql://app:x@db.district.example/huanshu",
    "postgresql://app:x@db.district.example/huanshu?sslmode=require",
    "postgresql://app:x@db.district.example/huanshu?sslmode=verify-ca",
    "postgresql://app:x@localhost,db.example/huanshu",
    "postgresql://app:x@127.0.0.1.example/huanshu",
    "postgresql://app:x@0.0.0.0/huanshu",
    "postgresql://app:x@localhost/huanshu?hostaddr=203.0.113.7",  # where it goes, not what it is called
    "host=/run/postgresql hostaddr=203.0.113.7 dbname=huanshu",
    "postgresql://app:x@localhost/huanshu?host=db.example",
]
HOSTLESS = [
    "postgresql:///huanshu",
    "dbname=huanshu",
    "service=district",
    "postgresql://app:x@localhost/huanshu?service=district",
    "host=localhost, dbname=huanshu",
    "",
]
passwords = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=12, max_size=40)


@pytest.mark.parametrize("url", NEAR + PROTECTED)
def test_allowed(url: str) -> None:
    assert require_protected(url) == url


@pytest.mark.parametrize("url", INSECURE)
def test_insecure(url: str) -> None:
    with pytest.raises(ContentError, match=r"store\.url\.insecure"):
        require_protected(url)
    with pytest.raises(ContentError, match=r"store\.url\.insecure"):
        connect(url)


@pytest.mark.parametrize("url", HOSTLESS)
def test_it_says_which_server(url: str) -> None:
    with pytest.raises(ContentError, match=r"store\.url\.hostless"):
        require_protected(url)


@given(passwords)
def test_no_password_is_ever_shown(password: str) -> None:
    encoded = quote(password, safe="")
    shown = [
        redacted(f"postgresql://app:{encoded}@db.example/huanshu?options=-csearch_path%3D{encoded}"),
    ]
    for url in (
        f"postgresql://app:{encoded}@db.example/x",
        f"postgresql://app:{encoded}@db.example:no/x?nonsense={encoded}",
    ):
        with pytest.raises(HuanshuError) as refused:
            require_protected(url)
        error = refused.value
        shown += [str(error), repr(error), error.explain("zh"), repr(error.__cause__), str(error.as_json())]
        assert error.__cause__ is None
        assert error.__suppress_context__ or error.__context__ is None
    assert all(password not in text and encoded not in text for text in shown)


@given(st.text(max_size=60))
def test_anything_else_is_one_error(text: str) -> None:
    with pytest.raises(ContentError, match=r"store\.url\.(malformed|hostless|insecure)\] →"):
        require_protected(text)


@given(passwords, passwords)
def test_roles_and_databases_change_and_nothing_else(password: str, database: str) -> None:
    url = "postgresql://admin:old@db.example:5433/postgres?sslmode=verify-full"
    changed = parts(with_database(with_role(url, "app", password, "other"), database))
    assert changed == {
        "user": "app", "password": password, "host": "db.example", "port": "5433",
        "dbname": database, "sslmode": "verify-full",
    }  # fmt: skip


def test_sqlalchemy_reads_back_what_was_meant() -> None:
    from sqlalchemy import make_url

    made = make_url(for_sqlalchemy("postgresql://app:p%40ss%2F%3A@/huanshu?host=%2Ftmp%2Fa%20b"))
    assert (made.drivername, made.username, made.password) == ("postgresql+psycopg", "app", "p@ss/:")
    assert made.database == "huanshu"
    assert made.query == {"host": "/tmp/a b"}


def test_the_open_connection_is_looked_at_again() -> None:
    """PGHOSTADDR in the environment redirects what the URL calls local; verify-full it cannot add."""
    for near in ("", "127.0.0.1", "::1"):
        require_near(NEAR[1], near)
    require_near(PROTECTED[0], "203.0.113.7")
    with pytest.raises(ContentError, match=r"store\.url\.insecure"):
        require_near(NEAR[1], "203.0.113.7")
