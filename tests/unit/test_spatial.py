"""Enhancement over exact and stepped heights, and cluster maps, against loops over the thresholds."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from thalgpu.engine.inference.adjacency import mesh_neighbours, volume_neighbours
from thalgpu.engine.inference.model import InferenceOptions
from thalgpu.engine.inference.spatial import cluster_maps, enhance
from thalgpu.errors import NumericsError

SHAPE = (6, 5, 7)
TOUCHING = volume_neighbours(np.argwhere(np.ones(SHAPE)), 6)
SMOOTH = {"rtol": 1e-12}  # sums of a hundred numbers, in another order


@pytest.fixture
def maps(rng):
    """Four smooth maps of both signs."""
    noise = ndimage.gaussian_filter(rng.normal(size=(4, *SHAPE)), (0, 0.8, 0.8, 0.8)).reshape(4, -1)
    return 2 * noise / noise.std()


def summed_over(values, heights, weights, reaches, extent_power=0.5):
    """Every height's clusters, labelled one by one."""
    out = np.zeros(values.size)
    for height, weight in zip(heights, weights, strict=True):
        label, _ = ndimage.label(reaches(values, height).reshape(SHAPE))
        label = label.ravel()
        out += np.where(label > 0, np.bincount(label)[label] ** extent_power * weight, 0)
    return out


def test_exact_is_the_limit_of_ever_finer_steps(maps):
    step = 1e-3
    heights = (np.arange(int(maps[0].max() / step) + 1) + 0.5) * step  # midpoints
    fine = summed_over(maps[0], heights, heights**2 * step, np.greater_equal)
    # a step is wrong only where clusters join: by the step times its worth
    np.testing.assert_allclose(enhance(maps[:1], TOUCHING, InferenceOptions())[0], fine, rtol=2e-3, atol=2e-3)


@pytest.mark.parametrize(("height_power", "extent_power"), [(2, 0.5), (1, 1), (1.5, 0.6), (0, 1)])
def test_exact_powers(height_power, extent_power):
    ramp = np.linspace(-1, 3, 210)[None]
    alone = volume_neighbours(np.argwhere(np.ones(SHAPE)) * 2, 6)  # nobody touches
    found = enhance(ramp, alone, InferenceOptions(tfce_h=height_power, tfce_e=extent_power))
    np.testing.assert_allclose(found, np.maximum(ramp, 0) ** (height_power + 1) / (height_power + 1), rtol=1e-14)


def test_surfaces_take_extents_as_they_are_and_volumes_their_root():
    faces, corners = np.array([[0, 1, 2]]), np.array([[0.0, 0, 0], [6, 0, 0], [0, 6, 0]])
    mesh = mesh_neighbours(faces, 3, corners, areas=True)  # 18 mm²
    np.testing.assert_allclose(enhance(np.full((1, 3), 3.0), mesh, InferenceOptions()), 18 * 9.0, rtol=1e-14)
    box = volume_neighbours(np.argwhere(np.ones((2, 2, 4))), 6)
    np.testing.assert_allclose(enhance(np.full((1, 16), 3.0), box, InferenceOptions()), 4 * 9.0, rtol=1e-14)


def test_palm_grid_is_a_hundred_steps_of_each_map(maps):
    found = enhance(maps, TOUCHING, InferenceOptions(tfce_grid="palm"))
    for values, enhanced in zip(maps, found, strict=True):
        step = values.max() / 100
        heights = np.minimum(step + np.arange(100) * step, values.max())
        np.testing.assert_allclose(
            enhanced, summed_over(values, heights, heights**2 * step, np.greater_equal), **SMOOTH
        )


def test_nilearn_grid_leaves_out_the_distance(maps):
    found = enhance(maps, TOUCHING, InferenceOptions(tfce_grid="nilearn"))
    for values, enhanced in zip(maps, found, strict=True):
        heights = np.linspace(0, values.max(), 101)[1:]
        np.testing.assert_allclose(enhanced, summed_over(values, heights, heights**2, np.greater_equal), **SMOOTH)


@pytest.mark.parametrize("grid", ["palm", "nilearn"])
def test_values_on_a_threshold_reach_it(grid):
    # multiples of a hundredth of the maximum, as it is rounded: where floor(value / step) is one off
    maximum = 4.7
    multiples = (
        np.arange(1, 101) * (maximum / 100) if grid == "nilearn" else maximum / 100 + np.arange(100) * (maximum / 100)
    )
    alone = volume_neighbours(np.argwhere(np.ones((100, 1, 1))) * 2, 6)
    values = np.append(multiples[:-1], maximum)[None]
    found = enhance(values, alone, InferenceOptions(tfce_grid=grid, tfce_h=0.0))
    np.testing.assert_allclose(found[0], np.arange(1, 101) * (maximum / 100 if grid == "palm" else 1), rtol=1e-13)


def test_randomise_grid_adds_up_in_single_precision(maps):
    reference = maps[0].max()
    found = enhance(maps, TOUCHING, InferenceOptions(tfce_grid="randomise"), reference_maximum=reference)
    step, height, heights = np.float32(reference / 100), np.float32(0), []
    while height <= maps.max():
        height = np.float32(height + step)
        heights.append(height)
    weights = np.array(heights, np.float64) ** 2
    for values, enhanced in zip(maps, found, strict=True):
        expected = summed_over(values.astype(np.float32), heights, weights, np.greater)
        np.testing.assert_allclose(enhanced, expected, **SMOOTH)


def test_randomise_grid_is_blank_where_the_unpermuted_map_is_not_positive(maps):
    found = enhance(maps, TOUCHING, InferenceOptions(tfce_grid="randomise"), reference_maximum=-0.5)
    np.testing.assert_array_equal(found, np.zeros_like(maps))


@pytest.mark.parametrize(("reference", "message"), [(None, "needs the maximum"), (1e-9, "more than 1,000,000")])
def test_randomise_grid_without_a_usable_reference_is_refused(maps, reference, message):
    with pytest.raises(NumericsError, match=message):
        enhance(maps, TOUCHING, InferenceOptions(tfce_grid="randomise"), reference_maximum=reference)


@pytest.mark.parametrize("grid", ["exact", "palm", "nilearn", "randomise"])
def test_two_sided_is_both_signs_on_the_grid_of_the_larger(maps, grid):
    one = InferenceOptions(tfce_grid=grid)
    found = enhance(maps, TOUCHING, replace(one, two_sided=True), reference_maximum=3.0)
    larger = np.where(maps.max(axis=1) >= -maps.min(axis=1), 1, -1)[:, None]
    assert set(larger.ravel()) == {-1, 1}
    on_larger_side = np.maximum(enhance(larger * maps, TOUCHING, one, reference_maximum=3.0), 0)
    np.testing.assert_array_equal(np.maximum(larger * found, 0), on_larger_side)
    np.testing.assert_array_equal(enhance(-maps, TOUCHING, replace(one, two_sided=True), reference_maximum=3.0), -found)
    assert np.all(np.sign(found) * np.sign(maps) >= 0)


@pytest.mark.parametrize("grid", ["exact", "palm", "nilearn"])
@pytest.mark.parametrize("height", [0.0, -1.0, 1e-310])
def test_maps_without_height_are_not_enhanced(grid, height):
    found = enhance(np.full((2, 210), height), TOUCHING, InferenceOptions(tfce_grid=grid))
    np.testing.assert_array_equal(found, np.zeros((2, 210)))


def test_two_sided_clusters_are_of_one_sign_and_measured_by_magnitude(maps):
    above = InferenceOptions(cluster_threshold=1.5)
    positive, negative = cluster_maps(maps, TOUCHING, above), cluster_maps(-maps, TOUCHING, above)
    extent, mass = cluster_maps(maps, TOUCHING, replace(above, two_sided=True))
    assert np.any(maps <= -1.5)
    np.testing.assert_array_equal(extent, np.where(maps > 0, positive[0], negative[0]))
    np.testing.assert_array_equal(mass, np.where(maps > 0, positive[1], negative[1]))


def test_clusters_without_a_threshold_are_refused(maps):
    with pytest.raises(NumericsError, match="threshold"):
        cluster_maps(maps, TOUCHING, InferenceOptions())
