"""On 1,000 null data sets, 5 % have a feature that is called significant after correction, by whatever measure."""

import numpy as np
import pytest
from scipy import stats
from scipy.sparse import coo_array, eye_array

from thalgpu.engine.inference.permutation_test import permutation_test

N_DATA_SETS, N_PERM = 1000, 100
LOW, HIGH = stats.binom(N_DATA_SETS, 0.05).ppf([0.0005, 0.9995])
"""99.9 % interval of a correct program: 29 and 74 data sets."""


def grid(side):
    """Who touches whom among side³ voxels: faces."""
    number = np.arange(side**3).reshape(side, side, side)
    pairs = np.concatenate(
        [
            np.column_stack([np.delete(number, -1, axis).ravel(), np.delete(number, 0, axis).ravel()])
            for axis in range(3)
        ]
    )
    both = np.concatenate([pairs, pairs[:, ::-1]])
    return coo_array((np.ones(len(both)), both.T), shape=(side**3, side**3)).tocsr()


ADJACENCY = grid(4)
SMOOTHER = (eye_array(64) + 0.4 * ADJACENCY).toarray()


def smooth_noise(rng, n_subjects):
    return rng.standard_t(6, size=(n_subjects, 64)) @ SMOOTHER


def two_groups(rng):
    """Seven against seven, and a covariate that differs between them and matters."""
    group = np.repeat([0.0, 1.0], 7)
    covariate = rng.normal(size=14) + group
    values = covariate[:, None] + smooth_noise(rng, 14)
    return {"Y": values, "X": np.column_stack([1 - group, group, covariate]), "contrasts": [[1, -1, 0], [-1, 1, 0]]}


def one_sample(rng):
    spread = rng.uniform(0.5, 2, 12)[:, None]
    sign = rng.choice([-1, 1], 12)[:, None]
    return {"Y": spread * sign * smooth_noise(rng, 12), "X": np.ones((12, 1)), "contrasts": [1]}


SCHEMES = {
    "two groups": (two_groups, {}),
    "one sample": (one_sample, {"sign_flip": True, "two_sided": True}),
}
MEASURES = ("p_fwe", "p_fwe_joint", "p_fwe_tfce", "p_fwe_cluster_mass", "p_fwe_cluster_extent")


@pytest.fixture(scope="module", params=SCHEMES)
def false_alarms(request):
    """Measure → in how many data sets anything is significant at 5 %; the joint one over all contrasts."""
    make, options = SCHEMES[request.param]
    alarms = dict.fromkeys(MEASURES, 0)
    for number in range(N_DATA_SETS):
        study = make(np.random.default_rng([20260, number]))
        spatial = {"adjacency": ADJACENCY, "tfce": True, "cluster_threshold": 1.5}
        result = permutation_test(**study, **spatial, **options, n_perm=N_PERM, seed=number)
        for measure in MEASURES:
            p = getattr(result, measure)
            if p is not None:  # a single contrast has nothing joint
                alarms[measure] += (p if measure == "p_fwe_joint" else p[0]).min() <= 0.05
    return alarms


@pytest.mark.parametrize("measure", ["p_fwe", "p_fwe_tfce", "p_fwe_cluster_mass"])
def test_false_alarms_are_five_per_cent(false_alarms, measure):
    assert LOW <= false_alarms[measure] <= HIGH


@pytest.mark.parametrize("false_alarms", ["two groups"], indirect=True)
def test_false_alarms_of_any_contrast_are_five_per_cent_after_joint_correction(false_alarms):
    assert LOW <= false_alarms["p_fwe_joint"] <= HIGH


def test_cluster_extents_give_no_more_false_alarms_than_that(false_alarms):
    """Extents are whole numbers that often tie, and ties count: fewer than 5 %, but not hardly any."""
    assert LOW / 2 <= false_alarms["p_fwe_cluster_extent"] <= HIGH
