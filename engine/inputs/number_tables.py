"""Matrices of numbers in text files: FSL's VEST format, or rows separated by tabs, commas, semicolons or spaces."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from thalgpu.engine.inference.coding import finite_number
from thalgpu.engine.inference.words import quoted, repeated
from thalgpu.engine.inputs.design_table import ID_COLUMN
from thalgpu.engine.inputs.list_lines import parse_id
from thalgpu.engine.inputs.text_files import numbered_lines, read_text
from thalgpu.errors import InputError

_AGAIN = "the file is cut short or was edited by hand; write it again"
_TITLE = re.compile(r"ContrastName(\d{1,4})")


@dataclass(frozen=True)
class NumberTable:
    """Numbers of a file, and what it says of them.

    Attributes
    ----------
    path : the file.
    values : (n_rows, n_columns) float64, finite.
    lines : number of each row's line in the file.
    columns : names of the columns, where there is a header.
    titles : number of a contrast (from 1) → its title.
    ids : participants without "sub-", where the first column has them.
    """

    path: Path
    values: NDArray[np.float64]
    lines: tuple[int, ...]
    columns: tuple[str, ...] | None = None
    titles: tuple[tuple[int, str], ...] = ()
    ids: tuple[str, ...] | None = None


def read_numbers(path: Path) -> NumberTable:
    """A matrix of numbers: VEST (`/Matrix`, with `/NumWaves` and the like), or rows separated by commas or spaces.

    Raises
    ------
    InputError
        With the line: text that is no finite number, rows of unequal length, and sizes other than the header's.
    """
    lines = numbered_lines(read_text(path)[0])
    if not lines:
        raise InputError(path, "the file is empty", remedy="give a matrix of numbers")
    return _vest(path, lines) if any(line.startswith("/") for _, line in lines) else _plain(path, lines)


def _vest(path: Path, lines: Sequence[tuple[int, str]]) -> NumberTable:
    """The format of FSL: `/Keyword value` lines, then `/Matrix` and the rows."""
    start = next((k for k, (_, line) in enumerate(lines) if line.split()[0] == "/Matrix"), None)
    if start is None:
        raise InputError(path, "no /Matrix", at=lines[-1][0], remedy=_AGAIN)
    said: dict[str, tuple[int, str]] = {}
    for at, line in lines[:start]:
        keyword, *value = line.split(None, 1)
        if not keyword.startswith("/"):
            raise InputError(path, f"{quoted(line, 30)} before /Matrix", at=at, remedy=_AGAIN)
        said[keyword[1:]] = (at, "".join(value).strip('"'))
    table = _matrix(path, [(at, line.split()) for at, line in lines[start + 1 :]], lines[start][0])
    n_rows, n_columns = table.values.shape
    for keyword, count in (("NumWaves", n_columns), ("NumPoints", n_rows), ("NumContrasts", n_rows)):
        at, claimed = said.get(keyword, (0, str(count)))
        if finite_number(claimed) != count:
            reason = f"/{keyword} says {quoted(claimed, 20)}, but the matrix has {count}"
            raise InputError(path, reason, at=at, remedy=_AGAIN)
    titles = [(int(match[1]), value) for key, (_, value) in said.items() if (match := _TITLE.fullmatch(key)) and value]
    return NumberTable(path, table.values, table.lines, titles=tuple(titles))


def _plain(path: Path, lines: Sequence[tuple[int, str]]) -> NumberTable:
    """Rows of numbers, with or without a header; a first column called participant_id is kept as text."""
    separator = next((sign for sign in "\t;," if sign in lines[0][1]), None)
    rows = [(at, [cell.strip().strip('"') for cell in line.split(separator)]) for at, line in lines]
    first = rows[0][1]
    if any(finite_number(cell) is not None for cell in first):
        return _matrix(path, rows, rows[0][0])
    if first[0] != ID_COLUMN:
        return _matrix(path, rows[1:], rows[0][0], header=tuple(first))
    ids = [parse_id(cells[0]) or "" for _, cells in rows[1:]]
    twice = repeated(ids)
    for (at, cells), label in zip(rows[1:], ids, strict=True):
        if not label or label in twice:
            remedy = "write one row a participant, ids in letters and digits"
            raise InputError(path, f"participant id {quoted(cells[0], 30)}", at=at, remedy=remedy)
    table = _matrix(path, [(at, cells[1:]) for at, cells in rows[1:]], rows[0][0], header=tuple(first[1:]))
    return NumberTable(path, table.values, table.lines, table.columns, ids=tuple(ids))


def _matrix(
    path: Path, rows: Sequence[tuple[int, list[str]]], at: int, header: tuple[str, ...] | None = None
) -> NumberTable:
    if not rows:
        raise InputError(path, "the matrix has no row", at=at, remedy=_AGAIN)
    n_columns = len(rows[0][1] if header is None else header)
    if not n_columns:
        raise InputError(path, "no column of numbers", at=at, remedy=_AGAIN)
    values = []
    for line, cells in rows:
        if len(cells) != n_columns:
            raise InputError(path, f"{len(cells)} numbers where {n_columns} are expected", at=line, remedy=_AGAIN)
        numbers = [finite_number(cell) for cell in cells]
        odd = next((cell for cell, number in zip(cells, numbers, strict=True) if number is None), None)
        if odd is not None:
            reason = f"{quoted(odd, 30)} is not a finite number"
            raise InputError(path, reason, at=line, remedy="write numbers with decimal points")
        values.append(numbers)
    return NumberTable(path, np.array(values, dtype=np.float64), tuple(line for line, _ in rows), header)
