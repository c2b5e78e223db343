"""A small simulated cohort, and the command line as a user runs it."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True)
class Finished:
    """How a command ended."""

    exit_code: int
    out: str
    err: str


@pytest.fixture(scope="session")
def thalgpu() -> Callable[..., Finished]:
    """Run `thalgpu` in a process of its own."""

    def run(*arguments: object, cwd: Path | None = None) -> Finished:
        command = [sys.executable, "-m", "thalgpu", *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, cwd=cwd, timeout=240)
        return Finished(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture(scope="session")
def cohort(tmp_path_factory: pytest.TempPathFactory, thalgpu: Callable[..., Finished]) -> Path:
    """Four simulated people; never written to."""
    folder = tmp_path_factory.mktemp("cohort") / "cohort"
    done = thalgpu("simulate", folder, "--subjects", 4, "--groups", "patients,controls", "--timepoints", 120)
    assert done.exit_code == 0, done.err
    return folder


@pytest.fixture(scope="session")
def inputs(cohort: Path) -> list[object]:
    """The options that name the cohort's files."""
    return [
        *("--subjects", cohort / "list.txt"),
        *("--thalamus", cohort / "thalamus.nii.gz"),
        *("--cortex", cohort / "cortex.nii.gz"),
        *("--n-components", 4),
    ]
