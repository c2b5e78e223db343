import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from thalgpu.engine.gradients import profiles
from thalgpu.engine.gradients.affinity import affinity_from_timeseries
from thalgpu.kernels.affinity import KERNELS
from thalgpu.kernels.sparsify import keep_mask, n_kept, row_thresholds
from thalgpu.kernels.standardize import standardize

kernels = st.sampled_from(KERNELS)
sparsities = st.sampled_from([0.0, 0.5, 0.9])
seeds = st.integers(0, 2**32 - 1)


def random_series(seed):
    """12 voxels and 70 targets over 30 time points that share three signals."""
    rng = np.random.default_rng(seed)
    latent = rng.standard_normal((30, 3))
    return [latent @ rng.standard_normal((3, n)) + rng.standard_normal((30, n)) for n in (12, 70)], rng


@settings(deadline=None, max_examples=25)
@given(seeds, kernels, sparsities, st.booleans())
def test_units_offsets_and_scales_of_series_do_not_matter(seed, kernel, sparsity, fisher_z):
    (voxels, targets), rng = random_series(seed)
    options = {"kernel": kernel, "sparsity": sparsity, "fisher_z": fisher_z}
    expected = affinity_from_timeseries(voxels, targets, **options)
    scaled = voxels * rng.uniform(0.01, 100, 12) + rng.uniform(-100, 100, 12)
    # 1e-8: offsets of 1e4 SD cost four of sixteen digits; acos between nearly parallel rows half of those left.
    np.testing.assert_allclose(affinity_from_timeseries(scaled, targets * 7 - 300, **options), expected, atol=1e-8)


@settings(deadline=None, max_examples=25)
@given(seeds, st.sampled_from(["cosine", "pearson", "gaussian", "eta2"]), st.booleans())
def test_turning_all_signs_does_not_matter_without_sparsity(seed, kernel, fisher_z):
    (voxels, targets), _ = random_series(seed)
    options = {"kernel": kernel, "sparsity": 0.0, "fisher_z": fisher_z}
    turned = affinity_from_timeseries(-voxels, targets, **options)
    np.testing.assert_allclose(turned, affinity_from_timeseries(voxels, targets, **options), atol=1e-12)


@settings(deadline=None, max_examples=25)
@given(seeds, kernels, sparsities, st.booleans())
def test_affinity_follows_a_permutation_of_voxels(seed, kernel, sparsity, fisher_z):
    (voxels, targets), rng = random_series(seed)
    order = rng.permutation(12)
    options = {"kernel": kernel, "sparsity": sparsity, "fisher_z": fisher_z}
    permuted = affinity_from_timeseries(np.ascontiguousarray(voxels[:, order]), targets, **options)
    expected = affinity_from_timeseries(voxels, targets, **options)[np.ix_(order, order)]
    np.testing.assert_allclose(permuted, expected, atol=1e-12)


@settings(deadline=None, max_examples=25)
@given(seeds, kernels, sparsities, st.booleans(), st.integers(1, 13), st.integers(1, 80), st.integers(1, 700))
def test_tile_sizes_do_not_matter(seed, kernel, sparsity, fisher_z, rows, columns, elements):
    (voxels, targets), _ = random_series(seed)
    options = {"kernel": kernel, "sparsity": sparsity, "fisher_z": fisher_z}
    expected = affinity_from_timeseries(voxels, targets, **options)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(profiles, "_ROWS", rows)
        patch.setattr(profiles, "_COLUMNS", columns)
        patch.setattr(profiles, "_ELEMENTS", elements)
        patch.setattr(profiles, "_HELD_BYTES", elements * 16)
        tiled = affinity_from_timeseries(voxels, targets, **options)
    np.testing.assert_allclose(tiled, expected, atol=1e-12)


@settings(deadline=None, max_examples=50)
@given(
    arrays.arrays(np.float32, (4, 23), elements=st.integers(-3, 3).map(float)),
    st.floats(0, 0.95),
    st.integers(1, 23),
)
def test_exactly_k_entries_of_each_row_are_kept_and_they_are_the_largest(x, sparsity, width):
    k = n_kept(23, sparsity)
    limits = row_thresholds(x.copy(), k)
    kept = np.hstack([keep_mask(x[:, start : start + width], *limits) for start in range(0, 23, width)])
    assert (kept.sum(axis=1) == k).all()
    for row, chosen in zip(x, kept, strict=True):
        assert row[chosen].min() >= row[~chosen].max(initial=-np.inf)


@settings(deadline=None, max_examples=50)
@given(seeds, st.floats(-1e6, 1e6), st.floats(1e-3, 1e3), st.sampled_from([-1, 1]))
def test_standardised_series_ignore_offset_and_scale_and_follow_the_sign(seed, offset, scale, sign):
    series = np.random.default_rng(seed).standard_normal((40, 3))
    # 1e-6: an offset of 1e6 and an SD of 1e-3 leave seven of sixteen digits.
    np.testing.assert_allclose(standardize(series * scale * sign + offset)[0], standardize(series)[0] * sign, atol=1e-6)
