"""What FreeSurfer's folder of a person offers, and its thalamus and S1 read from it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from thalgpu.engine.inputs.freesurfer_binary import read_label, read_morph
from thalgpu.engine.inputs.freesurfer_stats import AreaStats, icv_of, read_nuclei, read_stats, s1_stats, thalamus_of
from thalgpu.engine.inputs.gifti import Side
from thalgpu.engine.inputs.s1_names import AREAS, Atlas
from thalgpu.engine.inputs.thickness_maps import (
    S1Parcels,
    ThicknessMap,
    read_s1_parcels,
    read_thickness_map,
    require_same_surface,
    s1_parcels,
)
from thalgpu.errors import InputError

_SIDES: dict[Side, str] = {"left": "lh", "right": "rh"}
_ANNOTATIONS: dict[Atlas, tuple[str, ...]] = {
    "aparc": ("{h}.aparc.annot",),
    "ba": (),
    "glasser": ("{h}.HCP-MMP1.annot", "{h}.HCPMMP1.annot", "{h}.glasser.annot", "{h}.Glasser.annot"),
}
_STATS: dict[Atlas, tuple[str, ...]] = {
    "aparc": ("{h}.aparc.stats",),
    "ba": ("{h}.BA_exvivo.thresh.stats", "{h}.BA.thresh.stats", "{h}.BA_exvivo.stats", "{h}.BA.stats"),
    "glasser": (),
}
_QCACHE = re.compile(r"([lr]h)\.thickness\.fwhm(\d{1,2})\.fsaverage\.mg[hz]")


@dataclass(frozen=True)
class Volumes:
    """Volumes of one person in mm³: `thalamus` by side, `icv` or None, `nuclei` (`MDm_left` → mm³), files' SHA-256."""

    thalamus: Mapping[Side, float]
    icv: float | None
    nuclei: Mapping[str, float]
    sha256: Mapping[Path, str]


@dataclass(frozen=True)
class FreeSurferFolder:
    """The files of a subject folder that there are; None or an empty mapping for those there are not.

    Attributes
    ----------
    path : the folder (`SUBJECTS_DIR/sub-01`).
    aseg_stats : `stats/aseg.stats`.
    aseg : `mri/aseg.mgz`.
    nuclei : of the thalamus, the last `mri/ThalamicNuclei….volumes.txt`, or both `stats/thalamic-nuclei.?h….stats`.
    thickness, area, sphere : side → `surf/?h.thickness`, `surf/?h.area`, `surf/?h.sphere.reg`.
    stats : atlas → side → the stats file of its areas; for "ba" the thresholded one before the other.
    annotations : atlas → side → annot file ("aparc", and "glasser" where somebody has added it).
    ba_labels : side → area (BA1 …) → label file, thresholded where all four of a side are.
    common : side → FWHM in mm → thickness on fsaverage (`recon-all -qcache`).
    """

    path: Path
    aseg_stats: Path | None
    aseg: Path | None
    nuclei: tuple[Path, ...]
    thickness: Mapping[Side, Path]
    area: Mapping[Side, Path]
    sphere: Mapping[Side, Path]
    stats: Mapping[Atlas, Mapping[Side, Path]]
    annotations: Mapping[Atlas, Mapping[Side, Path]]
    ba_labels: Mapping[Side, Mapping[str, Path]]
    common: Mapping[Side, Mapping[int, Path]]


@dataclass(frozen=True)
class NativeS1:
    """S1 of one hemisphere on the person's own surface: thickness, `area` (n_vertices,) mm² or None, and parcels."""

    thickness: ThicknessMap
    area: NDArray[np.float64] | None
    parcels: S1Parcels
    sha256: Mapping[Path, str]


def open_freesurfer(folder: Path) -> FreeSurferFolder:
    """What a subject folder of FreeSurfer 5 to 8 offers; nothing is read.

    InputError when it is no folder, or has neither stats nor surfaces nor an aseg.
    """
    if not folder.is_dir():
        raise InputError(folder, "no such folder", remedy="give FreeSurfer's folder of the person")
    found = FreeSurferFolder(
        path=folder,
        aseg_stats=_file(folder / "stats/aseg.stats"),
        aseg=_file(folder / "mri/aseg.mgz"),
        nuclei=_nuclei(folder),
        thickness=_by_side(folder / "surf", ("{h}.thickness",)),
        area=_by_side(folder / "surf", ("{h}.area",)),
        sphere=_by_side(folder / "surf", ("{h}.sphere.reg",)),
        stats={atlas: _by_side(folder / "stats", names) for atlas, names in _STATS.items()},
        annotations={atlas: _by_side(folder / "label", names) for atlas, names in _ANNOTATIONS.items()},
        ba_labels={side: files for side in _SIDES if (files := _ba_labels(folder, side))},
        common=_common(folder),
    )
    if not (found.aseg_stats or found.aseg or found.thickness or any(found.stats.values())):
        reason = "no stats, surfaces or segmentation in it"
        raise InputError(folder, reason, remedy="give a subject folder that recon-all has finished")
    return found


def read_volumes(folder: FreeSurferFolder, *, nuclei: bool = True) -> Volumes:
    """Thalamus and intracranial volume of `aseg.stats`, and the nuclei where they were segmented.

    InputError when there is no `aseg.stats` or it lacks a thalamus (see `thalamus_of`).
    """
    if folder.aseg_stats is None:
        raise InputError(folder.path, "no stats/aseg.stats", remedy="run recon-all to its end, or give --aseg-table")
    stats = read_stats(folder.aseg_stats)
    sha256 = {stats.path: stats.sha256}
    found: dict[str, float] = {}
    for path in folder.nuclei if nuclei else ():
        volumes, sha256[path] = read_nuclei(path)
        found |= volumes
    volumes = stats.volumes
    return Volumes(thalamus_of(stats.path, volumes), icv_of(stats.path, volumes), found, sha256)


def read_s1_stats(folder: FreeSurferFolder, side: Side, atlas: Atlas) -> tuple[dict[str, AreaStats], dict[Path, str]]:
    """S1 and its areas from the stats files ("S1", "BA1" …), and the SHA-256 of what was read; see `s1_stats`."""
    path = folder.stats[atlas].get(side)
    if path is None:
        remedy = "run recon-all to its end, or choose another atlas of S1"
        raise InputError(folder.path, f"no stats of {atlas} for the {side} hemisphere", remedy=remedy)
    stats = read_stats(path)
    if stats.side not in (None, side):
        raise InputError(path, f"stats of the {stats.side} hemisphere by its own header", remedy="copy the files again")
    return s1_stats(stats, atlas), {path: stats.sha256}


def read_native_s1(folder: FreeSurferFolder, side: Side, atlas: Atlas) -> NativeS1:
    """S1 vertex by vertex on the person's own surface, for plain and area-weighted means.

    InputError when the folder lacks the thickness or the parcels, or they are of different surfaces.
    """
    if side not in folder.thickness:
        raise InputError(folder.path, f"no surf/{_SIDES[side]}.thickness", remedy="run recon-all to its end")
    thickness = read_thickness_map(folder.thickness[side], side)
    parcels = read_folder_parcels(folder, side, atlas, len(thickness.values))
    require_same_surface(thickness, parcels)
    sha256, area = {thickness.path: thickness.sha256, **parcels.sha256}, None
    if side in folder.area:
        area, sha256[folder.area[side]] = read_morph(folder.area[side])
        if len(area) != len(thickness.values) or area.min() < 0:
            reason = f"{len(area)} areas from {area.min():g} mm² for {len(thickness.values)} vertices"
            raise InputError(folder.area[side], reason, remedy="run recon-all again")
    return NativeS1(thickness, area, parcels, sha256)


def read_folder_parcels(folder: FreeSurferFolder, side: Side, atlas: Atlas, n_vertices: int) -> S1Parcels:
    """S1 on the surface of a folder: a person's, or fsaverage's for thickness that lies on fsaverage."""
    if atlas != "ba":
        if side not in folder.annotations[atlas]:
            names = " or ".join(name.format(h=_SIDES[side]) for name in _ANNOTATIONS[atlas])
            raise InputError(folder.path, f"no label/{names}", remedy="choose another atlas of S1")
        return read_s1_parcels(folder.annotations[atlas][side], side, atlas)
    if side not in folder.ba_labels:
        reason = f"no label/{_SIDES[side]}.BA3b_exvivo.thresh.label, or not all of its neighbours'"
        raise InputError(folder.path, reason, remedy="choose another atlas of S1")
    masks, sha256 = {}, {}
    for area, path in folder.ba_labels[side].items():
        vertices, sha256[path] = read_label(path, n_vertices)
        masks[area] = np.zeros(n_vertices, dtype=bool)
        masks[area][vertices] = True
    return s1_parcels(folder.path, masks, atlas, sha256)


def read_common_thickness(folder: FreeSurferFolder, side: Side, fwhm: int = 0) -> ThicknessMap:
    """Thickness on fsaverage (163,842 vertices), smoothed by `fwhm` mm, as `recon-all -qcache` writes it."""
    offered = folder.common.get(side, {})
    if fwhm not in offered:
        others = f"; it has {', '.join(map(str, sorted(offered)))} mm" if offered else ""
        reason = f"no surf/{_SIDES[side]}.thickness.fwhm{fwhm}.fsaverage.mgh{others}"
        raise InputError(folder.path, reason, remedy="run recon-all -qcache")
    return read_thickness_map(offered[fwhm], side)


def _file(path: Path) -> Path | None:
    return path if path.is_file() else None


def _by_side(folder: Path, names: tuple[str, ...]) -> dict[Side, Path]:
    """Side → the first of the names that is there."""
    found = {}
    for side, h in _SIDES.items():
        path = next((path for name in names if (path := _file(folder / name.format(h=h)))), None)
        if path is not None:
            found[side] = path
    return found


def _ba_labels(folder: Path, side: Side) -> dict[str, Path]:
    """The labels of all four areas, of one kind: thresholded ones do not overlap."""
    for kind in ("_exvivo.thresh", ".thresh", "_exvivo", ""):
        files = {area: folder / f"label/{_SIDES[side]}.{area}{kind}.label" for area in AREAS["ba"]}
        if all(path.is_file() for path in files.values()):
            return files
    return {}


def _nuclei(folder: Path) -> tuple[Path, ...]:
    """Volumes of the nuclei: one file for both sides, or one for each."""
    whole = sorted((folder / "mri").glob("ThalamicNuclei*.volumes.txt"))
    if whole:
        return (whole[-1],)
    sides = [sorted((folder / "stats").glob(f"thalamic-nuclei.{h}.*stats")) for h in _SIDES.values()]
    return tuple(files[-1] for files in sides) if all(sides) else ()


def _common(folder: Path) -> dict[Side, dict[int, Path]]:
    found: dict[Side, dict[int, Path]] = {}
    for path in sorted((folder / "surf").glob("?h.thickness.fwhm*.fsaverage.mg?")):
        match = _QCACHE.fullmatch(path.name)
        if match:
            side: Side = "left" if match[1] == "lh" else "right"
            found.setdefault(side, {})[int(match[2])] = path
    return found
