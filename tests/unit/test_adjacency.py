"""Neighbours of voxels and vertices."""

import numpy as np
import pytest

from thalgpu.engine.inference.adjacency import joined, mesh_neighbours, subset, volume_neighbours
from thalgpu.errors import NumericsError

TETRAHEDRON = np.array([[0, 1, 2], [0, 1, 3], [0, 2, 3], [1, 2, 3]])


def dense(neighbours):
    """The neighbours as a square matrix of yes and no, checked on the way."""
    n = len(neighbours.sizes)
    assert neighbours.indptr.dtype == neighbours.indices.dtype == np.int32
    assert neighbours.sizes.dtype == np.float64
    matrix = np.zeros((n, n), bool)
    for i in range(n):
        row = neighbours.indices[neighbours.indptr[i] : neighbours.indptr[i + 1]]
        assert np.all(np.diff(row) > 0)  # ascending, each once
        matrix[i, row] = True
    return matrix


@pytest.mark.parametrize(("connectivity", "reach"), [(6, 1), (18, 2), (26, 3)])
def test_voxels_touch_by_faces_edges_or_corners(rng, connectivity, reach):
    ijk = rng.permutation(np.argwhere(rng.random((6, 7, 8)) < 0.6)) - 3
    apart = np.abs(ijk[:, None] - ijk[None])
    touching = (apart.max(axis=2) == 1) & (apart.sum(axis=2) <= reach)
    found = volume_neighbours(ijk, connectivity)
    np.testing.assert_array_equal(dense(found), touching)
    np.testing.assert_array_equal(found.sizes, np.ones(len(ijk)))
    assert found.dimensions == 3


def test_the_ends_of_a_row_do_not_touch_the_next_row():
    found = volume_neighbours(np.argwhere(np.ones((3, 3, 3))), 26)
    assert np.diff(found.indptr).tolist().count(26) == 1  # the middle voxel only
    assert np.diff(found.indptr).min() == 7  # corners


@pytest.mark.parametrize("ijk", [np.empty((0, 3), int), np.array([[5, 5, 5]], np.uint8)])
def test_few_voxels(ijk):
    assert dense(volume_neighbours(ijk, 26)).shape == (len(ijk), len(ijk))


@pytest.mark.parametrize(
    ("ijk", "connectivity", "message"),
    [
        (np.zeros((2, 3), int), 6, "twice"),
        (np.zeros((2, 3)), 6, "integers"),
        (np.zeros((2, 2), int), 6, "shape"),
        (np.zeros((1, 3), int), 8, "6, 18 or 26"),
        (np.array([[0, 0, 0], [2**40] * 3]), 6, "too far apart"),
    ],
)
def test_voxels_that_are_none_are_refused(ijk, connectivity, message):
    with pytest.raises(NumericsError, match=message):
        volume_neighbours(ijk, connectivity)


def test_vertices_touch_along_edges_of_triangles():
    strip = np.array([[0, 1, 2], [1, 2, 3], [2, 3, 4], [3, 3, 5]])  # the last is a line
    found = mesh_neighbours(strip, 7)
    pairs = {(0, 1), (0, 2), (1, 2), (1, 3), (2, 3), (2, 4), (3, 4), (3, 5)}
    rows, columns = np.nonzero(np.triu(dense(found)))
    assert set(zip(rows.tolist(), columns.tolist(), strict=True)) == pairs
    np.testing.assert_array_equal(dense(found), dense(found).T)
    assert found.dimensions == 2


def test_areas_of_vertices_add_up_to_that_of_the_mesh():
    corners = np.array([[0.0, 0, 0], [2, 0, 0], [0, 2, 0], [0, 0, 2]])
    found = mesh_neighbours(TETRAHEDRON, 4, corners, areas=True)
    right, slanted = 2.0, np.sqrt(12.0)  # area of a face at the right angle, and of the one across
    expected = [3 * right, 2 * right + slanted, 2 * right + slanted, 2 * right + slanted]
    np.testing.assert_allclose(found.sizes, np.array(expected) / 3, rtol=1e-15)
    np.testing.assert_array_equal(mesh_neighbours(TETRAHEDRON, 4, corners).sizes, np.ones(4))


def test_vertices_that_are_left_out_take_no_area_along():
    corners = np.array([[0.0, 0, 0], [2, 0, 0], [0, 2, 0], [0, 0, 2]])
    whole = mesh_neighbours(TETRAHEDRON, 4, corners, areas=True)
    kept = mesh_neighbours(TETRAHEDRON, 4, corners, areas=True, keep=np.array([True, False, True, True]))
    np.testing.assert_array_equal(kept.sizes, whole.sizes[[0, 2, 3]])
    np.testing.assert_array_equal(dense(kept), ~np.eye(3, dtype=bool))


@pytest.mark.parametrize(
    ("faces", "options", "message"),
    [
        (TETRAHEDRON, {"areas": True}, "coordinates"),
        (TETRAHEDRON, {"areas": True, "coordinates": np.full((4, 3), np.nan)}, "finite"),
        (TETRAHEDRON, {"areas": True, "coordinates": np.zeros((3, 3))}, "shape"),
        (TETRAHEDRON + 1, {}, "vertices 1 to 4"),
        (TETRAHEDRON - 1, {}, "vertices -1 to 2"),
        (TETRAHEDRON[:, :2], {}, "shape"),
        (TETRAHEDRON * 1.0, {}, "integers"),
        (TETRAHEDRON, {"keep": np.ones(3, bool)}, "does not fit 4"),
        (TETRAHEDRON, {"keep": np.array([0, 4])}, "below 4"),
        (TETRAHEDRON, {"keep": np.array([1, 1])}, "twice"),
    ],
)
def test_meshes_that_are_none_are_refused(faces, options, message):
    with pytest.raises(NumericsError, match=message):
        mesh_neighbours(faces, 4, **options)


def test_a_subset_keeps_who_touched_and_the_order_asked_for(rng):
    whole = volume_neighbours(np.argwhere(np.ones((4, 4, 4))), 18)
    for keep in (rng.random(64) < 0.5, rng.permutation(64)[:20]):
        np.testing.assert_array_equal(dense(subset(whole, keep)), dense(whole)[keep][:, keep])


def test_joined_parts_do_not_touch():
    corners = np.array([[0.0, 0, 0], [2, 0, 0], [0, 2, 0], [0, 0, 2]])
    left, right = mesh_neighbours(TETRAHEDRON, 4, corners, areas=True), mesh_neighbours(TETRAHEDRON[:1], 3)
    both = dense(joined([left, right]))
    np.testing.assert_array_equal(both[:4, :4], dense(left))
    np.testing.assert_array_equal(both[4:, 4:], dense(right))
    assert not both[:4, 4:].any()
    np.testing.assert_array_equal(joined([left, right]).sizes, [*left.sizes, *right.sizes])


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ([], "nothing"),
        ([mesh_neighbours(TETRAHEDRON, 4), volume_neighbours(np.zeros((1, 3), int), 6)], "voxels and vertices"),
    ],
)
def test_parts_that_cannot_be_joined_are_refused(parts, message):
    with pytest.raises(NumericsError, match=message):
        joined(parts)
