"""Every option that shapes a result, frozen; the resolved set is what a result's key is made from."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal, TypeAlias

from thalgpu.errors import UsageError

Kernel: TypeAlias = Literal["normalized_angle", "cosine", "pearson", "spearman", "gaussian", "eta2"]
Approach: TypeAlias = Literal["dm", "le", "pca"]
Graph: TypeAlias = Literal["dense", "epsilon"]
Hemisphere: TypeAlias = Literal["both", "L", "R", "separate"]
Targets: TypeAlias = Literal["ipsilateral", "all"]
Alignment: TypeAlias = Literal["procrustes", "none"]


@dataclass(frozen=True)
class CleaningOptions:
    """How time series are cleaned, all in one projection.

    Attributes
    ----------
    confounds : "24p", "36p", "acompcor", "none", or a tuple of column names of the confounds table.
    high_pass, low_pass : cut-off frequencies in Hz, or None.
    scrub_fd : framewise displacement in mm above which a volume is left out, or None.
    drop_first : number of first volumes left out.
    detrend : whether a linear trend is removed.
    fwhm : smoothing inside each region in mm; 0 for none.
    tr : repetition time in s that overrides the header's, or None.
    """

    confounds: str | tuple[str, ...] = "none"
    high_pass: float | None = None
    low_pass: float | None = None
    scrub_fd: float | None = None
    drop_first: int = 0
    detrend: bool = True
    fwhm: float = 0.0
    tr: float | None = None


@dataclass(frozen=True)
class GradientOptions:
    """How gradients are made from cleaned time series; names as in BrainSpace where it has them.

    Attributes
    ----------
    kernel : similarity of two voxels' connectivity profiles.
    sparsity : fraction of each connectivity row set to zero, 0 <= sparsity < 1.
    fisher_z : whether correlations are transformed by atanh before the kernel.
    approach : "dm" diffusion map, "le" Laplacian eigenmap, "pca" principal components of the affinity.
    graph : "dense", or "epsilon" for congrads' smallest connected graph.
    n_components : number of gradients.
    alpha : diffusion map's anisotropy, 0 <= alpha <= 1.
    diffusion_time : diffusion map's time; 0 sums over all times.
    alignment : "procrustes" onto the template, or "none".
    template : "pooled", "pooled-connectivity", "generalised", or a file.
    n_align : number of components that take part in the alignment.
    hemisphere : which thalamus, and whether the two are embedded together.
    targets : "all", or "ipsilateral" (one hemisphere only).
    min_coverage : least fraction of voxels, and of targets, with a varying signal.
    trend_surface : polynomial order of congrads' trend-surface model; 0 for none.
    keep : which of "connectivity", "projections" are written besides.
    """

    kernel: Kernel = "normalized_angle"
    sparsity: float = 0.9
    fisher_z: bool = True
    approach: Approach = "dm"
    graph: Graph = "dense"
    n_components: int = 10
    alpha: float = 0.5
    diffusion_time: float = 0.0
    alignment: Alignment = "procrustes"
    template: str = "pooled"
    n_align: int = 10
    hemisphere: Hemisphere = "both"
    targets: Targets = "all"
    min_coverage: float = 0.8
    trend_surface: int = 0
    keep: tuple[str, ...] = field(default=())


RECIPES: Mapping[str, Mapping[str, Any]] = {
    "brainspace": {"kernel": "normalized_angle", "sparsity": 0.9, "fisher_z": True, "approach": "dm", "graph": "dense"},
    "congrads": {"kernel": "eta2", "sparsity": 0.0, "fisher_z": False, "approach": "le", "graph": "epsilon"},
}


def recipe(name: str, **overrides: Any) -> GradientOptions:
    """The options of a named recipe, each of which can be overridden; UsageError for an unknown name."""
    if name not in RECIPES:
        raise UsageError(f"unknown recipe {name!r}", remedy=f"choose one of {', '.join(RECIPES)}")
    return replace(GradientOptions(), **{**RECIPES[name], **overrides})


def canonical_json(value: Any) -> str:
    """JSON with sorted keys and no spaces, so that equal values give equal text; NaN is refused."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def config_key(*parts: Any) -> str:
    """SHA-256 (hex) of dataclasses, mappings and plain values: the identity of a result."""
    plain = [asdict(part) if hasattr(part, "__dataclass_fields__") else part for part in parts]
    return hashlib.sha256(canonical_json(plain).encode()).hexdigest()
