"""A home on disk: its files as bytes and strict text, each read at most once.

Invariants: nothing outside the home is read (symlinks are followed only inside it), only regular files are
read and never more than their limit, and what is digested is the very bytes that were parsed. A file nobody
obeys is an error, not a file nobody reads: ``expect`` refuses it with the nearest right name.

Deliberately not here: what the text means.
"""

from __future__ import annotations

import hashlib
import os
import stat
import unicodedata
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Final

from huanshu.catalog.words import hint
from huanshu.errors import ContentError, Text, Where

#: A rule file of 100 000 rules is about 10 MB; everything else is far smaller.
MAX_SHEET: Final = 32 * 1024 * 1024
MAX_DOCUMENT: Final = 1024 * 1024

_BOM: Final = b"\xef\xbb\xbf"
_UTF16: Final = (b"\xff\xfe", b"\xfe\xff")
#: Read by people only; never part of a digest.
README: Final = frozenset({"README.md", "README.zh-CN.md"})


class Folder:
    """The root folder of a home. All paths are relative to it, with forward slashes."""

    def __init__(self, path: Path) -> None:
        if not path.is_dir():
            raise ContentError(
                "content.home.missing",
                Text("there is no such home folder", "治理目录不存在"),
                remedy=Text(
                    "name the folder that holds policies/, expectations/, dags/ and audit/",
                    "请指定包含 policies/、expectations/、dags/、audit/ 的目录",
                ),
                where=Where(str(path)),
            )
        self.path = path
        self._root = os.path.realpath(path)
        self._bytes: dict[str, bytes] = {}

    def names(self, folder: str) -> list[str]:
        """Names in a folder in code-point order; empty when the folder does not exist."""
        place = os.path.join(self._root, folder)
        if not os.path.lexists(place):
            return []
        self._inside(folder)
        if not os.path.isdir(place):
            raise _irregular(folder, Text("a folder is expected here", "此处应为目录"))
        return sorted(os.listdir(place))

    def holds(self, path: str) -> bool:
        """True when something lies at ``path``, whatever it is: a file that may be left out is asked for first."""
        return os.path.lexists(os.path.join(self._root, path))

    def is_folder(self, path: str) -> bool:
        return os.path.isdir(os.path.join(self._root, path))

    def expect(
        self, folder: str, known: Iterable[str], suffixes: Collection[str] = ()
    ) -> Iterable[ContentError]:
        """An error for every name in ``folder`` that is neither known, a README, nor of a known suffix."""
        allowed = {*known}
        for found in self.names(folder):
            if found in allowed or found in README:
                continue
            if any(found.endswith(suffix) and len(found) > len(suffix) for suffix in suffixes):
                continue
            like = {*allowed, *(os.path.splitext(found)[0] + suffix for suffix in suffixes)}
            yield nobody_obeys(f"{folder}/{found}", like)

    def raw(self, path: str, limit: int = MAX_DOCUMENT) -> bytes:
        """The file's bytes, at most ``limit``. Raises ContentError ``content.file.*``."""
        if path not in self._bytes:
            self._bytes[path] = self._read(path, limit)
        return self._bytes[path]

    def sha256(self, path: str) -> str:
        """SHA-256 of the file's bytes, lower-case hex."""
        return hashlib.sha256(self.raw(path, MAX_SHEET)).hexdigest()

    def text(self, path: str, limit: int = MAX_DOCUMENT) -> str:
        """The file as text: UTF-8 (a BOM is tolerated and dropped), NFC, no NUL, nothing invisible."""
        raw = self.raw(path, limit)
        if raw.startswith(_UTF16):
            raise _encoding(path, 1)
        body = raw[3:] if raw.startswith(_BOM) else raw
        if (zero := body.find(b"\0")) >= 0:
            raise ContentError(
                "content.text.nul",
                Text("the file holds a NUL byte", "文件含有空字节"),
                remedy=Text("save it again as plain UTF-8 text", "请另存为 UTF-8 纯文本"),
                where=Where(path, body.count(b"\n", 0, zero) + 1),
            )
        try:
            text = body.decode()
        except UnicodeDecodeError as error:
            raise _mixed(path, body, error.start) from None
        if not text.strip():
            raise ContentError(
                "content.file.empty",
                Text("the file is empty", "文件为空"),
                remedy=Text("fill it, or remove it if it is not needed", "请填写内容；不需要则删除"),
                where=Where(path),
            )
        _visible(path, text)
        return text

    def _inside(self, path: str) -> str:
        """The real path of ``path``, which must lie in the home."""
        try:
            real = os.path.realpath(os.path.join(self._root, path), strict=True)
        except FileNotFoundError:
            raise ContentError(
                "content.file.missing",
                Text("this file is missing", "缺少此文件"),
                remedy=Text("add it; the sample home shows its form", "请补上；格式参见示例目录"),
                where=Where(path),
            ) from None
        except (OSError, ValueError) as error:
            raise _unreadable(path, error) from None
        if os.path.commonpath([real, self._root]) != self._root:
            raise ContentError(
                "content.file.outside",
                Text("this link leaves the home", "该链接指向治理目录之外"),
                remedy=Text("put the file itself here", "请放入文件本身"),
                where=Where(path),
            )
        return real

    def _read(self, path: str, limit: int) -> bytes:
        real = self._inside(path)
        try:
            # Non-blocking, so that a named pipe is refused below instead of being waited for.
            descriptor = os.open(real, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError as error:
            raise _unreadable(path, error) from None
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise _irregular(path, Text("a regular file is expected here", "此处应为普通文件"))
            with open(descriptor, "rb", closefd=False) as file:
                raw = file.read(limit + 1)
        finally:
            os.close(descriptor)
        if len(raw) > limit:
            raise ContentError(
                "content.file.oversize",
                Text(f"the file is larger than {limit} bytes", f"文件超过 {limit} 字节"),
                remedy=Text("split it, or remove what does not belong here", "请拆分，或删除无关内容"),
                where=Where(path),
            )
        return raw


def _visible(path: str, text: str) -> None:
    """Refuses characters that make two files look alike that are not."""
    if not unicodedata.is_normalized("NFC", text):
        line = next(
            (i for i, t in enumerate(text.split("\n"), 1) if not unicodedata.is_normalized("NFC", t)), None
        )
        raise ContentError(
            "content.text.denormalised",
            Text("a character is written in pieces (not Unicode NFC)", "含有未规范化的组合字符（非 NFC）"),
            remedy=Text("type the character again", "请重新输入该字符"),
            where=Where(path, line),
        )
    for number, raw in enumerate(text.split("\n"), 1):
        line_text = raw.removesuffix("\r")
        if line_text.isprintable():
            continue
        for place, char in enumerate(line_text, 1):
            if invisible(char):
                raise ContentError(
                    "content.text.invisible",
                    Text(
                        f"the line holds an invisible character U+{ord(char):04X}",
                        f"该行含有不可见字符 U+{ord(char):04X}",
                    ),
                    remedy=Text("delete it", "请删除该字符"),
                    where=Where(path, number, f"character {place}"),
                )


def invisible(char: str) -> bool:
    """True for control, format, private-use and unassigned characters; tab and CJK spaces are visible
    enough."""
    if char in "\t\u3000\u00a0":
        return False
    category = unicodedata.category(char)
    # A CJK extension newer than this Python's Unicode tables is rare, not invisible: people bear such names.
    new_cjk = category == "Cn" and 0x20000 <= ord(char) <= 0x3FFFD
    return category in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"} and not new_cjk


def nobody_obeys(path: str, like: Collection[str]) -> ContentError:
    """The error for a file that no reader reads; ``like``: names it may have been meant to have."""
    right = hint(path.rsplit("/", 1)[1], like)
    return ContentError(
        "content.file.unknown",
        Text("nothing obeys this file", "没有任何部分会读取此文件"),
        remedy=Text(f"rename or remove it; {right.en}", f"请改名或删除；{right.zh}"),
        where=Where(path),
    )


def _encoding(path: str, line: int) -> ContentError:
    return ContentError(
        "content.text.encoding",
        Text("the file is not UTF-8", "文件不是 UTF-8 编码"),
        remedy=Text("save it again as UTF-8", "请另存为 UTF-8 编码"),
        where=Where(path, line),
    )


def _mixed(path: str, body: bytes, at: int) -> ContentError:
    """At the first byte that is no UTF-8. Where the rest of the file is UTF-8 the line came from elsewhere."""
    line = body.count(b"\n", 0, at) + 1
    start = body.rfind(b"\n", 0, at) + 1
    end = body.find(b"\n", at)
    rest = body[:start] + (body[end:] if end >= 0 else b"")
    try:
        rest.decode()
    except UnicodeDecodeError:
        told = _encoding(path, line)
    else:
        told = ContentError(
            "content.text.encoding",
            Text("this line is not UTF-8, as the rest of the file is", "该行不是 UTF-8 编码，文件其余部分是"),
            remedy=Text(
                "it was pasted from a file of another encoding (GB18030?): type it again",
                "该行可能粘贴自其他编码（如 GB18030）的文件：请重新输入",
            ),
        )
    return ContentError(
        told.code, told.what, remedy=told.remedy, where=Where(path, line, f"byte {at - start + 1}")
    )


def _irregular(path: str, what: Text) -> ContentError:
    return ContentError(
        "content.file.irregular",
        what,
        remedy=Text("replace it", "请替换"),
        where=Where(path),
    )


def _unreadable(path: str, error: OSError | ValueError) -> ContentError:
    reason = error.strerror if isinstance(error, OSError) and error.strerror else "bad path"
    return ContentError(
        "content.file.unreadable",
        Text(f"the file cannot be read: {reason}", f"文件无法读取：{reason}"),
        remedy=Text("correct its link or its permissions", "请检查链接或权限"),
        where=Where(path),
    )
