"""Blocks are merged to the same bits in any order and grouping; and whatever the study, the answers make sense."""

from functools import reduce
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.sparse import diags_array

from thalgpu.engine.inference.blocks import Problem, prepare_test, run_block
from thalgpu.engine.inference.model import Contrast, Design, InferenceOptions, Part
from thalgpu.engine.inference.null_maxima import merge
from thalgpu.engine.inference.permutation_set import plan_permutations
from thalgpu.engine.inference.permutation_test import permutation_test

N_PERM = 60
SETTINGS = settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
METHODS = ("freedman-lane", "ter-braak", "manly", "dekker")


def bits(null):
    """Everything, as bytes."""
    kinds = (null.maxima, null.counts, null.first_hits)
    return null.stretches, [{name: array.tobytes() for name, array in kind.items()} for kind in kinds]


@pytest.fixture(scope="module")
def test_and_whole():
    rng = np.random.default_rng(0)
    matrix = np.column_stack([np.repeat([1.0, 0.0], 8), np.ones(16), rng.normal(size=16)])
    contrasts = (
        Contrast("a", "a", np.array([[1.0, 0, 0]]), "t"),
        Contrast("any", "any", np.array([[1.0, 0, 0], [0, 0, 1]]), "f"),
    )
    design = Design(matrix, tuple("abc"), contrasts)
    options = InferenceOptions(n_perm=N_PERM, stop_after=3)
    parts = (Part("one", 0, 3), Part("two", 3, 7))
    values = rng.normal(size=(16, 7))
    nobody = (None, None)
    test = prepare_test(Problem(values, design, plan_permutations(design, options), options, parts, nobody, nobody))
    return test, bits(run_block(test, 0, N_PERM))


@st.composite
def grouped_blocks(draw):
    """Bounds of blocks, in any order, and which two of what is left are merged next."""
    inner = draw(st.lists(st.integers(1, N_PERM - 1), unique=True, max_size=8))
    bounds = [0, *sorted(inner), N_PERM]
    cuts = draw(st.permutations(list(pairwise(bounds))))
    return cuts, [draw(st.tuples(st.integers(0, n - 1), st.integers(0, n - 2))) for n in range(len(cuts), 1, -1)]


@SETTINGS
@given(grouped_blocks())
def test_any_order_and_grouping_of_any_blocks_gives_the_same_bits(test_and_whole, plan):
    test, whole = test_and_whole
    cuts, pairs = plan
    left = [run_block(test, *cut) for cut in cuts]
    for i, j in pairs:
        one = left.pop(i)
        left.append(merge(one, left.pop(j)))
    assert bits(left[0]) == whole


@SETTINGS
@given(st.permutations([(0, 13), (13, 20), (40, 60)]))
def test_merging_is_commutative_and_associative_across_gaps(test_and_whole, cuts):
    test, _ = test_and_whole
    a, b, c = (run_block(test, *cut) for cut in cuts)
    assert bits(merge(a, b)) == bits(merge(b, a))
    assert bits(merge(merge(a, b), c)) == bits(merge(a, merge(b, c))) == bits(reduce(merge, (c, a, b)))


@st.composite
def studies(draw):
    """A small study, perhaps with features that are constant, exactly linear in the design, or of absurd size."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    sizes = draw(st.lists(st.integers(3, 6), min_size=2, max_size=3))
    group = np.repeat(np.arange(len(sizes)), sizes)
    n_nuisance = draw(st.integers(0, 2))
    X = np.column_stack([group[:, None] == np.arange(len(sizes)), rng.normal(size=(len(group), n_nuisance))])
    n_features = draw(st.integers(1, 6))
    values = rng.normal(size=(len(group), n_features))
    for v in range(n_features):
        kind = draw(st.sampled_from(["noise", "constant", "linear", "few values", "zero", "one subject"]))
        if kind == "constant":
            values[:, v] = rng.normal()
        elif kind == "linear":
            values[:, v] = X @ rng.normal(size=X.shape[1])
        elif kind == "few values":
            values[:, v] = rng.integers(0, 2, len(group))
        elif kind == "zero":
            values[:, v] = 0.0
        elif kind == "one subject":
            values[:, v] = np.arange(len(group)) == 1
        values[:, v] *= 10.0 ** draw(st.sampled_from([0, -3, 6, -90, 90]))
    weights = np.zeros(X.shape[1])
    weights[:2] = 1, -1
    rows = [weights, np.roll(weights, 1)] if len(sizes) == 3 else [weights]
    if len(sizes) == 3:
        rows[1] = np.array([0, 1, -1] + [0] * n_nuisance, dtype=float)
    method = draw(st.sampled_from(METHODS))
    options = {
        "method": method,
        "two_sided": draw(st.booleans()),
        "sign_flip": draw(st.booleans()),
        "statistic_scale": draw(st.sampled_from(["t", "z"])),
        "variance_groups": group if method != "dekker" and draw(st.booleans()) else None,
        "seed": draw(st.integers(0, 5)),
        "tail": draw(st.sampled_from(["none", "gpd", "gamma"])),
    }
    if draw(st.booleans()):
        chain = diags_array([np.ones(n_features - 1)] * 2, offsets=[-1, 1], shape=(n_features, n_features))
        options |= {"adjacency": chain, "tfce": True, "cluster_threshold": 1.0}
    return values, X, weights, [np.stack(rows)], options


def arrays(found):
    """Name → array, of what is there."""
    every = {name: getattr(found, name) for name in found.__dataclass_fields__}
    return {name: array for name, array in every.items() if isinstance(array, np.ndarray)}


@settings(SETTINGS, max_examples=150)
@given(studies())
def test_answers_are_finite_and_p_is_a_probability(study):
    values, X, contrast, f_tests, options = study
    found = permutation_test(values, X, contrast, f_tests, n_perm=40, **options)
    for name, array in arrays(found).items():
        assert np.isfinite(array).all(), name
        if name.startswith("p"):
            assert ((array > 0) & (array <= 1)).all(), name
    assert all(np.isfinite(maxima).all() for maxima in found.null_max.values())
    still = np.ptp(values, axis=0) == 0
    if not options["sign_flip"]:
        assert (found.stat[:, still] == 0).all()
        assert (found.p[:, still] == 1).all()
    if options["tail"] == "none":
        assert (found.p_fwe >= found.p - 1e-12).all()
        assert (found.p >= 1 / found.n_perm - 1e-12).all()


@settings(SETTINGS, max_examples=40)
@given(studies(), st.integers(-20, 20))
def test_units_of_measurement_do_not_matter(study, exponent):
    values, X, contrast, f_tests, options = study
    one, other = (
        permutation_test(values * 2.0**power, X, contrast, f_tests, n_perm=40, **options) for power in (0, exponent)
    )
    for name, array in arrays(one).items():
        np.testing.assert_array_equal(arrays(other)[name], array, err_msg=name)
