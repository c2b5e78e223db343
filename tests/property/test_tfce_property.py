"""What must hold of enhancement whatever the map and the mask."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thalgpu.engine.inference.adjacency import joined, subset, volume_neighbours
from thalgpu.engine.inference.model import InferenceOptions
from thalgpu.engine.inference.spatial import cluster_maps, enhance

EXACT = InferenceOptions()
GRIDS = [InferenceOptions(tfce_grid=grid) for grid in ("exact", "palm", "nilearn", "randomise")]
ROUNDING = {"rtol": 1e-11, "atol": 1e-13}  # hundreds of sums of float64, in another order


@st.composite
def masks_and_maps(draw):
    """Neighbours of some voxels of a box, and a few maps on them, often with ties."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shape = draw(st.tuples(*[st.integers(1, 6)] * 3))
    ijk = np.argwhere(rng.random(shape) < draw(st.sampled_from([0.3, 0.7, 1.0])))
    touching = volume_neighbours(ijk, draw(st.sampled_from([6, 18, 26])))
    maps = rng.normal(scale=2, size=(3, len(ijk)))
    return touching, maps.round(1) if draw(st.booleans()) else maps, rng


def enhanced(maps, touching, options):
    if maps.shape[1] == 0:
        return maps
    return enhance(maps, touching, options, reference_maximum=2.0)


@pytest.mark.parametrize("options", GRIDS, ids=lambda options: options.tfce_grid)
@given(case=masks_and_maps())
@settings(max_examples=30, deadline=None)
def test_names_of_voxels_do_not_matter(options, case):
    touching, maps, rng = case
    order = rng.permutation(maps.shape[1])
    renamed = enhanced(maps[:, order], subset(touching, order), options)
    np.testing.assert_allclose(renamed, enhanced(maps, touching, options)[:, order], **ROUNDING)


@pytest.mark.parametrize("options", GRIDS[:1] + GRIDS[3:], ids=lambda options: options.tfce_grid)
@given(case=masks_and_maps())
@settings(max_examples=30, deadline=None)
def test_higher_values_are_never_enhanced_less(options, case):
    # not so on the grids whose steps grow with the maximum of the map
    touching, maps, rng = case
    higher = maps + rng.exponential(size=maps.shape) * (rng.random(maps.shape) < 0.3)
    before, after = enhanced(maps, touching, options), enhanced(higher, touching, options)
    assert np.all(after >= before * (1 - 1e-11) - 1e-13)


@given(case=masks_and_maps(), factor=st.floats(0.01, 100), height_power=st.sampled_from([0.5, 1.0, 2.0, 3.0]))
@settings(max_examples=30, deadline=None)
def test_heights_times_c_are_worth_c_to_the_power_of_h_plus_one(case, factor, height_power):
    touching, maps, _ = case
    options = InferenceOptions(tfce_h=height_power)
    scaled = enhanced(factor * maps, touching, options) / factor ** (height_power + 1)
    np.testing.assert_allclose(scaled, enhanced(maps, touching, options), **ROUNDING)


@given(case=masks_and_maps())
@settings(max_examples=30, deadline=None)
def test_sizes_times_four_are_worth_twice_as_much(case):
    touching, maps, _ = case
    larger = type(touching)(touching.indptr, touching.indices, 4 * touching.sizes, touching.dimensions)
    np.testing.assert_array_equal(enhanced(maps, larger, EXACT), 2 * enhanced(maps, touching, EXACT))


@given(one=masks_and_maps(), other=masks_and_maps())
@settings(max_examples=30, deadline=None)
def test_parts_that_do_not_touch_know_nothing_of_each_other(one, other):
    both = enhanced(np.hstack([one[1], other[1]]), joined([one[0], other[0]]), EXACT)
    alone = np.hstack([enhanced(maps, touching, EXACT) for touching, maps, _ in (one, other)])
    np.testing.assert_array_equal(both, alone)


@given(case=masks_and_maps())
@settings(max_examples=30, deadline=None)
def test_enhancement_keeps_the_order_within_a_cluster_of_everything(case):
    touching, maps, _ = case
    found = enhanced(maps, touching, EXACT)
    rows = np.repeat(np.arange(maps.shape[1]), np.diff(touching.indptr))
    for values, result in zip(maps, found, strict=True):
        higher = (
            values[rows] >= values[touching.indices]
        )  # of two that touch, the higher lies in all clusters of the lower
        assert np.all(result[rows][higher] >= result[touching.indices][higher])
        np.testing.assert_array_equal(result > 0, values > 0)


@pytest.mark.parametrize("two_sided", [False, True])
@pytest.mark.parametrize("grid", ["exact", "palm", "nilearn", "randomise"])
def test_bits_depend_on_neither_the_batch_nor_the_thread(rng, grid, two_sided):
    touching = volume_neighbours(np.argwhere(rng.random((11, 12, 13)) < 0.6), 26)
    maps = rng.normal(size=(60, len(touching.sizes)))
    options = InferenceOptions(tfce_grid=grid, two_sided=two_sided, cluster_threshold=1.0)
    whole = np.stack([enhanced(maps, touching, options), *cluster_maps(maps, touching, options)])
    one_by_one = [
        np.stack([enhanced(maps[i : i + 1], touching, options), *cluster_maps(maps[i : i + 1], touching, options)])
        for i in range(60)
    ]
    np.testing.assert_array_equal(np.concatenate(one_by_one, axis=1), whole)
    batches = [maps[start : start + 7] for start in range(0, 60, 7)]
    with ThreadPoolExecutor(4) as threads:
        at_once = list(threads.map(lambda batch: enhanced(batch, touching, options), batches))
    np.testing.assert_array_equal(np.concatenate(at_once), whole[0])
