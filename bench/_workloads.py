"""What launches each CUDA kernel, and on how much: the sizes of one subject of a large study, and of its permutations.

One subject: T = 300 time points, n = 2,248 thalamic voxels, m = 20,000 targets. Permutations: R = 10,000 of 84 subjects
and of maps of the voxels. Batches: B = 10,000 small problems, as one for each permutation.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from types import ModuleType
from typing import Any, TypeAlias

import numpy as np

from thalgpu.kernels.affinity import affinity_from_gram
from thalgpu.kernels.clusters import clusters
from thalgpu.kernels.correlation import fisher_z, fisher_z_and_sums
from thalgpu.kernels.glm import count_exceedances, f_statistics, permuted_rows, t_statistics
from thalgpu.kernels.gram import centre_rows, mirror
from thalgpu.kernels.jacobi import batched_eigh
from thalgpu.kernels.laplacian import symmetric_operator
from thalgpu.kernels.procrustes import batched_procrustes
from thalgpu.kernels.random import permutations, random_bits, sign_flips
from thalgpu.kernels.ranks import average_ranks
from thalgpu.kernels.reduce import maxima, sums
from thalgpu.kernels.residual import residual
from thalgpu.kernels.small_eigen import ritz_pairs, small_eigen
from thalgpu.kernels.sparsify import keep_mask, row_thresholds
from thalgpu.kernels.standardize import standardize
from thalgpu.kernels.tfce import tfce
from thalgpu.kernels.weighted_sums import weighted_sums

RANK = 24
"""Confounds that are removed: six movements, their differences, and the squares of both."""

Call: TypeAlias = Callable[[], object]


@dataclass(frozen=True)
class Workload:
    """A call that launches a kernel.

    Attributes
    ----------
    sizes : by the names that the kernel's cost is a function of.
    prepare : makes the call from the device's namespace, the dtype and the sizes; it may be called again and again.
    """

    sizes: Mapping[str, int]
    prepare: Callable[..., Call]


def _on_matrix(operation: Callable[..., object], **options: Any) -> Callable[..., Call]:
    """A call with one matrix: (n, m), or (n, n) where there is no m."""

    def prepare(xp: ModuleType, dtype: str, n: int, m: int | None = None) -> Call:
        return partial(operation, _uniform(xp, dtype, n, m or n), **options)

    return prepare


def _uniform(xp: ModuleType, dtype: str, *shape: int) -> Any:
    """Numbers from 0 to 0.9, as correlations and weights may be."""
    return xp.asarray(np.random.default_rng(1).random(shape, np.float32).astype(dtype) * np.dtype(dtype).type(0.9))


def _affinity(kernel: str) -> Workload:
    def prepare(xp: ModuleType, dtype: str, n: int) -> Call:
        gram = _uniform(xp, dtype, n, n)
        gram += gram.T.copy()
        return partial(affinity_from_gram, gram, xp.zeros(n), 20_000, kernel)

    return Workload({"n": 2248}, prepare)


def _residual(xp: ModuleType, dtype: str, T: int, n: int) -> Call:
    basis = np.linalg.qr(np.random.default_rng(2).standard_normal((T, min(RANK, T))))[0]
    return partial(residual, _uniform(xp, dtype, T, n), xp.asarray(basis))


def _row_thresholds(xp: ModuleType, dtype: str, n: int, m: int) -> Call:
    return partial(row_thresholds, _uniform(xp, dtype, n, m), max(1, m // 10))


def _keep_mask(xp: ModuleType, dtype: str, n: int, m: int) -> Call:
    x = _uniform(xp, dtype, n, m)
    return partial(keep_mask, x, *row_thresholds(x.copy(), max(1, m // 10)))


def _eigh(xp: ModuleType, dtype: str, B: int, n: int) -> Call:
    matrices = _uniform(xp, dtype, B, n, n)
    return partial(batched_eigh, matrices + matrices.swapaxes(1, 2))


def _procrustes(xp: ModuleType, dtype: str, B: int, k: int) -> Call:
    return partial(batched_procrustes, _uniform(xp, dtype, B, k, k))


def _random_bits(xp: ModuleType, _dtype: str, n: int) -> Call:
    return partial(random_bits, xp.asarray(np.arange(4 * n, dtype=np.uint32).reshape(n, 4)), 1)


def _numbers(operation: Callable[..., object]) -> Workload:
    def prepare(xp: ModuleType, _dtype: str, R: int, n: int) -> Call:
        return partial(operation, 1, 0, R, n, xp.zeros(1))

    return Workload({"R": 10_000, "n": 84}, prepare)


def _permuted_rows(xp: ModuleType, dtype: str, R: int, S: int, q: int) -> Call:
    like = xp.zeros(1)
    return partial(
        permuted_rows, _uniform(xp, dtype, S, q), permutations(1, 0, R, S, like), sign_flips(1, 0, R, S, like)
    )


def _statistics(operation: Callable[..., object], *rank: int) -> Workload:
    def prepare(xp: ModuleType, dtype: str, R: int, q: int, n: int) -> Call:
        return partial(operation, _uniform(xp, dtype, R, q, n), xp.full(n, q + 1.0), 80.0, *rank)

    return Workload({"R": 10_000, "q": 4, "n": 2248}, prepare)


def _weighted_sums(xp: ModuleType, dtype: str, R: int, S: int, n: int) -> Call:
    return partial(weighted_sums, _uniform(xp, dtype, R, S), _uniform(xp, dtype, S, n))


def _small_eigen(xp: ModuleType, dtype: str, B: int, r: int, m: int) -> Call:
    """A tenth to one on the diagonal, close to nothing beside it; the metric is close to the identity."""
    noise = _uniform(xp, dtype, B, r, r) * np.dtype(dtype).type(0.1 / r)
    noise += noise.swapaxes(1, 2).copy()
    diagonal = xp.asarray(np.diag(np.linspace(1, 0.1, r)).astype(dtype))
    return partial(small_eigen, noise + diagonal, noise + xp.eye(r, dtype=dtype), max(1, m - 3), m)


def _ritz_pairs(xp: ModuleType, dtype: str, B: int, m: int) -> Call:
    noise = _uniform(xp, dtype, B, m, m) / m
    noise += noise.swapaxes(1, 2).copy()
    return partial(ritz_pairs, noise, noise / 4 + 2 * xp.eye(m))


def _tfce(xp: ModuleType, dtype: str, R: int, n: int) -> Call:
    maps = np.random.default_rng(3).standard_normal((R, n)).astype(dtype)
    return partial(tfce, xp.asarray(maps), xp.asarray(maps**3 / 3), *_voxels(xp, n), 0.5)


def _clusters(xp: ModuleType, dtype: str, R: int, n: int) -> Call:
    maps = np.random.default_rng(3).standard_normal((R, n)).astype(dtype)
    return partial(clusters, xp.asarray(maps), 1.0, *_voxels(xp, n))


def _voxels(xp: ModuleType, n: int) -> tuple[Any, Any, Any]:
    """Neighbours and sizes as of a lattice 13 voxels wide and high."""
    neighbours = np.arange(n)[:, None] + np.array([-169, -13, -1, 1, 13, 169])
    exist = (neighbours >= 0) & (neighbours < n)
    indptr = np.concatenate([[0], np.cumsum(exist.sum(axis=1))])
    return xp.asarray(indptr.astype(np.int32)), xp.asarray(neighbours[exist].astype(np.int32)), xp.ones(n)


_SERIES = {"T": 300, "n": 20_000}
_CONNECTIVITY = {"n": 2248, "m": 20_000}
_SQUARE = {"n": 2248}

WORKLOADS: dict[str, Workload] = {
    "standardize": Workload(_SERIES, lambda xp, dtype, T, n: partial(standardize, _uniform(xp, dtype, T, n))),
    "residual": Workload(_SERIES, _residual),
    "fisher_z": Workload(_CONNECTIVITY, _on_matrix(fisher_z)),
    "fisher_z_sums": Workload(_CONNECTIVITY, _on_matrix(fisher_z_and_sums)),
    "row_thresholds": Workload(_CONNECTIVITY, _row_thresholds),
    "keep_mask": Workload(_CONNECTIVITY, _keep_mask),
    "rank_rows": Workload({"n": 2248, "m": 4096}, _on_matrix(average_ranks)),
    "rank_sorted_rows": Workload(_CONNECTIVITY, _on_matrix(average_ranks)),
    "centre_rows": Workload(_CONNECTIVITY, _on_matrix(centre_rows)),
    "mirror": Workload(_SQUARE, _on_matrix(mirror)),
    **{kernel: _affinity(kernel) for kernel in ("cosine", "normalized_angle", "gaussian", "eta2")},
    **{
        kernel: Workload(_SQUARE, _on_matrix(symmetric_operator, alpha=0.5))
        for kernel in ("degrees", "damped_degrees", "normalise")
    },
    "row_sums": Workload(_CONNECTIVITY, _on_matrix(sums, axis=1)),
    "column_sums": Workload(_CONNECTIVITY, _on_matrix(sums, axis=0)),
    "row_extremes": Workload(_CONNECTIVITY, _on_matrix(maxima, axis=1)),
    "column_extremes": Workload(_CONNECTIVITY, _on_matrix(maxima, axis=0)),
    "batched_eigh": Workload({"B": 10_000, "n": 32}, _eigh),
    "batched_procrustes": Workload({"B": 10_000, "k": 10}, _procrustes),
    "random_bits": Workload({"n": 840_000}, _random_bits),
    "permutations": _numbers(permutations),
    "sign_flips": _numbers(sign_flips),
    "permuted_rows": Workload({"R": 10_000, "S": 84, "q": 4}, _permuted_rows),
    "t_statistics": _statistics(t_statistics),
    "f_statistics": _statistics(f_statistics, 2),
    "count_exceedances": Workload(
        {"R": 10_000, "n": 2248},
        lambda xp, dtype, R, n: partial(count_exceedances, _uniform(xp, dtype, R, n), _uniform(xp, dtype, n)),
    ),
    "tfce": Workload({"R": 10_000, "n": 2248}, _tfce),
    "clusters": Workload({"R": 10_000, "n": 2248}, _clusters),
    "small_eigen": Workload({"B": 1000, "r": 200, "m": 14}, _small_eigen),
    "ritz_pairs": Workload({"B": 10_000, "m": 14}, _ritz_pairs),
    "weighted_sums": Workload({"R": 64, "S": 84, "n": 2_527_876}, _weighted_sums),
}
"""By the kernel's name without its dtype."""
