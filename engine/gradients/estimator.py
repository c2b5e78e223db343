"""GradientMaps: the engine's gradients behind an estimator with `fit`, for notebooks and scripts."""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Literal, Self, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from thalgpu.engine.config import Alignment, Approach, Graph, Kernel
from thalgpu.engine.gradients.affinity import affinity_from_timeseries, compute_affinity
from thalgpu.engine.gradients.alignment import generalised_procrustes, procrustes
from thalgpu.engine.gradients.connectivity import connectivity as connectivity_matrix
from thalgpu.engine.gradients.embedding import Embedding, embed
from thalgpu.engine.gradients.options import require_between, require_choice, require_kernel_options, require_whole
from thalgpu.errors import NumericsError, UsageError
from thalgpu.kernels._checks import as_floats
from thalgpu.kernels._namespace import Array, get_namespace

Template: TypeAlias = Literal["pooled", "pooled-connectivity", "generalised"]


class GradientMaps:
    """Connectivity gradients of one or several subjects.

    Parameters
    ----------
    n_components : int
        How many gradients.
    approach : "dm", "le" or "pca"
        Diffusion map, Laplacian eigenmap, or principal components of the affinity.
    kernel : "normalized_angle", "cosine", "pearson", "spearman", "gaussian" or "eta2"
        Similarity of two voxels' connectivity profiles; see `compute_affinity`.
    sparsity : float
        Share of each connectivity row that is set to zero, 0 <= sparsity < 1.
    fisher_z : bool
        Whether correlations are transformed by atanh; concerns `fit_timeseries` only.
    graph : "dense" or "epsilon"
        Whether the whole affinity is embedded, or congrads' smallest connected graph.
    alpha, diffusion_time : float
        Anisotropy and time of the diffusion map.
    gamma : float, optional
        Inverse width of the gaussian kernel; 1 / n_targets when left out.
    non_negative : bool
        Whether negative affinities are set to zero.
    alignment : "procrustes" or "none"
        Whether several subjects are brought into one orientation.
    template : "pooled", "pooled-connectivity" or "generalised"
        What they are aligned to: the gradients of their mean affinity, those of their mean connectivity, or the mean of
        their gradients after generalised Procrustes.
    n_align : int
        Components that are rotated among themselves; see `procrustes`.

    Attributes
    ----------
    gradients_ : (n_voxels, n_components), or a list of them
        In the dtype, and where, the input is.
    lambdas_ : (n_components,) float64, or a list of them
        Eigenvalues as the approach reports them.
    embedding_ : Embedding, or a list of them
        The same, with eigengaps and explained shares.
    aligned_ : (n_voxels, n_components), or a list of them, or None
        Gradients in the template's orientation; None when nothing was aligned: one subject without a reference, or
        alignment "none".
    template_ : (n_voxels, n_components) or None
        What they were aligned to.

    Raises
    ------
    UsageError
        At construction: an option that does not exist, is out of range or is no number; it is named.

    Notes
    -----
    Differs from BrainSpace's GradientMaps in: several subjects are aligned to their pooled gradients by default (a
    template = "generalised" without reference is BrainSpace's); no random state, because there is nothing random.
    """

    embedding_: Embedding | list[Embedding]
    gradients_: Array | list[Array]
    lambdas_: NDArray[np.float64] | list[NDArray[np.float64]]
    aligned_: Array | list[Array] | None
    template_: Array | None

    def __init__(
        self,
        n_components: int = 10,
        approach: Approach = "dm",
        kernel: Kernel = "normalized_angle",
        sparsity: float = 0.9,
        *,
        fisher_z: bool = True,
        graph: Graph = "dense",
        alpha: float = 0.5,
        diffusion_time: float = 0.0,
        gamma: float | None = None,
        non_negative: bool = True,
        alignment: Alignment = "procrustes",
        template: Template = "pooled",
        n_align: int = 10,
    ) -> None:
        for name, value, choices in (
            ("approach", approach, get_args(Approach)),
            ("graph", graph, get_args(Graph)),
            ("alignment", alignment, get_args(Alignment)),
            ("template", template, get_args(Template)),
        ):
            require_choice(name, value, choices)
        require_kernel_options(kernel, sparsity, gamma, get_args(Kernel))
        require_whole("n_components", n_components)
        require_whole("n_align", n_align)
        require_between("alpha", alpha, 0, 1, ends="[]")
        require_between("diffusion_time", diffusion_time, 0, math.inf, ends="[)")
        if approach == "pca" and graph == "epsilon":
            raise UsageError("principal components are not defined on an epsilon graph", remedy="use dm or le")
        self.n_components, self.approach, self.kernel, self.sparsity = n_components, approach, kernel, sparsity
        self.fisher_z, self.graph, self.alpha, self.diffusion_time = fisher_z, graph, alpha, diffusion_time
        self.gamma, self.non_negative = gamma, non_negative
        self.alignment, self.template, self.n_align = alignment, template, n_align

    def fit(self, connectivity: Array | Sequence[Array], *, reference: Array | None = None) -> Self:
        """Compute gradients from connectivity matrices.

        Parameters
        ----------
        connectivity : (n_voxels, n_targets) float32 or float64, or a list or tuple of them
            One subject, or several over the same voxels; NumPy or CuPy arrays, as everywhere.
        reference : (n_voxels, n_components), optional
            Gradients to align to, in place of a template made from the subjects.

        Raises
        ------
        NumericsError
            As `compute_affinity`, the embedding, and `procrustes`.
        """
        affinity_of = partial(compute_affinity, **self._kernel_options())
        several = isinstance(connectivity, list | tuple)
        subjects = [(one,) for one in (connectivity if several else [connectivity])]
        return self._fit(subjects, affinity_of, lambda matrix: matrix, several, reference)

    def fit_timeseries(
        self,
        seed_ts: Array | Sequence[Array],
        target_ts: Array | Sequence[Array],
        *,
        reference: Array | None = None,
    ) -> Self:
        """Compute gradients from cleaned time series; a connectivity matrix is formed for "pooled-connectivity" only.

        Parameters
        ----------
        seed_ts : (n_timepoints, n_voxels) float32 or float64, or a list or tuple of them
            One subject, or several over the same voxels.
        target_ts : (n_timepoints, n_targets), same dtype, or as many of them
            The series that the seed's are correlated with.
        reference : (n_voxels, n_components), optional
            As in `fit`.

        Raises
        ------
        NumericsError
            As `affinity_from_timeseries`, the embedding, and `procrustes`.
        """
        several = isinstance(seed_ts, list | tuple)
        if several != isinstance(target_ts, list | tuple) or (several and len(seed_ts) != len(target_ts)):
            raise NumericsError("seed and target series must be two arrays, or two lists of one length")
        affinity_of = partial(affinity_from_timeseries, fisher_z=self.fisher_z, **self._kernel_options())
        connectivity_of = partial(connectivity_matrix, fisher_z=self.fisher_z)
        subjects = list(zip(seed_ts, target_ts, strict=True)) if several else [(seed_ts, target_ts)]
        return self._fit(subjects, affinity_of, connectivity_of, several, reference)

    def _kernel_options(self) -> dict[str, Any]:
        return {
            "kernel": self.kernel,
            "sparsity": self.sparsity,
            "non_negative": self.non_negative,
            "gamma": self.gamma,
        }

    def _fit(
        self,
        subjects: Sequence[tuple[Any, ...]],
        affinity_of: Callable[..., Array],
        connectivity_of: Callable[..., Array],
        several: bool,
        reference: Array | None,
    ) -> Self:
        """Embed every subject, align where there is something to align to, and take one subject out of its list."""
        if not subjects:
            raise NumericsError("there are no subjects to fit")
        template = None if reference is None else as_floats("reference", reference)
        to_pool = self.template if several and reference is None and self.alignment == "procrustes" else None
        embeddings, total = [], None
        for subject in subjects:
            affinity = affinity_of(*subject)
            embeddings.append(self._embed(affinity))
            if to_pool == "pooled":
                total = _sum(total, affinity)
            elif to_pool == "pooled-connectivity":
                total = _sum(total, connectivity_of(*subject))
        gradients = [one.gradients for one in embeddings]
        lambdas = [one.lambdas for one in embeddings]

        if total is not None:
            mean = total / len(subjects)
            pooled = mean if to_pool == "pooled" else compute_affinity(mean, **self._kernel_options())
            template = self._embed(pooled).gradients.astype(gradients[0].dtype)
        elif to_pool == "generalised":
            template = generalised_procrustes(gradients, n_align=self.n_align).reference.astype(gradients[0].dtype)
        aligned = None
        if template is not None and self.alignment == "procrustes":
            aligned = [procrustes(one, template, n_align=self.n_align).aligned for one in gradients]

        self.embedding_ = embeddings if several else embeddings[0]
        self.gradients_ = gradients if several else gradients[0]
        self.lambdas_ = lambdas if several else lambdas[0]
        self.aligned_ = aligned if several or aligned is None else aligned[0]
        self.template_ = template
        return self

    def _embed(self, affinity: Array) -> Embedding:
        return embed(
            affinity,
            approach=self.approach,
            graph=self.graph,
            n_components=self.n_components,
            alpha=self.alpha,
            diffusion_time=self.diffusion_time,
        )


def _sum(total: Array | None, matrix: Array) -> Array:
    """The running sum of equally shaped matrices, in float64 and in the order they come."""
    if total is None:
        return matrix.astype(get_namespace(matrix).float64)
    if total.shape != matrix.shape:
        raise NumericsError(f"subjects differ in shape: {total.shape} and {matrix.shape}")
    total += matrix
    return total
