"""Commands that are struck, on a few simulated people."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from disk_faults import ONE_THREAD


def thalgpu(*arguments: object) -> None:
    """A command in a process of its own, which must end well."""
    program = [sys.executable, "-m", "thalgpu", *map(str, arguments)]
    subprocess.run(program, check=True, capture_output=True, env={**os.environ, **ONE_THREAD})


@pytest.fixture(scope="session")
def simulated(tmp_path_factory) -> Path:
    """Four people of two groups, with everything, and lists of one and two of them; never written to."""
    people = tmp_path_factory.mktemp("simulated") / "people"
    thalgpu("simulate", "--study", people, "--subjects", 4, "--groups", "patients,controls", "--timepoints", 40)
    lines, rows = ((people / name).read_text().splitlines(keepends=True) for name in ("list.txt", "list.tsv"))
    (people / "one.txt").write_text(lines[0])
    (people / "two.txt").write_text("".join(lines[:2]))
    (people / "two.tsv").write_text("".join(rows[:3]))
    return people


@pytest.fixture(scope="session")
def commands(simulated) -> dict[str, list[str]]:
    """Each command on these people, but for its --out."""
    regions = ("--thalamus", simulated / "thalamus.nii.gz", "--cortex", simulated / "cortex_parcels.nii.gz")
    wanted = {
        "gradients": ("gradients", *regions, "--n-components", 2, "--subjects", simulated / "two.txt"),
        "structure": ("structure", "--subjects", simulated / "two.tsv"),
        "connectivity": ("connectivity", *regions, "--subjects", simulated / "two.txt"),
    }
    return {name: [str(word) for word in command] for name, command in wanted.items()}


@pytest.fixture(scope="session")
def commands_and_compare(commands, simulated, tmp_path_factory) -> dict[str, list[str]]:
    """These, and the comparison of what one of them has found."""
    found = tmp_path_factory.mktemp("found") / "gradients"
    thalgpu(*commands["gradients"][:-1], simulated / "list.txt", "--out", found)
    # The exact path: the pilot that would choose one takes most of the time, and writes nothing.
    design = ("--design", simulated / "participants.tsv", "--group", "group", "--n-perm", 12, "--path", "exact")
    return {**commands, "compare": ["compare", str(found), *map(str, design)]}
