"""What stands beside a scan: confounds, a segmentation, and XCP-D's record of removed volumes."""

import re
import warnings
from pathlib import Path

from thalgpu.engine.inputs.checked import read_bytes
from thalgpu.engine.inputs.headers import read_header
from thalgpu.engine.inputs.model import Run
from thalgpu.engine.inputs.scan_names import entities, is_dtseries, source_prefix
from thalgpu.errors import InputError, ThalgpuWarning

_CONFOUNDS = ("desc-confounds_timeseries.tsv", "desc-confounds_regressors.tsv")
"""fMRIPrep's names, the newer first."""
_SEGMENTATIONS = ("aparcaseg", "aseg")
"""The first holds the labels of the second and those of the cortex besides."""


def run_of(bold: Path) -> Run:
    """A scan with what is beside it: fMRIPrep's confounds, or for XCP-D's output whether volumes were removed."""
    named = entities(bold)
    cleaned = named.get("desc", "").startswith("denoised")
    return Run(
        bold=bold,
        confounds=None if cleaned else _confounds(bold),
        censored=cleaned and volumes_removed(bold),
        session=named.get("ses"),
        run=named.get("run"),
    )


def segmentation_beside(bold: Path) -> Path | None:
    """fMRIPrep's aparcaseg, else aseg, on the grid of the scan (same entities, other suffix), or None."""
    if is_dtseries(bold):
        return None
    stem = re.sub(r"(_desc-[A-Za-z0-9]+)?_bold\.nii(\.gz)?$", "", bold.name)
    candidates = (bold.with_name(f"{stem}_desc-{kind}_dseg.nii{gz}") for kind in _SEGMENTATIONS for gz in (".gz", ""))
    return next((file for file in candidates if file.is_file()), None) if stem != bold.name else None


def volumes_removed(bold: Path) -> bool:
    """Whether XCP-D's denoised scan has fewer volumes than were acquired.

    XCP-D writes censored data in its "linc" mode and interpolated data, of full length, in "abcd" and "hbcd" mode,
    under one name; `*_outliers.tsv` beside it has a 1 for each outlier in either. Hence the scan is censored when
    there are outliers and it is shorter than that table. Without the table it counts as censored, for that cannot be
    excluded. Interpolated volumes are kept, with a warning.
    """
    table = bold.with_name(f"{source_prefix(bold)}_outliers.tsv")
    if not table.is_file():
        return True
    try:
        n_acquired, n_outliers = _count_outliers(table)
        if n_outliers == 0:
            return False
        if read_header(bold).n_timepoints < n_acquired:
            return True
    except InputError:  # the reader of the time series names a damaged scan, and does not stop the others for it
        return True
    what = f"{bold.name} holds {n_outliers} interpolated volumes of {n_acquired}, which are kept"
    warnings.warn(f"{what}; XCP-D's linc mode leaves them out", ThalgpuWarning, stacklevel=2)
    return False


def _count_outliers(table: Path) -> tuple[int, int]:
    """(rows, rows that have a 1 in any column) of an outliers table."""
    lines = read_bytes(table).data.decode("utf-8", errors="replace").splitlines()
    rows = [line.split("\t") for line in lines[1:] if line.strip()]
    return len(rows), sum(any(cell.strip() in ("1", "1.0") for cell in row) for row in rows)


def _confounds(bold: Path) -> Path | None:
    prefix = source_prefix(bold)
    candidates = (bold.with_name(f"{prefix}_{name}") for name in _CONFOUNDS)
    return next((file for file in candidates if prefix and file.is_file()), None)
