"""Columns of a table as numbers or categories, and the design columns that the terms of a formula make of them."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from thalgpu.engine.inference.formula import Factor, Formula, Term, term_name
from thalgpu.engine.inference.words import listed, quoted
from thalgpu.errors import NumericsError

INTERCEPT = "intercept"


@dataclass(frozen=True)
class Covariate:
    """A column of numbers: (n_subjects,) float64, and the mean that was taken off, if any was."""

    values: NDArray[np.float64]
    mean: float | None


@dataclass(frozen=True)
class Categories:
    """A column of categories: the levels in order, and each subject's (n_subjects,) index into them."""

    levels: tuple[str, ...]
    codes: NDArray[np.intp]


Variable: TypeAlias = Covariate | Categories


@dataclass(frozen=True)
class CodedTerm:
    """The design columns of a term.

    Attributes
    ----------
    name : as in the formula.
    columns : names of its columns, such as `group[B]:age`.
    values : (n_subjects, n_columns) float64.
    references : names that the coding leaves out because their coefficient is zero, such as `sex[F]`.
    cell_means : whether there is one column a cell and no intercept, so that equal coefficients mean no effect.
    words : the coding, for people.
    """

    name: str
    columns: tuple[str, ...]
    values: NDArray[np.float64]
    references: tuple[str, ...]
    cell_means: bool
    words: str


def finite_number(text: str) -> float | None:
    """A finite number in plain ASCII, else None; Python alone would take 1_0, infinities and digits of every script."""
    try:
        value = float(text) if text.isascii() and "_" not in text else math.nan
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def categories(name: str, texts: Sequence[str], ids: Sequence[str], order: Sequence[str] | None = None) -> Categories:
    """Levels in `order`, else sorted (as numbers if all are numbers), without those that nobody has.

    Raises
    ------
    NumericsError
        For a level with one subject (a group of one has no variance, and no permutation leaves it alone), a single
        level, and levels that `order` does not have.
    """
    present = set(texts)
    unknown = sorted(present.difference(order)) if order is not None else []
    if unknown:
        raise NumericsError(
            f"{name} has levels without a place in the order given: {listed(unknown)}",
            remedy="name every level in the order",
        )
    levels = tuple(level for level in dict.fromkeys(order or sorted(present, key=_sorting)) if level in present)
    if len(levels) < 2:
        raise NumericsError(
            f"{name} has one level, {listed(levels)}, for every analysed subject",
            remedy="leave it out of the formula, or write 1 for a mean",
        )
    codes = np.array([levels.index(text) for text in texts], dtype=np.intp)
    counts = np.bincount(codes, minlength=len(levels))
    alone = [f"{name}[{level}] ({_subject(ids, codes, k)})" for k, level in enumerate(levels) if counts[k] == 1]
    if alone:
        raise NumericsError(
            f"a group of one: {listed(alone, 3)}",
            remedy=f"merge this level of {name} with another, or leave its subject out",
        )
    return Categories(levels, codes)


def covariate(name: str, texts: Sequence[str], ids: Sequence[str], *, demean: bool) -> Covariate | None:
    """The column as numbers; None when it is text.

    Raises
    ------
    NumericsError
        For a column that is mostly numbers but not all (the subjects are named), and one number for all.
    """
    numbers = [finite_number(text) for text in texts]
    odd = [i for i, number in enumerate(numbers) if number is None]
    if 2 * len(odd) > len(texts):
        if all("," in texts[i] and finite_number(texts[i].replace(",", ".")) is not None for i in odd):
            raise NumericsError(f"{name} has decimal commas, e.g. {texts[odd[0]]!r}", remedy="write decimal points")
        return None
    if odd:
        who = listed([f"{quoted(texts[i], 20)} for sub-{ids[i]}" for i in odd], 3)
        raise NumericsError(
            f"{name} is a number for most subjects, but {who}",
            remedy=f"correct these cells, write n/a, or write C({name}) for categories",
        )
    values = np.array(numbers, dtype=np.float64)
    if (values == values[0]).all():
        raise NumericsError(f"{name} is {texts[0]} for every analysed subject", remedy="leave it out of the formula")
    with np.errstate(over="ignore", invalid="ignore"):  # what overflows is refused by the check of the design
        mean = float(values.mean()) if demean else None
        return Covariate(values - (mean or 0.0), mean)


def code_terms(formula: Formula, variables: Mapping[str, Variable], n_subjects: int) -> list[CodedTerm]:
    """The design of a formula, term by term, the intercept (where there is one) first.

    Without a 1 in the formula, the first term of categories alone (a main effect where there is one) has one column a
    cell, and there is no intercept. Everything else follows R (Chambers and Hastie 1992, Statistical Models in S, 2.4):
    in a term T a factor f of categories loses its first level when T without f is in the model (the intercept, or the
    cell means in its place, counting as the empty term), and has one column a level otherwise. Unlike R and patsy, a
    first term such as `group:sex` takes the place of the intercept instead of being aliased with it.

    Raises
    ------
    NumericsError
        For a power of categories, and as many columns as subjects.
    """
    means = next((term for term in formula.terms if _all_categories(term, variables)), None)
    if formula.intercept:
        means = None
    margins = {frozenset(term) for term in formula.terms} | {frozenset[Factor]()}
    coded = []
    if formula.intercept or (means is None and formula.intercept is None):
        ones = np.ones((n_subjects, 1))
        coded.append(CodedTerm(INTERCEPT, (INTERCEPT,), ones, (), False, "1 for every subject"))
    n_columns = len(coded)
    for term in formula.terms:
        dropped = {f.name for f in term if frozenset(term) - {f} in margins and term != means}
        sizes = [_size(factor, variables[factor.name], factor.name in dropped) for factor in term]
        n_columns += math.prod(sizes)
        if n_columns >= n_subjects:
            raise NumericsError(
                f"{term_name(term)} brings the design to {n_columns} columns for {n_subjects} subjects",
                remedy="leave the term out, merge levels, or include more subjects",
            )
        coded.append(_code(term, variables, dropped, n_subjects, cell_means=term == means))
    return coded


def _code(
    term: Term, variables: Mapping[str, Variable], dropped: set[str], n_subjects: int, *, cell_means: bool
) -> CodedTerm:
    """Products of the columns of the factors, the first factor's levels running fastest, as in R."""
    columns: dict[str, NDArray[np.float64]] = {}
    references = []
    pieces = [_pieces(factor, variables[factor.name], factor.name in dropped) for factor in reversed(term)]
    for combination in product(*pieces):
        name = ":".join(piece for piece, _, _ in reversed(combination))
        if any(omitted for _, _, omitted in combination):
            references.append(name)
        else:
            with np.errstate(over="ignore", invalid="ignore"):
                columns[name] = np.prod([values for _, values, _ in combination], axis=0)
    values = np.column_stack(list(columns.values())) if columns else np.zeros((n_subjects, 0))
    words = _words(term, variables, dropped, cell_means=cell_means)
    return CodedTerm(term_name(term), tuple(columns), values, tuple(references), cell_means, words)


def _pieces(factor: Factor, variable: Variable, drop_first: bool) -> list[tuple[str, NDArray[np.float64], bool]]:
    """Name, values and whether it is left out, of each column that a factor contributes to a product."""
    if isinstance(variable, Covariate):
        with np.errstate(over="ignore"):
            return [(str(factor), variable.values**factor.power, False)]
    return [
        (f"{factor.name}[{level}]", (variable.codes == k).astype(np.float64), drop_first and k == 0)
        for k, level in enumerate(variable.levels)
    ]


def _size(factor: Factor, variable: Variable, drop_first: bool) -> int:
    if isinstance(variable, Covariate):
        return 1
    if factor.power != 1:
        remedy = "powers are for columns of numbers"
        raise NumericsError(f"{factor} is a power, but {factor.name} holds categories", remedy=remedy)
    return len(variable.levels) - drop_first


def _words(term: Term, variables: Mapping[str, Variable], dropped: set[str], *, cell_means: bool) -> str:
    if len(term) == 1:
        return _main_effect(term[0], variables[term[0].name], cell_means=cell_means, dropped=bool(dropped))
    kept_out = [
        f"{factor.name}[{variable.levels[0]}]"
        for factor in term
        if factor.name in dropped and isinstance(variable := variables[factor.name], Categories)
    ]
    product_of = " and ".join(str(factor) for factor in term)
    if cell_means:
        return f"categories, one column a cell of {product_of}: its mean"
    reference = f"; reference {', '.join(kept_out)}, whose coefficient is 0" if kept_out else "; one column a level"
    return f"products of the columns of {product_of}" + (reference if _any_categories(term, variables) else "")


def _main_effect(factor: Factor, variable: Variable, *, cell_means: bool, dropped: bool) -> str:
    if isinstance(variable, Covariate):
        base = "a number, not demeaned" if variable.mean is None else f"a number, demeaned by {variable.mean:.6g}"
        return base if factor.power == 1 else f"power {factor.power} of {factor.name} ({base})"
    counts = np.bincount(variable.codes, minlength=len(variable.levels))
    levels = listed([f"{level} {count}" for level, count in zip(variable.levels, counts, strict=True)])
    if cell_means:
        return f"categories, one column a level and no intercept: its mean ({levels})"
    if not dropped:
        return f"categories, one column a level ({levels})"
    return f"categories, each level against the reference {variable.levels[0]}, whose coefficient is 0 ({levels})"


def _all_categories(term: Term, variables: Mapping[str, Variable]) -> bool:
    return all(isinstance(variables[factor.name], Categories) for factor in term)


def _any_categories(term: Term, variables: Mapping[str, Variable]) -> bool:
    return any(isinstance(variables[factor.name], Categories) for factor in term)


def _subject(ids: Sequence[str], codes: NDArray[np.intp], level: int) -> str:
    return f"sub-{ids[int(np.flatnonzero(codes == level)[0])]}"


def _sorting(level: str) -> tuple[float, str]:
    number = finite_number(level)
    return (math.inf if number is None else number), level
