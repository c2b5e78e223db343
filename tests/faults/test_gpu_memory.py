"""A GPU whose Nth allocation fails, N = 1, 2, …: an error that says so, or the very same bits; never other numbers."""

from dataclasses import replace

import numpy as np
import pytest
from command_under_faults import digests
from cuda_emulator import OutOfMemoryError, limited

from thalgpu.engine.cluster import devices
from thalgpu.engine.config import GradientOptions
from thalgpu.engine.gradients.affinity import affinity_from_timeseries
from thalgpu.engine.machine import Gpu
from thalgpu.engine.pipelines.gradients import run_gradients
from thalgpu.engine.pipelines.prepare import GradientsRequest
from thalgpu.engine.pipelines.self_test import prove_device
from thalgpu.errors import ResourceError

pytestmark = pytest.mark.fault("GPU out of memory")


@pytest.fixture
def gpu(emulated, monkeypatch):
    """One emulated GPU where the engine looks for real ones."""
    monkeypatch.setattr(devices, "find_gpus", lambda: (Gpu(0, "emulated", 2**30, 2**30),))
    monkeypatch.setattr(devices, "_device_module", lambda: emulated)
    prove_device.cache_clear()
    yield emulated
    devices.set_worker_gpu(None)
    prove_device.cache_clear()


@pytest.mark.parametrize("sparsity", [0.9, 0.0])
def test_an_affinity_matrix_is_the_same_to_the_bit_or_not_there(gpu, rng, sparsity, injected):
    series = [gpu.asarray(rng.normal(size=(30, n)).astype(np.float32)) for n in (50, 300)]
    much = affinity_from_timeseries(*series, kernel="cosine", sparsity=sparsity).get()
    for n_allocations in range(1000):
        with limited(n_allocations=n_allocations):
            try:
                found = affinity_from_timeseries(*series, kernel="cosine", sparsity=sparsity).get()
            except OutOfMemoryError:
                continue
        np.testing.assert_array_equal(found, much)
        break
    injected(n_allocations)
    assert 5 < n_allocations < 999


def test_a_run_ends_in_words_and_is_resumed_on_the_same_gpu_to_the_same_bytes(gpu, simulated, tmp_path, injected):
    request = GradientsRequest(
        simulated / "two.txt",
        out=tmp_path / "out",
        thalamus=str(simulated / "thalamus.nii.gz"),
        cortex=str(simulated / "cortex_parcels.nii.gz"),
        options=GradientOptions(n_components=2, n_align=2),
        workers=1,
        gpus=1,
    )
    run_gradients(replace(request, out=tmp_path / "whole"))
    said = []
    for n_allocations in range(0, 10_000, 40):
        with limited(n_allocations=n_allocations):
            try:
                run_gradients(request)
            except ResourceError as error:
                said.append(str(error))
                continue
        break
    injected(len(said))
    assert len(said) > 3
    assert all("GPU 0 is out of memory" in words and "--gpus 0" in words for words in said)
    assert digests(tmp_path / "out") == digests(tmp_path / "whole")
