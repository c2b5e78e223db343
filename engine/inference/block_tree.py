"""Exchangeability blocks as a tree: who may be exchanged with whom, read from PALM's columns of labels."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thalgpu.errors import NumericsError

_GAPS = "number the blocks 1, 2, … and put a minus before those that stay in place"


@dataclass(frozen=True)
class Block:
    """Subjects that move together, and how they may be exchanged inside.

    Attributes
    ----------
    name : labels from the second column on, joined by "/", for people; empty for the block of all subjects.
    rows : the subjects in it, in the order in which they keep or leave their places.
    shuffled : whether what the block holds (its children, or its rows where it has none) is exchanged among itself.
    children : blocks inside; none where the block holds single rows only.
    """

    name: str
    rows: tuple[int, ...]
    shuffled: bool
    children: tuple["Block", ...] = ()

    @property
    def n_units(self) -> int:
        """How many things the block holds: children, or rows where it has none."""
        return len(self.children) or len(self.rows)

    @property
    def shape(self) -> tuple[Any, ...]:
        """Equal for two blocks if one can take the other's place. How one thing is shuffled makes no difference."""
        inside = tuple(child.shape for child in self.children) or len(self.rows)
        return self.shuffled and self.n_units > 1, inside


def block_tree(blocks: NDArray[np.int64] | None, n_rows: int) -> Block:
    """Read PALM's multi-level exchangeability blocks.

    Parameters
    ----------
    blocks : (n_rows, n_levels) int64, or None for free exchange.
        One column a level, the outermost first, which holds one value only. A positive label: the units below it (the
        different labels of the next column, among the rows that share all labels so far) are shuffled as wholes among
        themselves. A negative label: they stay in place, and are shuffled inside as their own labels say. Labels may
        start again at 1 inside each block. Rows below the last column keep their order in blocks that are shuffled as
        wholes, or whose label is negative, and are shuffled otherwise: what PALM's guide says of
        `[-1 1; -1 1; -1 2; -1 2]` (within) and `[1 1; 1 1; 1 2; 1 2]` (whole). A last column that numbers the rows
        says which row comes first in its block.
    n_rows : subjects.

    Returns
    -------
    Block
        The block of all subjects. Its children are ordered by label: negative ones first, then by size.

    Raises
    ------
    NumericsError
        Another number of rows; a label 0; one label with both signs inside one block; several labels in the first
        column; blocks to be shuffled as wholes that differ in size or inside, two of which are named.

    Notes
    -----
    Winkler et al. 2015, doi:10.1016/j.neuroimage.2015.05.092. PALM refuses the same trees; here a block that is marked
    as shuffled and holds one unit is no fault, since families of one are common.
    """
    if blocks is None:
        return Block("", tuple(range(n_rows)), shuffled=n_rows > 1)
    _require_labels(blocks, n_rows)
    return _read(blocks, np.arange(n_rows), 0, is_moved=False)


def flip_units(tree: Block) -> list[tuple[int, ...]]:
    """Rows whose signs flip together: whole blocks where they are shuffled as wholes, else single rows (as PALM)."""
    if not tree.children:
        return [(row,) for row in tree.rows]
    if tree.shuffled:
        return [child.rows for child in tree.children]
    return [unit for child in tree.children for unit in flip_units(child)]


def keeps_blocks(tree: Block, permutations: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Tell the permutations that the tree allows.

    Parameters
    ----------
    tree : from `block_tree`.
    permutations : (n, n_rows) int32; each row is a permutation of 0 … n_rows − 1.

    Returns
    -------
    (n,) bool
    """
    rows = np.array(tree.rows)
    return _allowed(tree, np.argsort(rows)[permutations[:, rows]])


def _read(blocks: NDArray[np.int64], rows: NDArray[np.intp], level: int, *, is_moved: bool) -> Block:
    """The block of `rows`, which agree in all columns up to `level`; `is_moved` if the block is shuffled as a whole."""
    label = blocks[rows[0], level]
    name = "/".join(str(part) for part in blocks[rows[0], 1 : level + 1])
    if level == blocks.shape[1] - 1:
        return Block(name, tuple(rows.tolist()), shuffled=bool(label > 0) and not is_moved and len(rows) > 1)
    below = blocks[rows, level + 1]
    labels = sorted({int(one) for one in below}, key=lambda one: (one > 0, abs(one)))
    if both := {abs(one) for one in labels if -one in labels}:
        inside = f" inside block {name}" if name else ""
        reason = f"exchangeability block {min(both)} appears with both signs{inside}"
        raise NumericsError(reason, remedy="give all its rows one sign, or two blocks two numbers")
    children = tuple(_read(blocks, rows[below == one], level + 1, is_moved=bool(label > 0)) for one in labels)
    if label > 0:
        _require_alike(children)
    ordered = tuple(row for child in children for row in child.rows)
    if len(ordered) == len(children):  # single rows need no blocks of their own
        return Block(name, ordered, shuffled=bool(label > 0) and len(ordered) > 1)
    return Block(name, ordered, bool(label > 0), children)


def _allowed(block: Block, sources: NDArray[np.intp]) -> NDArray[np.bool_]:
    """Whether the places of a block, in order, are filled from one block of its shape; sources as places in that."""
    if not block.children:
        return np.array((sources == np.arange(len(block.rows))).all(axis=1) | block.shuffled)
    ends = np.cumsum([len(child.rows) for child in block.children])
    starts = np.concatenate([[0], ends[:-1]])
    child_of = np.minimum(np.searchsorted(ends, sources, side="right"), len(ends) - 1)  # beyond: from a larger block
    relative = sources - starts[child_of]
    allowed = np.ones(len(sources), dtype=np.bool_)
    for i, child in enumerate(block.children):
        place = slice(starts[i], ends[i])
        origin = child_of[:, place.start] if block.shuffled else np.full(len(sources), i)
        allowed &= (child_of[:, place] == origin[:, None]).all(axis=1)
        allowed &= _allowed(child, relative[:, place])
    return allowed


def _require_labels(blocks: NDArray[np.int64], n_rows: int) -> None:
    if blocks.ndim != 2 or len(blocks) != n_rows or blocks.size == 0:
        reason = f"exchangeability blocks must be one row a subject ({n_rows}), not {blocks.shape}"
        raise NumericsError(reason, remedy="give a label, or a row of labels, to each subject of the design")
    zero = np.argwhere(blocks == 0)
    if len(zero):
        row, column = zero[0] + 1
        raise NumericsError(f"exchangeability block 0 in row {row}, column {column} has no sign", remedy=_GAPS)
    first = np.unique(blocks[:, 0])
    if len(first) > 1:
        reason = (
            f"the first column of the exchangeability blocks holds {first[0]} and {first[1]}, and must hold one value"
        )
        raise NumericsError(
            reason, remedy="for one column of blocks use --within or --whole; in a tree begin with 1 or -1"
        )


def _require_alike(children: tuple[Block, ...]) -> None:
    """Wholes can take each other's place only if they are built alike."""
    first = children[0]
    other = next((child for child in children if child.shape != first.shape), None)
    if other is None:
        return
    sizes = f"{_subjects(first)} in block {first.name}, {_subjects(other)} in block {other.name}"
    if len(first.rows) != len(other.rows):
        reason = f"blocks of different sizes cannot be exchanged as wholes: {sizes}"
    else:
        inside = f"{first.name} holds {_inside(first)}; {other.name} holds {_inside(other)}"
        reason = f"blocks that differ inside cannot be exchanged as wholes: {inside}"
    raise NumericsError(reason, remedy="use --within, or leave out subjects until the blocks are alike")


def _subjects(block: Block) -> str:
    return f"{len(block.rows)} subject{'s' if len(block.rows) > 1 else ''}"


def _inside(block: Block) -> str:
    how = "exchanged" if block.shuffled else "in place"
    if not block.children:
        return f"{len(block.rows)} subjects, {how}"
    return f"blocks of {' + '.join(str(len(child.rows)) for child in block.children)} subjects, {how}"
