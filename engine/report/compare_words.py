"""A comparison of group gradients in words: what was found, how sure it is, and what components may have mixed."""

from collections.abc import Iterator, Sequence

import numpy as np

from thalgpu.engine.report.compare_page import ComparePage, ComparisonPage, ComponentPage, EmbeddingPage
from thalgpu.engine.report.permute_page import ALPHA, Measure
from thalgpu.engine.report.permute_words import MEASURES, count, interval, p_text, tfce_settings

PATHS = {
    "reduced": "reduced: in the eigenvectors of all subjects' mean, exact for single permutations",
    "exact": "exact: from each group's own mean, started at the reduced solution",
    "direct": "direct: each group's mean embedded from scratch",
}
GRAPHS = {"dense": "all edges of the mean affinity", "epsilon": "the mean affinity's ε-graph"}
NUMBERS = {
    "eigenvalue": "eigenvalue",
    "explained": "explained variance",
    "range": "range",
    "subspace": "subspace",
}
_MOST_NAMED = 3
"""Components that a headline counts one by one."""


def title(one: ComparisonPage) -> str:
    """The comparison, and the thalamus where there are two."""
    return f"{one.name} · {one.place}" if one.place else one.name


def measure_name(one: ComparisonPage, measure: Measure) -> str:
    """What was maximised, by name."""
    if measure != "stat":
        return MEASURES[measure]
    return "|difference|" if one.is_pair else "SD between groups"


def map_name(one: ComparisonPage) -> str:
    """What the maps show."""
    return "difference" if one.is_pair else "SD between groups"


def headline(one: ComparisonPage) -> str:
    """What the maps showed, in two sentences at most."""
    best = min(one.components, key=lambda component: component.leading.p_fwe.min())
    test = best.leading
    by = f"at p_FWE ≤ .05 by {'the largest ' if test.measure == 'stat' else ''}{measure_name(one, test.measure)}"
    smallest = (
        f"the smallest p_FWE is {p_text(test.p_fwe.min())}{interval(test, exhaustive=one.exhaustive)}, "
        f"in component {best.number}"
    )
    found = [component for component in one.components if component.leading.significant.any()]
    if not found:
        voxels = count(one.n_voxels, "voxel")
        return f"None of the {voxels} is significant in any of the {len(one.components)} components {by}; {smallest}."
    verb = "is" if sum(int(component.leading.significant.sum()) for component in found) == 1 else "are"
    return f"{_counts(one, found)} {verb} significant {by}; {smallest}. {_jointly(one)}"


def numbers_found(one: ComparisonPage) -> str:
    """Which of the numbers differ, in a sentence."""
    found = [
        f"{_the_number(number.name, i + 1)} (p_FWE {p_text(number.p_fwe[i])})"
        for number in one.numbers
        for i in np.flatnonzero(number.significant).tolist()
    ]
    if not found:
        return "No eigenvalue, explained variance, range or subspace differs at p_FWE ≤ .05."
    return f"Numbers that differ at p_FWE ≤ .05: {listed(found)}."


def facts(page: ComparePage) -> tuple[tuple[str, str], ...]:
    """Rows of the table of facts, then those that the page brings."""
    total = sum(size for _, size in page.groups)
    groups = ", ".join(f"{size} {name}" for name, size in page.groups)
    several = len(page.embeddings) > 1
    rows = [
        ("subjects", f"{total}: {groups}"),
        ("groups embedded by", embedding(page)),
        ("aligned by", alignment(page)),
    ]
    for one in page.embeddings:
        where = f", {one.place.lower()}" if several else ""
        rows += [
            (f"voxels{where}", f"{one.n_voxels:,} that every subject covers"),
            (f"path{where}", f"{PATHS[one.path]}{_rank(one)}"),
            (f"why{where}", one.why),
            *([(f"cost{where}", one.cost)] if one.cost else []),
        ]
    enhanced = f", TFCE ({tfce_settings(page.options, 'voxel')})" if page.options.tfce else ""
    return (
        *rows,
        ("covariates", ", ".join(page.covariates) or "none"),
        ("exchangeability blocks", ", ".join(page.blocks) or "none"),
        ("maximised", f"differences of maps{enhanced}"),
        ("largest error allowed", f"{page.eig_tol:g} null SDs on the reduced path"),
        *page.facts,
    )


def permuted(one: ComparisonPage, page: ComparePage) -> tuple[str, ...]:
    """Cells of the table of comparisons: who, how often, and how many permutations were computed exactly."""
    return (
        title(one),
        ", ".join(f"{size} {name}" for name, size in one.groups),
        one.possible or "–",
        f"all {one.n_perm:,}" if one.exhaustive else f"{one.n_perm:,}, seed {page.options.seed}",
        f"{one.n_exact:,} ({100 * one.n_exact / one.n_perm:.3g} %)",
    )


def embedding(page: ComparePage) -> str:
    """The recipe of a group's gradients."""
    recipe = page.recipe
    method = {
        "dm": f"diffusion map (α = {recipe.alpha:g}, {_scaling(recipe.diffusion_time)})",
        "le": "Laplacian eigenmap",
        "pca": "principal components",
    }[recipe.approach]
    return f"{method} of {GRAPHS[recipe.graph]}, {recipe.n_components} components"


def alignment(page: ComparePage) -> str:
    """How components of a group were matched to the template."""
    k, n_align = page.recipe.n_components, min(page.n_align, page.recipe.n_components)
    others = f"; the other {k - n_align} by sign alone" if n_align < k else ""
    return f"orthogonal Procrustes of {n_align} components onto the gradients of all subjects' mean{others}"


def certificate(page: ComparePage) -> Iterator[str]:
    """How exact eigenvectors are, a paragraph for each path in use."""
    paths = [one.path for one in page.embeddings]
    if "reduced" in paths:
        rank = listed([str(one.rank) for one in page.embeddings if one.path == "reduced"])
        n_verified = max(one.n_verified for one in page.comparisons)
        yield (
            f"Eigenvectors of every permuted group were found in the {rank} leading eigenvectors of all subjects' "
            "mean, and corrected by one product with the group's own operator. Where the estimated error of a "
            f"difference map was above {page.eig_tol:g} of its SD under permutation, that permutation was computed "
            f"again exactly. {n_verified} permutations a comparison, drawn at random, were computed both ways: the "
            "largest error found is the verified one."
        )
    if "exact" in paths:
        yield (
            "Every permutation's eigenvectors were iterated on its own group means until every residual was within "
            "its bound; no permutation was approximated, and nothing was left to verify."
        )
    if "direct" in paths:
        yield (
            "Every permutation's group means were formed and embedded from scratch, as a subject's affinity is; no "
            "permutation was approximated, and nothing was left to verify."
        )


def exceeded(page: ComparePage) -> Iterator[str]:
    """Comparisons whose errors are larger than was asked for."""
    for one in page.comparisons:
        over = [part.number for part in one.components if max(part.estimated, part.verified or 0.0) > page.eig_tol]
        if over:
            worst = max(max(part.estimated, part.verified or 0.0) for part in one.components)
            yield (
                f"{title(one)}: errors of {_components(over)} reach {worst:.2g} null SDs, more than the "
                f"{page.eig_tol:g} allowed; run it again with --path exact."
            )


def flags(one: ComparisonPage, page: ComparePage) -> Iterator[str]:
    """A line for each set of components that may have mixed, with the statistic to read instead."""
    subspace = next((number for number in one.numbers if number.name == "subspace"), None)
    for first, last in _sets([component.mixes for component in one.components]):
        size = min(max(last, first + 1), len(one.components))
        shares = listed([f"{100 * part.close:.2g} %" for part in one.components[first - 1 : last]])
        line = f"{_components(range(first, last + 1))}: close in {shares} of the group solutions."
        if subspace is not None:
            i = size - 1
            line += (
                f" Read the subspace of {size} components: distance {subspace.values[i]:.3g}, "
                f"p = {p_text(subspace.p[i])}, p_FWE = {p_text(subspace.p_fwe[i])}."
            )
        if first <= page.n_align < last:
            line += f" Only the first {page.n_align} were rotated onto the template together."
        elif first > page.n_align:
            line += " They were matched to the template by sign alone."
        yield f"{line[0].upper()}{line[1:]}"


def limits(page: ComparePage) -> Iterator[str]:
    """What the results do not say."""
    yield (
        "A pair is permuted within its own members, and all groups among everybody: a group that differs from the "
        "others widens no null distribution but its own. p-values are not corrected over the comparisons."
    )
    yield (
        "Observed differences are not studentised: voxels whose gradients vary most decide the maxima, and where "
        "groups differ both in size and in how much their subjects vary, a small p may come from the variance."
    )
    yield (
        "Maps, eigenvalues and subspaces describe group means. They say nothing of single subjects, whose gradients "
        "may vary without their mean's changing."
    )
    if page.covariates:
        yield (
            f"{listed(page.covariates)} {'was' if len(page.covariates) == 1 else 'were'} regressed from the affinities "
            "over subjects, entry by entry: what is linear in an entry is gone, and what gradients make of it "
            "otherwise is not. Means of the residuals may have negative entries; degrees must stay positive, or the "
            "run stops."
        )
    if page.recipe.approach != "pca":
        yield (
            "Explained variance is a component's share of the sum of the operator's eigenvalues without the trivial "
            "one, which differs from the share of squares that subjects' records hold."
        )
    yield (
        f"Whether component {page.recipe.n_components}, the last, comes close to the next one is not known: that one "
        "was not computed."
    )


def listed(names: Sequence[str]) -> str:
    """A, b and c."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def runs(numbers: Sequence[int]) -> str:
    """Ascending numbers, e.g. 1–3, 5 and 7."""
    last = numbers[-1]
    inside = [number in numbers for number in range(1, last + 1)]
    return listed([str(one) if one == other else f"{one}–{other}" for one, other in _sets(inside)])


def _sets(inside: Sequence[bool]) -> list[tuple[int, int]]:
    """First and last number, from 1, of every stretch that is inside."""
    edges = np.flatnonzero(np.diff([0, *map(int, inside), 0]))
    return [(int(start) + 1, int(stop)) for start, stop in edges.reshape(-1, 2)]


def _components(numbers: Sequence[int]) -> str:
    return f"component{'' if len(numbers) == 1 else 's'} {runs(numbers)}"


def _counts(one: ComparisonPage, found: Sequence[ComponentPage]) -> str:
    """How many voxels of which components."""
    if len(found) > _MOST_NAMED:
        total = sum(int(component.leading.significant.sum()) for component in found)
        return f"{count(total, 'voxel')} of {_components([component.number for component in found])} together"
    said = []
    for i, component in enumerate(found):
        n_found = int(component.leading.significant.sum())
        of = f" of {count(one.n_voxels, 'voxel')}" if i == 0 else ""
        said.append(f"{n_found:,}{of} in component {component.number}{_direction(one, component)}")
    return listed(said)


def _direction(one: ComparisonPage, component: ComponentPage) -> str:
    """In which group a pair's significant voxels have the larger gradient."""
    if not one.is_pair:
        return ""
    values = component.tests[0].values[component.leading.significant]
    n_first, n_second = int((values > 0).sum()), int((values < 0).sum())
    first, second = (name for name, _ in one.groups)
    if n_first and n_second:
        return f" ({n_first:,} larger in {first}, {n_second:,} in {second})"
    return f" ({'all ' if n_first + n_second > 1 else ''}larger in {first if n_first else second})"


def _jointly(one: ComparisonPage) -> str:
    """What remains when p is corrected over the components too."""
    left = [
        component.number
        for component in one.components
        if component.leading.p_joint is not None and (component.leading.p_joint <= ALPHA).any()
    ]
    over = f"Corrected over the {len(one.components)} components as well"
    if not left:
        return f"{over}, none is significant."
    return f"{over}, {_components(left)} {'is' if len(left) == 1 else 'are'} significant."


def _the_number(name: str, component: int) -> str:
    if name == "subspace":
        return f"the subspace of {component} component{'' if component == 1 else 's'}"
    return f"the {NUMBERS[name]} of component {component}"


def _scaling(time: float) -> str:
    return "time 0: scaled by λ / (1 − λ)" if time == 0 else f"time {time:g}: scaled by its power of λ"


def _rank(one: EmbeddingPage) -> str:
    return f" ({one.rank} eigenvectors)" if one.path == "reduced" else ""
