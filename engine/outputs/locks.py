"""One run at a time in an output folder, or several shards of one."""

import fcntl
import json
import logging
import os
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from thalgpu.engine.outputs.atomic import LOCK_NAME, disk_errors, make_folder
from thalgpu.errors import ResourceError, UsageError

_LOG = logging.getLogger(__name__)
_SHARD = ".thalgpu-shard-"


@contextmanager
def hold(out: Path, shard: str | None = None) -> Iterator[None]:
    """Hold an output folder for as long as the context lasts; the folder is made when it is missing.

    The lock is the kernel's (`flock` on OUT/.thalgpu.lock): it ends with the process, however that ends, so none is
    ever stale. The file says who holds it and is left behind, empty; it also marks OUT as an output folder (see
    `atomic`). Where the file system has no locks a warning is logged and the run goes on.

    Shards share that lock, and each has one of its own that nobody shares; the files of the latter are removed by the
    next run that has the folder for itself.

    Parameters
    ----------
    out : the folder.
    shard : name of the shard, such as "2-of-4"; None for a run that shares the folder with nobody.

    Raises
    ------
    ResourceError
        When another run holds the folder (it is named), or the folder cannot be written.
    """
    with disk_errors(out / LOCK_NAME):
        make_folder(out)
    with ExitStack() as opened:
        folder = opened.enter_context(_opened(out / LOCK_NAME))
        _lock(folder, out, fcntl.LOCK_EX if shard is None else fcntl.LOCK_SH)
        signed = folder
        if shard is None:
            _remove_shards(out)
        else:
            signed = opened.enter_context(_opened(out / f"{_SHARD}{shard}.lock"))
            _lock(signed, out, fcntl.LOCK_EX)
        _sign(signed, json.dumps({"pid": os.getpid(), "host": socket.gethostname(), "since": _now()}))
        try:
            yield
        finally:
            _sign(signed, "")


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    """A lock's file, made where it is missing."""
    with disk_errors(path):
        # Not followed: a planted link must not make us truncate a foreign file.
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _remove_shards(out: Path) -> None:
    """Remove the shards' lock files: none is held, for a shard shares the folder's lock before it takes its own."""
    with disk_errors(out):
        for path in out.glob(f"{_SHARD}*.lock"):
            path.unlink(missing_ok=True)


def check_is_ours(out: Path) -> None:
    """UsageError when the folder holds something that no run of ours has put there; ResourceError if it is closed."""
    with disk_errors(out):
        if (out / LOCK_NAME).exists() or not out.is_dir():
            return
        foreign = sorted(path.name for path in out.iterdir() if not path.name.startswith("."))
    if foreign:
        raise UsageError(
            f"the output folder holds something else: {', '.join(foreign[:3])}{' …' if len(foreign) > 3 else ''}",
            where=str(out),
            remedy="choose a new or empty --out; a copy of an output folder needs its hidden files, too",
        )


def _lock(descriptor: int, out: Path, kind: int) -> None:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise ResourceError(
            f"another run is at work in this folder: {_owner(descriptor, out)}",
            where=str(out),
            remedy="wait for it, or choose another --out",
        ) from error
    except OSError as error:
        _LOG.warning("%s cannot be locked (%s): make sure that no other run writes there", out, error.strerror)


def _sign(descriptor: int, owner: str) -> None:
    with disk_errors(Path(LOCK_NAME)):
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, owner.encode(), 0)


def _owner(descriptor: int, out: Path) -> str:
    """Whoever has signed the lock, or else one of the shards that share it."""
    texts = [("", os.pread(descriptor, 4096, 0))]
    for path in sorted(out.glob(f"{_SHARD}*.lock")):
        with suppress(OSError):
            texts.append((f"shard {path.stem.removeprefix(_SHARD)}, ", path.read_bytes()))
    for name, text in texts:
        with suppress(ValueError, TypeError, KeyError):  # it has not signed
            owner = json.loads(text)
            return f"{name}process {owner['pid']} on {owner['host']}, since {owner['since']}"
    return "its process is not known"


def _now() -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S")
