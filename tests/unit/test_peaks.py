"""Clusters of significant features, and the rows that describe them."""

import numpy as np
import pytest

from thalgpu.engine.inference.model import Neighbours
from thalgpu.engine.inference.peaks import PEAK_COLUMNS, Findings, Places, centre_of_mass, find_clusters, peaks_table


def chain(n, sizes=None, dimensions=3):
    """Features in a row, each touching the next."""
    indices = [[j for j in (i - 1, i + 1) if 0 <= j < n] for i in range(n)]
    return Neighbours(
        indptr=np.cumsum([0, *map(len, indices)]).astype(np.int32),
        indices=np.concatenate(indices).astype(np.int32),
        sizes=np.ones(n) if sizes is None else np.asarray(sizes, dtype=float),
        dimensions=dimensions,
    )


@pytest.fixture
def statistic():
    return np.array([3.0, 5.0, -4.0, -2.0, 0.5, 6.0, 1.0])


@pytest.fixture
def significant():
    return np.array([True, True, True, True, False, True, False])


def features_of(clusters):
    return [cluster.features.tolist() for cluster in clusters]


def test_touching_features_of_opposite_sign_are_two_clusters(significant, statistic):
    assert features_of(find_clusters(significant, statistic, chain(7))) == [[0, 1], [2, 3], [5]]


def test_clusters_have_the_sign_and_peak_of_their_largest_magnitude(significant, statistic):
    clusters = find_clusters(significant, statistic, chain(7))
    assert [(c.sign, c.peak, c.peak_statistic) for c in clusters] == [(1, 1, 5.0), (-1, 2, -4.0), (1, 5, 6.0)]


def test_size_adds_up_the_sizes_of_the_features_and_decides_the_order(significant, statistic):
    clusters = find_clusters(significant, statistic, chain(7, sizes=[1, 1, 1, 1, 1, 9, 1]))
    assert [(c.features[0], c.size) for c in clusters] == [(5, 9.0), (0, 2.0), (2, 2.0)]


def test_without_neighbours_every_significant_feature_is_its_own(significant, statistic):
    assert features_of(find_clusters(significant, statistic, None)) == [[5], [1], [2], [0], [3]]


def test_nothing_significant_gives_no_clusters(statistic):
    assert find_clusters(np.zeros(7, dtype=bool), statistic, chain(7)) == []


def test_features_that_only_a_third_one_joins_are_not_one_cluster(statistic):
    ends = np.array([True, False, True] + [False] * 4)
    assert features_of(find_clusters(ends, np.ones(7), chain(7))) == [[0], [2]]


def test_centre_of_mass_is_weighted_by_the_magnitude(significant, statistic):
    coordinates = np.column_stack([np.arange(7.0), np.zeros(7), np.full(7, 2.0)])
    negative = find_clusters(significant, statistic, chain(7))[1]
    np.testing.assert_allclose(centre_of_mass(negative, statistic, coordinates), [(2 * 4 + 3 * 2) / 6, 0, 2])


def test_centre_of_mass_of_a_map_of_zeros_is_the_middle():
    cluster = find_clusters(np.ones(3, dtype=bool), np.zeros(3), chain(3))[0]
    np.testing.assert_allclose(centre_of_mass(cluster, np.zeros(3), np.arange(9.0).reshape(3, 3)), [3, 4, 5])


def test_a_row_says_what_is_known_of_a_cluster(statistic):
    p = np.array([0.04, 0.01, 0.5, 0.5, 0.5, 0.5, 0.5])
    places = Places(
        neighbours=chain(7),
        coordinates=np.column_stack([np.arange(7.0), -np.arange(7.0), np.ones(7)]),
        unit_size=8.0,
        hemispheres=["L"] * 7,
        names=["VPL", "VPM", None, None, None, None, None],
    )
    findings = Findings(
        statistic, p, "p_fwe_tfce", p_low=p / 2, p_high=p * 2,
        effect=statistic / 10, effect_low=statistic / 20, effect_high=statistic / 5, effect_name="hedges_g",
    )  # fmt: skip
    (row,) = peaks_table("patients - controls", "component-1", findings, places)
    assert row == {
        "contrast": "patients - controls",
        "map": "component-1",
        "cluster": 1,
        "sign": "+",
        "n_features": 2,
        "size": 16.0,
        "unit": "mm3",
        "peak_feature": 1,
        "peak": 5.0,
        "x": 1.0,
        "y": -1.0,
        "z": 1.0,
        "centre_x": 0.625,
        "centre_y": -0.625,
        "centre_z": 1.0,
        "hemisphere": "L",
        "p": 0.01,
        "p_low": 0.005,
        "p_high": 0.02,
        "p_source": "p_fwe_tfce",
        "effect": 0.5,
        "effect_low": 0.25,
        "effect_high": 1.0,
        "effect_name": "hedges_g",
        "name": "VPM",
    }


def test_what_is_not_known_is_none_and_the_columns_stay(statistic):
    p = np.where(np.arange(7) < 2, 0.05, 0.06)
    rows = peaks_table("c1", "table", Findings(statistic, p, "p_fwe"), Places())
    assert all(tuple(row) == PEAK_COLUMNS for row in rows)
    assert [row["cluster"] for row in rows] == [1, 2]
    assert [row["peak"] for row in rows] == [5.0, 3.0]
    assert all(row[key] is None for row in rows for key in ("x", "centre_z", "unit", "effect", "p_low", "name"))


def test_sizes_on_surfaces_are_square_millimetres(statistic):
    places = Places(neighbours=chain(7, sizes=np.full(7, 0.5), dimensions=2), unit_size=1.0)
    (row,) = peaks_table("c1", "left", Findings(statistic, np.where(statistic > 2.5, 0.01, 1), "p_fwe"), places)[:1]
    assert (row["size"], row["unit"]) == (1.0, "mm2")
