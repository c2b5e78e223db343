"""The subject list of `thalgpu structure`: labels with folders to look in, or a table that names the files."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from thalgpu.engine.inputs.gifti import Side
from thalgpu.engine.inputs.list_lines import (
    Line,
    Problem,
    absent,
    as_error,
    bad_id,
    before_comment,
    parse_id,
    read_lines,
    resolve,
)
from thalgpu.engine.inputs.mesh_files import find_meshes
from thalgpu.engine.inputs.subject_table import is_table
from thalgpu.errors import InputError, ThalgpuWarning

FILES = ("freesurfer_dir", "aseg", "mesh_left", "mesh_right", "thickness_left", "thickness_right")
"""Columns of the table that are read, besides participant_id."""

_OF_OTHERS = ("bold", "confounds", "surface_left", "surface_right", "session", "run", "thalamus", "cortex")
"""Columns that the lists of other commands have: they are left unread without a warning."""

_EMPTY = ("", "n/a")


@dataclass(frozen=True)
class StructureSubject:
    """One person and the files that hold the person's structure; None for what there is none of.

    Attributes
    ----------
    participant_id : without "sub-"; leading zeros are kept.
    line : number in the list, for messages.
    freesurfer_dir : FreeSurfer's folder of the person, see `freesurfer_folder.open_freesurfer`.
    aseg : label image with the thalamus as 10 and 49 (aseg, or FSL FIRST's firstseg).
    mesh_left, mesh_right : mesh of each thalamus (`.vtk` or `.surf.gii`), with vertices that correspond across people.
    thickness_left, thickness_right : vertex-wise thickness of each hemisphere (`.gii`, `.dscalar.nii`, `.mgh` or
        `?h.thickness`); one CIFTI file with both may be named in both.
    """

    participant_id: str
    line: int
    freesurfer_dir: Path | None = None
    aseg: Path | None = None
    mesh_left: Path | None = None
    mesh_right: Path | None = None
    thickness_left: Path | None = None
    thickness_right: Path | None = None

    @property
    def meshes(self) -> dict[Side, Path]:
        """Side → mesh, for the sides that have one."""
        return _given(self.mesh_left, self.mesh_right)

    @property
    def thickness(self) -> dict[Side, Path]:
        """Side → thickness map, for the sides that have one."""
        return _given(self.thickness_left, self.thickness_right)


def read_structure_list(
    path: Path | str,
    *,
    freesurfer: Path | str | None = None,
    meshes: Path | str | None = None,
    tables: bool = False,
) -> tuple[StructureSubject, ...]:
    """Read the list; only the files' names and existence are looked at.

    Parameters
    ----------
    path : UTF-8 text: participant labels (`01` or `sub-01`), one a line, `#` begins a comment; or a tab-separated table
        with `participant_id` and any of `FILES`, one row a person. Rows that repeat a person (as of scans) must agree.
    freesurfer : FreeSurfer's SUBJECTS_DIR, in which folders are called `sub-01` or `01`; None for none.
    meshes : folder of meshes, see `find_meshes`; None for none.
    tables : whether stats tables are given besides, so that a person needs no file of their own.

    Returns
    -------
    subjects : in the order of the list. What a table names comes before what the folders hold.

    Raises
    ------
    InputError
        With the first line at fault, the first few problems in words and how many there are: ids that are no letters
        and digits, people listed twice, files that do not exist, and people of whom nothing is given.
    """
    path = Path(path)
    places = _Places(_folder(freesurfer), _folder(meshes), tables)
    lines = read_lines(path)
    subjects, problems = _from_table(path, lines, places) if is_table(lines[0]) else _from_labels(lines, places)
    problems += _files_given_twice(subjects)
    if problems:
        raise as_error(path, problems)
    return tuple(subjects)


@dataclass(frozen=True)
class _Places:
    """Where the files of a person are looked for."""

    freesurfer: Path | None
    meshes: Path | None
    tables: bool

    def fill(self, subject: StructureSubject, problems: list[Problem], columns: Sequence[str] = ()) -> StructureSubject:
        """The subject with what the folders hold where the list has no column for it; what lacks becomes a problem."""
        files: dict[str, Path | None] = {name: getattr(subject, name) for name in FILES}
        label = subject.participant_id
        if self.freesurfer is not None and "freesurfer_dir" not in columns:
            files["freesurfer_dir"] = _subject_folder(self.freesurfer, label)
        if self.meshes is not None and not {"mesh_left", "mesh_right"} & set(columns):
            try:
                found: Mapping[Side, Path] = find_meshes(self.meshes, label)
            except InputError as error:
                problems.append(Problem(subject.line, f"{error.reason} ({error.where})", error.remedy))
                return subject
            files |= {f"mesh_{side}": file for side, file in found.items()}
        if not any(files.values()) and not self.tables:
            problems.append(Problem(subject.line, f"nothing is given of sub-{label}{self._looked()}", self._remedy()))
        return StructureSubject(label, subject.line, **files)

    def _looked(self) -> str:
        folders = [str(folder) for folder in (self.freesurfer, self.meshes) if folder is not None]
        return f" in {' and '.join(folders)}" if folders else ""

    def _remedy(self) -> str:
        if self.freesurfer is None and self.meshes is None:
            return "add --freesurfer SUBJECTS_DIR, --meshes DIR or tables, or list the files in a table"
        return "take the person out of the list, or correct the folder"


def _folder(text: Path | str | None) -> Path | None:
    if text is None:
        return None
    if reason := absent(Path(text), folder=True):
        raise InputError(text, reason, remedy="give the folder that holds the participants' files")
    return Path(text)


def _from_labels(lines: Sequence[Line], places: _Places) -> tuple[list[StructureSubject], list[Problem]]:
    subjects: list[StructureSubject] = []
    problems: list[Problem] = []
    line_of: dict[str, int] = {}
    for line in lines:
        text = before_comment(line.text.strip())[-1]
        label = parse_id(text)
        if label is None:
            problems.append(bad_id(line.number, text))
        elif label in line_of:
            problems.append(Problem(line.number, f"sub-{label} is on line {line_of[label]} already", "remove one"))
        else:
            line_of[label] = line.number
            subjects.append(places.fill(StructureSubject(label, line.number), problems))
    return subjects, problems


def _from_table(path: Path, lines: Sequence[Line], places: _Places) -> tuple[list[StructureSubject], list[Problem]]:
    header = _header(path, lines[0])
    found: dict[str, StructureSubject] = {}
    problems: list[Problem] = []
    for line in lines[1:]:
        cells = [cell.strip() for cell in line.text.split("\t")]
        if len(cells) != len(header):
            reason = f"{len(cells)} cells under {len(header)} columns"
            problems.append(Problem(line.number, reason, "separate cells by one tab and write n/a for none"))
            continue
        row = {name: cell for name, cell in zip(header, cells, strict=True) if cell not in _EMPTY}
        label = parse_id(row.get("participant_id", ""))
        if label is None:
            problems.append(bad_id(line.number, row.get("participant_id", "")))
            continue
        files = {name: resolve(path, row[name]) for name in FILES if name in row}
        if label in found:
            _require_agreement(found[label], files, line, problems)
            continue
        wrong = {name: absent(file, folder=name == "freesurfer_dir") for name, file in files.items()}
        remedy = "correct the path; relative paths start at the list's folder"
        problems += [Problem(line.number, f"{name}: {reason}", remedy) for name, reason in wrong.items() if reason]
        found[label] = places.fill(StructureSubject(label, line.number, **files), problems, header)
    if not found and not problems:
        raise InputError(path, "the table has a header but no row", at=lines[0].number, remedy="write one row a person")
    return list(found.values()), problems


def _header(path: Path, line: Line) -> list[str]:
    header = [cell.strip() for cell in line.text.split("\t")]
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        raise InputError(path, f"column {twice[0]!r} appears twice", at=line.number, remedy="remove one of them")
    unknown = [name for name in header if name not in ("participant_id", *FILES, *_OF_OTHERS)]
    if unknown:
        warnings.warn(f"columns not read: {', '.join(unknown)} ({path}:{line.number})", ThalgpuWarning, stacklevel=4)
    return header


def _require_agreement(
    subject: StructureSubject, files: Mapping[str, Path], line: Line, problems: list[Problem]
) -> None:
    """Further rows of a person, which lists of scans have, may repeat the files but not change them."""
    odd = [name for name, file in files.items() if getattr(subject, name) != file]
    if odd:
        reason = f"{odd[0]} of sub-{subject.participant_id} differs from line {subject.line}"
        problems.append(Problem(line.number, reason, "give one file a participant"))


def _files_given_twice(subjects: Sequence[StructureSubject]) -> list[Problem]:
    """A file of two people would count one person's brain twice, one of two sides one side."""
    owner: dict[Path, StructureSubject] = {}
    problems = []
    for subject in subjects:
        for left, right in ((subject.mesh_left, subject.mesh_right), (subject.thickness_left, subject.thickness_right)):
            if left is not None and left == right and not left.name.endswith(".nii"):
                reason = f"{left.name} of sub-{subject.participant_id} is given for both hemispheres"
                problems.append(Problem(subject.line, reason, "name one file a hemisphere"))
        for file in {getattr(subject, name) for name in FILES} - {None}:
            other = owner.setdefault(file, subject)
            if other is not subject:
                reason = f"{file.name} of sub-{subject.participant_id} is given to sub-{other.participant_id} already"
                problems.append(Problem(subject.line, reason, "give every file to one person"))
    return problems


def _subject_folder(folder: Path, label: str) -> Path | None:
    """FreeSurfer's folder of a person, or None."""
    candidates = (folder / f"sub-{label}", folder / label)
    return next((place for place in candidates if absent(place, folder=True) is None), None)


def _given(left: Path | None, right: Path | None) -> dict[Side, Path]:
    sides: dict[Side, Path | None] = {"left": left, "right": right}
    return {side: file for side, file in sides.items() if file is not None}
