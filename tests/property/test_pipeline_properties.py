"""What must not change a result: scale and sign of the series, order of the subjects, number of workers."""

from dataclasses import replace

import h5py
import nibabel as nib
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from thalgpu.engine.config import CleaningOptions, GradientOptions
from thalgpu.engine.pipelines.gradients import run_gradients
from thalgpu.engine.pipelines.prepare import GradientsRequest, prepare
from thalgpu.engine.pipelines.subject_stage import SubjectTask, run_subject
from thalgpu.engine.simulate.cohort import simulate_cohort
from thalgpu.engine.simulate.options import CohortOptions

FEW = settings(max_examples=6, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
OPTIONS = GradientOptions(n_components=3, n_align=3)
SIGN_FREE = replace(OPTIONS, kernel="cosine", sparsity=0.0, approach="pca")
"""Sparsity keeps the largest entries, not the largest sizes, so that only dense rows forget the targets' signs."""


@pytest.fixture(scope="module")
def request_(tmp_path_factory):
    folder = tmp_path_factory.mktemp("properties")
    cohort = simulate_cohort(folder / "cohort", options=CohortOptions(subjects=3, timepoints=60, noise=0.5))
    return GradientsRequest(
        cohort.list_file,
        out=folder / "out",
        thalamus=str(cohort.thalamus[0]),
        cortex=str(cohort.folder / "cortex_parcels.nii.gz"),
        options=OPTIONS,
        workers=1,
    )


@pytest.fixture(scope="module")
def make(request_, tmp_path_factory):
    """From a change of one scan's values to the datasets of the subject's record."""
    voxelwise = replace(request_, cortex=request_.cortex.replace("cortex_parcels", "cortex"))
    prepared = prepare(voxelwise)
    subject = prepared.subjects[0]
    image = nib.load(subject.runs[0].bold)
    values = image.get_fdata(dtype=np.float32)
    series = values.reshape(-1, values.shape[3])

    def make(change, options=OPTIONS):
        folder = tmp_path_factory.mktemp("changed")
        changed = change(series.copy(), prepared.thalamus.flat, prepared.cortex.flat).reshape(values.shape)
        scan = nib.Nifti1Image(changed.astype(np.float32), image.affine)
        scan.header.set_zooms(image.header.get_zooms())
        scan.header.set_xyzt_units("mm", "sec")
        nib.save(scan, folder / "sub-01_bold.nii")
        one = replace(subject, runs=(replace(subject.runs[0], bold=folder / "sub-01_bold.nii"),))
        run_subject(
            SubjectTask(one, prepared.thalamus, prepared.cortex, prepared.parts, CleaningOptions(), options, folder)
        )
        with h5py.File(folder / "sub-01/func/sub-01_seg-thalamus_gradients.h5") as file:
            return {name: file[name][:] for name in file}

    return make


def unchanged(series, thalamus, cortex):
    return series


@pytest.fixture(scope="module")
def plain(make):
    return make(unchanged)


@pytest.fixture(scope="module")
def sign_free(make):
    return make(unchanged, SIGN_FREE)


def assert_same_bits(one, other):
    assert one.keys() == other.keys()
    for name in one:
        np.testing.assert_array_equal(one[name], other[name], err_msg=name)


@FEW
@given(exponent=st.integers(-8, 8), sign=st.sampled_from([-1, 1]))
def test_units_and_sign_of_a_scan_change_no_bit(make, plain, exponent, sign):
    # powers of two: other factors round the float32 values of the file itself
    assert_same_bits(make(lambda series, *_: series * np.float32(sign * 2.0**exponent)), plain)


@FEW
@given(seed=st.integers(0, 2**32 - 1))
def test_scale_of_each_series_changes_no_bit(make, plain, seed):
    def rescale(series, *_):
        return series * np.exp2(np.random.default_rng(seed).integers(-3, 4, (len(series), 1))).astype(np.float32)

    assert_same_bits(make(rescale), plain)


@FEW
@given(seed=st.integers(0, 2**32 - 1))
def test_signs_of_targets_do_not_matter_to_a_dense_cosine(make, sign_free, seed):
    def flip(series, _thalamus, cortex):
        series[cortex] *= np.random.default_rng(seed).choice([-1, 1], (len(cortex), 1))
        return series

    # ½ log((1 + r) / (1 - r)) is not odd to the last bit: some 1e-7 of a cosine
    np.testing.assert_allclose(make(flip, SIGN_FREE)["affinity"], sign_free["affinity"], atol=2e-6)


@FEW
@given(offset=st.floats(-1000, 1000))
def test_offset_of_a_scan_hardly_matters(make, sign_free, offset):
    shifted = make(lambda series, *_: series + np.float32(offset), SIGN_FREE)
    # the sum is rounded to float32 in the file: 2^-24 of some thousand against an SD of some tens
    np.testing.assert_allclose(shifted["affinity"], sign_free["affinity"], atol=1e-4)


def test_signs_of_targets_do_matter_to_sparse_rows(make, plain):
    def flip(series, _thalamus, cortex):
        series[cortex[::2]] *= -1
        return series

    assert np.abs(make(flip)["affinity"] - plain["affinity"]).max() > 0.01


def results(out):
    """Bytes of every result that does not name the list."""
    skipped = {"config.toml", "report.html", ".thalgpu.lock"}
    return {
        str(path.relative_to(out)): path.read_bytes()
        for path in sorted(out.rglob("*"))
        if path.is_file() and path.name not in skipped and path.parent.name != "logs"
    }


@pytest.fixture(scope="module")
def whole(request_):
    run_gradients(request_)
    return results(request_.out)


@settings(FEW, max_examples=3)
@given(order=st.permutations(range(3)))
def test_order_of_the_subjects_changes_no_byte(request_, whole, tmp_path_factory, order):
    folder = tmp_path_factory.mktemp("order")
    lines = [str(request_.subjects.parent / line) for line in request_.subjects.read_text().split()]
    (folder / "list.txt").write_text("\n".join(lines[i] for i in order))
    run_gradients(replace(request_, subjects=folder / "list.txt", out=folder / "out"))
    assert results(folder / "out") == whole


def test_number_of_workers_changes_no_byte(request_, whole, tmp_path):
    run_gradients(replace(request_, workers=3, out=tmp_path / "out"))
    assert results(tmp_path / "out") == whole


def test_subjects_records_do_not_depend_on_who_else_is_in_the_list(request_, whole, tmp_path):
    lines = [str(request_.subjects.parent / line) for line in request_.subjects.read_text().split()]
    (tmp_path / "list.txt").write_text(lines[1])
    run_gradients(replace(request_, subjects=tmp_path / "list.txt", out=tmp_path / "out"))
    own = "sub-02/func/sub-02_seg-thalamus_gradients.h5"
    assert results(tmp_path / "out")[own] == whole[own]
