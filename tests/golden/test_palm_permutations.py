"""PALM's own permutations, read back."""

import math

import numpy as np
import pytest

from thalgpu.engine.inference.block_tree import block_tree
from thalgpu.engine.inference.exchangeability import in_words
from thalgpu.engine.inference.model import Contrast, Design, InferenceOptions
from thalgpu.engine.inference.permutation_set import permutations_from_file, plan_permutations, row_labels
from thalgpu.engine.inputs.permutation_files import read_permutations


@pytest.fixture(scope="module")
def palm(shared_data):
    return shared_data / "palm"


@pytest.mark.parametrize("number", range(1, 6))
def test_palms_file_is_imported_as_it_is(palm, tmp_path, number):
    with np.load(palm / "palm_results.npz") as archive:
        expected = archive[f"vol_c{number}_permidx"]
    path = tmp_path / "permidx.csv"
    np.savetxt(path, expected, fmt="%d", delimiter=",")
    given = permutations_from_file(read_permutations(path, 24), block_tree(None, 24), path)
    permutations, signs = given.rows(0, 100)
    assert (given.n_perm, signs) == (100, None)
    np.testing.assert_array_equal(permutations, expected - 1)


def test_the_exhaustive_test_takes_palms_seventy(palm):
    matrix = np.loadtxt(palm / "ex_design.csv", delimiter=",")
    weights = np.atleast_2d(np.loadtxt(palm / "ex_contrasts.csv", delimiter=","))[:1]
    design = Design(matrix, ("a", "b"), (Contrast("a - b", "c1", weights, "t"),))
    with np.load(palm / "palm_results.npz") as archive:
        assert plan_permutations(design, InferenceOptions(n_perm=0)).n_perm == len(archive["ex_dat_tstat_max"])


def test_groups_of_eight_nine_and_seven_are_counted_whatever_their_nuisance_variables(palm):
    matrix = np.loadtxt(palm / "design.csv", delimiter=",")
    weights = np.loadtxt(palm / "contrasts.csv", delimiter=",")
    groups = tuple(Contrast(f"c{i}", f"c{i}", row[None], "t") for i, row in enumerate(weights[:3]))
    design = Design(matrix, tuple("abcdef"), groups)
    assert math.factorial(24) // (math.factorial(8) * math.factorial(9) * math.factorial(7)) == 8_413_788_240
    words = "free exchange of 24 subjects: 8,413,788,240 distinct permutations"
    assert in_words(block_tree(None, 24), row_labels(design, groups[0])) == words
    assert in_words(block_tree(None, 24), row_labels(design)) == words
