"""Blank servers: PostgreSQL with our roles and tables and nothing in them, made once a process and copied ever after.

Making them takes longer than most drills. What is copied is a stopped server's folder; keys, head, passwords and
``deployment.json`` are never copied: each range makes its own, over the copy, as after a crash in between.
"""

from __future__ import annotations

import atexit
import shutil
import subprocess
import tempfile
import threading
from pathlib import Path

from huanshu.assembly import create
from huanshu.assembly.deployment import server_folder
from huanshu.assembly.fresh_home import home_now
from huanshu.settings import Settings

_blanks: dict[str, Path] = {}
_alone = threading.Lock()


def lay_blank_servers(settings: Settings) -> None:
    """Put blank embedded servers where ``create`` looks for its own. Nothing is put where a server is given by URL."""
    if settings.database_url is not None:
        return
    for name in ("district", *sorted({d.store for d in home_now(settings.home).policies.domains} - {""})):
        with _alone:
            if name not in _blanks:
                _make(settings)
        folder = server_folder(settings, name)
        folder.parent.mkdir(parents=True, exist_ok=True)
        # cp and not shutil: the folder's owner is the server's own OS user, and stays.
        subprocess.run(["cp", "-a", str(_blanks[name]), str(folder)], check=True)  # noqa: S603, S607


def _make(settings: Settings) -> None:
    folder = Path(tempfile.mkdtemp(prefix="huanshu-blank-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    blank = Settings(settings.home, folder / "state", "en")
    if settings.device_file.exists():  # the key that is made in the device now, the range finds there
        blank.state.mkdir()
        shutil.copyfile(settings.device_file, blank.device_file)
    made = create(blank)
    for name in made.embedded:
        made.server(name).stop()
        _blanks[name] = server_folder(made.settings, name)
