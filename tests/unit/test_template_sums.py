"""Sums over subjects as a tree: the same bits whoever adds, against plain means, and after kills."""

import os
import signal
import subprocess
import sys
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest

from thalgpu.engine.cluster.executor import Workers
from thalgpu.engine.cluster.interrupts import Interrupts
from thalgpu.engine.config import GradientOptions
from thalgpu.engine.outputs.packing import pack_upper
from thalgpu.engine.outputs.store import write_record
from thalgpu.engine.pipelines import group_stage, template_sums
from thalgpu.engine.pipelines.gradients import run_gradients
from thalgpu.engine.pipelines.prepare import GradientsRequest
from thalgpu.engine.pipelines.template_sums import (
    Coverage,
    Summand,
    SumStoppedError,
    remove_sums,
    run_branch,
    sum_subjects,
)
from thalgpu.engine.simulate.cohort import simulate_cohort
from thalgpu.engine.simulate.options import CohortOptions

N_VOXELS, N_TARGETS = 7, 5
SUMMANDS = {
    "affinity": Summand("affinity", (N_VOXELS * (N_VOXELS + 1) // 2,), N_VOXELS),
    "connectivity": Summand("connectivity", (N_VOXELS, N_TARGETS), N_VOXELS, counted=True),
}
KILLED = """
import os, signal, sys
from thalgpu.cli.main import main
from thalgpu.engine.cluster.executor import Workers
from thalgpu.engine.pipelines import group_stage, template_sums

template_sums.SUBJECTS_A_SUM = group_stage.SUBJECTS_A_SUM = 2
run = Workers.run

def killed(self, function, tasks):
    for outcome in run(self, function, tasks):
        yield outcome
        if function is template_sums.run_branch:
            os.kill(os.getpid(), signal.SIGKILL)

Workers.run = killed
main(sys.argv[1:])
"""


@pytest.fixture
def small_branches(monkeypatch):
    """Branches of two, so that five subjects make three levels."""
    monkeypatch.setattr(template_sums, "SUBJECTS_A_SUM", 2)
    monkeypatch.setattr(group_stage, "SUBJECTS_A_SUM", 2)


@pytest.fixture
def subjects(tmp_path, rng):
    """A function that writes records of so many subjects: (path, key) of each, and what is in them."""

    def write(n_subjects, values=None):
        covered = rng.random((n_subjects, N_VOXELS)) < 0.8
        pairs = covered[:, :, None] & covered[:, None, :]
        # of so different sizes that another order of additions would be rounded to other bits
        affinity, connectivity = (
            (rng.standard_normal(shape) * 2.0 ** rng.integers(-30, 30, shape)).astype(np.float32)
            for shape in (pairs.shape, (n_subjects, N_VOXELS, N_TARGETS))
        )
        affinity, connectivity = affinity * pairs, connectivity * covered[:, :, None]
        if values is not None:
            connectivity[:] = np.array(values, dtype=np.float32)[:, None, None]
        records = []
        for number in range(n_subjects):
            path = tmp_path / f"sub-{number:04}.h5"
            datasets = {
                "affinity": pack_upper(affinity[number]),
                "connectivity": connectivity[number],
                "covered": covered[number].astype(np.uint8),
            }
            write_record(path, datasets, {}, key=f"key {number}")
            records.append((path, f"key {number}"))
        packed = np.array([pack_upper(one) for one in affinity])
        return records, {"affinity": packed, "connectivity": connectivity, "covered": covered, "pairs": pairs}

    return write


def summed(out, records, name, n_workers=None):
    """The sum in this process, or by so many workers."""
    if n_workers is None:
        return sum_subjects(out, records, SUMMANDS[name], None)
    with Workers(n_workers, Interrupts(), in_process=n_workers == 1) as workers:
        return sum_subjects(out, records, SUMMANDS[name], workers)


def scratch(out):
    """The sums on disk, and when they were written."""
    return {path.name: path.stat().st_mtime_ns for path in sorted((out / "group/template-sums").glob("*"))}


@pytest.mark.parametrize("name", SUMMANDS)
@pytest.mark.parametrize("n_subjects", [1, 2, 3, 5, 8, 11])
def test_sum_is_that_of_float64_however_many_subjects(tmp_path, subjects, small_branches, name, n_subjects):
    records, truth = subjects(n_subjects)
    sums, _ = summed(tmp_path, records, name)
    plain = truth[name].sum(axis=0, dtype=np.float64)
    size = np.abs(truth[name]).sum(axis=0, dtype=np.float64)
    assert (np.abs(sums.total - plain) <= 1e-12 * size).all()
    if name == "connectivity":
        np.testing.assert_array_equal(sums.measured, (truth[name] != 0).sum(axis=0))


@pytest.mark.parametrize("n_workers", [None, 1])
def test_additions_stand_in_fixed_branches(tmp_path, subjects, small_branches, n_workers):
    # (1 + 2^60) + (−2^60 + 1) is 0, one after the other is 1
    records, _ = subjects(4, values=[1, 2**60, -(2**60), 1])
    assert not summed(tmp_path, records, "connectivity", n_workers)[0].total.any()


@pytest.mark.parametrize("n_workers", [1, 2, 3])
@pytest.mark.parametrize("name", SUMMANDS)
def test_bits_do_not_depend_on_who_adds(tmp_path, subjects, small_branches, name, n_workers):
    records, _ = subjects(11)
    here, there = summed(tmp_path, records, name), summed(tmp_path, records, name, n_workers)
    assert here[0].total.tobytes() == there[0].total.tobytes()
    if name == "connectivity":
        assert here[0].measured.tobytes() == there[0].measured.tobytes()
    np.testing.assert_array_equal(here[1].pairs(), there[1].pairs())
    assert list(scratch(tmp_path)) == [
        *(f"0-{start:06}.h5" for start in range(0, 11, 2)),
        *(f"1-{start:06}.h5" for start in range(0, 6, 2)),
        *(f"2-{start:06}.h5" for start in range(0, 3, 2)),
    ]
    remove_sums(tmp_path)
    assert not (tmp_path / "group/template-sums").exists()


def test_pairs_are_counted_exactly(tmp_path, subjects, small_branches):
    records, truth = subjects(11)
    _, coverage = summed(tmp_path, records, "affinity")
    np.testing.assert_array_equal(coverage.pairs(), truth["pairs"].sum(axis=0))
    np.testing.assert_array_equal(coverage.having, truth["covered"].sum(axis=0))
    assert coverage.n_subjects == 11


def test_nobody_lacks_a_voxel():
    coverage = Coverage.of_nobody(3)
    coverage.count(np.ones((4, 3), dtype=np.uint8))
    np.testing.assert_array_equal(coverage.pairs(), np.full((3, 3), 4))


def test_few_subjects_are_added_here_without_files(tmp_path, subjects):
    records, _ = subjects(11)
    summed(tmp_path, records, "affinity", n_workers=1)
    assert not (tmp_path / "group").exists()


@pytest.mark.parametrize("n_done", [1, 4, 7])
def test_branches_of_a_run_that_ended_early_are_used(tmp_path, subjects, small_branches, monkeypatch, n_done):
    records, _ = subjects(11)
    expected, _ = summed(tmp_path, records, "affinity")
    calls = []

    def fail(task):
        calls.append(task)
        if len(calls) > n_done:
            raise OSError("no more")
        return run_branch(task)

    with monkeypatch.context() as patch:
        patch.setattr(template_sums, "run_branch", fail)
        with pytest.raises(OSError, match="no more"):
            summed(tmp_path, records, "affinity", n_workers=1)
    before = scratch(tmp_path)
    assert len(before) == n_done
    again, coverage = summed(tmp_path, records, "affinity", n_workers=1)
    assert again.total.tobytes() == expected.total.tobytes()
    assert coverage.n_subjects == 11
    assert {name: scratch(tmp_path)[name] for name in before} == before


def test_branches_of_other_records_are_made_anew(tmp_path, subjects, small_branches):
    records, _ = subjects(5)
    summed(tmp_path, records, "affinity", n_workers=1)
    before = scratch(tmp_path)
    records[4] = (records[4][0], "another key")
    summed(tmp_path, records, "affinity", n_workers=1)
    after = scratch(tmp_path)
    assert {name for name in after if after[name] != before[name]} == {"0-000004.h5", "1-000002.h5"}


def test_damaged_branches_are_made_anew(tmp_path, subjects, small_branches):
    records, _ = subjects(5)
    expected, _ = summed(tmp_path, records, "affinity", n_workers=1)
    for path in (tmp_path / "group/template-sums").iterdir():
        path.write_bytes(path.read_bytes()[:-100])
    again, _ = summed(tmp_path, records, "affinity", n_workers=1)
    assert again.total.tobytes() == expected.total.tobytes()


def test_signal_ends_the_sum(tmp_path, subjects, small_branches):
    records, _ = subjects(5)
    with Workers(1, Interrupts(signal.SIGTERM), in_process=True) as workers, pytest.raises(SumStoppedError):
        sum_subjects(tmp_path, records, SUMMANDS["affinity"], workers)


@pytest.mark.parametrize("n_workers", [None, 2])
def test_memory_here_does_not_grow_with_the_subjects(tmp_path, subjects, monkeypatch, n_workers):
    monkeypatch.setattr(template_sums, "SUBJECTS_A_SUM", 4)
    n = 300
    summand = Summand("affinity", (n * (n + 1) // 2,), n)
    datasets = {"affinity": np.ones(summand.shape, dtype=np.float32), "covered": np.ones(n, dtype=np.uint8)}
    write_record(tmp_path / "one.h5", datasets, {}, key="key")

    def peak(n_subjects):
        records = [(tmp_path / "one.h5", f"{number}") for number in range(n_subjects)]
        with Workers(2, Interrupts(), in_process=n_workers is None) as workers:
            tracemalloc.start()
            sum_subjects(tmp_path, records, summand, workers if n_workers else None)
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
        remove_sums(tmp_path)
        return peak

    peak(5)
    assert peak(64) < peak(16) + 3 * 8 * summand.shape[0]  # one level more of sums, and what is read


@pytest.fixture(scope="module")
def request_(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sums")
    cohort = simulate_cohort(folder / "cohort", options=CohortOptions(subjects=5, timepoints=60, noise=0.5))
    return GradientsRequest(
        cohort.list_file,
        out=folder / "out",
        thalamus=str(cohort.thalamus[0]),
        cortex=str(cohort.folder / "cortex_parcels.nii.gz"),
        options=GradientOptions(n_components=3, n_align=3, min_coverage=0.5),
        workers=1,
    )


def contents(out):
    """All results of a run."""
    names = {"config.toml", ".thalgpu.lock", "report.html"}
    return {
        str(path.relative_to(out)): path.read_bytes()
        for path in sorted(out.rglob("*"))
        if path.is_file() and path.name not in names and path.parent.name != "logs"
    }


@pytest.mark.fault("kill -9 of the parent, a worker or all")
def test_run_killed_among_the_branches_goes_on_to_the_same_bytes(request_, small_branches, tmp_path):
    whole = run_gradients(request_)
    out = tmp_path / "out"
    given = [f"--{name}={value}" for name, value in (("thalamus", request_.thalamus), ("cortex", request_.cortex))]
    given += ["--n-components=3", "--n-align=3", "--min-coverage=0.5", "--workers=2", "--gpus=0"]
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, "gradients", f"--subjects={request_.subjects}", f"--out={out}", *given],
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
        capture_output=True,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert scratch(out)
    again = run_gradients(replace(request_, out=out, workers=2))
    assert again.templates[0].key == whole.templates[0].key
    assert contents(out) == contents(whole.out)


@pytest.mark.fault("SIGINT or SIGTERM")
def test_signal_among_the_branches_ends_the_run_before_the_template(request_, small_branches, tmp_path, monkeypatch):
    run = Workers.run

    def signalled(self, function, tasks):
        if function is run_branch:
            os.kill(os.getpid(), signal.SIGTERM)
        yield from run(self, function, tasks)

    monkeypatch.setattr(Workers, "run", signalled)
    stopped = run_gradients(replace(request_, out=tmp_path / "out", workers=2))
    assert stopped.interrupted == 143
    assert not stopped.templates
    assert not stopped.aligned
