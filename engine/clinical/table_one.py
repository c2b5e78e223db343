"""Table 1: who is in each group, and whether the groups differ in it."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from thalgpu.engine.clinical.group_tests import GroupTest, compare_counts, compare_means, compare_ranks
from thalgpu.engine.clinical.summaries import NONE, means, medians_of, p_in_words, share, skewed
from thalgpu.engine.clinical.thresholds import SCORES, is_missing
from thalgpu.engine.inference.coding import finite_number
from thalgpu.engine.inference.words import known_names, listed, quoted
from thalgpu.errors import NumericsError

Floats = NDArray[np.float64]

_LARGEST = 1e100
"""Squares of larger values overflow when they are added up, and of smaller ones than its inverse vanish."""


@dataclass(frozen=True)
class Row:
    """A variable, or a category of one.

    Attributes
    ----------
    variable : name of the column.
    level : the category; empty of numbers.
    cells : a group: "46.1 ± 11.0", "6 [4 to 9]", "15 (54 %)", or "–" where nobody has a value.
    missing : a group: people without a value.
    test : of the variable, in its first row; None in others, and where nothing can be tested.
    remark : why not, or in which groups only.
    """

    variable: str
    level: str
    cells: tuple[str, ...]
    missing: tuple[int, ...]
    test: GroupTest | None
    remark: str


@dataclass(frozen=True)
class TableOne:
    """Rows of Table 1.

    Attributes
    ----------
    groups : names, in order.
    sizes : people in each.
    rows : variables in order; one a category.
    notes : what the numbers are, and what a reader should know.
    """

    groups: tuple[str, ...]
    sizes: tuple[int, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...]

    @property
    def header(self) -> tuple[str, ...]:
        """Of `cells`."""
        named = (f"{name} (n = {size})" for name, size in zip(self.groups, self.sizes, strict=True))
        return ("", *named, "missing", "test", "p", "effect size")

    @property
    def cells(self) -> tuple[tuple[str, ...], ...]:
        """A row a row, for people: what it is, the groups, missing values, test, p and effect size."""
        return tuple(
            (
                f"{row.variable}: {row.level}" if row.level else row.variable,
                *row.cells,
                ", ".join(map(str, row.missing)) if any(row.missing) else "0",
                "; ".join(part for part in (row.test.words if row.test else "", row.remark) if part) or NONE,
                p_in_words(row.test.p) if row.test else NONE,
                f"{_EFFECTS[row.test.effect_name]} = {row.test.effect:.2f}" if row.test else NONE,
            )
            for row in self.rows
        )

    @property
    def columns(self) -> tuple[str, ...]:
        """Of `records`."""
        own = (f"{kind}_{name}" for name in self.groups for kind in ("group", "missing"))
        return ("variable", "level", *own, "test", "statistic", "df", "p", "effect_name", "effect", "remark")

    @property
    def records(self) -> tuple[dict[str, object], ...]:
        """A row a row, for `table_one.tsv`: text, whole numbers, finite floats, or None."""
        return tuple(
            {
                "variable": row.variable,
                "level": row.level or None,
                **{f"group_{name}": cell for name, cell in zip(self.groups, row.cells, strict=True)},
                **{f"missing_{name}": count for name, count in zip(self.groups, row.missing, strict=True)},
                "test": row.test.name if row.test else None,
                "statistic": row.test.statistic if row.test else None,
                "df": ", ".join(f"{one:.6g}" for one in row.test.df) or None if row.test else None,
                "p": row.test.p if row.test else None,
                "effect_name": row.test.effect_name if row.test else None,
                "effect": row.test.effect if row.test else None,
                "remark": row.remark or None,
            }
            for row in self.rows
        )


_EFFECTS = {
    "hedges_g": "g",
    "eta_squared": "η²",
    "rank_biserial": "r",
    "epsilon_squared": "ε²",
    "cramers_v": "V",
}


def table_one(
    columns: Mapping[str, Sequence[str]],
    labels: Sequence[str | None],
    ids: Sequence[str],
    variables: Sequence[str],
    *,
    order: Sequence[str] | None = None,
    medians: Collection[str] = (),
    categories: Collection[str] = (),
) -> TableOne:
    """Describe groups by variables, and test each variable between them.

    Numbers are described by mean and SD, and compared by Welch's t or analysis of variance; text is described by counts
    and compared by chi-square, or Fisher's exact test where fewer than five people are expected somewhere.

    Parameters
    ----------
    columns : name → (n_subjects,) cells as the table has them; empty, n/a and NaN are missing.
    labels : (n_subjects,) group of each; those with None are not in the table.
    ids : (n_subjects,) participants without "sub-", for the errors.
    variables : columns that are described, in order.
    order : of the groups; as they first appear when left out.
    medians : numbers that are described by median and quartiles, and compared by ranks (Mann and Whitney, Kruskal and
        Wallis). Never chosen by the data: a test that depends on how the numbers look has no known error. Notes name
        what is skewed.
    categories : columns of numbers that are names of categories.

    Returns
    -------
    TableOne
        p is not corrected for the number of variables.

    Raises
    ------
    NumericsError
        Columns that do not exist, numbers with some text among them, groups that nobody is in.
    """
    groups = tuple(order) if order is not None else tuple(dict.fromkeys(label for label in labels if label is not None))
    members = [[k for k, label in enumerate(labels) if label == name] for name in groups]
    if not groups or (empty := [name for name, who in zip(groups, members, strict=True) if not who]):
        raise NumericsError(
            f"nobody is in group {quoted(empty[0])}" if groups else "nobody is in any group",
            remedy=f"groups: {listed(sorted({label for label in labels if label is not None}))}",
        )
    rows: list[Row] = []
    notes = [
        "Numbers: mean ± SD; categories: people (% of those with a value).",
        "p is not corrected for the number of variables.",
    ]
    for name in variables:
        if name not in columns:
            raise NumericsError(f"the table has no column {quoted(name)}", remedy=known_names(name, columns))
        texts = [[text for k in who if not is_missing(text := columns[name][k].strip())] for who in members]
        missing = tuple(len(who) - len(given) for who, given in zip(members, texts, strict=True))
        samples = None if name in categories else _numbers(name, columns[name], members, ids)
        if samples is None:
            rows += _category_rows(name, groups, texts, missing)
        else:
            rows.append(_number_row(name, groups, samples, missing, by_rank=name in medians))
            notes += [] if name in medians else skewed(name, groups, samples)
    if any(name in medians for name in variables):
        notes.insert(1, f"Median [quartiles] and ranks: {listed(name for name in variables if name in medians)}.")
    return TableOne(groups, tuple(len(who) for who in members), tuple(rows), tuple(notes))


def _numbers(
    name: str, cells: Sequence[str], members: Sequence[Sequence[int]], ids: Sequence[str]
) -> list[Floats] | None:
    """(n_g,) values of each group without those missing; None where most are text, or nobody has one."""
    values = {k: finite_number(cells[k].strip()) for who in members for k in who if not is_missing(cells[k])}
    odd = [k for k, value in values.items() if value is None]
    if 2 * len(odd) >= len(values):
        return None
    if odd:
        who = listed([f"{quoted(cells[k], 20)} for sub-{ids[k]}" for k in odd], 3)
        raise NumericsError(
            f"{name} is a number for most people, but {who}", remedy="correct these cells, or write n/a"
        )
    if far := [ids[k] for k, value in values.items() if value and not 1 / _LARGEST < abs(value) < _LARGEST]:
        raise NumericsError(
            f"{name} of sub-{far[0]} is beyond 1e±100 and cannot be squared", remedy="write it in another unit"
        )
    return [np.array([values[k] for k in who if k in values], dtype=np.float64) for who in members]


def _number_row(
    name: str, groups: Sequence[str], samples: Sequence[Floats], missing: tuple[int, ...], *, by_rank: bool
) -> Row:
    cells = medians_of(samples) if by_rank else means(samples)
    fit = [len(sample) > 0 if by_rank else len(sample) > 1 and np.ptp(sample) > 0 for sample in samples]
    usable = [sample for sample, is_fit in zip(samples, fit, strict=True) if is_fit]
    if len(usable) < 2 or np.ptp(np.concatenate(usable)) == 0:
        return Row(name, "", cells, missing, None, _why_not(samples))
    test = compare_ranks(usable) if by_rank else compare_means(usable)
    reasons = ["nobody has a value", "one value only", "the same in all"]
    aside = [
        f"{group} not tested: {reasons[min(len(sample), 2)]}"
        for group, sample, is_fit in zip(groups, samples, fit, strict=True)
        if not is_fit
    ]
    return Row(name, "", cells, missing, test, "; ".join(aside))


def _why_not(samples: Sequence[Floats]) -> str:
    every = np.concatenate(samples)
    if len(samples) == 1:
        return "one group only"
    if len(every) and np.ptp(every) == 0:
        return "not tested: the same in all"
    return "not tested: fewer than two groups have values that differ"


def _category_rows(
    name: str, groups: Sequence[str], texts: Sequence[Sequence[str]], missing: tuple[int, ...]
) -> list[Row]:
    levels = _levels({text for given in texts for text in given})
    if not levels:
        return [Row(name, "", (NONE,) * len(groups), missing, None, "not tested: nobody has a value")]
    table = np.array([[list(given).count(level) for level in levels] for given in texts], dtype=np.int64)
    used = table.sum(axis=1) > 0
    aside = [
        f"{group} not tested: nobody has a value" for group, is_used in zip(groups, used, strict=True) if not is_used
    ]
    test = None
    if len(levels) == 1:
        aside = ["not tested: the same in all"]
    elif used.sum() < 2:
        aside = ["one group only" if len(groups) == 1 else "not tested: fewer than two groups have values"]
    else:
        test = compare_counts(table[used])
    rows = []
    for k, level in enumerate(levels):
        cells = tuple(share(int(own[k]), int(own.sum())) for own in table)
        rows.append(Row(name, level, cells, missing, None if k else test, "" if k else "; ".join(aside)))
    return rows


def _levels(found: Collection[str]) -> list[str]:
    """Grades in their own order, numbers by size, else the alphabet."""
    for score in SCORES.values():
        grades = [grade.name for grade in score.grades]
        if all(level.casefold() in grades for level in found):
            return sorted(found, key=lambda level: (grades.index(level.casefold()), level))
    return sorted(found, key=lambda level: (finite_number(level) is None, finite_number(level) or 0.0, level))
