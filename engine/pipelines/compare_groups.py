"""Who is compared by `thalgpu compare`: groups, covariates and blocks of the table of participants."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from thalgpu.engine.comparison.labels import Comparison, comparisons
from thalgpu.engine.inference.table_design import design_from_table
from thalgpu.engine.inputs.design_table import match_subjects, read_design_table
from thalgpu.engine.pipelines.affinities import AffinityFiles
from thalgpu.engine.pipelines.compare_request import CompareRequest
from thalgpu.errors import InputError, NumericsError, UsageError

_CATEGORIES = re.compile(r"C\((.+)\)")


@dataclass(frozen=True)
class Groups:
    """Who is compared.

    Attributes
    ----------
    ids : participants without "sub-", in the order of the table.
    labels : (n_subjects,) group of each.
    covariates : (n_subjects, n_covariates), or None; what their columns are.
    blocks : (n_subjects, n_levels) exchangeability blocks, or None.
    sha256 : of the table.
    """

    ids: tuple[str, ...]
    labels: tuple[str, ...]
    covariates: NDArray[np.float64] | None
    covariate_names: tuple[str, ...]
    blocks: NDArray[np.int64] | None
    sha256: str


def read_groups(request: CompareRequest, files: tuple[AffinityFiles, ...]) -> tuple[Groups, tuple[str, ...]]:
    """Groups, covariates and blocks of the subjects that have affinities, and remarks on them.

    Raises
    ------
    InputError, NumericsError, UsageError
        A table or columns that cannot be used, or subjects without a row or a value.
    """
    ids = list(files[0].records)
    for one in files[1:]:
        if list(one.records) != ids:
            raise InputError(
                request.gradients, "the hemispheres are of other subjects", remedy="run thalgpu gradients again"
            )
    table = read_design_table(request.design)
    matched = match_subjects(ids, table, request.missing)
    terms = [_term(name) for name in request.covariates]
    _check_columns(request, matched.table.columns)
    design = design_from_table(
        matched.table.columns,
        matched.table.ids,
        " + ".join([f"C(`{request.group}`)", *terms]),
        (),
        (f"`{request.group}`",),
        blocks=request.blocks or None,
        whole=request.whole,
        missing=request.missing,
    )
    row_of = {label: row for row, label in enumerate(matched.table.ids)}
    kept = design.ids or ()
    labels = tuple(matched.table.columns[request.group][row_of[label]] for label in kept)
    n_levels = len(set(labels))
    covariates = design.matrix[:, n_levels:] if design.matrix.shape[1] > n_levels else None
    groups = Groups(kept, labels, covariates, design.columns[n_levels:], design.blocks, table.sha256)
    return groups, (*matched.remarks, *design.remarks)


def _column(covariate: str) -> str:
    """The column of a covariate, which may be written C(column)."""
    found = _CATEGORIES.fullmatch(covariate)
    return found[1] if found else covariate


def _term(covariate: str) -> str:
    """A covariate as a formula has it."""
    column = _column(covariate)
    return f"`{column}`" if column == covariate else f"C(`{column}`)"


def _check_columns(request: CompareRequest, columns: Mapping[str, Sequence[str]]) -> None:
    """UsageError for a group among the covariates; InputError for a column with one value."""
    names = [_column(name) for name in request.covariates]
    if request.group in names:
        raise UsageError(f"{request.group} is the group and a covariate", remedy="leave it out of --covariates")
    for option, name in (("--group", request.group), *(("--covariates", name) for name in names)):
        values = set(columns.get(name, ()))
        if len(values) == 1:
            raise InputError(
                request.design,
                f"all subjects have the same {name}, {values.pop()}",
                remedy=f"give {option} a column whose values differ",
            )


def plan_comparisons(request: CompareRequest, groups: Groups) -> tuple[Comparison, ...]:
    """Pairs and all groups; where blocks leave a comparison without permutations, the error says so."""
    try:
        return comparisons(groups.labels, request.options, groups.blocks)
    except NumericsError as error:
        if not request.blocks:
            raise
        remedy = "choose --blocks that hold members of several groups, or leave it out"
        raise NumericsError(error.what, where=error.where, remedy=remedy) from error
