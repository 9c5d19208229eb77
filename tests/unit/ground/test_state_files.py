"""stores.json and deployment.json, spoilt in every usual way: one error that names the file, and nothing made."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from huanshu.assembly import open_deployment
from huanshu.assembly.deployment import _named_stores
from huanshu.errors import ContentError, UnavailableError
from huanshu.settings import Settings

GOOD = b'{"shiqiao": "postgresql://huanshu_courier:secret@db.example/huanshu?sslmode=verify-full"}'
SPOILT: dict[str, bytes] = {
    "empty": b"",
    "cut off": GOOD[: len(GOOD) // 2],
    "key twice": GOOD[:-1] + b', "shiqiao": "x"}',
    "list": b"[1]",
    "number": b"1" * 5000,
    "wrong type": b'{"shiqiao": 5}',
    "utf-16": GOOD.decode().encode("utf-16"),
    "nul": GOOD[:9] + b"\0" + GOOD[9:],
    "garbage": bytes(range(128, 256)),
    "huge": GOOD[:-2] + b"x" * 10_000_000 + GOOD[-2:],
    "deep": b"[" * 100_000,
}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(tmp_path / "home", tmp_path, "en")


@pytest.mark.parametrize("spoilt", SPOILT)
@pytest.mark.parametrize(
    ("name", "read"), [("stores.json", _named_stores), ("deployment.json", open_deployment)]
)
def test_a_spoilt_file_is_named(
    settings: Settings, spoilt: str, name: str, read: Callable[[Settings], object]
) -> None:
    (settings.state / name).write_bytes(SPOILT[spoilt])
    with pytest.raises(ContentError) as caught:
        read(settings)
    error = caught.value
    assert error.where is not None
    assert error.where.file == name
    assert error.remedy is not None
    assert error.what.zh != error.what.en
    assert "secret" not in str(error) + repr(error.__context__)
    assert [path.name for path in settings.state.iterdir()] == [name]


def test_a_folder_in_its_place(settings: Settings) -> None:
    (settings.state / "stores.json").mkdir()
    with pytest.raises(ContentError):
        _named_stores(settings)


def test_the_good_one_and_none(settings: Settings) -> None:
    assert _named_stores(settings) == {}
    (settings.state / "stores.json").write_bytes(b"\xef\xbb\xbf" + GOOD)
    assert list(_named_stores(settings)) == ["shiqiao"]
    with pytest.raises(UnavailableError):
        open_deployment(settings)
