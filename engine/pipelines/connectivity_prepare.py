"""Before any work: read the list, find regions and seeds, look at every header, and plan."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from thalgpu.engine.connectivity.matrices import region_pairs, shared_elements
from thalgpu.engine.inputs.maps_masks import grid_size
from thalgpu.engine.inputs.model import CiftiGrid, Grid, Region, Subject, SurfaceGrid
from thalgpu.engine.inputs.regions import read_region, usable_subjects
from thalgpu.engine.outputs.locks import check_is_ours
from thalgpu.engine.pipelines.check_options import check_cleaning_options, require
from thalgpu.engine.pipelines.connectivity_plan import ConnectivityPlan, plan_connectivity
from thalgpu.engine.pipelines.connectivity_seeds import Seeds, find_seeds, parse_seed
from thalgpu.engine.pipelines.prepare import find_inputs
from thalgpu.engine.pipelines.remarks import collect_remarks
from thalgpu.engine.pipelines.scans_request import ScansRequest
from thalgpu.errors import InputError, ThalgpuWarning


@dataclass(frozen=True)
class ConnectivityRequest(ScansRequest):
    """Everything that a user asks of `thalgpu connectivity`; each of the `nuclei` is a seed.

    Attributes
    ----------
    atlas : parcellation for the tables; None for the cortex' own parcels, if it has some.
    seed : further seeds, each `NAME=FILE[:LABELS]`.
    maps : whether maps are written; None for where targets are voxels or vertices.
    matrix : whether the table of all pairs of regions is written.
    min_coverage : least fraction of targets, and of each seed's and parcel's elements, with a signal.
    """

    out: Path = Path("thalgpu-connectivity")
    atlas: str | None = None
    seed: tuple[str, ...] = ()
    maps: bool | None = None
    matrix: bool = True
    min_coverage: float = 0.8


@dataclass(frozen=True)
class ConnectivityPrepared:
    """A checked request.

    Attributes
    ----------
    subjects : those whose headers can be used, in list order.
    rejected : participant id → why it cannot.
    thalamus, cortex : the regions; targets are the cortex' units.
    seeds : in layers.
    nuclei : the label image of nuclei, or None.
    atlas : the parcellation of the tables; None where it is the cortex, or there is none.
    regions : names of seeds and then of parcels.
    pairs : (n_pairs, 2) positions among the regions of those that share no element.
    writes_maps : whether maps are written.
    plan : sizes, workers, memory.
    warnings : remarks on list and regions.
    """

    subjects: tuple[Subject, ...]
    rejected: dict[str, InputError]
    thalamus: Region
    cortex: Region
    seeds: Seeds
    nuclei: Region | None
    atlas: Region | None
    regions: tuple[str, ...]
    pairs: NDArray[np.int64]
    writes_maps: bool
    plan: ConnectivityPlan
    warnings: tuple[str, ...]


def prepare_connectivity(request: ConnectivityRequest) -> ConnectivityPrepared:
    """Check all that can be checked without reading a scan; nothing is written.

    Raises
    ------
    InputError, UsageError
        When the list, the regions, the seeds or the options cannot be used, or no subject can.
    ResourceError
        When one subject does not fit into memory.
    """
    require(0 < request.min_coverage <= 1, "--min-coverage", request.min_coverage, "more than 0, at most 1")
    check_cleaning_options(request.cleaning)
    named = [parse_seed(text) for text in request.seed]
    check_is_ours(request.out)
    with collect_remarks() as remarks:
        subjects, thalamus, cortex = find_inputs(request)
        nuclei = read_region(request.nuclei, thalamus.grid) if request.nuclei else None
        seeds = find_seeds(thalamus, cortex, nuclei=nuclei, named=named)
        atlas = _read_atlas(request.atlas, cortex.grid) if request.atlas else None
        parcels = atlas or (cortex if cortex.parcel is not None else None)
        regions, pairs = _regions(seeds, parcels)
    read = (*seeds.layers, cortex, *((atlas,) if atlas else ()))
    one_a_grid = {id(region.grid): region for region in read}  # to compare CIFTI axes takes long
    usable, rejected, headers = usable_subjects(subjects, tuple(one_a_grid.values()))
    writes_maps = cortex.parcel is None if request.maps is None else request.maps
    plan = plan_connectivity(
        n_subjects=len(usable),
        n_seeds=len(seeds.names),
        n_targets=cortex.n_units,
        n_parcels=parcels.n_units if parcels else 0,
        n_regions=len(regions),
        n_timepoints=max(sum(header.n_timepoints for header in scans) for scans in headers),
        n_elements=sum(len(region.flat) for region in read),
        volume_bytes=max(header.bytes // header.n_timepoints for scans in headers for header in scans),
        map_bytes=_map_bytes(cortex) if writes_maps else 0,
        matrix=request.matrix,
        workers=request.workers,
        memory=request.memory,
    )
    return ConnectivityPrepared(
        usable, rejected, thalamus, cortex, seeds, nuclei, atlas, regions, pairs, writes_maps, plan, tuple(remarks)
    )


def _read_atlas(text: str, grid: Grid) -> Region:
    atlas = read_region(text, grid)
    if atlas.parcel is None:
        remedy = "give an image with a number for each parcel"
        raise InputError(atlas.source, "it is a mask, not a parcellation", remedy=remedy)
    return atlas


def _regions(seeds: Seeds, parcels: Region | None) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    """Names of seeds and parcels, and the pairs of them that share no element."""
    names = [*seeds.names, *(_columns(parcels.names, seeds.names) if parcels else ())]
    places = [place for region in (*seeds.layers, *((parcels,) if parcels else ())) for place in _places(region)]
    pairs = region_pairs(shared_elements(places))
    if not len(pairs):
        warnings.warn("no two regions are apart, so that there are no tables", ThalgpuWarning, stacklevel=3)
    return tuple(names), pairs


def _columns(parcels: Sequence[str], taken: Sequence[str]) -> list[str]:
    """Parcels' names without spaces; a name that occurs again gets a number."""
    found: list[str] = []
    for parcel in parcels:
        name = "_".join(parcel.split()) or "parcel"
        used, number = {*taken, *found}, 2
        unique = name
        while unique in used:
            unique, number = f"{name}_{number}", number + 1
        found.append(unique)
    return found


def _places(region: Region) -> list[NDArray[np.int64]]:
    """Elements of each parcel, numbered so that a surface's vertices are no volume's voxels."""
    assert region.parcel is not None
    first = 1 << 40 if isinstance(region.grid, SurfaceGrid) else 0  # volumes and CIFTI never meet in one run
    return [region.flat[region.parcel == number] + first for number in range(region.n_units)]


def _map_bytes(region: Region) -> int:
    return 4 * (len(region.flat) if isinstance(region.grid, CiftiGrid) else grid_size(region.grid))
