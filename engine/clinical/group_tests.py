"""Do groups differ in one variable? Tests and effect sizes of Table 1, on plain samples."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

from thalgpu.engine.inference.effect_sizes import hedges_g

Floats = NDArray[np.float64]

FEW_EXPECTED = 5
"""Expected counts below this are too few for the chi-square distribution (Cochran 1954)."""

_RANDOM_TABLES = 100_000
_SAME = 1e-7
"""Relative: probabilities of tables that differ by less are equal; what R's fisher.test takes."""


@dataclass(frozen=True)
class GroupTest:
    """What a test found.

    Attributes
    ----------
    name : of the test, for people.
    symbol : of the statistic: "t", "F", "U", "H", "χ²"; empty of an exact test, which has none.
    statistic : its value; None of an exact test.
    df : its degrees of freedom.
    p : two-sided.
    effect_name : "hedges_g", "eta_squared", "rank_biserial", "epsilon_squared" or "cramers_v".
    effect : the effect size.
    """

    name: str
    symbol: str
    statistic: float | None
    df: tuple[float, ...]
    p: float
    effect_name: str
    effect: float

    @property
    def words(self) -> str:
        """Such as "Welch's ANOVA, F(2, 51.3) = 4.20"."""
        if self.statistic is None:
            return self.name
        df = f"({', '.join(f'{one:.4g}' for one in self.df)})" if self.df else ""
        return f"{self.name}, {self.symbol}{df} = {self.statistic:.2f}"


def compare_means(samples: Sequence[Floats]) -> GroupTest:
    """Welch's t of two groups, his analysis of variance of more: equal spread is not assumed.

    Parameters
    ----------
    samples : two or more of (n_g,) float64, each with two values or more that are not all equal.

    Notes
    -----
    With means m, variances s² and weights w = n/s² of k groups, their sum W and weighted mean M:
    F = [Σ w (m − M)² / (k − 1)] / [1 + 2 (k − 2) A / (k² − 1)] with A = Σ (1 − w/W)² / (n − 1), on k − 1 and
    (k² − 1) / 3A degrees of freedom (Welch 1951, doi:10.1093/biomet/38.3-4.330). Of two groups F = t². Effect sizes are
    of the ordinary model: Hedges' g by the pooled SD, positive where the first group is larger, and
    η² = SS between / SS total.
    """
    sizes = np.array([len(sample) for sample in samples])
    means = np.array([sample.mean() for sample in samples])
    weights = sizes / np.array([sample.var(ddof=1) for sample in samples])
    k, total = len(samples), weights.sum()
    spread = float((weights * (means - weights @ means / total) ** 2).sum())
    a = float(((1 - weights / total) ** 2 / (sizes - 1)).sum())
    df = (k * k - 1) / (3 * a)
    if k == 2:
        t = float(np.sign(means[0] - means[1]) * np.sqrt(spread))
        p = 2 * float(special.stdtr(df, -abs(t)))
        return GroupTest("Welch's t", "t", t, (df,), p, "hedges_g", _pooled_g(samples))
    f = spread / (k - 1) / (1 + 2 * (k - 2) * a / (k * k - 1))
    p = float(special.fdtrc(k - 1, df, f))
    return GroupTest("Welch's ANOVA", "F", f, (k - 1.0, df), p, "eta_squared", _eta_squared(samples))


def compare_ranks(samples: Sequence[Floats]) -> GroupTest:
    """Mann and Whitney's U of two groups, Kruskal and Wallis' H of more.

    Parameters
    ----------
    samples : two or more of (n_g,) float64, each with one value or more, not all values equal.

    Notes
    -----
    Effect sizes: rank-biserial correlation 2U/(n₁n₂) − 1, U of the first group, and ε² = H / (n − 1)
    (Tomczak and Tomczak 2014).
    """
    if len(samples) == 2:
        one, other = samples
        found = stats.mannwhitneyu(one, other)
        u = float(found.statistic)
        size = 2 * u / (len(one) * len(other)) - 1
        return GroupTest("Mann–Whitney", "U", u, (), float(found.pvalue), "rank_biserial", size)
    kruskal = stats.kruskal(*samples)
    h, n = float(kruskal.statistic), sum(len(sample) for sample in samples)
    df = (len(samples) - 1.0,)
    return GroupTest("Kruskal–Wallis", "H", h, df, float(kruskal.pvalue), "epsilon_squared", h / (n - 1))


def compare_counts(table: NDArray[np.int64]) -> GroupTest:
    """Pearson's chi-square of groups by categories, or Fisher's exact test where a count below 5 is expected.

    Parameters
    ----------
    table : (n_groups, n_categories) int64, two or more of each, no row or column without people.

    Notes
    -----
    Without a correction for continuity. Fisher's test of more than two by two (Freeman and Halton 1951,
    doi:10.1093/biomet/38.1-2.141) adds up the probabilities of all tables with these margins that are no more probable;
    here, of 100,000 random ones, always the same: p is off by 0.0007 (one standard error) at .05. Effect size:
    Cramér's V = sqrt(χ² / (n (min(rows, columns) − 1))).
    """
    n = int(table.sum())
    expected = np.outer(table.sum(axis=1), table.sum(axis=0)) / n
    chi_square = float(((table - expected) ** 2 / expected).sum())
    v = float(np.sqrt(chi_square / (n * (min(table.shape) - 1))))
    if (expected < FEW_EXPECTED).any():
        return GroupTest("Fisher's exact test", "", None, (), _fisher(table), "cramers_v", v)
    df = (table.shape[0] - 1) * (table.shape[1] - 1)
    return GroupTest("chi-square", "χ²", chi_square, (df,), float(special.chdtrc(df, chi_square)), "cramers_v", v)


def _fisher(table: NDArray[np.int64]) -> float:
    if table.shape == (2, 2):
        return float(stats.fisher_exact(table).pvalue)
    margins = stats.random_table(table.sum(axis=1), table.sum(axis=0))
    drawn = margins.rvs(size=_RANDOM_TABLES, random_state=0)
    likely = float(margins.logpmf(table)) + _SAME
    return float((1 + np.count_nonzero(margins.logpmf(drawn) <= likely)) / (1 + _RANDOM_TABLES))


def _pooled_g(samples: Sequence[Floats]) -> float:
    one, other = samples
    df = len(one) + len(other) - 2
    scale = float(np.sqrt(1 / len(one) + 1 / len(other)))
    pooled = np.sqrt((((one - one.mean()) ** 2).sum() + ((other - other.mean()) ** 2).sum()) / df)
    t = np.array([(one.mean() - other.mean()) / (pooled * scale)])
    return float(hedges_g(t, df, scale).value[0])


def _eta_squared(samples: Sequence[Floats]) -> float:
    every = np.concatenate(samples)
    between = sum(len(sample) * (sample.mean() - every.mean()) ** 2 for sample in samples)
    return float(between / ((every - every.mean()) ** 2).sum())
