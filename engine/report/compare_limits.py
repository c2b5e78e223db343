"""How far to trust a comparison of group gradients, in words: errors, components that may mix, limits."""

from collections.abc import Iterator

from thalgpu.engine.report.compare_page import ComparePage, ComparisonPage
from thalgpu.engine.report.compare_words import NUMBERS, components_named, listed, sets, title
from thalgpu.engine.report.permute_words import p_text


def certificate(page: ComparePage) -> Iterator[str]:
    """How exact eigenvectors are, a paragraph for each path in use."""
    paths = [one.path for one in page.embeddings]
    if "reduced" in paths:
        rank = listed([str(one.rank) for one in page.embeddings if one.path == "reduced"])
        n_verified = max(one.n_verified for one in page.comparisons)
        yield (
            f"Eigenvectors of every permuted group were found in the {rank} leading eigenvectors of all subjects' "
            "mean, and corrected by one product with the group's own operator. Where the estimated error of a "
            f"map was above {page.eig_tol:g} of its SD under permutation, or of its range's, that permutation was "
            f"computed again exactly. {n_verified} permutations a comparison, drawn at random, were computed both "
            "ways: the errors found there, of maps and of numbers, are the verified ones."
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
        errors = {
            "maps": [max(part.estimated, part.verified or 0.0) for part in one.components],
            **{NUMBERS[number.name]: number.verified.tolist() for number in one.numbers if number.verified is not None},
        }
        over = {
            name: [i for i, error in enumerate(values, start=1) if error > page.eig_tol]
            for name, values in errors.items()
        }
        found = [f"{name} of {components_named(numbers)}" for name, numbers in over.items() if numbers]
        if found:
            worst = max(max(values) for values in errors.values())
            remedy = "; run it again with a smaller --eig-tol, or --path exact" if one.path == "reduced" else ""
            yield (
                f"{title(one)}: errors of {listed(found)} reach {worst:.2g} null SDs, more than the "
                f"{page.eig_tol:g} allowed{remedy}."
            )


def flags(one: ComparisonPage, page: ComparePage) -> Iterator[str]:
    """A line for each set of components that may have mixed, with the statistic to read instead."""
    subspace = next((number for number in one.numbers if number.name == "subspace"), None)
    for first, last in sets([component.mixes for component in one.components]):
        size = min(max(last, first + 1), len(one.components))
        shares = listed([f"{100 * part.close:.2g} %" for part in one.components[first - 1 : last]])
        line = f"{components_named(range(first, last + 1))}: close in {shares} of the group solutions."
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
        "A pair is permuted within its own members, so that a third group that differs does not widen its null "
        "distribution; all groups are permuted among everybody. p-values are not corrected over the comparisons."
    )
    yield (
        "Observed differences are not studentised: voxels whose gradients vary most decide a map's maxima. Numbers are "
        "maximised over components in units of their null SDs. Where groups differ both in size and in how much their "
        "subjects vary, a small p may come from the variance."
    )
    yield (
        "Maps, eigenvalues and subspaces describe group means. They say nothing of single subjects, whose gradients "
        "may vary without their mean's changing."
    )
    if page.covariates:
        yield (
            f"Covariates ({listed(page.covariates)}) were regressed from the affinities over subjects, entry by entry, "
            "without the groups: what groups and covariates share counts as the covariates'. What is linear in an "
            "entry is gone, and what gradients make of it otherwise is not. Means of the residuals may have negative "
            "entries; degrees must stay positive, or the run stops."
        )
    if page.recipe.approach != "pca":
        yield (
            "Explained variance is a component's share of the sum of the operator's eigenvalues without the trivial "
            "one, which differs from the share of squares that subjects' records hold."
        )
    if page.recipe.approach == "le":
        yield "Eigenvalues are those of the operator, 1 less the Laplacian's: the largest come first."
    yield (
        f"Whether component {page.recipe.n_components}, the last, comes close to the next one is not known: that one "
        "was not computed."
    )
