"""Cortical thickness: means of regions, and vertices brought onto a common surface."""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import cKDTree

from thalgpu.errors import NumericsError


def region_mean(thickness: ArrayLike, region: ArrayLike, areas: ArrayLike | None = None) -> float:
    """Mean thickness of the vertices of a region.

    Parameters
    ----------
    thickness : (n_vertices,) mm
        0 where there is no cortex, as FreeSurfer writes it for the medial wall; such vertices do not count.
    region : (n_vertices,) bool
        Or the numbers of its vertices.
    areas : (n_vertices,) mm², optional
        Weights; without them every vertex counts the same, as in FreeSurfer's `ThickAvg`.

    Raises
    ------
    NumericsError
        For shapes that do not fit, and a region without cortex.
    """
    values = np.asarray(thickness, np.float64)
    weights = np.ones_like(values) if areas is None else np.asarray(areas, np.float64)
    if values.ndim != 1 or weights.shape != values.shape:
        raise NumericsError(f"thickness of shape {values.shape} and areas of shape {weights.shape}")
    inside = _members(region, len(values))
    inside = inside[values[inside] > 0]
    chosen, weights = values[inside], weights[inside]
    if not (len(chosen) and np.isfinite(chosen).all() and np.isfinite(weights).all() and weights.sum() > 0):
        raise NumericsError("the region has no vertex with a thickness", remedy="give labels of the same surface")
    return float(weights @ chosen / weights.sum())


def nearest_on_sphere(sphere: ArrayLike, common: ArrayLike) -> NDArray[np.int64]:
    """The vertex of a subject's registered sphere that is nearest to each vertex of the common one.

    Parameters
    ----------
    sphere : (n_vertices, 3)
        A subject's `?h.sphere.reg`. Any radius; centred at the origin.
    common : (n_common, 3)
        The sphere of the common surface, in the same registration (`fsaverage`'s `?h.sphere.reg`).

    Returns
    -------
    (n_common,) : `thickness[result]` is the subject's thickness on the common surface.

    Notes
    -----
    Nearest neighbours forward only, so that every value is one that was measured; `mri_surf2surf` also averages the
    vertices that would be left out (nnfr), which smooths a little where the common surface is the coarser one.
    """
    _, nearest = cKDTree(_on_unit_sphere(sphere)).query(_on_unit_sphere(common))
    return np.asarray(nearest, np.int64)


def _members(region: ArrayLike, n_vertices: int) -> NDArray[np.int64]:
    chosen = np.asarray(region)
    if chosen.dtype == np.bool_ and chosen.shape == (n_vertices,):
        return np.flatnonzero(chosen)
    whole = chosen.ndim == 1 and chosen.dtype.kind in "iu"
    if not whole or (chosen.size and not 0 <= chosen.min() <= chosen.max() < n_vertices):
        raise NumericsError(f"a region of shape {chosen.shape} does not fit a surface of {n_vertices} vertices")
    return chosen.astype(np.int64)


def _on_unit_sphere(sphere: ArrayLike) -> NDArray[np.float64]:
    points = np.asarray(sphere, np.float64)
    if points.ndim != 2 or points.shape[1] != 3 or not np.isfinite(points).all():
        raise NumericsError(f"a sphere has finite points of three coordinates, not the shape {points.shape}")
    radius = np.linalg.norm(points, axis=1, keepdims=True)
    if not (len(points) and (radius > 0).all()):
        raise NumericsError("a sphere has points, none of them at its centre")
    unit: NDArray[np.float64] = points / radius
    return unit
