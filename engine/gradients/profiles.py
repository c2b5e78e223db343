"""Connectivity profiles, read or computed a cell at a time, so that the whole matrix is never held."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias, TypeVar

from thalgpu.errors import NumericsError
from thalgpu.kernels._namespace import Array, get_namespace
from thalgpu.kernels.correlation import correlation, fisher_z
from thalgpu.kernels.ranks import average_ranks
from thalgpu.kernels.sparsify import keep_mask, row_thresholds

Held: TypeAlias = dict[int, dict[int, Array]]
"""Cells kept from the first pass for the second: row block → column tile → entries."""

_Made = TypeVar("_Made")

# Cells have a fixed size, never one chosen by free memory, so that results are the same bits wherever they are made.
_ROWS = 256
_COLUMNS = 1024
_ELEMENTS = 2**22
_HELD_BYTES = 192 * 2**20


@dataclass(frozen=True)
class Profiles:
    """The rows of a connectivity matrix in cells: blocks of rows × tiles of columns.

    Attributes
    ----------
    rows, columns : the blocks and the tiles, in order.
    like : an array of the matrix's kind and dtype.
    cell : (row block, column tile) -> the entries that decide which are kept; the same bits whenever the same cell is
        asked for.
    finish : turns a cell into its final entries, over it or not at all; increasing, and zero at zero.
    """

    rows: Sequence[slice]
    columns: Sequence[slice]
    like: Array
    cell: Callable[[int, int], Array]
    finish: Callable[[Array], Array]

    @property
    def n_rows(self) -> int:
        """Rows of the whole matrix."""
        return int(self.rows[-1].stop)

    @property
    def n_columns(self) -> int:
        """Columns of the whole matrix."""
        return int(self.columns[-1].stop)

    def tiles(self, k: int) -> Iterator[Array]:
        """Tiles of all rows, left to right, where only the k largest entries of each row are left.

        A first pass over blocks of rows finds each row's smallest kept entry, a second makes the tiles. Both ask for
        the same cells: a product of another shape could differ in its last bit and be kept by one pass only. Cells are
        held between the passes where the whole matrix is small, and asked for again where it is not, or where memory
        runs out: then half of the blocks held are let go, until none is left to let go.

        Yields
        ------
        tile : (n_rows, n_tile_columns), C-contiguous; the caller may overwrite it.
        """
        n_kept = 0
        sparse = k < self.n_columns
        hold = self.n_rows * self.n_columns * self.like.dtype.itemsize <= _HELD_BYTES
        limits: list[tuple[Array, Array]] = []
        held: Held = {}
        for block in range(len(self.rows)) if sparse else ():
            cells, limit = _with_room(held, partial(self._cells_and_limit, block, k))
            limits.append(limit)
            if hold:
                held[block] = dict(enumerate(cells))
        for index in range(len(self.columns)):
            tile, n_tile_kept = _with_room(held, partial(self._tile, index, limits, held))
            n_kept += n_tile_kept
            yield tile
        if sparse and n_kept != k * self.n_rows:
            raise NumericsError("the same matrix product gave different bits twice", remedy="set one BLAS thread")

    def centred_ranks(self, block: int, k: int) -> Array:
        """(n_block_rows, n_columns) ranks of sparsified rows about their mean; `finish` would not change them."""
        entries = get_namespace(self.like).concatenate(self._cells(block), axis=1)
        if k < self.n_columns:
            entries *= keep_mask(entries, *row_thresholds(entries.copy(), k))
        ranks = average_ranks(entries)
        ranks -= (self.n_columns + 1) / 2
        return ranks

    def _tile(self, index: int, limits: Sequence[tuple[Array, Array]], held: Held) -> tuple[Array, int]:
        """One tile, with what lies below the `limits` of its rows at zero (no limits: all stays); how many stayed.

        A held cell is taken out, because `finish` may write over it: a second attempt must not find it so.
        """
        xp, columns, n_kept = get_namespace(self.like), self.columns[index], 0
        tile = xp.empty((self.n_rows, columns.stop - columns.start), dtype=self.like.dtype)
        for block, rows in enumerate(self.rows):
            cell = held.get(block, {}).pop(index, None)
            if cell is None:
                cell = self.cell(block, index)
            if not limits:
                tile[rows] = self.finish(cell)
                continue
            kept = keep_mask(cell, *limits[block])
            n_kept += int(xp.count_nonzero(kept))
            xp.multiply(self.finish(cell), kept, out=tile[rows])
        return tile, n_kept

    def _cells_and_limit(self, block: int, k: int) -> tuple[list[Array], tuple[Array, Array]]:
        cells = self._cells(block)
        return cells, row_thresholds(get_namespace(self.like).concatenate(cells, axis=1), k)

    def _cells(self, block: int) -> list[Array]:
        return [self.cell(block, index) for index in range(len(self.columns))]


def _with_room(held: Held, make: Callable[[], _Made]) -> _Made:
    """What `make` makes, letting go of held blocks where memory runs out; MemoryError when none is held."""
    while True:
        try:
            return make()
        except MemoryError:
            if not held:
                raise
            for block in list(held)[len(held) // 2 :]:
                del held[block]


def read_profiles(connectivity: Array, scale: Array | None = None) -> Profiles:
    """Profiles that lie in memory: (n_voxels, n_targets), not modified; each row times its `scale`, if any."""
    rows, columns = row_blocks(*connectivity.shape), column_tiles(connectivity.shape[1])

    def cell(block: int, tile: int) -> Array:
        entries = connectivity[rows[block], columns[tile]]
        return entries if scale is None else entries * scale[rows[block], None]

    return Profiles(rows, columns, connectivity, cell=cell, finish=lambda cell: cell)


def computed_profiles(seed: Sequence[Array], target: Sequence[Array], *, fisher: bool) -> Profiles:
    """Profiles that are correlated when asked for.

    Parameters
    ----------
    seed : standardised series (n_timepoints, ·) of the voxels in `row_blocks`.
    target : standardised series (n_timepoints, ·) of the targets in `column_tiles`.
    fisher : whether the final entries are Fisher's z. Entries are chosen by r, which has the same order.
    """
    n_targets = sum(part.shape[1] for part in target)
    return Profiles(
        row_blocks(sum(part.shape[1] for part in seed), n_targets),
        column_tiles(n_targets),
        seed[0],
        cell=lambda block, tile: correlation(seed[block], target[tile]),
        finish=fisher_z if fisher else lambda cell: cell,
    )


def row_blocks(n_rows: int, n_columns: int) -> list[slice]:
    """Blocks of rows, smaller where the rows are long: whole rows of a block are held at once."""
    return _slices(n_rows, max(1, min(_ROWS, _ELEMENTS // n_columns)))


def column_tiles(n_columns: int) -> list[slice]:
    """Tiles of columns: all rows of a tile are held at once."""
    return _slices(n_columns, _COLUMNS)


def _slices(length: int, size: int) -> list[slice]:
    return [slice(start, min(start + size, length)) for start in range(0, length, size)]
