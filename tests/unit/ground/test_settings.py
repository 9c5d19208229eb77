"""Settings: a misspelt name or a careless endpoint is an error, never a default."""

from __future__ import annotations

import pytest

from huanshu.errors import ContentError
from huanshu.settings import read_settings

ENDPOINTS = ("HUANSHU_OTLP_ENDPOINT", "HUANSHU_OPENLINEAGE_URL")


@pytest.mark.parametrize("name", ENDPOINTS)
@pytest.mark.parametrize(
    "url", ["https://collector.example/v1", "http://127.0.0.1:4318/v1", "http://[::1]:9/x"]
)
def test_an_endpoint_is_https_or_on_this_machine(name: str, url: str) -> None:
    settings = read_settings({name: url})
    assert url in (settings.otlp_endpoint, settings.openlineage_url)


@pytest.mark.parametrize("name", ENDPOINTS)
@pytest.mark.parametrize(
    "url",
    [
        "http://collector.example/v1",
        "http://127.0.0.1.example/",
        "ftp://127.0.0.1/",
        "https://u:p@host/",
        "collector-of-ours",
        "http://[x",
    ],
)
def test_any_other_endpoint_is_refused_and_its_setting_named(name: str, url: str) -> None:
    with pytest.raises(ContentError) as caught:
        read_settings({name: url})
    assert name in caught.value.explain("en")
    assert url not in caught.value.explain("en")


def test_a_misspelt_setting_is_refused_with_the_right_word() -> None:
    with pytest.raises(ContentError) as caught:
        read_settings({"HUANSHU_OPENLINEAGE": "x"})
    assert "HUANSHU_OPENLINEAGE_URL" in caught.value.explain("en")


def test_nothing_is_named_by_default() -> None:
    settings = read_settings({})
    assert settings.otlp_endpoint is None
    assert settings.openlineage_url is None
