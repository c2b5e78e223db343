"""A design from a table of phenotypes: a formula, contrasts by name, and who may be exchanged with whom."""

import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import permutations
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from thalgpu.engine.inference.coding import CodedTerm, Covariate, Variable, categories, code_terms, covariate
from thalgpu.engine.inference.contrast_expression import Coefficients, Weights, tidy
from thalgpu.engine.inference.contrasts import build_contrasts
from thalgpu.engine.inference.formula import Formula, parse_formula
from thalgpu.engine.inference.model import Design
from thalgpu.engine.inference.rank import check_contrasts, check_design, redundant_rows
from thalgpu.engine.inference.words import known_names, listed, quoted
from thalgpu.errors import NumericsError

MISSING = frozenset({"", "n/a", "na", "nan"})
"""Cells that hold no value, in any case."""

_WHOLE_NUMBER = re.compile(r"-?[1-9][0-9]{0,8}")
_FEW = 10
_FEW_OF = 3
"""Whole numbers look like codes when there are at most ten, shared by three subjects each on average."""

_MOST_REORDERED = 4

NO_WHOLE = "leave out --whole: positive labels move the blocks below them, negative ones let them stay"
_MAKE_ALIKE = "use --within, or leave out subjects until the blocks are alike"


def design_from_table(
    columns: Mapping[str, Sequence[str]],
    ids: Sequence[str],
    formula: str,
    contrasts: Sequence[str],
    f_tests: Sequence[str] = (),
    *,
    demean: bool = True,
    blocks: Sequence[str] | None = None,
    whole: bool = False,
    variance_groups: str | None = None,
    missing: Literal["error", "drop"] = "error",
    levels: Mapping[str, Sequence[str]] | None = None,
) -> Design:
    """Build the design of a formula such as `group + age + sex` from columns of text.

    Text is categorical and numbers are continuous, unless written `C(name)`. The first categorical main effect has
    one column a level and there is no intercept, so that contrasts read as differences of group means; other
    categories are coded against their first level (treatment coding), and products follow R's rule of marginality
    (`coding.code_terms`). Covariates are demeaned over the subjects that are analysed, before powers and products are
    taken. `Design.coding` says what became of each term.

    Parameters
    ----------
    columns : name → (n_subjects,) cells as text.
    ids : (n_subjects,) participants without "sub-".
    formula : see `formula.parse_formula`.
    contrasts, f_tests : see `contrasts.parse_contrast` and `contrasts.parse_f_test`.
    demean : whether covariates lose their mean.
    blocks : one column of labels of exchangeability blocks, or several with the levels of a tree as PALM writes it.
    whole : the blocks of a single column are exchanged as wholes, instead of subjects within them.
    variance_groups : column of labels of subjects that share a variance.
    missing : whether a subject without a value in a column that is used is an error, or is left out and named in
        `Design.remarks`.
    levels : column → its levels in order, the first being the reference; sorted where a column is not named.

    Returns
    -------
    Design
        Of full rank, with a row for each subject kept.

    Raises
    ------
    NumericsError
        For everything in the formula, the contrasts or the columns that leaves no valid design, with the remedy.
    """
    model = parse_formula(formula)
    used = list(dict.fromkeys([*model.names, *(blocks or ()), *([variance_groups] if variance_groups else ())]))
    table, kept, remarks = _complete({name: _column(columns, name) for name in used}, ids, missing)
    variables = _variables(model, table, kept, demean=demean, levels=levels or {})
    terms = code_terms(model, variables, len(kept))
    matrix = np.hstack([term.values for term in terms])
    names = tuple(name for term in terms for name in term.columns)
    check_design(matrix, names)
    asked = build_contrasts(contrasts, f_tests, _coefficients(terms, names))
    check_contrasts(matrix, names, asked)
    return Design(
        matrix,
        names,
        asked,
        ids=kept,
        blocks=_tree(table, blocks, whole=whole) if blocks else None,
        variance_groups=_groups(variance_groups, table, kept) if variance_groups else None,
        coding=tuple((term.name, term.words) for term in terms),
        remarks=(
            *remarks,
            *redundant_rows(asked),
            *_look_like_codes(model, variables),
            *_fitted_exactly(matrix, names, kept),
        ),
    )


def tree_from_column(labels: Sequence[str] | NDArray[np.int64], whole: bool) -> NDArray[np.int64]:
    """Exchangeability blocks of one column as the two levels of PALM's tree.

    Parameters
    ----------
    labels : (n_subjects,) one label a block; any text or integers.
    whole : the blocks are exchanged as wholes and subjects stay inside; otherwise the reverse.

    Returns
    -------
    (n_subjects, 2) int64
        Blocks are numbered from 1 in the order of their sorted labels: [1, -block] for whole, [-1, block] for within.

    Raises
    ------
    NumericsError
        For wholes of different sizes, which cannot take each other's place.
    """
    names, which, sizes = np.unique(np.asarray(labels), return_inverse=True, return_counts=True)
    if whole and (odd := np.flatnonzero(sizes != sizes[0])).size:
        each = "; ".join(f"{sizes[k]} in {quoted(str(names[k]), 30)}" for k in (0, odd[0]))
        raise NumericsError(
            f"blocks of different sizes cannot be exchanged as wholes: subjects {each}", remedy=_MAKE_ALIKE
        )
    block = which.reshape(-1).astype(np.int64) + 1
    first, second = (np.ones_like(block), -block) if whole else (-np.ones_like(block), block)
    return np.column_stack([first, second])


def _column(columns: Mapping[str, Sequence[str]], name: str) -> list[str]:
    if name not in columns:
        raise NumericsError(f"the table has no column {quoted(name)}", remedy=known_names(name, columns))
    return [text.strip() for text in columns[name]]


def _complete(
    table: dict[str, list[str]], ids: Sequence[str], missing: Literal["error", "drop"]
) -> tuple[dict[str, list[str]], tuple[str, ...], list[str]]:
    """The rows with a value in every column that is used, their ids, and a remark on the others."""
    lacking = {name: [k for k, text in enumerate(texts) if text.lower() in MISSING] for name, texts in table.items()}
    gone = {k for rows in lacking.values() for k in rows}
    words = "; ".join(f"{name} of {listed(f'sub-{ids[k]}' for k in rows)}" for name, rows in lacking.items() if rows)
    if gone and missing == "error":
        raise NumericsError(
            f"{len(gone)} of {len(ids)} subjects have missing values: {words}",
            remedy="fill them in, or leave these subjects out with --missing drop",
        )
    if len(gone) == len(ids):
        raise NumericsError("no subject has a value in every column that is used", remedy="use other columns")
    keep = [k for k in range(len(ids)) if k not in gone]
    remarks = [f"{len(gone)} of {len(ids)} subjects left out for missing values: {words}"] if gone else []
    return {name: [texts[k] for k in keep] for name, texts in table.items()}, tuple(ids[k] for k in keep), remarks


def _variables(
    model: Formula,
    table: Mapping[str, Sequence[str]],
    ids: Sequence[str],
    *,
    demean: bool,
    levels: Mapping[str, Sequence[str]],
) -> dict[str, Variable]:
    """Each column of the formula as numbers or categories."""
    as_categories = {factor.name for term in model.terms for factor in term if factor.categorical} | set(levels)
    variables: dict[str, Variable] = {}
    for name in model.names:
        numbers = None if name in as_categories else covariate(name, table[name], ids, demean=demean)
        variables[name] = numbers or categories(name, table[name], ids, levels.get(name))
    return variables


def _coefficients(terms: Sequence[CodedTerm], columns: tuple[str, ...]) -> Coefficients:
    """What a contrast may say: columns, references (zero), bare levels of main effects, and terms for F tests."""
    unit = dict(zip(columns, np.eye(len(columns)), strict=True))
    weights: dict[str, Weights] = {}
    levels: dict[str, list[str]] = {}
    tested: dict[str, Weights] = {}
    for term in terms:
        rows = np.array([unit[name] for name in term.columns])
        for name in (*_orders(term.name), f"C({term.name})"):
            tested[name] = rows[1:] - rows[0] if term.cell_means else rows
        for full in (*term.columns, *term.references):
            for name in _orders(full):
                weights[name] = unit.get(full, np.zeros(len(columns)))
            if ":" not in term.name and full.endswith("]"):
                levels.setdefault(full[len(term.name) + 1 : -1], []).append(full)
    ambiguous = {}
    for level, owners in levels.items():
        meant = owners + [level] * (level in weights)
        if len(meant) > 1:
            ambiguous[level] = tuple(meant)
        else:
            weights[level] = weights[tidy(owners[0])]
    return Coefficients(columns, weights, tested, ambiguous)


def _orders(name: str) -> Iterable[str]:
    """A product's name with its factors in every order."""
    parts = name.split(":")
    return [tidy(":".join(order)) for order in permutations(parts)] if len(parts) <= _MOST_REORDERED else [tidy(name)]


def _tree(table: Mapping[str, Sequence[str]], blocks: Sequence[str], *, whole: bool) -> NDArray[np.int64]:
    if len(blocks) == 1:
        return tree_from_column(table[blocks[0]], whole)
    if whole:
        raise NumericsError(
            "several columns of --blocks are a tree, which says itself what moves as a whole", remedy=NO_WHOLE
        )
    for name in blocks:
        odd = [text for text in table[name] if not _WHOLE_NUMBER.fullmatch(text)]
        if odd:
            raise NumericsError(
                f"{name} holds {quoted(odd[0])}, not the whole numbers of a tree of blocks",
                remedy="several columns of blocks are PALM's tree: positive labels exchange, negative ones stay",
            )
    return np.array([[int(text) for text in table[name]] for name in blocks], dtype=np.int64).T.copy()


def _groups(name: str, table: Mapping[str, Sequence[str]], ids: Sequence[str]) -> NDArray[np.int64]:
    return categories(name, table[name], ids).codes.astype(np.int64) + 1


def _look_like_codes(model: Formula, variables: Mapping[str, Variable]) -> list[str]:
    """A remark on covariates with a few whole numbers, which may have been meant as categories."""
    remarks = []
    for name in model.names:
        variable = variables[name]
        if isinstance(variable, Covariate):
            values = np.unique(variable.values + (variable.mean or 0.0))
            if len(values) <= min(_FEW, len(variable.values) // _FEW_OF) and np.allclose(
                values, np.rint(values), rtol=0, atol=1e-9
            ):
                found = f"{name} has {len(values)} different numbers and is taken as continuous"
                remarks.append(f"{found}: write C({name}) if they are categories")
    return remarks


def _fitted_exactly(matrix: NDArray[np.float64], columns: Sequence[str], ids: Sequence[str]) -> list[str]:
    """A remark on cells of one subject, who tells nothing about noise."""
    alone = np.count_nonzero(matrix, axis=0) == 1
    who = [ids[int(row)] for row in np.argmax(matrix != 0, axis=0)]
    cells = zip(who, columns, alone, strict=True)
    return [f"only sub-{name} is in {column} and is fitted exactly" for name, column, is_alone in cells if is_alone]
