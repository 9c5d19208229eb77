"""A second implementation of docs/FORMAT.md, sections 1 to 5, out of nothing but Python: AES (FIPS 197), SM4 (GB/T 32907),
SM3 (GB/T 32905), CMAC (RFC 4493), SIV (RFC 5297) and CCM (NIST SP 800-38C) included. It imports no library and nothing
of the platform, is slow, and opens every vector.

Run: python tests/vectors/reader.py [file of vectors]. Exit code 1 names the first vector that does not hold.
"""

from __future__ import annotations

import json
import sys
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

Block = Callable[[bytes], bytes]


class RefusedError(Exception):
    """The one refusal for everything that does not open."""


# -- AES, FIPS 197 --------------------------------------------------------------------------------


def _times(a: int, b: int, polynomial: int) -> int:
    """Product in GF(2^8)."""
    product = 0
    while b:
        if b & 1:
            product ^= a
        a <<= 1
        if a & 0x100:
            a ^= polynomial
        b >>= 1
    return product


def _inverse(a: int, polynomial: int) -> int:
    return next((b for b in range(256) if _times(a, b, polynomial) == 1), 0)


def _turned(value: int, by: int, bits: int) -> int:
    return (value << by | value >> bits - by) & (1 << bits) - 1


AES_BOX = []
for _n in range(256):
    _i = _inverse(_n, 0x11B)
    AES_BOX.append(_i ^ _turned(_i, 1, 8) ^ _turned(_i, 2, 8) ^ _turned(_i, 3, 8) ^ _turned(_i, 4, 8) ^ 0x63)
_DOUBLE = [_times(n, 2, 0x11B) for n in range(256)]


def aes(key: bytes) -> Block:
    words, rounds = [key[n : n + 4] for n in range(0, len(key), 4)], len(key) // 4 + 6
    size, constant = len(words), 1
    for n in range(size, 4 * (rounds + 1)):
        word = words[-1]
        if n % size == 0:
            word = bytes(AES_BOX[b] for b in word[1:] + word[:1])
            word, constant = bytes([word[0] ^ constant]) + word[1:], _DOUBLE[constant]
        elif size > 6 and n % size == 4:
            word = bytes(AES_BOX[b] for b in word)
        words.append(xor(words[n - size], word))
    keys = [b"".join(words[n : n + 4]) for n in range(0, len(words), 4)]

    def encrypt(block: bytes) -> bytes:
        state = xor(block, keys[0])
        for number in range(1, rounds + 1):
            state = bytes(AES_BOX[state[(n + 4 * (n % 4)) % 16]] for n in range(16))
            if number < rounds:
                mixed = []
                for c in range(0, 16, 4):
                    a = state[c : c + 4]
                    mixed += [
                        _DOUBLE[a[r]]
                        ^ _DOUBLE[a[(r + 1) % 4]]
                        ^ a[(r + 1) % 4]
                        ^ a[(r + 2) % 4]
                        ^ a[(r + 3) % 4]
                        for r in range(4)
                    ]
                state = bytes(mixed)
            state = xor(state, keys[number])
        return state

    return encrypt


# -- SM4, GB/T 32907 ------------------------------------------------------------------------------


def _affine(value: int) -> int:
    """The affine map of SM4's S-box: a circulant matrix over GF(2), and 0xD3."""
    rows = 0
    for bit in range(8):
        rows |= ((value & _turned(0xA7, bit, 8)).bit_count() & 1) << bit
    return rows ^ 0xD3


SM4_BOX = [_affine(_inverse(_affine(n), 0x1F5)) for n in range(256)]
_FAMILY = (0xA3B1BAC6, 0x56AA3350, 0x677D9197, 0xB27022DC)


def _through_box(word: int) -> int:
    return int.from_bytes(bytes(SM4_BOX[b] for b in word.to_bytes(4, "big")), "big")


def sm4(key: bytes) -> Block:
    state = [
        int.from_bytes(key[n : n + 4], "big") ^ fixed
        for n, fixed in zip(range(0, 16, 4), _FAMILY, strict=True)
    ]
    keys = []
    for n in range(32):
        constant = int.from_bytes(bytes((4 * n + j) * 7 % 256 for j in range(4)), "big")
        word = _through_box(state[1] ^ state[2] ^ state[3] ^ constant)
        state = [*state[1:], state[0] ^ word ^ _turned(word, 13, 32) ^ _turned(word, 23, 32)]
        keys.append(state[3])

    def encrypt(block: bytes) -> bytes:
        x = [int.from_bytes(block[n : n + 4], "big") for n in range(0, 16, 4)]
        for round_key in keys:
            word = _through_box(x[1] ^ x[2] ^ x[3] ^ round_key)
            mixed = word
            for by in (2, 10, 18, 24):
                mixed ^= _turned(word, by, 32)
            x = [*x[1:], x[0] ^ mixed]
        return b"".join(word.to_bytes(4, "big") for word in reversed(x))

    return encrypt


# -- SM3, GB/T 32905 ------------------------------------------------------------------------------


def sm3(message: bytes) -> bytes:
    text = message + b"\x80" + bytes((55 - len(message)) % 64) + (8 * len(message)).to_bytes(8, "big")
    value = [0x7380166F, 0x4914B2B9, 0x172442D7, 0xDA8A0600, 0xA96F30BC, 0x163138AA, 0xE38DEE4D, 0xB0FB0E4E]
    whole = 0xFFFFFFFF
    for start in range(0, len(text), 64):
        w = [int.from_bytes(text[n : n + 4], "big") for n in range(start, start + 64, 4)]
        for n in range(16, 68):
            x = w[n - 16] ^ w[n - 9] ^ _turned(w[n - 3], 15, 32)
            w.append(x ^ _turned(x, 15, 32) ^ _turned(x, 23, 32) ^ _turned(w[n - 13], 7, 32) ^ w[n - 6])
        a, b, c, d, e, f, g, h = value
        for n in range(64):
            t = 0x79CC4519 if n < 16 else 0x7A879D8A
            first = _turned((_turned(a, 12, 32) + e + _turned(t, n % 32, 32)) & whole, 7, 32)
            second = first ^ _turned(a, 12, 32)
            ff = a ^ b ^ c if n < 16 else a & b | a & c | b & c
            gg = e ^ f ^ g if n < 16 else e & f | ~e & g
            left = (ff + d + second + (w[n] ^ w[n + 4])) & whole
            right = (gg + h + first + w[n]) & whole
            d, c, b, a = c, _turned(b, 9, 32), a, left
            h, g, f, e = g, _turned(f, 19, 32), e, right ^ _turned(right, 9, 32) ^ _turned(right, 17, 32)
        value = [old ^ new for old, new in zip(value, (a, b, c, d, e, f, g, h), strict=True)]
    return b"".join(word.to_bytes(4, "big") for word in value)


# -- modes ----------------------------------------------------------------------------------------


def xor(a: bytes, b: bytes) -> bytes:
    return bytes(x ^ y for x, y in zip(a, b, strict=True))


def _doubled(block: bytes) -> bytes:
    number = int.from_bytes(block, "big") << 1
    return (number % (1 << 128) ^ (0x87 if number >> 128 else 0)).to_bytes(16, "big")


def cmac(cipher: Block, message: bytes) -> bytes:
    first = _doubled(cipher(bytes(16)))
    if message and len(message) % 16 == 0:
        message = message[:-16] + xor(message[-16:], first)
    else:
        message += b"\x80" + bytes(-(len(message) + 1) % 16)
        message = message[:-16] + xor(message[-16:], _doubled(first))
    state = bytes(16)
    for n in range(0, len(message), 16):
        state = cipher(xor(state, message[n : n + 16]))
    return state


def s2v(cipher: Block, strings: list[bytes]) -> bytes:
    state = cmac(cipher, bytes(16))
    for string in strings[:-1]:
        state = xor(_doubled(state), cmac(cipher, string))
    last = strings[-1]
    if len(last) >= 16:
        return cmac(cipher, last[:-16] + xor(last[-16:], state))
    return cmac(cipher, xor(_doubled(state), (last + b"\x80").ljust(16, b"\0")))


def siv_open(key: bytes, associated: list[bytes], sealed: bytes) -> bytes:
    half = len(key) // 2
    if len(sealed) < 16:
        raise RefusedError
    tag, text, cipher = sealed[:16], sealed[16:], aes(key[half:])
    counter = int.from_bytes(tag, "big") & ~(1 << 63 | 1 << 31)
    stream = b"".join(
        cipher(((counter + n) % (1 << 128)).to_bytes(16, "big")) for n in range(-(-len(text) // 16))
    )
    plain = xor(text, stream[: len(text)])
    if s2v(aes(key[:half]), [*associated, plain]) != tag:
        raise RefusedError
    return plain


def ccm_open(cipher: Block, nonce: bytes, bound: bytes, sealed: bytes) -> bytes:
    """A tag of 16 bytes, a nonce of 12, a length of 3 (RFC 8998)."""
    if len(nonce) != 12 or len(sealed) < 16:
        raise RefusedError
    text, tag = sealed[:-16], sealed[-16:]
    streams = [cipher(b"\x02" + nonce + n.to_bytes(3, "big")) for n in range(1 + -(-len(text) // 16))]
    plain = xor(text, b"".join(streams[1:])[: len(text)])
    told = len(bound).to_bytes(2, "big") + bound if bound else b""
    message = bytes([0x7A if bound else 0x3A]) + nonce + len(plain).to_bytes(3, "big")
    message += told + bytes(-len(told) % 16) + plain + bytes(-len(plain) % 16)
    state = bytes(16)
    for n in range(0, len(message), 16):
        state = cipher(xor(state, message[n : n + 16]))
    if xor(state, streams[0]) != tag:
        raise RefusedError
    return plain


# -- docs/FORMAT.md -------------------------------------------------------------------------------


def open_sealed(key: bytes, associated: list[bytes], sealed: bytes) -> bytes:
    """SEAL^-1 of "Conventions": the key says how."""
    if key[:4] == b"sm4:" and len(key) == 36:
        bound = b"".join([*(sm3(string)[:18] for string in associated[:-1]), associated[-1]])
        plain = ccm_open(sm4(key[20:]), sealed[:12], bound, sealed[12:])
        # Not the reader's business, but the writer's word: no nonce is drawn or counted.
        if s2v(sm4(key[4:20]), [*associated, plain])[:12] != sealed[:12]:
            raise RefusedError
        return plain
    return siv_open(key, associated, sealed)


def mac(key: bytes, message: bytes) -> bytes:
    return cmac(sm4(key[4:]) if key[:4] == b"sm4:" and len(key) == 20 else aes(key), message)


def framed(part: bytes | None) -> bytes:
    return b"\xff\xff\xff\xff" if part is None else len(part).to_bytes(4, "big") + part


def unpadded(padded: bytes) -> str | None:
    rest = padded.rstrip(b"\0")
    if not rest:
        return None
    if rest[-1] != 0x80:
        raise RefusedError
    return rest[:-1].decode()


def cell_associated(cell: dict[str, Any]) -> list[bytes]:
    names = b"".join(framed(cell[name].encode()) for name in ("domain", "dataset", "field", "rung"))
    context = b"huanshu/cell/1" + names + cell["epoch"].to_bytes(4, "big")
    return [context, cell["record"].to_bytes(8, "big") + cell["version"].to_bytes(4, "big")]


def folded(kind: str, value: str) -> str:
    """Section 5."""
    plain = unicodedata.normalize("NFKC", value).strip().upper()
    if kind == "phone":
        plain = "".join(
            c for c in plain if not c.isspace() and c not in "-\u2010\u2011\u2012\u2013\u2014\u2015\u2212"
        )
        if plain.startswith("+86"):
            plain = plain[3:]
        elif len(plain) == 13 and plain.startswith("861") and plain.isascii() and plain.isdigit():
            plain = plain[2:]
    return plain


def check(vectors: dict[str, Any]) -> int:
    """How many vectors hold; AssertionError or RefusedError at the first that does not."""
    key, mac_key, token_key = (bytes.fromhex(vectors[name]) for name in ("siv_key", "mac_key", "token_key"))
    held = 0
    for cell in vectors["cells"]:
        padded = open_sealed(key, cell_associated(cell), bytes.fromhex(cell["cell"]))
        assert padded.hex() == cell["padded"]
        assert unpadded(padded) == cell["value"]
        held += 1
    for name, place, plain, sealed in (
        *((b["name"], b["place"], b["bytes"], b["blob"]) for b in vectors["blobs"]),
        *((k["name"], None, k["key"], k["wrapped"]) for k in vectors["wrapped_keys"]),
    ):
        what = [b"huanshu/wrap/1"] if place is None else [b"huanshu/blob/1"]
        associated = [*what, name.encode(), *([] if place is None else [place.encode()])]
        assert open_sealed(key, associated, bytes.fromhex(sealed)).hex() == plain
        held += 1
    for link in vectors["links"]:
        assert folded(link["kind"], link["value"]) == link["folded"]
        assert mac(mac_key, link["folded"].encode()).hex() == link["link"]
        assert mac(token_key, bytes.fromhex(link["link"])).hex() == link["token"]
        held += 1
    for mark in vectors["content_marks"]:
        parts = b"".join(framed(None if v is None else v.encode()) for v in mark["values"])
        assert mac(mac_key, parts).hex() == mark["mark"]
        held += 1
    for refused in vectors["refused"]:
        try:
            open_sealed(key, cell_associated(refused), bytes.fromhex(refused["cell"]))
        except RefusedError:
            held += 1
        else:
            raise AssertionError(refused["why"])
    return held


def main() -> int:
    folder = Path(__file__).parent
    files = [Path(name) for name in sys.argv[1:]] or [folder / "sealing.json", folder / "sealing_sm.json"]
    for file in files:
        try:
            sys.stdout.write(f"{file.name}: {check(json.loads(file.read_text('utf-8')))} vectors hold\n")
        except (AssertionError, RefusedError) as failed:
            sys.stdout.write(f"{file.name}: {type(failed).__name__} {failed}\n")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
