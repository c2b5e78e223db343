"""Whole commands in the tests' own process, stopped or on damaged files; and chains of disk faults in another."""

import io
import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from command_under_faults import FINISHED, PAGES, REFUSED, Found, digests

from thalgpu.cli.main import main
from thalgpu.engine.progress import Event

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Finished:
    """How a command ended."""

    exit_code: int
    out: str
    err: str

    @property
    def error(self) -> str:
        """Its one line, which says what to do."""
        errors = [line for line in self.err.splitlines() if "error" in line or "Traceback" in line]
        assert len(errors) == 1, self.err
        assert errors[0].startswith("error: ")
        assert " — " in errors[0]
        return errors[0]


@dataclass(frozen=True)
class Whole:
    """A command, and what it writes when nothing happens.

    Attributes
    ----------
    command : without workers.
    out : always the same folder, since some records name it.
    kept : a copy of what was written, with the times of files.
    digests : file → SHA-256.
    """

    command: tuple[str, ...]
    out: Path
    kept: Path
    digests: Found

    def begin(self, *, finished: bool) -> None:
        """From nothing, or from all that was written."""
        shutil.rmtree(self.out, ignore_errors=True)
        if finished:
            shutil.copytree(self.kept, self.out)

    def run(self, *more: object, workers: int = 1) -> Finished:
        """Run it here; workers are processes all the same."""
        return thalgpu(*self.command, "--workers", workers, *more)

    def differing(self) -> list[str]:
        """Files that are not what they are when nothing happens."""
        found = digests(self.out)
        return sorted(name for name in self.digests | found if self.digests.get(name) != found.get(name))


def thalgpu(*arguments: object) -> Finished:
    """A command in this process."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    return Finished(int(ended.value.code or 0), out.getvalue(), err.getvalue())


def whole(out: Path, *command: object) -> Whole:
    """Run a command undisturbed, once."""
    done = thalgpu(*command, "--out", out, "--workers", 1)
    assert done.exit_code == FINISHED, done.err
    kept = out.with_name(f"{out.name}-kept")
    shutil.copytree(out, kept)
    return Whole((*map(str, command), "--out", str(out)), out, kept, digests(out))


@contextmanager
def without_pictures() -> Iterator[None]:
    """Pages say nothing, and nothing waits for the disk: both take longer than all else, and are tested elsewhere."""
    with pytest.MonkeyPatch.context() as patch:
        for module, name in PAGES.items():
            patch.setattr(f"thalgpu.engine.pipelines.{module}.render_{name}", lambda page: "a page")
        patch.setattr("thalgpu.engine.pipelines.study_page.study_page", lambda *about: None)
        patch.setattr(os, "fsync", lambda descriptor: None)
        yield


@contextmanager
def told(command: str, tell: Any) -> Iterator[None]:
    """Have the progress of a command told to a function."""

    @contextmanager
    def show(**_: object) -> Iterator[Any]:
        yield tell

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(f"thalgpu.cli.{command}.show_progress", show)
        yield


def signalled(one: Whole, stage: str, step: int, number: int, *more: object) -> tuple[Finished, list[str]]:
    """Run a command that gets a signal at a step of a stage, 0 for its begin; and the stages that begin after it."""
    stages: list[str] = []
    later: list[str] = []

    def tell(event: Event) -> None:
        if event.kind == "stage":
            stages.append(event.text)
            later.extend([event.text] * (stage in stages[:-1]))
        if (stages[-1], event.done if event.kind == "step" else 0) == (stage, step):
            os.kill(os.getpid(), number)

    with told(one.command[0], tell):
        return one.run(*more), later


def with_a_worker_killed(one: Whole) -> Finished:
    """Run a command on two workers, one of which is killed at the first step."""
    before = multiprocessing.active_children()  # of other tests
    killed: list[int] = []

    def kill_one(event: Event) -> None:
        workers = [child for child in multiprocessing.active_children() if child not in before]
        if event.kind == "step" and workers and not killed:
            killed.append(workers[0].pid or 0)
            os.kill(killed[0], signal.SIGKILL)

    with told(one.command[0], kill_one):
        done = one.run(workers=2)
    assert killed
    return done


def damage(path: Path, how: str) -> None:
    """Cut a file to a half, empty it, remove it, or flip the bits of three bytes; its time changes.

    Zeros are not flipped: HDF5 has many that nothing reads.
    """
    content = bytearray(path.read_bytes())
    if how == "flipped":
        used = [position for position, byte in enumerate(content) if byte]
        for quarter in (1, 2, 3):
            content[used[quarter * len(used) // 4]] ^= 0xFF
    path.unlink()
    if how != "gone":
        path.write_bytes(content[: {"cut": len(content) // 2, "empty": 0}.get(how)])


def as_nobody(commands: Sequence[Sequence[object]], *readable: Path) -> list[Finished]:
    """Run commands one after the other, as somebody who may read some folders, and write into none of root's."""
    program = (
        "import io, json, sys; from contextlib import redirect_stderr, redirect_stdout\n"
        "from thalgpu.cli.main import main\n"
        "for command in json.loads(sys.argv[1]):\n"
        "    out, err = io.StringIO(), io.StringIO()\n"
        "    with redirect_stdout(out), redirect_stderr(err):\n"
        "        try: main(command); code = 0\n"
        "        except SystemExit as ended: code = int(ended.code or 0)\n"
        "    print(json.dumps([code, out.getvalue(), err.getvalue()]))\n"
    )
    line = [sys.executable, "-c", program, json.dumps([list(map(str, command)) for command in commands])]
    if os.geteuid() == 0:  # root may write anywhere
        setpriv = shutil.which("setpriv")
        if setpriv is None:
            pytest.skip("root may write anywhere, and setpriv is not there to give that up")
        for folder in {folder for path in readable for folder in (path, *path.parents)}:
            if folder.stat().st_uid == 0 and not folder.stat().st_mode & 0o001:
                folder.chmod(folder.stat().st_mode | 0o011)  # pytest's folders let nobody else pass
        line = [setpriv, "--reuid=65534", "--regid=65534", "--clear-groups", *line]
    done = subprocess.run(line, capture_output=True, text=True, timeout=240, env={**os.environ, "HOME": "/nonexistent"})
    assert done.returncode == 0, done.stderr
    return [Finished(*json.loads(row)) for row in done.stdout.splitlines()]


def under_disk_faults(folder: Path, jobs: Sequence[dict[str, object]]) -> list[list[dict[str, Any]]]:
    """What becomes of each job under faults of the disk, as `chain_of_faults.py` tells it."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        pytest.skip("needs a C compiler")
    library = folder / "disk_faults.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-O2", "-o", library, HERE / "disk_faults.c", "-ldl"], check=True)
    one_thread = {"OPENBLAS_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1", "LD_PRELOAD": str(library)}
    done = subprocess.run(
        [sys.executable, str(HERE / "chain_of_faults.py"), json.dumps(jobs)],
        env={**os.environ, **one_thread}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def check_struck(runs: Sequence[dict[str, Any]], status: int, injected: Any) -> None:
    """That a chain of runs was struck, lost nothing, said in a line why, and ended in the same bytes."""
    struck = [one for one in runs if one["status"] != FINISHED]
    injected(len(struck), lost=sum(len(one["lost"]) + len(one["incomplete"]) for one in runs))
    assert len(struck) > len(runs) // 2
    assert {one["status"] for one in struck} == {status}
    assert runs[-1]["status"] == FINISHED
    assert [one for one in runs if one["lost"] or one["incomplete"] or one["differing"] or one["leftovers"]] == []
    if status == REFUSED:
        assert [one["said"] for one in struck if one["said"].count("error: ") != 1 or " — " not in one["said"]] == []
