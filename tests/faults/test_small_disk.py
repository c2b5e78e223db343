"""Commands on a disk that is really full or read-only, and under a limit of file sizes; nothing is half-written."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from disk_faults import ONE_THREAD

N_ATTEMPTS = 12
"""Disks from none to all of the room that is needed; limits of sizes from none to the largest file's."""

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="mounts a tmpfs")


@pytest.fixture
def attempts(commands, tmp_path):
    """What became of a command, attempt by attempt."""

    def run(name, *, mounted):
        (tmp_path / "disk").mkdir()
        command = [*commands[name], "--out", str(tmp_path / "disk/out"), "--workers", "1"]
        asked = {"command": command, "disk": str(tmp_path / "disk"), "n_attempts": N_ATTEMPTS, "mounted": mounted}
        program = [sys.executable, str(Path(__file__).with_name("small_disk.py")), json.dumps(asked)]
        done = subprocess.run(
            [*(["unshare", "-rm"] if mounted else []), *program],
            capture_output=True, text=True, env={**os.environ, **ONE_THREAD},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]

    return run


def can_mount() -> bool:
    """Whether a disk of one's own may be mounted here: containers often forbid it."""
    command = ["unshare", "-rm", "mount", "-t", "tmpfs", "none", "/mnt"]
    return bool(shutil.which("unshare")) and subprocess.run(command, capture_output=True).returncode == 0


def check(found, injected):
    injected(len(found))
    assert {one["status"] for one in found} == {5}
    assert [one for one in found if one["incomplete"]] == []
    assert [one for one in found if one["said"].count("error: ") != 1 or " — " not in one["said"]] == []
    assert [one for one in found if one["resumed"] != 0 or not one["same"] or one["leftovers"]] == []


@pytest.mark.fault("disk really full or read-only, files limited in size")
@pytest.mark.parametrize("name", [pytest.param("gradients", marks=pytest.mark.faults_long), "connectivity"])
def test_disk_that_is_full_or_read_only_ends_the_run_in_words(attempts, name, injected):
    if not can_mount():
        pytest.skip("a disk of one's own cannot be mounted here")
    read_only, too_small, *full = attempts(name, mounted=True)
    check([read_only, too_small, *full], injected)
    assert "the folder cannot be written" in read_only["said"]
    assert "are needed and" in too_small["said"], "which is seen before any work"
    assert too_small["n_done"] == 0
    assert all("free some disk space" in one["said"] for one in full)
    assert len({one["n_done"] for one in full}) > 3, "the disk was full early and late"


@pytest.mark.fault("disk really full or read-only, files limited in size")
@pytest.mark.faults_long
@pytest.mark.parametrize("name", ["structure", "gradients"])
def test_files_that_may_not_be_that_large_end_the_run_in_words(attempts, name, injected):
    found = attempts(name, mounted=False)
    check(found, injected)
    assert all("File too large" in one["said"] for one in found)
