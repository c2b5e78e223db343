"""What each arm of a study measures, as a methods section says it."""

from collections.abc import Sequence
from typing import Literal

from thalgpu.engine.config import GradientOptions
from thalgpu.engine.report.compare_words import listed

Icv = Literal["covariate", "residual", "proportion", "none"]
Alignment = Literal["rigid", "similarity", "none"]

_KERNELS = {
    "normalized_angle": "one less the angle between two voxels' profiles over π",
    "cosine": "the cosine of two voxels' profiles",
    "pearson": "the correlation of two voxels' profiles",
    "spearman": "the rank correlation of two voxels' profiles",
    "gaussian": "a Gaussian of the distance between two voxels' profiles",
    "eta2": "η² of two voxels' profiles (Haak et al. 2018)",
}
_EMBEDDINGS = {
    "dm": "diffusion maps (Coifman and Lafon 2006; α = {alpha:g})",
    "le": "Laplacian eigenmaps (Belkin and Niyogi 2003)",
    "pca": "principal components",
}
_ICV = {
    "covariate": "Intracranial volume was a covariate of its tests.",
    "residual": "Volumes were adjusted by the residuals of their regression on intracranial volume.",
    "proportion": "Volumes were divided by intracranial volume.",
    "none": "Volumes were not adjusted for intracranial volume.",
}
_ALIGNMENTS = {
    "rigid": "aligned by generalised Procrustes analysis with rotation and translation (Gower 1975), which keeps size",
    "similarity": "aligned by generalised Procrustes analysis with rotation, translation and scale (Gower 1975), "
    "which removes size",
    "none": "taken as they lie in the common space",
}


def gradients_measured(options: GradientOptions, n_voxels: int, n_targets: int, n_tested: int) -> str:
    """Thalamocortical connectivity gradients, of which the first `n_tested` are tested."""
    correlated = "Fisher z of the correlation" if options.fisher_z else "the correlation"
    kept = f"; the largest {100 * (1 - options.sparsity):g} % of each profile were kept" if options.sparsity else ""
    aligned = (
        f" They were aligned by orthogonal Procrustes of {options.n_align} components (Schönemann 1966) onto the "
        "template of all subjects together."
        if options.alignment == "procrustes"
        else ""
    )
    return (
        f"Connectivity profiles of {n_voxels:,} thalamic voxels held {correlated} with {n_targets:,} cortical targets"
        f"{kept}. The affinity of two voxels was {_KERNELS[options.kernel]}; gradients (Margulies et al. 2016) were "
        f"{options.n_components} components of {_EMBEDDINGS[options.approach].format(alpha=options.alpha)}.{aligned} "
        f"{'The first gradient was' if n_tested == 1 else f'The first {n_tested} gradients were'} tested voxel by "
        "voxel."
    )


def volumes_measured(volumes: Sequence[str], icv: Icv, source: str) -> str:
    """Volumes by name, what was done about head size, and what they come from, e.g. "FreeSurfer's aseg"."""
    return f"Thalamic volumes ({listed(volumes)}; mm³) came from {source}{_of(source)}. {_ICV[icv]}"


def thickness_measured(regions: Sequence[str], source: str) -> str:
    """Mean thickness of regions, and what it comes from."""
    return (
        f"Grey-matter thickness (mm) was averaged over the primary somatosensory cortex and its areas "
        f"({listed(regions)}), from {source}{_of(source)}."
    )


def shape_measured(n_vertices: Sequence[int], alignment: Alignment, smoothing: float, source: str) -> str:
    """Displacement of surfaces along their normals; `smoothing` is a FWHM in mm."""
    vertices = listed([f"{n:,}" for n in n_vertices])
    smoothed = f", smoothed along the surface with {smoothing:g} mm FWHM," if smoothing else ""
    sides = "each hemisphere" if len(n_vertices) > 1 else "the hemisphere"
    return (
        f"Thalamic surfaces of {sides} ({vertices} corresponding vertices) came from {source}{_of(source)} and were "
        f"{_ALIGNMENTS[alignment]}. Shape is each vertex's distance from the mean surface along that surface's normal "
        f"(mm, outward positive){smoothed} tested vertex by vertex, vertices weighted by their area."
    )


def connectivity_measured(seeds: Sequence[str], n_targets: int, targets: str) -> str:
    """Maps of seeds; `targets` says what they lie on, e.g. "cortical voxels"."""
    return (
        f"Mean time series of seeds ({listed(seeds)}) were correlated with {n_targets:,} {targets}; correlations were "
        "transformed by Fisher's z."
    )


def _of(source: str) -> str:
    """The citation of a source that is known."""
    if "FreeSurfer" in source:
        return " (Fischl 2012)"
    return " (Patenaude et al. 2011)" if "FIRST" in source else ""
