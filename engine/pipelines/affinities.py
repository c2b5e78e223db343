"""Affinities of all subjects, out of an output folder of `thalgpu gradients`."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thalgpu.engine.comparison.model import Recipe
from thalgpu.engine.inputs.model import Region
from thalgpu.engine.inputs.region_parts import without_elements
from thalgpu.engine.inputs.toml_files import read_toml
from thalgpu.engine.outputs.packing import pack_upper, unpack_upper
from thalgpu.engine.outputs.store import DatasetSpec, read_attributes, read_record
from thalgpu.engine.pipelines.gradient_maps import region_of
from thalgpu.errors import InputError

_RECORD = re.compile(r"sub-([A-Za-z0-9]+)_(?:hemi-([LR])_)?seg-thalamus_gradients\.h5")
_RUN_AGAIN = "run thalgpu gradients on this folder again"


@dataclass(frozen=True)
class AffinityFiles:
    """Where the affinities of one embedding are.

    Attributes
    ----------
    hemisphere : "L", "R", or "" for both thalami in one.
    records : participant without "sub-" → its own record, ascending by id.
    recipe : how the folder's gradients were made, which groups follow.
    n_align : components that were aligned.
    """

    hemisphere: str
    records: dict[str, Path]
    recipe: Recipe
    n_align: int


def find_affinities(out: Path) -> tuple[AffinityFiles, ...]:
    """The embeddings of an output folder: one, or the left and the right thalamus.

    Raises
    ------
    InputError
        No output folder of `thalgpu gradients`, no records, or options that cannot be read.
    """
    recipe, n_align = _recipe(out)
    found: dict[str, dict[str, Path]] = {}
    for path in sorted(out.glob("sub-*/func/*seg-thalamus_gradients.h5")):
        if match := _RECORD.fullmatch(path.name):
            found.setdefault(match[2] or "", {})[match[1]] = path
    if not found:
        raise InputError(out, "no subjects' records in this folder", remedy="give the --out of thalgpu gradients")
    return tuple(AffinityFiles(side, dict(sorted(found[side].items())), recipe, n_align) for side in sorted(found))


def common_voxels(records: Sequence[Path]) -> tuple[NDArray[np.bool_], list[str]]:
    """(n_voxels,) those that every subject covers, and the SHA-256 of each record's content."""
    covered: NDArray[np.bool_] | None = None
    contents = []
    for path in records:
        record = read_record(path, {"covered": DatasetSpec("uint8", (None,))})
        here = record.datasets["covered"].astype(bool)
        if covered is not None and len(here) != len(covered):
            raise InputError(path, f"{len(here)} voxels where others have {len(covered)}", remedy=_RUN_AGAIN)
        covered = here if covered is None else covered & here
        contents.append(record.content_sha256)
    if covered is None or not covered.any():
        raise InputError(records[0].parent, "no voxel is covered in every subject", remedy="leave out subjects")
    return covered, contents


def read_stack(records: Sequence[Path], voxels: NDArray[np.bool_]) -> NDArray[np.float32]:
    """(n_subjects, n (n + 1) / 2) packed affinities of the chosen voxels, verified."""
    n_all, n = len(voxels), int(voxels.sum())
    stack = np.empty((len(records), n * (n + 1) // 2), dtype=np.float32)
    expected = {"affinity": DatasetSpec("float32", (n_all * (n_all + 1) // 2,))}
    for row, path in zip(stack, records, strict=True):
        packed = read_record(path, expected).datasets["affinity"]
        row[:] = packed if n == n_all else pack_upper(unpack_upper(packed, n_all)[np.ix_(voxels, voxels)])
    return stack


def thalamus_of(record: Path, voxels: NDArray[np.bool_]) -> Region:
    """Where the chosen voxels lie."""
    return without_elements(region_of(record, len(voxels)), ~voxels)


def _recipe(out: Path) -> tuple[Recipe, int]:
    path = out / "config.toml"
    try:
        options: dict[str, Any] = read_toml(path)["gradients"]
        names = ("approach", "graph", "n_components", "alpha", "diffusion_time")
        return Recipe(**{name: options[name] for name in names}), int(options["n_align"])
    except (InputError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            path, "does not say how the gradients were made", remedy="give the --out of thalgpu gradients"
        ) from error


def n_voxels_of(record: Path) -> int:
    """Voxels of a record, without reading them."""
    return int(read_attributes(record)["datasets"]["covered"]["shape"][0])
