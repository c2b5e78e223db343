"""Sign rules of components."""

import numpy as np

from thalgpu.engine.gradients.signs import fix_signs, fix_signs_by_distance


def test_largest_element_becomes_positive():
    gradients = np.array([[1.0, -1.0], [-2.0, 0.5], [0.5, 0.2]])
    np.testing.assert_array_equal(fix_signs(gradients), gradients * [-1, -1])


def test_first_of_two_equal_elements_decides():
    np.testing.assert_array_equal(fix_signs(np.array([[-1.0], [1.0]])), [[1.0], [-1.0]])


def test_a_component_of_zeros_stays():
    np.testing.assert_array_equal(fix_signs(np.zeros((3, 1))), np.zeros((3, 1)))


def test_dtype_is_kept(rng):
    assert fix_signs(rng.standard_normal((5, 2)).astype(np.float32)).dtype == np.float32


def test_distance_rule_gives_a_positive_correlation_with_the_distance(rng):
    ijk = rng.integers(0, 40, (50, 3)).astype(np.int32)
    gradients = rng.standard_normal((50, 4))
    turned = fix_signs_by_distance(gradients, ijk, 41)
    distance = np.sqrt(((ijk - [20, 0, 0]) ** 2).sum(axis=1))
    assert all(np.corrcoef(distance, component)[0, 1] > 0 for component in turned.T)
    np.testing.assert_array_equal(np.abs(turned), np.abs(gradients))
