"""Programs in which operations on the disk fail, by disk_faults.c."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}

STATUS = {"killed": 9, "full": 5, "quota": 5}
"""How a command ends by each kind of fault."""

ROWS = {
    "killed": "kill at the Nth disk operation",
    "full": "full disk at the Nth disk operation",
    "quota": "quota used up at the Nth disk operation",
}


def run_with_disk_faults(folder: Path, program: str, asked: str) -> list[dict[str, Any]]:
    """What a program of this folder says, a JSON line a fault; skips where nothing can be preloaded."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None or sys.platform != "linux":
        pytest.skip("needs a C compiler and LD_PRELOAD")
    library = folder / "disk_faults.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-O2", "-o", library, HERE / "disk_faults.c", "-ldl"], check=True)
    done = subprocess.run(
        [sys.executable, str(HERE / program), asked],
        env={**os.environ, **ONE_THREAD, "LD_PRELOAD": str(library)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def sweep_command(folder: Path, command: list[str], kinds: tuple[str, ...]) -> list[dict[str, Any]]:
    """What becomes of a command that writes to folder/out when each of its operations on the disk is struck."""
    out = str(folder / "out")
    asked = {"command": [*command, "--out", out, "--workers", "1"], "out": out, "kinds": kinds, "step": 1}
    return run_with_disk_faults(folder, "command_under_faults.py", json.dumps(asked))


def check_sweep(found: list[dict[str, Any]], kind: str, injected: Any) -> None:
    """That every operation was struck, and that nothing was lost, left half-written or left unsaid."""
    *struck, last = [one for one in found if one["kind"] == kind]
    injected(len(struck), lost=sum(one["lost"] for one in struck))
    assert [one["nth"] for one in struck] == list(range(1, last["nth"]))
    assert last["status"] == 0
    assert {one["status"] for one in struck} == {STATUS[kind]}
    assert [one for one in struck if one["incomplete"]] == []
    assert [one for one in struck if one["resumed"] != 0 or one["differing"] or one["leftovers"]] == []
    if kind != "killed":
        unsaid = [one for one in struck if one["said"].count("error: ") != 1 or "Traceback" in one["said"]]
        assert unsaid == [], "one line says what happened"
