"""Permutations that PALM (`permidx.csv`) or randomise (`_perm_*.txt`) has drawn."""

import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from thalgpu.engine.inputs.checked import read_bytes
from thalgpu.errors import InputError

_NUMBERS = re.compile(r"[-+0-9.eE,;\s]*")
_SEPARATOR = re.compile(r"\s*[,;]\s*|\s+")
_REMEDY = "give one permutation a line, as PALM's -saveperms and randomise's -P write them"


def read_permutations(path: Path, n_rows: int) -> NDArray[np.int64]:
    """Read a table of permutations.

    Parameters
    ----------
    path : text file of whole numbers from 1, separated by commas, semicolons or white space. Lines that begin with "#"
        or "%" are comments.
        - One permutation a line: PALM's `permidx.csv`, where a minus is a flipped sign, and randomise's
          `_perm_tstat1.txt`.
        - One permutation a column: what `palm_quickperms` makes. A square table that makes sense in both ways is read
          by lines.
        - Lines of 1 and −1 only: sign flips of randomise for one-sample designs.
    n_rows : subjects of the design.

    Returns
    -------
    (n, n_rows) int64
        Signed and from 1, one permutation a row, in the file's order; each a permutation of 1 … n_rows with signs.

    Raises
    ------
    InputError
        Another size, a number that is not whole or out of range, or one that comes twice in a permutation; with its
        line (or column).
    """
    table, lines = _read_table(path)
    if n_rows not in table.shape:
        reason = f"{table.shape[0]} lines of {table.shape[1]} numbers, where the design has {n_rows} subjects"
        raise InputError(path, reason, at=lines[0], remedy="draw the permutations for this design, without the others")
    if table.shape[1] != n_rows or (len(table) == n_rows and _repeats(table).any() and not _repeats(table.T).any()):
        table, places = table.T, [f"column {number}" for number in range(1, table.shape[1] + 1)]
    else:
        places = [f"line {number}" for number in lines]
    outside = np.argwhere((table == 0) | (np.abs(table) > n_rows))
    if len(outside):
        row, column = outside[0]
        reason = f"{table[row, column]} is no subject's number, which are 1 to {n_rows}"
        raise InputError(path, reason, at=places[row], remedy=_REMEDY)
    if n_rows > 1 and (np.abs(table) == 1).all():
        return table * np.arange(1, n_rows + 1)
    repeated = _repeats(table)
    if repeated.any():
        row = int(repeated.argmax())
        numbers, counts = np.unique(np.abs(table[row]), return_counts=True)
        reason = f"subject {numbers[counts > 1][0]} comes {counts.max()} times in one permutation"
        raise InputError(path, reason, at=places[row], remedy=_REMEDY)
    return table


def _read_table(path: Path) -> tuple[NDArray[np.int64], list[int]]:
    """(n_lines, n_numbers) whole numbers, and the number of each line in the file."""
    try:
        text = read_bytes(path).data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(path, "not text", remedy=_REMEDY) from error
    rows: list[NDArray[np.int64]] = []
    lines: list[int] = []
    for number, line in enumerate(re.split(r"\r\n|\n|\r", text), start=1):
        if not line.strip() or line.lstrip().startswith(("#", "%")):
            continue
        rows.append(_read_line(path, number, line.strip()))
        lines.append(number)
        if len(rows[-1]) != len(rows[0]):
            reason = f"{len(rows[-1])} numbers, where line {lines[0]} has {len(rows[0])}"
            raise InputError(path, reason, at=f"line {number}", remedy=_REMEDY)
    if not rows:
        raise InputError(path, "no permutation in it", remedy=_REMEDY)
    return np.vstack(rows), lines


def _read_line(path: Path, number: int, line: str) -> NDArray[np.int64]:
    fields = _SEPARATOR.split(line.rstrip(",;"))
    try:
        if not _NUMBERS.fullmatch(line):  # Python would read 1_0, inf and nan as numbers too
            raise ValueError(line)
        values = np.array([float(field) for field in fields])
    except ValueError as error:
        wrong = next((field for field in fields if not _is_number(field)), line)
        raise InputError(path, f"{wrong[:30]!r} is not a number", at=f"line {number}", remedy=_REMEDY) from error
    unfit = ~(np.abs(values) < 2**31) | (values != np.round(values))
    if unfit.any():
        reason = f"{fields[int(unfit.argmax())][:30]} is not the whole number of a subject"
        raise InputError(path, reason, at=f"line {number}", remedy=_REMEDY)
    return values.astype(np.int64)


def _is_number(field: str) -> bool:
    return re.fullmatch(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?", field) is not None


def _repeats(table: NDArray[np.int64]) -> NDArray[np.bool_]:
    """(n,) whether a number comes twice in a row, signs aside."""
    ordered = np.sort(np.abs(table), axis=1)
    return np.array((ordered[:, 1:] == ordered[:, :-1]).any(axis=1))
