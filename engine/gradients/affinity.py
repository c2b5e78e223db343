"""Affinity of seed voxels: how alike their connectivity profiles are."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from thalgpu.engine.config import Kernel
from thalgpu.engine.gradients.connectivity import require_series
from thalgpu.kernels._checks import require_finite, require_matrix
from thalgpu.kernels._namespace import Array, get_namespace
from thalgpu.kernels.affinity import CENTRED, affinity_from_gram
from thalgpu.kernels.correlation import fisher_z as to_fisher_z
from thalgpu.kernels.gram import add_gram, mirror
from thalgpu.kernels.ranks import average_ranks
from thalgpu.kernels.sparsify import keep_mask, n_kept, row_thresholds
from thalgpu.kernels.standardize import standardize

# Tiles have a fixed size, never one chosen by free memory, so that results are the same bits wherever they are made.
_ROWS = 256
_COLUMNS = 1024
_ROW_ELEMENTS = 2**22


def compute_affinity(
    connectivity: Array,
    *,
    kernel: Kernel = "normalized_angle",
    sparsity: float = 0.9,
    non_negative: bool = True,
    gamma: float | None = None,
) -> Array:
    """Affinity of the rows of a connectivity matrix: sparsify each row, compare all pairs, drop negative affinities.

    Parameters
    ----------
    connectivity : (n_voxels, n_targets) float32 or float64
        Finite. Not modified.
    kernel : how two rows are compared; formulas in `thalgpu.kernels.affinity.affinity_from_gram`.
    sparsity : fraction of each row that is set to zero first, 0 <= sparsity < 1; int(n_targets × (1 - sparsity)) stay.
    non_negative : whether negative affinities are set to zero.
    gamma : inverse width of the "gaussian" kernel; 1 / n_targets by default.

    Returns
    -------
    affinity : (n_voxels, n_voxels), same dtype
        Symmetric to the bit, 1 on the diagonal; rows and columns of rows that are all zero (for correlations: constant)
        are zero.

    Raises
    ------
    NumericsError
        Not finite, nothing left after sparsification, or an unknown kernel.

    Notes
    -----
    Equal to BrainSpace 0.3.0's `compute_affinity`, which it extends by "eta2", save for rows without direction
    (BrainSpace: 0.5 or NaN) and for ties at the sparsity's threshold, of which the lowest columns stay. In float32 an
    affinity carries an error below 1e-5, but normalized_angle up to 5e-4 between parallel rows, where acos amplifies
    it; float64 input is computed in float64 throughout.
    """
    require_matrix("connectivity", connectivity)
    require_finite("connectivity", connectivity)
    profiles = _Profiles(
        n_rows=connectivity.shape[0],
        n_columns=connectivity.shape[1],
        like=connectivity,
        cell=lambda rows, columns: connectivity[rows, columns].copy(),
        transform=lambda cell: cell,
    )
    return _affinity(profiles, kernel, sparsity, non_negative, gamma)


def affinity_from_timeseries(
    seed_ts: Array,
    target_ts: Array,
    *,
    kernel: Kernel = "normalized_angle",
    sparsity: float = 0.9,
    fisher_z: bool = True,
    non_negative: bool = True,
    gamma: float | None = None,
) -> Array:
    """Affinity of seed voxels straight from time series; the connectivity matrix is never held.

    Parameters
    ----------
    seed_ts : (n_timepoints, n_voxels) float32 or float64
        Cleaned time series. Not modified.
    target_ts : (n_timepoints, n_targets), same dtype
        Likewise.
    kernel, sparsity, non_negative, gamma : as in `compute_affinity`.
    fisher_z : whether correlations are transformed by atanh before the kernel.

    Returns
    -------
    affinity : (n_voxels, n_voxels), same dtype
        That of `compute_affinity(connectivity(seed_ts, target_ts, fisher_z=fisher_z), ...)` up to rounding; zero rows
        and columns for constant series.

    Raises
    ------
    NumericsError
        As `connectivity` and `compute_affinity`.

    Notes
    -----
    With C = Zs' Zt, C C' = Zs' (Zt Zt') Zs needs the targets only through their n_timepoints × n_timepoints Gram
    matrix. That holds for raw r without sparsity; otherwise C is computed in tiles, twice: to find each threshold,
    and to add up the products. Both times a tile comes from a matrix product of the same shape, hence with the same
    bits, so that exactly k entries a row stay. Ranks ("spearman") need whole rows: they are then computed once for each
    pair of row blocks. Memory beyond the series and their standardised copies: the result, and tiles of some 40 MB.
    """
    require_series(seed_ts, target_ts)
    seed, target = standardize(seed_ts)[0], standardize(target_ts)[0]
    (n_timepoints, n_voxels), n_targets = seed.shape, target.shape[1]
    if sparsity == 0 and not fisher_z and kernel != "spearman" and _gram_form_pays(n_timepoints, n_voxels, n_targets):
        gram, means = _gram_in_time(seed, target, centred=kernel in CENTRED)
        return affinity_from_gram(gram, means, n_targets, kernel, non_negative=non_negative, gamma=gamma)
    profiles = _Profiles(
        n_rows=n_voxels,
        n_columns=n_targets,
        like=seed,
        cell=lambda rows, columns: seed[:, rows].T @ target[:, columns],
        transform=to_fisher_z if fisher_z else lambda cell: cell,
    )
    return _affinity(profiles, kernel, sparsity, non_negative, gamma)


@dataclass(frozen=True)
class _Profiles:
    """Connectivity profiles that are read or computed cell by cell.

    Attributes
    ----------
    n_rows, n_columns : shape of the whole matrix.
    like : an array of its kind and dtype.
    cell : rows and columns (slices) -> a new array, the same bits whenever the same cell is asked for.
    transform : applied to a cell, in place, after entries have been chosen; it must be increasing and keep 0.
    """

    n_rows: int
    n_columns: int
    like: Array
    cell: Callable[[slice, slice], Array]
    transform: Callable[[Array], Array]

    def row_blocks(self) -> list[slice]:
        """Blocks of whole rows that stay within a fixed number of elements."""
        return _slices(self.n_rows, max(1, min(_ROWS, _ROW_ELEMENTS // self.n_columns)))

    def column_tiles(self) -> list[slice]:
        return _slices(self.n_columns, _COLUMNS)

    def whole_rows(self, rows: slice) -> Array:
        """(n_block_rows, n_columns) entries as they are chosen from, not transformed."""
        block = self._empty(rows.stop - rows.start, self.n_columns)
        for columns in self.column_tiles():
            block[:, columns] = self.cell(rows, columns)
        return block

    def _empty(self, n_rows: int, n_columns: int) -> Array:
        empty: Array = get_namespace(self.like).empty((n_rows, n_columns), dtype=self.like.dtype)
        return empty

    def tiles(self, k: int) -> Iterator[Array]:
        """(n_rows, n_tile_columns) finished tiles, left to right, with only the k largest entries of each row."""
        blocks = self.row_blocks()
        thresholds = [row_thresholds(self.whole_rows(rows), k) for rows in blocks] if k < self.n_columns else []
        for columns in self.column_tiles():
            tile = self._empty(self.n_rows, columns.stop - columns.start)
            for index, rows in enumerate(blocks):
                cell = self.cell(rows, columns)
                kept = keep_mask(cell, *thresholds[index]) if thresholds else True
                get_namespace(cell).multiply(self.transform(cell), kept, out=tile[rows])
            yield tile

    def ranks(self, rows: slice, k: int) -> Array:
        """(n_block_rows, n_columns) centred ranks of sparsified rows; the transform would not change them."""
        block = self.whole_rows(rows)
        if k < self.n_columns:
            block *= keep_mask(block, *row_thresholds(block.copy(), k))
        ranks = average_ranks(block)
        ranks -= (self.n_columns + 1) / 2
        return ranks


def _affinity(profiles: _Profiles, kernel: Kernel, sparsity: float, non_negative: bool, gamma: float | None) -> Array:
    k = n_kept(profiles.n_columns, sparsity)
    gram, means = _gram_of_ranks(profiles, k) if kernel == "spearman" else _gram(profiles, k, centred=kernel in CENTRED)
    return affinity_from_gram(gram, means, profiles.n_columns, kernel, non_negative=non_negative, gamma=gamma)


def _gram(profiles: _Profiles, k: int, *, centred: bool) -> tuple[Array, Array]:
    """Products and means of rows, added up over tiles of columns.

    Each tile is centred by its own means, and the means' spread is added at the end (Chan, Golub & LeVeque 1983), so
    that a float32 sum does not lose small differences between rows of a large mean.
    """
    xp = get_namespace(profiles.like)
    gram = xp.zeros((profiles.n_rows, profiles.n_rows), dtype=profiles.like.dtype)
    widths, tile_means = [], []
    for tile in profiles.tiles(k):
        if centred:
            tile_means.append(tile.mean(axis=1, dtype=xp.float64))
            widths.append(tile.shape[1])
            tile -= tile_means[-1].astype(tile.dtype)[:, None]
        add_gram(gram, tile)
    if not centred:
        return mirror(gram), xp.zeros(profiles.n_rows)
    spread, weights = xp.stack(tile_means, axis=1), xp.asarray(widths) / profiles.n_columns
    means = spread @ weights
    add_gram(gram, xp.ascontiguousarray((spread - means[:, None]) * xp.sqrt(weights * profiles.n_columns), gram.dtype))
    return mirror(gram), means


def _gram_of_ranks(profiles: _Profiles, k: int) -> tuple[Array, Array]:
    """Products of centred ranks, one pair of row blocks at a time."""
    xp = get_namespace(profiles.like)
    gram = xp.empty((profiles.n_rows, profiles.n_rows), dtype=profiles.like.dtype)
    blocks = profiles.row_blocks()
    for index, rows in enumerate(blocks):
        ranks = profiles.ranks(rows, k)
        gram[rows, rows] = ranks @ ranks.T
        for others in blocks[index + 1 :]:
            gram[others, rows] = profiles.ranks(others, k) @ ranks.T
    return mirror(gram), xp.full(profiles.n_rows, (profiles.n_columns + 1) / 2)


def _gram_in_time(seed: Array, target: Array, *, centred: bool) -> tuple[Array, Array]:
    """The same from standardised series: Zs' (Zt Zt') Zs, where centring a row of C takes the targets' mean off Zt."""
    xp = get_namespace(seed)
    mean = target.mean(axis=1, dtype=xp.float64)
    if centred:
        target -= mean.astype(target.dtype)[:, None]
    over_targets = xp.zeros((len(target), len(target)), dtype=target.dtype)
    add_gram(over_targets, target)
    return mirror(seed.T @ (mirror(over_targets) @ seed)), seed.T.astype(xp.float64) @ mean


def _gram_form_pays(n_timepoints: int, n_voxels: int, n_targets: int) -> bool:
    """Whether the Gram form takes fewer products than forming C, by shapes alone; it does not for a few parcels."""
    in_time = n_timepoints**2 * (n_targets / 2 + n_voxels) + n_timepoints * n_voxels**2
    in_space = n_timepoints * n_voxels * n_targets + n_voxels**2 * n_targets / 2
    return in_time < in_space


def _slices(length: int, size: int) -> list[slice]:
    return [slice(start, min(start + size, length)) for start in range(0, length, size)]
