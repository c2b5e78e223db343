"""Procrustes against SciPy, and what alignment leaves alone."""

import numpy as np
import pytest
import scipy.linalg

from thalgpu.engine.gradients.alignment import generalised_procrustes, mirror_correspondence, procrustes
from thalgpu.errors import NumericsError, UsageError


def test_rotation_equals_scipys(rng):
    source, target = rng.standard_normal((50, 4)), rng.standard_normal((50, 4))
    expected, _ = scipy.linalg.orthogonal_procrustes(source, target)
    result = procrustes(source, target)
    np.testing.assert_allclose(result.rotation, expected, atol=1e-12)
    np.testing.assert_allclose(result.aligned, source @ expected, atol=1e-12)


def test_components_beyond_n_align_only_have_their_sign_turned(rng):
    source, target = rng.standard_normal((50, 5)), rng.standard_normal((50, 5))
    result = procrustes(source, target, n_align=3)
    expected, _ = scipy.linalg.orthogonal_procrustes(source[:, :3], target[:, :3])
    np.testing.assert_allclose(result.rotation[:3, :3], expected, atol=1e-12)
    np.testing.assert_array_equal(np.abs(result.aligned[:, 3:]), np.abs(source[:, 3:]))
    assert ((result.aligned * target).sum(axis=0)[3:] > 0).all()


def test_n_align_beyond_the_components_aligns_all(rng):
    source, target = rng.standard_normal((50, 3)), rng.standard_normal((50, 3))
    np.testing.assert_array_equal(procrustes(source, target, n_align=10).rotation, procrustes(source, target).rotation)


def test_rows_outside_the_mask_have_no_say_but_are_rotated(rng):
    source, target = rng.standard_normal((50, 3)), rng.standard_normal((50, 3))
    covered = np.arange(50) >= 5
    source[0] = 0
    result = procrustes(source, target, covered=covered)
    np.testing.assert_allclose(result.rotation, procrustes(source[5:], target[5:]).rotation, atol=1e-12)
    np.testing.assert_array_equal(result.aligned[0], 0)
    np.testing.assert_allclose(result.aligned, source @ result.rotation, atol=1e-14)


def test_dtype_of_the_source_is_kept(rng):
    source = rng.standard_normal((50, 3)).astype(np.float32)
    assert procrustes(source, source.astype(np.float64)).aligned.dtype == np.float32


@pytest.mark.parametrize(
    ("source", "target"),
    [(np.ones((5, 2)), np.ones((5, 3))), (np.ones(5), np.ones(5)), (np.full((5, 2), np.nan), np.ones((5, 2)))],
)
def test_gradients_that_do_not_fit_are_refused(source, target):
    with pytest.raises(NumericsError):
        procrustes(source, target)


def test_aligning_no_component_is_a_usage_error():
    with pytest.raises(UsageError):
        procrustes(np.ones((5, 2)), np.ones((5, 2)), n_align=0)


def test_integers_are_rotated_as_float64(rng):
    source, target = rng.integers(-9, 10, (50, 3)), rng.integers(-9, 10, (50, 3))
    result = procrustes(source, target)
    assert result.aligned.dtype == np.float64
    np.testing.assert_array_equal(result.aligned, procrustes(source.astype(float), target.astype(float)).aligned)


@pytest.mark.parametrize("relaid", [np.asfortranarray, lambda x: x.astype(">f8")])
def test_layout_and_byte_order_change_no_bit(rng, relaid):
    source, target = rng.standard_normal((50, 3)), rng.standard_normal((50, 3))
    found = procrustes(relaid(source), relaid(target))
    np.testing.assert_array_equal(found.aligned, procrustes(source, target).aligned)
    assert found.aligned.dtype.isnative


@pytest.mark.parametrize(
    ("covered", "message"),
    [
        (np.zeros(30, dtype=bool), "no voxel"),
        (np.arange(30), "30 booleans, not int64"),
        (np.ones(29, dtype=bool), "30 booleans"),
        (np.ones((30, 1), dtype=bool), "30 booleans"),
        ([True] * 30, "30 booleans, not list"),
        (np.ma.masked_array(np.ones(30, dtype=bool), np.zeros(30)), "30 booleans"),
    ],
)
def test_a_mask_that_is_none_is_refused(rng, covered, message):
    with pytest.raises(NumericsError, match=message):
        procrustes(rng.standard_normal((30, 2)), rng.standard_normal((30, 2)), covered=covered)


@pytest.mark.parametrize("wrong", [[[1.0, 2.0]], None, np.ma.masked_array(np.eye(2)), np.eye(2, dtype=np.float16)])
def test_what_is_no_array_of_floats_is_refused(wrong):
    for pair in ((wrong, np.eye(2)), (np.eye(2), wrong)):
        with pytest.raises(NumericsError, match=r"NumPy array|masked|float16"):
            procrustes(*pair)


def rotated_copies(rng: np.random.Generator, n_subjects: int, noise: float) -> tuple[np.ndarray, list[np.ndarray]]:
    truth = rng.standard_normal((80, 3)) * [3, 2, 1]
    rotations = [np.linalg.qr(rng.standard_normal((3, 3)))[0] for _ in range(n_subjects)]
    return truth, [truth @ rotation + noise * rng.standard_normal((80, 3)) for rotation in rotations]


def test_generalised_reference_is_the_mean_of_what_is_aligned(rng):
    _, subjects = rotated_copies(rng, 6, noise=0.3)
    result = generalised_procrustes(subjects)
    # the last round moves the reference by some 1e-5 at most
    np.testing.assert_allclose(result.reference, np.mean([one.aligned for one in result.subjects], axis=0), atol=1e-4)


def test_generalised_alignment_undoes_rotations(rng):
    truth, subjects = rotated_copies(rng, 6, noise=0.0)
    result = generalised_procrustes(subjects, truth)
    np.testing.assert_allclose(result.reference, truth, atol=1e-12)
    assert result.n_iterations == 2  # the first moves nothing, the second shows it


def test_generalised_alignment_with_a_reference_does_not_depend_on_order(rng):
    truth, subjects = rotated_copies(rng, 5, noise=0.3)
    forward, backward = generalised_procrustes(subjects, truth), generalised_procrustes(subjects[::-1], truth)
    np.testing.assert_allclose(forward.reference, backward.reference, atol=1e-12)


def test_no_subjects_cannot_be_aligned():
    with pytest.raises(NumericsError):
        generalised_procrustes([])


def test_mirror_images_find_each_other(rng):
    left = rng.uniform([-20, -30, 0], [-2, 0, 20], (40, 3))
    order = rng.permutation(40)
    right = left[order] * [-1, 1, 1] + rng.uniform(-0.01, 0.01, (40, 3))
    np.testing.assert_array_equal(mirror_correspondence(left, right), order)
