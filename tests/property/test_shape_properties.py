"""What must not matter to a shape: where it lies, how it is turned, and, with similarity, how large it is."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import ConvexHull
from scipy.spatial.transform import Rotation

from thalgpu.engine.structure.alignment import align_shapes
from thalgpu.engine.structure.displacement import displacements
from thalgpu.engine.structure.volumes import asymmetry, proportion, residual

seeds = st.integers(0, 2**32 - 1)


def _cohort(rng, n_subjects=5, n_vertices=80):
    """Lopsided ellipsoids that differ, and their triangles."""
    k = np.arange(n_vertices) + 0.5
    polar, around = np.arccos(1 - 2 * k / n_vertices), np.pi * (1 + 5**0.5) * k
    points = np.column_stack([np.cos(around) * np.sin(polar), np.sin(around) * np.sin(polar), np.cos(polar)])
    faces = ConvexHull(points).simplices.astype(np.int64)
    inward = np.einsum("ij,ij->i", points[faces[:, 0]], np.cross(points[faces[:, 1]], points[faces[:, 2]])) < 0
    faces[inward] = faces[inward][:, ::-1]
    base = points * [7.0, 14.0, 9.0] + 2.0 * np.maximum(points[:, 1:2], 0) * [1.0, 0.5, 0.0]
    return base + rng.normal(0, 0.3, (n_subjects, n_vertices, 3)), faces


def _found(shapes, faces, method):
    aligned = align_shapes(shapes, method)
    return displacements(aligned.shapes, aligned.mean, faces)


@settings(max_examples=25, deadline=None)
@given(seed=seeds, similarity=st.booleans())
def test_displacement_is_blind_to_rotation_and_translation(seed, similarity):
    rng = np.random.default_rng(seed)
    shapes, faces = _cohort(rng)
    method = "similarity" if similarity else "rigid"
    turns = Rotation.random(len(shapes), random_state=seed % 2**31)
    moved = np.stack([turn.apply(shape) + rng.normal(0, 30, 3) for turn, shape in zip(turns, shapes, strict=True)])
    # mm; the iteration stops when its mean changes by 1e-10 of its size, and converges by a factor a round
    np.testing.assert_allclose(_found(moved, faces, method), _found(shapes, faces, method), atol=1e-6)


@settings(max_examples=15, deadline=None)
@given(seed=seeds)
def test_similarity_is_blind_to_scale_and_rigid_is_not(seed):
    rng = np.random.default_rng(seed)
    shapes, faces = _cohort(rng)
    scales = rng.uniform(0.8, 1.2, len(shapes))
    sizes = np.sqrt(((shapes - shapes.mean(axis=1, keepdims=True)) ** 2).sum(axis=(1, 2)))
    back = sizes.mean() / (scales * sizes).mean()  # all are given the mean size, which the scaling changed
    scaled = scales[:, None, None] * shapes
    similar = _found(scaled, faces, "similarity")
    np.testing.assert_allclose(back * similar, _found(shapes, faces, "similarity"), atol=1e-6)
    assert np.abs(_found(scaled, faces, "rigid") - _found(shapes, faces, "rigid")).max() > 0.1


@settings(max_examples=25, deadline=None)
@given(seed=seeds)
def test_displacements_average_to_nothing(seed):
    shapes, faces = _cohort(np.random.default_rng(seed))
    np.testing.assert_allclose(_found(shapes, faces, "rigid").mean(axis=0), 0, atol=1e-10)


@settings(max_examples=25, deadline=None)
@given(seed=seeds)
def test_adjusted_volumes_keep_what_they_should(seed):
    rng = np.random.default_rng(seed)
    icv = rng.uniform(1.1e6, 1.9e6, 12)
    left, right = rng.uniform(4e3, 9e3, (2, 12))
    # a residual is linear: that of the total is the total of the residuals
    np.testing.assert_allclose(residual(left + right, icv), residual(left, icv) + residual(right, icv), rtol=1e-10)
    # shares of one head have the asymmetry of the volumes
    shares = proportion(left, icv), proportion(right, icv)
    np.testing.assert_allclose(asymmetry(*shares), asymmetry(left, right), rtol=0, atol=1e-12)
    np.testing.assert_allclose(asymmetry(right, left), -asymmetry(left, right), rtol=0, atol=1e-15)
