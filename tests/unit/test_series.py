"""From a subject and two regions to cleaned, joined series."""

import hashlib
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from nibabel.cifti2 import BrainModelAxis, Cifti2Image, SeriesAxis

from thalgpu.engine.config import CleaningOptions
from thalgpu.engine.inputs.headers import read_header, volume_grid
from thalgpu.engine.inputs.model import Region, Run, Subject
from thalgpu.engine.inputs.series import load_series
from thalgpu.engine.inputs.smoothing import smooth
from thalgpu.errors import InputError

SHAPE, N = (4, 4, 4), 60
AFFINE = np.diag([2.0, 2, 2, 1])
RAW = CleaningOptions(detrend=False)
ATOL = 1e-5
"""float32 values of order 1, after sums of some tens of float32 numbers."""


def region(flat: np.ndarray, parcel: list[int] | None = None) -> Region:
    ijk = np.array(np.unravel_index(flat, SHAPE)).T.astype(np.int32)
    hemisphere = np.zeros(len(flat), np.int8)
    if parcel is None:
        return Region("mask.nii", volume_grid(SHAPE, AFFINE), flat, hemisphere, ijk, ijk * 2.0)
    names = tuple(f"p{i}" for i in range(max(parcel) + 1))
    numbers = np.array(parcel, np.int32)
    return Region("p.nii", volume_grid(SHAPE, AFFINE), flat, hemisphere, ijk, ijk * 2.0, numbers, names)


SEED, TARGET = region(np.arange(10)), region(np.arange(20, 60))


@pytest.fixture
def values(rng) -> np.ndarray:
    return (rng.normal(size=(*SHAPE, N)) * 3 + 1000).astype("f4")


def bold(path: Path, values: np.ndarray, tr: float = 2.0) -> Run:
    image = nib.Nifti1Image(values, AFFINE)
    image.header.set_zooms((2, 2, 2, tr))
    image.header.set_xyzt_units("mm", "sec")
    image.to_filename(path)
    return Run(path)


def table(path: Path, **columns: np.ndarray) -> Path:
    rows = np.column_stack(list(columns.values()))
    lines = ["\t".join(columns), *("\t".join(map(repr, row.tolist())) for row in rows)]
    path.write_text("\n".join(lines))
    return path


def standardised(series: np.ndarray) -> np.ndarray:
    return (series - series.mean(axis=0)) / series.std(axis=0)


def load(
    *runs: Run, seed: Region = SEED, target: Region = TARGET, cleaning: CleaningOptions = RAW, coverage: float = 0.8
):
    return load_series(Subject("01", runs, 1), seed, target, cleaning, min_coverage=coverage)


def test_series_have_mean_zero_and_unit_variance(tmp_path, values):
    found = load(bold(tmp_path / "a.nii.gz", values))
    oracle = standardised(values.reshape(-1, N).T.astype("f8"))
    np.testing.assert_allclose(found.seed, oracle[:, :10], atol=ATOL)
    np.testing.assert_allclose(found.target, oracle[:, 20:60], atol=ATOL)
    assert (found.n_volumes, found.n_kept, found.tr, found.mean_fd) == (N, N, 2.0, None)
    assert found.seed.dtype == found.target.dtype == np.float32


def test_runs_are_standardised_alone_and_joined_in_order(tmp_path, values, rng):
    other = (rng.normal(size=(*SHAPE, 30)) * 50 + 9).astype("f4")
    found = load(bold(tmp_path / "a.nii", values), bold(tmp_path / "b.nii", other))
    oracle = [standardised(run.reshape(-1, run.shape[-1]).T[:, :10].astype("f8")) for run in (values, other)]
    np.testing.assert_allclose(found.seed, np.vstack(oracle), atol=ATOL)
    assert (found.n_volumes, found.n_kept) == (90, 90)
    assert list(found.sha256) == [tmp_path / "a.nii", tmp_path / "b.nii"]


def test_a_parcel_is_the_mean_of_its_elements_before_cleaning(tmp_path, values):
    parcels = region(np.array([20, 21, 30, 40]), [0, 1, 0, 1])
    found = load(bold(tmp_path / "a.nii", values), target=parcels)
    flat = values.reshape(-1, N).T.astype("f8")
    oracle = np.column_stack([flat[:, [20, 30]].mean(axis=1), flat[:, [21, 40]].mean(axis=1)])
    np.testing.assert_allclose(found.target, standardised(oracle), atol=1e-4)  # the mean of 1000 is kept as float32


@pytest.mark.fault("NaN, empty, constant or uncovered values")
@pytest.mark.parametrize("value", [np.nan, np.inf, 5.0, 0.0])
def test_elements_without_a_finite_varying_signal_are_masked_in_every_run(tmp_path, values, value):
    spoiled = values.copy()
    spoiled.reshape(-1, N)[[2, 33]] = value
    found = load(bold(tmp_path / "a.nii", values), bold(tmp_path / "b.nii", spoiled))
    assert np.flatnonzero(~found.seed_covered).tolist() == [2]
    assert np.flatnonzero(~found.target_covered).tolist() == [13]
    assert (found.seed[:, 2] == 0).all()
    assert (found.target[:, 13] == 0).all()
    assert np.isfinite(found.seed).all()


@pytest.mark.fault("NaN, empty, constant or uncovered values")
def test_one_nan_in_one_volume_masks_the_voxel(tmp_path, values):
    values[0, 0, 3, 17] = np.nan
    found = load(bold(tmp_path / "a.nii", values))
    assert np.flatnonzero(~found.seed_covered).tolist() == [3]


def test_uncovered_elements_take_no_part_in_a_parcel(tmp_path, values):
    values.reshape(-1, N)[20] = np.nan
    parcels = region(np.array([20, 21, 22, 23, 24, 40]), [0, 0, 0, 0, 0, 1])
    found = load(bold(tmp_path / "a.nii", values), target=parcels)
    oracle = values.reshape(-1, N)[21:25].T.astype("f8").mean(axis=1, keepdims=True)
    np.testing.assert_allclose(found.target[:, :1], standardised(oracle), atol=1e-4)
    assert found.target_covered.all()


def test_a_parcel_with_too_few_covered_elements_is_not_covered(tmp_path, values):
    values.reshape(-1, N)[[20, 21]] = 0
    parcels = region(np.array([20, 21, 22, 23, 24, 40, 41, 42, 43]), [0, 0, 0, 0, 0, 1, 2, 3, 4])
    found = load(bold(tmp_path / "a.nii", values), target=parcels)
    assert found.target_covered.tolist() == [False, True, True, True, True]


@pytest.mark.fault("NaN, empty, constant or uncovered values")
def test_too_little_coverage_is_an_error_with_the_numbers(tmp_path, values):
    values.reshape(-1, N)[:3] = 0
    run = bold(tmp_path / "a.nii", values)
    with pytest.raises(InputError, match=r"only 7 of 10 thalamic voxels.*70%; 80%.*--min-coverage"):
        load(run)
    assert load(run, coverage=0.7).seed_covered.sum() == 7


@pytest.mark.fault("NaN, empty, constant or uncovered values")
def test_no_coverage_at_all_is_an_error_whatever_is_asked(tmp_path, values):
    values[...] = 7
    with pytest.raises(InputError, match="only 0 of 10"):
        load(bold(tmp_path / "a.nii", values), coverage=0.0)


def test_smoothing_mixes_only_covered_voxels_of_the_region(tmp_path, values):
    values.reshape(-1, N)[4] = np.nan
    found = load(bold(tmp_path / "a.nii", values), cleaning=CleaningOptions(detrend=False, fwhm=4.0))
    inside = [i for i in range(10) if i != 4]
    oracle = smooth(values.reshape(-1, N)[inside].T.copy(), SEED.xyz[inside], 4.0).astype("f8")
    np.testing.assert_allclose(found.seed[:, inside], standardised(oracle), atol=1e-3)  # 1000 ± 2 as float32


def test_scrubbed_and_dropped_volumes_are_left_out_and_counted(tmp_path, values):
    displacement = np.full(N, 0.1)
    displacement[[20, 21]] = 3
    run = bold(tmp_path / "a.nii", values)
    run = replace(run, confounds=table(tmp_path / "c.tsv", framewise_displacement=displacement))
    found = load(run, cleaning=CleaningOptions(detrend=False, scrub_fd=0.5, drop_first=4))
    kept = np.setdiff1d(np.arange(4, N), [20, 21])
    np.testing.assert_allclose(found.seed, standardised(values.reshape(-1, N)[:10, kept].T.astype("f8")), atol=ATOL)
    assert (found.n_volumes, found.n_kept) == (N, N - 6)
    assert found.mean_fd == pytest.approx(displacement.sum() / (N - 1))
    assert list(found.sha256) == [run.bold, run.confounds]


def test_confounds_are_removed(tmp_path, values, rng):
    nuisance = rng.normal(size=N)
    spoiled = (values + 50 * nuisance).astype("f4")
    run = bold(tmp_path / "a.nii", spoiled)
    run = replace(run, confounds=table(tmp_path / "c.tsv", csf=nuisance))
    found = load(run, cleaning=CleaningOptions(detrend=False, confounds=("csf",)))
    assert np.abs(found.seed.T @ standardised(nuisance)).max() / N < 1e-6


@pytest.mark.fault("NaN, empty, constant or uncovered values")
def test_a_voxel_wholly_explained_by_confounds_is_not_covered(tmp_path, values):
    ramp = np.arange(N, dtype="f4")
    values.reshape(-1, N)[6] = ramp
    found = load(bold(tmp_path / "a.nii", values), cleaning=CleaningOptions())
    assert np.flatnonzero(~found.seed_covered).tolist() == [6]
    assert (found.seed[:, 6] == 0).all()


@pytest.mark.fault("wrong dimensions, grid, units or repetition time")
def test_confounds_of_another_length_are_an_error(tmp_path, values):
    run = replace(bold(tmp_path / "a.nii", values), confounds=table(tmp_path / "c.tsv", csf=np.arange(59.0)))
    with pytest.raises(InputError, match="59 rows where a"):
        load(run, cleaning=CleaningOptions(confounds=("csf",)))


@pytest.mark.parametrize(
    "text", ["csf\n1\n2\n", "framewise_displacement\n" + "n/a\n" * N, "a\tb\n1\n", "", "framewise_displacement\nx\n"]
)
def test_an_unusable_table_that_nothing_needs_gives_no_displacement_and_no_error(tmp_path, values, text):
    (tmp_path / "c.tsv").write_text(text)
    run = replace(bold(tmp_path / "a.nii", values), confounds=tmp_path / "c.tsv")
    found = load(run)
    assert found.mean_fd is None
    assert found.sha256[tmp_path / "c.tsv"] == hashlib.sha256(text.encode()).hexdigest()
    for options in (CleaningOptions(confounds=("trans_x",)), CleaningOptions(scrub_fd=0.5)):
        with pytest.raises(InputError, match=r"c\.tsv"):
            load(run, cleaning=options)


def test_regressors_need_no_displacement(tmp_path, values, rng):
    path = table(tmp_path / "c.tsv", csf=rng.normal(size=N), framewise_displacement=np.full(N, np.nan))
    run = replace(bold(tmp_path / "a.nii", values), confounds=path)
    assert load(run, cleaning=CleaningOptions(confounds=("csf",))).mean_fd is None


def test_confounds_that_are_asked_for_and_absent_are_an_error(tmp_path, values):
    with pytest.raises(InputError, match=r"no confounds table .* column confounds .*, or leave out --confounds$"):
        load(bold(tmp_path / "a.nii", values), cleaning=CleaningOptions(confounds="24p"))


def test_scrubbing_without_displacement_is_an_error_that_names_the_table(tmp_path, values):
    run = bold(tmp_path / "a.nii", values)
    with pytest.raises(InputError, match=r"no confounds table .*a\.nii.* leave out --scrub-fd"):
        load(run, cleaning=CleaningOptions(scrub_fd=0.5))
    with pytest.raises(InputError, match=r"c\.tsv.*framewise_displacement"):
        load(
            replace(run, confounds=table(tmp_path / "c.tsv", csf=np.arange(60.0))),
            cleaning=CleaningOptions(scrub_fd=0.5),
        )


@pytest.mark.fault("wrong dimensions, grid, units or repetition time")
def test_runs_of_different_repetition_time_are_an_error(tmp_path, values):
    with pytest.raises(InputError, match=r"1\.5 s differs from 2 s of a\.nii"):
        load(bold(tmp_path / "a.nii", values), bold(tmp_path / "b.nii", values, tr=1.5))


@pytest.mark.fault("wrong dimensions, grid, units or repetition time")
def test_a_missing_repetition_time_is_an_error_of_filters_unless_it_is_given(tmp_path, values):
    run = bold(tmp_path / "a.nii", values, tr=0)
    with pytest.raises(InputError, match=r"missing or 0 .* --tr"):
        load(run, cleaning=CleaningOptions(high_pass=0.01))
    assert load(run, cleaning=CleaningOptions(high_pass=0.01, tr=1.2)).tr == 1.2


def test_a_missing_repetition_time_that_no_filter_needs_is_none(tmp_path, values):
    known, unknown = bold(tmp_path / "a.nii", values), bold(tmp_path / "b.nii", values, tr=0)
    assert load(unknown).tr is None
    assert load(known, unknown).tr is None


@pytest.mark.parametrize("tr", [0.0, 2000.0, -1.0, float("nan")])
def test_a_given_repetition_time_must_be_credible_even_where_no_filter_needs_it(tmp_path, values, tr):
    with pytest.raises(InputError, match="--tr"):
        load(bold(tmp_path / "a.nii", values), cleaning=CleaningOptions(detrend=False, tr=tr))


@pytest.mark.fault("NaN, empty, constant or uncovered values")
def test_nan_in_one_volume_is_named_with_the_volume_and_what_to_do(tmp_path, values):
    values[..., 16] = np.nan
    run = bold(tmp_path / "a.nii", values)
    with pytest.raises(InputError, match=r"only 0 of 10 .*: 10 elements hold NaN, first in volume 17 \(.* without the"):
        load(run, cleaning=CleaningOptions(drop_first=5))
    assert load(run, cleaning=CleaningOptions(drop_first=17)).seed_covered.all()


def test_nan_of_the_second_run_is_said_of_that_run(tmp_path, values):
    broken = values.copy()
    broken[..., 3] = np.nan
    with pytest.raises(InputError, match=r"first in volume 4 \(.*b\.nii\)"):
        load(bold(tmp_path / "a.nii", values), bold(tmp_path / "b.nii", broken))


def test_nan_outside_the_field_of_view_points_to_registration(tmp_path, values):
    values.reshape(-1, N)[:6] = np.nan
    with pytest.raises(InputError, match=r"only 4 of 10 .*: 6 elements hold NaN, first in volume 1 .*registration"):
        load(bold(tmp_path / "a.nii", values))


@pytest.mark.fault("NaN, empty, constant or uncovered values")
def test_values_beyond_float32_point_to_the_scaling_of_the_header(tmp_path, rng):
    image = nib.Nifti1Image(rng.integers(100, 200, (*SHAPE, N)).astype("i2"), AFFINE)
    image.header.set_slope_inter(1e38, 0)
    image.header.set_zooms((2, 2, 2, 2.0))
    (tmp_path / "a.nii").write_bytes(image.to_bytes())
    with pytest.raises(InputError, match=r"too large for float32, first in volume 1 .* check scl_slope"):
        load(Run(tmp_path / "a.nii"))


@pytest.mark.fault("wrong dimensions, grid, units or repetition time")
def test_a_run_on_another_grid_is_an_error(tmp_path, values, rng):
    other = rng.normal(size=(4, 4, 5, N)).astype("f4")
    with pytest.raises(InputError, match=r"b\.nii"):
        load(bold(tmp_path / "a.nii", values), bold(tmp_path / "b.nii", other))


def test_grayordinates_are_not_smoothed(tmp_path, rng):
    axis = BrainModelAxis.from_surface(np.arange(40), 40, name="CIFTI_STRUCTURE_CORTEX_LEFT")
    path = tmp_path / "x.dtseries.nii"
    Cifti2Image(rng.normal(size=(N, 40)).astype("f4"), (SeriesAxis(0, 0.72, N), axis)).to_filename(path)
    cortex = Region("dtseries", read_header(path).grid, np.arange(40), np.zeros(40, np.int8))
    found = load(Run(path), seed=cortex, target=cortex)
    assert found.target.shape == (N, 40)
    with pytest.raises(InputError, match="wb_command"):
        load(Run(path), seed=cortex, target=cortex, cleaning=CleaningOptions(fwhm=4))
