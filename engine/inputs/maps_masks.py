"""Which elements of a grid are tested: those of a mask, else all."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from thalgpu.engine.inputs.gifti import read_gifti
from thalgpu.engine.inputs.headers import require_same_grid
from thalgpu.engine.inputs.model import CiftiGrid, Grid, Region, SurfaceGrid, VolumeGrid
from thalgpu.engine.inputs.region_files import onto_axis, read_label_image
from thalgpu.engine.inputs.region_parts import region_from_elements
from thalgpu.errors import InputError


def tested_region(grid: Grid, mask: str | None, owner: Path) -> Region:
    """The elements of a grid that a mask holds.

    Parameters
    ----------
    grid : of the maps.
    mask : `FILE[:LABELS]` as `read_label_image` reads it, for surfaces of one hemisphere also one `.gii`; None for all.
    owner : a file on the grid, for messages.

    Raises
    ------
    InputError
        For an unsound or empty mask, and for one on another grid.
    """
    if mask is None:
        return region_from_elements(str(owner), grid, np.arange(grid_size(grid)))
    inside = np.flatnonzero(mask_values(grid, mask, owner)).astype(np.int64)
    if not inside.size:
        raise InputError(mask, f"none of its elements lies on the grid of {owner}", remedy="give a mask that overlaps")
    return region_from_elements(mask, grid, inside)


def mask_values(grid: Grid, mask: str, owner: Path) -> NDArray[np.bool_]:
    """(n_elements,) whether each element of the grid is inside."""
    if isinstance(grid, SurfaceGrid) and 0 in (grid.n_left, grid.n_right):
        return _on_one_surface(grid, mask, owner)
    image = read_label_image(mask)
    if isinstance(grid, CiftiGrid) and isinstance(image.grid, CiftiGrid):
        image = onto_axis(image, grid.axis)
    else:
        require_same_grid(mask, image.grid, grid, owner=str(owner))
    inside: NDArray[np.bool_] = image.values > 0
    return inside


def _on_one_surface(grid: SurfaceGrid, mask: str, owner: Path) -> NDArray[np.bool_]:
    """A mask of one `.gii`, or the half of a pair that belongs to the hemisphere."""
    n_vertices = grid.n_left + grid.n_right
    if "," in mask:
        image = read_label_image(mask)
        assert isinstance(image.grid, SurfaceGrid)
        n_left = image.grid.n_left
        inside = (image.values[:n_left] if grid.n_left else image.values[n_left:]) > 0
    else:
        arrays = read_gifti(Path(mask)).arrays
        if len(arrays) != 1:
            raise InputError(mask, f"{len(arrays)} maps where a mask has one", remedy="keep one map")
        inside = np.nan_to_num(arrays[0].ravel()) > 0
    if len(inside) != n_vertices:
        reason = f"{len(inside)} vertices where {owner} has {n_vertices}"
        raise InputError(mask, reason, remedy="give a mask on the surface of the maps")
    return inside


def grid_size(grid: Grid) -> int:
    """Elements of a grid."""
    match grid:
        case VolumeGrid(shape):
            return int(np.prod(shape))
        case CiftiGrid(n):
            return n
        case SurfaceGrid(n_left, n_right):
            return n_left + n_right
