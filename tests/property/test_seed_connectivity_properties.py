"""What must not change a seed's map: unit and offset of the series, order of time, and how targets are grouped."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from thalgpu.engine.connectivity.maps import seed_maps
from thalgpu.engine.connectivity.matrices import region_matrix, region_pairs, shared_elements

FEW = settings(max_examples=25, deadline=None, derandomize=True)
seeds = st.integers(0, 2**32 - 1)


def series(seed, n_timepoints=60, n_seeds=3, n_targets=12):
    rng = np.random.default_rng(seed)
    shared = rng.standard_normal((n_timepoints, 1))
    return shared + rng.standard_normal((n_timepoints, n_seeds)), shared + rng.standard_normal(
        (n_timepoints, n_targets)
    )


@FEW
@given(seeds, st.floats(1e-6, 1e6), st.floats(-1e4, 1e4))
def test_units_and_offsets_do_not_matter_and_a_sign_turns_the_map(seed, scale, offset):
    own, targets = series(seed)
    z = seed_maps(own, targets)
    # an offset of 1e4 units of a series of 1e-6 leaves six digits
    np.testing.assert_allclose(seed_maps(own * scale + offset * scale, targets), z, atol=1e-8)
    np.testing.assert_allclose(seed_maps(-own, targets), -z, atol=1e-12)


@FEW
@given(seeds)
def test_order_of_time_does_not_matter(seed):
    own, targets = series(seed)
    order = np.random.default_rng(seed).permutation(len(own))
    np.testing.assert_allclose(seed_maps(own[order], targets[order]), seed_maps(own, targets), atol=1e-12)


@FEW
@given(seeds)
def test_seed_and_target_change_places(seed):
    own, targets = series(seed)
    np.testing.assert_allclose(seed_maps(own, targets), seed_maps(targets, own).T, atol=1e-12)


@FEW
@given(seeds, st.integers(1, 11))
def test_targets_alone_or_among_others_have_the_same_z(seed, cut):
    own, targets = series(seed)
    apart = np.hstack([seed_maps(own, targets[:, :cut]), seed_maps(own, targets[:, cut:])])
    np.testing.assert_allclose(apart, seed_maps(own, targets), atol=1e-12)


@FEW
@given(seeds)
def test_matrix_is_symmetric_and_finite_even_for_copies(seed):
    own, _ = series(seed)
    z = region_matrix(np.hstack([own, own, np.zeros_like(own)]))
    assert np.array_equal(z, z.T)
    assert np.isfinite(z).all()
    assert not z[:, 6:].any()


@FEW
@given(st.lists(st.sets(st.integers(0, 20), max_size=8), min_size=1, max_size=8))
def test_pairs_are_those_of_disjoint_sets(regions):
    arrays = [np.array(sorted(region), dtype=np.int64) for region in regions]
    found = {tuple(pair) for pair in region_pairs(shared_elements(arrays)).tolist()}
    expected = {(i, j) for i in range(len(regions)) for j in range(i + 1, len(regions)) if not regions[i] & regions[j]}
    assert found == expected
