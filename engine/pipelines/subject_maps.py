"""The MAPS of `thalgpu permute`: an output folder of `thalgpu gradients`, seed maps, or files of any origin."""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from thalgpu.engine.inputs.map_files import read_map_files
from thalgpu.engine.inputs.subject_maps import MapStack
from thalgpu.engine.outputs.names import is_seed_map
from thalgpu.engine.pipelines.gradient_maps import read_gradient_maps
from thalgpu.errors import InputError


def read_subject_maps(
    maps: Sequence[Path], *, components: Sequence[int] = (1,), mask: str | None = None
) -> tuple[MapStack, ...]:
    """Read the maps of all subjects; one record a measure, all of the same subjects in the same order.

    Parameters
    ----------
    maps : one output folder of `thalgpu gradients`; else files, see `read_map_files`.
    components : numbers of components (or of maps in every subject's file), from 1.
    mask : `FILE[:LABELS]`, or None.

    Raises
    ------
    InputError
        For maps that cannot be used, in one line that names the file.
    UsageError
        For a mask where there is no grid, and for no maps at all.
    """
    chosen = tuple(dict.fromkeys(components))
    folders = [path for path in maps if os.path.isdir(path)]  # unlike Path.is_dir, False for a name that is too long
    if not folders:
        return tuple(_with_coverage(stack) for stack in read_map_files(maps, components=chosen, mask=mask))
    if len(maps) > 1:
        raise InputError(folders[0], "a folder beside other maps", remedy="give the folder alone, or files only")
    return read_gradient_maps(folders[0], chosen, mask)


def _with_coverage(stack: MapStack) -> MapStack:
    """Seed maps of `thalgpu connectivity` are 0 exactly where a scan has no signal."""
    if stack.space is None or not all(is_seed_map(path) for path in stack.sources):
        return stack
    return replace(stack, covered=[row != 0 for row in stack.rows])
