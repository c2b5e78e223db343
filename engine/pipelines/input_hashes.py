"""SHA-256 of input files, remembered by size and modification time so that a re-run need not read them again."""

import hashlib
import json
from pathlib import Path

from thalgpu.engine.config import canonical_json
from thalgpu.engine.outputs.atomic import disk_errors, write_text
from thalgpu.errors import InputError


class InputHashes:
    """A cache in `OUT/logs`; to lose it costs time, never correctness.

    It holds a digest of itself: one that is not as it was written is not believed, for a wrong SHA-256 in it would have
    a subject computed anew by every run.

    Parameters
    ----------
    path : the cache file; it need not exist. Files of shards beside it are read too.
    shard : name of the shard that this is, which saves what it knows beside the file; None for a run that has the
        folder for itself, and saves what all know.
    """

    def __init__(self, path: Path, shard: str | None = None) -> None:
        self._path, self._shard = path, shard
        self._known: dict[str, list[int | str]] = _load(path)
        for other in self._of_shards():
            self._known |= _load(other)

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
        text = canonical_json({"files": self._known, "sha256": _digest(self._known)})
        if self._shard is not None:
            write_text(self._path.with_name(f"{self._path.stem}-{self._shard}{self._path.suffix}"), text)
            return
        write_text(self._path, text)
        with disk_errors(self._path):
            for other in self._of_shards():
                other.unlink(missing_ok=True)

    def _of_shards(self) -> list[Path]:
        return sorted(self._path.parent.glob(f"{self._path.stem}-*-of-*{self._path.suffix}"))


def _load(path: Path) -> dict[str, list[int | str]]:
    try:
        loaded = json.loads(path.read_text(encoding="utf-8"))
        files: dict[str, list[int | str]] = loaded["files"]
        return files if loaded["sha256"] == _digest(files) else {}
    except (OSError, ValueError, KeyError, TypeError):  # not there, or not as it was written
        return {}


def _digest(files: dict[str, list[int | str]]) -> str:
    return hashlib.sha256(canonical_json(files).encode()).hexdigest()


def input_sha256(path: Path) -> str:
    """SHA-256 (hex) of a file; InputError when it cannot be read."""
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise InputError(path, f"cannot be read: {error.strerror}") from error
