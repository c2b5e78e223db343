"""What a paper's methods section says about a comparison of group gradients."""

from collections.abc import Iterator

from thalgpu.engine.report import compare_words as words
from thalgpu.engine.report.compare_page import ComparePage
from thalgpu.engine.report.permute_words import count, tfce_settings


def method(page: ComparePage) -> str:
    """A paragraph for a paper's methods, with the numbers used."""
    return " ".join(_sentences(page))


def _sentences(page: ComparePage) -> Iterator[str]:
    total = sum(size for _, size in page.groups)
    groups = words.listed([f"{size} {name}" for name, size in page.groups])
    voxels = words.listed([count(one.n_voxels, "voxel") for one in page.embeddings])
    yield f"Gradients of groups ({groups}; {total} subjects) were compared in {voxels} of the thalamus."
    yield f"Affinities were averaged over each group's subjects and embedded: {words.embedding(page)}{_cites(page)}."
    yield f"Components were aligned by {words.alignment(page)} (Schönemann 1966)."
    if page.covariates:
        names = words.listed(page.covariates)
        yield f"Covariates ({names}) had been regressed from the affinities over subjects, entry by entry."
    yield (
        f"{_permutations(page)} exchanged subjects between groups, as Winkler et al. (2014) describe, in pairs within "
        "their own members; every permutation had group means and eigenvectors of its own."
    )
    if page.blocks:
        yield (
            f"Subjects were exchanged within the limits of exchangeability blocks ({words.listed(page.blocks)}; "
            "Winkler et al. 2015)."
        )
    if page.options.tfce:
        settings = tfce_settings(page.options, "voxel")
        yield f"Difference maps were enhanced without a threshold (TFCE, Smith and Nichols 2009; {settings})."
    yield (
        "p-values of maps are corrected over voxels, and jointly over components, by the distribution of the largest "
        "value in each permutation (Nichols and Holmes 2002); those of eigenvalues, explained variance, range and "
        "subspaces over the components."
    )
    yield (
        f"Subspaces of the first 1 to {page.recipe.n_components} eigenvectors were compared by their chordal distance, "
        "the root of the summed squared sines of their principal angles (Björck and Golub 1973)."
    )
    yield from _accuracy(page)
    yield f"Computed with thalgpu {page.version}."


def _cites(page: ComparePage) -> str:
    papers = {"dm": " (Coifman and Lafon 2006)", "le": " (Belkin and Niyogi 2003)", "pca": ""}
    return papers[page.recipe.approach]


def _permutations(page: ComparePage) -> str:
    """Numbers of permutations of all comparisons, as one or as a span."""
    numbers = sorted({one.n_perm for one in page.comparisons})
    span = f"{numbers[0]:,}" if len(numbers) == 1 else f"{numbers[0]:,} to {numbers[-1]:,}"
    seed = "" if all(one.exhaustive for one in page.comparisons) else f" (seed {page.options.seed})"
    return f"{span} permutations{seed}"


def _accuracy(page: ComparePage) -> Iterator[str]:
    """How large errors of the reduced path were; exact paths have none to speak of."""
    reduced = [one for one in page.comparisons if one.path == "reduced"]
    if not reduced:
        yield "Eigenvectors of every permutation were computed from its own group means without approximation."
        return
    rank = words.listed([str(one.rank) for one in page.embeddings if one.path == "reduced"])
    worst = max(part.verified or 0.0 for one in reduced for part in one.components)
    n_exact, n_perm = sum(one.n_exact for one in reduced), sum(one.n_perm for one in reduced)
    yield (
        f"Eigenvectors were found in a basis of the {rank} leading eigenvectors of all subjects' mean; "
        f"{n_exact:,} of {n_perm:,} permutations, whose estimated error was above {page.eig_tol:g} null SDs of the "
        f"difference, were computed exactly, and of {sum(one.n_verified for one in reduced)} that were verified the "
        f"largest error of a map was {worst:.2g} null SDs."
    )
