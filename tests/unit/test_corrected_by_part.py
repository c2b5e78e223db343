"""Components and hemispheres tested in one go: each has the p-values that it has alone."""

import numpy as np
import pytest

from thalgpu.engine.inference.blocks import Problem, block_values, prepare_test, run_block
from thalgpu.engine.inference.finish import finish
from thalgpu.engine.inference.model import Contrast, Design, InferenceOptions, Part
from thalgpu.engine.inference.null_maxima import Null
from thalgpu.engine.inference.permutation_set import plan_permutations
from thalgpu.engine.inference.stretches import Settling

GROUP = np.repeat([1.0, 0.0], 8)
DESIGN = Design(
    np.column_stack([GROUP, 1 - GROUP]), ("a", "b"), (Contrast("a - b", "aMinusB", np.array([[1.0, -1.0]]), "t"),)
)


def maps_of(values, parts, options):
    none = (None,) * len(parts)
    test = prepare_test(Problem(values, DESIGN, plan_permutations(DESIGN, options), options, parts, none, none))
    return finish(test, run_block(test, 0, options.n_perm))[0].maps


@pytest.mark.parametrize("fdr", ["bh", "bky"])
def test_what_is_corrected_within_a_part_does_not_depend_on_the_others(fdr, rng):
    """Effects in the first part only: they must not make the second one's features discoveries."""
    values = rng.normal(size=(16, 50))
    values[:, :20] += 3 * GROUP[:, None]
    options = InferenceOptions(n_perm=200, fdr=fdr)
    together = maps_of(values, (Part("1", 0, 20), Part("2", 20, 50)), options)
    for at in (slice(0, 20), slice(20, 50)):
        alone = maps_of(values[:, at], (Part("", 0, at.stop - at.start),), options)
        for name in ("p", "p_fwe", "p_fdr"):
            np.testing.assert_array_equal(together[name][at], alone[name], err_msg=name)
    assert (together["p_fwe_joint"] >= together["p_fwe"]).all()


def test_tails_are_fitted_a_few_features_at_a_time(rng, monkeypatch):
    """As many as there is memory for; the answer is the same to rounding."""
    values = rng.normal(size=(16, 40)) + 2 * GROUP[:, None]
    options, parts = InferenceOptions(n_perm=500, tail="gpd"), (Part("", 0, 40),)
    test = prepare_test(Problem(values, DESIGN, plan_permutations(DESIGN, options), options, parts, (None,), (None,)))
    sizes = []

    def collect(measure, contrast, features):
        sizes.append(len(features))
        return block_values(test, measure, contrast, features, 0, 500)

    null = run_block(test, 0, 500)
    whole = finish(test, null, collect)[0].maps["p"]
    monkeypatch.setattr("thalgpu.engine.inference.finish._COLLECTED_BYTES", 7 * 8 * 500)
    np.testing.assert_allclose(finish(test, null, collect)[0].maps["p"], whole, rtol=1e-10)
    assert sizes[0] > 20
    assert max(sizes[1:]) == 7


def test_stopping_early_waits_for_the_largest_cluster():
    """Its features have been reached twice after a block, the cluster only after two."""
    settling = Settling()
    for number, (reached, is_settled) in enumerate([(1, False), (1, True)]):
        extents = np.zeros((1, 1, 100))
        extents[0, 0, 1 : 1 + reached] = 10.0
        extents[0, 0, 0] = 10.0 if number == 0 else 0.0
        maxima = {"stat": np.ones((1, 1, 100)), "cluster_extent": extents}
        counts = {"stat": np.full((1, 3), 5)}
        hits = {"stat": np.full((1, 2, 3), 100 * number + np.array([3, 4])[:, None], dtype=np.int32)}
        settling.take(Null(((100 * number, 100 * number + 100),), maxima, counts, hits))
        assert settling.is_settled == is_settled
    assert settling.null.stretches == ((0, 200),)
