"""Run by faulty_runs.py with disk_faults.so preloaded: commands that are struck again and again.

A run is struck at some operation on the disk, and the same command goes on with what is left, until one is not struck;
then all starts anew. Imports are paid once, each run is a fork, and no work is done twice: dozens of faults cost little
more than dozens of re-runs. Prints one JSON line a command, a list of its runs.
"""

import ctypes
import json
import random
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from command_under_faults import (
    FINISHED,
    KINDS,
    digests,
    in_child,
    outcomes,
    recorded,
    resumed,
    without_figures,
)

from thalgpu.cli.main import main
from thalgpu.engine.pipelines import study_page


def struck(command: list[str], out: Path, nth: int, code: int) -> None:
    ctypes.CDLL(None).disk_faults_arm(bytes(out), ctypes.c_long(nth), code)
    main(command)


def chain(command: list[str], out: Path, kind: str, n_faults: int, latest: int) -> Iterator[dict[str, object]]:
    """What becomes of a command that is struck so often, each time at one of the first `latest` operations."""
    written = recorded(command, out)
    whole, before = digests(out), {}
    moments = random.Random(kind)
    shutil.rmtree(out)
    for number in range(n_faults + 1):
        nth = moments.randint(1, latest)
        if number < n_faults:
            status, said = in_child(lambda nth=nth: struck(command, out, nth, KINDS[kind]))
        else:
            status, said = in_child(lambda: resumed(command))
        after = digests(out) if out.exists() else {}
        incomplete = [name for name in after.items() if name not in written]
        lost = [name for name, digest in before.items() if whole.get(name) == digest != after.get(name)]
        differing = sorted(name for name in whole.keys() | after.keys() if whole.get(name) != after.get(name))
        yield {
            "nth": nth, "status": status, "said": said, "lost": lost, "incomplete": incomplete,
            "differing": differing if status == FINISHED else [],
            "leftovers": len(list(out.rglob("*.tmp"))) if status == FINISHED else 0,
        }  # fmt: skip
        before = after
        if status == FINISHED:
            shutil.rmtree(out)
            before = {}


if __name__ == "__main__":
    without_figures()
    study_page.study_page = lambda *about: None  # which draws what the page shows
    for job in json.loads(sys.argv[1]):
        faults = outcomes if "kinds" in job else chain
        print(json.dumps(list(faults(**{**job, "out": Path(job["out"])}))), flush=True)
