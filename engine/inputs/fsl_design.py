"""Designs as FSL and PALM keep them: `.mat`, `.con`, `.fts`, `.grp` files, or plain tables of numbers."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from thalgpu.engine.inference.model import Contrast, Design
from thalgpu.engine.inference.rank import check_contrasts, check_design, redundant_rows
from thalgpu.engine.inference.table_design import NO_WHOLE, tree_from_column
from thalgpu.engine.inference.words import listed
from thalgpu.engine.inputs.number_tables import NumberTable, read_numbers
from thalgpu.errors import InputError

_LARGEST_LABEL = 2**31 - 1


def design_from_files(
    design: Path,
    contrasts: Path,
    f_tests: Path | None = None,
    *,
    blocks: Path | None = None,
    whole: bool = False,
    variance_groups: Path | None = None,
) -> Design:
    """Read a design as FSL's and PALM's programs take it; nothing is demeaned or recoded.

    Parameters
    ----------
    design : (n_subjects, n_columns), `.mat` or a table of numbers, which may have a header and a first column
        `participant_id`.
    contrasts : (n_contrasts, n_columns), `.con` or a table.
    f_tests : (n_f_tests, n_contrasts) of 0 and 1, `.fts` or a table: which t contrasts an F test joins.
    blocks : see `read_blocks`.
    whole : the blocks of a single column are exchanged as wholes.
    variance_groups : one column of whole numbers, `.grp` or a table.

    Returns
    -------
    Design
        Contrasts are labelled c1, c2 … in the order of the files, F tests after the t contrasts; `/ContrastNameN`
        gives the name.

    Raises
    ------
    InputError
        For files that cannot be read, with the line, and sizes that do not fit each other.
    NumericsError
        For a design without one answer, as `check_design` and `check_contrasts`.
    """
    table = read_numbers(design)
    n_subjects, n_columns = table.values.shape
    columns = table.columns or tuple(f"EV{k}" for k in range(1, n_columns + 1))
    check_design(table.values, columns)
    asked = _t_contrasts(read_numbers(contrasts), columns, named=table.columns is not None)
    if f_tests is not None:
        asked += _f_tests(read_numbers(f_tests), asked)
    check_contrasts(table.values, columns, asked)
    tree = None if blocks is None else _tree(blocks, n_subjects, whole=whole)
    groups = None if variance_groups is None else _one_column(variance_groups, n_subjects)
    coding = (("design", f"as in {design.name}: neither demeaned nor recoded"),)
    remarks = tuple(redundant_rows(asked))
    return Design(table.values, columns, asked, table.ids, tree, groups, coding, remarks)


def read_blocks(path: Path) -> NDArray[np.int64]:
    """Exchangeability blocks as they are in the file: (n_subjects, n_columns) whole numbers; `.grp` or a table.

    One column labels blocks; several are the levels of a tree as PALM writes it. InputError for anything but whole
    numbers, zeros in a tree, and negative labels in a single column, which have no meaning there.
    """
    table = read_numbers(path)
    labels = _whole_numbers(table)
    wrong = (labels < 0) if labels.shape[1] == 1 else (labels == 0)
    if wrong.any():
        row, column = np.argwhere(wrong)[0]
        raise InputError(
            path,
            f"block {labels[row, column]} in column {column + 1}",
            at=table.lines[row],
            remedy="label the blocks of one column from 1; a tree has positive and negative labels, no zeros",
        )
    return labels


def _t_contrasts(table: NumberTable, columns: tuple[str, ...], *, named: bool) -> tuple[Contrast, ...]:
    if table.values.shape[1] != len(columns):
        raise InputError(
            table.path,
            f"contrasts of {table.values.shape[1]} weights for {len(columns)} columns of the design",
            at=table.lines[0],
            remedy="give one weight a column",
        )
    if named and table.columns is not None and table.columns != columns:
        raise InputError(
            table.path,
            f"its columns are {listed(table.columns)}, the design's {listed(columns)}",
            at=table.lines[0] - 1,
            remedy="write them in one order, or leave the header out",
        )
    titles = dict(table.titles)
    return tuple(
        Contrast(titles.get(k, f"c{k}"), f"c{k}", weights[None].copy(), "t")
        for k, weights in enumerate(table.values, start=1)
    )


def _f_tests(table: NumberTable, singles: tuple[Contrast, ...]) -> tuple[Contrast, ...]:
    if table.values.shape[1] != len(singles) or not np.isin(table.values, (0, 1)).all():
        raise InputError(
            table.path,
            f"F tests of {table.values.shape[1]} entries for {len(singles)} t contrasts, or entries other than 0 and 1",
            at=table.lines[0],
            remedy="write 1 for each t contrast that an F test joins, 0 for the others",
        )
    tests = []
    for k, (at, chosen) in enumerate(zip(table.lines, table.values, strict=True), start=len(singles) + 1):
        rows = [single.weights for single, entry in zip(singles, chosen, strict=True) if entry]
        if not rows:
            raise InputError(table.path, "an F test of no contrast", at=at, remedy="write a 1, or remove the row")
        tests.append(Contrast(f"c{k}", f"c{k}", np.vstack(rows), "f"))
    return tuple(tests)


def _tree(path: Path, n_subjects: int, *, whole: bool) -> NDArray[np.int64]:
    labels = read_blocks(path)
    _require_rows(path, len(labels), n_subjects)
    if whole and labels.shape[1] > 1:
        raise InputError(path, "several columns are a tree, which says itself what moves as a whole", remedy=NO_WHOLE)
    return tree_from_column(labels[:, 0], whole) if labels.shape[1] == 1 else labels


def _one_column(path: Path, n_subjects: int) -> NDArray[np.int64]:
    table = read_numbers(path)
    labels = _whole_numbers(table)
    _require_rows(path, len(labels), n_subjects)
    if labels.shape[1] != 1:
        raise InputError(path, f"{labels.shape[1]} columns of variance groups", remedy="give one column of labels")
    names, first, sizes = np.unique(labels, return_index=True, return_counts=True)
    if (sizes == 1).any():
        alone = int(np.argmax(sizes == 1))
        reason = f"a group of one, {names[alone]}, which has no variance"
        raise InputError(path, reason, at=table.lines[first[alone]], remedy="merge it with another group")
    return labels[:, 0].copy()


def _whole_numbers(table: NumberTable) -> NDArray[np.int64]:
    odd = np.argwhere((table.values != np.rint(table.values)) | (np.abs(table.values) > _LARGEST_LABEL))
    if len(odd):
        reason = f"{table.values[tuple(odd[0])]:g} is not a whole number"
        raise InputError(table.path, reason, at=table.lines[odd[0][0]], remedy="label groups and blocks 1, 2, …")
    return table.values.astype(np.int64)


def _require_rows(path: Path, n_rows: int, n_subjects: int) -> None:
    if n_rows != n_subjects:
        raise InputError(path, f"{n_rows} rows for {n_subjects} subjects", remedy="give one row a subject")
