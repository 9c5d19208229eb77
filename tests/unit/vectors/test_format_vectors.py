"""docs/FORMAT.md read twice: the generator (our code) makes the stored vectors again, byte for byte; and a reading
from the page alone, with bare primitives or the outside verifier, gives the same."""

from __future__ import annotations

import base64
import hashlib
import importlib.util
import json
import struct
import unicodedata
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.cmac import CMAC

from huanshu_verify import merkle
from huanshu_verify.notes import VerifierKey, open_checkpoint
from huanshu_verify.reading import parsed

FOLDER = Path(__file__).parents[2] / "vectors"


@pytest.fixture(scope="module")
def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate_vectors", FOLDER / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def stored(name: str) -> Any:
    return json.loads((FOLDER / name).read_text(encoding="utf-8"))


SEALING, LOG, DIGESTS = stored("sealing.json"), stored("log.json"), stored("digests.json")
TILES = stored("tiles.json")


def framed(part: bytes | None) -> bytes:
    return b"\xff\xff\xff\xff" if part is None else struct.pack(">I", len(part)) + part


def siv(key: str, associated: list[bytes], plain: bytes) -> str:
    return AESSIV(bytes.fromhex(key)).encrypt(plain, associated).hex()


def mac(key: str, message: bytes) -> str:
    made = CMAC(AES(bytes.fromhex(key)))
    made.update(message)
    return made.finalize().hex()


def test_our_code_makes_every_stored_vector_again(generator: ModuleType) -> None:
    assert len(generator.VECTORS) == 5
    for name, make in generator.VECTORS.items():
        assert json.loads(json.dumps(make())) == stored(name), name


def test_padding() -> None:
    assert {cell["value"] is None for cell in SEALING["cells"]} == {True, False}
    for cell in SEALING["cells"]:
        width, value = cell["width"], cell["value"]
        padded = bytes(width + 1) if value is None else (value.encode() + b"\x80").ljust(width + 1, b"\0")
        assert cell["padded"] == padded.hex()


def test_cells_with_bare_aes_siv() -> None:
    for cell in SEALING["cells"]:
        named = b"".join(framed(cell[name].encode()) for name in ("domain", "dataset", "field", "rung"))
        context = b"huanshu/cell/1" + named + struct.pack(">I", cell["epoch"])
        row = struct.pack(">QI", cell["record"], cell["version"])
        assert siv(SEALING["siv_key"], [context, row], bytes.fromhex(cell["padded"])) == cell["cell"]
        assert len(cell["cell"]) == 2 * (cell["width"] + 17)
    assert len({cell["cell"] for cell in SEALING["cells"]}) == len(SEALING["cells"]) >= 6


def test_blobs_and_wrapped_keys_with_bare_aes_siv() -> None:
    assert SEALING["blobs"]
    assert SEALING["wrapped_keys"]
    for blob in SEALING["blobs"]:
        associated = [b"huanshu/blob/1", blob["name"].encode(), blob["place"].encode()]
        assert siv(SEALING["siv_key"], associated, bytes.fromhex(blob["bytes"])) == blob["blob"]
    for key in SEALING["wrapped_keys"]:
        associated = [b"huanshu/wrap/1", key["name"].encode()]
        assert siv(SEALING["siv_key"], associated, bytes.fromhex(key["key"])) == key["wrapped"]


def test_links_tokens_and_marks_with_bare_cmac() -> None:
    assert SEALING["links"]
    assert SEALING["content_marks"]
    for given in SEALING["links"]:
        if given["kind"] != "phone":  # of telephones the second implementation speaks (test_reader)
            assert unicodedata.normalize("NFKC", given["value"]).strip().upper() == given["folded"]
        assert mac(SEALING["mac_key"], given["folded"].encode()) == given["link"]
        assert mac(SEALING["token_key"], bytes.fromhex(given["link"])) == given["token"]
    for given in SEALING["content_marks"]:
        parts = b"".join(framed(None if value is None else value.encode()) for value in given["values"])
        assert mac(SEALING["mac_key"], parts) == given["mark"]


def test_leaves_tree_and_checkpoints_with_the_outside_verifier() -> None:
    key = VerifierKey.parse(LOG["vkey"])
    assert open_checkpoint(LOG["empty"], key) == (0, hashlib.sha256().digest())
    hashes = []
    for size, made in enumerate(LOG["entries"], start=1):
        leaf = bytes.fromhex(made["leaf"])
        assert parsed(leaf) == made["entry"]
        hashes.append(merkle.leaf(leaf))
        assert hashes[-1].hex() == made["leaf_hash"]
        (told,) = merkle.roots_at(hashes, {size})
        assert told == (size, bytes.fromhex(made["root"])) == open_checkpoint(made["note"], key)
    assert len(hashes) == 3


def test_checkpoints_with_bare_ed25519() -> None:
    private = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(LOG["seed"]))
    public, origin = private.public_key().public_bytes_raw(), LOG["origin"]
    identity = hashlib.sha256(origin.encode() + b"\n\x01" + public).digest()[:4]
    encoded = base64.b64encode(b"\x01" + public).decode()
    assert LOG["vkey"] == f"{origin}+{identity.hex()}+{encoded}"
    for size, made in enumerate(LOG["entries"], start=1):
        text = f"{origin}\n{size}\n{base64.b64encode(bytes.fromhex(made['root'])).decode()}\n"
        signature = base64.b64encode(identity + private.sign(text.encode())).decode()
        assert made["note"] == f"{text}\n\u2014 {origin} {signature}\n"


def mth(leaves: list[bytes]) -> bytes:
    """MTH of RFC 6962 section 2.1, transcribed."""
    if len(leaves) == 1:
        return hashlib.sha256(b"\0" + leaves[0]).digest()
    k = 1 << (len(leaves) - 1).bit_length() - 1
    return hashlib.sha256(b"\1" + mth(leaves[:k]) + mth(leaves[k:])).digest()


def test_tiles_and_bundles_from_the_page_alone() -> None:
    leaves = [b'{"index":%d}' % n for n in range(600)]
    assert mth(leaves).hex() == TILES["root"]
    level0 = [hashlib.sha256(b"\0" + leaf).digest() for leaf in leaves]
    level1 = [mth(leaves[at : at + 256]) for at in (0, 256)]
    files = {
        "tile/0/000": level0[:256],
        "tile/0/001": level0[256:512],
        "tile/0/002.p/88": level0[512:],
        "tile/1/000.p/2": level1,
    }
    assert TILES["files"] == {
        path: hashlib.sha256(b"".join(hashes)).hexdigest() for path, hashes in files.items()
    }
    raw = b"".join(struct.pack(">H", len(leaf)) + leaf for leaf in leaves[512:])
    assert hashlib.sha256(raw).hexdigest() == TILES["bundle_2"]


def test_proofs_from_the_page_alone() -> None:
    """Both proofs, named by hand from the recursion of the RFC over 600 leaves (512 + 88)."""
    leaves = [b'{"index":%d}' % n for n in range(600)]

    def part(begin: int, end: int) -> str:
        return mth(leaves[begin:end]).hex()

    assert TILES["inclusion"]["proof"] == [
        part(298, 299), part(296, 298), part(300, 304), part(288, 296), part(304, 320), part(256, 288),
        part(320, 384), part(384, 512), part(0, 256), part(512, 600),
    ]  # fmt: skip
    assert TILES["consistency"]["old_root"] == part(0, 257)
    assert TILES["consistency"]["proof"] == [
        part(256, 257), part(257, 258), part(258, 260), part(260, 264), part(264, 272), part(272, 288),
        part(288, 320), part(320, 384), part(384, 512), part(0, 256), part(512, 600),
    ]  # fmt: skip


def test_cosignature_proof_file_request_and_fork_from_the_page_alone() -> None:
    name, identity, encoded = TILES["witness"].split("+", 2)
    typed = base64.b64decode(encoded)
    assert typed[:1] == b"\x04"
    assert hashlib.sha256(name.encode() + b"\n" + typed).hexdigest()[:8] == identity
    line = TILES["cosigned"].removeprefix(TILES["note"])
    dash, signer, raw = line.removesuffix("\n").split(" ")
    signed = base64.b64decode(raw)
    assert (dash, signer, signed[:4].hex()) == ("\u2014", name, identity)
    text = TILES["note"].split("\n\n")[0] + "\n"
    message = f"cosignature/v1\ntime {int.from_bytes(signed[4:12], 'big')}\n{text}".encode()
    Ed25519PublicKey.from_public_bytes(typed[1:]).verify(signed[12:], message)
    encoded_proof = [base64.b64encode(bytes.fromhex(h)).decode() for h in TILES["inclusion"]["proof"]]
    head = "\n".join(["c2sp.org/tlog-proof@v1", "index 299", *encoded_proof])
    assert TILES["proof_file"] == f"{head}\n\n{TILES['cosigned']}"
    lines = [base64.b64encode(bytes.fromhex(h)).decode() for h in TILES["consistency"]["proof"]]
    assert TILES["request"] == "\n".join(["old 257", *lines]) + f"\n\n{TILES['note']}"
    fork = json.loads(TILES["fork"])
    assert (fork["v"], fork["kind"], fork["second"]) == (1, "huanshu/fork-proof", TILES["note"])
    assert (fork["proof"], base64.b64decode(fork["root"]).hex()) == (lines, TILES["consistency"]["old_root"])


def test_row_delivery_and_slice_digests() -> None:
    digests = []
    for row in DIGESTS["rows"]:
        cells = [None if c is None else c.get("text", bytes.fromhex(c.get("hex", ""))) for c in row["cells"]]
        sizes = {"record": 8, "version": 4, "epoch": 4}
        numbers = [row[name].to_bytes(size, "big") for name, size in sizes.items()]
        assert [int.from_bytes(n, "big") for n in numbers] == [row[name] for name in sizes]
        raw = [None if c is None else c.encode() if isinstance(c, str) else c for c in (*numbers, *cells)]
        digests.append(hashlib.sha256(b"".join(map(framed, raw))).digest())
        assert digests[-1].hex() == row["digest"]
    assert len(digests) == 3
    for delivery in DIGESTS["deliveries"]:
        upserts = b"".join(digests[place] for place in delivery["upserts"])
        withdrawn = b"".join(f"{record}\n".encode() for record in delivery["withdrawn"])
        assert hashlib.sha256(upserts + withdrawn).hexdigest() == delivery["digest"]
    assert hashlib.sha256(b"".join(digests)).hexdigest() == DIGESTS["slice_digest"]


def test_tombstones_of_an_erasure() -> None:
    said = DIGESTS["tombstones"]
    made = sorted((kind.encode(), ordinal) for kind, ordinal in said["of"])
    whole = b"".join(framed(kind) + struct.pack(">Q", ordinal) for kind, ordinal in made)
    assert hashlib.sha256(whole).hexdigest() == said["sha256"]


def test_lists_of_what_a_batch_wrote() -> None:
    said = DIGESTS["written"]
    fixed = {name: bytes.fromhex(said[name]) for name in ("mark", "link_citizen_number")}
    items: dict[str, list[bytes]] = {}
    for row in sorted(said["rows"], key=lambda row: row["record"]):
        about = row["subjects"]
        array = struct.pack(">iii", min(len(about), 1), 0, 20)
        if about:
            array += struct.pack(">ii", len(about), 1) + b"".join(struct.pack(">iq", 8, one) for one in about)
        cells = (
            struct.pack(">q", row["record"]), struct.pack(">i", row["version"]), said["batch_in"].encode(),
            struct.pack(">i", said["epoch"]), fixed["mark"], fixed["link_citizen_number"], bytes.fromhex(row["name"]),
            row["home"].encode(), None if row["sex"] is None else row["sex"].encode(), array,
        )  # fmt: skip
        digest = hashlib.sha256(b"".join(map(framed, cells))).digest()
        items.setdefault(row["home"], []).append(struct.pack(">QI", row["record"], row["version"]) + digest)
    items[""] = [struct.pack(">QI", record, version) + bytes(32) for record, version in said["ended"]]
    lists = {home: b"".join(listed) for home, listed in items.items()}
    assert {home: listed.hex() for home, listed in lists.items()} == said["lists"]
    bound = b"".join(framed(home.encode()) + hashlib.sha256(lists[home]).digest() for home in sorted(lists))
    assert said["told"] == {"rows": 4, "ended": 2, "sha256": hashlib.sha256(bound).hexdigest()}
