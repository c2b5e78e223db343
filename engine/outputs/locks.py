"""One run at a time in an output folder."""

import fcntl
import json
import logging
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from thalgpu.engine.outputs.atomic import LOCK_NAME, disk_errors, make_folder
from thalgpu.errors import ResourceError, UsageError

_LOG = logging.getLogger(__name__)


@contextmanager
def hold(out: Path) -> Iterator[None]:
    """Hold an output folder for as long as the context lasts; the folder is made when it is missing.

    The lock is the kernel's (`flock` on OUT/.thalgpu.lock): it ends with the process, however that ends, so none is
    ever stale. The file says who holds it and is left behind, empty; it also marks OUT as an output folder (see
    `atomic`). Where the file system has no locks a warning is logged and the run goes on.

    Raises
    ------
    ResourceError
        When another run holds the folder (it is named), or the folder cannot be written.
    """
    with disk_errors(out / LOCK_NAME):
        make_folder(out)
        # Not followed: a planted link must not make us truncate a foreign file.
        descriptor = os.open(out / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
    try:
        _lock(descriptor, out)
        _sign(descriptor, json.dumps({"pid": os.getpid(), "host": socket.gethostname(), "since": _now()}))
        try:
            yield
        finally:
            _sign(descriptor, "")
    finally:
        os.close(descriptor)


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
            remedy="choose a new or empty --out",
        )


def _lock(descriptor: int, out: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise ResourceError(
            f"another run is at work in this folder: {_owner(descriptor)}",
            where=str(out),
            remedy="wait for it, or choose another --out",
        ) from error
    except OSError as error:
        _LOG.warning("%s cannot be locked (%s): make sure that no other run writes there", out, error.strerror)


def _sign(descriptor: int, owner: str) -> None:
    with disk_errors(Path(LOCK_NAME)):
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, owner.encode(), 0)


def _owner(descriptor: int) -> str:
    try:
        owner = json.loads(os.pread(descriptor, 4096, 0))
        return f"process {owner['pid']} on {owner['host']}, since {owner['since']}"
    except (ValueError, TypeError, KeyError):  # it has the lock and has not signed yet
        return "its process is not known"


def _now() -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S")
