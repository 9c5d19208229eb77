"""Where this deployment's root key is: in a file of the keeper's folder, or in a device that ``device.json`` names.

    keeper/root.key      root_provider: file: the key itself, mode 0600
    keeper/root.device   root_provider: pkcs11: no secret; a check by which the keeper knows its key again
    device.json          {"module": "/…", "device": "label", "key": "label", "pin_file": "/…"}, the operator's,
                         beside ``deployment.json``: what is right on this machine may be wrong on the next

A deployment has one of the two and keeps it: ``policies/keys.yaml`` may not say the other one afterwards. Nothing but
``make_root``, which the making of a deployment calls, writes here.

Trust: who can write ``device.json`` or the module that it names runs code in the keeper, so both belong to root or to
the keeper's account and nobody else can write them; and the home, which other people edit, names neither. Who can read
the PIN file can use the device while he has it, so the keeper alone may. Who can change ``root.device`` can keep the
keeper from starting.
"""

from __future__ import annotations

import json
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from huanshu.errors import ContentError, TamperedError, Text, UnavailableError, Where
from huanshu.keeper.vault import create_root, load_root
from huanshu.sealing.keys import RootKey
from huanshu.sealing.suites import Profile
from huanshu.store.durable import write_whole

if TYPE_CHECKING:
    from huanshu.sealing.device import DeviceRoot

Provider = Literal["file", "pkcs11"]

ROOT_FILES: Final[dict[Provider, str]] = {"file": "root.key", "pkcs11": "root.device"}
_KEYS: Final = ("module", "device", "key", "pin_file")
_LARGEST: Final = 4096


@dataclass(frozen=True, slots=True)
class RootPlace:
    """The keeper's folder, and the file that names a device."""

    folder: Path
    device: Path


def make_root(place: RootPlace, provider: Provider, profile: Profile) -> None:
    """The root key of a new deployment, unless it has one. Repeatable: a device's key that a crash left without its
    note is found by its label, and noted."""
    _require_provider(place, provider)
    path = place.folder / ROOT_FILES[provider]
    if path.exists():
        return
    if provider == "file":
        create_root(path, profile)
        return
    root = _opened(place, make=True)
    try:
        write_whole(path, json.dumps({"v": 1, "check": root.check().hex()}).encode())
    finally:
        root.close()


def open_root(place: RootPlace, provider: Provider) -> RootKey:
    """The root key that this deployment was made with.

    UnavailableError or ContentError when it cannot be had; TamperedError for another key in its place."""
    _require_provider(place, provider)
    path = place.folder / ROOT_FILES[provider]
    if provider == "file":
        return load_root(path)
    try:
        check = bytes.fromhex(json.loads(path.read_text("utf-8"))["check"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        raise UnavailableError(
            "keeper.root.unusable",
            Text(f"{path.name} is missing or damaged", f"{path.name} 缺失或损坏"),
            remedy=Text("restore the keeper's folder from its backup", "请从备份恢复钥匙保管的文件夹"),
        ) from None
    root = _opened(place, make=False)
    try:
        root.require_checked(check)
    except TamperedError:
        root.close()
        raise TamperedError(
            "keeper.root.other",
            Text("the device holds another root key under this label", "设备中该标签下是另一把根密钥"),
            remedy=Text(
                "connect the device that this deployment was made with, or a copy that its maker's tool made",
                "请接入创建本部署时的设备，或由厂商工具制作的副本",
            ),
        ) from None
    except BaseException:
        root.close()
        raise
    return root


def _require_provider(place: RootPlace, provider: Provider) -> None:
    """Nobody moves the root key by changing a word in a file."""
    for other, name in ROOT_FILES.items():
        if other != provider and (place.folder / name).exists():
            raise UnavailableError(
                "keeper.root.elsewhere",
                Text(
                    f"policies/keys.yaml says root_provider: {provider}; this deployment's root key is of {other}",
                    f"policies/keys.yaml 写的是 root_provider: {provider}，本部署的根密钥属于 {other}",
                ),
                remedy=Text(
                    f"write root_provider: {other}, or make a new deployment",
                    f"请写 root_provider: {other}，或新建部署",
                ),
            )


def _opened(place: RootPlace, *, make: bool) -> DeviceRoot:
    try:
        from huanshu.sealing.device import DeviceAddress, open_device
    except ImportError:
        raise UnavailableError(
            "keeper.root.library",
            Text("root_provider: pkcs11 needs python-pkcs11", "root_provider: pkcs11 需安装 python-pkcs11"),
            remedy=Text("pip install 'huanshu[pkcs11]'", "pip install 'huanshu[pkcs11]'"),
        ) from None
    said = _read(place.device)
    module, pin_file = Path(said["module"]), Path(said["pin_file"])
    _require_ours(module, "the module", "模块文件")
    return open_device(DeviceAddress(str(module), said["device"], said["key"]), _pin(pin_file), make=make)


def _read(path: Path) -> dict[str, str]:
    _require_ours(path, path.name, path.name)
    try:
        with path.open("rb") as file:
            raw = file.read(_LARGEST + 1)
        pairs: list[tuple[str, object]] = json.loads(
            raw.decode("utf-8-sig") if len(raw) <= _LARGEST else "", object_pairs_hook=list
        )
        said = {key: value for key, value in pairs if isinstance(value, str) and value}
        good = sorted(key for key, _ in pairs) == sorted(_KEYS) and sorted(said) == sorted(_KEYS)
        good = good and all(Path(said[key]).is_absolute() for key in ("module", "pin_file"))
    except (OSError, ValueError, TypeError, RecursionError):
        good = False
    if not good:
        raise ContentError(
            "keeper.root.device_file",
            Text(
                f"{path.name} must name module, device, key and pin_file, each once; files by absolute paths",
                f"{path.name} 须载明 module、device、key、pin_file 各一次，文件用绝对路径",
            ),
            remedy=Text(
                "see docs/operations.md, the root key in a device", "见 docs/operations.md 的“密码设备”一节"
            ),
            where=Where(path.name),
        )
    return said


def _require_ours(path: Path, en: str, zh: str) -> None:
    """UnavailableError unless it is a file that root or the keeper's account owns, and nobody else can write."""
    try:
        seen = path.stat()
    except OSError:
        raise _unfit(f"{en} is not there", f"{zh}不存在") from None
    if not stat.S_ISREG(seen.st_mode) or seen.st_uid not in (0, os.geteuid()) or seen.st_mode & 0o022:
        raise _unfit(
            f"{en} must be a file that the keeper's account or root owns and nobody else can write",
            f"{zh}须归钥匙保管账户或 root 所有，且他人不可写",
        )


def _pin(path: Path) -> str:
    try:
        with path.open("rb") as file:
            seen, raw = os.fstat(file.fileno()), file.read(257)
        pin = raw.decode("utf-8").rstrip("\r\n") if len(raw) <= 256 else ""
    except (OSError, UnicodeError):
        raise _unfit("the PIN file cannot be read", "无法读取 PIN 文件") from None
    if not stat.S_ISREG(seen.st_mode) or seen.st_uid != os.geteuid() or seen.st_mode & 0o077:
        raise _unfit(
            "the PIN file must be the keeper's own, mode 0600", "PIN 文件须归钥匙保管账户且权限为 0600"
        )
    if not pin:
        raise _unfit("the PIN file holds no PIN", "PIN 文件中没有 PIN 码")
    return pin


def _unfit(en: str, zh: str) -> UnavailableError:
    return UnavailableError(
        "keeper.root.device_file",
        Text(en, zh),
        remedy=Text(
            "see docs/operations.md, the root key in a device", "见 docs/operations.md 的“密码设备”一节"
        ),
    )
