"""The files of one scan: images, sidecar and confounds, by fMRIPrep's names."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from thalgpu.engine.config import canonical_json
from thalgpu.engine.simulate.anatomy import CORTEX, CSF, THALAMUS, WHITE_MATTER, Elements, join
from thalgpu.engine.simulate.confounds import to_tsv
from thalgpu.engine.simulate.geometry import Head, Surfaces
from thalgpu.engine.simulate.images import bold_nifti, dtseries, func_gifti, label_nifti
from thalgpu.engine.simulate.options import SIZES, CohortOptions
from thalgpu.engine.simulate.subject import Person, Scan

_SLOPE: Final = 0.5  # scanner units a stored step: 16,000 is the largest value, thermal noise is some 200 steps
_CHUNK: Final = 20  # volumes at a time
_FREESURFER: Final = {"thalamus": (10, 49), "cortex": (3, 42), "white matter": (2, 41), "csf": (4, 43)}


@dataclass(frozen=True)
class Places:
    """Where a cohort's signals are.

    Attributes
    ----------
    head : voxels of the volume, only the thalamus' for CIFTI.
    surfaces : cortical vertices; None for the kind "volume".
    """

    head: Head
    surfaces: Surfaces | None

    @property
    def elements(self) -> Elements:
        """Voxels, then vertices."""
        return self.head.elements if self.surfaces is None else join(self.head.elements, self.surfaces.elements)

    @property
    def thalamus(self) -> Elements:
        """The seeds, in C order of the grid."""
        return self.head.only(THALAMUS).elements

    @property
    def targets(self) -> Elements:
        """Cortical voxels in C order of the grid, or vertices, the left ones first."""
        return self.head.only(CORTEX).elements if self.surfaces is None else self.surfaces.elements


def person_of(options: CohortOptions, index: int) -> Person:
    """A cohort's person, with the effect of their group on the gradients."""
    effect = options.effect if options.group_of(index) == options.affected_group else 0.0
    return Person(options.seed, index, noise=options.noise, effect=effect)


def scan_names(options: CohortOptions, label: str, run: int) -> dict[str, str]:
    """Role → file, relative to the cohort: bold, sidecar, confounds, and for surfaces the pair."""
    plan = SIZES[options.size]
    stem = f"sub-{label}/func/sub-{label}_task-rest" + (f"_run-{run + 1}" if options.runs > 1 else "")
    volume = f"{stem}_space-MNI152NLin6Asym_res-{plan.resolution}_desc-preproc_bold"
    gray = f"{stem}_space-fsLR_den-{plan.den}_bold"
    names = {"confounds": f"{stem}_desc-confounds_timeseries.tsv"}
    if options.kind == "cifti":
        return names | {"bold": f"{gray}.dtseries.nii", "sidecar": f"{gray}.json"}
    names |= {"bold": f"{volume}.nii.gz", "sidecar": f"{volume}.json"}
    if options.kind == "surface":
        names |= {
            f"surface_{side}": f"{stem}_hemi-{side[0].upper()}_space-{plan.surface_space}_bold.func.gii"
            for side in ("left", "right")
        }
    return names


def record_scan(person: Person, places: Places, options: CohortOptions, label: str, run: int) -> dict[str, bytes]:
    """File → bytes of one scan."""
    names = scan_names(options, label, run)
    scan = person.scan(places.elements, options.n_timepoints, tr=options.tr, run=run)
    sidecar = {"RepetitionTime": options.tr, "TaskName": "rest", "SkullStripped": True, "Simulated": True}
    files = {
        names["sidecar"]: (canonical_json(sidecar) + "\n").encode(),
        names["confounds"]: to_tsv(scan.confounds).encode(),
    }
    chunks = _scanner_units(scan, person.baseline(places.elements), options.n_timepoints)
    if places.surfaces is None:
        bold = bold_nifti(chunks, places.head, options.n_timepoints, tr=options.tr, slope=_SLOPE)
        return files | {names["bold"]: bold}
    n_voxels = len(places.head.flat)
    series = np.vstack(list(chunks))
    voxels, vertices = series[:, :n_voxels], series[:, n_voxels:]
    if options.kind == "cifti":
        return files | {names["bold"]: dtseries(voxels, vertices, places.head, places.surfaces, tr=options.tr)}
    files[names["bold"]] = bold_nifti(iter([voxels]), places.head, options.n_timepoints, tr=options.tr, slope=_SLOPE)
    for side in ("left", "right"):
        whole = places.surfaces.full(vertices, left=side == "left")
        files[names[f"surface_{side}"]] = func_gifti(whole, left=side == "left", tr=options.tr)
    return files


def segmentation_files(head: Head, options: CohortOptions, label: str, run: int) -> dict[str, bytes]:
    """What fMRIPrep puts beside a volume: a brain mask, and FreeSurfer's labels on the scan's grid."""
    bold = scan_names(options, label, run)["bold"]
    if not bold.endswith("_desc-preproc_bold.nii.gz"):
        return {}
    stem = bold.removesuffix("_desc-preproc_bold.nii.gz")
    return {
        f"{stem}_desc-brain_mask.nii.gz": label_nifti(head.image(np.ones(len(head.flat))), head.affine),
        f"{stem}_desc-aseg_dseg.nii.gz": label_nifti(head.image(_freesurfer_labels(head.elements)), head.affine),
    }


def _scanner_units(scan: Scan, baseline: NDArray[np.float32], n_timepoints: int) -> Iterator[NDArray[np.float32]]:
    for start in range(0, n_timepoints, _CHUNK):
        yield baseline * (1.0 + np.float32(0.01) * scan.signal(slice(start, start + _CHUNK)))


def _freesurfer_labels(elements: Elements) -> NDArray[np.int64]:
    tissues = {THALAMUS: "thalamus", CORTEX: "cortex", WHITE_MATTER: "white matter", CSF: "csf"}
    labels = np.zeros(len(elements), dtype=np.int64)
    for tissue, name in tissues.items():
        left, right = _FREESURFER[name]
        found = elements.tissue == tissue
        labels[found] = np.where(elements.xyz[found, 0] < 0, left, right)
    return labels
