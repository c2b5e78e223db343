"""Where the significant features are: clusters of one sign, their peaks, and one row each for `peaks.tsv`."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from thalgpu.engine.inference.model import Neighbours

Cell: TypeAlias = str | int | float | None

PEAK_COLUMNS = (
    *("contrast", "map", "cluster", "sign", "n_features", "size", "unit", "peak_feature", "peak", "x", "y", "z"),
    *("centre_x", "centre_y", "centre_z", "hemisphere", "p", "p_low", "p_high", "p_source"),
    *("effect", "effect_low", "effect_high", "effect_name", "name"),
)
"""Columns of `peaks.tsv`, keys of every row of `peaks_table`, in order; mm and mm³ or mm²."""


@dataclass(frozen=True)
class Cluster:
    """Significant features of one sign that hang together.

    Attributes
    ----------
    features : (n,) int64, ascending.
    sign : 1 or −1, of the statistic.
    size : Σ of the features' sizes; their number where there are no neighbours.
    peak : the feature whose statistic is largest in magnitude, the first of them at a tie.
    peak_statistic : its statistic, signed.
    """

    features: NDArray[np.int64]
    sign: Literal[-1, 1]
    size: float
    peak: int
    peak_statistic: float


@dataclass(frozen=True)
class Places:
    """Where features are and what they are called; whatever is not known is None.

    Attributes
    ----------
    neighbours : which features touch; without them every significant feature is a cluster of its own.
    coordinates : (n_features, 3) float64, mm.
    unit_size : what a size of 1 in `neighbours` measures: mm³ of a voxel; 1 on surfaces, whose sizes are mm² already.
        None where sizes are counts.
    hemispheres : "L" or "R" a feature.
    names : what a feature is called: its nucleus, parcel or column.
    """

    neighbours: Neighbours | None = None
    coordinates: NDArray[np.float64] | None = None
    unit_size: float | None = None
    hemispheres: Sequence[str | None] | None = None
    names: Sequence[str | None] | None = None


@dataclass(frozen=True)
class Findings:
    """What a test found of each feature; each (n_features,) float64, or None where there is no such thing.

    Attributes
    ----------
    statistic : signed; decides the sign of a cluster and its peak.
    p : the corrected p-values that decide what is significant.
    p_source : what was corrected and how, e.g. "p_fwe_tfce".
    p_low, p_high : Monte-Carlo confidence limits of `p`.
    effect, effect_low, effect_high : an effect size and its confidence limits.
    effect_name : e.g. "hedges_g".
    """

    statistic: NDArray[np.float64]
    p: NDArray[np.float64]
    p_source: str
    p_low: NDArray[np.float64] | None = None
    p_high: NDArray[np.float64] | None = None
    effect: NDArray[np.float64] | None = None
    effect_low: NDArray[np.float64] | None = None
    effect_high: NDArray[np.float64] | None = None
    effect_name: str | None = None


def find_clusters(
    significant: NDArray[np.bool_], statistic: NDArray[np.float64], neighbours: Neighbours | None
) -> list[Cluster]:
    """Connected clusters of significant features of one sign, the largest first.

    Parameters
    ----------
    significant : (n_features,) bool
    statistic : (n_features,) float64
    neighbours : which features touch; None makes every significant feature a cluster.

    Returns
    -------
    By descending size, then descending magnitude of the peak, then ascending feature. A statistic of 0 counts as
    positive.
    """
    chosen = np.flatnonzero(significant)
    if not len(chosen):
        return []
    labels = _components(chosen, statistic, neighbours)
    order = np.argsort(labels, kind="stable")
    groups = np.split(chosen[order], np.flatnonzero(np.diff(labels[order])) + 1)
    clusters = [_cluster(features, statistic, neighbours) for features in groups]
    return sorted(clusters, key=lambda c: (-c.size, -abs(c.peak_statistic), c.peak))


def centre_of_mass(
    cluster: Cluster, statistic: NDArray[np.float64], coordinates: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(3,) mean coordinates of the cluster's features, weighted by the magnitude of the statistic."""
    weights = np.abs(statistic[cluster.features])
    if not weights.any():
        weights = np.ones(len(weights))
    centre: NDArray[np.float64] = weights @ coordinates[cluster.features] / weights.sum()
    return centre


def peaks_table(
    contrast: str, part: str, findings: Findings, places: Places, *, alpha: float = 0.05
) -> list[dict[str, Cell]]:
    """Rows of `peaks.tsv` for one contrast and one map.

    Parameters
    ----------
    contrast, part : names that the rows carry.
    findings : of the features of this part alone.
    places : of the same features.
    alpha : features with p at or below this are significant.

    Returns
    -------
    One dict of `PEAK_COLUMNS` a cluster, the largest first: cluster counts from 1; sign is "+" or "-"; unit "mm3",
    "mm2", or None where size is a count; x, y, z, p, effect and name are those of the peak. None where something is
    not known.
    """
    clusters = find_clusters(findings.p <= alpha, findings.statistic, places.neighbours)
    heads: list[dict[str, Cell]] = [
        {"contrast": contrast, "map": part, "cluster": number} for number in range(1, len(clusters) + 1)
    ]
    return [head | _row(cluster, findings, places) for head, cluster in zip(heads, clusters, strict=True)]


def _components(
    chosen: NDArray[np.int64], statistic: NDArray[np.float64], neighbours: Neighbours | None
) -> NDArray[np.int64]:
    """A number for each chosen feature, the same for those that hang together."""
    if neighbours is None:
        return np.arange(len(chosen))
    n_features = len(neighbours.indptr) - 1
    starts = np.repeat(np.arange(n_features), np.diff(neighbours.indptr))
    ends = neighbours.indices
    kind = np.zeros(n_features, dtype=np.int8)
    kind[chosen] = np.where(statistic[chosen] < 0, -1, 1)
    joins = (kind[starts] != 0) & (kind[starts] == kind[ends])
    edges = (np.ones(int(joins.sum()), dtype=np.int8), (starts[joins], ends[joins]))
    _, labels = connected_components(csr_array(edges, shape=(n_features, n_features)), directed=False)
    return np.asarray(labels[chosen], dtype=np.int64)


def _cluster(features: NDArray[np.int64], statistic: NDArray[np.float64], neighbours: Neighbours | None) -> Cluster:
    values = statistic[features]
    at = int(np.argmax(np.abs(values)))
    size = float(len(features)) if neighbours is None else float(neighbours.sizes[features].sum())
    return Cluster(features, -1 if values[at] < 0 else 1, size, int(features[at]), float(values[at]))


def _row(cluster: Cluster, findings: Findings, places: Places) -> dict[str, Cell]:
    peak, xyz = cluster.peak, places.coordinates
    measured = places.neighbours is not None and places.unit_size is not None
    peak_place = [None] * 3 if xyz is None else xyz[peak].tolist()
    centre = [None] * 3 if xyz is None else centre_of_mass(cluster, findings.statistic, xyz).tolist()
    return {
        "sign": "+" if cluster.sign > 0 else "-",
        "n_features": len(cluster.features),
        "size": cluster.size * (places.unit_size or 1.0) if measured else cluster.size,
        "unit": _unit(places) if measured else None,
        "peak_feature": peak,
        "peak": cluster.peak_statistic,
        **dict(zip(("x", "y", "z"), peak_place, strict=True)),
        **dict(zip(("centre_x", "centre_y", "centre_z"), centre, strict=True)),
        "hemisphere": None if places.hemispheres is None else places.hemispheres[peak],
        "p": float(findings.p[peak]),
        "p_low": _at(findings.p_low, peak),
        "p_high": _at(findings.p_high, peak),
        "p_source": findings.p_source,
        "effect": _at(findings.effect, peak),
        "effect_low": _at(findings.effect_low, peak),
        "effect_high": _at(findings.effect_high, peak),
        "effect_name": findings.effect_name,
        "name": None if places.names is None else places.names[peak],
    }


def _unit(places: Places) -> str | None:
    if places.neighbours is None:
        return None
    return "mm3" if places.neighbours.dimensions == 3 else "mm2"


def _at(values: NDArray[np.float64] | None, feature: int) -> float | None:
    return None if values is None else float(values[feature])
