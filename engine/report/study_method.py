"""What a paper's methods section says about a study."""

from collections.abc import Iterator

from thalgpu.engine.report.compare_words import listed
from thalgpu.engine.report.permute_words import METHODS, TAILS, taken, tfce_settings
from thalgpu.engine.report.study_page import StudyPage
from thalgpu.engine.report.study_papers import INSTRUMENTS


def methods_paragraph(page: StudyPage) -> str:
    """The methods, with the numbers used; paragraphs are parted by an empty line."""
    return "\n\n".join(
        " ".join(sentences)
        for sentences in (_participants(page), _measures(page), _statistics(page), _further(page), _software(page))
    )


def _participants(page: StudyPage) -> Iterator[str]:
    groups = listed([f"{size} {name}" for name, size in page.groups])
    yield f"Participants. {page.n_subjects} participants were analysed ({groups})."
    if page.excluded:
        n = len(page.excluded)
        yield f"{n} more {'was' if n == 1 else 'were'} excluded, for the reasons given in the report."
    said = "; ".join(line.rstrip(".") for line in page.grouped)
    if said:
        yield f"Groups: {said}."
    known = [f"{name} ({paper})" for name, paper in INSTRUMENTS.items() if name in said]
    if known:
        yield f"Instruments: {listed(known)}."


def _measures(page: StudyPage) -> Iterator[str]:
    yield "Measures."
    yield from (arm.measured for arm in page.arms)
    yield "The combination of measures is that of a study of chronic low-back pain (Pain 2025)."


def _statistics(page: StudyPage) -> Iterator[str]:
    options = page.options
    covariates = f", with {listed(page.covariates)} as covariates" if page.covariates else ""
    yield f"Statistics. A general linear model ({page.design}) was fitted to every measure{covariates}."
    yield (
        f"Contrasts ({'; '.join(name for name, _ in page.contrasts)}) were compared with their distributions over "
        f"{taken(page.n_perm, options, exhaustive=page.exhaustive)}; nuisance variables were dealt with by the method "
        f"of {METHODS[options.method]}, as described by Winkler et al. (2014)."
    )
    yield f"t contrasts were {'two' if options.two_sided else 'one'}-sided."
    settings = {tfce_settings(options, arm.unit): arm.unit for arm in page.arms if arm.tfce}
    if settings:
        said = "; ".join(
            f"{one}, for {'surfaces' if unit == 'vertex' else 'volumes'}" for one, unit in settings.items()
        )
        yield f"Maps were enhanced without a cluster-forming threshold (TFCE, Smith and Nichols 2009; {said})."
    yield (
        "p-values are corrected for the family-wise error over the features of each part by the distribution of the "
        "largest value in each permutation (Nichols and Holmes 2002)."
    )
    yield _joint(page)
    if options.tail != "none":
        yield f"Small p-values come from {TAILS[options.tail]} fitted to the null (Winkler et al. 2016)."


def _joint(page: StudyPage) -> str:
    contrasts = " and contrasts" if page.over_contrasts else ""
    return (
        "All arms were permuted by one set of permutations, so that they can be corrected together: in every "
        f"permutation, each part's largest value was replaced by its rank among all permutations; an arm's p is the "
        f"smallest over its parts{contrasts}, and the study's the smallest over arms, each ranked again (Westfall and "
        "Young 1993; Winkler, Webster et al. 2016). Arms weigh the same whatever their number of features."
    )


def _further(page: StudyPage) -> Iterator[str]:
    yield "Further analyses."
    if page.group_gradients is not None:
        yield page.group_gradients.measured
    if page.severity is not None:
        partial = f"partial on {listed(page.severity.covariates)}, " if page.severity.covariates else ""
        yield (
            f"Brain measures were correlated with severity in {page.severity.of} ({partial}"
            f"{page.severity.n_perm:,} permutations), corrected over all pairs of measure and score by the largest "
            "correlation."
        )
    if page.adjusted_for:
        yield f"As a check of robustness, tests were repeated with {listed(page.adjusted_for)} among the covariates."
    yield "Characteristics of groups were compared by the tests that their table names, without correction."


def _software(page: StudyPage) -> Iterator[str]:
    yield f"Software. Computed with thalgpu {page.version}."
