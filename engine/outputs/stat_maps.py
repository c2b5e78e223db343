"""Statistics and p-values of a test as files of the kind that its maps had."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thalgpu.engine.inputs.maps_masks import grid_size
from thalgpu.engine.inputs.model import Grid, Region, SurfaceGrid
from thalgpu.engine.outputs.atomic import write_bytes
from thalgpu.engine.outputs.images import Meaning, encode_maps
from thalgpu.engine.outputs.names import map_suffix
from thalgpu.engine.outputs.sidecars import write_sidecar, write_table
from thalgpu.errors import ThalgpuError

_INTENTS = {"t": "t test", "f": "f test", "z": "z score", "r": "correlation"}
_PARAMETERS = {"t": 1, "f": 2, "z": 0, "r": 1}
"""How many degrees of freedom NIfTI keeps with each."""

_P = re.compile(r"[a-z]*p(fwe|fdr)?(joint)?")
"""`p`, `pfwe`, `pfdr`, `tfcep`, `clusterextentpfwejoint` …: no other statistic's name ends so."""


def stat_map_stem(out: Path, contrast: str, stat: str, measure: str = "") -> Path:
    """Path of a statistic's map without its ending.

    Parameters
    ----------
    contrast : the contrast's label, letters and digits.
    stat : "t", "f", "p", "pfwe", "tfce" …
    measure : name of the `SubjectMaps`, e.g. "hemi-L_component-2"; empty when there is one.
    """
    return out / f"{measure}{'_' if measure else ''}contrast-{contrast}_stat-{stat}_statmap"


def write_stat_map(
    stem: Path,
    values: NDArray[np.float64],
    space: Region,
    stat: str,
    *,
    names: Sequence[str] = (),
    degrees: Sequence[float] = (),
    about: Mapping[str, Any],
) -> tuple[Path, ...]:
    """Write a statistic's map on the whole grid of the subjects' maps, and its JSON sidecar.

    Parameters
    ----------
    stem : as `stat_map_stem` gives it. Volume: `.nii.gz`, 3-D. CIFTI: `.dscalar.nii` of all grayordinates of the maps.
        Surface: a `.func.gii` of each hemisphere that the maps have, `hemi-L_` or `hemi-R_` before the name.
    values : (n_features,) finite, stored as float32; (n_features, n_maps) for several maps in one file.
    space : where the features lie.
    stat : "t", "f", "p" …: names the map, and NIfTI's and GIFTI's intent where there is one.
    names : of several maps.
    degrees : of freedom, for t (1) and F (2), or none when they differ between features.
    about : what the sidecar says.

    Returns
    -------
    The files written, the sidecar last.

    Raises
    ------
    ResourceError
        When a file cannot be written.
    ThalgpuError
        When a value is NaN, Inf, or too large for float32: no such number may leave the engine.

    Notes
    -----
    Features that were not tested are 0, in maps of p-values 1, so that small always means significant. p-values are
    rounded down where float32 cannot hold them, so that whoever keeps p <= .05 keeps .05 itself: the nearest float32 is
    .0500000007.
    """
    if values.shape != (*space.flat.shape, *([len(names)] if names else [])):
        what = f"{len(names)} maps" if names else "a map"
        raise ValueError(f"{values.shape} are not {what} of {len(space.flat)} features")
    size = grid_size(space.grid)
    with np.errstate(over="ignore"):  # refused below
        whole = np.full((size, *values.shape[1:]), _P.fullmatch(stat) is not None, dtype=np.float32)
        whole[space.flat] = _never_above(values) if _P.fullmatch(stat) else values
    if not np.isfinite(whole).all():
        raise ThalgpuError(f"the map of {stat} holds NaN, Inf or huge numbers and is not written", where=str(stem))
    everywhere = Region(space.source, space.grid, np.arange(size), np.zeros(size, dtype=np.int8))
    paths = stat_map_files(stem, space.grid)
    for path, content in zip(
        paths, encode_maps(whole, everywhere, names or [stat], _meaning(stat, degrees)), strict=True
    ):
        write_bytes(path, content)
    sidecar = stem.with_name(f"{stem.name}.json")
    write_sidecar(sidecar, about)
    return (*paths, sidecar)


def stat_map_files(stem: Path, grid: Grid) -> tuple[Path, ...]:
    """The files of a map on a grid, without the sidecar."""
    suffix = map_suffix(grid)
    if isinstance(grid, SurfaceGrid):
        sides = (side for side, n_vertices in (("L", grid.n_left), ("R", grid.n_right)) if n_vertices)
        return tuple(stem.with_name(f"hemi-{side}_{stem.name}{suffix}") for side in sides)
    return (stem.with_name(f"{stem.name}{suffix}"),)


def write_result_table(path: Path, features: Sequence[str], columns: Mapping[str, NDArray[np.float64]]) -> None:
    """Write `results.tsv`: one row a feature, one column a contrast and statistic, e.g. "age_t", "age_pfwe".

    Raises
    ------
    ResourceError
        When the file cannot be written.
    ThalgpuError
        When a value is NaN or Inf.
    """
    rows = [
        {"feature": feature} | {name: float(values[row]) for name, values in columns.items()}
        for row, feature in enumerate(features)
    ]
    write_table(path, ["feature", *columns], rows)


def _never_above(values: NDArray[np.float64]) -> NDArray[np.float32]:
    """The largest float32 that is no larger, of each value that is not negative."""
    nearest = values.astype(np.float32)
    return np.where(nearest > values, np.nextafter(nearest, np.float32(0)), nearest)


def _meaning(stat: str, degrees: Sequence[float]) -> Meaning:
    if _P.fullmatch(stat):
        return Meaning("p value", name=stat)
    parameters = tuple(degrees) if len(degrees) == _PARAMETERS.get(stat) else ()
    return Meaning(_INTENTS.get(stat, "estimate"), parameters, stat)
