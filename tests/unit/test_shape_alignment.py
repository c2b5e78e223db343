import numpy as np
import pytest
from scipy.spatial import ConvexHull
from scipy.spatial.transform import Rotation

from thalgpu.engine.structure.alignment import align_shapes
from thalgpu.engine.structure.displacement import displacements, smooth_on_mesh
from thalgpu.engine.structure.mesh_geometry import (
    cotangent_laplacian,
    outward_faces,
    outward_normals,
    signed_volume,
    vertex_areas,
)
from thalgpu.engine.structure.quality import outliers, procrustes_distances, robust_z
from thalgpu.errors import NumericsError


def _sphere(n=642, radius=10.0):
    """Even points on a sphere and their triangles, normals outwards."""
    k = np.arange(n) + 0.5
    polar, around = np.arccos(1 - 2 * k / n), np.pi * (1 + 5**0.5) * k
    points = radius * np.column_stack([np.cos(around) * np.sin(polar), np.sin(around) * np.sin(polar), np.cos(polar)])
    faces = ConvexHull(points).simplices.astype(np.int64)
    inward = np.einsum("ij,ij->i", points[faces[:, 0]], np.cross(points[faces[:, 1]], points[faces[:, 2]])) < 0
    faces[inward] = faces[inward][:, ::-1]
    return points, faces


@pytest.fixture(scope="module")
def sphere():
    return _sphere()


def test_rigid_alignment_undoes_rotation_and_translation(sphere):
    rng = np.random.default_rng(5)
    shape = sphere[0] * [0.8, 1.5, 0.9]
    moved = [Rotation.random(random_state=i).apply(shape) + rng.normal(size=3) for i in range(5)]
    aligned = align_shapes(moved)
    assert aligned.converged
    np.testing.assert_allclose(aligned.shapes, np.broadcast_to(aligned.mean, (5, 642, 3)), atol=1e-9)
    np.testing.assert_allclose(np.linalg.det(aligned.rotations), 1, atol=1e-12)


def test_a_mirrored_shape_is_not_turned_into_its_image(sphere):
    shape = sphere[0] * [0.8, 1.5, 0.9]
    lopsided = shape + 2 * np.exp(-(((shape - [8, 0, 0]) ** 2).sum(axis=1, keepdims=True)) / 50) * [0, 1, 1]
    aligned = align_shapes([lopsided, lopsided * [-1, 1, 1]])
    assert np.abs(aligned.shapes[0] - aligned.shapes[1]).max() > 0.5
    np.testing.assert_allclose(np.linalg.det(aligned.rotations), 1, atol=1e-12)


def test_similarity_gives_every_shape_the_mean_size(sphere):
    shape = sphere[0] * [0.8, 1.5, 0.9]
    aligned = align_shapes([scale * shape for scale in (0.9, 1.0, 1.1)], "similarity")
    np.testing.assert_allclose(aligned.shapes, np.broadcast_to(shape, (3, 642, 3)), atol=1e-9)
    np.testing.assert_allclose(aligned.scales, [1 / 0.9, 1.0, 1 / 1.1], rtol=1e-12)


def test_no_alignment_leaves_coordinates_alone(sphere):
    shapes = np.stack([sphere[0], sphere[0] + 3.0])
    aligned = align_shapes(shapes, "none")
    np.testing.assert_array_equal(aligned.shapes, shapes)
    np.testing.assert_allclose(aligned.mean, sphere[0] + 1.5, rtol=1e-12)


def test_the_order_of_subjects_does_not_matter(sphere):
    rng = np.random.default_rng(6)
    shapes = np.stack([sphere[0] * [0.8, 1.5, 0.9] + rng.normal(0, 0.3, (642, 3)) for _ in range(6)])
    forward, backward = align_shapes(shapes), align_shapes(shapes[::-1])
    np.testing.assert_allclose(forward.mean, backward.mean, atol=1e-6)  # mm; both stop at a relative change of 1e-10


def test_the_mean_lies_where_the_subjects_do(sphere):
    shape = sphere[0] * [0.8, 1.5, 0.9] + [10.0, -20.0, 5.0]
    turns = Rotation.from_rotvec(np.array([[0.1, 0, 0], [-0.1, 0, 0], [0, 0.2, 0], [0, -0.2, 0]]))
    moved = [turn.apply(shape - shape.mean(axis=0)) + shape.mean(axis=0) for turn in turns]
    np.testing.assert_allclose(align_shapes(moved).mean, shape, atol=1e-4)  # mm; the turns cancel out


@pytest.mark.parametrize(
    "shapes", [np.zeros((2, 5, 3)), np.ones((4, 3)), np.full((1, 4, 3), np.nan), np.zeros((0, 4, 3))]
)
def test_what_has_no_orientation_is_refused(shapes):
    with pytest.raises(NumericsError):
        align_shapes(shapes)


@pytest.mark.parametrize("turned", [False, True])
def test_normals_point_outwards_whatever_the_order_of_the_faces(sphere, turned):
    vertices, faces = sphere
    given = faces[:, ::-1] if turned else faces
    radial = np.einsum("ij,ij->i", outward_normals(vertices, given), vertices / 10.0)
    assert radial.min() > 0.99
    assert signed_volume(vertices, outward_faces(vertices, given)) > 0


def test_areas_and_volume_are_those_of_a_sphere(sphere):
    vertices, faces = sphere
    assert vertex_areas(vertices, faces).sum() == pytest.approx(400 * np.pi, rel=0.01)  # 642 flat pieces
    assert signed_volume(vertices + 100.0, faces) == pytest.approx(4000 / 3 * np.pi, rel=0.02)


def test_an_open_flat_surface_has_no_outside():
    with pytest.raises(NumericsError, match="nothing is outside"):
        outward_normals(np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [1, 1, 0]]), np.array([[0, 1, 2], [1, 3, 2]]))


def test_an_outward_bump_is_positive_and_in_mm(sphere):
    vertices, faces = sphere
    planted = 1.5 * np.exp(-((vertices - [0, 0, 10.0]) ** 2).sum(axis=1) / 20)
    shapes = np.stack([vertices, vertices * (1 + planted / 10)[:, None]])
    found = displacements(shapes, vertices, faces)
    np.testing.assert_array_equal(found[0], 0)
    np.testing.assert_allclose(found[1], planted, atol=0.01)  # vertex normals are radial to within a degree
    np.testing.assert_allclose(displacements(shapes, vertices, faces[:, ::-1])[1], found[1], rtol=1e-12)


def test_smoothing_keeps_constants_and_area_weighted_means(sphere):
    rng = np.random.default_rng(8)
    vertices, faces = sphere
    maps = np.stack([np.ones(642), rng.normal(size=642)])
    smooth = smooth_on_mesh(maps, vertices, faces, 3.0)
    areas = vertex_areas(vertices, faces)
    np.testing.assert_allclose(smooth[0], 1, rtol=1e-10)
    assert smooth[1] @ areas == pytest.approx(maps[1] @ areas, abs=1e-9)
    assert smooth[1].std() < 0.6 * maps[1].std()
    np.testing.assert_array_equal(smooth_on_mesh(maps, vertices, faces, 0.0), maps)


@pytest.mark.parametrize("degree", [1, 2])
def test_smoothing_has_the_width_that_is_asked_for(degree):
    """A spherical harmonic of degree l decays by exp(−l (l + 1) σ² / 2 R²)."""
    vertices, faces = _sphere(2000)
    z = vertices[:, 2] / 10.0
    harmonic = z if degree == 1 else 1.5 * z**2 - 0.5
    smooth = smooth_on_mesh(harmonic[None], vertices, faces, 6.0)[0]
    variance = 36.0 / (8 * np.log(2))
    expected = np.exp(-degree * (degree + 1) * variance / 2 / 100.0)
    assert smooth @ harmonic / (harmonic @ harmonic) == pytest.approx(expected, rel=0.005)  # 2000 flat pieces


def test_the_laplacian_is_symmetric_and_blind_to_constants(sphere):
    laplacian = cotangent_laplacian(*sphere).toarray()
    np.testing.assert_allclose(laplacian, laplacian.T, atol=1e-12)
    np.testing.assert_allclose(laplacian.sum(axis=1), 0, atol=1e-12)
    assert np.linalg.eigvalsh(laplacian).min() > -1e-10


def test_needles_and_doubled_points_leave_smoothing_finite():
    vertices = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, 1.0]])
    faces = np.array([[0, 2, 1], [0, 1, 3], [1, 2, 3], [2, 0, 4], [0, 3, 4], [2, 4, 3]])
    smooth = smooth_on_mesh(np.eye(5), vertices, faces, 1.0)
    assert np.isfinite(smooth).all()


def test_robust_scores_find_the_one_that_differs():
    values = np.array([1.0, 1.1, 0.9, 1.05, 0.95, 5.0])
    assert outliers(values).tolist() == [False] * 5 + [True]
    assert outliers(np.array([1.0] * 11 + [9.0])).tolist() == [False] * 11 + [True]
    assert robust_z(np.ones(4)).tolist() == [0.0] * 4


def test_procrustes_distance_is_the_root_mean_square_in_mm(sphere):
    shapes = np.stack([sphere[0] + [3.0, 0.0, 4.0]])
    np.testing.assert_allclose(procrustes_distances(shapes, sphere[0]), [5.0])
