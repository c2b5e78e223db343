"""What a permutation test is made of: design, contrasts, options, neighbours, and what comes out."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

Method: TypeAlias = Literal["freedman-lane", "ter-braak", "manly", "dekker"]
TfceGrid: TypeAlias = Literal["exact", "palm", "randomise", "nilearn"]
Scale: TypeAlias = Literal["t", "z"]
Tail: TypeAlias = Literal["none", "gpd", "gamma"]
Fdr: TypeAlias = Literal["bh", "bky"]


@dataclass(frozen=True)
class Contrast:
    """A hypothesis on the design's coefficients.

    Attributes
    ----------
    name : as the user wrote it, for people.
    label : letters and digits, for file names; unique in a design.
    weights : (n_rows, n_columns) float64. One row tests `weights @ beta = 0` by t, several rows (or `kind` "f") by F.
    kind : "t" or "f". A t contrast has one row.
    """

    name: str
    label: str
    weights: NDArray[np.float64]
    kind: Literal["t", "f"]


@dataclass(frozen=True)
class Design:
    """A general linear model of the subjects, and what is asked of it.

    Attributes
    ----------
    matrix : (n_subjects, n_columns) float64, finite.
    columns : names of the columns.
    contrasts : t contrasts in order, then F tests.
    ids : participants, without "sub-", one a row; None where the design knows no names.
    blocks : (n_subjects, n_levels) int64 exchangeability blocks as PALM writes a tree (outermost level first; a
        positive label: its children are shuffled as wholes; a negative one: they stay, shuffled inside), or None.
    variance_groups : (n_subjects,) int64 labels of subjects that share a variance, or None for one variance.
    coding : column or term → how it was made, in words, for people.
    remarks : what the user should know, e.g. who was left out.
    """

    matrix: NDArray[np.float64]
    columns: tuple[str, ...]
    contrasts: tuple[Contrast, ...]
    ids: tuple[str, ...] | None = None
    blocks: NDArray[np.int64] | None = None
    variance_groups: NDArray[np.int64] | None = None
    coding: tuple[tuple[str, str], ...] = ()
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Neighbours:
    """Which features touch each other, as rows of a symmetric sparse matrix, and how large each is.

    Attributes
    ----------
    indptr : (n_features + 1,) int32; the neighbours of feature i are `indices[indptr[i]:indptr[i + 1]]`, ascending.
    indices : (n_edges,) int32; no feature is its own neighbour.
    sizes : (n_features,) float64: 1 a voxel, or mm² a vertex; what a cluster's extent adds up.
    dimensions : 3 for voxels, 2 for a surface; decides the default extent power of TFCE.
    """

    indptr: NDArray[np.int32]
    indices: NDArray[np.int32]
    sizes: NDArray[np.float64]
    dimensions: Literal[2, 3]


@dataclass(frozen=True)
class Part:
    """A stretch of features with maxima of its own: one component, one hemisphere, one measure."""

    name: str
    start: int
    stop: int


@dataclass(frozen=True)
class InferenceOptions:
    """How a permutation test is done; names as the command line has them.

    Attributes
    ----------
    n_perm : permutations, the identity included; 0, or no fewer than are possible, takes each once.
    seed : permutation i follows from (seed, i) alone.
    method : how nuisance variables are dealt with.
    sign_flip : signs are flipped instead of subjects exchanged.
    two_sided : t contrasts are tested in both directions.
    pearson : statistics are reported and maximised as (partial) correlation r, or R² for F tests.
    statistic_scale : what is maximised and enhanced: the statistic itself ("t"), or its z equivalent ("z").
    tfce : whether maps are enhanced without a threshold.
    tfce_grid : the exact integral, or a peer's steps.
    tfce_h, tfce_e : powers of height and extent; None for H = 2, and E = 0.5 in volumes and 1 on surfaces.
    cluster_threshold : clusters are formed at this height (in `statistic_scale`); None for no clusters.
    tail : small p-values from a fitted tail: "gpd", "gamma", or "none".
    fdr : false discovery rate of Benjamini and Hochberg ("bh"), or the adaptive one of Benjamini, Krieger and Yekutieli
        ("bky"), which is PALM's, and can be smaller than p itself.
    stop_after : exceedances after which a feature's p-value counts as settled (Besag and Clifford 1991); 0 for never.
    """

    n_perm: int = 10_000
    seed: int = 0
    method: Method = "freedman-lane"
    sign_flip: bool = False
    two_sided: bool = False
    pearson: bool = False
    statistic_scale: Scale = "t"
    tfce: bool = False
    tfce_grid: TfceGrid = "exact"
    tfce_h: float | None = None
    tfce_e: float | None = None
    cluster_threshold: float | None = None
    tail: Tail = "none"
    fdr: Fdr = "bh"
    stop_after: int = 0
