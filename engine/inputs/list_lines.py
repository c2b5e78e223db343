"""Lines of a subject list: decoding, ids, files that exist, and problems gathered with their lines."""

import os
import re
import unicodedata
from dataclasses import dataclass
from pathlib import Path

from thalgpu.errors import InputError

LARGEST_LIST = 16 * 2**20
"""Bytes; a longer file is no list of people but a scan given by mistake."""

_ID = re.compile(r"(?:sub-)?([A-Za-z0-9]+)")
_SHOWN = 3
"""Problems written out; the others are counted."""


@dataclass(frozen=True)
class Line:
    """A line that is neither blank nor a comment, with its number in the file (from 1)."""

    number: int
    text: str


@dataclass(frozen=True)
class Problem:
    """What is wrong with a line, and what to do about it."""

    line: int
    reason: str
    remedy: str | None = None


def read_lines(path: Path) -> list[Line]:
    """Decode a list into its lines; InputError when it is unreadable, not UTF-8, empty, or holds control characters."""
    text = _decode(path)
    # Only these three end a line: str.splitlines would also split at form feeds and Unicode separators inside a path.
    numbered = [Line(number, raw.strip(" ")) for number, raw in enumerate(re.split(r"\r\n|\n|\r", text), start=1)]
    lines = [line for line in numbered if line.text.strip() and not line.text.lstrip().startswith("#")]
    if not lines:
        raise InputError(path, "the list names no subject", remedy="write one path or participant label a line")
    hidden = [Problem(line.number, f"control character {found}") for line in lines if (found := _control(line.text))]
    if hidden:
        raise as_error(path, hidden)
    return lines


def before_comment(text: str) -> list[str]:
    """What a line may say: the whole of it, and what stands before each `#` that follows a space; longest first."""
    return [text, *(text[: found.start()] for found in reversed(list(re.finditer(r"\s+#", text))))]


def parse_id(text: str) -> str | None:
    """The id without "sub-" when `text` is letters and digits only (0012 stays 0012), else None."""
    match = _ID.fullmatch(text)
    return match.group(1) if match else None


def bad_id(line: int, text: str) -> Problem:
    """The problem of an id that is not letters and digits."""
    return Problem(line, f"participant id {text!r} is not letters and digits only", "rename it, e.g. sub-0012 or 0012")


def resolve(listed_in: Path, text: str) -> Path:
    """The path that `text` names, relative to the list's folder unless absolute."""
    return Path(os.path.normpath(listed_in.absolute().parent / text))


def absent(path: Path, *, folder: bool = False) -> str | None:
    """Why `path` cannot be a file (or folder) to read, in words; None when it can."""
    kind = "folder" if folder else "file"
    try:
        there = path.is_dir() if folder else path.is_file()
        if there:
            return None if os.access(path, os.R_OK) else f"{kind} {path} may not be read by you"
        return f"{path} is not a {kind}" if path.exists() else f"no {kind} {path}"
    except OSError as error:  # a name too long, a loop of links, a folder that may not be entered
        return f"{kind} {path} cannot be reached: {error.strerror}"


def as_error(path: Path, problems: list[Problem]) -> InputError:
    """One error for all problems: the first few in words, ordered by line, and how many there are."""
    first, *others = sorted(problems, key=lambda problem: problem.line)
    reason = first.reason
    if others:
        shown = [f"line {problem.line}: {problem.reason}" for problem in others[: _SHOWN - 1]]
        uncounted = len(others) - len(shown)
        reason += f" — and {len(others)} more: " + "; ".join(shown) + (f"; and {uncounted} others" if uncounted else "")
    return InputError(path, reason, at=first.line, remedy=first.remedy)


def _decode(path: Path) -> str:
    reason = absent(path)
    if reason:
        raise InputError(path, reason, remedy="give the path of a text file that lists the subjects")
    try:
        if path.stat().st_size > LARGEST_LIST:
            raise InputError(path, f"more than {LARGEST_LIST >> 20} MiB", remedy="give a list of scans, not a scan")
        raw = path.read_bytes()
    except OSError as error:
        raise InputError(path, f"cannot be read: {error.strerror}") from error
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        remedy = "save it as UTF-8 text (one path or participant label a line)"
        raise InputError(path, "not UTF-8 text", at=raw.count(b"\n", 0, error.start) + 1, remedy=remedy) from error


def _control(text: str) -> str | None:
    """The first control character but tab, as U+XXXX; None when there is none."""
    return next((f"U+{ord(c):04X}" for c in text if unicodedata.category(c) == "Cc" and c != "\t"), None)
