"""A root key in a device: made there, never out of it, and the same promises as a file's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pkcs11
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from devices import PIN, WRONG, Devices
from hypothesis import given
from hypothesis import strategies as st
from pkcs11 import Attribute, KeyType, ObjectClass
from pkcs11.exceptions import AttributeSensitive, KeyUnextractable, PKCS11Error

from huanshu.errors import TamperedError, UnavailableError
from huanshu.sealing.device import DeviceAddress, DeviceRoot, open_device
from huanshu.sealing.keys import KeyName, data_key

NAME = data_key("990101001001", "resident", "name", 1)
KEY = "huanshu root"


def address(devices: Devices, device: str, key: str = KEY) -> DeviceAddress:
    return DeviceAddress(str(devices.module), device, key)


@pytest.fixture(scope="module")
def root(devices: Devices) -> Iterator[DeviceRoot]:
    with closing(open_device(address(devices, devices.new()), PIN, make=True)) as made:
        yield made


def test_what_is_wrapped_unwraps_under_its_own_name_alone(root: DeviceRoot) -> None:
    key = bytes(range(64))
    wrapped = root.wrap(NAME, key)
    assert len(wrapped) == 12 + 64 + 16
    assert key not in wrapped
    assert root.unwrap(NAME, wrapped) == key
    assert root.wrap(NAME, key) != wrapped
    for name in (data_key("990101001002", "resident", "name", 1), KeyName(""), KeyName(NAME + "0")):
        with pytest.raises(TamperedError):
            root.unwrap(name, wrapped)
    told = set()
    for bad in [
        bytes([b ^ 1 if n == at else b for n, b in enumerate(wrapped)]) for at in range(len(wrapped))
    ]:
        with pytest.raises(TamperedError) as refused:
            root.unwrap(NAME, bad)
        told.add(refused.value.explain("en"))
    for bad in (b"", wrapped[:27], wrapped[:-1], wrapped + b"\0"):
        with pytest.raises(TamperedError) as refused:
            root.unwrap(NAME, bad)
        told.add(refused.value.explain("en"))
    assert len(told) == 1


@given(st.binary(min_size=1, max_size=80), st.text("abc/0123456789_", max_size=60))
def test_any_key_comes_back(root: DeviceRoot, key: bytes, name: str) -> None:
    assert root.unwrap(KeyName(name), root.wrap(KeyName(name), key)) == key


def test_it_is_gcm_as_published(root: DeviceRoot, devices: Devices) -> None:
    """The same bytes as another implementation makes, under a key that both know: not the root, which nobody knows."""
    known = root._session.create_object(
        {
            Attribute.CLASS: ObjectClass.SECRET_KEY, Attribute.KEY_TYPE: KeyType.AES, Attribute.VALUE: b"k" * 32,
            Attribute.TOKEN: False, Attribute.ENCRYPT: True, Attribute.DECRYPT: True,
        }
    )  # fmt: skip
    wrapped = DeviceRoot(root._session, known).wrap(NAME, b"secret" * 8)
    bound = b"huanshu/wrap/1\0" + NAME.encode()
    assert AESGCM(b"k" * 32).decrypt(wrapped[:12], wrapped[12:], bound) == b"secret" * 8


def test_the_key_does_not_leave(root: DeviceRoot) -> None:
    with pytest.raises(AttributeSensitive):
        root._key[Attribute.VALUE]
    other = root._session.generate_key(
        KeyType.AES, 256, store=False, template={Attribute.WRAP: True, Attribute.ENCRYPT: True}
    )
    with pytest.raises((KeyUnextractable, PKCS11Error)):
        other.wrap_key(root._key)
    for change in ({Attribute.EXTRACTABLE: True}, {Attribute.SENSITIVE: False}):
        with pytest.raises(PKCS11Error):
            root._key.copy({**change, Attribute.TOKEN: False})
        ((attribute, value),) = change.items()
        with pytest.raises(PKCS11Error):
            root._key[attribute] = value
    assert repr(root) == "DeviceRoot()"


def test_a_check_knows_the_very_key(root: DeviceRoot, devices: Devices) -> None:
    root.require_checked(root.check())
    with (
        closing(open_device(address(devices, devices.new()), PIN, make=True)) as other,
        pytest.raises(TamperedError),
    ):
        other.require_checked(root.check())


def test_a_module_that_binds_no_names_is_refused(root: DeviceRoot, monkeypatch: pytest.MonkeyPatch) -> None:
    unbound = DeviceRoot(root._session, root._key)
    within = unbound._computed
    monkeypatch.setattr(
        unbound, "_computed", lambda what, _, nonce, data: within(what, KeyName("x"), nonce, data)
    )
    with pytest.raises(UnavailableError, match="bind"):
        unbound.require_checked(unbound.check())


@pytest.mark.parametrize(
    ("template", "count"),
    [
        ({Attribute.EXTRACTABLE: True, Attribute.SENSITIVE: True}, 1),
        ({Attribute.EXTRACTABLE: False, Attribute.SENSITIVE: False}, 1),
        ({Attribute.EXTRACTABLE: False, Attribute.SENSITIVE: True}, 2),
    ],
    ids=["extractable", "readable", "two of one label"],
)
def test_a_key_that_could_leave_is_refused(
    devices: Devices, template: dict[Attribute, bool], count: int
) -> None:
    device = devices.new()
    token = pkcs11.lib(str(devices.module)).get_token(token_label=device)
    with token.open(rw=True, user_pin=PIN) as session:
        for _ in range(count):
            session.generate_key(KeyType.AES, 256, label=KEY, store=True, template=template)
    for make in (False, True):
        with pytest.raises(UnavailableError) as refused:
            open_device(address(devices, device), PIN, make=make)
        assert refused.value.code == "sealing.key.device"


def test_a_key_brought_from_outside_is_refused(devices: Devices) -> None:
    """Whoever put it there may still have it."""
    device = devices.new()
    token = pkcs11.lib(str(devices.module)).get_token(token_label=device)
    with token.open(rw=True, user_pin=PIN) as session:
        session.create_object(
            {
                Attribute.CLASS: ObjectClass.SECRET_KEY, Attribute.KEY_TYPE: KeyType.AES, Attribute.VALUE: b"k" * 32,
                Attribute.TOKEN: True, Attribute.LABEL: KEY, Attribute.SENSITIVE: True, Attribute.EXTRACTABLE: False,
                Attribute.ENCRYPT: True, Attribute.DECRYPT: True,
            }
        )  # fmt: skip
    with pytest.raises(UnavailableError, match="could leave it"):
        open_device(address(devices, device), PIN)


def test_pin_device_module_and_key_must_be_there(devices: Devices) -> None:
    device = devices.new()
    told = []
    for place, pin, make in [
        (address(devices, device), WRONG, True),
        (address(devices, "no such device"), PIN, True),
        (address(devices, device), PIN, False),
        (DeviceAddress(str(devices.folder / "none.so"), device, KEY), PIN, True),
        (DeviceAddress(__file__, device, KEY), PIN, True),
    ]:
        with pytest.raises(UnavailableError) as refused:
            open_device(place, pin, make=make)
        told.append(refused.value.explain("en"))
        assert pin not in refused.value.explain("en") + refused.value.explain("zh")
    assert len(set(told)) == 4  # both modules that are none say the same


def test_a_session_that_ended_is_no_tampering(devices: Devices) -> None:
    gone = open_device(address(devices, devices.new()), PIN, make=True)
    wrapped = gone.wrap(NAME, b"k" * 64)
    gone.close()
    for use in (lambda: gone.unwrap(NAME, wrapped), lambda: gone.wrap(NAME, b"k" * 64)):
        with pytest.raises(UnavailableError, match="answer"):
            use()
