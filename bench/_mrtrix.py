"""MRtrix3's side of B5: `mrclusterstats`, which enhances z maps on steps of 0.1, one-sided, over 6 neighbours."""

import shutil
import subprocess
from pathlib import Path

import nibabel as nib
import numpy as np
from nibabel.nifti1 import Nifti1Image
from numpy.typing import NDArray

from thalgpu.bench._maps import CONTRAST, Cohort

NOT_INSTALLED = "mrclusterstats not installed (MRtrix3; Debian package mrtrix3)"
STEP = 0.1
"""Between the heights at which it looks, and by which it does not multiply."""


def write_inputs(cohort: Cohort, folder: Path) -> None:
    """Images, mask, design and contrast, as it reads them."""
    _image(cohort.mask.astype(np.float32)).to_filename(folder / "mask.nii")
    names = [f"subject{number}.nii" for number in range(len(cohort.values))]
    for name, values in zip(names, cohort.values, strict=True):
        volume = np.zeros(cohort.mask.shape, dtype=np.float32)
        volume[cohort.mask] = values
        _image(volume).to_filename(folder / name)
    (folder / "subjects.txt").write_text("\n".join(names) + "\n")
    np.savetxt(folder / "design.txt", cohort.matrix)
    np.savetxt(folder / "contrast.txt", CONTRAST[None])


def mrclusterstats(folder: Path, n_perm: int, threads: int) -> None:
    """The whole program, from files to files."""
    inputs = ("subjects.txt", "design.txt", "contrast.txt", "mask.nii")
    options = ("-nshuffles", str(n_perm), "-nthreads", str(threads), "-quiet", "-force")
    subprocess.run(["mrclusterstats", *inputs, "out_", *options], cwd=folder, check=True, capture_output=True)


def is_installed() -> bool:
    """Whether MRtrix3's programs are on the path."""
    return all(shutil.which(program) for program in ("mrclusterstats", "mrconvert"))


def map_of(folder: Path, name: str, mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(n_voxels,) values of a map that it wrote."""
    command = ["mrconvert", f"out_{name}.mif", f"{name}.nii", "-quiet", "-force"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    image = nib.load(folder / f"{name}.nii")
    assert isinstance(image, Nifti1Image)
    return np.asarray(image.get_fdata().reshape(mask.shape)[mask])


def _image(volume: NDArray[np.float32]) -> Nifti1Image:
    return Nifti1Image(volume, np.eye(4))
