"""Statistics that look at a map's neighbourhoods: threshold-free cluster enhancement, and clusters above a height."""

from thalgpu.engine.inference.model import InferenceOptions, Neighbours
from thalgpu.engine.inference.tfce_grids import exact_integral, fixed_steps, own_steps
from thalgpu.errors import NumericsError
from thalgpu.kernels._namespace import Array, get_namespace, like
from thalgpu.kernels.clusters import clusters
from thalgpu.kernels.tfce import tfce

_HEIGHT_POWER = 2.0
_EXTENT_POWER = {3: 0.5, 2: 1.0}
"""By dimensions."""


def tfce_powers(neighbours: Neighbours, options: InferenceOptions) -> tuple[float, float]:
    """Powers of height and extent, H and E: those asked for, or 2, and 0.5 in volumes or 1 on surfaces."""
    height = _HEIGHT_POWER if options.tfce_h is None else options.tfce_h
    extent = _EXTENT_POWER[neighbours.dimensions] if options.tfce_e is None else options.tfce_e
    return height, extent


def enhance(
    scaled: Array,
    neighbours: Neighbours,
    options: InferenceOptions,
    *,
    reference_maximum: float | None = None,
) -> Array:
    """Threshold-free cluster enhancement of a batch of maps.

    Parameters
    ----------
    scaled : (n_maps, n_features) float64
        Finite statistics, in the scale that is to be enhanced.
    neighbours : of the features.
    options : `tfce_grid`, `tfce_h`, `tfce_e` and `two_sided`, which must be False for maps of F tests.
    reference_maximum : float
        Highest value of the unpermuted map, or highest magnitude if `two_sided`. For the grid of randomise, which needs
        it; others ignore it.

    Returns
    -------
    enhanced : (n_maps, n_features) float64
        One-sided: of the positive part of each map, and 0 elsewhere. Two-sided: the negative part is enhanced by itself
        and counts negatively; its magnitudes are what is to be compared.

    Raises
    ------
    NumericsError
        randomise's grid without a reference, or with one that is a ten-thousandth of the maximum of a map.

    Notes
    -----
    The integral of extent^E · h^H dh (https://doi.org/10.1016/j.neuroimage.2008.03.061), or the sum of a peer:

    - "palm": 100 thresholds up to the maximum of each map; each counts for values >= it, times their distance.
    - "nilearn": likewise, not times their distance.
    - "randomise": a threshold every hundredth of `reference_maximum`, for values > it, not times their distance.

    Two-sided, maxima are of magnitudes, and clusters never hold values of both signs, as in nilearn; PALM enhances the
    magnitudes, so that neighbours of opposite sign share a cluster.
    """
    xp = get_namespace(scaled)
    height_power, extent_power = tfce_powers(neighbours, options)
    indptr, indices, sizes = _graph(neighbours, scaled)
    maxima = xp.max(xp.abs(scaled) if options.two_sided else scaled, axis=1)

    def enhance_positive(maps: Array) -> Array:
        integrals = _integrals(maps, maxima, reference_maximum, height_power, options)
        return tfce(maps, integrals, indptr, indices, sizes, extent_power)

    enhanced = enhance_positive(scaled)
    return enhanced - enhance_positive(-scaled) if options.two_sided else enhanced


def cluster_maps(scaled: Array, neighbours: Neighbours, options: InferenceOptions) -> tuple[Array, Array]:
    """Extent and mass of the cluster above `options.cluster_threshold` that each feature lies in.

    Parameters
    ----------
    scaled : (n_maps, n_features) float64
        Finite statistics, in the scale of the threshold.
    neighbours : of the features; an extent is a number of voxels or vertices, or an area in mm².
    options : `cluster_threshold`, positive, and `two_sided`, which must be False for maps of F tests.

    Returns
    -------
    extent, mass : (n_maps, n_features) float64
        0 outside clusters. Two-sided, clusters of values <= −threshold are found as well, and measured by their
        magnitudes: neither is ever negative.

    Notes
    -----
    PALM's clusters are of voxels that touch by their corners (26 neighbours), though it enhances with 6.
    """
    if options.cluster_threshold is None:
        raise NumericsError("clusters need a threshold", remedy="give --cluster-threshold")
    graph = _graph(neighbours, scaled)
    extent, mass = clusters(scaled, options.cluster_threshold, *graph)
    if options.two_sided:
        below = clusters(-scaled, options.cluster_threshold, *graph)
        extent, mass = extent + below[0], mass + below[1]
    return extent, mass


def _graph(neighbours: Neighbours, scaled: Array) -> tuple[Array, Array, Array]:
    return like(neighbours.indptr, scaled), like(neighbours.indices, scaled), like(neighbours.sizes, scaled)


def _integrals(
    values: Array, maxima: Array, reference: float | None, height_power: float, options: InferenceOptions
) -> Array:
    if options.tfce_grid == "exact":
        return exact_integral(values, height_power)
    if options.tfce_grid == "randomise":
        if reference is None:
            raise NumericsError("randomise's TFCE grid needs the maximum of the unpermuted map")
        return fixed_steps(values, reference, height_power)
    return own_steps(values, maxima, height_power, options.tfce_grid)
