"""``huanshu-witness``: make a witness, serve it, or answer carried files.

Exit codes: 0 done · 1 a log sent what cannot be of one tree · 2 usage · 3 the folder cannot be used.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import signal
import sys
from pathlib import Path

from huanshu_witness.carrying import answer_files
from huanshu_witness.notes import NoteError
from huanshu_witness.serving import WitnessServer
from huanshu_witness.state import State, StateError, create, know

_EPILOG = """examples:
  huanshu-witness init /srv/witness --name audit-office.example/w1 --log 'district.example/log+1a2b3c4d+AQ…'
  huanshu-witness show /srv/witness
  huanshu-witness know /srv/witness --log 'district.example/log/2+5e6f7a8b+AQ…'
  huanshu-witness serve /srv/witness --port 7380
  huanshu-witness carry /srv/witness /media/stick
见证程序：init 创建，know 增加日志，show 显示验证密钥，serve 提供服务（本机或 TLS），carry 以文件交换方式应答。"""


def main() -> None:
    """Entry point."""
    given = _parser().parse_args()
    try:
        if given.command == "init":
            create(given.folder, given.name, given.log)
        elif given.command == "know":
            know(given.folder, given.log)
        with State(given.folder) as state:
            sys.exit(_run(state, given))
    except (StateError, NoteError, OSError) as error:
        told = error if isinstance(error, (StateError, NoteError)) else type(error).__name__
        sys.stderr.write(f"huanshu-witness: {told}\n")
        sys.exit(3)


def _run(state: State, given: argparse.Namespace) -> int:
    if given.command in ("init", "know", "show"):
        heads = {origin: head.size for origin in state.logs if (head := state.head(origin))}
        said = {"name": state.name, "vkey": state.vkey, "logs": sorted(state.logs), "sizes": heads}
        lines = [state.vkey, *(f"{origin} {heads.get(origin, 0)}" for origin in sorted(state.logs))]
        sys.stdout.write((json.dumps(said, ensure_ascii=False) if given.json else "\n".join(lines)) + "\n")
        return 0
    if given.command == "carry":
        answered = answer_files(state, given.exchange)
        said_ = [{"name": name, "status": answer.status} for name, answer in answered]
        plain = [f"{name} {answer.status}" for name, answer in answered]
        sys.stdout.write((json.dumps(said_) if given.json else "\n".join(plain)) + "\n")
        return 1 if any(answer.status == 422 for _, answer in answered) else 0
    server = WitnessServer(state, given.host, given.port, given.certificate, given.key)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    sys.stdout.write(f"{state.vkey} port {server.server_address[1]}\n")
    sys.stdout.flush()
    with contextlib.suppress(KeyboardInterrupt):
        server.serve_forever()
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="huanshu-witness",
        description="A witness of transparency logs (C2SP tlog-witness). 透明日志见证程序。",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True)
    init = commands.add_parser("init", help="make a witness in a folder · 创建")
    init.add_argument("folder", type=Path)
    init.add_argument("--name", required=True, help="a schema-less URL, e.g. audit-office.example/w1")
    init.add_argument("--log", action="append", required=True, metavar="VKEY", help="a log to watch")
    more = commands.add_parser(
        "know", help="watch one more log, or a log's next origin · 增加一部日志或新起点"
    )
    more.add_argument("folder", type=Path)
    more.add_argument(
        "--log", required=True, metavar="VKEY", help="its verifier key, as its operator made it public"
    )
    show = commands.add_parser("show", help="its verifier key and how far it has seen · 显示")
    show.add_argument("folder", type=Path)
    serve = commands.add_parser("serve", help="answer over HTTP · 提供服务")
    serve.add_argument("folder", type=Path)
    serve.add_argument("--host", default="127.0.0.1")
    serve.add_argument("--port", type=int, default=7380, help="0: any free one, told on the first line")
    serve.add_argument("--certificate", type=Path, help="TLS certificate chain (PEM)")
    serve.add_argument("--key", type=Path, help="its private key (PEM)")
    carry = commands.add_parser("carry", help="answer the newest request among files · 以文件应答")
    carry.add_argument("folder", type=Path)
    carry.add_argument("exchange", type=Path)
    for command in (init, more, show, carry):
        command.add_argument("--json", action="store_true", help="answer as one JSON document")
    return parser


if __name__ == "__main__":
    main()
