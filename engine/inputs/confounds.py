"""Confounds tables (TSV) and the named sets of nuisance regressors made from them."""

import math
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from thalgpu.engine.inputs.checked import read_bytes
from thalgpu.errors import InputError, UsageError

STRATEGIES = ("24p", "36p", "acompcor", "none")

_MOTION = ("trans_x", "trans_y", "trans_z", "rot_x", "rot_y", "rot_z")
_TISSUES = ("csf", "white_matter", "global_signal")
_DISPLACEMENT = ("framewise_displacement", "framewise_displacement_filtered", "FramewiseDisplacement", "fd")
_OLD_NAMES = {
    "trans_x": "X", "trans_y": "Y", "trans_z": "Z", "rot_x": "RotX", "rot_y": "RotY", "rot_z": "RotZ",
    "csf": "CSF", "white_matter": "WhiteMatter", "global_signal": "GlobalSignal",
}  # fmt: skip
"""fMRIPrep's names before version 1.4."""

_DIFFERENCE = re.compile(r"derivative|displacement|dvars|rmsd|^fd$", re.IGNORECASE)
"""Columns that compare a volume with the one before; fMRIPrep writes `n/a` in their first row and nowhere else."""

_N_COMPCOR = 5
_MISSING = frozenset({"", "n/a", "na", "nan"})
_LARGEST_TABLE = 1 << 28


@dataclass(frozen=True)
class ConfoundsTable:
    """A confounds table as text, one row a volume; columns become numbers when they are asked for.

    Attributes
    ----------
    path : the file.
    names : column names in order.
    rows : (n_volumes, n_columns) fields.
    sha256 : of the file on disk (hex).
    """

    path: Path
    names: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    sha256: str

    def column(self, name: str) -> NDArray[np.float64]:
        """(n_volumes,) float64; `n/a` in the first row of a difference between volumes, which has no value, is 0.

        Raises
        ------
        InputError
            For an absent column, and for any other field that is not a finite number, with its line.
        """
        found = name if name in self.names else _OLD_NAMES.get(name, name)
        if self.names.count(found) != 1:
            missing = "has no column" if found not in self.names else "has more than one column"
            raise InputError(self.path, f"{missing} {name!r}", at="line 1", remedy="choose other --confounds")
        at = self.names.index(found)
        texts = [fields[at].strip() for fields in self.rows]
        gap = int(_DIFFERENCE.search(found) is not None and texts[0].lower() in _MISSING)
        return np.array([0.0] * gap + [self._number(text, row, name) for row, text in enumerate(texts[gap:], gap)])

    def _number(self, text: str, row: int, name: str) -> float:
        try:
            value = math.nan if "_" in text else float(text)  # Python reads 1_0 as 10
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise InputError(
                self.path,
                f"{text[:30]!r} in column {name!r} is not a number",
                at=f"line {row + 2}",
                remedy="write the column again, or leave out the option that reads it",
            )
        return value


def read_confounds(path: Path) -> ConfoundsTable:
    """Read a tab-separated table with a header line; InputError with the line of a row of another length."""
    content = read_bytes(path, limit=_LARGEST_TABLE)
    try:
        lines = content.data.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise InputError(path, "not UTF-8 text", remedy="give a tab-separated confounds table") from error
    while lines and not lines[-1].strip():
        lines.pop()
    if len(lines) < 2:
        raise InputError(path, "the confounds table is empty", at="line 1")
    names = tuple(name.strip() for name in lines[0].split("\t"))
    rows = tuple(tuple(line.split("\t")) for line in lines[1:])
    for number, row in enumerate(rows, start=2):
        if len(row) != len(names):
            raise InputError(
                path,
                f"{len(row)} fields where the header has {len(names)}",
                at=f"line {number}",
                remedy="write the table again, or leave out the options that read it",
            )
    return ConfoundsTable(path, names, rows, content.sha256)


def confound_regressors(table: ConfoundsTable, strategy: str | tuple[str, ...]) -> NDArray[np.float64]:
    """The regressors of a strategy.

    Parameters
    ----------
    table : the run's confounds.
    strategy : one of
        - "24p": six motion parameters, their backward differences, and the squares of these twelve (Friston 1996,
          doi:10.1002/mrm.1910350312; as in Satterthwaite et al. 2013, doi:10.1016/j.neuroimage.2012.08.052).
        - "36p": the same expansion of motion, CSF, white matter and global signal (Ciric et al. 2017,
          doi:10.1016/j.neuroimage.2017.03.020).
        - "acompcor": the first five components of the combined mask (`a_comp_cor_00` … `04`), motion and its
          differences, and fMRIPrep's cosine regressors, against which the components were computed (Muschelli et al.
          2014, doi:10.1016/j.neuroimage.2014.03.028). nilearn's `compcor="anat_combined"`, `n_compcor=5` takes the same
          components; XCP-D takes five of white matter and five of CSF.
        - a tuple of column names, taken as they are; `n/a` in the first row of a difference counts as 0.
        - "none".

    Returns
    -------
    (n_volumes, n_regressors) float64
        Neither centred nor scaled. Differences are 0 in the first row, where fMRIPrep writes `n/a`; they are
        computed from the parameters, so that a table without the expanded columns serves as well.

    Raises
    ------
    UsageError
        For an unknown strategy.
    InputError
        For absent columns and fields that are not numbers.
    """
    if isinstance(strategy, tuple):
        return _stack(table, [table.column(name) for name in strategy])
    if strategy == "24p":
        return _expanded(_columns(table, _MOTION))
    if strategy == "36p":
        return _expanded(_columns(table, _MOTION + _TISSUES))
    if strategy == "acompcor":
        motion = _columns(table, _MOTION)
        components = tuple(f"a_comp_cor_{i:02d}" for i in range(_N_COMPCOR))
        cosines = tuple(name for name in table.names if name.startswith("cosine"))
        return np.hstack([motion, _differences(motion), _columns(table, components + cosines)])
    if strategy == "none":
        return _stack(table, [])
    raise UsageError(f"unknown confounds {strategy!r}", remedy=f"choose {', '.join(STRATEGIES)} or column names")


def framewise_displacement(table: ConfoundsTable) -> NDArray[np.float64] | None:
    """(n_volumes,) framewise displacement in mm, 0 where the first row is `n/a`; None when no column has its name."""
    name = next((name for name in _DISPLACEMENT if name in table.names), None)
    return None if name is None else table.column(name)


def _columns(table: ConfoundsTable, names: tuple[str, ...]) -> NDArray[np.float64]:
    return _stack(table, [table.column(name) for name in names])


def _stack(table: ConfoundsTable, columns: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    return np.column_stack(columns) if columns else np.zeros((len(table.rows), 0))


def _differences(columns: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.diff(columns, axis=0, prepend=columns[:1])


def _expanded(columns: NDArray[np.float64]) -> NDArray[np.float64]:
    both = np.hstack([columns, _differences(columns)])
    with np.errstate(over="ignore"):  # what overflows is refused when the projection is made
        return np.hstack([both, both**2])
