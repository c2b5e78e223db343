"""How measures of the brain go with clinical severity: partial correlations, tested by permutation."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray
from threadpoolctl import threadpool_limits

from thalgpu.engine.clinical.thresholds import is_missing
from thalgpu.engine.inference.arguments import numbers
from thalgpu.engine.inference.blocks import Problem, prepare_test
from thalgpu.engine.inference.coding import finite_number
from thalgpu.engine.inference.corrections import familywise, joint_maxima
from thalgpu.engine.inference.effect_sizes import partial_r
from thalgpu.engine.inference.finish import ContrastResult, finish
from thalgpu.engine.inference.model import Design, InferenceOptions, Part
from thalgpu.engine.inference.permutation_set import PermutationSet, plan_permutations
from thalgpu.engine.inference.permutation_test import run_all
from thalgpu.engine.inference.table_design import design_from_table
from thalgpu.engine.inference.words import known_names, listed, quoted
from thalgpu.errors import NumericsError, UsageError

COLUMNS = ("score", "measure", "n", "r", "r_low", "r_high", "p", "p_fwe", "p_fwe_joint")
"""Of `severity.tsv`."""


@dataclass(frozen=True)
class SeverityCorrelation:
    """A measure and a score.

    Attributes
    ----------
    score, measure : their names.
    n : people.
    r, low, high : partial correlation and its 95 % confidence limits.
    p : two-sided, by permutation.
    p_fwe : corrected for all measures.
    p_fwe_joint : corrected for all measures and all scores.
    """

    score: str
    measure: str
    n: int
    r: float
    low: float
    high: float
    p: float
    p_fwe: float
    p_fwe_joint: float

    @property
    def record(self) -> dict[str, object]:
        """A row of `COLUMNS`."""
        values = (self.score, self.measure, self.n, self.r, self.low, self.high, self.p, self.p_fwe, self.p_fwe_joint)
        return dict(zip(COLUMNS, values, strict=True))


@dataclass(frozen=True)
class Severity:
    """Correlations of all measures with all scores.

    Attributes
    ----------
    correlations : score by score, the measures in order.
    covariates : what they are partial on.
    ids : people whose they are, in order.
    n_perm : permutations done, the identity among them.
    permutations : how many are possible and were taken, in words.
    remarks : who was left out, and what does not vary.
    """

    correlations: tuple[SeverityCorrelation, ...]
    covariates: tuple[str, ...]
    ids: tuple[str, ...]
    n_perm: int
    permutations: str
    remarks: tuple[str, ...]


def correlate_severity(
    measures: Mapping[str, ArrayLike],
    columns: Mapping[str, Sequence[str]],
    ids: Sequence[str],
    scores: Sequence[str],
    *,
    covariates: Sequence[str] = (),
    who: Sequence[bool] | None = None,
    blocks: Sequence[str] = (),
    whole: bool = False,
    n_perm: int = 10_000,
    seed: int = 0,
    n_jobs: int = 1,
) -> Severity:
    """Correlate measures with scores of severity, given covariates.

    Parameters
    ----------
    measures : name → (n_subjects,) finite numbers: a number a person, such as a volume or the mean of a map.
    columns : name → (n_subjects,) cells of the clinical table as text; empty, n/a and NaN are missing.
    ids : (n_subjects,) participants without "sub-".
    scores : columns of numbers.
    covariates : columns that the correlations are partial on; text becomes categories. Name the group here to ask about
        severity within groups: among two groups of which one is iller, any difference between them is a correlation.
    who : (n_subjects,) those who take part, e.g. the patients; everybody when left out. People without one of the
        scores, covariates or blocks are left out and named: all correlations are of the same people, by one set of
        permutations.
    blocks, whole : columns of exchangeability blocks, as `design_from_table` has them.
    n_perm : permutations, the identity included; 0, or no fewer than exist, takes each once.
    seed : permutation i follows from (seed, i) alone.
    n_jobs : threads; −1 for all cores.

    Returns
    -------
    Severity

    Raises
    ------
    NumericsError
        Columns that do not exist, scores that are text or the same in all, nobody left, measures that are not finite,
        and all else that leaves no valid design.
    UsageError
        No measures, scores or permutations; a measure with another number of people.

    Notes
    -----
    The measure is the dependent variable, the score is tested: two-sided t by the method of Freedman and Lane (Winkler
    et al. 2014, doi:10.1016/j.neuroimage.2014.01.060), whose maximum over measures is also that of |r|, because
    r = t / sqrt(t² + df) with the same df everywhere. Limits: Fisher's z on the people that covariates leave.
    """
    values = _matrix(measures, len(ids))
    used = list(dict.fromkeys([*scores, *covariates, *blocks]))
    if not scores or (twice := [name for name in scores if name in covariates]):
        raise UsageError(
            f"{quoted(twice[0])} is a score and a covariate" if scores else "no scores", remedy="name other columns"
        )
    kept, gone = _complete(used, columns, ids, who)
    table = {name: [columns[name][k] for k in kept] for name in used}
    people = tuple(ids[k] for k in kept)
    designs = [_design(score, covariates, table, people, blocks, whole=whole) for score in scores]
    options = InferenceOptions(n_perm=n_perm, seed=seed, two_sided=True)
    permutations = plan_permutations(_joined(designs), options)
    results = [_test(values[kept], design, permutations, options, n_jobs) for design in designs]
    joint = joint_maxima([result.null["stat"][0] for result in results])
    return Severity(
        tuple(
            row
            for score, result in zip(scores, results, strict=True)
            for row in _rows(score, tuple(measures), len(kept), result, joint)
        ),
        tuple(covariates),
        people,
        permutations.n_perm,
        permutations.description,
        (*gone, *_constant(tuple(measures), values[kept])),
    )


def _matrix(measures: Mapping[str, ArrayLike], n_subjects: int) -> NDArray[np.float64]:
    """(n_subjects, n_measures) float64."""
    if not measures:
        raise UsageError("no measures to correlate with severity", remedy="give one or more")
    found = {name: numbers(name, values) for name, values in measures.items()}
    for name, values in found.items():
        if values.shape != (n_subjects,):
            raise UsageError(f"measure {quoted(name)} has shape {values.shape}, and there are {n_subjects} people")
        if not np.isfinite(values).all():
            raise NumericsError(f"measure {quoted(name)} holds NaN or infinity", remedy="leave out who has no value")
    return np.column_stack(list(found.values()))


def _complete(
    used: Sequence[str], columns: Mapping[str, Sequence[str]], ids: Sequence[str], who: Sequence[bool] | None
) -> tuple[list[int], list[str]]:
    """Rows of those asked for who have a value in every column, and a remark on the others."""
    for name in used:
        if name not in columns:
            raise NumericsError(f"the table has no column {quoted(name)}", remedy=known_names(name, columns))
    asked = [k for k in range(len(ids)) if who is None or who[k]]
    lacking = {name: [k for k in asked if is_missing(columns[name][k])] for name in used}
    gone = {k for rows in lacking.values() for k in rows}
    words = "; ".join(f"{name} of {listed(f'sub-{ids[k]}' for k in rows)}" for name, rows in lacking.items() if rows)
    if len(gone) == len(asked):
        raise NumericsError(
            f"nobody can be correlated with severity{f': missing are {words}' if words else ''}",
            remedy="name other scores, covariates or groups",
        )
    remark = f"{len(gone)} of {len(asked)} people left out of the correlations for missing values: {words}"
    return [k for k in asked if k not in gone], [remark] if gone else []


def _design(
    score: str,
    covariates: Sequence[str],
    table: Mapping[str, Sequence[str]],
    ids: Sequence[str],
    blocks: Sequence[str],
    *,
    whole: bool,
) -> Design:
    """An intercept, the score, which is tested, and the covariates."""
    if odd := [k for k, cell in enumerate(table[score]) if finite_number(cell.strip()) is None]:
        who = f"{quoted(table[score][odd[0]], 20)} for sub-{ids[odd[0]]}"
        raise NumericsError(
            f"{score} must be numbers, but is {who}", remedy="correct these cells, or name another score"
        )
    formula = " + ".join(["1", *(f"`{name}`" for name in (score, *covariates))])
    return design_from_table(table, ids, formula, [f"`{score}`"], blocks=list(blocks) or None, whole=whole)


def _joined(designs: Sequence[Design]) -> Design:
    """All scores beside each other: who can be exchanged with whom without any of the statistics changing."""
    matrix = np.hstack([design.matrix for design in designs])
    columns = tuple(name for design in designs for name in design.columns)
    contrasts, first = [], 0
    for design in designs:
        for contrast in design.contrasts:
            weights = np.zeros((1, len(columns)))
            weights[:, first : first + len(design.columns)] = contrast.weights
            contrasts.append(replace(contrast, weights=weights))
        first += len(design.columns)
    return Design(matrix, columns, tuple(contrasts), designs[0].ids, designs[0].blocks)


def _test(
    values: NDArray[np.float64], design: Design, permutations: PermutationSet, options: InferenceOptions, n_jobs: int
) -> ContrastResult:
    problem = Problem(values, design, permutations, options, (Part("", 0, values.shape[1]),), (None,), (None,))
    with threadpool_limits(1):
        test = prepare_test(problem)
        (result,) = finish(test, run_all(test, n_jobs))
    return result


def _rows(
    score: str, measures: Sequence[str], n: int, result: ContrastResult, joint: NDArray[np.float64]
) -> list[SeverityCorrelation]:
    t = result.maps["stat"]
    size = partial_r(t, result.df)
    found = (size.value, size.low, size.high, result.maps["p"], result.maps["p_fwe"], familywise(np.abs(t), joint))
    return [
        SeverityCorrelation(score, measure, n, *(float(values[k]) for values in found))
        for k, measure in enumerate(measures)
    ]


def _constant(measures: Sequence[str], values: NDArray[np.float64]) -> list[str]:
    flat = [name for name, column in zip(measures, values.T, strict=True) if np.ptp(column) == 0]
    return [f"the same in all, so that r is 0: {listed(flat)}"] if flat else []
