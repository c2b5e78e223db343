"""SHA-256 of input files, remembered by size and modification time so that a re-run need not read them again."""

import hashlib
import json
from pathlib import Path

from thalgpu.engine.config import canonical_json
from thalgpu.engine.outputs.atomic import write_text
from thalgpu.errors import InputError


class InputHashes:
    """A cache in `OUT/logs`; to lose it costs time, never correctness.

    Parameters
    ----------
    path : the cache file; it need not exist.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: dict[str, list[int | str]] = _load(path)

    def sha256(self, path: Path) -> str:
        """The file's SHA-256 (hex), read anew when its size or modification time changed."""
        found = self._known.get(str(path))
        stamp = self.stamp(path)
        if found is None or found[:2] != list(stamp):
            return self.remember(path, input_sha256(path), stamp)
        return str(found[2])

    def remember(self, path: Path, sha256: str, stamp: tuple[int, int]) -> str:
        """Note a digest worked out by whoever read the file; `stamp` was taken before it was read."""
        self._known[str(path)] = [*stamp, sha256]
        return sha256

    @staticmethod
    def stamp(path: Path) -> tuple[int, int]:
        """Size in bytes and modification time in ns; InputError when the file is not there."""
        try:
            status = path.stat()
        except OSError as error:
            raise InputError(path, f"cannot be read: {error.strerror}") from error
        return status.st_size, status.st_mtime_ns

    def save(self) -> None:
        """Write the cache."""
        write_text(self._path, canonical_json(self._known))


def _load(path: Path) -> dict[str, list[int | str]]:
    try:
        loaded = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    rows = loaded.items() if isinstance(loaded, dict) else ()
    return {key: row for key, row in rows if isinstance(row, list) and len(row) == 3}


def input_sha256(path: Path) -> str:
    """SHA-256 (hex) of a file; InputError when it cannot be read."""
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise InputError(path, f"cannot be read: {error.strerror}") from error
