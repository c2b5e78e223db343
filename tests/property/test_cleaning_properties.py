"""Invariances of cleaning and smoothing."""

from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from thalgpu.engine.config import CleaningOptions
from thalgpu.engine.inputs.cleaning import Projection, clean, make_projection
from thalgpu.engine.inputs.smoothing import smooth

N = 80
BUDGET = settings(max_examples=40, derandomize=True, deadline=None)


@st.composite
def projections(draw: st.DrawFn) -> Projection:
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    options = CleaningOptions(
        high_pass=draw(st.sampled_from([None, 0.01, 0.03])),
        low_pass=draw(st.sampled_from([None, 0.2, 0.12])),
        drop_first=draw(st.integers(0, 6)),
        detrend=draw(st.booleans()),
        scrub_fd=draw(st.sampled_from([None, 1.0])),
    )
    confounds = rng.normal(size=(N, draw(st.integers(0, 8)))) * 10.0 ** draw(st.integers(-6, 6))
    displacement = np.where(rng.random(N) < 0.1, 2.0, 0.0)
    return make_projection(Path("x"), N, 2.0, options, confounds=confounds, displacement=displacement)


seeds = st.integers(0, 2**32 - 1)


def some_series(projection: Projection, seed: int, n: int = 5) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(int(projection.kept.sum()), n)) + rng.normal(0, 20, n)).astype("f4")


@BUDGET
@given(projections())
def test_removed_and_left_are_an_orthonormal_basis_of_everything(projection):
    whole = np.hstack([projection.removed, projection.left])
    assert whole.shape == (projection.kept.sum(),) * 2
    np.testing.assert_allclose(whole.T @ whole, np.eye(len(whole)), atol=1e-12)


@BUDGET
@given(projections(), seeds)
def test_cleaning_twice_changes_nothing(projection, seed):
    once, sd = clean(some_series(projection, seed), projection)
    twice, sd_again = clean(once, projection)
    np.testing.assert_allclose(twice, once, atol=1e-6)  # float32 residuals of order 1
    np.testing.assert_allclose(sd_again, sd, rtol=1e-6)


@BUDGET
@given(projections(), seeds, st.sampled_from([-1.0, 0.25, -1024.0, 2.0**40, 2.0**-40]))
def test_cleaning_commutes_with_scale_and_sign(projection, seed, factor):
    series = some_series(projection, seed)
    scaled, sd = clean(series * np.float32(factor), projection)
    plain, plain_sd = clean(series, projection)
    np.testing.assert_array_equal(scaled, plain * np.float32(factor))  # a power of two changes no digit
    np.testing.assert_array_equal(sd, plain_sd * abs(factor))


@BUDGET
@given(projections(), seeds)
def test_the_order_of_voxels_does_not_matter(projection, seed):
    series = some_series(projection, seed)
    order = np.random.default_rng(seed).permutation(series.shape[1])
    np.testing.assert_allclose(
        clean(series[:, order], projection)[0], clean(series, projection)[0][:, order], atol=1e-6
    )


@BUDGET
@given(projections(), seeds)
def test_inputs_are_not_modified(projection, seed):
    series = some_series(projection, seed)
    series.flags.writeable = False
    clean(series, projection)
    smooth(series, np.arange(15.0).reshape(5, 3), 3.0)


@BUDGET
@given(seeds, st.floats(1, 12))
def test_smoothing_keeps_within_the_range_of_the_values(seed, fwhm):
    rng = np.random.default_rng(seed)
    xyz, series = rng.uniform(0, 20, (30, 3)), rng.normal(size=(4, 30)).astype("f4")
    smoothed = smooth(series, xyz, fwhm)
    assert (smoothed <= series.max(axis=1, keepdims=True) + 1e-6).all()
    assert (smoothed >= series.min(axis=1, keepdims=True) - 1e-6).all()
