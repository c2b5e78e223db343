"""Affinity of seed voxels: how alike their connectivity profiles are."""

from collections.abc import Sequence

from thalgpu.engine.config import Kernel
from thalgpu.engine.gradients.connectivity import as_series
from thalgpu.engine.gradients.options import require_kernel_options
from thalgpu.engine.gradients.profiles import Profiles, column_tiles, computed_profiles, read_profiles, row_blocks
from thalgpu.kernels._checks import as_floats
from thalgpu.kernels._namespace import Array, get_namespace
from thalgpu.kernels.affinity import CENTRED, KERNELS, affinity_from_gram
from thalgpu.kernels.gram import add_gram, centre_rows, cross_products, mirror
from thalgpu.kernels.scaling import product_scale
from thalgpu.kernels.sparsify import n_kept
from thalgpu.kernels.standardize import standardize

_VOXELS = 512
"""Rows of a product that are computed up to the diagonal's block: fixed, so that results have the same bits."""


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
        Finite; integers are taken as float64. Not modified.
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
        Not an array of numbers, not finite, nothing left after sparsification, or values whose squares leave the range
        of their dtype under a kernel that depends on their size ("gaussian", "eta2").
    UsageError
        An unknown kernel, or a sparsity or gamma out of range.

    Notes
    -----
    Equal to BrainSpace 0.3.0's `compute_affinity`, which it extends by "eta2", save for rows without direction
    (BrainSpace: 0.5 or NaN) and for ties at the sparsity's threshold, of which the lowest columns stay. In float32 an
    affinity carries an error below 1e-5, but normalized_angle up to 5e-4 between parallel rows, where acos amplifies
    it; float64 input is computed in float64 throughout.
    """
    require_kernel_options(kernel, sparsity, gamma, KERNELS)
    matrix = as_floats("connectivity", connectivity)
    scale = product_scale("connectivity", matrix, kernel, sparse=sparsity > 0)
    return _affinity(read_profiles(matrix, scale), kernel, sparsity, non_negative, gamma)


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
    NumericsError, UsageError
        As `connectivity` and `compute_affinity`.

    Notes
    -----
    With C = Zs' Zt, C C' = Zs' (Zt Zt') Zs needs the targets only through their n_timepoints × n_timepoints Gram
    matrix. That holds for raw r without sparsity; otherwise C is computed in tiles, twice: to find each threshold,
    and to add up the products. Both times a tile comes from a matrix product of the same shape, hence with the same
    bits, so that exactly k entries a row stay. Ranks ("spearman") need whole rows: they are then computed once for each
    pair of row blocks. Memory beyond the series and their standardised copies: the result, and tiles of some 40 MB.
    """
    require_kernel_options(kernel, sparsity, gamma, KERNELS)
    seed_ts, target_ts = as_series(seed_ts, target_ts)
    (n_timepoints, n_voxels), n_targets = seed_ts.shape, target_ts.shape[1]
    seed = [standardize(seed_ts[:, part])[0] for part in row_blocks(n_voxels, n_targets)]
    target = [standardize(target_ts[:, part])[0] for part in column_tiles(n_targets)]
    if sparsity == 0 and not fisher_z and kernel != "spearman" and _gram_form_pays(n_timepoints, n_voxels, n_targets):
        gram, means = _gram_in_time(seed, target, centred=kernel in CENTRED)
        return affinity_from_gram(gram, means, n_targets, kernel, non_negative=non_negative, gamma=gamma)
    return _affinity(computed_profiles(seed, target, fisher=fisher_z), kernel, sparsity, non_negative, gamma)


def _affinity(profiles: Profiles, kernel: Kernel, sparsity: float, non_negative: bool, gamma: float | None) -> Array:
    k = n_kept(profiles.n_columns, sparsity)
    gram, means = _gram_of_ranks(profiles, k) if kernel == "spearman" else _gram(profiles, k, centred=kernel in CENTRED)
    return affinity_from_gram(gram, means, profiles.n_columns, kernel, non_negative=non_negative, gamma=gamma)


def _gram(profiles: Profiles, k: int, *, centred: bool) -> tuple[Array, Array]:
    """Products of sparsified rows (each less its mean, if centred), lower triangle, and the rows' means, tile by tile.

    Each tile is centred by its own means, and the means' spread is added at the end (Chan, Golub & LeVeque 1983), so
    that a float32 sum does not lose small differences between rows of a large mean.
    """
    xp = get_namespace(profiles.like)
    gram = xp.zeros((profiles.n_rows, profiles.n_rows), dtype=profiles.like.dtype)
    sums = []
    for tile in profiles.tiles(k):
        if centred:
            tile, total = centre_rows(tile)
            sums.append(total)
        add_gram(gram, tile)
    if not centred:
        return gram, xp.zeros(profiles.n_rows)
    widths = xp.asarray([columns.stop - columns.start for columns in profiles.columns])
    totals = xp.stack(sums, axis=1)
    means = totals.sum(axis=1) / profiles.n_columns
    spread = (totals / widths - means[:, None]) * xp.sqrt(widths)
    add_gram(gram, spread.astype(gram.dtype))
    return gram, means


def _gram_of_ranks(profiles: Profiles, k: int) -> tuple[Array, Array]:
    """Products of centred ranks, lower triangle, and their means, one pair of row blocks at a time."""
    xp = get_namespace(profiles.like)
    gram = xp.empty((profiles.n_rows, profiles.n_rows), dtype=profiles.like.dtype)
    for index, rows in enumerate(profiles.rows):
        ranks = profiles.centred_ranks(index, k).T
        gram[rows, rows] = cross_products(ranks, ranks)
        for other in range(index + 1, len(profiles.rows)):
            gram[profiles.rows[other], rows] = cross_products(profiles.centred_ranks(other, k).T, ranks)
    return gram, xp.full(profiles.n_rows, (profiles.n_columns + 1) / 2)


def _gram_in_time(seed: Sequence[Array], target: Sequence[Array], *, centred: bool) -> tuple[Array, Array]:
    """Products (lower triangle) and means of rows from standardised series: Zs' (Zt Zt') Zs.

    `target` is overwritten if centred.

    Taking each row's mean off C is taking the targets' mean series off Zt.
    """
    xp = get_namespace(seed[0])
    voxels = xp.concatenate(seed, axis=1)
    mean = xp.zeros(len(voxels))
    if centred:
        mean = sum(part.sum(axis=1, dtype=xp.float64) for part in target) / sum(part.shape[1] for part in target)
    over_targets = xp.zeros((len(voxels), len(voxels)), dtype=voxels.dtype)
    for part in target:
        if centred:
            part -= mean.astype(part.dtype)[:, None]
        add_gram(over_targets, part)
    weighted, n_voxels = cross_products(mirror(over_targets), voxels), voxels.shape[1]
    gram = xp.empty((n_voxels, n_voxels), dtype=voxels.dtype)
    for start in range(0, n_voxels, _VOXELS):
        rows, columns = slice(start, start + _VOXELS), slice(start + _VOXELS)
        gram[rows, columns] = cross_products(voxels[:, rows], weighted[:, columns])
    return gram, mean @ voxels


def _gram_form_pays(n_timepoints: int, n_voxels: int, n_targets: int) -> bool:
    """Whether the Gram form takes fewer products than forming C, by shapes alone; it does not for a few parcels."""
    in_time = n_timepoints**2 * (n_targets / 2 + n_voxels) + n_timepoints * n_voxels**2
    in_space = n_timepoints * n_voxels * n_targets + n_voxels**2 * n_targets / 2
    return in_time < in_space
