"""Cryptographic devices of software: SoftHSM2, wherever the machine has it. Real PKCS#11, real refusals."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from shutil import which

import pytest

PIN, WRONG = "417-pin-of-tests-417", "418-pin-of-tests-418"
USUAL = ("softhsm/libsofthsm2.so", "*/softhsm/libsofthsm2.so", "pkcs11/libsofthsm2.so")


def module() -> Path | None:
    """SoftHSM2's module, where one is installed."""
    folders = [Path("/usr/lib"), Path("/usr/lib64"), Path("/usr/local/lib"), Path("/opt/homebrew/lib")]
    found = (path for folder in folders for pattern in USUAL for path in sorted(folder.glob(pattern)))
    return next(found, None)


@dataclass
class Devices:
    """Empty devices of this test process, all in one module, which looks for devices once."""

    module: Path
    folder: Path
    _fresh: list[str]

    def new(self) -> str:
        """The label of a device that nobody has used."""
        return self._fresh.pop()

    def write(self, file: Path, device: str, *, pin: str = PIN, key: str = "huanshu root") -> None:
        """``device.json``, and the PIN beside it."""
        file.parent.mkdir(parents=True, exist_ok=True)
        secret = file.with_name("device.pin")
        secret.write_text(pin + "\n")
        secret.chmod(0o600)
        told = {"module": str(self.module), "device": device, "key": key, "pin_file": str(secret)}
        file.write_text(json.dumps(told))
        file.chmod(0o644)


def made_in(folder: Path) -> Devices:
    """Skips, loudly, where SoftHSM2 is absent."""
    found = module()
    if found is None or which("softhsm2-util") is None:
        pytest.skip("no SoftHSM2 on this machine (Debian: softhsm2): the root key in a device is NOT tested")
    (folder / "devices").mkdir()
    setting = folder / "softhsm2.conf"
    setting.write_text(f"directories.tokendir = {folder / 'devices'}\nobjectstore.backend = file\n")
    os.environ["SOFTHSM2_CONF"] = str(setting)
    usual = folder / ".config" / "softhsm2"  # where SoftHSM2 looks below HOME when no variable tells it
    usual.mkdir(parents=True)
    (usual / "softhsm2.conf").write_text(setting.read_text())
    labels = [f"device {number}" for number in range(20)]
    for label in labels:
        subprocess.run(
            ["softhsm2-util", "--init-token", "--free", "--label", label, "--pin", PIN, "--so-pin", "so-" + PIN],
            check=True, capture_output=True,
        )  # fmt: skip
    return Devices(found, folder, labels)
