"""What a scan's file name says: kind, BIDS entities, space and order."""

import re
from pathlib import Path

SOURCE_ENTITIES = ("sub", "ses", "task", "acq", "ce", "rec", "dir", "run", "echo", "part")
"""Entities of the raw scan; what follows them describes the derivative."""

_OTHER_CIFTI = re.compile(
    r"\.(dscalar|dlabel|dconn|dpconn|pdconn|pconn|pconnseries|pconnscalar|ptseries|pscalar|plabel)\.nii(\.gz)?$",
    re.IGNORECASE,
)


def is_dtseries(path: Path) -> bool:
    """Whether the name is that of a CIFTI dense time series."""
    return path.name.lower().endswith(".dtseries.nii")


def is_scan(path: Path) -> bool:
    """Whether the name is that of a NIfTI or a CIFTI dense time series, and of no other kind of CIFTI file."""
    return path.name.lower().endswith((".nii", ".nii.gz")) and not _OTHER_CIFTI.search(path.name)


def entities(path: Path) -> dict[str, str]:
    """BIDS entities of a file name in their order: {"sub": "01", "task": "rest", …}."""
    parts = path.name.split(".")[0].split("_")
    return dict(part.split("-", 1) for part in parts if "-" in part)


def source_prefix(path: Path) -> str:
    """The name up to the last entity of the raw scan: "sub-01_task-rest_run-1"."""
    return "_".join(f"{key}-{value}" for key, value in entities(path).items() if key in SOURCE_ENTITIES)


def space_of(path: Path) -> str:
    """Space with resolution and density ("MNI152NLin6Asym_res-2"); empty when the name has none."""
    found = entities(path)
    if "space" not in found:
        return ""
    return "_".join([found["space"], *(f"{key}-{found[key]}" for key in ("res", "den") if key in found)])


def natural_order(path: Path) -> tuple[tuple[int, int, str], ...]:
    """Sorting key of a path in which run-2 comes before run-10."""
    pieces = re.split(r"([0-9]+)", str(path))
    return tuple((1, int(piece), piece) if piece.isdecimal() else (0, 0, piece) for piece in pieces)
