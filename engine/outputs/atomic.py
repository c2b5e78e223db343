"""Files that are either absent or complete: written beside their place, synced, then renamed into it.

Where files may be written
--------------------------
A folder that holds `.thalgpu.lock` is an output folder. Whatever is named under an output folder must really lie in it:
a target, or a folder on the way to it, that is a symbolic link to another place is refused, so that a planted link
cannot make a run overwrite foreign files. Links that stay inside are allowed (a linked target is replaced, not
followed), and so is an output folder that is itself a link.

All that a run writes goes through `write_bytes`. Inside `only_report` that door lets nothing but reports and logs
through: a run then repeats itself from what is on the disk, and ends where that is not complete. Results are compared
byte by byte; what only describes them, and names versions of software, is left as it is.
"""

import errno
import hashlib
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from thalgpu.errors import IncompleteError, ResourceError

LOCK_NAME = ".thalgpu.lock"
"""File that marks an output folder; see `thalgpu.engine.outputs.locks`."""

REPORT_NAME = "report.html"
_DESCRIPTIONS = (".json", ".toml", ".bidsignore")

_closed = False
"""Whether `only_report` holds; of this process."""

_PREFIX, _SUFFIX = ".thalgpu-", ".tmp"
_REMEDIES = {
    errno.ENOSPC: "free some disk space, or choose another folder",
    errno.EDQUOT: "your quota is used up: free some space, or choose another folder",
    errno.EROFS: "the file system is read-only: choose another folder",
    errno.EACCES: "choose a folder that you may write to",
    errno.EPERM: "choose a folder that you may write to",
}


def write_bytes(path: Path, data: bytes | memoryview) -> None:
    """Write a file so that it is, at every moment and after every crash, either what it was or complete.

    Missing folders are made. The bytes go to a temporary file in the same folder, are flushed to the disk (fsync), and
    take the place of `path` by one rename; the folder is synced last, so that the name survives a power cut too.

    Raises
    ------
    ResourceError
        When the disk is full, the folder cannot be written, or `path` leads out of its output folder (see above). The
        temporary file is removed and `path` is as it was, except when only the last sync failed: then it is complete.
    IncompleteError
        Inside `only_report`, when the file is not there, or is a result that would change.
    """
    if _closed and not (path.name == REPORT_NAME or path.parent.name == "logs"):
        _require_same(path, data)
        return
    with disk_errors(path):
        require_inside(path)
        make_folder(path.parent)
        temporary = path.parent / f"{_PREFIX}{os.getpid()}-{secrets.token_hex(4)}{_SUFFIX}"
        try:
            _write_synced(temporary, data)
            os.replace(temporary, path)
        except BaseException:  # an interrupt must not leave the temporary file behind either
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise
        _sync_folder(path.parent)


@contextmanager
def only_report() -> Iterator[None]:
    """Inside, this process writes reports and logs; results must be there already with the very bytes."""
    global _closed
    before, _closed = _closed, True
    try:
        yield
    finally:
        _closed = before


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text as `write_bytes` does; line ends as they are given, "?" for bytes of paths that are no text."""
    write_bytes(path, text.encode(errors="replace"))


def make_folder(folder: Path) -> None:
    """Make a folder and its missing parents, and sync them; ResourceError as `write_bytes`."""
    with disk_errors(folder):
        require_inside(folder)
        missing = [parent for parent in (folder, *folder.parents) if not parent.exists()]
        for parent in reversed(missing):
            parent.mkdir(exist_ok=True)  # another worker may be faster
            _sync_folder(parent.parent)


def file_sha256(path: Path) -> str:
    """SHA-256 (hex) of an output file as it lies on disk; ResourceError when it cannot be read."""
    with disk_errors(path), path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def sweep_temporaries(folder: Path) -> int:
    """Remove the temporary files that killed runs left below a folder; call it while holding the folder's lock.

    Returns
    -------
    The number of files removed. Links are neither followed nor removed.
    """
    removed = 0
    with disk_errors(folder):
        for parent, _, names in os.walk(folder):
            for name in names:
                leftover = Path(parent, name)
                if name.startswith(_PREFIX) and name.endswith(_SUFFIX) and not leftover.is_symlink():
                    leftover.unlink(missing_ok=True)
                    removed += 1
    return removed


def check_space(folder: Path, bytes_needed: int) -> None:
    """ResourceError unless `folder` exists or can be made, can be written, and has `bytes_needed` bytes free.

    Nothing is created. A quota is not seen here: it shows when the file is written.
    """
    with disk_errors(folder):
        require_inside(folder)
        existing = next(parent for parent in (folder.absolute(), *folder.absolute().parents) if parent.exists())
        if not existing.is_dir():
            raise ResourceError("not a folder", where=str(existing), remedy="choose another folder")
        if not os.access(existing, os.W_OK | os.X_OK):
            raise ResourceError("the folder cannot be written", where=str(existing), remedy=_REMEDIES[errno.EACCES])
        free = shutil.disk_usage(existing).free
    if free < bytes_needed:
        raise ResourceError(
            f"{_readable(bytes_needed)} are needed and {_readable(free)} are free",
            where=str(existing),
            remedy=_REMEDIES[errno.ENOSPC],
        )


def require_inside(path: Path) -> None:
    """ResourceError when the real place of `path` is outside an output folder that its name is inside."""
    place = Path(os.path.realpath(path))
    for parent in path.absolute().parents:
        # Every marked folder counts, not the nearest: a link may lead into another output folder.
        if (parent / LOCK_NAME).is_file() and not place.is_relative_to(os.path.realpath(parent)):
            raise ResourceError(
                f"a symbolic link leads out of the output folder {parent}",
                where=str(path),
                remedy="remove the link, or choose another folder",
            )


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn an OSError into a ResourceError that says what to do."""
    try:
        yield
    except OSError as error:
        remedy = _REMEDIES.get(error.errno or 0, "check the disk, or choose another folder")
        raise ResourceError(error.strerror or str(error), where=str(path), remedy=remedy) from error


def _require_same(path: Path, data: bytes | memoryview) -> None:
    with disk_errors(path):
        there = path.is_file()
        if there and (path.name.endswith(_DESCRIPTIONS) or path.read_bytes() == data):
            return
    raise IncompleteError("would change" if there else "is missing", where=str(path))


def _write_synced(path: Path, data: bytes | memoryview) -> None:
    # os.open instead of tempfile: the file keeps the permissions of the user's umask.
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
    with open(descriptor, "wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(descriptor)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:  # some network file systems cannot sync a folder
            raise
    finally:
        os.close(descriptor)


def _readable(n_bytes: float) -> str:
    for unit in ("bytes", "kB", "MB", "GB"):
        if n_bytes < 1000:
            return f"{n_bytes:.3g} {unit}"
        n_bytes /= 1000
    return f"{n_bytes:.3g} TB"
