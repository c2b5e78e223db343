"""A permutation test in words: what was found, and what was done."""

from collections.abc import Iterator

import numpy as np

from thalgpu.engine.inference.model import InferenceOptions
from thalgpu.engine.report.permute_page import ContrastPage, MaximumTest, Measure, PermutePage, Unit

MEASURES: dict[Measure, str] = {
    "tfce": "TFCE",
    "cluster_extent": "cluster extent",
    "cluster_mass": "cluster mass",
}
STATISTICS = {"f": "F", "g": "G", "rsq": "R²"}
METHODS = {
    "freedman-lane": "Freedman and Lane (1983)",
    "ter-braak": "ter Braak (1992)",
    "manly": "Manly (1986)",
    "dekker": "Dekker et al. (2007)",
}
GRIDS = {
    "exact": "exact integral over heights",
    "palm": "a hundred steps to each permutation's maximum, as PALM",
    "randomise": "a hundred steps to the unpermuted maximum, as randomise",
    "nilearn": "a hundred steps, unweighted by their width, as nilearn",
}
TAILS = {"gpd": "a generalised Pareto distribution", "gamma": "a gamma distribution"}
_LEADING: tuple[Measure, ...] = ("tfce", "cluster_mass", "cluster_extent", "stat")


def title(one: ContrastPage) -> str:
    """The contrast, and the part of the features."""
    return f"{one.contrast.name} · {one.part}" if one.part else one.contrast.name


def leading(one: ContrastPage) -> MaximumTest:
    """The test that the page outlines: the most sensitive of those done."""
    return min(one.tests, key=lambda test: _LEADING.index(test.measure))


def statistic_label(one: ContrastPage) -> str:
    """For axes: the statistic and its degrees of freedom, where all features have the same."""
    if one.statistic in ("v", "g"):
        return statistic_name(one)
    tested = f"{np.linalg.matrix_rank(one.contrast.weights)} and " if one.contrast.kind == "f" else ""
    return f"{statistic_name(one)} ({tested}{one.df:.4g} df)"


def statistic_name(one: ContrastPage) -> str:
    """As papers write it."""
    return STATISTICS.get(one.statistic, one.statistic)


def measure_name(one: ContrastPage, measure: Measure, options: InferenceOptions) -> str:
    """What was maximised, by name."""
    if measure != "stat":
        return MEASURES[measure]
    name = statistic_name(one)
    return f"|{name}|" if options.two_sided and one.contrast.kind == "t" else name


def by_maxima(one: ContrastPage, options: InferenceOptions) -> str:
    """What the leading test goes by, in a sentence."""
    measure = leading(one).measure
    return f"{'the largest ' if measure == 'stat' else ''}{measure_name(one, measure, options)}"


def headline(one: ContrastPage, page: PermutePage) -> str:
    """What was found, in one sentence."""
    test = leading(one)
    n_found, n_features = int(test.significant.sum()), len(test.p_fwe)
    by = f"at p_FWE ≤ .05 by {by_maxima(one, page.options)}"
    smallest = f"the smallest p_FWE is {p_text(test.p_fwe.min())}{interval(test, exhaustive=page.exhaustive)}"
    if not n_found:
        none_of = f"None of the {count(n_features, page.unit)} is" if n_features > 1 else f"The {page.unit} is not"
        return f"{none_of} significant {by}; {smallest}."
    verb = "is" if n_found == 1 else "are"
    share = f"{n_found:,} of {count(n_features, page.unit)} ({100 * n_found / n_features:.3g} %)"
    return f"{share} {verb} significant {by}{_direction(one, test)}; {smallest}."


def p_text(p: float) -> str:
    """A p-value, short."""
    return f"{p:.3f}" if p >= 0.01 else f"{p:.2g}"


def count(n: int, unit: Unit) -> str:
    """So many of them."""
    return f"{n:,} {unit if n == 1 else units(unit)}"


def units(unit: Unit) -> str:
    """The plural."""
    return "vertices" if unit == "vertex" else f"{unit}s"


def facts(page: PermutePage) -> tuple[tuple[str, str], ...]:
    """Rows of the table of facts, then those that the page brings."""
    options, design = page.options, page.design
    n_left_out, groups = len(design.left_out), ", ".join(f"{size} {name}" for name, size in design.groups)
    subjects = f"{len(design.design.matrix)}{f': {groups}' if groups else ''}; {n_left_out} left out"
    return (
        ("subjects", subjects),
        ("tested", f"{tested(page)}; {page.n_left_out:,} left out"),
        ("permutations", permutations(page)),
        ("possible", design.possible or "–"),
        ("exchangeable", design.exchangeability),
        ("nuisance variables", METHODS[options.method]),
        ("direction of t contrasts", "both (two-sided)" if options.two_sided else "positive (one-sided)"),
        ("maximised", ", ".join(_settings(page))),
        *((("small p-values", f"tail fitted by {TAILS[options.tail]}"),) if options.tail != "none" else ()),
        *page.facts,
    )


def permutations(page: PermutePage) -> str:
    """How many were taken, and which."""
    return taken(page.n_perm, page.options, exhaustive=page.exhaustive)


def taken(n_perm: int, options: InferenceOptions, *, exhaustive: bool) -> str:
    """So many permutations or flips, and which."""
    kind = "sign flips" if options.sign_flip else "permutations"
    if exhaustive:
        return f"all {n_perm:,} {kind} that are possible, the identity included"
    return f"{n_perm:,} random {kind}, the identity included (seed {options.seed})"


def is_joint(page: PermutePage) -> bool:
    """Whether any p-value is corrected over contrasts and parts."""
    return any(test.p_joint is not None for one in page.contrasts for test in one.tests)


def interval(test: MaximumTest, *, exhaustive: bool) -> str:
    """How sure the smallest p is, in brackets; nothing where that is not known."""
    if test.interval is not None:
        return f" (95 % Monte-Carlo interval {p_text(test.interval[0])} to {p_text(test.interval[1])})"
    return " (exact)" if exhaustive else ""


def _direction(one: ContrastPage, test: MaximumTest) -> str:
    """Which way t contrasts go where they are significant."""
    if one.contrast.kind == "f":
        return ""
    values = one.tests[0].values[test.significant]
    n_up, n_down = int((values > 0).sum()), int((values < 0).sum())
    if n_up and n_down:
        return f", {n_up:,} in the positive and {n_down:,} in the negative direction"
    sense = "positive" if n_up else "negative"
    return f", {'all ' if n_up + n_down > 1 else ''}in the {sense} direction"


def tested(page: PermutePage) -> str:
    """How many features, by part where there are several."""
    sizes = {one.part: len(one.p) for one in page.contrasts}
    if len(set(sizes.values())) == 1:
        each = count(next(iter(sizes.values())), page.unit)
        return each if len(sizes) == 1 else f"{each} in each of {len(sizes)} parts"
    return ", ".join(f"{count(size, page.unit)} of {part}" for part, size in sizes.items())


def _settings(page: PermutePage) -> Iterator[str]:
    yield scale(page)
    if page.options.tfce:
        yield f"TFCE ({tfce_settings(page.options, page.unit)})"
    if page.options.cluster_threshold is not None:
        yield f"cluster extent and mass ({scale(page)} ≥ {page.options.cluster_threshold:g})"


def scale(page: PermutePage) -> str:
    """What maxima are taken of."""
    if page.options.statistic_scale == "z":
        return "the statistic's z equivalent"
    return " or ".join(dict.fromkeys(statistic_name(one) for one in page.contrasts))


def tfce_settings(options: InferenceOptions, unit: Unit) -> str:
    """Powers and grid; the powers that were left open are the unit's."""
    height = 2.0 if options.tfce_h is None else options.tfce_h
    extent = (1.0 if unit == "vertex" else 0.5) if options.tfce_e is None else options.tfce_e
    return f"H = {height:g}, E = {extent:g}, {GRIDS[options.tfce_grid]}"
