"""A command of thalgpu in a process of its own: wall time, CPU time of all its processes, and their peak memory."""

import os
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

_LOOK_SECONDS = 0.05


@dataclass(frozen=True)
class Spent:
    """What a command took.

    Attributes
    ----------
    wall_seconds : from start to end.
    cpu_seconds : of its own process and of all workers.
    peak_mb, worker_mb : largest resident size of its own process, and of any one worker; 0 where Linux' /proc is not
        there, and for what lived less than a moment.
    printed : its standard output.
    """

    wall_seconds: float
    cpu_seconds: float
    peak_mb: float
    worker_mb: float
    printed: str


def run_thalgpu(*arguments: object) -> Spent:
    """Run `thalgpu ARGUMENTS`."""
    program = "import sys; from thalgpu.cli.main import main; main(sys.argv[1:])"
    return run_python(program, *arguments)


def run_python(program: str, *arguments: object) -> Spent:
    """Run a Python program; RuntimeError, with the end of what it complained of, when it fails."""
    command = [sys.executable, "-c", program, *map(str, arguments)]
    before, began = _children_seconds(), time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        peaks = _Peaks(process.pid)
        watching = threading.Thread(target=peaks.watch)
        watching.start()
        printed, complaint = process.communicate()
        wall = time.perf_counter() - began
        peaks.ended.set()
        watching.join()
    if process.returncode:
        raise RuntimeError(f"{' '.join(command[3:])} ended with {process.returncode}: {complaint[-2000:]}")
    own = peaks.found.pop(process.pid, 0)
    return Spent(wall, _children_seconds() - before, own / 1024, max(peaks.found.values(), default=0) / 1024, printed)


class _Peaks:
    """Peak resident sizes (kB) of a process and of its children, looked up while they live."""

    def __init__(self, pid: int) -> None:
        self.pid, self.found, self.ended = pid, dict[int, int](), threading.Event()

    def watch(self) -> None:
        while not self.ended.wait(_LOOK_SECONDS):
            for pid in (self.pid, *_children(self.pid)):
                peak = _peak_kb(pid)
                if peak:
                    self.found[pid] = peak


def _children(pid: int) -> list[int]:
    """Processes that any thread of a process has started."""
    found = []
    for path in Path("/proc", str(pid), "task").glob("*/children"):
        try:
            found += [int(word) for word in path.read_text().split()]
        except OSError:  # the thread has ended
            continue
    return found


def _peak_kb(pid: int) -> int:
    """VmHWM, not getrusage, whose peak begins with that of the process that started this one; 0 where it has ended."""
    try:
        lines = Path("/proc", str(pid), "status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("VmHWM")), 0)


def _children_seconds() -> float:
    """User and system time of all children that have ended, and of theirs."""
    times = os.times()
    return times.children_user + times.children_system
