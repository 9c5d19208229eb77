"""Archiving, whole: what is past every period is moved by an entry, and everything still verifies."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from planting import Planting

from huanshu.assembly import archiving
from huanshu.auditlog import HeadFile, Signer
from huanshu.drill.range import Range
from huanshu.errors import DeniedError

ROOT = Path(__file__).parents[2]
OFFICER, CLERK = "p.chen", "p.tang"


def _short(home: Path) -> None:
    """A home whose law wants a day."""
    file = home / "audit/obligations.yaml"
    text = file.read_text()
    for key in ("log_retention", "delivery_retention", "processing_retention"):
        text, count = re.subn(
            rf"(  {key}:.*?value: )\d+(\n    unit: )\w+", r"\g<1>1\g<2>days", text, count=1, flags=re.DOTALL
        )
        assert count == 1
    file.write_text(text)


@pytest.fixture
def place() -> Iterator[Range]:
    """Three hundred entries of three days ago."""
    range_ = Range(ROOT, edit=_short)
    range_.pass_(-timedelta(days=3))
    with range_ as made:
        made.stop_keeper()
        keeper, home = made.settings.keeper_folder, made.acting().home
        planting = Planting(
            home, made.deployment.roles["huanshu_keeper"], Signer.load(keeper / "log.key"), HeadFile(keeper / "head"),
            keeper / "root.key", made.clock,
        )  # fmt: skip
        detail = {"report": "exchange_summary", "sha256": "cd" * 32}
        planting.append(
            *(planting.body("report.page.built", {**detail, "entries": n}, "p.xu") for n in range(300))
        )
        planting.done()
        planting.vault.close()
        made.pass_(timedelta(days=3))
        made.start_keeper()
        yield made


def test_what_is_past_every_period_is_moved_and_verifies(
    place: Range, command: Callable[..., tuple[int, Any]]
) -> None:
    settings = place.settings
    end = time.monotonic() + 60
    while not (settings.log_folder / "tile/entries/000").exists():
        assert time.monotonic() < end
        time.sleep(0.2)
    code, told = command(settings, f"huanshu --as {OFFICER} audit archive --dry-run")
    assert (code, told["entry"], told["bundles"]) == (0, -1, ["tile/entries/000"])
    assert command(settings, f"huanshu --as {CLERK} audit archive")[0] == 5
    assert (settings.log_folder / "tile/entries/000").exists()
    code, told = command(settings, f"huanshu --as {OFFICER} audit archive")
    assert code == 0
    entry = place.entries()[told["entry"]]
    assert (entry.event, entry.body["detail"]["last"]) == ("retention.files.archived", 255)
    assert not (settings.log_folder / "tile/entries/000").exists()
    assert (settings.archive_folder / "tile/entries/000").exists()
    assert place.verify().clean
    settings.archive_folder.rename(settings.state / "carried")
    assert not place.verify().clean
    assert command(settings, f"huanshu verify --archive {settings.state / 'carried'}")[0] == 0
    assert command(settings, f"huanshu --as {OFFICER} audit archive")[1]["entry"] == -1
    # The keeper reckons by itself: nobody archives what is younger.
    seen = archiving.look(place.acting(OFFICER))
    detail = {
        "before": (seen.before + timedelta(seconds=1)).isoformat(),
        "bundles": 1,
        "bitmaps": 0,
        "last": 255,
    }
    with pytest.raises(DeniedError, match=r"retention\.floor\.reached"):
        place.acting(OFFICER).keeper.append({"event": archiving.EVENT, "detail": detail})
