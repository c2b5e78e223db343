"""What all group means have in common: the eigenvectors of the mean over all subjects, and each subject seen in them.

A weighted mean K_w = Σ w_s K_s is linear in its weights, and so are its degrees and its products with a fixed basis Q.
They are formed once a subject; a group then costs a weighted sum.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from thalgpu.engine.comparison.model import Recipe
from thalgpu.engine.comparison.triangles import order_of, unpacked
from thalgpu.errors import NumericsError, UsageError


@dataclass(frozen=True)
class Pooled:
    """Subjects in the coordinates of the pooled eigenvectors: plain arrays.

    With d₀ = K₀ 1, f₀ = d₀^-α and M₀ = K₀ f₀ / f₀ of the mean K₀ over all subjects, K₀ v = λ M₀ v has the eigenvalues
    of the diffusion operator, v₁ = f₀ is the trivial vector, and u = M₀^½ v.

    Attributes
    ----------
    recipe : how means are embedded.
    lambdas : (rank,) float64, pooled eigenvalues, descending; the first is 1.
    tail : mean of the eigenvalues outside of the basis, or what `calibrated` finds to stand for them better.
    basis : (n_voxels, rank) float32: Q, the vectors v, with Q' M₀ Q = 1.
    metric : (n_voxels,) float64: M₀.
    degrees : (n_subjects, n_voxels) float64: d_s = K_s 1.
    diagonals : (n_subjects, n_voxels) float32 of K_s, zero where self-loops do not count.
    images : (n_subjects, n_voxels, rank) float32: K_s Q.
    projections : (n_subjects, rank, rank) float32: Q' K_s Q.
    metrics : (n_subjects, rank, rank) float32: Q' M_s Q, where Σ w_s M_s is the metric of K_w to first order.
    caution : what the estimated errors of these data are multiplied by; `calibrated` finds less than 1, for this basis.
    """

    recipe: Recipe
    lambdas: NDArray[np.float64]
    tail: float
    basis: NDArray[np.float32]
    metric: NDArray[np.float64]
    degrees: NDArray[np.float64]
    diagonals: NDArray[np.float32]
    images: NDArray[np.float32]
    projections: NDArray[np.float32]
    metrics: NDArray[np.float32]
    caution: float = 1.0

    @property
    def rank(self) -> int:
        """Vectors in the basis."""
        return len(self.lambdas)

    @property
    def n_voxels(self) -> int:
        """Rows of an affinity."""
        return len(self.metric)

    @property
    def n_subjects(self) -> int:
        """Affinities that means are taken of."""
        return len(self.degrees)

    def truncated(self, rank: int) -> "Pooled":
        """The same with the leading vectors of the basis only."""
        if rank >= self.rank:
            return self
        n_outside = self.n_voxels - self.rank
        outside = self.tail * n_outside + self.lambdas[rank:].sum()
        return replace(
            self,
            lambdas=self.lambdas[:rank],
            tail=float(outside / (self.n_voxels - rank)),
            basis=np.ascontiguousarray(self.basis[:, :rank]),
            images=np.ascontiguousarray(self.images[:, :, :rank]),
            projections=np.ascontiguousarray(self.projections[:, :rank, :rank]),
            metrics=np.ascontiguousarray(self.metrics[:, :rank, :rank]),
        )

    def of(self, members: NDArray[np.bool_]) -> "Pooled":
        """The same basis with some of the subjects only: for weights that are zero for all others."""
        return replace(
            self,
            degrees=self.degrees[members],
            diagonals=self.diagonals[members],
            images=self.images[members],
            projections=self.projections[members],
            metrics=self.metrics[members],
        )


def pool(stack: NDArray[np.float32], recipe: Recipe, rank: int) -> Pooled:
    """Solve for the mean over all subjects, and express each subject in its leading eigenvectors.

    Parameters
    ----------
    stack : (n_subjects, n (n + 1) / 2) float32
        Affinities as packed upper triangles, row after row; read twice, subject by subject (a memory map will do).
    recipe : dense graphs with "dm" or "le".
    rank : int
        Vectors in the basis, the trivial one included; more than n_components + 1, at most n.

    Returns
    -------
    Pooled

    Raises
    ------
    UsageError
        A recipe whose operator is not a function of the mean's degrees.
    NumericsError
        Entries that are not finite, rows without weight, or too few voxels.
    """
    if recipe.graph != "dense" or recipe.approach == "pca":
        raise UsageError("only dense graphs under dm or le have an operator that weights act on linearly")
    n_voxels = order_of(stack)
    if not recipe.n_components + 1 < rank <= n_voxels:
        raise NumericsError(
            f"a basis of {rank} vectors does not hold {recipe.n_components} components of {n_voxels} voxels",
            remedy="ask for fewer components, or use a larger region",
        )
    mean, degrees, diagonals = _mean_of(stack, recipe, n_voxels)
    power = recipe.power
    degree = require_positive(degrees.mean(axis=0))
    first = degree**-power
    image = mean @ first
    metric = image / first
    root = np.sqrt(metric)
    values, vectors = scipy.linalg.eigh(mean / root[:, None] / root, subset_by_index=(n_voxels - rank, n_voxels - 1))
    basis = vectors[:, ::-1] / root[:, None]
    basis[:, 0] = first / np.sqrt(first @ image)  # exactly, with its sign
    small = np.ascontiguousarray(basis, dtype=np.float32)
    moved = mean @ (-power * (first / degree)[:, None] * (degrees - degree).T)  # K₀ (f_s − f₀), to first order
    tail = float((np.diagonal(mean) / metric).sum() - values.sum()) / max(1, n_voxels - rank)
    images = np.empty((len(stack), n_voxels, rank), dtype=np.float32)
    projections, metrics = np.empty((2, len(stack), rank, rank), dtype=np.float32)
    for s, affinity in enumerate(_subjects(stack, recipe, n_voxels)):
        np.matmul(affinity, small, out=images[s])
        projections[s] = _symmetric(small.T @ images[s])
        damped = affinity @ first.astype(np.float32)
        change = power * metric / degree * (degrees[s] - degree) + degree**power * (damped - image + moved[:, s])
        metrics[s] = _symmetric(small.T @ ((metric + change).astype(np.float32)[:, None] * small))
    return Pooled(recipe, values[::-1].copy(), tail, small, metric, degrees, diagonals, images, projections, metrics)


def require_positive(degrees: NDArray[np.float64]) -> NDArray[np.float64]:
    """The degrees; NumericsError where a mean leaves a voxel without positive weight, or is not finite."""
    bad = np.argwhere(~((degrees > 0) & (degrees < np.inf)))
    if bad.size:
        raise NumericsError(
            f"a mean affinity leaves voxel {int(bad[0, -1])} a degree of {degrees[tuple(bad[0])]:.3g}",
            remedy="leave out voxels without signal; fewer covariates keep residualised affinities positive",
        )
    return degrees


def _mean_of(
    stack: NDArray[np.float32], recipe: Recipe, n: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float32]]:
    """The mean affinity, and each subject's degrees and diagonal."""
    total = np.zeros((n, n))
    degrees, diagonals = np.empty((len(stack), n)), np.empty((len(stack), n), dtype=np.float32)
    for s, affinity in enumerate(_subjects(stack, recipe, n)):
        degrees[s] = affinity.sum(axis=1, dtype=np.float64)
        diagonals[s] = np.diagonal(affinity)
        total += affinity
    return total / len(stack), degrees, diagonals


def _subjects(stack: NDArray[np.float32], recipe: Recipe, n: int) -> Iterator[NDArray[np.float32]]:
    """Each affinity in full, one at a time."""
    for packed in stack:
        yield unpacked(packed, n, self_loops=recipe.self_loops)


def _symmetric(matrix: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray((matrix + matrix.T) * np.float32(0.5))
