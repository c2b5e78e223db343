"""Run with disk_faults.so preloaded: a whole command under every disk fault in turn.

One run forks before each of its disk operations; the operation strikes the fork, and the run goes on from the folder as
it was, so that nothing is computed twice. Then the command is run again on what each fault has left, in the same output
folder, so that every file has the same bytes; where two faults left the very same, once for both. Prints one JSON line
a fault, the last of each kind being the run itself. What is left after a fault is held against all that an undisturbed
run ever puts under a final name, blocks of permutations that it removes at its end among them.
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
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from folder_states import Kept, Left, alike, contents, lay

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
        if path.is_file() and is_result(path)
    }


def is_result(path: Path) -> bool:
    return path.parent.name != "logs" and not path.name.startswith(".thalgpu")


def recorded(command: list[str], out: Path) -> set[tuple[str, str]]:
    """Run the command here, from nothing, which imports all that it needs; and note what is ever renamed into place."""
    shutil.rmtree(out, ignore_errors=True)
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


def resume(command: list[str], out: Path, left: Left, whole: Found) -> dict[str, Any]:
    """What a run makes of what was left, held against a whole run."""
    lay(out, left)
    status, said = in_child(lambda: resumed(command))
    found = digests(out)
    differing = sorted(name for name in whole.keys() | found.keys() if whole.get(name) != found.get(name))
    return {
        "resumed": status, "words": said, "differing": differing, "leftovers": len(list(out.rglob("*.tmp"))),
        "lost": sum((out / name).stat().st_size for name in differing if name in found),
    }  # fmt: skip


@dataclass(frozen=True)
class Struck:
    """A fork that was struck at its nth operation: how it ended, what it said, and what it left."""

    kind: str
    nth: int
    status: int
    said: str
    left: Left


class Sweep:
    """A run that forks before its operations; each fork is struck by one of them."""

    def __init__(self, out: Path, kinds: list[str], step: int) -> None:
        self.out, self.kinds, self.step = out, kinds, step
        self.n_operations = 0
        self.struck: list[Struck] = []
        self.telling: int | None = None
        """Where a fork says what it has to say; None in the run itself."""

    def run(self, command: list[str]) -> int:
        """Exit status of the command; forks end in here."""
        library, status, said = ctypes.CDLL(None), UNEXPECTED, io.StringIO()
        watcher = ctypes.CFUNCTYPE(None)(self.before_operation)
        library.disk_faults_watch(bytes(self.out), watcher)
        try:
            with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
                main(command)
        except SystemExit as ended:
            status = int(ended.code or 0)
        finally:
            if self.telling is not None:
                os.write(self.telling, said.getvalue()[-4000:].encode())
                os._exit(status)
        library.disk_faults_arm(bytes(self.out), ctypes.c_long(-1), 0)
        if len(self.struck) != len(self.kinds) * len(range(0, self.n_operations, self.step)):
            raise RuntimeError(said.getvalue())  # in the function that the library calls
        return status

    def before_operation(self) -> None:
        """Called by the library; returns in the run and in each fork."""
        self.n_operations += 1
        if (self.n_operations - 1) % self.step:
            return
        for kind in self.kinds:
            kept = Kept(self.out, self.out.with_name(f"{self.out.name}-kept"))
            reading, writing = os.pipe()
            child = os.fork()
            if child == 0:
                self.telling = writing
                ctypes.CDLL(None).disk_faults_arm(bytes(self.out), ctypes.c_long(1), KINDS[kind])
                return
            os.close(writing)
            with open(reading) as stream:
                said = stream.read()
            status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            self.struck.append(Struck(kind, self.n_operations, status, said, contents(self.out)))
            kept.put_back()


def outcomes(command: list[str], out: Path, kinds: list[str], step: int) -> Iterator[dict[str, object]]:
    """What becomes of the command with the 1st, the 1 + step-th, … operation struck."""
    without_figures()
    written = recorded(command, out)
    whole = digests(out)
    shutil.rmtree(out)
    sweep = Sweep(out, kinds, step)
    status = sweep.run(command)
    ends = [Struck(kind, sweep.n_operations + 1, status, "", contents(out)) for kind in kinds]
    resumes: dict[object, dict[str, Any]] = {}
    for one in [*sweep.struck, *ends]:
        files = {name: found for name, (found, _) in one.left.items() if found is not None and is_result(Path(name))}
        after = {name: hashlib.sha256(found).hexdigest() for name, found in files.items()}
        incomplete = [name for name in after.items() if name not in written]
        state = alike(one.left)
        again = resumes[state] = resumes.get(state) or resume(command, out, one.left, whole)
        lost = sum(len(files[name]) for name, _ in incomplete) + again["lost"]
        yield {
            "kind": one.kind, "nth": one.nth, "status": one.status, "said": one.said, "n_done": len(after),
            "incomplete": [name for name, _ in incomplete], **again, "lost": lost,
        }  # fmt: skip


if __name__ == "__main__":
    asked = json.loads(sys.argv[1])
    for outcome in outcomes(asked["command"], Path(asked["out"]), asked["kinds"], asked["step"]):
        print(json.dumps(outcome), flush=True)
