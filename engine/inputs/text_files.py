"""Small text files that people write: decoded in one way, with the line of what is wrong."""

import re
from pathlib import Path

from thalgpu.engine.inputs.checked import read_bytes
from thalgpu.engine.inputs.list_lines import LARGEST_LIST, absent
from thalgpu.errors import InputError

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_REMEDY = "save it as plain UTF-8 text"


def read_text(path: Path) -> tuple[str, str]:
    """The text of a file, plain or gzip, and the SHA-256 (hex) of the file as it lies on disk.

    A byte order mark is taken off. InputError for a file that is absent, larger than 16 MiB, not UTF-8, or that holds
    control characters other than tabs and line ends.
    """
    reason = absent(path)
    if reason:
        raise InputError(path, reason, remedy="give the path of a text file")
    if path.stat().st_size > LARGEST_LIST:
        raise InputError(path, f"more than {LARGEST_LIST >> 20} MiB", remedy="give a table, not an image")
    content = read_bytes(path, limit=LARGEST_LIST)
    try:
        text = content.data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        at = content.data.count(b"\n", 0, error.start) + 1
        raise InputError(path, "not UTF-8 text", at=at, remedy=_REMEDY) from error
    hidden = _CONTROL.search(text)
    if hidden:
        at = text.count("\n", 0, hidden.start()) + 1
        raise InputError(path, f"control character U+{ord(hidden[0]):04X}", at=at, remedy=_REMEDY)
    return text, content.sha256


def numbered_lines(text: str) -> list[tuple[int, str]]:
    """Lines that are not blank, without the spaces around them, each with its number (from 1)."""
    lines = ((number, line.strip()) for number, line in enumerate(re.split(r"\r\n|\n|\r", text), start=1))
    return [(number, line) for number, line in lines if line]
