"""The smallest grammar of content files: identifiers, codes, dates, numbers, words of a closed set.

Every function takes the text and where it stands, and returns the parsed thing or raises ContentError with
the nearest right word as remedy. Identifiers become file names, table names and key names, so their
alphabet is small on purpose: no upper case, no hyphen, no slash, no look-alike letters of other scripts.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection
from datetime import date
from typing import Final

from huanshu.errors import ContentError, Text, Where

#: PostgreSQL cuts names after 63 bytes without an error; ``_staging`` and index names need the rest.
MAX_IDENTIFIER: Final = 48
#: Of a sentence that goes into entries: an entry's string holds at most 1 000 characters.
MAX_SAID: Final = 500

_IDENTIFIER: Final = re.compile(r"[a-z][a-z0-9_]*(?:\.[a-z0-9_]+)*")
_NAME: Final = re.compile(r"[a-z][a-z0-9_]*")
_ACCOUNT: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.@-]{0,63}")
_DIVISION: Final = re.compile(r"[0-9]{12}|[0-9]{15}")
_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_INTEGER: Final = re.compile(r"0|[1-9][0-9]{0,8}")


def nearest(word: str, known: Collection[str]) -> str | None:
    """The known word most like ``word``, if any is like it."""
    close = difflib.get_close_matches(word, sorted(known), n=1, cutoff=0.6)
    return close[0] if close else None


def hint(word: str, known: Collection[str]) -> Text:
    """A remedy: the nearest right word, or the words there are."""
    if (right := nearest(word, known)) is not None:
        return Text(f"did you mean “{right}”?", f"是否应为“{right}”？")
    if not known:
        return Text("none exists yet: add it first", "目前一个也没有，请先登记")
    shown = ", ".join(sorted(known)[:12]) + (", …" if len(known) > 12 else "")
    return Text(f"known here: {shown}", f"可用：{shown}")


def unknown(code: str, what: Text, word: str, known: Collection[str], where: Where) -> ContentError:
    """An error for a word that should name something that exists."""
    return ContentError(
        code,
        Text(f"{what.en} “{word}” does not exist", f"{what.zh}“{word}”不存在"),
        remedy=hint(word, known),
        where=where,
    )


def word(text: str, allowed: Collection[str], where: Where) -> str:
    """One word of a closed set. Raises ``content.word.unknown``."""
    if text not in allowed:
        raise ContentError(
            "content.word.unknown",
            Text(f"“{text}” is not a word of this place", f"此处不能填写“{text}”"),
            remedy=hint(text, allowed),
            where=where,
        )
    return text


def _malformed(text: str, where: Where, expected: Text) -> ContentError:
    return ContentError(
        "content.identifier.malformed",
        Text(f"“{text[:64]}” is no identifier", f"“{text[:64]}”不是合法标识"),
        remedy=expected,
        where=where,
    )


def identifier(text: str, where: Where) -> str:
    """``[a-z][a-z0-9_]*`` in segments joined by single dots, at most 48 characters."""
    if _IDENTIFIER.fullmatch(text) is None or len(text) > MAX_IDENTIFIER:
        raise _malformed(
            text,
            where,
            Text(
                "use a-z, 0-9, _ and single dots, beginning with a letter, at most 48 characters",
                "只用小写字母、数字、下划线和单个点，以字母开头，最长 48 个字符",
            ),
        )
    return text


def name(text: str, where: Where) -> str:
    """An identifier without dots: names of datasets, fields and rules, which become SQL and file names."""
    if _NAME.fullmatch(text) is None or len(text) > MAX_IDENTIFIER:
        raise _malformed(
            text,
            where,
            Text(
                "use a-z, 0-9 and _, beginning with a letter, at most 48 characters",
                "只用小写字母、数字和下划线，以字母开头，最长 48 个字符",
            ),
        )
    return text


def account(text: str, where: Where) -> str:
    """An account name of the operating system or of Airflow."""
    if _ACCOUNT.fullmatch(text) is None:
        raise _malformed(
            text, where, Text("an account: letters, digits, _ . @ -", "账号只用字母、数字和 _ . @ -")
        )
    return text


def domain_code(text: str, where: Where) -> str:
    """12 digits, 15 digits (a grid), or ``dept.`` and a name. Raises ``domain.code.malformed``."""
    department = text.startswith("dept.") and _NAME.fullmatch(text[5:]) and len(text) <= MAX_IDENTIFIER
    if not department and _DIVISION.fullmatch(text) is None:
        raise ContentError(
            "domain.code.malformed",
            Text(f"“{text[:64]}” is no domain code", f"“{text[:64]}”不是合法的域代码"),
            remedy=Text(
                "12 digits of the division code, 15 for a grid, or dept.<name>",
                "12 位区划代码，网格为 15 位，部门为 dept.<名称>",
            ),
            where=where,
        )
    return text


def day(text: str, where: Where) -> date:
    """An ISO date, written out: ``2026-01-31``. Raises ``content.date.malformed``."""
    try:
        if _DATE.fullmatch(text) is None:
            raise ValueError
        return date.fromisoformat(text)
    except ValueError:
        raise ContentError(
            "content.date.malformed",
            Text(f"“{text[:32]}” is no date", f"“{text[:32]}”不是合法日期"),
            remedy=Text("write it as 2026-01-31", "请写成 2026-01-31"),
            where=where,
        ) from None


def period(start: date, end: date, where: Where) -> None:
    """Refuses a validity that ends before it begins."""
    if end < start:
        raise ContentError(
            "content.dates.reversed",
            Text(f"it ends on {end} before it begins on {start}", f"截止日期 {end} 早于起始日期 {start}"),
            remedy=Text("correct valid_from or valid_until", "请更正 valid_from 或 valid_until"),
            where=where,
        )


def integer(text: str, where: Where, low: int, high: int) -> int:
    """A decimal integer without sign or leading zeros, ``low`` to ``high`` inclusive."""
    if _INTEGER.fullmatch(text) is None:
        raise ContentError(
            "content.number.malformed",
            Text(f"“{text[:32]}” is no whole number", f"“{text[:32]}”不是整数"),
            remedy=Text("digits only, no sign, no leading zero", "只写数字，不带符号和前导零"),
            where=where,
        )
    number = int(text)
    if not low <= number <= high:
        raise ContentError(
            "content.number.range",
            Text(f"{number} is out of range", f"{number} 超出范围"),
            remedy=Text(f"use {low} to {high}", f"取值 {low} 至 {high}"),
            where=where,
        )
    return number


def said(text: str, where: Where) -> str:
    """A sentence that goes into log entries as it stands: one line, of a length that an entry takes."""
    if len(text) > MAX_SAID or "\n" in text:
        raise ContentError(
            "content.text.unsayable",
            Text(
                f"this goes into every entry: one line of at most {MAX_SAID} characters",
                f"该文字会写入每条日志：须为一行，至多 {MAX_SAID} 字",
            ),
            remedy=Text("shorten it to the citation", "请只写引用的法规条款"),
            where=where,
        )
    return text
