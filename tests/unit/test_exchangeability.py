"""How many permutations there are, which, and random ones."""

import math

import numpy as np
import pytest

from thalgpu.engine.inference.block_tree import block_tree
from thalgpu.engine.inference.exchangeability import (
    count_flips,
    count_permutations,
    draw_flips,
    draw_permutations,
    enumerate_flips,
    enumerate_permutations,
    in_words,
    told_apart,
)
from thalgpu.engine.inference.table_design import tree_from_column
from thalgpu.kernels.random import permutations

GROUPS = np.repeat([0, 1, 2], 8)


def one_column(labels, *, within=True, whole=False):
    """Blocks exchanged as wholes, or their rows inside, or both."""
    if within and whole:
        columns = np.column_stack([np.ones_like(labels), labels, np.arange(1, len(labels) + 1)])
    else:
        columns = tree_from_column(np.array(labels), whole)
    return block_tree(columns, len(labels))


FREE = block_tree(None, 24)
PAIRS = [1, 1, 2, 2, 3, 3]
WITHIN, WHOLE = one_column(PAIRS), one_column(PAIRS, whole=True, within=False)
BOTH = one_column(PAIRS, whole=True)
ALL_DIFFER, CONDITION, GROUP = np.arange(6), np.array([0, 1] * 3), np.array([0, 0, 0, 0, 1, 1])


@pytest.mark.parametrize(
    ("tree", "labels", "count"),
    [  # by hand
        (block_tree(None, 8), np.repeat([0, 1], 4), 70),
        (FREE, GROUPS, 9_465_511_770),
        (FREE, np.arange(24), math.factorial(24)),
        (WITHIN, ALL_DIFFER, 8),  # two orders of each of three pairs
        (WITHIN, CONDITION, 8),
        (WITHIN, GROUP, 1),
        (WHOLE, ALL_DIFFER, 6),  # orders of three blocks
        (WHOLE, GROUP, 3),  # which pair is in the other group
        (WHOLE, CONDITION, 1),  # all pairs hold the same
        (BOTH, ALL_DIFFER, 48),
        (BOTH, GROUP, 3),
        (BOTH, CONDITION, 8),
        (one_column([1, 1, 1, 1, 2, 2, 2]), np.arange(7), 144),
    ],
)
def test_counts_are_exact(tree, labels, count):
    assert count_permutations(tree, labels) == count


def test_wholes_in_another_order_inside_are_not_equal():
    """PALM sorts the rows of each block, and counts 1."""
    tree = one_column([1, 1, 2, 2], whole=True, within=False)
    assert count_permutations(tree, np.array([0, 1, 1, 0])) == 2


def test_wholes_that_are_shuffled_inside_are_equal_in_any_order():
    assert count_permutations(one_column([1, 1, 2, 2], whole=True), np.array([0, 1, 1, 0])) == 4


def test_flips_are_two_for_each_row_or_whole():
    assert (count_flips(FREE), count_flips(WITHIN), count_flips(WHOLE)) == (2**24, 2**6, 2**3)


def test_three_orders_of_a_pair_and_a_single_are_listed_identity_first():
    found = enumerate_permutations(block_tree(None, 3), np.array([5, 2, 5]), 0, 3)
    np.testing.assert_array_equal(found, [[0, 1, 2], [0, 2, 1], [1, 0, 2]])


def test_the_outermost_order_changes_slowest():
    found = enumerate_permutations(one_column([1, 1, 2, 2], whole=True), np.arange(4), 0, 8)
    rows = ["0123", "0132", "1023", "1032", "2301", "3201", "2310", "3210"]
    assert ["".join(map(str, row)) for row in found] == rows


def test_free_draws_are_the_kernels_permutations():
    np.testing.assert_array_equal(draw_permutations(FREE, 7, 3, 9), permutations(7, 3, 9, 24))


def test_draws_move_whole_blocks_in_their_order():
    blocks = np.array([3, 1, 2, 1, 3, 2])
    drawn = draw_permutations(one_column(blocks, whole=True, within=False), 0, 1, 50)
    for block in (1, 2, 3):
        first, second = drawn[:, blocks == block].T
        np.testing.assert_array_equal(blocks[first], blocks[second])
        assert (first < second).all()


def test_the_number_of_a_draw_does_not_depend_on_the_range():
    for tree in (FREE, WITHIN, WHOLE, BOTH):
        together = draw_permutations(tree, 11, 1, 40)
        apart = [draw_permutations(tree, 11, i, i + 1) for i in range(1, 40)]
        np.testing.assert_array_equal(together, np.vstack(apart))


@pytest.mark.parametrize("tree", [WITHIN, WHOLE, BOTH])
def test_draws_are_uniform(tree):
    count = count_permutations(tree, ALL_DIFFER)
    listed = [tuple(row) for row in enumerate_permutations(tree, ALL_DIFFER, 0, count)]
    n = 200 * count
    drawn, seen = np.unique(draw_permutations(tree, 5, 1, n + 1), axis=0, return_counts=True)
    assert sorted(map(tuple, drawn)) == sorted(listed)
    chi_square = ((seen - 200) ** 2 / 200).sum()
    # normal approximation of chi-square: mean df, variance 2 df; the seed is fixed, 4 SD leave room for any honest one
    assert abs(chi_square - (count - 1)) < 4 * math.sqrt(2 * (count - 1))


def test_blocks_that_let_nobody_move_leave_the_identity():
    tree = one_column([1, 2, 3])
    np.testing.assert_array_equal(draw_permutations(tree, 0, 1, 3), [[0, 1, 2]] * 2)
    np.testing.assert_array_equal(enumerate_permutations(tree, np.arange(3), 0, 1), [[0, 1, 2]])


def test_flips_of_a_whole_agree_and_are_listed_once():
    listed = enumerate_flips(WHOLE, 0, 8)
    np.testing.assert_array_equal(listed[0], 1)
    assert len(np.unique(listed, axis=0)) == 8
    for signs in (listed, draw_flips(WHOLE, 0, 1, 20)):
        np.testing.assert_array_equal(signs[:, 0::2], signs[:, 1::2])


@pytest.mark.parametrize(
    ("tree", "labels", "words"),
    [
        (FREE, GROUPS, "free exchange of 24 subjects: 9,465,511,770 distinct permutations"),
        (FREE, np.arange(24), "free exchange of 24 subjects: 6.20e23 distinct permutations"),
        (
            WITHIN,
            CONDITION,
            "exchange within 3 blocks of 6 subjects: 8 distinct permutations, so that no p-value can be below 0.125",
        ),
        (
            WITHIN,
            GROUP,
            "exchange within 3 blocks of 6 subjects: 1 possible permutation, because all who may be exchanged are "
            "equal in what is tested",
        ),
        (
            one_column([1, 2]),
            np.arange(2),
            "no exchange of 2 subjects: 1 possible permutation, because the blocks let nobody move",
        ),
        (
            BOTH,
            GROUP,
            "exchange of 3 whole blocks of 2 subjects and within them: 3 distinct permutations, so that no p-value can "
            "be below 0.333",
        ),
    ],
)
def test_counts_are_said_in_words(tree, labels, words):
    assert in_words(tree, labels) == words


def test_what_tells_equal_subjects_apart_is_said_in_words():
    tree, tested = block_tree(None, 8), np.repeat([0, 1], 4)
    said = told_apart(tree, tested, np.arange(8), ["age", "site"])
    assert said == "What is tested has 70: subjects equal in it differ in age, site"
    assert told_apart(tree, tested, tested, []) is None


def test_flips_are_said_in_words():
    said = "sign flips of 3 units of 6 subjects: 8 possible flips, so that no p-value can be below 0.125"
    assert in_words(WHOLE) == said
