"""What results told when they were verified, remembered by size and modification time: a re-run opens none of them.

To read a result again takes as long as its disk needs, and to open an HDF5 file some milliseconds: for 40,000 subjects
that is hours. A result is verified byte by byte once, by the run that wrote or first found it; while size and time are
the same it is trusted, as inputs are. Whoever reads its numbers verifies them even so.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from thalgpu.engine.cluster.shards import Shard
from thalgpu.engine.config import canonical_json
from thalgpu.engine.outputs.atomic import disk_errors, write_text

Stamp: TypeAlias = tuple[int, int]
"""Size in bytes and modification time in ns."""


class Ledger:
    """A cache in `OUT/logs`; to lose it, or to remove it, has every result verified again.

    A line a result, behind a digest of all lines: a ledger that is not as it was written is not believed. Lines stay
    text until they are asked for, which is a tenth of the memory.

    Parameters
    ----------
    path : its file; it need not exist. Files of shards beside it are read too.
    shard : name of the shard that this is, which saves beside the file; None for a run that has the folder for itself.
    """

    def __init__(self, path: Path, shard: str | None = None) -> None:
        self._path, self._shard = path, shard
        self._out = path.parent.parent
        self._lines: dict[str, str] = _load(path)
        for other in self._of_shards():
            self._lines |= _load(other)

    def find(self, record: Path, key: str) -> dict[str, Any] | None:
        """What a record of this key told, while it and the files noted with it are as they were; else None."""
        line = self._lines.get(self._name(record))
        if line is None:
            return None
        noted = json.loads(line)
        if noted["key"] != key or not all(
            stamps([record.with_name(name)]) == [tuple(stamp)] for name, stamp in noted["files"].items()
        ):
            return None
        told: dict[str, Any] = noted["told"]
        return told

    def note(self, record: Path, key: str, files: Mapping[str, Stamp], told: Mapping[str, Any]) -> None:
        """Remember what a verified record told, plain values only, and the stamps of the files that belong to it.

        Parameters
        ----------
        files : name in the record's folder → stamp from before it was verified; the record's own among them.
        """
        self._lines[self._name(record)] = canonical_json({"key": key, "files": files, "told": told})

    def save(self) -> None:
        """Write it; ResourceError when that cannot be done."""
        body = "".join(f"{name}\t{line}\n" for name, line in sorted(self._lines.items()))
        path = self._path
        if self._shard is not None:
            path = path.with_name(f"{path.stem}-{self._shard}{path.suffix}")
        write_text(path, f"{hashlib.sha256(body.encode()).hexdigest()}\n{body}")
        if self._shard is None:
            with disk_errors(path):
                for other in self._of_shards():
                    other.unlink(missing_ok=True)

    def _name(self, record: Path) -> str:
        return str(record.relative_to(self._out))

    def _of_shards(self) -> list[Path]:
        return sorted(self._path.parent.glob(f"{self._path.stem}-*-of-*{self._path.suffix}"))


def open_ledger(out: Path, shard: Shard | None) -> Ledger:
    """The ledger of an output folder."""
    return Ledger(out / "logs" / "verified.txt", shard.name if shard else None)


def stamps(files: Sequence[Path]) -> list[Stamp]:
    """Stamps of files; of one that is not there (0, 0), which no file has."""
    found = []
    for file in files:
        try:
            about = file.stat()
        except OSError:
            found.append((0, 0))
        else:
            found.append((about.st_size, about.st_mtime_ns))
    return found


def _load(path: Path) -> dict[str, str]:
    try:
        digest, _, body = path.read_text(encoding="utf-8").partition("\n")
    except (OSError, ValueError):
        return {}
    if digest != hashlib.sha256(body.encode()).hexdigest():
        return {}
    return dict(line.split("\t", 1) for line in body.splitlines())
