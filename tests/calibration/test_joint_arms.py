"""Joint correction of arms that share their noise and differ in size: false alarms of the study, and of each arm."""

import numpy as np
import pytest
from scipy import stats

from thalgpu.engine.inference.joint_arms import Arm, join_arms

N_STUDIES, N_PERM, N_SUBJECTS = 1000, 200, 20
SIZES = {"volume": (1,), "connectivity": (12,), "gradients": (400, 400)}
"""Features of each part of each arm."""
LOW, HIGH = stats.binom(N_STUDIES, 0.05).ppf([0.0005, 0.9995])
"""99.9 % interval of a correct program: 29 and 74 studies."""


def null_study(number):
    """Arms whose statistics are differences of two groups, in units of their own; one source of noise is in all."""
    rng = np.random.default_rng([20260, number])
    orders = np.vstack([np.arange(N_SUBJECTS), rng.permuted(np.tile(np.arange(N_SUBJECTS), (N_PERM - 1, 1)), axis=1)])
    labels = np.repeat([1.0, -1.0], N_SUBJECTS // 2)[orders]
    shared = rng.normal(size=(N_SUBJECTS, 1))
    arms = []
    for unit, (name, sizes) in enumerate(SIZES.items()):
        parts = {}
        for part, size in enumerate(sizes):
            values = 10.0**unit * (shared + rng.standard_t(5, size=(N_SUBJECTS, size)))
            parts[str(part)] = np.abs(labels @ values).max(axis=1)
        arms.append(Arm(name, parts))
    return arms


@pytest.fixture(scope="module")
def smallest_p():
    """(n_studies, n_arms) the smallest joint p of each arm, and those of a maximum over everything."""
    joint_p, naive_p = [], []
    for number in range(N_STUDIES):
        arms = null_study(number)
        joint = join_arms(arms)
        tops = {arm.name: [joint.p_part(arm.name, k, m[:1])[0] for k, m in arm.maxima.items()] for arm in arms}
        joint_p.append([joint.p_joint(name, top).min() for name, top in tops.items()])
        largest = np.array([np.max(list(arm.maxima.values()), axis=0) for arm in arms])
        naive_p.append([np.mean(largest.max(axis=0) >= own[0]) for own in largest])
    return np.array(joint_p), np.array(naive_p)


def test_false_alarms_of_the_study_are_five_per_cent(smallest_p):
    assert LOW <= np.count_nonzero(smallest_p[0].min(axis=1) <= 0.05) <= HIGH


def test_arms_of_any_size_have_an_equal_share_of_false_alarms(smallest_p):
    """At .2, for there to be enough of them."""
    alarms = (smallest_p[0] <= 0.2).sum(axis=0)
    assert stats.chisquare(alarms).pvalue > 0.001


def test_a_maximum_over_everything_would_leave_nothing_to_small_arms(smallest_p):
    """The data of the test above do need their ranks."""
    volume, _, gradients = (smallest_p[1] <= 0.2).sum(axis=0)
    assert volume < gradients / 10
