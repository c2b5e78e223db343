"""Subjects' measures in a table: tab- or comma-separated text."""

import csv
import re
from pathlib import Path

import numpy as np

from thalgpu.engine.inputs.checked import read_bytes
from thalgpu.engine.inputs.list_lines import parse_id
from thalgpu.engine.inputs.subject_maps import MapStack
from thalgpu.errors import InputError

_FIRST = "participant_id"


def read_table(path: Path) -> MapStack:
    """A table whose first column is `participant_id` and whose others are features; a `.tsv` has tabs, a `.csv` commas.

    A cell that is not a finite number is a flaw of its row, which names line and column.
    """
    content = read_bytes(path)
    header, *rows = _cells(path, content.data)
    names = tuple(header[1:])
    if header[0] != _FIRST:
        remedy = f"begin the table with a column {_FIRST}"
        raise InputError(path, f"its first column is {header[0]!r}, not {_FIRST}", at=1, remedy=remedy)
    if not names:
        raise InputError(path, "no column after participant_id", at=1, remedy="add one column a feature")
    if twice := sorted({name for name in names if names.count(name) > 1 or not name}):
        raise InputError(path, f"column {twice[0]!r} appears twice or has no name", at=1, remedy="rename or remove it")
    line_of: dict[str, int] = {}
    values = np.empty((len(rows), len(names)))
    flaws: dict[int, InputError] = {}
    for row, (number, cells) in zip(values, enumerate(rows, start=2), strict=True):
        if len(cells) != len(header):
            raise InputError(path, f"{len(cells)} cells under {len(header)} columns", at=number)
        label = parse_id(cells[0].strip())
        if label is None:
            remedy = "rename it, e.g. sub-0012 or 0012"
            raise InputError(path, f"participant id {cells[0]!r} is not letters and digits", at=number, remedy=remedy)
        if label in line_of:
            remedy = "keep one row a participant"
            raise InputError(path, f"sub-{label} is on line {line_of[label]} already", at=number, remedy=remedy)
        line_of[label] = number
        row[:] = [_number(cell) for cell in cells[1:]]
        if len(bad := np.flatnonzero(~np.isfinite(row))):
            flaws[number - 2] = _flaw(path, number, names[bad[0]], cells[bad[0] + 1])
    ids = tuple(line_of)
    words = tuple(f"sub-{label}" for label in ids)
    return MapStack(path, list(values), words, ids, {path: content.sha256}, feature_names=names, flaws=flaws)


def _cells(path: Path, content: bytes) -> list[list[str]]:
    """Rows of cells, the header first; blank lines at the end are passed over."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise InputError(path, "not UTF-8 text", at=line, remedy="save it as UTF-8 text") from error
    tabs = path.name.lower().endswith(".tsv")
    lines = re.split(r"\r\n|\n|\r", text.rstrip())
    # quotes are plain characters in a BIDS table
    reader = csv.reader(lines, delimiter="\t" if tabs else ",", quoting=csv.QUOTE_NONE if tabs else csv.QUOTE_MINIMAL)
    try:
        rows = [[cell.strip() for cell in row] for row in reader]
    except csv.Error as error:
        raise InputError(path, f"not a table: {error}", at=reader.line_num) from error
    if not text.strip() or len(rows) < 2 or not rows[0]:
        raise InputError(path, "no row of a subject in it", remedy="give a header, and one row a subject")
    return rows


def _number(cell: str) -> float:
    """The number in a cell; NaN for anything else."""
    try:  # float() would also take 1_000, which no other program reads as a number
        return np.nan if "_" in cell else float(cell)
    except ValueError:
        return np.nan


def _flaw(path: Path, line: int, column: str, cell: str) -> InputError:
    remedy = "remove the column or the participant, or fill the gap"
    return InputError(path, f"{cell!r} in column {column!r} is not a finite number", at=line, remedy=remedy)
