"""Commands that are struck, on a few simulated people."""

import os
import subprocess
import sys

import pytest
from disk_faults import ONE_THREAD


@pytest.fixture(scope="session")
def commands(tmp_path_factory) -> dict[str, list[str]]:
    """Each but for its --out, on two or four people with everything; the inputs are never written to."""
    root = tmp_path_factory.mktemp("commands")
    people = root / "people"

    def thalgpu(*arguments: object) -> None:
        program = [sys.executable, "-m", "thalgpu", *map(str, arguments)]
        subprocess.run(program, check=True, capture_output=True, env={**os.environ, **ONE_THREAD})

    thalgpu("simulate", "--study", people, "--subjects", 4, "--groups", "patients,controls", "--timepoints", 40)
    (people / "two.txt").write_text("".join((people / "list.txt").read_text().splitlines(keepends=True)[:2]))
    (people / "two.tsv").write_text("".join((people / "list.tsv").read_text().splitlines(keepends=True)[:3]))
    regions = ("--thalamus", people / "thalamus.nii.gz", "--cortex", people / "cortex_parcels.nii.gz")
    gradients = ("gradients", *regions, "--n-components", 2)
    thalgpu(*gradients, "--subjects", people / "list.txt", "--out", root / "gradients")
    # The exact path: the pilot that would choose one takes most of the time, and writes nothing.
    design = ("--design", people / "participants.tsv", "--group", "group", "--n-perm", 12, "--path", "exact")
    wanted = {
        "gradients": (*gradients, "--subjects", people / "two.txt"),
        "structure": ("structure", "--subjects", people / "two.tsv"),
        "connectivity": ("connectivity", *regions, "--subjects", people / "two.txt"),
        "compare": ("compare", root / "gradients", *design),
    }
    return {name: [str(word) for word in command] for name, command in wanted.items()}
