import numpy as np
import pytest

from thalgpu.engine.structure.thickness import nearest_on_sphere, region_mean
from thalgpu.errors import NumericsError


def test_plain_and_area_weighted_means_are_those_of_a_hand_calculation():
    thickness, areas = [2.0, 4.0, 9.0], [3.0, 1.0, 5.0]
    assert region_mean(thickness, [0, 1]) == 3.0
    assert region_mean(thickness, np.array([True, True, False]), areas) == 2.5


def test_vertices_without_cortex_do_not_count():
    assert region_mean([0.0, 2.0, 3.0], [0, 1, 2]) == 2.5


@pytest.mark.parametrize("region", [[], [0], [5], [0.5], np.array([True])])
def test_a_region_without_cortex_or_of_another_surface_is_refused(region):
    with pytest.raises(NumericsError):
        region_mean([0.0, 2.0], region)


def test_a_sphere_is_resampled_to_itself_by_the_identity():
    rng = np.random.default_rng(3)
    sphere = rng.normal(size=(200, 3))
    sphere *= 100 / np.linalg.norm(sphere, axis=1, keepdims=True)
    assert nearest_on_sphere(sphere, sphere).tolist() == list(range(200))
    assert nearest_on_sphere(sphere, 0.01 * sphere[::-1]).tolist() == list(range(199, -1, -1))


def test_resampling_finds_the_vertex_at_the_smallest_angle():
    rng = np.random.default_rng(4)
    sphere, common = (rng.normal(size=(n, 3)) for n in (150, 40))
    unit, other = (points / np.linalg.norm(points, axis=1, keepdims=True) for points in (sphere, common))
    assert nearest_on_sphere(sphere, common).tolist() == (other @ unit.T).argmax(axis=1).tolist()


def test_what_is_no_sphere_is_refused():
    with pytest.raises(NumericsError):
        nearest_on_sphere(np.zeros((3, 3)), np.ones((3, 3)))
