"""Run by test_small_disk.py: a command on a disk that is really full or read-only, or under a limit of file sizes.

With a disk it must be root in name spaces of its own (`unshare -rm`), where it mounts one on `disk`. Imports are paid
once: each attempt is a fork. Prints one JSON line an attempt.
"""

import json
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from command_under_faults import digests, in_child, recorded, resumed, without_figures

from thalgpu.cli.main import main

SIZE = 4_000_000


def run_small(command: list[str]) -> None:
    """Run on a disk that says truly how small it is."""
    main(command)


def run_unseen(command: list[str]) -> None:
    """Run on a disk that is full though it was not when it was asked: by others, or by a quota."""
    usage = shutil.disk_usage("/")
    shutil.disk_usage = lambda path: usage._replace(free=1 << 40)
    main(command)


def run_limited(command: list[str], n_bytes: int) -> None:
    """Run where no file may be larger."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, n_bytes))
    main(command)


def fill(disk: Path, room: int) -> Path:
    """A file that leaves so many bytes of the disk."""
    free = os.statvfs(disk)
    with open(disk / "filler", "wb") as file:
        os.posix_fallocate(file.fileno(), 0, free.f_bavail * free.f_frsize - room)
    return disk / "filler"


def outcomes(command: list[str], disk: Path, n_attempts: int, *, mounted: bool) -> Iterator[dict[str, object]]:
    """What becomes of the command on ever larger disks, or with ever larger files."""
    out = disk / "out"
    written = recorded(command, out)
    whole = digests(out)
    sizes = [path.stat().st_size for path in out.rglob("*") if path.is_file()]

    def attempt(kind: str, room: int, run: Callable[[], object], end: Callable[[], object]) -> dict[str, object]:
        status, said = in_child(run)
        after = digests(out) if out.exists() else {}
        end()
        again, words = in_child(lambda: resumed(command))
        return {
            "kind": kind, "room": room, "status": status, "said": said, "n_done": len(after),
            "incomplete": [name for name in after.items() if name not in written],
            "resumed": again, "words": words, "same": digests(out) == whole, "leftovers": len(list(out.rglob("*.tmp"))),
        }  # fmt: skip

    if mounted:
        mount(disk, "remount,ro")
        yield attempt("read-only", 0, lambda: main(command), lambda: mount(disk, "remount,rw"))
    for number in range(n_attempts):
        shutil.rmtree(out)
        if mounted:
            room = sum(sizes) * number // n_attempts
            filler = fill(disk, room)
            run = run_small if number == 0 else run_unseen
            yield attempt("full", room, lambda run=run: run(command), filler.unlink)
        else:
            room = max(sizes) * number // n_attempts
            yield attempt("limit", room, lambda room=room: run_limited(command, room), lambda: None)


def mount(disk: Path, options: str) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", str(disk)], check=True)


if __name__ == "__main__":
    asked = json.loads(sys.argv[1])
    place = Path(asked["disk"])
    without_figures()
    if asked["mounted"]:
        mount(place, f"size={SIZE}")
    for outcome in outcomes(asked["command"], place, asked["n_attempts"], mounted=asked["mounted"]):
        print(json.dumps(outcome), flush=True)
