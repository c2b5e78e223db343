"""The table form of a subject list: one row a scan, several rows of one participant are its runs."""

import re
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

from thalgpu.engine.inputs.list_lines import Line, Problem, absent, bad_id, parse_id, resolve
from thalgpu.engine.inputs.model import Run, Subject
from thalgpu.engine.inputs.scan_names import is_scan
from thalgpu.engine.inputs.sidecars import run_of, segmentation_beside
from thalgpu.errors import InputError, ThalgpuWarning

REQUIRED = ("participant_id", "bold")
OF_RUN = ("confounds", "surface_left", "surface_right")
OF_SUBJECT = ("thalamus", "cortex", "aseg", "mesh_left", "mesh_right", "freesurfer_dir")
ENTITIES = ("session", "run")
_EMPTY = ("", "n/a")

Row: TypeAlias = dict[str, str | None]
"""Column → cell, None where the cell is empty."""


def is_table(first: Line) -> bool:
    """Whether the first line is a table's header."""
    return "participant_id" in _cells(first)


def read_table(path: Path, lines: Sequence[Line]) -> tuple[list[Subject], list[Problem]]:
    """Subjects of a tab-separated table, in the order of their first rows, and what is wrong with it.

    Columns: `participant_id`, `bold`; optionally `confounds`, `surface_left` and `surface_right` (a pair of func.gii),
    `session`, `run` of each row, and `thalamus`, `cortex`, `aseg`, `mesh_left`, `mesh_right`, `freesurfer_dir` of the
    person, which may be given in any of the person's rows but must not differ between them. An empty cell or `n/a` is
    none: only what has no column is looked for beside the scan and in its name. Quotes are plain characters, as in
    BIDS. Other columns are left unread, with a warning.
    """
    header = _header(path, lines[0])
    rows: dict[str, list[tuple[Line, Row]]] = {}
    problems: list[Problem] = []
    for line in lines[1:]:
        cells = _cells(line)
        if len(cells) != len(header):
            reason = f"{len(cells)} cells under {len(header)} columns"
            problems.append(Problem(line.number, reason, "separate cells by one tab and write n/a for none"))
            continue
        row = {name: None if cell in _EMPTY else cell for name, cell in zip(header, cells, strict=True)}
        given_id = row["participant_id"] or ""
        label = parse_id(given_id)
        if label is None:
            problems.append(bad_id(line.number, given_id))
        else:
            rows.setdefault(label, []).append((line, row))
    if not rows and not problems:
        raise InputError(path, "the table has a header but no row", at=lines[0].number, remedy="write one row a scan")
    subjects = [_subject(path, label, of_one, problems) for label, of_one in rows.items()]
    return [subject for subject in subjects if subject is not None], problems


def _header(path: Path, line: Line) -> list[str]:
    header = _cells(line)
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        raise InputError(path, f"column {twice[0]!r} appears twice", at=line.number, remedy="remove one of them")
    for name in REQUIRED:
        if name not in header:
            remedy = "add it, or give labels alone, one a line, with --derivatives"
            raise InputError(path, f"the table has no column {name!r}", at=line.number, remedy=remedy)
    unknown = [name for name in header if name not in (*REQUIRED, *OF_RUN, *OF_SUBJECT, *ENTITIES)]
    if unknown:
        # A column such as "confound" is most likely a misspelling that would silently change the cleaning.
        warnings.warn(f"columns not read: {', '.join(unknown)} ({path}:{line.number})", ThalgpuWarning, stacklevel=4)
    return header


def _subject(path: Path, label: str, rows: list[tuple[Line, Row]], problems: list[Problem]) -> Subject | None:
    runs = [_run(path, line, row, problems) for line, row in rows]
    own = {name: _agreed(path, name, rows, problems) for name in OF_SUBJECT}
    found = tuple(run for run in runs if run is not None)
    if not found:
        return None
    if "aseg" not in rows[0][1]:
        own["aseg"] = segmentation_beside(found[0].bold)
    return Subject(participant_id=label, runs=found, line=rows[0][0].number, **own)


def _run(path: Path, line: Line, row: Row, problems: list[Problem]) -> Run | None:
    """One row's scan; None, with a problem noted, when it cannot be used."""
    if row["bold"] is None:
        problems.append(Problem(line.number, "no bold", "every row needs a scan"))
        return None
    files = {name: resolve(path, cell) for name in ("bold", *OF_RUN) if (cell := row.get(name)) is not None}
    missing = [Problem(line.number, f"{name}: {reason}") for name, file in files.items() if (reason := absent(file))]
    wrong = missing or _misfits(line, row, files)
    problems += wrong
    if wrong:
        return None
    run = run_of(files["bold"])
    if "surface_left" in files:
        run = replace(run, surfaces=(files["surface_left"], files["surface_right"]))
    return replace(
        run,
        confounds=files.get("confounds") if "confounds" in row else run.confounds,
        session=_entity("session", row["session"]) if "session" in row else run.session,
        run=_entity("run", row["run"]) if "run" in row else run.run,
    )


def _misfits(line: Line, row: Row, files: dict[str, Path]) -> list[Problem]:
    found = []
    if not is_scan(files["bold"]):
        found.append(not_a_scan(line.number, str(row["bold"])))
    if ("surface_left" in files) != ("surface_right" in files):
        found.append(Problem(line.number, "only one of surface_left and surface_right", "give both or none"))
    odd = [name for name in ENTITIES if row.get(name) and _entity(name, row[name]) is None]
    return found + [Problem(line.number, f"{name} {row[name]!r} is not letters and digits only") for name in odd]


def not_a_scan(line: int, text: str) -> Problem:
    """The problem of a name that is neither a 4-D NIfTI's nor a dtseries'."""
    return Problem(line, f"{text!r} is no scan", "give a 4-D .nii or .nii.gz, or a CIFTI .dtseries.nii")


def _entity(name: str, text: str | None) -> str | None:
    """The label of a session or run without its prefix ("ses-pre" → "pre"); None when it is not letters and digits."""
    if text is None:
        return None
    prefix = {"session": "ses-", "run": "run-"}[name]
    label = text.removeprefix(prefix)
    return label if re.fullmatch(r"[A-Za-z0-9]+", label) else None


def _agreed(path: Path, name: str, rows: list[tuple[Line, Row]], problems: list[Problem]) -> Path | None:
    """The file that a person's rows name in a column of the person; None when none does or they differ."""
    given = {resolve(path, cell): line for line, row in reversed(rows) if (cell := row.get(name)) is not None}
    if not given:
        return None
    if len(given) > 1:
        at = max(line.number for line in given.values())
        problems.append(Problem(at, f"{name} differs between rows of one participant", "give one file a participant"))
        return None
    (file, line), *_ = given.items()
    reason = absent(file, folder=name == "freesurfer_dir")
    if reason:
        problems.append(Problem(line.number, f"{name}: {reason}"))
    return file


def _cells(line: Line) -> list[str]:
    return [cell.strip() for cell in line.text.split("\t")]
