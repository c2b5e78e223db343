"""The thalamus in a label image: aseg of FreeSurfer, or the segmentation of FSL's FIRST."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thalgpu.engine.inputs.checked import read_nifti
from thalgpu.engine.inputs.freesurfer_binary import read_mgh
from thalgpu.engine.inputs.freesurfer_stats import LARGEST_THALAMUS
from thalgpu.engine.inputs.gifti import Side
from thalgpu.errors import InputError

LABELS: dict[Side, int] = {"left": 10, "right": 49}
"""FreeSurfer's numbers, which FIRST uses as well."""

_ROUNDING = 1e-3


@dataclass(frozen=True)
class ThalamusLabels:
    """Both thalami of a label image.

    Attributes
    ----------
    path, sha256 : the file.
    masks : side → (x, y, z) bool, not empty.
    affine : (4, 4) voxel indices to mm.
    volumes : side → mm³, voxels counted whole. `aseg.stats` differs by some percent, since it corrects for voxels at
        the border that are thalamus in part.
    """

    path: Path
    sha256: str
    masks: Mapping[Side, NDArray[np.bool_]]
    affine: NDArray[np.float64]
    volumes: Mapping[Side, float]


def read_thalamus_labels(path: Path) -> ThalamusLabels:
    """The voxels labelled 10 (left) and 49 (right) of a 3-D `.nii`, `.nii.gz`, `.mgh` or `.mgz`.

    Raises
    ------
    InputError
        For an unsound image, one that lacks one of the two labels, and volumes that no thalamus has.
    """
    if path.name.lower().endswith((".mgz", ".mgh")):
        mgh = read_mgh(path)
        values, affine, sha256 = mgh.values, mgh.affine, mgh.sha256
    else:
        image = read_nifti(path)
        values, affine, sha256 = image.values, image.affine, image.sha256
    if values.ndim != 3:
        reason = f"{values.ndim} dimensions where a label image has 3"
        raise InputError(path, reason, at="dim", remedy="keep one volume")
    masks = {side: _voxels(values, label) for side, label in LABELS.items()}
    missing = [side for side, mask in masks.items() if not mask.any()]
    if missing:
        reason = f"no voxel of label {LABELS[missing[0]]}, the {missing[0]} thalamus"
        raise InputError(path, reason, remedy="give an aseg, or FIRST's …_all_fast_firstseg.nii.gz")
    with np.errstate(all="ignore"):
        voxel = float(abs(np.linalg.det(affine[:3, :3])))
    volumes = {side: float(np.count_nonzero(mask)) * voxel for side, mask in masks.items()}
    for side, volume in volumes.items():
        if not 0 < volume < LARGEST_THALAMUS:
            reason = f"a {side} thalamus of {volume:g} mm³, with voxels of {voxel:g} mm³"
            raise InputError(path, reason, remedy="check the image and the affine in its header")
    return ThalamusLabels(path, sha256, masks, affine, volumes)


def _voxels(values: NDArray[Any], label: int) -> NDArray[np.bool_]:
    """Where a label is; scaled or floating values may be off a whole number by a little."""
    if values.dtype.kind in "iu":
        return np.asarray(values == label)
    return np.asarray((values >= label - _ROUNDING) & (values <= label + _ROUNDING))
