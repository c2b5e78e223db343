"""`thalgpu permute --gpus 1` runs its blocks on device arrays and gives the CPU's answers."""

from dataclasses import replace

import h5py
import nibabel as nib
import numpy as np
import pytest
from cuda_emulator import limited

from thalgpu.engine.cluster import devices
from thalgpu.engine.inference.model import InferenceOptions
from thalgpu.engine.machine import Gpu
from thalgpu.engine.pipelines import permute_page, self_test_permutations
from thalgpu.engine.pipelines.permute import run_permute
from thalgpu.engine.pipelines.permute_prepare import prepare_permute
from thalgpu.engine.pipelines.permute_records import read_null
from thalgpu.engine.pipelines.permute_request import PermuteRequest
from thalgpu.engine.pipelines.self_test import prove_device
from thalgpu.errors import ResourceError

SHAPE, N_PERM = (4, 4, 3), 150


@pytest.fixture
def request_(tmp_path, monkeypatch):
    """Twelve people's maps, a t contrast and an F test, enhanced and clustered; without the page's figures."""
    monkeypatch.setattr(permute_page, "render_permute", lambda page: "a page")
    rng = np.random.default_rng(7)
    nib.save(nib.Nifti1Image(rng.normal(size=(*SHAPE, 12)), np.eye(4)), tmp_path / "maps.nii.gz")
    np.savetxt(tmp_path / "design.csv", np.column_stack([np.ones(12), rng.normal(size=(12, 2))]), delimiter=",")
    (tmp_path / "contrasts.csv").write_text("0,1,0\n0,0,1\n")
    (tmp_path / "f.csv").write_text("1,1\n")
    return PermuteRequest(
        (tmp_path / "maps.nii.gz",),
        tmp_path / "design.csv",
        tmp_path / "out",
        contrasts=tmp_path / "contrasts.csv",
        f_tests=tmp_path / "f.csv",
        options=InferenceOptions(n_perm=N_PERM, tfce=True, cluster_threshold=1.0, two_sided=True),
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


def on_both(request, folder):
    """What the blocks left behind on the CPU and on the GPU, and the folders."""
    nulls = []
    for name, gpus in (("cpu", 0), ("gpu", 1)):
        run_permute(replace(request, out=folder / name, gpus=gpus))
        nulls.append(read_null(folder / name / "blocks" / "null.h5"))
    return nulls


@pytest.mark.parametrize("tail", ["none", "gamma"])
def test_blocks_on_a_gpu_count_and_maximise_as_on_the_cpu(gpu, request_, tmp_path, tail):
    request = replace(request_, options=replace(request_.options, tail=tail))
    on_cpu, on_gpu = on_both(request, tmp_path)
    assert on_gpu.stretches == on_cpu.stretches == ((0, N_PERM),)
    for measure, counts in on_cpu.counts.items():
        np.testing.assert_array_equal(on_gpu.counts[measure], counts, err_msg=measure)
    for measure, maxima in on_cpu.maxima.items():  # sums in another order
        np.testing.assert_allclose(on_gpu.maxima[measure], maxima, rtol=1e-10, err_msg=measure)
    with h5py.File(tmp_path / "cpu/results.h5") as cpu, h5py.File(tmp_path / "gpu/results.h5") as device:
        for contrast, maps in cpu["contrasts"].items():
            for name, values in maps.items():
                found = device[f"contrasts/{contrast}/{name}"][:]
                np.testing.assert_allclose(found, values[:], rtol=1e-7, err_msg=name)  # fitted tails move a little


def test_the_plan_names_the_device_and_what_it_needs(gpu, request_):
    plan = prepare_permute(replace(request_, gpus=1)).plan
    assert plan.device == "GPU 0 (emulated)"
    assert plan.device_bytes > 0


def test_a_device_that_is_wrong_about_a_known_test_gets_no_block(gpu, request_, monkeypatch):
    monkeypatch.setattr(self_test_permutations, "PERMUTATION_TOLERANCE", 0.0)
    with pytest.raises(ResourceError, match="GPU 0 gives wrong permutations for a known problem"):
        run_permute(replace(request_, gpus=1))
    assert not list((request_.out / "blocks").glob("block-*.h5"))


@pytest.mark.fault("GPU out of memory")
def test_too_little_memory_ends_the_run_in_words(gpu, request_):
    with limited(2**13), pytest.raises(ResourceError, match="GPU 0 is out of memory") as caught:
        run_permute(replace(request_, gpus=1))
    assert "--gpus 0" in str(caught.value)
