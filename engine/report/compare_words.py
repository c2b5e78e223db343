"""A comparison of group gradients in words: what was found, and what was done."""

from collections.abc import Sequence

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


def is_found(one: ComparisonPage) -> bool:
    """Whether anything is significant once corrected over the components too."""
    tests = (component.leading for component in one.components)
    maps = (test.p_fwe if test.p_joint is None else test.p_joint for test in tests)
    return any((p <= ALPHA).any() for p in maps) or any(number.significant.any() for number in one.numbers)


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
        ]
    enhanced = f", TFCE ({tfce_settings(page.options, 'voxel')})" if page.options.tfce else ""
    return (
        *rows,
        ("covariates", ", ".join(page.covariates) or "none"),
        ("exchangeability blocks", ", ".join(page.blocks) or "none"),
        ("maximised", f"differences of maps{enhanced}"),
        ("seed", str(page.options.seed)),
        ("largest error allowed", f"{page.eig_tol:g} null SDs on the reduced path"),
        *page.facts,
    )


def permuted(one: ComparisonPage) -> tuple[str, ...]:
    """Cells of the table of comparisons: who, how often, and how many permutations were computed exactly."""
    return (
        title(one),
        ", ".join(f"{size} {name}" for name, size in one.groups),
        one.permutations,
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


def listed(names: Sequence[str]) -> str:
    """A, b and c."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def runs(numbers: Sequence[int]) -> str:
    """Ascending numbers, e.g. 1–3, 5 and 7."""
    last = numbers[-1]
    inside = [number in numbers for number in range(1, last + 1)]
    return listed([str(one) if one == other else f"{one}–{other}" for one, other in sets(inside)])


def sets(inside: Sequence[bool]) -> list[tuple[int, int]]:
    """First and last number, from 1, of every stretch that is inside."""
    edges = np.flatnonzero(np.diff([0, *map(int, inside), 0]))
    return [(int(start) + 1, int(stop)) for start, stop in edges.reshape(-1, 2)]


def components_named(numbers: Sequence[int]) -> str:
    """E.g. components 1–3 and 5."""
    return f"component{'' if len(numbers) == 1 else 's'} {runs(numbers)}"


def _counts(one: ComparisonPage, found: Sequence[ComponentPage]) -> str:
    """How many voxels of which components."""
    if len(found) > _MOST_NAMED:
        total = sum(int(component.leading.significant.sum()) for component in found)
        return f"{count(total, 'voxel')} of {components_named([component.number for component in found])} together"
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
    return f"{over}, {components_named(left)} {'is' if len(left) == 1 else 'are'} significant."


def _the_number(name: str, component: int) -> str:
    if name == "subspace":
        return f"the subspace of {component} component{'' if component == 1 else 's'}"
    return f"the {NUMBERS[name]} of component {component}"


def _scaling(time: float) -> str:
    return "time 0: scaled by λ / (1 − λ)" if time == 0 else f"time {time:g}: scaled by its power of λ"


def _rank(one: EmbeddingPage) -> str:
    return f" ({one.rank} eigenvectors)" if one.path == "reduced" else ""
