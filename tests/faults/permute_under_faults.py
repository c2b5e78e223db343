"""Run by test_permute_faults.py with disk_faults.so preloaded: a whole test under every disk fault in turn.

Imports are paid once: each attempt is a fork. Prints one JSON line an attempt, the last of each kind being undisturbed.
"""

import ctypes
import errno
import hashlib
import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from thalgpu.engine.inference.model import InferenceOptions
from thalgpu.engine.pipelines import permute, permute_page
from thalgpu.engine.pipelines.permute_request import PermuteRequest
from thalgpu.errors import ResourceError

UNEXPECTED, REFUSED, FINISHED = 1, 5, 0


def request_in(root: Path, out: Path) -> PermuteRequest:
    return PermuteRequest(
        (root / "maps.npy",),
        root / "design.csv",
        out,
        contrasts=root / "contrasts.csv",
        options=InferenceOptions(n_perm=200),
        workers=1,
        gpus=0,
    )


def write_inputs(root: Path) -> None:
    rng = np.random.default_rng(0)
    np.save(root / "maps.npy", rng.normal(size=(12, 20)))
    np.savetxt(root / "design.csv", np.column_stack([np.ones(12), rng.normal(size=12)]), delimiter=",")
    (root / "contrasts.csv").write_text("0,1\n")


def in_child(run: Callable[[], object]) -> int:
    """Exit status of a fork that runs this."""
    child = os.fork()
    if child == 0:
        status = UNEXPECTED
        try:
            run()
            status = FINISHED
        except ResourceError:
            status = REFUSED
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def resume(request: PermuteRequest) -> None:
    """Run again, on a disk that is well; what is flushed to it takes most of the time, and is not looked at."""
    os.fsync = lambda descriptor: None
    permute.run_permute(request)


def digests(out: Path) -> dict[str, str]:
    """Of every file but the lock and what a killed process has left."""
    files = (path for path in out.rglob("*") if path.is_file() and path.name != ".thalgpu.lock")
    found = {str(path.relative_to(out)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
    return {name: digest for name, digest in found.items() if not name.endswith(".tmp")}


def outcomes(root: Path) -> Iterator[dict[str, object]]:
    permute_page.render_permute = lambda page: "a page"  # its figures take longer than all else
    write_inputs(root)
    remove, permute._remove_blocks = permute._remove_blocks, lambda out: None
    permute.run_permute(request_in(root, root / "blocks-too"))
    permute._remove_blocks = remove
    permute.run_permute(request_in(root, root / "whole"))
    complete, whole = digests(root / "blocks-too"), digests(root / "whole")
    for kind, code in {"killed": 0, "full": errno.ENOSPC}.items():
        for nth in range(1, 200):
            out = root / f"{kind}-{nth}"

            def struck(out: Path = out, nth: int = nth, code: int = code) -> None:
                ctypes.CDLL(None).disk_faults_arm(bytes(out), ctypes.c_long(nth), code)
                permute.run_permute(request_in(root, out))

            status = in_child(struck)
            after = digests(out)
            incomplete = sorted(name for name, digest in after.items() if complete.get(name) != digest)
            resumed = in_child(lambda out=out: resume(request_in(root, out)))
            yield {
                "kind": kind, "nth": nth, "status": status, "incomplete": incomplete, "resumed": resumed,
                "same": digests(out) == whole, "leftovers": len(list(out.rglob("*.tmp"))),
            }  # fmt: skip
            if status == FINISHED:
                break


if __name__ == "__main__":
    for outcome in outcomes(Path(sys.argv[1])):
        print(json.dumps(outcome))
