"""A record is absent or complete, whatever happens to the process or the disk while it is written."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
KILLED, REFUSED, WRITTEN = 9, 5, 0


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What became of one record when a kill, or a full disk, struck at the 1st, 2nd, … disk operation."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None or sys.platform != "linux":
        pytest.skip("needs a C compiler and LD_PRELOAD")
    folder = tmp_path_factory.mktemp("faults")
    library = folder / "disk_faults.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-O2", "-o", library, HERE / "disk_faults.c", "-ldl"], check=True)
    environment = {**os.environ, "LD_PRELOAD": str(library), "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, str(HERE / "write_under_faults.py"), str(folder / "out")]
    finished = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    return [json.loads(line) for line in finished.stdout.splitlines()]


def of_kind(outcomes: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [outcome for outcome in outcomes if outcome["kind"] == kind]


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        pytest.param("killed", KILLED, marks=pytest.mark.fault("kill at the Nth disk operation")),
        pytest.param("full", REFUSED, marks=pytest.mark.fault("full disk at the Nth disk operation")),
    ],
)
def test_every_fault_strikes_until_the_record_is_written(
    outcomes: list[dict[str, Any]], kind: str, status: int, injected: Callable[[int], None]
) -> None:
    *struck, last = [outcome["status"] for outcome in of_kind(outcomes, kind)]
    injected(len(struck))
    # fsync of the new folder's parent; open, write, fsync, rename; fsync of the folder
    assert len(struck) == 6
    assert set(struck) == {status}
    assert last == WRITTEN


def test_the_final_file_is_absent_or_complete(outcomes: list[dict[str, Any]]) -> None:
    (complete,) = {outcome["after"] for outcome in outcomes if outcome["status"] == WRITTEN}
    assert {outcome["after"] for outcome in outcomes} == {None, complete}


def test_writing_again_gives_the_same_bytes(outcomes: list[dict[str, Any]]) -> None:
    (complete,) = {outcome["after"] for outcome in outcomes if outcome["status"] == WRITTEN}
    assert {outcome["again"] for outcome in outcomes} == {complete}
    assert all(outcome["done"] for outcome in outcomes)


def test_a_full_disk_leaves_no_temporary_file(outcomes: list[dict[str, Any]]) -> None:
    assert [outcome["leftovers"] for outcome in of_kind(outcomes, "full")] == [0] * len(of_kind(outcomes, "full"))


def test_the_sweep_removes_what_a_killed_process_left(outcomes: list[dict[str, Any]]) -> None:
    killed = of_kind(outcomes, "killed")
    assert any(outcome["leftovers"] for outcome in killed)
    assert [outcome["swept"] for outcome in killed] == [outcome["leftovers"] for outcome in killed]
    assert {outcome["files"] for outcome in killed} == {1}
