"""Statistics for groups of subjects that do not share a variance: Aspin and Welch's v, and G for several hypotheses."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from thalgpu.engine.inference.partition import Partition
from thalgpu.errors import NumericsError
from thalgpu.kernels._compiled import compiled
from thalgpu.kernels._namespace import Array, get_namespace, like, to_host
from thalgpu.kernels.glm import LEAST_RESIDUAL

_NO_FREEDOM = 1e-10


@dataclass(frozen=True, eq=False)
class VarianceGroups:
    """Who shares a variance.

    Attributes
    ----------
    codes : (n_subjects,) group of each subject, from 0.
    sizes : (n_groups,) float64, subjects.
    freedom : (n_groups,) float64
        Sum of the diagonal of the design's residual-forming matrix over the group: its share of the degrees of freedom.
    """

    codes: NDArray[np.intp]
    sizes: NDArray[np.float64]
    freedom: NDArray[np.float64]

    @property
    def n_groups(self) -> int:
        """How many variances there are."""
        return len(self.sizes)


def variance_groups(labels: NDArray[np.int64] | None, split: Partition) -> VarianceGroups | None:
    """Read the groups; None where there is one only.

    Raises
    ------
    NumericsError
        A group of which the design leaves no residual.
    """
    if labels is None or len(np.unique(labels)) == 1:
        return None
    names, codes, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    leverage = (split.effect**2).sum(axis=1) + (split.nuisance**2).sum(axis=1)
    freedom: NDArray[np.float64] = np.bincount(codes.reshape(-1), weights=1 - leverage).astype(np.float64)
    if (freedom < _NO_FREEDOM * sizes).any():
        name, size = next((n, m) for n, m, f in zip(names, sizes, freedom, strict=True) if f < _NO_FREEDOM * m)
        raise NumericsError(
            f"variance group {name} ({size} subjects) has no residual to tell its variance from",
            remedy="join it with another group, or drop the column of the design that fits it exactly",
        )
    return VarianceGroups(codes.reshape(-1), sizes.astype(np.float64), freedom)


def welch(
    rows: Array, places: NDArray[np.intp], values: Array, total: Array, groups: VarianceGroups, kind: str, rank: int
) -> tuple[Array, Array]:
    """v of one tested direction (a t contrast) or G of several, and the degrees of freedom.

    Parameters
    ----------
    rows : (n_perm, n_directions, n_subjects) float64
        Orthonormal bases of the permuted designs, the `rank` tested directions first.
    places : (n_perm, n_subjects) variance group of each row of the permuted design.
    values : (n_subjects, n_features) float64
    total : (n_features,) float64, their sums of squares; 0 where the statistic is to be 0.
    groups : sizes and freedom of the groups.
    kind : "t" for v, "f" for G.

    Returns
    -------
    statistics, df : (n_perm, n_features) float64, where the values live

    Notes
    -----
    Each group b weighs w_b = f_b / Σ_b residual², f_b its share of the degrees of freedom. With C = Σ w_b M_b'M_b and
    the ordinary estimates β: v = c'β / sqrt(c'C⁻¹c), G = β'c (c'C⁻¹c)⁻¹ c'β / (s Λ), Λ = 1 + 2 (s − 1) B,
    B = Σ_b (1 − n_b w_b / Σ n w)² / f_b / (s (s + 2)), df = 1 / (3 B); s rows of c. Winkler et al. 2014, as PALM
    computes them (doi:10.1016/j.neuroimage.2014.01.060, equations 8 to 10; Welch 1951). (c'C⁻¹c)⁻¹ is what is left of
    C's tested part once nuisance is eliminated. f_b is that of the unpermuted design, as in PALM.

    Residuals are not formed: with A = Q'E, and A_b and C_b the parts that group b adds to A and to Q'Q, theirs is
    |E_b|² − 2 A·A_b + A'C_b A.
    """
    xp, n_groups = get_namespace(values), groups.n_groups
    values = xp.where(total > 0, values, 0.0)  # else rounding would tell permutations apart by their df
    n_perm, n_directions, n_subjects = rows.shape
    member = like((places[:, None, :] == np.arange(n_groups)[:, None]).astype(np.float64), values)
    masked = (member[:, :, None, :] * rows[:, None]).reshape(n_perm, -1, n_subjects)
    grams = (masked @ xp.swapaxes(rows, 1, 2)).reshape(n_perm, n_groups, n_directions, n_directions)
    parts = (masked.reshape(-1, n_subjects) @ values).reshape(n_perm, n_groups, n_directions, -1)
    squares = (member.reshape(-1, n_subjects) @ (values * values)).reshape(n_perm, n_groups, -1)
    statistics, df = (np.empty((n_perm, values.shape[1])) for _ in range(2))
    parts, squares, grams, total = (np.ascontiguousarray(to_host(x)) for x in (parts, squares, grams, total))
    _welch(parts, squares, grams, total, groups.sizes, groups.freedom, rank, kind == "t", statistics, df)
    return like(statistics, values), like(df, values)


@compiled
def _welch(
    parts: NDArray[np.float64],
    squares: NDArray[np.float64],
    grams: NDArray[np.float64],
    total: NDArray[np.float64],
    sizes: NDArray[np.float64],
    freedom: NDArray[np.float64],
    rank: int,
    is_v: bool,
    statistics: NDArray[np.float64],
    df: NDArray[np.float64],
) -> None:
    n_perm, n_groups, n, n_features = parts.shape
    a, c, weight = np.empty(n), np.empty((n, n)), np.empty(n_groups)
    for p in range(n_perm):
        for v in range(n_features):
            a[:], c[:] = 0.0, 0.0
            for b in range(n_groups):
                for i in range(n):
                    a[i] += parts[p, b, i, v]
            for b in range(n_groups):
                residual = squares[p, b, v]
                for i in range(n):
                    fitted = 0.0
                    for j in range(n):
                        fitted += grams[p, b, i, j] * a[j]
                    residual += a[i] * (fitted - 2.0 * parts[p, b, i, v])
                least = LEAST_RESIDUAL * total[v]
                residual = residual if residual > least else least
                weight[b] = freedom[b] / residual if residual > 0.0 else 1.0
                for i in range(n):
                    for j in range(n):
                        c[i, j] += weight[b] * grams[p, b, i, j]
            for z in range(n - 1, rank - 1, -1):  # eliminate nuisance
                for i in range(z):
                    factor = c[i, z] / c[z, z] if c[z, z] > 0.0 else 0.0
                    for j in range(z):
                        c[i, j] -= factor * c[z, j]
            spread = _spread(weight, sizes, freedom) / (rank * (rank + 2.0))
            df[p, v] = 1.0 / (3.0 * spread)
            if is_v:
                statistics[p, v] = a[0] * np.sqrt(max(c[0, 0], 0.0))
            else:
                explained = 0.0
                for i in range(rank):
                    for j in range(rank):
                        explained += a[i] * c[i, j] * a[j]
                statistics[p, v] = max(explained, 0.0) / (rank * (1.0 + 2.0 * (rank - 1.0) * spread))
            if total[v] <= 0.0:
                statistics[p, v] = 0.0


@compiled
def _spread(weight: NDArray[np.float64], sizes: NDArray[np.float64], freedom: NDArray[np.float64]) -> float:
    """How far the groups' precisions are from equal: Σ (1 − n_b w_b / Σ n w)² / f_b."""
    everything = 0.0
    for b in range(weight.size):
        everything += weight[b] * sizes[b]
    spread = 0.0
    for b in range(weight.size):
        spread += (1.0 - weight[b] * sizes[b] / everything) ** 2 / freedom[b]
    return spread
