"""Joint correction of arms: what p-values may depend on, and what not; units, sizes and order are not among it."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from thalgpu.engine.inference.corrections import familywise
from thalgpu.engine.inference.joint_arms import Arm, join_arms
from thalgpu.errors import NumericsError, UsageError

N_PERM = 12
MAXIMA = arrays(np.int64, N_PERM, elements=st.integers(0, 9)).map(lambda whole: whole.astype(float))
"""Whole numbers: many ties, and nothing that a change of units could round into one."""
PARTS = st.dictionaries(st.sampled_from(["left", "right", "third"]), MAXIMA, min_size=1)


@st.composite
def studies(draw):
    names = draw(st.lists(st.sampled_from(["shape", "volume", "gradients"]), min_size=1, unique=True))
    return [Arm(name, draw(PARTS)) for name in names]


def observed(arm):
    """Within-part p of each part's strongest place, as its own test gives it."""
    return np.array([familywise(maxima[:1], maxima)[0] for maxima in arm.maxima.values()])


def all_p(joint):
    return {
        arm.name: (joint.p_arm(arm.name, observed(arm)), joint.p_joint(arm.name, observed(arm))) for arm in joint.arms
    }


@given(studies())
@settings(max_examples=60, deadline=None)
def test_p_is_the_definition(arms):
    joint, n = join_arms(arms), range(N_PERM)
    q = {}
    for arm in arms:
        u = [min(np.mean([m[j] >= m[i] for j in n]) for m in arm.maxima.values()) for i in n]
        q[arm.name] = [np.mean([u[j] <= u[i] for j in n]) for i in n]
        expected = [np.mean([u[j] <= p for j in n]) for p in observed(arm)]
        np.testing.assert_allclose(joint.p_arm(arm.name, observed(arm)), expected, rtol=1e-12)
    v = np.min(list(q.values()), axis=0)
    for arm in arms:
        expected = [np.mean(v <= p) for p in joint.p_arm(arm.name, observed(arm))]
        np.testing.assert_allclose(joint.p_joint(arm.name, observed(arm)), expected, rtol=1e-12)


@given(studies(), st.sampled_from([np.exp, np.cbrt, lambda m: 1e6 * m - 3, lambda m: (m + 1) ** 3]))
@settings(max_examples=40, deadline=None)
def test_units_and_monotone_transforms_of_a_part_change_nothing(arms, transform):
    first = arms[0]
    part = next(iter(first.maxima))
    other = [Arm(first.name, {**first.maxima, part: transform(first.maxima[part])}), *arms[1:]]
    before, after = all_p(join_arms(arms)), all_p(join_arms(other))
    for name in before:
        np.testing.assert_array_equal(after[name], before[name])


@given(studies())
@settings(max_examples=40, deadline=None)
def test_the_order_of_arms_and_parts_changes_nothing(arms):
    expected = all_p(join_arms(arms))
    for order in permutations(arms):
        found = all_p(join_arms([Arm(arm.name, dict(reversed(arm.maxima.items()))) for arm in order]))
        for name in expected:
            np.testing.assert_array_equal(np.sort(found[name]), np.sort(expected[name]))


@given(studies(), st.permutations(range(1, N_PERM)))
@settings(max_examples=40, deadline=None)
def test_the_order_of_the_permutations_changes_nothing_if_it_is_the_same_in_all(arms, rest):
    order = [0, *rest]
    shuffled = [Arm(arm.name, {part: maxima[order] for part, maxima in arm.maxima.items()}) for arm in arms]
    expected, found = all_p(join_arms(arms)), all_p(join_arms(shuffled))
    for name in expected:
        np.testing.assert_array_equal(found[name], expected[name])


@given(studies())
@settings(max_examples=40, deadline=None)
def test_each_correction_only_makes_p_larger(arms):
    joint = join_arms(arms)
    for arm in arms:
        own = observed(arm)
        assert (joint.p_arm(arm.name, own) >= own - 1e-12).all()
        assert (joint.p_joint(arm.name, own) >= joint.p_arm(arm.name, own)).all()


@given(MAXIMA, arrays(np.int64, 5, elements=st.integers(-2, 11)))
@settings(max_examples=40, deadline=None)
def test_one_part_of_one_arm_keeps_its_own_p(maxima, values):
    """Of any statistic up to the largest observed: nothing else was tested."""
    joint = join_arms([Arm("volume", {"total": maxima})])
    p = joint.p_part("volume", "total", np.minimum(values, maxima[0]))
    np.testing.assert_array_equal(joint.p_arm("volume", p), p)
    np.testing.assert_array_equal(joint.p_joint("volume", p), p)


def test_a_copy_of_an_arm_costs_nothing(rng):
    """Two arms that always say the same are one test; a correction by their number would double p."""
    maxima = {"left": rng.normal(size=200), "right": rng.normal(size=200)}
    one = join_arms([Arm("a", maxima)])
    two = join_arms([Arm("a", maxima), Arm("b", maxima)])
    p = np.arange(1, 201) / 200
    np.testing.assert_array_equal(two.p_joint("a", p), one.p_joint("a", p))


def test_p_stored_as_float32_counts_as_what_it_was(rng):
    joint = join_arms([Arm(name, {"": rng.normal(size=5000)}) for name in ("a", "b")])
    p = np.arange(1, 5001) / 5000
    np.testing.assert_array_equal(joint.p_joint("a", p.astype(np.float32)), joint.p_joint("a", p))


def test_fitted_p_below_one_permutation_counts_as_one(rng):
    joint = join_arms([Arm(name, {"": rng.normal(size=100)}) for name in ("a", "b")])
    np.testing.assert_array_equal(joint.p_arm("a", np.array([1e-9, 0.0])), [0.01, 0.01])


def test_the_least_p_there_can_be_is_that_of_parts_times_arms():
    """Every part has another permutation that is its most extreme; no p of an arm can tell these apart."""
    maxima = {str(part): np.where(np.arange(100) == 2 * part, 9.0, 0.0) + np.arange(100) / 1000 for part in range(3)}
    other = {str(part): np.where(np.arange(100) == 2 * part + 1, 9.0, 0.0) + np.arange(100) / 1000 for part in range(3)}
    joint = join_arms([Arm("a", maxima), Arm("b", other)])
    assert joint.p_arm("a", 0.01) == 0.03
    assert joint.least_p_joint_of("a") == joint.least_p_joint == 0.06


BAD = {
    "no arms": ([], UsageError, "no arms"),
    "no parts": ([Arm("a", {})], UsageError, "arm a has no parts"),
    "one name twice": ([Arm("a", {"": np.ones(3)})] * 2, UsageError, "two arms are called 'a'"),
    "lengths": ([Arm("a", {"": np.ones(3)}), Arm("b", {"": np.ones(4)})], UsageError, "a 3, b 4"),
    "matrix": ([Arm("a", {"": np.ones((3, 2))})], UsageError, "one number a permutation"),
    "nothing": ([Arm("a", {"": np.ones(0)})], UsageError, "one number a permutation"),
    "other sets": (
        [Arm("a", {"": np.ones(3)}, "random-1"), Arm("b", {"": np.ones(3)}, "random-2")],
        UsageError,
        "not permuted alike",
    ),
    "nan": ([Arm("a", {"left": np.array([1.0, np.nan])})], NumericsError, "part 'left' hold NaN"),
}


@pytest.mark.parametrize("case", BAD)
def test_arms_that_cannot_be_joined_are_refused(case):
    arms, error, message = BAD[case]
    with pytest.raises(error, match=message):
        join_arms(arms)


def test_unknown_names_and_impossible_p_are_refused():
    joint = join_arms([Arm("shape", {"left": np.arange(4.0)})])
    with pytest.raises(UsageError, match=r"no arm 'shap' — did you mean 'shape'\?"):
        joint.p_arm("shap", 0.5)
    with pytest.raises(UsageError, match=r"no part 'lef' — did you mean 'left'\?"):
        joint.p_part("shape", "lef", 1.0)
    for p in (-0.1, 1.1, np.nan):
        with pytest.raises(NumericsError, match="between 0 and 1"):
            joint.p_arm("shape", p)
