"""One subject's gradients from cleaned time series: affinity, embedding and, where asked for, what else is kept."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from thalgpu.engine.config import GradientOptions
from thalgpu.engine.gradients.affinity import affinity_from_timeseries
from thalgpu.engine.gradients.connectivity import connectivity
from thalgpu.engine.gradients.embedding import Embedding, embed
from thalgpu.engine.gradients.projection import project_to_targets
from thalgpu.engine.gradients.signs import fix_signs_by_distance
from thalgpu.kernels._namespace import Array, to_host


@dataclass(frozen=True)
class SubjectGradients:
    """What one subject's time series give.

    Attributes
    ----------
    embedding : gradients and eigenvalues, not yet aligned.
    affinity : (n_voxels, n_voxels), symmetric.
    connectivity : (n_voxels, n_targets), or None unless kept.
    projections : (n_targets, n_components) on the targets, or None unless kept.
    """

    embedding: Embedding
    affinity: Array
    connectivity: Array | None
    projections: Array | None

    def on_host(self) -> "SubjectGradients":
        """The same as NumPy arrays."""
        return SubjectGradients(
            replace(self.embedding, gradients=to_host(self.embedding.gradients)),
            to_host(self.affinity),
            None if self.connectivity is None else to_host(self.connectivity),
            None if self.projections is None else to_host(self.projections),
        )


def subject_gradients(
    seed_ts: Array, target_ts: Array, options: GradientOptions, *, ijk: NDArray[np.int32] | None = None, n_x: int = 0
) -> SubjectGradients:
    """Affinity of the thalamic voxels by their connectivity profiles, and its leading components.

    Parameters
    ----------
    seed_ts : (n_timepoints, n_voxels); every column varies.
    target_ts : (n_timepoints, n_targets); every column varies.
    options : kernel, sparsity, approach and the rest.
    ijk, n_x : (n_voxels, 3) voxel indices and the image's size along its first axis, for congrads' sign rule.

    Raises
    ------
    NumericsError
        When the affinity has no embedding of this size: disconnected, or too few voxels.
    """
    affinity = affinity_from_timeseries(
        seed_ts, target_ts, kernel=options.kernel, sparsity=options.sparsity, fisher_z=options.fisher_z
    )
    embedding = embed_with(options, affinity, ijk=ijk, n_x=n_x)
    keeps_connectivity = "connectivity" in options.keep or options.template == "pooled-connectivity"
    return SubjectGradients(
        embedding=embedding,
        affinity=affinity,
        connectivity=connectivity(seed_ts, target_ts, fisher_z=options.fisher_z) if keeps_connectivity else None,
        projections=project_to_targets(embedding.gradients, seed_ts, target_ts)
        if "projections" in options.keep
        else None,
    )


def embed_with(
    options: GradientOptions, affinity: Array, *, ijk: NDArray[np.int32] | None = None, n_x: int = 0
) -> Embedding:
    """The embedding that `options` ask for, for one subject and for the template alike.

    On congrads' graph the sign rule is congrads' too, where the voxels' places are known.
    """
    embedding = embed(
        affinity,
        approach=options.approach,
        graph=options.graph,
        n_components=options.n_components,
        alpha=options.alpha,
        diffusion_time=options.diffusion_time,
    )
    if options.graph == "epsilon" and ijk is not None:
        return replace(embedding, gradients=fix_signs_by_distance(embedding.gradients, ijk, n_x))
    return embedding
