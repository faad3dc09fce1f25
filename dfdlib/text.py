"""Text from outside (names, attack words, paths), made such that it can be shown: it is read, and never obeyed.

In HTML, `html.escape` and jinja's own escaping do the same.
"""

import os
import re

#: Bytes of a name that are no UTF-8; with them, what moves a terminal's cursor, ends a line or turns its direction.
_NO_TEXT = "[\ud800-\udfff]"
_CONTROLS = re.compile(f"{_NO_TEXT}|[\0-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def is_text(name: str) -> bool:
    """Tell whether a name can be written as UTF-8; names on disk may be any bytes."""
    return name.isascii() or not re.search(_NO_TEXT, name)


def unicode(text: object) -> str:
    """Return text that can be written as UTF-8, with question marks for bytes that are none."""
    return str(text).encode("utf-8", "replace").decode("utf-8")


def one_line(text: str | os.PathLike) -> str:
    """Return text as one line for a message or a terminal: what would break that is escaped."""
    return _CONTROLS.sub(lambda found: found[0].encode("unicode_escape").decode(), str(text))


def shown(text: object, *, width: int = 48) -> str:
    """Return text as one line that can be drawn: no line breaks, no controls, the middle of long text cut."""
    line = " ".join("".join(letter if letter.isprintable() else " " for letter in unicode(text)).split())
    return line if len(line) <= width else f"{line[: width // 2]}…{line[1 - width // 2 :]}"


def thousands(number: float) -> str:
    """Return a whole number with thin spaces between thousands, as the report writes it."""
    return f"{number:,.0f}".replace(",", "\u202f")
