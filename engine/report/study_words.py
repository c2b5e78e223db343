"""A study in words: what was found in each arm, how far corrections reach, and what the results do not say."""

import re
from collections.abc import Iterator
from math import sqrt

from scipy.stats import norm

from thalgpu.engine.report.compare_words import listed
from thalgpu.engine.report.permute_page import ALPHA
from thalgpu.engine.report.permute_words import count, p_text, taken
from thalgpu.engine.report.study_page import ArmPage, ResultRow, StudyPage

REACHES = ("none", "its part", "its arm", "all arms")
"""How far a significant result stands up to correction."""

_POWER = 0.8


def reach(row: ResultRow) -> int:
    """Place in `REACHES`: how many corrections the smallest p survives."""
    return sum(p <= ALPHA for p in (row.p_fwe, row.p_arm, row.p_joint))


def headline(arm: ArmPage, page: StudyPage) -> str:
    """What an arm found, in a sentence or two."""
    surviving = [row for row in arm.rows if row.p_arm <= ALPHA]
    if not surviving:
        best = min(arm.rows, key=lambda row: row.p_arm)
        return f"Nothing is significant in this arm; the smallest p_arm is {p_text(best.p_arm)} ({_where(best)})."
    joint = {row.contrast for row in surviving if row.p_joint <= ALPHA}
    found = "; ".join(
        f"{name}{'' if name in joint else ' (not across all arms)'}: {_extent(arm, name)}"
        for name, _ in page.contrasts
        if any(row.contrast == name for row in surviving)
    )
    return f"Significant: {found}."


def _extent(arm: ArmPage, contrast: str) -> str:
    """How much of an arm is significant for a contrast, part by part."""
    rows = [row for row in arm.of(contrast) if row.p_arm <= ALPHA]
    if len(rows) > 4:
        return f"{len(rows)} of {len(arm.of(contrast))} parts, the smallest p_arm {p_text(min(r.p_arm for r in rows))}"
    return listed([f"{row.part}{' ' if row.part else ''}{_share(row, arm)}" for row in rows])


def _share(row: ResultRow, arm: ArmPage) -> str:
    p = f"p_arm = {p_text(row.p_arm)}"
    if row.n_features == 1:
        return f"({p})"
    share = 100 * row.n_significant / row.n_features
    of = f"{row.n_significant:,} of {count(row.n_features, arm.unit)}"
    return f"{'in ' if row.part else ''}{of} ({share:.3g} %; {p})"


def _where(row: ResultRow) -> str:
    return f"{row.contrast}, {row.part}" if row.part else row.contrast


def joint_cell(arm: ArmPage, contrast: str) -> tuple[str, tuple[str, ...], int]:
    """Verdict, p-values and reach of an arm's best part for a contrast."""
    rows = arm.of(contrast)
    if not rows:
        return "not tested", (), 0
    best = min(rows, key=lambda row: (row.p_joint, row.p_arm, row.p_fwe))
    words = ("nothing found", "in a part only", "in the arm", "across all arms")[reach(best)]
    return words, (f"p_joint = {p_text(best.p_joint)}", f"p_arm = {p_text(best.p_arm)}"), reach(best)


def facts(page: StudyPage) -> tuple[tuple[str, str], ...]:
    """Rows of the table of facts, then those that the page brings."""
    groups = ", ".join(f"{size} {name}" for name, size in page.groups)
    options = page.options
    return (
        ("participants", f"{page.n_subjects} tested ({groups}); {len(page.excluded)} excluded"),
        ("design", page.design),
        ("covariates", listed(page.covariates) if page.covariates else "none"),
        ("contrasts", "; ".join(f"{name}: {words}" if words else name for name, words in page.contrasts)),
        ("arms", listed([arm.title for arm in page.arms])),
        ("permutations", f"{taken(page.n_perm, options, exhaustive=page.exhaustive)}; one set for all arms"),
        *((("possible", page.possible),) if page.possible else ()),
        ("direction of t contrasts", "both (two-sided)" if options.two_sided else "positive (one-sided)"),
        *page.facts,
    )


_SYMBOLS = {"Hedges g": "g", "partial r": "r", "partial η²": "η²"}


def statistic(row: ResultRow) -> str:
    """E.g. t(79) = −4.21."""
    return f"{row.statistic}({row.df}) = {fixed(row.peak)}"


def effect(row: ResultRow) -> str:
    """Size with limits where they are known, after its symbol."""
    limits = "" if row.low is None or row.high is None else f" [{fixed(row.low)} to {fixed(row.high)}]"
    return f"{_SYMBOLS.get(row.effect_name, row.effect_name)} = {fixed(row.effect)}{limits}"


def effects_named(arm: ArmPage) -> str:
    """The effects of an arm's rows by symbol and name."""
    names = dict.fromkeys(row.effect_name for row in arm.rows)
    return "; ".join(f"{_SYMBOLS[name]}: {name}" if name in _SYMBOLS else name for name in names)


def minus(text: str) -> str:
    """Numbers in a text with minus signs instead of hyphens."""
    return re.sub(r"(?<![\w-])-(?=\d)", "−", text)


def fixed(value: float) -> str:
    """Two decimals, and a minus sign."""
    return f"{value:.2f}".replace("-", "−")


def robust(before: ResultRow, after: ResultRow) -> str:
    """What adding severity to the covariates does to a result."""
    return {
        (True, True): "holds",
        (True, False): "no longer significant",
        (False, True): "becomes significant",
        (False, False): "not significant in either",
    }[before.p_arm <= ALPHA, after.p_arm <= ALPHA]


def limits(page: StudyPage) -> Iterator[str]:
    """What the results do not say."""
    if page.simulated:
        yield "The participants are simulated: nothing here is about people."
    yield (
        "Participants were seen once. Differences between groups do not say what came first, nor what causes what; "
        "groups differ in more than the condition, and covariates remove only what is linear in them."
    )
    if len(page.groups) > 1:
        small, other = sorted(size for _, size in page.groups)[:2]
        if small:
            least = (norm.ppf(1 - ALPHA / 2) + norm.ppf(_POWER)) * sqrt(1 / small + 1 / other)
            yield (
                f"Nothing significant does not mean no difference. With {small} and {other} participants, a single "
                f"comparison finds a difference of {least:.2g} SD in {100 * _POWER:.0f} % of studies, before any "
                "correction; smaller ones are likely to be missed. Confidence limits say which remain possible."
            )
    if any(arm.tfce for arm in page.arms):
        yield (
            "Outlines by TFCE say that there is an effect in the outlined region, not at each of its voxels or "
            "vertices. A gradient's value at a voxel follows from the connectivity of all voxels."
        )
    yield (
        "Effects at peaks are those of the places where the statistic came out largest, and overestimate what another "
        "sample would show there."
    )
    if page.over_contrasts:
        yield "p_arm and p_joint are corrected over contrasts, too; p_FWE is not."
    else:
        yield "p-values are not corrected over contrasts."
    if page.least_p_joint is not None:
        yield f"With this many permutations and arms, p_joint cannot be smaller than {p_text(page.least_p_joint)}."
    if page.adjusted_for:
        yield (
            f"Where {listed(page.adjusted_for)} and group go together, a result that is lost with severity among the "
            "covariates may be due to severity or to the groups: the data cannot tell them apart."
        )
    if page.severity is not None:
        yield "Correlations with severity say nothing of change within a person."
    if page.excluded:
        yield (
            "Only participants with every measure are tested, since one set of permutations needs one list; results "
            "hold for people like them."
        )
