"""What lies in a folder: to be looked at, told apart, put back, or laid out again."""

import hashlib
import os
import shutil
from pathlib import Path

Left = dict[str, tuple[bytes | None, int]]
"""Name → bytes (None of a folder) and time of the last change, as the records of verified results tell it."""


def contents(out: Path) -> Left:
    """Everything in a folder; nothing where there is none."""
    return {
        str(path.relative_to(out)): (None if path.is_dir() else path.read_bytes(), path.stat().st_mtime_ns)
        for path in sorted(out.rglob("*"))
    }


def alike(left: Left) -> frozenset[tuple[str, str]]:
    """The same for two folders that differ in no byte, but for names of temporary files and times."""
    return frozenset(
        (
            str(Path(name).with_name("a.tmp")) if name.endswith(".tmp") else name,
            "a folder" if found is None else hashlib.sha256(found).hexdigest(),
        )
        for name, (found, _) in left.items()
    )


def lay(out: Path, left: Left) -> None:
    """Make a folder hold this and nothing else."""
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    for name, (found, _) in left.items():
        (out / name).mkdir() if found is None else (out / name).write_bytes(found)
    for name, (_, changed) in left.items():
        os.utime(out / name, ns=(changed, changed))


class Kept:
    """A folder as it is now, to be put back after a fork; what this process holds open in it stays open.

    Files are kept as hard links, which is enough for files that are never written in place but at their end.
    """

    def __init__(self, out: Path, aside: Path) -> None:
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir()
        found = sorted(out.rglob("*"))
        self.out, self.before = out, contents(out)
        self.folders = [out, *(path for path in found if path.is_dir())] if out.exists() else []
        self.files = {path: aside / str(number) for number, path in enumerate(found) if not path.is_dir()}
        for path, link in self.files.items():
            os.link(path, link)

    def put_back(self) -> None:
        for path in sorted([self.out, *self.out.rglob("*")], reverse=True):
            if path.is_dir() and path not in self.folders:
                path.rmdir()
            elif path.is_file() and not (path in self.files and path.samefile(self.files[path])):
                path.unlink()
        for folder in self.folders:
            folder.mkdir(exist_ok=True)
        for path, link in self.files.items():
            found, changed = self.before[str(path.relative_to(self.out))]
            if not path.exists():
                os.link(link, path)
            if path.stat().st_size != len(found or b""):
                os.truncate(path, len(found or b""))
            os.utime(path, ns=(changed, changed))
            if path.read_bytes() != found:
                raise RuntimeError(f"a fork has changed what the run has written: {path}")
