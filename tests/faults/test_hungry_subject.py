"""A subject that needs more memory than its worker may take is named; the others are as if it were not there."""

import os
import shutil
import subprocess
import sys

import nibabel as nib
import numpy as np
import pytest
from command_under_faults import digests
from disk_faults import ONE_THREAD

LIMIT = 600_000_000
"""Bytes that a process may take: a worker with a small subject needs half of it."""

N_VOLUMES = 8_000
"""860 MB of numbers, in a file of zeros that takes no room on the disk."""

PROGRAM = """
import resource, sys
from thalgpu.cli.main import main
resource.setrlimit(resource.RLIMIT_DATA, (int(sys.argv[1]),) * 2)
main(sys.argv[2:])
"""

NAMED_AFTER = {"config.toml", "report.html"}
"""Files that tell of the list, or of who failed."""


@pytest.fixture
def hungry(simulated, tmp_path):
    """Two people, of whom the second has a scan that is far too long."""
    people = shutil.copytree(simulated, tmp_path / "people")
    scan = next((people / "sub-02/func").glob("*_bold.nii.gz"))
    long = scan.with_suffix("")
    header = nib.load(scan).header.copy()
    shape = (*header.get_data_shape()[:3], N_VOLUMES)
    header.set_data_shape(shape)
    header.set_data_dtype(np.float64)
    with open(long, "wb") as file:
        nib.Nifti1Header(header.binaryblock[:344] + b"n+1\0").write_to(file)
        file.truncate(352 + 8 * int(np.prod(shape)))
    scan.unlink()
    listed = (people / "two.txt").read_text()
    (people / "two.txt").write_text(listed.replace(scan.name, long.name))
    return people


@pytest.mark.skipif(sys.platform != "linux", reason="macOS does not limit what a process takes")
@pytest.mark.fault("poison subject, worker out of memory")
@pytest.mark.faults_long
@pytest.mark.parametrize("name", ["gradients", "connectivity"])
def test_subject_too_large_for_its_worker_is_named_and_the_others_finish(hungry, commands, simulated, name, tmp_path):
    def run(people, who, out):
        words = [word.replace(str(simulated), str(people)) for word in commands[name][:-1]]
        command = [sys.executable, "-c", PROGRAM, str(LIMIT), *words, str(people / who), "--out", str(out)]
        environment = {**os.environ, **ONE_THREAD}
        return subprocess.run([*command, "--workers", "2"], capture_output=True, text=True, env=environment)

    done = run(hungry, "two.txt", tmp_path / "out")
    assert done.returncode == 3, done.stderr
    assert "failed: sub-02: out of memory" in done.stdout
    assert "use fewer --workers, or a larger machine" in done.stdout
    assert "MemoryError" in (tmp_path / "out/logs/crash-sub-02.txt").read_text()
    alone = run(simulated, "one.txt", tmp_path / "alone")
    assert alone.returncode == 0, alone.stderr
    ours, theirs = digests(tmp_path / "out"), digests(tmp_path / "alone")
    assert {path for path in ours | theirs if ours.get(path) != theirs.get(path)} <= NAMED_AFTER
