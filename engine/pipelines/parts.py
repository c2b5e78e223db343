"""Which embeddings a run makes: one of both thalami, one hemisphere, or two side by side."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from thalgpu.engine.config import GradientOptions
from thalgpu.engine.inputs.model import LEFT, RIGHT, CiftiGrid, Region
from thalgpu.engine.inputs.region_parts import region_key, subset
from thalgpu.errors import NumericsError, UsageError

HEMISPHERES: dict[Literal["L", "R"], int] = {"L": LEFT, "R": RIGHT}


@dataclass(frozen=True)
class Part:
    """One embedding: rows of the thalamus and of the targets that take part in it.

    Attributes
    ----------
    hemisphere : "L", "R", or None for both thalami together.
    voxels, targets : ascending positions among the units of the whole thalamus and cortex.
    thalamus, cortex : the regions restricted to them.
    key : SHA-256 of both regions.
    """

    hemisphere: Literal["L", "R"] | None
    voxels: NDArray[np.int64]
    targets: NDArray[np.int64]
    thalamus: Region
    cortex: Region
    key: str

    def voxel_places(self, covered: NDArray[np.bool_]) -> dict[str, Any]:
        """`ijk` and `n_x` of the covered voxels, for congrads' sign rule; empty where the places are not known."""
        grid, ijk = self.thalamus.grid, self.thalamus.ijk
        if ijk is None:
            return {}
        # CIFTI's axis knows the volume that its voxels come from
        image: Any = grid.axis if isinstance(grid, CiftiGrid) else grid
        shape = image.volume_shape if isinstance(grid, CiftiGrid) else image.shape
        return {"ijk": ijk[covered], "n_x": int(shape[0])}

    @property
    def n_voxels(self) -> int:
        """Thalamic voxels of this embedding."""
        return len(self.voxels)


def split_parts(thalamus: Region, cortex: Region, options: GradientOptions) -> tuple[Part, ...]:
    """The parts of `--hemisphere` and `--targets`; UsageError when they contradict each other."""
    if options.targets == "ipsilateral" and options.hemisphere == "both":
        raise UsageError(
            "--targets ipsilateral needs one hemisphere an embedding", remedy="add --hemisphere separate, L or R"
        )
    if options.hemisphere == "both":
        return (_part(None, thalamus, cortex, options),)
    if options.hemisphere == "separate":
        return tuple(_part(side, thalamus, cortex, options) for side in HEMISPHERES)
    return (_part(options.hemisphere, thalamus, cortex, options),)


def _part(side: Literal["L", "R"] | None, thalamus: Region, cortex: Region, options: GradientOptions) -> Part:
    voxels = _units_of(thalamus, side)
    targets = _units_of(cortex, side if options.targets == "ipsilateral" else None)
    if len(voxels) <= options.n_components + 1:
        raise NumericsError(
            f"{len(voxels)} thalamic voxels{f' in hemisphere {side}' if side else ''} cannot carry "
            f"{options.n_components} components",
            where=thalamus.source,
            remedy="use a larger mask or fewer --n-components",
        )
    if len(targets) < 2:
        raise NumericsError(f"{len(targets)} targets are left", where=cortex.source, remedy="use a larger --cortex")
    inside, outside = _take(thalamus, voxels), _take(cortex, targets)
    return Part(side, voxels, targets, inside, outside, region_key(inside) + region_key(outside))


def _units_of(region: Region, side: Literal["L", "R"] | None) -> NDArray[np.int64]:
    if side is None:
        return np.arange(region.n_units)
    return np.flatnonzero(region.unit_hemisphere == HEMISPHERES[side])


def _take(region: Region, units: NDArray[np.int64]) -> Region:
    wanted = np.zeros(region.n_units, dtype=bool)
    wanted[units] = True
    return region if wanted.all() else subset(region, wanted)  # one object travels to a worker once
