"""One projection removes trends, filtered frequencies and confounds, and keeps to the kept volumes."""

from pathlib import Path

import numpy as np
import pytest

from thalgpu.engine.config import CleaningOptions
from thalgpu.engine.inputs.cleaning import clean, make_projection
from thalgpu.errors import InputError

PATH = Path("bold.nii.gz")
N, TR = 120, 2.0
ATOL = 1e-5
"""Residuals of order 1 are returned as float32 (spacing 6e-8) from float32 input of order 10."""


def design(options: CleaningOptions, confounds: np.ndarray | None = None) -> np.ndarray:
    """The whole design in plain NumPy, one cosine after the other."""
    n = N - options.drop_first
    times = np.arange(-options.drop_first, n) + 0.5
    columns = [np.ones(N)]
    if options.detrend:
        columns.append(np.arange(N))
    for k in range(1, n):
        frequency = k / (2 * n * TR)
        low, high = options.high_pass or 0, options.low_pass or np.inf
        if frequency <= low or frequency > high:
            columns.append(np.cos(np.pi * k * times / n))
    return np.column_stack(columns if confounds is None else [*columns, confounds])


def residual(series: np.ndarray, design: np.ndarray) -> np.ndarray:
    scaled = design / np.linalg.norm(design, axis=0)
    return series - scaled @ np.linalg.lstsq(scaled, series, rcond=1e-10)[0]


@pytest.fixture
def series(rng) -> np.ndarray:
    return (rng.normal(size=(N, 7)).cumsum(axis=0) + 10).astype("f4")


@pytest.mark.parametrize(
    "options",
    [
        CleaningOptions(detrend=False),
        CleaningOptions(),
        CleaningOptions(high_pass=0.01),
        CleaningOptions(low_pass=0.1),
        CleaningOptions(high_pass=0.008, low_pass=0.09),
        CleaningOptions(high_pass=0.01, drop_first=5),
        CleaningOptions(high_pass=0.01, scrub_fd=0.5),
        CleaningOptions(low_pass=0.1, scrub_fd=0.5, drop_first=4),
    ],
    ids=str,
)
def test_cleaning_equals_least_squares_on_the_kept_volumes(rng, series, options):
    confounds = rng.normal(size=(N, 6)) * [1, 1e-4, 1e4, 1, 1, 1] + [0, 0, 1e6, 0, 0, 0]
    displacement = rng.gamma(2, 0.15, N)
    projection = make_projection(PATH, N, TR, options, confounds=confounds, displacement=displacement)
    kept = np.arange(N) >= options.drop_first
    if options.scrub_fd:
        kept &= displacement <= options.scrub_fd
        assert 0.5 < kept.mean() < 0.95
    np.testing.assert_array_equal(projection.kept, kept)
    oracle = residual(series[kept].astype("f8"), design(options, confounds)[kept])
    found, sd = clean(series[kept], projection)
    np.testing.assert_allclose(found, oracle, atol=ATOL)
    np.testing.assert_allclose(sd, oracle.std(axis=0), rtol=1e-6)


def test_residual_is_orthogonal_to_every_regressor_and_has_mean_zero(rng, series):
    confounds = rng.normal(size=(N, 3))
    projection = make_projection(PATH, N, TR, CleaningOptions(high_pass=0.01), confounds=confounds)
    found, _ = clean(series, projection)
    assert np.abs(confounds.T @ found).max() < 1e-4  # a sum of 120 float32 products of order 1
    assert np.abs(found.mean(axis=0)).max() < 1e-6


def test_scrubbed_volumes_influence_nothing(rng, series):
    displacement = np.zeros(N)
    displacement[[30, 31, 77]] = 2
    options = CleaningOptions(scrub_fd=0.5, high_pass=0.01)
    confounds = rng.normal(size=(N, 2))
    spoiled = confounds.copy()
    spoiled[[30, 31, 77]] = 1e9
    kept = displacement < 1
    found = [
        clean(series[kept], make_projection(PATH, N, TR, options, confounds=c, displacement=displacement))[0]
        for c in (confounds, spoiled)
    ]
    np.testing.assert_array_equal(found[0], found[1])


def test_a_trend_across_a_gap_is_removed_whole(rng):
    displacement = np.where((np.arange(N) > 20) & (np.arange(N) < 60), 9.0, 0.0)
    projection = make_projection(PATH, N, TR, CleaningOptions(scrub_fd=0.5), displacement=displacement)
    ramp = (np.arange(N) * 0.5 + 3).astype("f4")[projection.kept, None]
    found, sd = clean(ramp, projection)
    assert (found == 0).all()
    assert sd[0] == 0


def test_dependent_and_constant_confounds_change_nothing(rng, series):
    confounds = rng.normal(size=(N, 2))
    more = np.column_stack([confounds, confounds @ [2.0, -1], np.full(N, 5e4), np.zeros(N)])
    found = [clean(series, make_projection(PATH, N, TR, CleaningOptions(), confounds=c)) for c in (confounds, more)]
    np.testing.assert_allclose(found[0][0], found[1][0], atol=ATOL)


def test_what_is_wholly_explained_leaves_exact_zeros(rng):
    confounds = rng.normal(size=(N, 2))
    series = (1e4 + confounds @ [3.0, 4]).astype("f4")[:, None]
    found, sd = clean(series, make_projection(PATH, N, TR, CleaningOptions(), confounds=confounds.astype("f4")))
    # 1e4 in float32 is known to 1e-3, 2e-4 of the SD of 5: more than rounding error of a projection is left
    assert sd[0] < 1e-3
    exact, exact_sd = clean(
        np.arange(N, dtype="f4")[:, None], make_projection(PATH, N, TR, CleaningOptions(), confounds=confounds)
    )
    assert (exact == 0).all()
    assert exact_sd[0] == 0
    assert np.isfinite(found).all()


def test_a_large_mean_costs_no_accuracy(rng):
    signal = rng.normal(size=(N, 3)).round(2)
    projection = make_projection(PATH, N, TR, CleaningOptions(high_pass=0.01))
    found = clean((signal + 30000).astype("f4"), projection)[0]
    # float32 at 30000 has a spacing of 2e-3
    np.testing.assert_allclose(found, clean(signal.astype("f4"), projection)[0], atol=2e-3)


def test_too_few_degrees_of_freedom_are_said_in_words(rng):
    with pytest.raises(InputError, match=r"120 of 120 volumes are kept and 113 regressors removed: 7 degrees"):
        make_projection(PATH, N, TR, CleaningOptions(detrend=False), confounds=rng.normal(size=(N, 112)))


@pytest.mark.parametrize("drop_first", [500, N - 10])
def test_dropping_too_many_volumes_is_refused_and_nothing_else_advised(drop_first):
    with pytest.raises(InputError, match=rf"{max(N - drop_first, 0)} of 120 volumes .* — lower --drop-first \d+$"):
        make_projection(PATH, N, TR, CleaningOptions(drop_first=drop_first, high_pass=0.01))


def test_scrubbing_too_many_volumes_is_refused_and_nothing_else_advised(rng):
    options = CleaningOptions(scrub_fd=0.5, high_pass=0.01)
    with pytest.raises(InputError, match=r"0 of 120 volumes .* — scrub less, or leave the scan out$"):
        make_projection(PATH, N, TR, options, confounds=rng.normal(size=(N, 3)), displacement=np.ones(N))


@pytest.mark.parametrize(
    ("options", "n_confounds", "remedy"),
    [
        (CleaningOptions(low_pass=0.01), None, "use a wider pass band, or leave the scan out"),
        (CleaningOptions(), 112, "use fewer confounds, or leave the scan out"),
        (CleaningOptions(low_pass=0.02, drop_first=3), 9, "use fewer confounds, or use a wider pass band, or lower"),
    ],
)
def test_the_advice_names_the_options_that_were_used(rng, options, n_confounds, remedy):
    confounds = None if n_confounds is None else rng.normal(size=(N, n_confounds))
    with pytest.raises(InputError, match=f"degrees of freedom are left, 10 are needed .* — {remedy}"):
        make_projection(PATH, N, TR, options, confounds=confounds)


def test_a_run_without_repetition_time_is_cleaned_where_no_filter_needs_it(series):
    found = clean(series, make_projection(PATH, N, None, CleaningOptions()))[0]
    np.testing.assert_allclose(found, residual(series.astype("f8"), design(CleaningOptions())), atol=ATOL)


@pytest.mark.parametrize("options", [CleaningOptions(low_pass=0.3), CleaningOptions(high_pass=-1.0)], ids=str)
def test_a_cut_off_that_the_tr_cannot_show_is_refused(options):
    with pytest.raises(InputError, match="--tr"):
        make_projection(PATH, N, TR, options)


def test_confounds_that_overflow_are_refused():
    with pytest.raises(InputError, match="too large"):
        make_projection(PATH, N, TR, CleaningOptions(), confounds=np.linspace(0, 1e300, N)[:, None] * 1e8)


@pytest.mark.parametrize(
    "options", [CleaningOptions(high_pass=0.01), CleaningOptions(low_pass=0.1), CleaningOptions(scrub_fd=0.5)], ids=str
)
def test_a_censored_scan_is_neither_filtered_nor_scrubbed(options):
    with pytest.raises(InputError, match="removed from this scan already"):
        make_projection(PATH, N, TR, options, censored=True)


def test_a_censored_scan_is_only_centred(series):
    projection = make_projection(PATH, N, TR, CleaningOptions(), censored=True)
    np.testing.assert_allclose(clean(series, projection)[0], series - series.mean(axis=0), atol=ATOL)
