"""Run by test_write_once.py with disk_faults.so preloaded: one record written under every fault in turn.

Imports are paid once: each attempt is a fork. Prints one JSON line an attempt, the last of each kind being undisturbed.
"""

import ctypes
import errno
import hashlib
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from thalgpu.engine.outputs.atomic import sweep_temporaries
from thalgpu.engine.outputs.store import is_done, write_record
from thalgpu.errors import ResourceError

UNEXPECTED, REFUSED, WRITTEN = 1, 5, 0


def write(path: Path) -> None:
    datasets = {"gradients": np.arange(6000, dtype=np.float32).reshape(2000, 3), "lambdas": np.arange(3.0)}
    write_record(path, datasets, {"config": {"n_components": 3}}, key="a key")


def attempt(path: Path, nth: int, code: int) -> int:
    """Exit status of a child in which the nth disk operation fails."""
    child = os.fork()
    if child == 0:
        status = UNEXPECTED
        try:
            ctypes.CDLL(None).disk_faults_arm(bytes(path.parents[1]), ctypes.c_long(nth), code)
            write(path)
            status = WRITTEN
        except ResourceError:
            status = REFUSED
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def digest(path: Path) -> str | None:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else None


def outcomes(root: Path) -> Iterator[dict[str, object]]:
    for kind, code in {"killed": 0, "full": errno.ENOSPC}.items():
        for nth in range(1, 100):
            folder = root / f"{kind}-{nth}"
            path = folder / "func" / "record.h5"
            status = attempt(path, nth, code)
            after = digest(path)
            leftovers = len(list(folder.rglob("*.tmp")))
            swept = sweep_temporaries(folder) if folder.exists() else 0
            write(path)
            yield {
                "kind": kind, "nth": nth, "status": status, "after": after, "leftovers": leftovers, "swept": swept,
                "again": digest(path), "done": is_done(path, "a key"), "files": len(list(folder.rglob("*.*"))),
            }  # fmt: skip
            if status == WRITTEN:
                break


if __name__ == "__main__":
    for outcome in outcomes(Path(sys.argv[1])):
        print(json.dumps(outcome))
