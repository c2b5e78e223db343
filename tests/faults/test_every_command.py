"""Every command is killed and its disk fails, at every operation and at random moments; runs end in the same bytes."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from command_under_faults import FINISHED, KILLED, REFUSED, digests

HERE = Path(__file__).parent
N_KILLS = 5
"""Of each command at random moments; four commands make twenty."""

pytestmark = [
    pytest.mark.faults_long,
    pytest.mark.timeout(900),
    pytest.mark.skipif(sys.platform != "linux", reason="needs LD_PRELOAD and /proc"),
]


@dataclass(frozen=True)
class Command:
    """What is run, and in which steps its disk operations are struck one after the other."""

    arguments: tuple[str, ...]
    out: Path
    step: int

    @property
    def whole(self) -> list[str]:
        return [*self.arguments, "--out", str(self.out)]


def environment(**more: str) -> dict[str, str]:
    return {**os.environ, "OPENBLAS_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1", **more}


def thalgpu(*arguments: object) -> subprocess.Popen[str]:
    """The command in a session of its own, so that all its processes can be killed at once."""
    return subprocess.Popen(
        [sys.executable, "-m", "thalgpu", *map(str, arguments)],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True, env=environment(),
    )  # fmt: skip


def finish(process: subprocess.Popen[str], statuses: tuple[int, ...] = (FINISHED,)) -> int:
    """Wait for the end of a command, which must be one of these."""
    _, said = process.communicate(timeout=240)
    assert process.returncode in statuses, said
    return process.returncode


@pytest.fixture(scope="module")
def commands(tmp_path_factory) -> dict[str, Command]:
    """Each on two or four simulated people with everything; the inputs are never written to."""
    root = tmp_path_factory.mktemp("commands")
    people = root / "people"
    simulate = ("simulate", "--study", people, "--subjects", 4, "--groups", "patients,controls", "--timepoints", 40)
    finish(thalgpu(*simulate))
    (people / "two.txt").write_text("".join((people / "list.txt").read_text().splitlines(keepends=True)[:2]))
    (people / "two.tsv").write_text("".join((people / "list.tsv").read_text().splitlines(keepends=True)[:3]))
    regions = ("--thalamus", people / "thalamus.nii.gz", "--cortex", people / "cortex_parcels.nii.gz")
    gradients = ("gradients", *regions, "--n-components", 2)
    finish(thalgpu(*gradients, "--subjects", people / "list.txt", "--out", root / "gradients"))
    design = ("--design", people / "participants.tsv", "--group", "group", "--n-perm", 12)
    wanted = {
        "gradients": (1, *gradients, "--subjects", people / "two.txt"),
        "structure": (1, "structure", "--subjects", people / "two.tsv"),
        "connectivity": (1, "connectivity", *regions, "--subjects", people / "two.txt"),
        "compare": (3, "compare", root / "gradients", *design),
    }
    return {
        name: Command(tuple(map(str, arguments)), root / f"out-{name}", step)
        for name, (step, *arguments) in wanted.items()
    }


@pytest.fixture(scope="module")
def sweeps(commands, tmp_path_factory) -> Iterator[dict[tuple[str, str], Future[list[dict[str, Any]]]]]:
    """What became of each command when a fault struck at the 1st, 2nd, … operation; two at a time."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        pytest.skip("needs a C compiler")
    library = tmp_path_factory.mktemp("faults") / "disk_faults.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-O2", "-o", library, HERE / "disk_faults.c", "-ldl"], check=True)

    def sweep(name: str, kind: str) -> list[dict[str, Any]]:
        command, out = commands[name], commands[name].out.with_name(f"swept-{name}-{kind}")
        step = command.step if kind != "quota" else 23  # only the number of the error differs from a full disk
        whole = [*command.arguments, "--out", str(out), "--workers", "1"]
        asked = json.dumps({"command": whole, "out": str(out), "kinds": [kind], "step": step})
        done = subprocess.run(
            [sys.executable, str(HERE / "command_under_faults.py"), asked],
            env=environment(LD_PRELOAD=str(library)), capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]

    with ThreadPoolExecutor(2) as pool:
        yield {(name, kind): pool.submit(sweep, name, kind) for name in commands for kind in STATUS}


STATUS = {"killed": KILLED, "full": REFUSED, "quota": REFUSED}
ROWS = {
    "killed": "kill at the Nth disk operation",
    "full": "full disk at the Nth disk operation",
    "quota": "quota used up at the Nth disk operation",
}
SWEEPS = [
    pytest.param(name, kind, marks=pytest.mark.fault(ROWS[kind]))
    for name in ("gradients", "structure", "connectivity", "compare")
    for kind in STATUS
]


@pytest.mark.parametrize(("name", "kind"), SWEEPS)
def test_disk_faults_leave_whole_files_and_are_resumed_to_the_same_bytes(sweeps, name, kind, injected):
    *struck, last = sweeps[name, kind].result()
    injected(len(struck), lost=sum(one["lost"] for one in struck))
    assert last["status"] == FINISHED
    assert {one["status"] for one in struck} == {STATUS[kind]}
    assert [one for one in struck if one["incomplete"]] == []
    assert [one for one in struck if one["resumed"] != FINISHED or one["differing"] or one["leftovers"]] == []
    if kind != "killed":
        unsaid = [one for one in struck if one["said"].count("error: ") != 1 or "Traceback" in one["said"]]
        assert unsaid == [], "one line says what happened"


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
def test_kills_at_random_moments_are_resumed_to_the_same_bytes(commands, name, injected):
    command, moments = commands[name], random.Random(name)
    began = time.monotonic()
    finish(thalgpu(*command.whole, "--workers", 2))
    seconds = time.monotonic() - began
    whole = digests(command.out)
    shutil.rmtree(command.out)
    n_kills = 0
    while n_kills < N_KILLS:
        process = thalgpu(*command.whole, "--workers", 2)
        time.sleep(moments.uniform(0.2, 1.0) * seconds)
        whom = moments.choice(["parent", "worker", "all"])
        was_killed = kill(process, whom)
        n_kills += was_killed
        if finish(process, (FINISHED, -signal.SIGKILL)) == FINISHED:  # it had ended, or did without the worker
            assert digests(command.out) == whole
            shutil.rmtree(command.out)
    finish(thalgpu(*command.whole, "--workers", 2))
    found = digests(command.out)
    differing = [name for name in whole.keys() | found.keys() if whole.get(name) != found.get(name)]
    injected(n_kills, lost=sum((command.out / name).stat().st_size for name in differing if name in found))
    assert differing == []
    assert not list(command.out.rglob("*.tmp"))
