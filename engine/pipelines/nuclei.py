"""Thalamic nuclei: a label image that only summarises, voxel by voxel of the thalamus."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from thalgpu.engine.inputs.model import Region
from thalgpu.engine.inputs.region_parts import region_key
from thalgpu.errors import InputError


@dataclass(frozen=True)
class Nuclei:
    """Which nucleus each voxel of one embedding belongs to.

    Attributes
    ----------
    names : nuclei, in ascending label order.
    nucleus : (n_voxels,) position in `names`, −1 outside all of them.
    key : SHA-256 of the label image's content.
    """

    names: tuple[str, ...]
    nucleus: NDArray[np.int32]
    key: str

    def means(self, values: NDArray[np.float64], covered: NDArray[np.bool_]) -> dict[str, float | None]:
        """Mean of `values` over each nucleus' voxels with a signal; None where there is none."""
        found: dict[str, float | None] = {}
        for number, name in enumerate(self.names):
            inside = covered & (self.nucleus == number)
            found[name] = float(values[inside].mean()) if inside.any() else None
        return found


def match_nuclei(atlas: Region, region: Region) -> Nuclei:
    """Look up a region's elements in a label image on its grid; InputError when none lies inside a nucleus."""
    if atlas.parcel is None:
        remedy = "give an image with a number for each nucleus"
        raise InputError(atlas.source, "it is a mask, not a label image of nuclei", remedy=remedy)
    place = np.searchsorted(atlas.flat, region.flat).clip(max=len(atlas.flat) - 1)
    inside = atlas.flat[place] == region.flat
    if not inside.any():
        raise InputError(atlas.source, "no thalamic voxel lies inside a nucleus", remedy="check its space")
    nucleus = np.where(inside, atlas.parcel[place], -1).astype(np.int32)
    return Nuclei(atlas.names, nucleus, region_key(atlas))
