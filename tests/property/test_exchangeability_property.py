"""Permutations of random block trees against every member of the group, made one by one."""

from itertools import permutations as orders
from itertools import product

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from thalgpu.engine.inference.block_tree import block_tree, flip_units, keeps_blocks
from thalgpu.engine.inference.exchangeability import (
    count_flips,
    count_permutations,
    draw_permutations,
    enumerate_flips,
    enumerate_permutations,
)

MOST_ROWS = 7
BRIEF = settings(max_examples=60, deadline=None)


def shapes(depth):
    """A shape is (whether its units are shuffled, units); a unit is a shape, or None for a row."""
    rows = st.tuples(st.booleans(), st.integers(1, 4).map(lambda n: [None] * n))
    if depth == 0:
        return rows
    below = shapes(depth - 1)
    alike = st.tuples(st.just(True), st.tuples(below, st.integers(1, 3)).map(lambda drawn: [drawn[0]] * drawn[1]))
    unlike = st.tuples(st.just(False), st.lists(below, min_size=1, max_size=3))
    return alike | unlike


def size(shape):
    return 1 if shape is None else sum(size(unit) for unit in shape[1])


def columns(shape, label):
    """Rows of labels of a shape, whose own label is given without its sign; the last column numbers the rows."""
    if shape is None:
        return [[label]]
    sign = 1 if shape[0] else -1
    below = [columns(unit, i) for i, unit in enumerate(shape[1], 1)]
    return [[sign * label, *row] for unit in below for row in unit]


def group(shape, first):
    """Every allowed order of the rows of a shape, which are numbered from `first`."""
    if shape is None:
        return [(first,)]
    starts = first + np.cumsum([0, *(size(unit) for unit in shape[1])])
    inside = [group(unit, int(start)) for unit, start in zip(shape[1], starts[:-1], strict=True)]
    arrangements = orders(inside) if shape[0] else [inside]
    return [sum(parts, ()) for arrangement in arrangements for parts in product(*arrangement)]


@st.composite
def trees(draw):
    """A tree with its rows in random order, and every member of its group."""
    depth = draw(st.integers(0, 2))
    shape = draw(shapes(depth).filter(lambda one: size(one) <= MOST_ROWS))
    n = size(shape)
    row_of = np.array(draw(st.permutations(range(n))))
    blocks = np.empty((n, depth + 2), dtype=np.int64)
    blocks[row_of] = columns(shape, 1)
    members = np.empty((len(group(shape, 0)), n), dtype=np.int32)
    members[:, row_of] = row_of[np.array(group(shape, 0))]
    return block_tree(blocks, n), members


labelled = trees().flatmap(
    lambda drawn: st.tuples(
        st.just(drawn), st.lists(st.integers(0, 2), min_size=drawn[1].shape[1], max_size=drawn[1].shape[1])
    )
)


@BRIEF
@given(labelled)
def test_each_different_permuted_design_is_counted_and_listed_once(drawn):
    (tree, members), labels = drawn[0], np.array(drawn[1])
    expected = {tuple(labels[p]) for p in members}
    listed = enumerate_permutations(tree, labels, 0, count_permutations(tree, labels))
    assert {tuple(labels[p]) for p in listed} == expected
    assert len(listed) == len(expected)
    np.testing.assert_array_equal(listed[0], np.arange(len(labels)))
    assert {tuple(p) for p in listed} <= {tuple(p) for p in members}


@BRIEF
@given(trees())
def test_without_ties_the_list_is_the_group(drawn):
    tree, members = drawn
    labels = np.arange(members.shape[1])
    assert count_permutations(tree, labels) == len(members)
    listed = enumerate_permutations(tree, labels, 0, len(members))
    assert {tuple(p) for p in listed} == {tuple(p) for p in members}


@BRIEF
@given(labelled, st.data())
def test_a_listed_number_does_not_depend_on_the_range(drawn, data):
    (tree, _), labels = drawn[0], np.array(drawn[1])
    count = count_permutations(tree, labels)
    start = data.draw(st.integers(0, count))
    stop = data.draw(st.integers(start, count))
    whole = enumerate_permutations(tree, labels, 0, count)
    np.testing.assert_array_equal(enumerate_permutations(tree, labels, start, stop), whole[start:stop])


@BRIEF
@given(trees(), st.integers(0, 2**64 - 1))
def test_draws_are_members_of_the_group(drawn, seed):
    tree, members = drawn
    found = draw_permutations(tree, seed, 1, 30)
    assert {tuple(p) for p in found} <= {tuple(p) for p in members}
    assert keeps_blocks(tree, found).all()


@BRIEF
@given(trees())
def test_just_the_members_of_the_group_keep_the_blocks(drawn):
    tree, members = drawn
    n = min(members.shape[1], 6)
    everything = np.array([[*p, *range(n, members.shape[1])] for p in orders(range(n))], dtype=np.int32)
    allowed = {tuple(p) for p in members}
    np.testing.assert_array_equal(keeps_blocks(tree, everything), [tuple(p) in allowed for p in everything])


@BRIEF
@given(trees())
def test_flips_are_of_units_that_part_the_rows(drawn):
    tree, members = drawn
    assert sorted(row for unit in flip_units(tree) for row in unit) == list(range(members.shape[1]))
    flips = enumerate_flips(tree, 0, count_flips(tree))
    assert len(np.unique(flips, axis=0)) == count_flips(tree)
