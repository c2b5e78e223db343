"""Atlases of a scan's standard space from TemplateFlow, when the extra `templates` is installed."""

import importlib
from pathlib import Path
from typing import Any

import numpy as np

from thalgpu.engine.inputs.group_masks import Part, on_grid
from thalgpu.engine.inputs.model import Grid, Region, VolumeGrid
from thalgpu.engine.inputs.region_files import read_label_image
from thalgpu.engine.inputs.region_parts import region_from_labels
from thalgpu.engine.inputs.scan_names import entities
from thalgpu.errors import InputError

SPACES = ("MNI152NLin2009cAsym", "MNI152NLin6Asym")

ATLASES: dict[Part, tuple[str, str, str]] = {
    "thalamus": ("HOSPA", "th25", ":4,15"),
    "cortex": ("Schaefer2018", "400Parcels7Networks", ""),
}
"""Atlas, description, labels: both thalami of Harvard-Oxford at 25 % probability; 400 parcels of Schaefer 2018."""


def atlas_region(bold: Path, grid: Grid, part: Part) -> Region:
    """The thalamus (voxels) or the cortex (400 parcels) of TemplateFlow's atlas of the scan's space and resolution.

    Raises
    ------
    InputError
        When the scan is in no space that has both atlases, when TemplateFlow is not installed or cannot fetch the
        atlas, or when the atlas is on another grid. Each says what to give instead.
    """
    remedy = f"give --{part} FILE"
    space = entities(bold).get("space", "")
    if space not in SPACES or not isinstance(grid, VolumeGrid):
        reason = f"no {part} is named, none lies beside the scans, and no atlas is known for the space {space!r}"
        raise InputError(bold, reason, remedy=remedy)
    size = float(np.linalg.norm(np.asarray(grid.affine)[:3, 0]))
    if round(size, 2) not in (1.0, 2.0):
        reason = f"no {part} is named, none lies beside the scans, and no atlas has voxels of {size:.3g} mm"
        raise InputError(bold, reason, remedy=remedy)
    atlas, description, labels = ATLASES[part]
    file = _fetch(bold, part, space, resolution=round(size), atlas=atlas, desc=description)
    return region_from_labels(on_grid(read_label_image(f"{file}{labels}"), grid), parcels=part == "cortex")


def _fetch(bold: Path, part: Part, space: str, **query: Any) -> Path:
    remedy = f"give --{part} FILE"
    try:
        api = importlib.import_module("templateflow.api")
    except ImportError as error:
        reason = f"no {part} is named and none lies beside the scans"
        install = f"{remedy}, or install TemplateFlow's atlases: pip install 'thalgpu[templates]'"
        raise InputError(bold, reason, remedy=install) from error
    try:
        found = api.get(space, suffix="dseg", extension=".nii.gz", **query)
    except (OSError, RuntimeError) as error:  # no network, no room in its folder; requests' errors are OSErrors
        reason = f"TemplateFlow could not fetch the atlas {query['atlas']} of {space}: {error}"
        raise InputError(bold, reason, remedy=f"{remedy}, or run once with a network") from error
    if not isinstance(found, Path):
        raise InputError(bold, f"TemplateFlow has no single atlas {query['atlas']} of {space}", remedy=remedy)
    return found
