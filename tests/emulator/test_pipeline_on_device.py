"""`thalgpu gradients --gpus 1` runs on device arrays and gives the CPU's answers."""

import json
from dataclasses import replace

import h5py
import numpy as np
import pytest
from cuda_emulator import OutOfMemoryError, limited

from thalgpu.engine.cluster import devices
from thalgpu.engine.config import CleaningOptions, GradientOptions
from thalgpu.engine.gradients import profiles
from thalgpu.engine.gradients.affinity import affinity_from_timeseries
from thalgpu.engine.machine import Gpu
from thalgpu.engine.pipelines import doctor, self_test
from thalgpu.engine.pipelines.gradients import run_gradients
from thalgpu.engine.pipelines.prepare import GradientsRequest, prepare
from thalgpu.engine.pipelines.self_test import prove_device
from thalgpu.engine.simulate.cohort import simulate_cohort
from thalgpu.engine.simulate.options import CohortOptions
from thalgpu.errors import ResourceError

OPTIONS = GradientOptions(n_components=3, n_align=3, keep=("connectivity", "projections"))
RECORD = "sub-01/func/sub-01_seg-thalamus_gradients.h5"


@pytest.fixture(scope="module")
def request_(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cohort")
    cohort = simulate_cohort(folder, options=CohortOptions(subjects=2, groups=("HC",), timepoints=60))
    return GradientsRequest(
        subjects=cohort.table_file,
        thalamus=str(cohort.thalamus[0]),
        cortex=str(cohort.cortex[0]),
        options=OPTIONS,
        cleaning=CleaningOptions(confounds="24p"),
        workers=1,
    )


@pytest.fixture
def gpu(emulated, monkeypatch):
    """One emulated GPU where the engine looks for real ones."""
    monkeypatch.setattr(devices, "find_gpus", lambda: (Gpu(0, "emulated", 2**30, 2**30),))
    monkeypatch.setattr(devices, "_device_module", lambda: emulated)
    prove_device.cache_clear()
    yield emulated
    devices.set_worker_gpu(None)
    prove_device.cache_clear()


def stored(out, name):
    with h5py.File(out / RECORD) as file:
        return file[name][:]


@pytest.mark.parametrize(
    "options",
    [
        OPTIONS,
        replace(OPTIONS, kernel="cosine", sparsity=0.0, fisher_z=False, approach="le"),
        replace(OPTIONS, kernel="eta2", sparsity=0.0, fisher_z=False, approach="le", graph="epsilon"),
        replace(OPTIONS, kernel="pearson", approach="pca"),
    ],
    ids=["default", "dense cosine", "congrads", "pca"],
)
def test_the_device_gives_the_answers_of_the_cpu(gpu, request_, tmp_path, options):
    on_cpu = run_gradients(replace(request_, options=options, out=tmp_path / "cpu", gpus=0))
    on_gpu = run_gradients(replace(request_, options=options, out=tmp_path / "gpu", gpus=1))
    assert not on_gpu.failures
    for name in ("affinity", "connectivity", "lambdas"):  # float32: sums in another order
        np.testing.assert_allclose(
            stored(tmp_path / "gpu", name), stored(tmp_path / "cpu", name), rtol=2e-4, atol=2e-5, err_msg=name
        )
    for one, other in zip(on_gpu.aligned, on_cpu.aligned, strict=True):
        assert one.summary["gradient1_r_template"] == pytest.approx(other.summary["gradient1_r_template"], abs=1e-3)


def test_the_plan_the_record_and_the_sidecar_name_the_device(gpu, request_, tmp_path):
    request = replace(request_, out=tmp_path / "out", gpus=1)
    plan = prepare(request).plan
    assert plan.device == "GPU 0 (emulated)"
    assert plan.device_bytes > 0
    run_gradients(request)
    sidecar = tmp_path / "out/sub-01/func/sub-01_seg-thalamus_stat-gradients_boldmap.json"
    assert json.loads(sidecar.read_text())["Device"] == "emulated"


@pytest.mark.fault("GPU out of memory")
def test_little_memory_changes_no_bit(gpu, rng, monkeypatch):
    seed, target = (gpu.asarray(rng.normal(size=(30, n)).astype(np.float32)) for n in (700, 3000))
    much = affinity_from_timeseries(seed, target, kernel="cosine", sparsity=0.9).get()
    fitted = []
    for megabytes in (18, 16, 14, 13, 12):  # the matrix takes 8.4, a block of rows and its copy 6.1
        with limited(megabytes * 10**6):
            try:
                little = affinity_from_timeseries(seed, target, kernel="cosine", sparsity=0.9)
            except OutOfMemoryError:
                break
        np.testing.assert_array_equal(little.get(), much)
        fitted.append(megabytes)
    monkeypatch.setattr(profiles, "_with_room", lambda _held, make: make())
    with limited(fitted[-1] * 10**6), pytest.raises(OutOfMemoryError):
        affinity_from_timeseries(seed, target, kernel="cosine", sparsity=0.9)


@pytest.mark.fault("GPU out of memory")
def test_too_little_memory_ends_the_run_in_words(gpu, request_, tmp_path):
    with limited(2**17), pytest.raises(ResourceError, match="GPU 0 is out of memory") as caught:
        run_gradients(replace(request_, out=tmp_path / "out", gpus=1))
    assert "--gpus 0" in str(caught.value)


def test_a_device_that_is_wrong_about_a_known_problem_gets_no_subject(gpu, request_, tmp_path, monkeypatch):
    monkeypatch.setattr(self_test, "TOLERANCE", 0.0)
    with pytest.raises(ResourceError, match="GPU 0 gives wrong gradients for a known problem"):
        run_gradients(replace(request_, out=tmp_path / "out", gpus=1))
    assert not (tmp_path / "out/sub-01").exists()


def test_the_doctor_tries_every_gpu(gpu, monkeypatch):
    monkeypatch.setattr(doctor, "find_gpus", devices.find_gpus)
    (check,) = doctor._known_answers_of_gpus()
    assert (check.name, check.status) == ("self-test, GPU 0", "ok")


def test_more_gpus_than_there_are_is_refused(gpu, request_, tmp_path):
    with pytest.raises(ResourceError, match="--gpus 4: 1 can be used here"):
        prepare(replace(request_, out=tmp_path / "out", gpus=4))
