"""Run by test_every_command.py with disk_faults.so preloaded: a whole command under every disk fault in turn.

Imports are paid once: each attempt is a fork, in the same output folder, so that every file has the same bytes. Prints
one JSON line an attempt, the last of each kind being undisturbed. What is left after a fault is held against all that
an undisturbed run ever puts under a final name, blocks of permutations that it removes at its end among them.
"""

import contextlib
import ctypes
import errno
import hashlib
import importlib
import io
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from thalgpu.cli.main import main

UNEXPECTED, REFUSED, FINISHED, KILLED = 1, 5, 0, 9
KINDS = {"killed": 0, "full": errno.ENOSPC, "quota": errno.EDQUOT}
PAGES = {
    "page": "gradients", "connectivity_page": "connectivity", "structure_page": "structure",
    "compare_page": "compare", "permute_page": "permute", "study_page": "study",
}  # fmt: skip
Found = dict[str, str]


def without_figures() -> None:
    """They take longer than all else."""
    for module, name in PAGES.items():
        page = importlib.import_module(f"thalgpu.engine.pipelines.{module}")
        setattr(page, f"render_{name}", lambda page: "a page")


def in_child(run: Callable[[], object]) -> tuple[int, str]:
    """Exit status of a fork that runs this, and what it says on stderr."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        status, said = UNEXPECTED, io.StringIO()
        try:
            with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
                run()
        except SystemExit as ended:
            status = int(ended.code or 0)
        finally:
            os.write(writing, said.getvalue()[-4000:].encode())
            os._exit(status)
    os.close(writing)
    with open(reading) as stream:
        said = stream.read()
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), said


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def digests(out: Path) -> Found:
    """Of every result: no locks, no logs, nothing that a killed process has left."""
    return {
        str(path.relative_to(out)): digest(path)
        for path in sorted(out.rglob("*"))
        if path.is_file() and path.parent.name != "logs" and not path.name.startswith(".thalgpu")
    }


def recorded(command: list[str], out: Path) -> set[tuple[str, str]]:
    """Run the command here, which imports all that it needs, and note what is ever renamed into place."""
    rename, written = os.replace, set()

    def noting(source: Path, target: Path) -> None:
        if Path(target).is_relative_to(out):  # not what the compiler of loops keeps
            written.add((str(Path(target).relative_to(out)), digest(Path(source))))
        rename(source, target)

    os.replace = noting
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            main(command)
    except SystemExit as ended:
        if ended.code:
            raise
    os.replace = rename
    return written


def struck(command: list[str], out: Path, nth: int, code: int) -> None:
    ctypes.CDLL(None).disk_faults_arm(bytes(out), ctypes.c_long(nth), code)
    main(command)


def resumed(command: list[str]) -> None:
    """Run again, on a disk that is well; what is flushed to it takes most of the time, and is not looked at."""
    os.fsync = lambda descriptor: None
    main(command)


def outcomes(command: list[str], out: Path, kinds: list[str], step: int) -> Iterator[dict[str, object]]:
    """What becomes of the command with the 1st, the 1 + step-th, … operation struck."""
    without_figures()
    written = recorded(command, out)
    whole = digests(out)
    for kind in kinds:
        for nth in range(1, 20_000, step):
            shutil.rmtree(out)
            status, said = in_child(lambda nth=nth, kind=kind: struck(command, out, nth, KINDS[kind]))
            after = digests(out) if out.exists() else {}
            incomplete = [name for name in after.items() if name not in written]
            size = sum((out / name).stat().st_size for name, _ in incomplete)
            again, words = in_child(lambda: resumed(command))
            found = digests(out)
            differing = sorted(name for name in whole.keys() | found.keys() if whole.get(name) != found.get(name))
            size += sum((out / name).stat().st_size for name in differing if (out / name).exists())
            yield {
                "kind": kind, "nth": nth, "status": status, "said": said, "resumed": again, "words": words,
                "incomplete": [name for name, _ in incomplete], "differing": differing, "lost": size,
                "leftovers": len(list(out.rglob("*.tmp"))), "n_done": len(after),
            }  # fmt: skip
            if status == FINISHED:
                break


if __name__ == "__main__":
    asked = json.loads(sys.argv[1])
    for outcome in outcomes(asked["command"], Path(asked["out"]), asked["kinds"], asked["step"]):
        print(json.dumps(outcome), flush=True)
