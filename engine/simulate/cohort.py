"""A cohort in a folder: scans, regions, lists, participants and the truth beside them."""

import json
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from threadpoolctl import threadpool_limits

from thalgpu.engine.config import canonical_json
from thalgpu.engine.outputs.atomic import check_space, write_bytes, write_text
from thalgpu.engine.progress import Event, Progress, silent
from thalgpu.engine.simulate.anatomy import CORTEX, THALAMUS
from thalgpu.engine.simulate.geometry import Head, Surfaces, head_of, surfaces_of
from thalgpu.engine.simulate.images import dlabel, label_gifti, label_nifti, parcel_names
from thalgpu.engine.simulate.options import SIZES, CohortOptions
from thalgpu.engine.simulate.phenotype import participant, participants_tsv
from thalgpu.engine.simulate.recording import Places, person_of, record_scan, scan_names, segmentation_files
from thalgpu.engine.simulate.study import structure_files, structure_names, study_toml, truth_text
from thalgpu.engine.simulate.subject import Person
from thalgpu.engine.simulate.truth import truth_hdf5
from thalgpu.errors import UsageError

MARKER: Final = "cohort.json"
_FORMAT: Final = 1  # of the bytes: to be raised when the same options give other files


@dataclass(frozen=True)
class Cohort:
    """A written cohort.

    Attributes
    ----------
    folder : where it is.
    list_file, table_file : the subject list as paths (the first run of each person), and as a table with everything.
    participants_file, truth_file : participants.tsv, truth.h5.
    thalamus, cortex : masks to give as regions, for surfaces a left and a right one; empty for CIFTI, which brings its
        own. Cortical parcels are in files beside them.
    study_file : what `thalgpu study` reads; None without a study.
    subjects : participant ids, "sub-01" …, in order.
    """

    folder: Path
    list_file: Path
    table_file: Path
    participants_file: Path
    truth_file: Path
    thalamus: tuple[Path, ...]
    cortex: tuple[Path, ...]
    study_file: Path | None
    subjects: tuple[str, ...]


def simulate_cohort(
    folder: Path, *, options: CohortOptions, progress: Progress = silent, force: bool = False
) -> Cohort:
    """Write a synthetic cohort with known ground truth.

    Parameters
    ----------
    folder : made when missing. It may hold a cohort of the same options, finished or not, with as many subjects or
        fewer: it is written again or continued, with the same bytes.
    options : what to simulate.
    progress : told of every subject.
    force : write into a folder that holds something else; files that are not the cohort's stay as they are.

    Returns
    -------
    cohort : where everything is.

    Raises
    ------
    UsageError
        When the folder holds something else and `force` is not given.
    ResourceError
        When the disk is full or cannot be written.
    """
    is_new = _admit(folder, options, force=force)
    plan = SIZES[options.size]
    head = head_of(plan)
    surfaces = None if options.kind == "volume" else surfaces_of(plan)
    places = Places(head.only(THALAMUS) if options.kind == "cifti" else head, surfaces)
    if is_new:
        n_values = len(places.elements) * options.n_timepoints * options.runs * options.subjects
        check_space(folder, n_values * (2 if options.kind == "volume" else 4))
    write_text(folder / MARKER, canonical_json({"format": _FORMAT, "options": asdict(options)}) + "\n")
    regions = _write_regions(folder, head, surfaces, options)
    people = list(_people(options))
    progress(Event("stage", "simulating", total=len(people)))
    with threadpool_limits(1):  # the number of threads decides the last bits of a matrix product
        for done, (participant_id, _, person) in enumerate(people, start=1):
            began = time.perf_counter()
            _write_person(folder, participant_id, person, places, options)
            if options.study:
                _write(folder, structure_files(options, person.index, participant_id))
            progress(Event("step", participant_id, done, len(people), time.perf_counter() - began))
        write_bytes(folder / "truth.h5", truth_hdf5(options, places, people))
    _write_lists(folder, options)
    if options.study:
        _write(folder, {"study.toml": study_toml(options).encode(), "truth.md": truth_text(options).encode()})
    return Cohort(
        folder,
        folder / "list.txt",
        folder / "list.tsv",
        folder / "participants.tsv",
        folder / "truth.h5",
        *regions,
        folder / "study.toml" if options.study else None,
        tuple(participant_id for participant_id, _, _ in people),
    )


def _people(options: CohortOptions) -> Iterator[tuple[str, str, Person]]:
    """(participant_id, group, person) of each."""
    for index in range(options.subjects):
        yield f"sub-{index + 1:02d}", options.group_of(index), person_of(options, index)


def _write_person(folder: Path, participant_id: str, person: Person, places: Places, options: CohortOptions) -> None:
    label = participant_id.removeprefix("sub-")
    for run in range(options.runs):
        files = record_scan(person, places, options, label, run)
        if options.layout == "fmriprep":
            files |= segmentation_files(places.head, options, label, run)
        _write(folder, files)


def _write(folder: Path, files: dict[str, bytes]) -> None:
    for name, data in files.items():
        write_bytes(folder / name, data)


def _write_regions(
    folder: Path, head: Head, surfaces: Surfaces | None, options: CohortOptions
) -> tuple[tuple[Path, ...], tuple[Path, ...]]:
    """Write masks and parcels; the masks of thalamus and cortex."""
    tissue, names = head.elements.tissue, parcel_names()
    files: dict[str, bytes] = {}
    cortex: list[str] = []
    if options.kind != "cifti":
        files["thalamus.nii.gz"] = label_nifti(head.image(tissue == THALAMUS), head.affine)
    if surfaces is None:
        cortex = ["cortex.nii.gz"]
        files["cortex.nii.gz"] = label_nifti(head.image(tissue == CORTEX), head.affine)
        files["cortex_parcels.nii.gz"] = label_nifti(head.image(head.parcels), head.affine)
        rows = ["index\tname", *(f"{label}\t{name}" for label, name in names.items())]
        files["cortex_parcels.tsv"] = ("\n".join(rows) + "\n").encode()
    elif options.kind == "cifti":
        files["cortex_parcels.dlabel.nii"] = dlabel(head.only(THALAMUS), surfaces)
    else:
        cortex = ["cortex_hemi-L.label.gii", "cortex_hemi-R.label.gii"]
        everywhere = np.ones_like(surfaces.parcels)
        for side in ("L", "R"):
            left = side == "L"
            files[f"cortex_hemi-{side}.label.gii"] = label_gifti(surfaces, everywhere, {1: "cortex"}, left=left)
            files[f"cortex_parcels_hemi-{side}.label.gii"] = label_gifti(surfaces, surfaces.parcels, names, left=left)
    _write(folder, files)
    thalamus = [name for name in files if name.startswith("thalamus")]
    return tuple(folder / name for name in thalamus), tuple(folder / name for name in cortex)


def _write_lists(folder: Path, options: CohortOptions) -> None:
    """list.txt, list.tsv, participants.tsv, and dataset_description.json for fMRIPrep's layout."""
    rows, paths, people = [], [], []
    roles = ["bold", "confounds", *(["surface_left", "surface_right"] if options.kind == "surface" else [])]
    for index, (participant_id, group, _) in enumerate(_people(options)):
        people.append(participant(options.seed, index, participant_id, group))
        scans = [scan_names(options, participant_id.removeprefix("sub-"), run) for run in range(options.runs)]
        paths.append(scans[0]["bold"])
        structure = structure_names(participant_id) if options.study else {}
        for run, names in enumerate(scans, start=1):
            rows.append([participant_id, str(run), *(names[role] for role in roles), *structure.values()])
    note = "# the first run of each; list.tsv has them all\n" if options.runs > 1 else ""
    write_text(folder / "list.txt", note + "".join(f"{path}\n" for path in paths))
    columns = ["participant_id", "run", *roles, *(structure_names("") if options.study else ())]
    table = [columns, *rows]
    write_text(folder / "list.tsv", "".join("\t".join(row) + "\n" for row in table))
    write_text(folder / "participants.tsv", participants_tsv(people))
    if options.layout == "fmriprep":
        description = {
            "Name": "Simulated resting-state fMRI with planted thalamic gradients",
            "BIDSVersion": "1.10.0",
            "DatasetType": "derivative",
            "GeneratedBy": [{"Name": "thalgpu simulate", "Description": "in the layout of fMRIPrep"}],
        }
        write_text(folder / "dataset_description.json", json.dumps(description, indent=2) + "\n")


def _admit(folder: Path, options: CohortOptions, *, force: bool) -> bool:
    """Whether the folder is new; UsageError when it holds something else and must not be written to."""
    if folder.exists() and not folder.is_dir():
        raise UsageError("a file is in the folder's place", where=str(folder), remedy="choose another folder")
    if not folder.exists() or not any(folder.iterdir()):
        return True
    if force:
        return False
    found = _options_of(folder / MARKER)
    if found is None:
        raise UsageError("the folder is not empty", where=str(folder), remedy="choose another one, or add --force")
    wanted = json.loads(canonical_json(asdict(options)))
    size_then = found.get("subjects")
    is_ours = {**wanted, "subjects": size_then} == found
    if not is_ours or not isinstance(size_then, int) or size_then > options.subjects:
        raise UsageError(
            "the folder holds a cohort of other options", where=str(folder), remedy="choose another one, or add --force"
        )
    return False


def _options_of(marker: Path) -> dict[str, Any] | None:
    """The options of the cohort that a folder holds; None when it holds none of this format."""
    try:
        found = json.loads(marker.read_text())
    except (OSError, ValueError):
        return None
    usable = isinstance(found, dict) and found.get("format") == _FORMAT and isinstance(found.get("options"), dict)
    return found["options"] if usable else None
