"""In a fresh process: no connection, no file, no line on the screen, whatever the logging was set to."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]

PROGRAM = """
import json, logging, sys
logging.basicConfig(level=logging.DEBUG)
seen = []
def watch(event, args):
    if event in {"socket.connect", "socket.sendto", "socket.sendmsg", "socket.getaddrinfo", "socket.gethostbyname"}:
        seen.append(event)
    elif event == "open" and isinstance(args[1], str) and set(args[1]) & set("wax+"):
        seen.append(f"open {args[0]}")
    elif event in {"os.mkdir", "tempfile.mkstemp", "tempfile.mkdtemp", "subprocess.Popen", "os.system"}:
        seen.append(f"{event} {args[0]}")
sys.addaudithook(watch)
from pathlib import Path
import pyarrow as pa
from huanshu.catalog import read_home
from huanshu.catalog.folder import Folder
from huanshu.quality import validate
assert "great_expectations" not in sys.modules
home = read_home(Path(sys.argv[1]))
from huanshu.quality.samples import sample
contract, suite = home.contracts["resident"], home.suites["resident"]
frame = sample(Folder(Path(home.path)), "expectations/resident/samples/failing.phone_form.csv", contract)
verdict = validate(frame, suite, contract, home.policies.domains)
assert verdict.failed
control = list(seen)
import socket
try:
    socket.create_connection(("127.0.0.1", 9), 0.01)
except OSError:
    pass
assert len(seen) > len(control), "the watch itself does not work"
Path(sys.argv[2]).write_text(json.dumps(control))
"""


def test_nothing_leaves_and_nothing_is_said(tmp_path: Path) -> None:
    out = tmp_path / "seen.json"
    done = subprocess.run(
        [sys.executable, "-B", "-c", PROGRAM, str(ROOT), str(out)],
        capture_output=True,
        text=True,
        timeout=120,
        env={"PYTHONPATH": str(ROOT / "src"), "HOME": str(tmp_path), "PATH": "/usr/bin:/bin"},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(out.read_text()) == []
    assert done.stdout == ""
    assert done.stderr == ""
