"""The root key in a cryptographic device (密码设备), by PKCS#11: made there, and never anywhere else.

A device's key is AES-256, not extractable, always sensitive, born in the device. It wraps by AES-GCM (NIST SP 800-38D)
inside the device, with the same binding as a file's root key: who moves a wrapped key under another name gets nothing.

    12 bytes nonce, random   ciphertext   16 bytes tag        associated data: huanshu/wrap/1, a zero byte, the name

Random nonces are good for 2^32 wraps under one key; a district of 146 communities has some ten thousand keys an epoch.

Trust: the module is code that runs in the keeper's process; who may name it, says ``keeper.root``. Who has the device
and its PIN can unwrap whatever a stolen database holds, while he has the device; he cannot take the key with him.

Not here: making devices, changing PINs, and copies of the key. Those are the maker's tools'. What PKCS#11 calls a
token is a device here: *token* is what ``match`` hands out.
"""

from __future__ import annotations

import secrets
from contextlib import suppress
from dataclasses import dataclass
from threading import Lock
from typing import Any, Final

import pkcs11
from pkcs11 import Attribute, GCMParams, KeyType, Mechanism, ObjectClass
from pkcs11.exceptions import (
    MultipleTokensReturned,
    NoSuchToken,
    PinIncorrect,
    PinInvalid,
    PinLenRange,
    PinLocked,
    PKCS11Error,
    TokenNotPresent,
    UserAlreadyLoggedIn,
)

from huanshu.errors import TamperedError, Text, UnavailableError
from huanshu.sealing.keys import KeyName, foreign_key
from huanshu.sealing.suites import Profile

_BITS: Final = 256
_NONCE: Final = 12
_TAG: Final = 16
#: What the key check wraps, and under which name: no stored key is called so.
_CHECKED: Final = bytes(32)
_CHECK: Final = KeyName("root/check")


@dataclass(frozen=True, slots=True)
class DeviceAddress:
    """Where the key is: the maker's PKCS#11 module on this machine, the device's label, the key's label in it."""

    module: str
    device: str
    key: str


class DeviceRoot:
    """A root key that stays in its device. Its session is this process's; one use at a time."""

    def __init__(self, session: pkcs11.Session, key: Any) -> None:
        self._session, self._key = session, key
        self._one = Lock()

    @property
    def profile(self) -> Profile:
        """Of which all keys are that it wraps. Devices with SM4 speak their makers' own dialects."""
        return "aes"

    def wrap(self, name: KeyName, key: bytes) -> bytes:
        nonce = secrets.token_bytes(_NONCE)
        return nonce + self._computed("encrypt", name, nonce, key)

    def unwrap(self, name: KeyName, wrapped: bytes) -> bytes:
        if len(wrapped) < _NONCE + _TAG:
            raise foreign_key(name)
        return self._computed("decrypt", name, wrapped[:_NONCE], wrapped[_NONCE:])

    def check(self) -> bytes:
        """What ``require_checked`` knows this very key by."""
        return self.wrap(_CHECK, _CHECKED)

    def require_checked(self, check: bytes) -> None:
        """TamperedError when another key made ``check``; UnavailableError for a device that does not bind names."""
        if self.unwrap(_CHECK, check) != _CHECKED:
            raise foreign_key(_CHECK)
        # A module that takes associated data and ignores it would let wrapped keys be moved.
        try:
            self.unwrap(KeyName("root/other"), check)
        except TamperedError:
            return
        raise _refused("does not bind what a wrapped key is for", "未绑定所封装密钥的名称")

    def close(self) -> None:
        """End the session. The login ends with the last session of the process."""
        with suppress(PKCS11Error):
            self._session.close()

    def __repr__(self) -> str:
        return "DeviceRoot()"

    def _computed(self, what: str, name: KeyName, nonce: bytes, data: bytes) -> bytes:
        bound = GCMParams(nonce, b"huanshu/wrap/1\0" + name.encode(), _TAG * 8)
        try:
            with self._one:
                compute = self._key.encrypt if what == "encrypt" else self._key.decrypt
                return bytes(compute(data, mechanism=Mechanism.AES_GCM, mechanism_param=bound))
        except PKCS11Error as error:
            # Makers differ in what they say of a wrong tag. What is no trouble of the device's is the wrapped key's.
            if what == "encrypt" or type(error).__name__ in _AWAY:
                raise _refused(
                    "does not answer any more, or takes no nonce of its caller's for AES-GCM",
                    "不再应答，或其 AES-GCM 不接受外部给定的一次性数",
                ) from None
            raise foreign_key(name) from None


_AWAY: Final = frozenset({
    "DeviceError", "DeviceMemory", "DeviceRemoved", "HostMemory", "KeyHandleInvalid", "ObjectHandleInvalid",
    "SessionClosed", "SessionHandleInvalid", "SlotIDInvalid", "TokenNotPresent", "TokenNotRecognised",
    "UserNotLoggedIn",
})  # fmt: skip


def open_device(address: DeviceAddress, pin: str, *, make: bool = False) -> DeviceRoot:
    """The key of this device, as it must be; with ``make`` it is made when there is none of that label.

    UnavailableError for a module, device or key that is not there, a PIN that is not its, a key that could leave."""
    session = _session(address, pin, writing=make)
    try:
        return DeviceRoot(session, _found_or_made(session, address, make))
    except BaseException:
        session.close()
        raise


def _session(address: DeviceAddress, pin: str, *, writing: bool) -> pkcs11.Session:
    try:
        device = pkcs11.lib(address.module).get_token(token_label=address.device)
        try:
            return device.open(rw=writing, user_pin=pin)
        except UserAlreadyLoggedIn:  # this process is, by a session that has not ended yet
            return device.open(rw=writing)
    except (PinIncorrect, PinInvalid, PinLenRange):
        raise _refused("does not take the PIN", "不接受该 PIN 码") from None
    except PinLocked:
        raise _refused("is locked after wrong PINs", "因多次输错 PIN 码已锁定") from None
    except (NoSuchToken, TokenNotPresent):
        raise _refused("is not there", "不存在或未接入") from None
    except MultipleTokensReturned:
        raise _refused("has a label that another device has too", "标签与另一设备重复") from None
    except (RuntimeError, OSError, UnicodeError):
        raise _refused("cannot be opened by its module", "无法通过其模块打开") from None


def _found_or_made(session: pkcs11.Session, address: DeviceAddress, make: bool) -> Any:
    try:
        wanted = {Attribute.CLASS: ObjectClass.SECRET_KEY, Attribute.LABEL: address.key}
        found = list(session.get_objects(wanted))
        if not found and make:
            found = [_made(session, address.key)]
        if not found:
            raise _refused("holds no key of that label", "其中没有该标签的密钥")
        if len(found) > 1:
            raise _refused("holds several keys of that label", "其中有多个同标签密钥")
        (key,) = found
        said = tuple(key[attribute] for attribute in _fit())
    except PKCS11Error:
        raise _refused("does not say what its key is", "未能说明其密钥属性") from None
    if said != tuple(_fit().values()):
        raise _refused(
            "holds a root key that could leave it, or that was not made in it as AES-256",
            "其中的根密钥可被导出，或并非在设备内产生的 AES-256 密钥",
        )
    return key


def _fit() -> dict[Any, Any]:
    """What the device must say of its key."""
    return {
        Attribute.KEY_TYPE: KeyType.AES,
        Attribute.VALUE_LEN: _BITS // 8,
        Attribute.TOKEN: True,
        Attribute.SENSITIVE: True,
        Attribute.ALWAYS_SENSITIVE: True,
        Attribute.EXTRACTABLE: False,
        Attribute.NEVER_EXTRACTABLE: True,
        Attribute.LOCAL: True,
    }


def _made(session: pkcs11.Session, label: str) -> Any:
    """A new key, which the device keeps. A crash right after leaves it there: the next start finds it."""
    yes = (Attribute.TOKEN, Attribute.PRIVATE, Attribute.SENSITIVE, Attribute.ENCRYPT, Attribute.DECRYPT)
    no = (
        Attribute.EXTRACTABLE, Attribute.MODIFIABLE, Attribute.WRAP, Attribute.UNWRAP, Attribute.SIGN,
        Attribute.VERIFY, Attribute.DERIVE,
    )  # fmt: skip
    template = dict.fromkeys(yes, True) | dict.fromkeys(no, False)
    return session.generate_key(KeyType.AES, _BITS, label=label, store=True, template=template)


def _refused(en: str, zh: str) -> UnavailableError:
    return UnavailableError(
        "sealing.key.device",
        Text(f"the cryptographic device of the root key {en}", f"根密钥所在的密码设备{zh}"),
        remedy=Text(
            "look at device.json and its PIN file, and at the device with its maker's tool",
            "请核对 device.json 与 PIN 文件，并用厂商工具检查设备",
        ),
    )
