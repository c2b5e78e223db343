"""The subject list: paths, participant labels, or a table; every problem named with its line."""

import re
import warnings
from collections.abc import Sequence
from pathlib import Path

from thalgpu.engine.inputs.layouts import find_runs
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
from thalgpu.engine.inputs.model import Subject
from thalgpu.engine.inputs.scan_names import is_scan
from thalgpu.engine.inputs.sidecars import run_of, segmentation_beside
from thalgpu.engine.inputs.subject_table import is_table, not_a_scan, read_table
from thalgpu.errors import InputError, ThalgpuWarning

_NIFTI_NAME = re.compile(r"\.nii(\.gz)?$", re.IGNORECASE)
_SUBJECT_ENTITY = re.compile(r"(?:^|_)sub-([A-Za-z0-9]+)(?=[_.]|$)")


def read_subject_list(
    path: Path | str, *, derivatives: Path | str | None = None, input_type: str | None = None
) -> tuple[Subject, ...]:
    """Read a subject list in any of its three forms; only the files' names and existence are looked at.

    The form is told by the first line that is neither blank nor a comment (`#` first): a table when one of its
    tab-separated fields is `participant_id`, else paths when it ends in `.nii` or `.nii.gz`, else participant labels.
    After a path or a label, a space and `#` begin a comment, unless a file of the whole line's name exists. In a table
    every cell is taken as it is.

    Parameters
    ----------
    path : UTF-8 text with any line ends, with or without a byte-order mark.
        Paths: a 4-D NIfTI or CIFTI dtseries a line; the id is the `sub-XX` of the name, else its stem.
        Labels: `01` or `sub-01`, looked up in `derivatives`.
        Table: see `read_table`; several rows of one participant are runs, kept in order.
    derivatives : folder that labels are looked up in, see `find_runs`; None for the other forms.
    input_type : "fmriprep", "xcpd" or "hcp", optionally with ":SPACE"; None to recognise the layout.

    Returns
    -------
    subjects : in the order of the list; ids are text, so that 0012 stays 0012.

    Raises
    ------
    InputError
        With the first line at fault, the first few problems in words and how many there are.

    Notes
    -----
    Relative paths are relative to the list. Confounds and a segmentation are taken from beside a scan by fMRIPrep's
    names unless a table names others. All runs of a person are joined, those of several sessions too, with a warning.
    """
    path = Path(path)
    lines = read_lines(path)
    if is_table(lines[0]):
        subjects, problems = read_table(path, lines)
    elif _NIFTI_NAME.search(_path_text(path, lines[0])):
        subjects, problems = _from_paths(path, lines)
    elif derivatives is not None:
        subjects, problems = _from_labels(lines, Path(derivatives), input_type)
        derivatives = None
    else:
        raise _neither_path_nor_label(path, lines[0])
    problems += _scans_given_twice(subjects)
    if problems:
        raise as_error(path, problems)
    if derivatives is not None:
        remedy = "leave --derivatives out, or list participant labels"
        raise InputError(path, "the list names scans itself, so --derivatives has no use", remedy=remedy)
    warn_of_joined_sessions(path, subjects)
    return tuple(subjects)


def _from_paths(path: Path, lines: Sequence[Line]) -> tuple[list[Subject], list[Problem]]:
    subjects: list[Subject] = []
    problems: list[Problem] = []
    line_of: dict[str, int] = {}
    for line in lines:
        text = _path_text(path, line)
        bold = resolve(path, text)
        label = _id_of_scan(bold)
        if not is_scan(bold):
            problems.append(not_a_scan(line.number, text))
        elif reason := absent(bold):
            problems.append(Problem(line.number, reason, "correct the path; relative paths start at the list's folder"))
        elif label is None:
            remedy = "rename it to sub-XX_…, or use a table with the columns participant_id and bold"
            problems.append(Problem(line.number, f"the name {bold.name!r} gives no id of letters and digits", remedy))
        elif label in line_of:
            remedy = "for several runs use a table with the columns participant_id and bold"
            problems.append(Problem(line.number, f"sub-{label} is on line {line_of[label]} already", remedy))
        else:
            line_of[label] = line.number
            subjects.append(Subject(label, (run_of(bold),), line.number, aseg=segmentation_beside(bold)))
    return subjects, problems


def _from_labels(
    lines: Sequence[Line], derivatives: Path, input_type: str | None
) -> tuple[list[Subject], list[Problem]]:
    if reason := absent(derivatives, folder=True):
        raise InputError(derivatives, reason, remedy="give the folder that holds the participants' folders")
    subjects: list[Subject] = []
    problems: list[Problem] = []
    line_of: dict[str, int] = {}
    for line in lines:
        text = _label_text(line)
        label = parse_id(text)
        if label is None:
            problems.append(bad_id(line.number, text))
        elif label in line_of:
            problems.append(Problem(line.number, f"sub-{label} is on line {line_of[label]} already", "remove one"))
        else:
            line_of[label] = line.number
            try:
                scans = find_runs(derivatives, label, input_type)
            except InputError as error:
                problems.append(Problem(line.number, f"{error.reason} ({error.where})", error.remedy))
            else:
                subjects.append(Subject(label, scans.runs, line.number, aseg=scans.aseg))
    return subjects, problems


def _path_text(path: Path, line: Line) -> str:
    """The longest part of a line before a comment that is a file, else the shortest with the name of a scan."""
    choices = before_comment(line.text.strip())
    there = (text for text in choices if absent(resolve(path, text)) is None)
    named = (text for text in reversed(choices) if is_scan(Path(text)))
    return next(there, next(named, choices[0]))


def _label_text(line: Line) -> str:
    return before_comment(line.text.strip())[-1]


def _neither_path_nor_label(path: Path, line: Line) -> InputError:
    if parse_id(_label_text(line)) is not None:
        remedy = "add --derivatives DIR, or list the scans' paths"
        return InputError(path, f"{_label_text(line)!r} is a participant label", at=line.number, remedy=remedy)
    if "\t" in line.text:
        remedy = "begin a table with a header that has participant_id and bold"
        return InputError(path, "a table without a header", at=line.number, remedy=remedy)
    problem = not_a_scan(line.number, line.text.strip())
    return InputError(path, problem.reason, at=line.number, remedy=problem.remedy)


def _id_of_scan(bold: Path) -> str | None:
    """The `sub-XX` of a file name, else its stem when that is letters and digits, else None."""
    entity = _SUBJECT_ENTITY.search(bold.name)
    if entity:
        return entity.group(1)
    return parse_id(re.sub(r"(\.dtseries)?\.nii(\.gz)?$", "", bold.name, flags=re.IGNORECASE))


def _scans_given_twice(subjects: Sequence[Subject]) -> list[Problem]:
    """A scan under two ids, or twice under one, would count one person's data twice."""
    owner: dict[Path, str] = {}
    problems = []
    for subject in subjects:
        for run in subject.runs:
            if run.bold in owner:
                label, other = subject.participant_id, owner[run.bold]
                reason = f"{run.bold.name} of sub-{label} is given to sub-{other} already"
                if label == other:
                    reason = f"the same scan {run.bold.name} is given twice to sub-{label}"
                problems.append(Problem(subject.line, reason, "list every scan once"))
            owner[run.bold] = subject.participant_id
    return problems


def warn_of_joined_sessions(path: Path, subjects: Sequence[Subject]) -> None:
    """Warn of people whose sessions count as runs; `path` is the list."""
    several = [subject.participant_id for subject in subjects if len({run.session for run in subject.runs}) > 1]
    if several:
        what = f"{len(several)} subjects have several sessions, joined as runs (first: sub-{several[0]}) ({path})"
        remedy = "list one session's scans in a table to leave the others out"
        warnings.warn(f"{what} — {remedy}", ThalgpuWarning, stacklevel=3)
