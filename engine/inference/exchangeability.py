"""The permutations and sign flips that exchangeability blocks allow: how many, which, and random ones by number."""

import math
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from thalgpu.engine.inference.block_tree import Block, flip_units
from thalgpu.engine.inference.words import listed
from thalgpu.kernels.random import permutations, sign_flips

_FEW = 1000
"""Below this many, the smallest possible p is said."""

_LARGEST_WRITTEN = 10**15

_NAMED = 4
"""Columns that are named in a sentence; more are counted."""


def count_permutations(tree: Block, row_labels: NDArray[np.int64]) -> int:
    """Count the different permuted designs, exactly.

    Parameters
    ----------
    tree : from `block_tree`.
    row_labels : (n_rows,) int64, equal for rows of the design that are equal (`np.arange(n_rows)` if none is).

    Returns
    -------
    int
        Number of different sequences `row_labels[p]` over all allowed permutations p.

    Notes
    -----
    The product, over the blocks whose units are shuffled, of the multinomial coefficient of their equal units. Two
    blocks are equal if shuffling inside them, where that is allowed, makes their rows equal in order.

    Differs from PALM (`palm_maxshuf`) where whole blocks hold the same rows in different fixed orders: PALM sorts the
    rows before it compares and takes a block (a, b) for (b, a), although exchanging them changes the design.
    """
    return math.prod(_n_orders(_kinds(block, row_labels)) for block in _shuffled(tree))


def count_flips(tree: Block) -> int:
    """Count the sign flips: two for each single row, or for each block where blocks are shuffled as wholes."""
    return int(2 ** len(flip_units(tree)))


def draw_permutations(tree: Block, seed: int, start: int, stop: int) -> NDArray[np.int32]:
    """Draw the permutations with the numbers start, start + 1, …, stop − 1.

    Parameters
    ----------
    tree : from `block_tree`.
    seed : 0 <= seed < 2^64.
    start, stop : numbers from 1; number 0, the identity by convention, is as random as any here.

    Returns
    -------
    (stop − start, n_rows) int32
        Row i of the permuted design is row p[i] of the design. Number i follows from (seed, i, tree) alone, and is
        uniform over the allowed permutations: every unit of every shuffled block has an item in one random permutation
        (`kernels.random.permutations`), and the order of these items decides the order in the block. Under free
        exchange that is the kernel's own permutation.
    """
    shuffled = _shuffled(tree)
    drawn = permutations(seed, start, stop, sum(block.n_units for block in shuffled))
    if len(shuffled) == 1:
        return _arranged(tree, stop - start, iter([drawn]))
    place = drawn.argsort(axis=1)
    starts = np.cumsum([block.n_units for block in shuffled], dtype=np.intp)[:-1]
    return _arranged(tree, stop - start, (part.argsort(axis=1) for part in np.split(place, starts, axis=1)))


def enumerate_permutations(tree: Block, row_labels: NDArray[np.int64], start: int, stop: int) -> NDArray[np.int32]:
    """List the different permuted designs with the numbers start, …, stop − 1, each by one permutation.

    Parameters
    ----------
    tree, row_labels : as of `count_permutations`, which must be below 2^40.
    start, stop : 0 <= start <= stop <= count.

    Returns
    -------
    (stop − start, n_rows) int32
        Number 0 is the identity. The orders of the outermost block's units change slowest, those of the last innermost
        block fastest, each in lexicographic order; of equal units, the first comes first.
    """
    rest = np.arange(start, stop, dtype=np.int64)
    orders: list[NDArray[np.int64]] = []
    for block in reversed(_shuffled(tree)):
        kinds = _kinds(block, row_labels)
        rest, number = np.divmod(rest, _n_orders(kinds))
        orders.insert(0, _orders(kinds, number))
    return _arranged(tree, stop - start, iter(orders))


def draw_flips(tree: Block, seed: int, start: int, stop: int) -> NDArray[np.int8]:
    """Draw the sign flips with the numbers start, …, stop − 1 as (stop − start, n_rows) int8 of +1 and −1."""
    units = flip_units(tree)
    return _spread(units, sign_flips(seed, start, stop, len(units)))


def enumerate_flips(tree: Block, start: int, stop: int) -> NDArray[np.int8]:
    """List the sign flips by number: unit j (the first is 0) is flipped where bit j of the number is set."""
    units = flip_units(tree)
    bits = np.arange(start, stop, dtype=np.int64)[:, None] >> np.arange(len(units)) & 1
    return _spread(units, (1 - 2 * bits).astype(np.int8))


def in_words(tree: Block, row_labels: NDArray[np.int64] | None = None) -> str:
    """Say how many permutations or sign flips there are, and what follows if they are few.

    Parameters
    ----------
    tree : from `block_tree`.
    row_labels : (n_rows,) int64 labels of rows that count as equal; None to speak of sign flips.
    """
    if row_labels is None:
        units = f"{len(flip_units(tree))} units of " if len(flip_units(tree)) < len(tree.rows) else ""
        return f"sign flips of {units}{len(tree.rows)} subjects: {_counted(count_flips(tree), 'possible flip')}"
    count = count_permutations(tree, row_labels)
    if count == 1:
        free = count_permutations(tree, np.arange(len(tree.rows))) > 1
        reason = "all who may be exchanged are equal in what is tested" if free else "the blocks let nobody move"
        return f"{who_moves(tree)}: 1 possible permutation, because {reason}"
    return f"{who_moves(tree)}: {_counted(count, 'distinct permutation')}"


def told_apart(
    tree: Block, tested: NDArray[np.int64], interchangeable: NDArray[np.int64], by: Sequence[str]
) -> str | None:
    """Say that there are fewer permutations of what is tested, and why they count as more; None where there are not.

    Parameters
    ----------
    tree : from `block_tree`.
    tested, interchangeable : (n_rows,) int64 labels of rows that are equal in what is tested; in all else too.
    by : what it is that tells rows apart that are equal in what is tested.
    """
    count = count_permutations(tree, tested)
    if count == count_permutations(tree, interchangeable):
        return None
    return f"What is tested has {_written(count)}: subjects equal in it differ in {listed(by, _NAMED)}"


def who_moves(tree: Block) -> str:
    """Who is exchanged with whom, in words."""
    everybody = f"{len(tree.rows)} subjects"
    if not tree.children:
        return f"free exchange of {everybody}" if tree.shuffled else f"no exchange of {everybody}"
    if any(child.children for child in tree.children):
        return f"exchange in a tree of blocks over {everybody}"
    if not tree.shuffled:
        return f"exchange within {len(tree.children)} blocks of {everybody}"
    besides = " and within them" if tree.children[0].shuffled else ""
    return f"exchange of {len(tree.children)} whole blocks of {len(tree.children[0].rows)} subjects{besides}"


def _counted(count: int, what: str) -> str:
    few = f", so that no p-value can be below {1 / count:.3g}" if count < _FEW else ""
    return f"{_written(count)} {what}{'s' if count > 1 else ''}{few}"


def _written(count: int) -> str:
    digits = str(count)
    return f"{count:,}" if count < _LARGEST_WRITTEN else f"{digits[0]}.{digits[1:3]}e{len(digits) - 1}"


def _shuffled(tree: Block) -> list[Block]:
    """Blocks whose units are shuffled, each before those inside it."""
    inside = [block for child in tree.children for block in _shuffled(child)]
    return [tree, *inside] if tree.shuffled else inside


def _content(block: Block, row_labels: NDArray[np.int64]) -> tuple[object, ...]:
    """What a block holds: equal for two blocks of one shape if shuffling inside makes one the other."""
    inside: list[object] = [_content(child, row_labels) for child in block.children]
    inside = inside or row_labels[list(block.rows)].tolist()
    return tuple(sorted(inside, key=repr)) if block.shuffled else tuple(inside)


def _kinds(block: Block, row_labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """(n_units,) number of the kind of each unit; equal units are of one kind, numbered as they appear."""
    units = [_content(child, row_labels) for child in block.children] or row_labels[list(block.rows)].tolist()
    number: dict[object, int] = {}
    return np.array([number.setdefault(unit, len(number)) for unit in units], dtype=np.int64)


def _n_orders(kinds: NDArray[np.int64]) -> int:
    """Number of different orders of units, some of which are of one kind: the multinomial coefficient."""
    return math.factorial(len(kinds)) // math.prod(math.factorial(int(n)) for n in np.bincount(kinds))


def _orders(kinds: NDArray[np.int64], numbers: NDArray[np.int64]) -> NDArray[np.int64]:
    """(n, n_units) orders with these numbers in lexicographic order, units of one kind always ascending.

    Place by place: of the orders that are left, a share begins with each kind, in proportion to how many units of it
    are left; the kinds follow each other by their next unit, and the number tells in whose share it falls.
    """
    n_units, sizes = len(kinds), np.bincount(kinds)
    units = np.full((len(sizes), sizes.max() + 1), n_units)  # n_units: no unit of this kind is left
    for kind, size in enumerate(sizes):
        units[kind, :size] = np.flatnonzero(kinds == kind)
    every, each = np.arange(len(numbers)), np.arange(len(sizes))
    used = np.zeros((len(numbers), len(sizes)), dtype=np.int64)
    left = np.full(len(numbers), _n_orders(kinds))
    orders = np.empty((len(numbers), n_units), dtype=np.int64)
    for place in range(n_units):
        upcoming = units[each, used]
        by_unit = upcoming.argsort(axis=1)
        share = np.take_along_axis(left[:, None] * (sizes - used) // (n_units - place), by_unit, axis=1)
        ends = share.cumsum(axis=1)
        chosen = (numbers[:, None] >= ends).sum(axis=1)
        left = share[every, chosen]
        numbers = numbers - (ends[every, chosen] - left)
        kind = by_unit[every, chosen]
        orders[:, place] = upcoming[every, kind]
        used[every, kind] += 1
    return orders


def _arranged(tree: Block, n: int, orders: Iterator[NDArray[np.integer]]) -> NDArray[np.int32]:
    """(n, n_rows) permutations from an (n, n_units) order for each shuffled block, each before those inside it."""
    arranged = np.empty((n, len(tree.rows)), dtype=np.int32)
    arranged[:, list(tree.rows)] = _filled(tree, n, orders)
    return arranged


def _filled(block: Block, n: int, orders: Iterator[NDArray[np.integer]]) -> NDArray[np.int32]:
    """(n, n_rows of the block) rows that come into the places of a block, its members moved together."""
    order = next(orders) if block.shuffled else None
    if not block.children:
        rows = np.array(block.rows, dtype=np.int32)
        return np.broadcast_to(rows, (n, len(rows))) if order is None else rows[order]
    parts = [_filled(child, n, orders) for child in block.children]
    if order is None:
        return np.concatenate(parts, axis=1)
    return np.take_along_axis(np.stack(parts, axis=1), order[:, :, None], axis=1).reshape(n, len(block.rows))


def _spread(units: list[tuple[int, ...]], signs: NDArray[np.int8]) -> NDArray[np.int8]:
    unit_of = np.empty(sum(len(unit) for unit in units), dtype=np.intp)
    for number, unit in enumerate(units):
        unit_of[list(unit)] = number
    return signs[:, unit_of]
