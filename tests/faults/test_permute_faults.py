"""Whole permutation tests in which a process, a disk or a record fails; what is resumed ends in the same bytes."""

import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from disk_faults import ROWS, check_sweep, sweep_command

from thalgpu.cli.main import main
from thalgpu.engine.inference.model import InferenceOptions
from thalgpu.engine.outputs.locks import hold
from thalgpu.engine.pipelines import permute, permute_page, permute_records
from thalgpu.engine.pipelines.permute import run_permute
from thalgpu.engine.pipelines.permute_prepare import prepare_permute
from thalgpu.engine.pipelines.permute_request import PermuteRequest
from thalgpu.engine.pipelines.permute_stage import BlockTask
from thalgpu.errors import ResourceError, WorkerDiedError

N_BLOCKS = 5


@pytest.fixture(scope="module")
def inputs(tmp_path_factory) -> Path:
    """Maps of twelve people, a design, and a contrast; never written to."""
    folder, rng = tmp_path_factory.mktemp("inputs"), np.random.default_rng(2)
    nib.save(nib.Nifti1Image(rng.normal(size=(14, 14, 14, 12)).astype(np.float32), np.eye(4)), folder / "maps.nii.gz")
    np.savetxt(folder / "design.csv", np.column_stack([np.ones(12), rng.normal(size=12)]), delimiter=",")
    (folder / "contrasts.csv").write_text("0,1\n")
    return folder


@pytest.fixture
def request_(inputs, tmp_path, monkeypatch) -> PermuteRequest:
    """The test of these, in this process, without the page's figures, which take longer than all else."""
    monkeypatch.setattr(permute_page, "render_permute", lambda page: "a page")
    return asked(inputs, tmp_path / "out")


def asked(inputs: Path, out: Path) -> PermuteRequest:
    return PermuteRequest(
        (inputs / "maps.nii.gz",),
        inputs / "design.csv",
        out,
        contrasts=inputs / "contrasts.csv",
        options=InferenceOptions(n_perm=100 * N_BLOCKS, tfce=True),
        workers=1,
        gpus=0,
    )


@pytest.fixture(scope="module")
def undisturbed(inputs, tmp_path_factory) -> Path:
    """What the test gives when nothing happens."""
    out = tmp_path_factory.mktemp("undisturbed") / "out"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(permute_page, "render_permute", lambda page: "a page")
        run_permute(asked(inputs, out))
    return out


def digests(out: Path) -> dict[str, str]:
    """SHA-256 of every file but the lock and the page."""
    files = (path for path in sorted(out.rglob("*")) if path.is_file())
    return {
        str(path.relative_to(out)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
        if path.name not in (".thalgpu.lock", "report.html")
    }


def stop_after(n_blocks: int):
    """A progress callback that asks this process to stop once so many blocks are done."""

    def tell(event):
        if event.kind == "step" and event.total == N_BLOCKS and event.done == n_blocks:
            os.kill(os.getpid(), signal.SIGTERM)

    return tell


def start(inputs: Path, out: Path) -> subprocess.Popen[str]:
    """The command in processes of its own: a parent and two workers."""
    options = ("--design", inputs / "design.csv", "--contrasts", inputs / "contrasts.csv", "--tfce")
    command = ("permute", inputs / "maps.nii.gz", *options, "--n-perm", 100 * N_BLOCKS, "--out", out, "--workers", 2)
    return subprocess.Popen(
        [sys.executable, "-m", "thalgpu", *map(str, command), "--gpus", "0"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
    )  # fmt: skip


def wait_for_a_new_block(process: subprocess.Popen[str]) -> None:
    """Until the run has computed a block; those that it found take no time and say none."""
    assert process.stderr is not None
    for line in process.stderr:
        if re.search(r"\[\d+/5\].* s$", line.rstrip()):
            return
    raise AssertionError("the run ended before it had computed a block")


def workers_of(process: subprocess.Popen[str]) -> list[int]:
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    return [int(child) for child in children if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()]


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.fault("kill -9 of the parent, a worker or all")
@pytest.mark.skipif(sys.platform != "linux", reason="finds the workers in /proc")
def test_killed_runs_are_resumed_to_the_same_bytes(inputs, undisturbed, tmp_path, injected):
    injected(3)
    out = tmp_path / "out"
    process = start(inputs, out)  # the parent alone
    wait_for_a_new_block(process)
    workers = workers_of(process)
    process.kill()
    process.communicate()
    deadline = time.monotonic() + 20
    while any(map(is_alive, workers)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert workers
    assert not any(map(is_alive, workers)), "no worker outlives its parent"
    assert not (out / "results.h5").exists()

    process = start(inputs, out)  # all at once
    wait_for_a_new_block(process)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()

    process = start(inputs, out)  # a worker
    wait_for_a_new_block(process)
    for worker in workers_of(process)[:1]:
        os.kill(worker, signal.SIGKILL)
    printed, _ = process.communicate(timeout=120)
    assert process.returncode == 0, printed
    assert int(re.search(r"\((\d) verified", printed)[1]) >= 2
    assert digests(out) == digests(undisturbed)
    assert not list(out.rglob("*.tmp"))


@dataclass(frozen=True)
class Deadly(BlockTask):
    """A block that kills whoever unpacks it: the worker process that is given the task."""

    def __reduce__(self):
        return signal.raise_signal, (signal.SIGKILL,)


@pytest.mark.fault("poison subject, worker out of memory")
def test_a_block_that_kills_its_worker_twice_ends_the_run_and_the_others_are_kept(request_, undisturbed, monkeypatch):
    def task(problem, content, start, stop, record):
        kind = Deadly if start == 100 * (N_BLOCKS - 1) else BlockTask
        return kind(problem, content, start, stop, record)

    with monkeypatch.context() as patch:
        patch.setattr(permute, "BlockTask", task)
        with pytest.raises(WorkerDiedError, match="memory") as raised:
            run_permute(replace(request_, workers=2))
    assert raised.value.exit_code == 5
    assert "\n" not in str(raised.value)
    kept = len(list((request_.out / "blocks").glob("block-*.h5")))
    assert kept >= N_BLOCKS - 2, "but for the one beside it, which was to be run again"
    assert run_permute(request_).n_skipped == kept
    assert digests(request_.out) == digests(undisturbed)


@pytest.mark.fault("SIGINT or SIGTERM")
@pytest.mark.parametrize("n_done", [1, 4])
def test_a_signal_stops_between_blocks_and_a_later_run_ends_in_the_same_bytes(request_, undisturbed, n_done):
    assert run_permute(request_, stop_after(n_done)).interrupted == 143
    assert len(list((request_.out / "blocks").glob("block-*.h5"))) == n_done
    assert not (request_.out / "results.h5").exists()
    result = run_permute(request_)
    assert (result.n_skipped, result.interrupted) == (n_done, None)
    assert digests(request_.out) == digests(undisturbed)


@pytest.mark.fault("SIGINT or SIGTERM")
def test_a_signal_while_tails_are_fitted_stops_too(request_, monkeypatch):
    tailed = replace(request_, options=replace(request_.options, tail="gamma"))
    real = permute.run_values_task

    def last(task):
        os.kill(os.getpid(), signal.SIGINT)
        return real(task)

    with monkeypatch.context() as patch:
        patch.setattr(permute, "run_values_task", last)
        command = ["--design", tailed.design, "--contrasts", tailed.contrasts, "--tfce", "--tail", "gamma"]
        command += ["--n-perm", 100 * N_BLOCKS, "--out", tailed.out, "--workers", 1, "--gpus", 0]
        with pytest.raises(SystemExit) as ended:
            main(["permute", *map(str, [*tailed.maps, *command])])
    assert ended.value.code == 130
    assert not (tailed.out / "results.h5").exists()
    assert run_permute(tailed).n_skipped == N_BLOCKS


@pytest.mark.fault("SIGINT or SIGTERM")
def test_the_command_says_that_it_was_stopped_and_ends_with_143(request_, monkeypatch, capsys):
    real = permute.run_block_task

    def last(task):
        os.kill(os.getpid(), signal.SIGTERM)
        return real(task)

    monkeypatch.setattr(permute, "run_block_task", last)
    command = ["--design", request_.design, "--contrasts", request_.contrasts, "--out", request_.out, "--workers", 1]
    with pytest.raises(SystemExit) as ended:
        main(["permute", *map(str, [*request_.maps, *command, "--n-perm", 300, "--gpus", 0])])
    assert ended.value.code == 143
    assert "run the same command to go on" in capsys.readouterr().out


def truncated(content: bytes) -> bytes:
    return content[: len(content) * 2 // 3]


def flipped(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


DAMAGES = pytest.mark.parametrize("damage", [truncated, flipped, lambda _: b""], ids=["truncated", "flipped", "empty"])


@pytest.mark.fault("damaged or hostile HDF5 record")
@DAMAGES
def test_a_damaged_block_is_run_again(request_, undisturbed, damage, caplog):
    run_permute(request_, stop_after(3))
    record = request_.out / "blocks" / "block-0000000100.h5"
    record.write_bytes(damage(record.read_bytes()))
    assert run_permute(request_).n_skipped == 2
    assert "a damaged result counts as not done" in caplog.text
    assert digests(request_.out) == digests(undisturbed)


@pytest.mark.fault("damaged or hostile HDF5 record")
@DAMAGES
@pytest.mark.parametrize(
    ("name", "n_skipped"), [("blocks/null.h5", 0), ("blocks/problem.h5", N_BLOCKS), ("results.h5", N_BLOCKS)]
)
def test_what_is_damaged_in_a_finished_folder_is_made_again(request_, undisturbed, name, n_skipped, damage):
    shutil.copytree(undisturbed, request_.out)
    path = request_.out / name
    path.write_bytes(damage(path.read_bytes()))
    assert run_permute(request_).n_skipped == n_skipped
    assert digests(request_.out) == digests(undisturbed)


def test_blocks_of_another_test_are_never_taken_for_ones_own(request_, undisturbed):
    other = replace(request_, options=replace(request_.options, seed=1))
    run_permute(other, stop_after(3))
    assert run_permute(replace(request_, overwrite=True)).n_skipped == 0
    assert digests(request_.out) == digests(undisturbed)


@pytest.mark.fault("two runs in one folder")
def test_a_second_run_in_the_same_folder_is_refused_and_changes_nothing(request_, undisturbed):
    shutil.copytree(undisturbed, request_.out)
    with hold(request_.out), pytest.raises(ResourceError, match="another run is at work in this folder"):
        run_permute(replace(request_, overwrite=True, options=InferenceOptions(n_perm=50)))
    assert digests(request_.out) == digests(undisturbed)


@pytest.mark.fault("no room, no permission, no folder")
def test_a_disk_without_room_is_refused_before_any_work(request_, monkeypatch):
    usage = shutil.disk_usage(request_.out.parent)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=1000))
    with pytest.raises(ResourceError, match="are needed and"):
        run_permute(request_)
    assert not request_.out.exists()


@pytest.mark.parametrize("stop", [0, 5])
def test_a_run_takes_no_more_disk_than_was_planned(request_, monkeypatch, stop):
    taken = []
    real = permute._remove_blocks

    def measured(out):
        taken.append(sum(path.stat().st_size for path in out.rglob("*") if path.is_file()))
        real(out)

    monkeypatch.setattr(permute, "_remove_blocks", measured)
    request = replace(request_, options=replace(request_.options, cluster_threshold=2.0, stop_after=stop))
    prepared = prepare_permute(request)
    run_permute(request, prepared=prepared)
    assert 0.3 * prepared.plan.disk_bytes < taken[0] < prepared.plan.disk_bytes


@pytest.mark.fault("damaged or hostile HDF5 record")
def test_a_problem_that_changes_under_the_run_ends_it_in_words(request_, monkeypatch):
    def other(path, problem):
        return permute_records.write_problem(path, replace(problem, values=problem.values + 1))

    monkeypatch.setattr(permute, "write_problem", other)
    with pytest.raises(ResourceError, match="has changed under the run"):
        run_permute(request_)


@pytest.mark.fault("poison subject, worker out of memory")
def test_lack_of_memory_is_named_with_the_remedy(request_, monkeypatch):
    def greedy(task):
        raise MemoryError

    monkeypatch.setattr(permute, "run_block_task", greedy)
    with pytest.raises(ResourceError, match=r"out of memory .*--workers"):
        run_permute(request_)


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory):
    """What became of a whole test when a fault struck at the 1st, 2nd, … disk operation."""
    folder, rng = tmp_path_factory.mktemp("struck"), np.random.default_rng(0)
    np.save(folder / "maps.npy", rng.normal(size=(12, 20)))
    np.savetxt(folder / "design.csv", np.column_stack([np.ones(12), rng.normal(size=12)]), delimiter=",")
    (folder / "contrasts.csv").write_text("0,1\n")
    files = ["--design", str(folder / "design.csv"), "--contrasts", str(folder / "contrasts.csv")]
    command = ["permute", str(folder / "maps.npy"), *files, "--n-perm", "200", "--gpus", "0"]
    return sweep_command(folder, command, tuple(ROWS))


@pytest.mark.parametrize("kind", [pytest.param(kind, marks=pytest.mark.fault(row)) for kind, row in ROWS.items()])
def test_disk_faults_leave_whole_files_and_are_resumed_to_the_same_bytes(outcomes, kind, injected):
    check_sweep(outcomes, kind, injected)
