"""Before any work: read the list and the tables, choose the source of each measure, and say who lacks it."""

import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from thalgpu.engine.config import config_key
from thalgpu.engine.inputs.design_table import read_design_table
from thalgpu.engine.inputs.freesurfer_folder import FreeSurferFolder, open_freesurfer
from thalgpu.engine.inputs.structure_list import StructureSubject, read_structure_list
from thalgpu.engine.machine import usable_cores
from thalgpu.engine.outputs.locks import check_is_ours
from thalgpu.engine.outputs.structure_names import Measure, Side
from thalgpu.engine.pipelines.input_hashes import input_sha256
from thalgpu.engine.pipelines.remarks import collect_remarks
from thalgpu.engine.pipelines.structure_meshes import read_closed_mesh
from thalgpu.engine.pipelines.structure_request import MEASURES, StructureRequest
from thalgpu.engine.pipelines.structure_rows import TableRow, table_rows
from thalgpu.engine.pipelines.structure_sources import (
    CommonSurface,
    MeasureTask,
    Person,
    Source,
    choose_source,
    common_files,
    files_of,
)
from thalgpu.errors import InputError, UsageError

FSAVERAGE = "fsaverage"
_TASK_BYTES, _ROW_BYTES = 2 * 2**20, 2**12
"""Record and maps of one measure of one subject, such as S1 on fsaverage; and rows of tables and report."""


@dataclass(frozen=True)
class StructurePrepared:
    """A checked request.

    Attributes
    ----------
    subjects : of the list, in its order.
    sources : measure → where it comes from; measures without a source are not there.
    tasks : what is read file by file.
    rows : measure → participant → what tables say.
    common : fsaverage, where vertex-wise thickness can be brought onto it.
    templates : meshes that the user gives for label images.
    rejected : participant → what the person lacks.
    workers : processes.
    in_process : the work is done in this process: on request, or where there is too little of it.
    disk_bytes : what the run will write, at most.
    warnings : remarks on list and sources.
    """

    subjects: tuple[StructureSubject, ...]
    sources: Mapping[Measure, Source]
    tasks: tuple[MeasureTask, ...]
    rows: Mapping[Measure, Mapping[str, TableRow]]
    common: CommonSurface | None
    templates: Mapping[Side, Path | None]
    rejected: dict[str, InputError]
    workers: int
    in_process: bool
    disk_bytes: int
    warnings: tuple[str, ...]


def prepare_structure(request: StructureRequest) -> StructurePrepared:
    """Check all that can be checked without reading a person's images; nothing is written.

    Raises
    ------
    InputError, UsageError
        When the list, a table or the options cannot be used, or no measure has a source.
    """
    _check_options(request)
    check_is_ours(request.out)
    has_tables = bool(request.aseg_tables or request.aparc_tables)
    with collect_remarks() as remarks:
        subjects = read_structure_list(
            request.subjects, freesurfer=request.freesurfer, meshes=request.meshes, tables=has_tables
        )
    rejected: dict[str, InputError] = {}
    people = _open_folders(subjects, rejected)
    common = _find_common(request, people)
    sources = _sources(request, people, common, remarks)
    _require_use(request, sources)
    rows = table_rows(request, sources, [person.subject.participant_id for person in people], rejected)
    tasks = _tasks(request, people, sources, common, rejected)
    if not tasks and not any(rows.values()):
        raise next(iter(rejected.values()))
    workers = max(1, min(request.workers or usable_cores(), len(tasks)))
    return StructurePrepared(
        subjects=subjects,
        sources=sources,
        tasks=tasks,
        rows=rows,
        common=common,
        templates={"L": request.template_left, "R": request.template_right},
        rejected=rejected,
        workers=workers,
        in_process=request.workers == 1 or len(tasks) <= 1,
        disk_bytes=_TASK_BYTES * len(tasks) + _ROW_BYTES * len(subjects),
        warnings=tuple(remarks),
    )


def _check_options(request: StructureRequest) -> None:
    if not 0 <= request.smooth < 100:
        raise UsageError(f"--smooth {request.smooth:g} is no width in mm", remedy="give mm, or 0 for none")
    if (request.template_left is None) != (request.template_right is None):
        raise UsageError("only one of --template-left and --template-right", remedy="give both, or neither")
    for side, path in (("L", request.template_left), ("R", request.template_right)):
        if path is not None:
            read_closed_mesh(path, "left" if side == "L" else "right")
    if request.s1_labels and len(request.s1_labels.split(",")) > 2:
        raise UsageError("--s1-labels takes one file or two", remedy="give FILE, or LEFT,RIGHT")
    if request.participants is not None and "icv" in read_design_table(request.participants).columns:
        reason = "has a column icv already"
        raise InputError(request.participants, reason, at="icv", remedy="rename it, or leave out --participants")


def _open_folders(subjects: Sequence[StructureSubject], rejected: dict[str, InputError]) -> list[Person]:
    """The people, each with what the FreeSurfer folder offers; those whose folder is none are rejected."""
    people = []
    for subject in subjects:
        try:
            folder = open_freesurfer(subject.freesurfer_dir) if subject.freesurfer_dir else None
        except InputError as error:
            rejected[subject.participant_id] = error
        else:
            people.append(Person(subject, folder))
    if not people:
        raise next(iter(rejected.values()))
    return people


def _find_common(request: StructureRequest, people: Sequence[Person]) -> CommonSurface | None:
    """fsaverage in SUBJECTS_DIR, or beside the first person's folder; None where it or its parcels are not there."""
    folders = [request.freesurfer] if request.freesurfer else []
    folders += [person.folder.path.parent for person in people[:1] if person.folder]
    for parent in folders:
        if (parent / FSAVERAGE).is_dir():
            folder: FreeSurferFolder = open_freesurfer(parent / FSAVERAGE)
            files = common_files(folder, request.s1)
            if files:
                return CommonSurface(folder, config_key([input_sha256(file) for file in files]))
    return None


def _sources(
    request: StructureRequest, people: Sequence[Person], common: CommonSurface | None, remarks: list[str]
) -> dict[Measure, Source]:
    """Measure → source; UsageError where one that was asked for, or every one, has none."""
    tables = {"volumes": request.aseg_tables, "thickness": request.aparc_tables}
    found: dict[Measure, Source] = {}
    for measure in request.measures or MEASURES:
        source = "tables" if tables.get(measure) else choose_source(people, measure, request.s1)
        problem = _problem(request, measure, source, common)
        if source is not None and problem is None:
            found[measure] = source
        elif request.measures:
            raise UsageError(f"{measure}: {problem}", remedy=_REMEDIES[measure])
        else:
            remarks.append(f"{measure} left out: {problem}")
    if not found:
        raise UsageError("; ".join(remarks), remedy="give --freesurfer, --aseg-table, --aparc-table or --meshes")
    return found


_REMEDIES: dict[Measure, str] = {
    "volumes": "give --freesurfer, --aseg-table, or a column aseg",
    "thickness": "give --freesurfer, --aparc-table, or columns thickness_left and thickness_right",
    "shape": "give --meshes, --freesurfer, or columns mesh_left and mesh_right or aseg",
}


def _problem(
    request: StructureRequest, measure: Measure, source: Source | None, common: CommonSurface | None
) -> str | None:
    """Why a measure cannot be had, or None."""
    if source is None:
        return f"no source of it{f' for --s1 {request.s1}' if measure == 'thickness' else ''}"
    if measure == "shape" and source != "meshes" and importlib.util.find_spec("skimage") is None:
        return "surfaces of label images need scikit-image: pip install 'thalgpu[meshing]'"
    if source == "maps" and not request.s1_labels and common is None:
        return "thickness maps need --s1-labels, or fsaverage in --freesurfer"
    return None


def _require_use(request: StructureRequest, sources: Mapping[Measure, Source]) -> None:
    """UsageError for an option that would change nothing, since what it is for comes from elsewhere."""
    if request.s1_labels and sources.get("thickness") != "maps":
        where = "columns thickness_left and thickness_right, which most lack"
        raise UsageError(f"--s1-labels is for {where}", remedy="leave it out, or list the maps")
    if request.template_left and sources.get("shape") not in ("labels", "aseg"):
        raise UsageError("--template-left and --template-right are for label images", remedy="leave them out")


def _tasks(
    request: StructureRequest,
    people: Sequence[Person],
    sources: Mapping[Measure, Source],
    common: CommonSurface | None,
    rejected: dict[str, InputError],
) -> tuple[MeasureTask, ...]:
    """What is read file by file; who lacks a measure's source that others have is rejected, for that measure."""
    labels = tuple(Path(text) for text in request.s1_labels.split(",")) if request.s1_labels else ()
    group = [input_sha256(path) for path in labels] or ([common.key] if common else [])
    tasks = []
    for measure, source in sources.items():
        if source == "tables":
            continue
        for person in people:
            files = files_of(person, measure, source, request.s1)
            who = person.subject.participant_id
            if not files:
                rejected.setdefault(who, _lacking(request, person, measure, source))
                continue
            key = config_key(group) if group else ""
            tasks.append(MeasureTask(person, measure, source, files, request.s1, labels, common, key, request.out))
    return tuple(tasks)


def _lacking(request: StructureRequest, person: Person, measure: Measure, source: Source) -> InputError:
    where = person.folder.path if person.folder and source in ("stats", "aseg", "surfaces") else request.subjects
    reason = f"no {measure} of sub-{person.subject.participant_id}: others have {source}"
    at = None if where != request.subjects else person.subject.line
    return InputError(where, reason, at=at, remedy="add it, or take the person out of the list")
