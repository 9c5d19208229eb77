"""Where the root key is: made once, in one place, found again there, and by nobody else's word."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from devices import WRONG, Devices

from huanshu.errors import ContentError, HuanshuError, TamperedError, UnavailableError
from huanshu.keeper.root import Provider, RootPlace, make_root, open_root
from huanshu.sealing.keys import KeyName, new_root_key

NAME = KeyName("data/990101001001/resident/name/1")


@pytest.fixture
def place(tmp_path: Path) -> RootPlace:
    (tmp_path / "keeper").mkdir()
    return RootPlace(tmp_path / "keeper", tmp_path / "device.json")


def test_a_devices_key_is_found_again(place: RootPlace, devices: Devices) -> None:
    devices.write(place.device, devices.new())
    make_root(place, "pkcs11", "aes")
    assert sorted(os.listdir(place.folder)) == ["root.device"]
    assert (place.folder / "root.device").stat().st_mode & 0o077 == 0
    with closing(open_root(place, "pkcs11")) as root:
        assert root.profile == "aes"
        wrapped = root.wrap(NAME, b"k" * 64)
    make_root(place, "pkcs11", "aes")  # again, as after a crash: nothing new
    with closing(open_root(place, "pkcs11")) as root:
        assert root.unwrap(NAME, wrapped) == b"k" * 64
    # A crash after the key was made and before it was noted: it is found by its label.
    (place.folder / "root.device").unlink()
    with pytest.raises(UnavailableError, match="missing"):
        open_root(place, "pkcs11")
    make_root(place, "pkcs11", "aes")
    with closing(open_root(place, "pkcs11")) as root:
        assert root.unwrap(NAME, wrapped) == b"k" * 64


def test_another_devices_key_is_not_taken_for_it(place: RootPlace, devices: Devices) -> None:
    devices.write(place.device, devices.new())
    make_root(place, "pkcs11", "aes")
    note = (place.folder / "root.device").read_bytes()
    devices.write(place.device, devices.new())
    (place.folder / "root.device").unlink()
    make_root(place, "pkcs11", "aes")
    (place.folder / "root.device").write_bytes(note)
    with pytest.raises(TamperedError) as refused:
        open_root(place, "pkcs11")
    assert refused.value.code == "keeper.root.other"


@pytest.mark.parametrize(("made", "asked"), [("file", "pkcs11"), ("pkcs11", "file")])
def test_nobody_moves_the_root_by_a_word_in_a_file(
    place: RootPlace, devices: Devices, made: Provider, asked: Provider
) -> None:
    devices.write(place.device, devices.new())
    make_root(place, made, "aes")
    before = sorted(os.listdir(place.folder))
    for use in (lambda: open_root(place, asked), lambda: make_root(place, asked, "aes")):
        with pytest.raises(UnavailableError) as refused:
            use()
        assert refused.value.code == "keeper.root.elsewhere"
    assert sorted(os.listdir(place.folder)) == before


def test_a_wrong_pin_and_an_absent_device_stop_the_keeper(place: RootPlace, devices: Devices) -> None:
    device = devices.new()
    devices.write(place.device, device)
    make_root(place, "pkcs11", "aes")
    for device_said, pin, words in (
        (device, WRONG, "does not take the PIN"),
        ("unplugged", None, "is not there"),
    ):
        devices.write(place.device, device_said, **({"pin": pin} if pin else {}))
        for use in (lambda: open_root(place, "pkcs11"), lambda: _made_anew(place)):
            with pytest.raises(UnavailableError, match=words) as refused:
                use()
            assert WRONG not in refused.value.explain("en")
    devices.write(place.device, device)
    open_root(place, "pkcs11").close()


def _made_anew(place: RootPlace) -> None:
    note = (place.folder / "root.device").read_bytes()
    (place.folder / "root.device").unlink()
    try:
        make_root(place, "pkcs11", "aes")
    finally:
        (place.folder / "root.device").write_bytes(note)


def _said(change: Callable[[dict[str, object]], object]) -> Callable[[RootPlace], None]:
    def write(place: RootPlace) -> None:
        said = json.loads(place.device.read_text())
        place.device.write_text(json.dumps(change(said) or said))

    return write


def _mode(name: str, mode: int) -> Callable[[RootPlace], None]:
    return lambda place: (place.device.parent / name).chmod(mode)


@pytest.mark.parametrize(
    "spoil",
    [
        _said(lambda said: said.pop("key")),
        _said(lambda said: said.update(pin="1234")),
        _said(lambda said: said.update(device="")),
        _said(lambda said: said.update(device=7)),
        _said(lambda said: said.update(module="libsofthsm2.so")),
        _said(lambda said: said.update(pin_file="device.pin")),
        _said(lambda said: [said]),
        lambda place: place.device.write_text(place.device.read_text()[:-1] + ', "key": "other"}'),
        lambda place: place.device.write_text("[" * 5000),
        lambda place: place.device.write_text("not JSON"),
        lambda place: place.device.write_bytes(b"\xff\xfe"),
        lambda place: place.device.unlink(),
        _mode("device.json", 0o666),
        _mode("device.json", 0o664),
        _mode("device.pin", 0o640),
        _mode("device.pin", 0o604),
        lambda place: place.device.with_name("device.pin").write_text("\n"),
        lambda place: place.device.with_name("device.pin").write_text("1" * 300),
        lambda place: place.device.with_name("device.pin").unlink(),
    ],
)
def test_what_names_the_device_must_be_whole_and_ours(
    place: RootPlace, devices: Devices, spoil: Callable[[RootPlace], object]
) -> None:
    """Nothing here reaches the device: what is wrong is found before."""
    devices.write(place.device, "never asked")
    spoil(place)
    with pytest.raises(HuanshuError) as refused:
        make_root(place, "pkcs11", "aes")
    assert refused.value.code == "keeper.root.device_file"
    assert isinstance(refused.value, ContentError | UnavailableError)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to give files away")
@pytest.mark.parametrize("name", ["device.json", "device.pin"])
def test_another_accounts_word_is_not_taken(place: RootPlace, devices: Devices, name: str) -> None:
    devices.write(place.device, "never asked")
    os.chown(place.device.with_name(name), 12345, 12345)
    with pytest.raises(UnavailableError) as refused:
        make_root(place, "pkcs11", "aes")
    assert refused.value.code == "keeper.root.device_file"


def test_a_module_that_others_can_write_is_not_run(place: RootPlace, devices: Devices) -> None:
    devices.write(place.device, "never asked")
    copy = place.device.with_name("module.so")
    copy.write_bytes(devices.module.read_bytes())
    copy.chmod(0o777)
    said = json.loads(place.device.read_text()) | {"module": str(copy)}
    place.device.write_text(json.dumps(said))
    with pytest.raises(UnavailableError) as refused:
        make_root(place, "pkcs11", "aes")
    assert refused.value.code == "keeper.root.device_file"


def test_without_the_library_it_says_what_to_install(
    place: RootPlace, devices: Devices, monkeypatch: pytest.MonkeyPatch
) -> None:
    devices.write(place.device, "never asked")
    monkeypatch.setitem(sys.modules, "huanshu.sealing.device", None)
    with pytest.raises(UnavailableError, match="python-pkcs11") as refused:
        make_root(place, "pkcs11", "aes")
    assert refused.value.code == "keeper.root.library"


def test_a_note_that_is_damaged_is_refused(place: RootPlace, devices: Devices) -> None:
    devices.write(place.device, "never asked")
    for content in (b"", b"{}", b"[]", b'{"check": 7}', b'{"check": "zz"}', b"\xff", new_root_key()):
        (place.folder / "root.device").write_bytes(content)
        with pytest.raises(UnavailableError) as refused:
            open_root(place, "pkcs11")
        assert refused.value.code == "keeper.root.unusable"
