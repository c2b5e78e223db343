"""Commands are killed at random moments, again and again; what is resumed ends in the same bytes."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from command_under_faults import FINISHED, digests
from disk_faults import ONE_THREAD

N_KILLS = 5
"""Of each command; four commands make twenty."""

pytestmark = [
    pytest.mark.faults_long,
    pytest.mark.timeout(900),
    pytest.mark.skipif(sys.platform != "linux", reason="finds the workers in /proc"),
]


def start(command: list[str]) -> subprocess.Popen[str]:
    """The command and two workers in a session of their own, so that all can be killed at once."""
    return subprocess.Popen(
        [sys.executable, "-m", "thalgpu", *command, "--workers", "2"],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True,
        env={**os.environ, **ONE_THREAD},
    )  # fmt: skip


def finish(process: subprocess.Popen[str], statuses: tuple[int, ...] = (FINISHED,)) -> int:
    """Wait for the end of a command, which must be one of these."""
    _, said = process.communicate(timeout=240)
    assert process.returncode in statuses, said
    return process.returncode


def workers_of(process: subprocess.Popen[str]) -> list[int]:
    try:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        return [int(child) for child in children if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()]
    except OSError:
        return []


def kill(process: subprocess.Popen[str], whom: str) -> bool:
    """Kill the parent, one worker or all; whether there was somebody to kill."""
    if process.poll() is not None:
        return False
    if whom == "worker":
        workers = workers_of(process)
        for worker in workers[:1]:
            os.kill(worker, signal.SIGKILL)
        return bool(workers)
    (os.kill if whom == "parent" else os.killpg)(process.pid, signal.SIGKILL)
    return True


@pytest.mark.fault("kill -9 of the parent, a worker or all")
@pytest.mark.parametrize("name", ["gradients", "structure", "connectivity", "compare"])
def test_kills_at_random_moments_are_resumed_to_the_same_bytes(commands_and_compare, name, tmp_path, injected):
    out, moments = tmp_path / "out", random.Random(name)
    command = [*commands_and_compare[name], "--out", str(out)]
    began = time.monotonic()
    finish(start(command))
    seconds = time.monotonic() - began
    whole = digests(out)
    shutil.rmtree(out)
    n_kills = 0
    while n_kills < N_KILLS:
        process = start(command)
        time.sleep(moments.uniform(0.2, 1.0) * seconds)
        n_kills += kill(process, moments.choice(["parent", "worker", "all"]))
        if finish(process, (FINISHED, -signal.SIGKILL)) == FINISHED:  # it had ended, or did without the worker
            assert digests(out) == whole
            shutil.rmtree(out)
    finish(start(command))
    found = digests(out)
    differing = [name for name in whole.keys() | found.keys() if whole.get(name) != found.get(name)]
    injected(n_kills, lost=sum((out / name).stat().st_size for name in differing if name in found))
    assert differing == []
    assert not list(out.rglob("*.tmp"))
