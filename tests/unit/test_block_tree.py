"""Exchangeability blocks read from PALM's columns."""

import numpy as np
import pytest

from thalgpu.engine.inference.block_tree import block_tree, flip_units, keeps_blocks
from thalgpu.errors import NumericsError


def tree_of(*columns):
    blocks = np.column_stack(columns).astype(np.int64)
    return block_tree(blocks, len(blocks))


def test_no_blocks_are_free_exchange():
    tree = block_tree(None, 3)
    assert (tree.rows, tree.shuffled, tree.children) == ((0, 1, 2), True, ())


def test_a_first_column_of_one_with_numbered_rows_is_free_exchange():
    assert tree_of([1] * 4, [1, 2, 3, 4]) == block_tree(None, 4)


def test_rows_below_a_positive_label_that_stays_are_shuffled():
    tree = tree_of([-1] * 4, [1, 2, 1, 2])
    assert not tree.shuffled
    assert [(child.rows, child.shuffled) for child in tree.children] == [((0, 2), True), ((1, 3), True)]


def test_rows_below_a_label_that_moves_keep_their_order():
    tree = tree_of([1] * 4, [1, 2, 1, 2])
    assert tree.shuffled
    assert [(child.rows, child.shuffled) for child in tree.children] == [((0, 2), False), ((1, 3), False)]


def test_leaving_out_the_column_of_rows_changes_nothing():
    rows = [1, 2, 3, 4]
    assert tree_of([-1] * 4, [1, 1, 2, 2], rows) == tree_of([-1] * 4, [1, 1, 2, 2])
    assert tree_of([1] * 4, [-1, -1, -2, -2], rows) == tree_of([1] * 4, [-1, -1, -2, -2])


def test_the_last_column_orders_the_rows_of_a_block():
    assert [child.rows for child in tree_of([1] * 4, [-1, -1, -2, -2], [2, 1, 3, 4]).children] == [(1, 0), (2, 3)]


def test_labels_may_start_again_inside_each_block():
    restarted = tree_of([1] * 4, [1, 1, 2, 2], [1, 2, 1, 2])
    assert all(child.shuffled for child in restarted.children)
    assert restarted == tree_of([1] * 4, [1, 1, 2, 2], [1, 2, 3, 4])


def test_wholes_of_different_sizes_are_named_with_their_sizes_and_the_remedy():
    with pytest.raises(NumericsError, match=r"3 subjects in block -1, 2 subjects in block -3.*--within"):
        tree_of([1] * 8, [-1, -1, -1, -2, -2, -2, -3, -3])


def test_wholes_that_differ_inside_are_named():
    with pytest.raises(NumericsError, match=r"-1 holds blocks of 2 \+ 1 subjects.*-2 holds blocks of 1 \+ 2"):
        tree_of([1] * 6, [-1, -1, -1, -2, -2, -2], [1, 1, 2, 1, 2, 2])


def test_wholes_of_which_one_is_shuffled_inside_are_refused():
    with pytest.raises(NumericsError, match=r"differ inside.*in place.*exchanged"):
        tree_of([1] * 4, [-1, -1, 2, 2], [1, 2, 1, 2])


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        (([1, 1, 2],), "first column .* 1 and 2.*--within"),
        (([-1] * 3, [1, 0, 1]), "block 0 in row 2, column 2"),
        (([-1] * 3, [1, -1, 1]), "block 1 appears with both signs"),
    ],
)
def test_labels_that_mean_nothing_are_refused(columns, words):
    with pytest.raises(NumericsError, match=words):
        tree_of(*columns)


def test_another_number_of_rows_is_refused():
    with pytest.raises(NumericsError, match=r"one row a subject \(3\)"):
        block_tree(np.ones((2, 1), dtype=np.int64), 3)


def test_signs_flip_by_row_within_blocks_and_by_block_where_blocks_move():
    assert flip_units(tree_of([-1] * 4, [1, 1, 2, 2])) == [(0,), (1,), (2,), (3,)]
    assert flip_units(tree_of([1] * 4, [1, 2, 1, 2])) == [(0, 2), (1, 3)]
    nested = tree_of([-1] * 6, [-2, -2, 1, 1, 1, 1], [1, 2, 1, 1, 2, 2])
    assert flip_units(nested) == [(0,), (1,), (2, 3), (4, 5)]


def test_permutations_that_break_a_block_are_told_apart():
    tree = tree_of([1] * 4, [1, 1, 2, 2])
    given = np.array([[0, 1, 2, 3], [2, 3, 0, 1], [1, 0, 2, 3], [0, 2, 1, 3]], dtype=np.int32)
    np.testing.assert_array_equal(keeps_blocks(tree, given), [True, True, False, False])


def test_permutations_out_of_a_small_block_into_a_large_one_are_told():
    """A family of two pairs and one of three: whoever comes from the third pair has no place among the two."""
    pairs = [(-1, family, pair, twin) for family, n in ((1, 2), (2, 3)) for pair in range(1, n + 1) for twin in (1, 2)]
    tree = block_tree(np.array(pairs), 10)
    backwards, unmoved = np.arange(10, dtype=np.int32)[::-1], np.arange(10, dtype=np.int32)
    np.testing.assert_array_equal(keeps_blocks(tree, np.stack([backwards, unmoved])), [False, True])
