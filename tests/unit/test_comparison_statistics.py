"""Differences of group gradients against the same in plain words: loops, SciPy, and the alignment of a single map."""

import numpy as np
import pytest
from scipy.linalg import subspace_angles

from thalgpu.engine.comparison.statistics import (
    SCALARS,
    GroupGradients,
    align,
    chordal_distances,
    feature_parts,
    omnibus_features,
    pair_features,
    principal_angles,
)
from thalgpu.engine.gradients.alignment import procrustes

N_PERM, N_VOXELS, K = 4, 30, 5


def orthonormal(rng, *shape):
    return np.linalg.qr(rng.normal(size=shape))[0]


def groups_of(rng, n_groups):
    return GroupGradients(
        aligned=rng.normal(size=(N_PERM, n_groups, N_VOXELS, K)),
        lambdas=rng.uniform(size=(N_PERM, n_groups, K)),
        explained=rng.uniform(size=(N_PERM, n_groups, K)),
        vectors=orthonormal(rng, N_PERM, n_groups, N_VOXELS, K),
    )


def chordal(one, other):
    """Distances of the spans of the first 1, 2, … columns, from SciPy's angles."""
    count = range(1, one.shape[1] + 1)
    return np.array([np.sqrt((np.sin(subspace_angles(one[:, :j], other[:, :j])) ** 2).sum()) for j in count])


def named(features):
    """name → (n_perm, size) of the parts."""
    return {part.name: features[:, part.start : part.stop] for part in feature_parts(N_VOXELS, K)}


def ranges(maps):
    return maps.max(axis=0) - maps.min(axis=0)


@pytest.mark.parametrize("n_align", [1, 3, K, 10])
def test_many_maps_are_aligned_as_one_is(rng, n_align):
    template = rng.normal(size=(N_VOXELS, K))
    maps = template @ orthonormal(rng, 6, K, K) + 0.3 * rng.normal(size=(6, N_VOXELS, K))
    for one, aligned in zip(maps, align(maps, template, n_align), strict=True):
        np.testing.assert_allclose(aligned, procrustes(one, template, n_align=n_align).aligned, atol=1e-12)


def test_features_are_a_map_a_component_and_then_the_numbers():
    parts = feature_parts(N_VOXELS, 2)
    assert [part.name for part in parts] == ["component-1", "component-2", *SCALARS]
    assert [part.stop - part.start for part in parts] == [N_VOXELS, N_VOXELS, 2, 2, 2, 2]
    assert [part.start for part in parts] == [0, *(part.stop for part in parts[:-1])]


def test_a_pair_differs_by_the_first_group_less_the_second(rng):
    groups = groups_of(rng, 2)
    found = named(pair_features(groups))
    for i in range(K):
        maps = groups.aligned[:, :, :, i]
        np.testing.assert_array_equal(found[f"component-{i + 1}"], maps[:, 0] - maps[:, 1])
    np.testing.assert_array_equal(found["eigenvalue"], groups.lambdas[:, 0] - groups.lambdas[:, 1])
    np.testing.assert_array_equal(found["explained"], groups.explained[:, 0] - groups.explained[:, 1])
    for p, (one, other) in enumerate(groups.aligned):
        np.testing.assert_allclose(found["range"][p], ranges(one) - ranges(other), rtol=1e-12)
    for p, (one, other) in enumerate(groups.vectors):
        np.testing.assert_allclose(found["subspace"][p], chordal(one, other), rtol=1e-10)


def test_all_groups_differ_by_their_weighted_standard_deviation(rng):
    groups, shares = groups_of(rng, 3), np.array([0.5, 0.3, 0.2])
    pooled = orthonormal(rng, N_VOXELS, K)
    found = named(omnibus_features(groups, shares, pooled))

    def spread(values):
        mean = sum(share * value for share, value in zip(shares, values, strict=True))
        return np.sqrt(sum(share * (value - mean) ** 2 for share, value in zip(shares, values, strict=True)))

    for p in range(N_PERM):
        maps = spread(groups.aligned[p])
        for i in range(K):
            np.testing.assert_allclose(found[f"component-{i + 1}"][p], maps[:, i], rtol=1e-12)
        np.testing.assert_allclose(found["eigenvalue"][p], spread(groups.lambdas[p]), rtol=1e-12)
        np.testing.assert_allclose(found["explained"][p], spread(groups.explained[p]), rtol=1e-12)
        np.testing.assert_allclose(found["range"][p], spread([ranges(one) for one in groups.aligned[p]]), rtol=1e-12)
        squares = [share * chordal(one, pooled) ** 2 for share, one in zip(shares, groups.vectors[p], strict=True)]
        np.testing.assert_allclose(found["subspace"][p], np.sqrt(sum(squares)), rtol=1e-10)


def test_two_groups_as_all_groups_differ_by_half_of_what_they_do_as_a_pair(rng):
    groups, pooled = groups_of(rng, 2), orthonormal(rng, N_VOXELS, K)
    pair, both = named(pair_features(groups)), named(omnibus_features(groups, np.array([0.5, 0.5]), pooled))
    for name in (*(f"component-{i}" for i in range(1, K + 1)), "eigenvalue", "explained", "range"):
        np.testing.assert_allclose(both[name], np.abs(pair[name]) / 2, rtol=1e-9, atol=1e-14)


@pytest.mark.parametrize("n_voxels", [12, 200])
def test_chordal_distances_are_those_of_the_principal_angles(rng, n_voxels):
    one, other = orthonormal(rng, 3, n_voxels, K), orthonormal(rng, 3, n_voxels, K)
    for found, a, b in zip(chordal_distances(one, other), one, other, strict=True):
        np.testing.assert_allclose(found, chordal(a, b), rtol=1e-10)


def test_subspaces_do_not_depend_on_the_basis_within_them(rng):
    one, other = orthonormal(rng, 1, N_VOXELS, K), orthonormal(rng, 1, N_VOXELS, K)
    turned = one @ orthonormal(rng, K, K)
    np.testing.assert_allclose(chordal_distances(turned, other)[0, -1], chordal_distances(one, other)[0, -1])


def test_a_subspace_is_at_no_distance_from_itself(rng):
    one = orthonormal(rng, 1, N_VOXELS, K)
    np.testing.assert_allclose(chordal_distances(one, -one), 0, atol=1e-7)  # the root of a difference of 1e-15


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_principal_angles_are_those_that_subspaces_were_turned_by(rng, dtype):
    """The last of them is a thousandth of a degree, whose cosine is 1 in single precision."""
    axes = orthonormal(rng, N_VOXELS, 2 * K)
    degrees = np.array([60, 30, 10, 1, 1e-3])
    turned = axes[:, :K] * np.cos(np.radians(degrees)) + axes[:, K:] * np.sin(np.radians(degrees))
    found = principal_angles(axes[:, :K].astype(dtype), turned.astype(dtype))
    for size, row in enumerate(found, start=1):
        np.testing.assert_allclose(row[:size], degrees[:size], rtol=1e-5 if dtype == np.float64 else 0.02)
        assert not row[size:].any()


def test_chordal_distances_are_the_root_of_the_summed_squared_sines_of_the_principal_angles(rng):
    one, other = orthonormal(rng, 2, N_VOXELS, K)
    sines = np.sin(np.radians(principal_angles(one, other)))
    np.testing.assert_allclose(chordal_distances(one[None], other[None])[0], np.sqrt((sines**2).sum(axis=1)))
