"""The plan of a run: pure sizes, and as many workers as fit."""

import subprocess
import sys

import pytest

from thalgpu.engine import plan as plans
from thalgpu.engine.config import GradientOptions
from thalgpu.engine.machine import Gpu
from thalgpu.engine.plan import (
    INTERPRETER_BYTES,
    format_bytes,
    parse_bytes,
    plan_gradients,
    plan_permute,
)
from thalgpu.errors import ResourceError

GB = 2**30
SHAPE = {
    "n_subjects": 8,
    "n_parts": 1,
    "n_voxels": 2248,
    "n_targets": 20_000,
    "n_timepoints": 300,
    "n_elements": 22_248,
}


DEFAULTS = GradientOptions()


def plan(*, options=DEFAULTS, workers=None, memory=64 * GB, **changed):
    shape = {**SHAPE, "volume_bytes": 4 * 91 * 109 * 91, **changed}
    return plan_gradients(**shape, options=options, workers=workers, memory=memory)


def test_asked_for_workers_are_given_where_they_fit():
    assert plan(workers=3).workers == 3


def test_no_more_workers_than_subjects():
    assert plan(workers=16, n_subjects=2).workers == 2


def test_no_more_workers_than_memory_holds():
    one = plan(workers=1).worker_bytes
    assert plan(workers=8, memory=3 * one + one // 2).workers == 3


def test_one_worker_a_core_by_default(monkeypatch):
    monkeypatch.setattr(plans, "usable_cores", lambda: 5)
    assert plan(workers=None).workers == 5


def test_what_cannot_fit_is_refused_in_words():
    with pytest.raises(ResourceError, match=r"one subject needs .* of memory, 100\.0 MB are allowed .*--memory"):
        plan(memory=100 * 2**20)


def test_memory_free_now_bounds_the_workers_by_default(monkeypatch):
    one = plan(workers=1).worker_bytes
    monkeypatch.setattr(plans, "available_memory", lambda: 10 * one)
    assert plan(workers=64, n_subjects=64, memory=None).workers == 9, "a tenth stays free"


def test_kept_connectivity_takes_memory_and_disk():
    plain, kept = plan(), plan(options=GradientOptions(keep=("connectivity",)))
    matrix = 4 * SHAPE["n_voxels"] * SHAPE["n_targets"]
    assert kept.worker_bytes - plain.worker_bytes == matrix
    assert kept.disk_bytes - plain.disk_bytes == matrix * SHAPE["n_subjects"]


def test_pooled_connectivity_keeps_it_too():
    pooled = plan(options=GradientOptions(template="pooled-connectivity"))
    assert pooled.worker_bytes == plan(options=GradientOptions(keep=("connectivity",))).worker_bytes


@pytest.mark.parametrize(
    ("template", "sum_bytes"),
    [("pooled", 4 * 2248**2), ("pooled-connectivity", 12 * 2248 * 20_000), ("generalised", 0)],
)
def test_many_subjects_need_room_for_the_templates_sums(template, sum_bytes):
    options = GradientOptions(template=template)
    few, many = plan(options=options, n_subjects=32), plan(options=options, n_subjects=320)
    assert many.disk_bytes - 10 * few.disk_bytes == 11 * sum_bytes  # ten branches, and the sum of them
    assert many.worker_bytes >= 2 * sum_bytes


def test_memory_of_a_worker_does_not_grow_with_the_cohort():
    assert plan(n_subjects=40_000).worker_bytes == plan(n_subjects=1).worker_bytes


def test_memory_of_a_worker_grows_with_targets_no_faster_than_their_series():
    few, many = plan(n_targets=10_000, n_elements=12_248), plan(n_targets=100_000, n_elements=102_248)
    series = 16 * SHAPE["n_timepoints"] * 90_000
    assert 0 < many.worker_bytes - few.worker_bytes <= series


def test_worker_holds_at_least_an_interpreter():
    tiny = plan(n_voxels=20, n_targets=2, n_timepoints=10, n_elements=30, volume_bytes=1000)
    assert tiny.worker_bytes > INTERPRETER_BYTES


def test_free_memory_respects_a_containers_limit(monkeypatch):
    monkeypatch.setattr(plans, "cgroup_memory", lambda: 12345)
    assert plans.available_memory() == 12345


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("1024", 1024),
        ("16GB", 16 * GB),
        ("16 gb", 16 * GB),
        ("1.5G", 3 * GB // 2),
        ("512MiB", 512 * 2**20),
        (" 2TB ", 2**41),
        ("100B", 100),
    ],
)
def test_sizes_are_read(text, size):
    assert parse_bytes(text) == size


@pytest.mark.parametrize("text", ["", "GB", "lots", "-1GB", "0", "nan", "inf", "1e999", "16XB", "1 2GB"])
def test_what_is_no_size_is_refused(text):
    with pytest.raises(ValueError, match=r"could not convert|not a positive size"):
        parse_bytes(text)


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KB"), (GB, "1.0 GB"), (2**50, "1024.0 TB")]
)
def test_sizes_are_told(count, text):
    assert format_bytes(count) == text


@pytest.mark.parametrize(
    ("changed", "expected"),
    [({"workers": 1}, True), ({"n_subjects": 1}, True), ({"workers": 2}, False), ({"memory": 2 * GB}, False)],
)
def test_work_stays_in_this_process_only_on_request_or_for_one_subject(changed, expected):
    assert plan(**changed).in_process is expected


TEST = {"n_subjects": 60, "n_features": 100_000, "n_columns": 5, "n_contrasts": 1, "n_variances": 1, "n_perm": 10_000}


def planned_test(*, workers=None, memory=64 * GB, n_blocks=100, **changed):
    return plan_permute(**{**TEST, **changed}, n_blocks=n_blocks, workers=workers, memory=memory)


def test_a_test_takes_the_workers_that_are_asked_for_where_they_fit():
    assert planned_test(workers=3).workers == 3


def test_workers_of_a_test_share_the_memory_with_the_process_that_started_them():
    own, worker = planned_test(workers=1).worker_bytes, planned_test(workers=2).worker_bytes
    assert own > worker
    for fitting in (2, 5):
        assert planned_test(workers=8, memory=own + fitting * worker + worker // 2).workers == fitting


def test_a_test_without_room_for_a_worker_is_done_in_this_process():
    own = planned_test(workers=1).worker_bytes
    plan = planned_test(workers=8, memory=own + 1000)
    assert (plan.workers, plan.in_process) == (1, True)


def test_a_test_that_cannot_fit_is_refused_in_words():
    own = planned_test(workers=1).worker_bytes
    with pytest.raises(ResourceError, match=r"of memory are needed, .* are allowed .*--memory"):
        planned_test(memory=own - 1000)


def test_no_more_workers_than_blocks_of_a_test():
    assert planned_test(workers=16, n_blocks=3).workers == 3


@pytest.mark.parametrize(("changed", "expected"), [({"n_blocks": 2}, True), ({"workers": 1}, True), ({}, False)])
def test_few_blocks_are_done_in_this_process(changed, expected):
    assert planned_test(**{"workers": 2, **changed}).in_process is expected


def test_memory_of_a_test_does_not_grow_with_the_permutations():
    assert planned_test(n_perm=10**6).worker_bytes == planned_test(n_perm=100).worker_bytes


def test_every_contrast_takes_a_copy_of_the_values():
    values = 8 * 60 * 100_000
    more = planned_test(n_contrasts=3).worker_bytes - planned_test(n_contrasts=1).worker_bytes
    assert 2 * values <= more < 3 * values


def test_large_maps_of_many_columns_and_variances_need_a_larger_batch():
    few, many = (planned_test(n_features=10**6, n_columns=k, n_variances=g).worker_bytes for k, g in ((2, 1), (20, 4)))
    assert many - few > 8 * 10**6 * 80


def test_exceedances_that_are_kept_take_memory():
    assert planned_test(stop_after=50).worker_bytes - planned_test().worker_bytes >= 2 * 4 * 50 * 100_000


def test_every_gpu_of_a_test_has_a_worker():
    gpus = [Gpu(n, "emulated", 8 * GB, 8 * GB) for n in (0, 1)]
    plan = planned_test(gpus=gpus)
    assert (plan.workers, plan.gpus) == (2, (0, 1))
    assert 3 * 8 * 60 * 100_000 < plan.device_bytes < GB


_BLOCK = """
import sys
from pathlib import Path
import numpy as np
from thalgpu.engine.inference.adjacency import volume_neighbours
from thalgpu.engine.inference.blocks import Problem
from thalgpu.engine.inference.model import Contrast, Design, InferenceOptions, Part
from thalgpu.engine.inference.permutation_set import plan_permutations
from thalgpu.engine.pipelines.permute_records import write_problem
from thalgpu.engine.pipelines.permute_stage import BlockTask, run_block_task
path, content = Path(sys.argv[1]), sys.argv[2]
if content == "write":
    rng, n = np.random.default_rng(0), 46
    matrix = np.column_stack([np.ones(60), rng.normal(size=(60, 4))])
    contrasts = tuple(Contrast(f"c{k}", f"c{k}", np.eye(5)[[k]], "t") for k in (1, 2))
    design, options = Design(matrix, tuple("abcde"), contrasts), InferenceOptions(n_perm=1000, tfce=True)
    around = (volume_neighbours(np.argwhere(np.ones((n, n, n))), 6),)
    values = rng.standard_normal((60, n**3))
    permutations = plan_permutations(design, options)
    print(write_problem(path, Problem(values, design, permutations, options, (Part("", 0, n**3),), around, around)))
else:
    run_block_task(BlockTask(path, content, 0, 10, path.with_name("block.h5")))
    print(1024 * int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak memory in /proc")
def test_a_workers_peak_memory_is_what_was_planned(tmp_path):
    def run(*arguments):
        command = [sys.executable, "-c", _BLOCK, str(tmp_path / "problem.h5"), *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    peak, planned = int(run(run("write"))), planned_test(n_features=46**3, n_contrasts=2).worker_bytes
    assert 0.5 * planned < peak < planned  # half: less would leave cores idle
