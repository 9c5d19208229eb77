"""The old distribution ``casbin`` and ``pycasbin`` own the same package folder: whichever was installed
last wins, and the older one explains and decides differently. So the old one may not be installed at all."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from importlib.metadata import distributions

from huanshu.errors import Text, UnavailableError


def casbin_clash(search_path: Sequence[str] | None = None) -> Iterator[UnavailableError]:
    """An error when the distribution ``casbin`` is installed on ``search_path`` (default: this
    interpreter's)."""
    found = distributions(path=list(sys.path if search_path is None else search_path))
    if any((one.metadata["Name"] or "").lower() == "casbin" for one in found):
        yield UnavailableError(
            "environment.casbin.clash",
            Text(
                "the old distribution casbin is installed and shares a folder with pycasbin",
                "已安装的旧包 casbin 与 pycasbin 占用同一目录",
            ),
            remedy=Text("uninstall both, then install pycasbin alone", "请先卸载两者，再单独安装 pycasbin"),
        )
