"""What is said of covariates before group gradients are permuted."""

import numpy as np
import pytest

from thalgpu.engine.comparison.covariates import FEW, check_degrees, covariate_remarks
from thalgpu.engine.comparison.labels import comparisons, residual_weights
from thalgpu.engine.inference.model import InferenceOptions
from thalgpu.errors import NumericsError


def test_a_voxel_without_weight_in_some_permutation_is_found_before_any_is_solved(affinities, study_of):
    """The first subject is large, and counts less than nothing in groups of others with the same covariate."""
    ijk = np.indices((4, 4, 4)).reshape(3, -1).T
    labels, stack = tuple("ab" * 6), affinities(ijk, 12)
    covariates = (np.arange(12) < 3)[:, None].astype(np.float64)
    check_degrees(study_of(stack, labels, ijk, covariates=covariates, n_perm=400))
    stack[0] *= 100
    stack[1:] /= 100
    with pytest.raises(NumericsError, match="leaves voxel 0 a degree of"):
        check_degrees(study_of(stack, labels, ijk, covariates=covariates, n_perm=400))


def chosen(labels):
    return comparisons(tuple(labels), InferenceOptions(n_perm=400, seed=1, two_sided=True))


def remarks(labels, covariates):
    return list(covariate_remarks(chosen(labels), covariates))


def test_few_covariates_of_many_subjects_need_no_words(rng):
    assert remarks("abc" * 20, rng.normal(size=(60, 2))) == []


def test_few_degrees_of_freedom_are_told(rng):
    n_covariates = 18 - 3 - FEW + 1
    (first, *_) = remarks("abc" * 6, rng.normal(size=(18, n_covariates)))
    assert f"18 subjects in 3 groups with {n_covariates} covariates leave {FEW - 1} degrees of freedom" in first


def test_covariates_of_the_groups_themselves_leave_nothing(rng):
    labels = "ab" * 15
    code = (np.array(list(labels)) == "b")[:, None] + 1e-3 * rng.normal(size=(30, 1))
    with pytest.raises(NumericsError, match="covariates leave nothing of a - b"):
        remarks(labels, code)


def balanced(n_subjects, n_covariates, rng):
    """Covariates without any part in the groups."""
    groups = np.column_stack([np.arange(n_subjects) % 2, np.ones(n_subjects)])
    noise = rng.normal(size=(n_subjects, n_covariates))
    return noise - groups @ np.linalg.lstsq(groups, noise, rcond=None)[0]


@pytest.mark.parametrize("kind", ["balanced", "confounded"])
def test_the_ratio_told_is_that_of_the_sds_of_a_linear_statistic(rng, kind):
    labels = "ab" * 12
    covariates = balanced(24, 4, rng)
    if kind == "confounded":
        covariates[:, 0] += 2 * np.std(covariates[:, 0]) * (np.arange(24) % 2)
    (said,) = remarks(labels, covariates)
    (pair,) = chosen(labels)
    weights = residual_weights(pair.weights(range(400), 24), covariates)
    found = (weights[:, 0] - weights[:, 1]) @ rng.normal(size=(24, 4000))
    ratio = found[0].std() / found[1:].std(axis=0).mean()
    assert f"varies {ratio:.1f}" in said or f"varies {ratio - 0.05:.1f}" in said or f"varies {ratio + 0.05:.1f}" in said
    assert ("p-values are too small" if kind == "balanced" else "p-values are too large") in said
