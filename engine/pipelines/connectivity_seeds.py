"""The seeds of a connectivity run: thalamus, nuclei and regions that the user names, each whole and by hemisphere."""

import re
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from thalgpu.engine.connectivity.seeds import split_by_side
from thalgpu.engine.inputs.model import Region, SurfaceGrid
from thalgpu.engine.inputs.region_files import read_label_image
from thalgpu.engine.inputs.region_parts import region_from_labels, region_key, without_elements
from thalgpu.engine.inputs.regions import read_region
from thalgpu.engine.pipelines.nuclei import match_nuclei
from thalgpu.errors import InputError, ThalgpuWarning, UsageError

THALAMUS = "thalamus"
_LABEL = re.compile(r"[A-Za-z][A-Za-z0-9]*")
_SPELLING = "write --seed NAME=FILE or NAME=FILE:LABELS, NAME of letters and digits"


@dataclass(frozen=True)
class Seeds:
    """Seeds that may overlap, in layers that each hold some that do not.

    Attributes
    ----------
    layers : parcellations whose parcels are seeds, so that a seed's series is the mean over its elements.
    """

    layers: tuple[Region, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Every seed, layer by layer."""
        return tuple(name for layer in self.layers for name in layer.names)

    @property
    def keys(self) -> list[str]:
        """SHA-256 of each layer."""
        return [region_key(layer) for layer in self.layers]


def find_seeds(thalamus: Region, cortex: Region, *, nuclei: Region | None, named: Sequence[tuple[str, str]]) -> Seeds:
    """All seeds of a run.

    Parameters
    ----------
    thalamus : the first seed; its halves are the next.
    cortex : whose surfaces a seed of vertices lies on.
    nuclei : label image on the thalamus' grid, of which the elements inside the thalamus count; or None.
    named : name and `FILE[:LABELS]` of further seeds; labels are joined into one seed.

    Raises
    ------
    InputError
        For files that cannot be used, and nuclei whose names cannot be told apart.
    UsageError
        For a name that is no label, or is taken.
    """
    layers = _with_halves(_as_seeds(thalamus, np.zeros(len(thalamus.flat), dtype=np.int32), (THALAMUS,)))
    if nuclei is not None:
        layers += _with_halves(_nuclei(nuclei, thalamus))
    for name, text in named:
        region = _read_seed(text, thalamus, cortex)
        layers += _with_halves(_as_seeds(region, np.zeros(len(region.flat), dtype=np.int32), (name,)))
    seeds = Seeds(tuple(layers))
    if twice := [name for name, count in Counter(seeds.names).items() if count > 1]:
        raise UsageError(f"two seeds are called {twice[0]}", remedy="give --seed another name")
    return seeds


def parse_seed(text: str) -> tuple[str, str]:
    """`NAME=FILE[:LABELS]` in its two parts; UsageError for anything else."""
    name, equals, file = text.partition("=")
    if not equals or not file or not _LABEL.fullmatch(name):
        raise UsageError(f"--seed {text} is not understood", remedy=_SPELLING)
    return name, file


def _read_seed(text: str, thalamus: Region, cortex: Region) -> Region:
    """The seed's elements as one mask, on the grid of the thalamus or of the surfaces."""
    image = read_label_image(text)
    if not isinstance(image.grid, SurfaceGrid):
        return read_region(text, thalamus.grid, parcels=False)
    if isinstance(cortex.grid, SurfaceGrid):
        return read_region(text, cortex.grid, parcels=False)
    return region_from_labels(image, parcels=False)  # every scan's surfaces are compared with it


def _nuclei(image: Region, thalamus: Region) -> Region:
    """Nuclei as far as they lie in the thalamus; labels of one name, as left and right ones often have, are one."""
    matched = match_nuclei(image, thalamus)
    labels = [_label(name) for name in image.names]
    names = tuple(dict.fromkeys(labels))
    for name in names:
        spellings = {found for found, label in zip(image.names, labels, strict=True) if label == name}
        if len(spellings) > 1:
            remedy = "rename it in the table beside the image, in letters and digits"
            reason = f"nuclei {' and '.join(sorted(spellings))} cannot be told apart"
            raise InputError(image.source, reason, remedy=remedy)
    seed = np.array([*(names.index(label) for label in labels), -1], dtype=np.int32)[matched.nucleus]
    if absent := [name for number, name in enumerate(names) if not (seed == number).any()]:
        what = f"no voxel of the thalamus lies in {', '.join(absent[:5])}{' …' if len(absent) > 5 else ''}"
        warnings.warn(f"{what}, which is no seed", ThalgpuWarning, stacklevel=4)
    return _as_seeds(thalamus, seed, names)


def _label(name: str) -> str:
    """A nucleus' name as it may stand in a file name: letters and digits."""
    kept = re.sub(r"[^A-Za-z0-9]", "", name)
    return kept if _LABEL.fullmatch(kept) else f"nucleus{kept}"


def _with_halves(whole: Region) -> list[Region]:
    """The seeds, and the halves of those that lie in both hemispheres."""
    assert whole.parcel is not None
    half, names = split_by_side(whole.parcel, whole.hemisphere, whole.names)
    return [whole, _as_seeds(whole, half, names)] if names else [whole]


def _as_seeds(region: Region, seed: NDArray[np.int32], names: tuple[str, ...]) -> Region:
    """The elements of a region that belong to a seed, as a parcellation of these; seeds without an element go."""
    sides = [np.sign(region.hemisphere[seed == number].sum(dtype=np.int64)) for number in range(len(names))]
    parcels = replace(
        region,
        parcel=np.maximum(seed, 0).astype(np.int32),
        names=names,
        parcel_hemisphere=np.array(sides, dtype=np.int8),
    )
    return without_elements(parcels, seed < 0)
