"""The page of a permutation test: what was found, where, against which null distribution, and with what design."""

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from thalgpu.engine.inference.model import Contrast, Design
from thalgpu.engine.report import permute_words as words
from thalgpu.engine.report.design_quality import (
    HIGH_INFLATION,
    LEVERAGES,
    leverages,
    stands_out,
    variance_inflation,
)
from thalgpu.engine.report.inference_figures import design_matrix, effect_dots, null_histograms, number, volcano
from thalgpu.engine.report.permute_method import method, references
from thalgpu.engine.report.permute_page import ALPHA, ContrastPage, DesignPage, MaximumTest, PermutePage
from thalgpu.engine.report.rendering import data_uri, render
from thalgpu.engine.report.slice_figures import statistic_slices, voxel_affine
from thalgpu.engine.report.surface_figures import statistic_surfaces

MOST_PEAKS = 30
MOST_DOTS = 40
"""Features that are plotted one by one with their names; more become a cloud."""


def render_permute(page: PermutePage) -> str:
    """The page as one self-contained HTML text: no scripts, no network, figures inside."""
    return render(
        "permute.html",
        page=page,
        facts=words.facts(page),
        sections=[_section(one, page) for one in page.contrasts],
        joint=_joint_rows(page),
        design=_design(page.design),
        method=method(page),
        references=references(page),
        remarks=(*page.design.design.remarks, *page.remarks),
        unit=page.unit,
        units=words.units(page.unit),
        most_peaks=MOST_PEAKS,
    )


def _section(one: ContrastPage, page: PermutePage) -> dict[str, object]:
    return {
        "title": words.title(one),
        "headline": words.headline(one, page),
        "found": bool(words.leading(one).significant.any()),
        "figures": _figures(one, page),
        "tests": [(words.measure_name(one, test.measure, page.options), *test_cells(test)) for test in one.tests],
        "peak_columns": one.peak_columns,
        "peaks": one.peaks[:MOST_PEAKS],
        "n_more_peaks": max(0, len(one.peaks) - MOST_PEAKS),
    }


def test_cells(test: MaximumTest) -> tuple[str, ...]:
    """Observed maximum, critical value, number significant, smallest p and its interval."""
    return (
        number(test.null[0]),
        "–" if test.critical is None else number(test.critical),
        f"{int(test.significant.sum()):,}",
        words.p_text(test.p_fwe.min()),
        "–" if test.interval is None else f"{words.p_text(test.interval[0])} to {words.p_text(test.interval[1])}",
    )


def _joint_rows(page: PermutePage) -> list[tuple[str, ...]]:
    """Contrast, measure, and for p corrected alone and jointly: the smallest, and how many are significant."""
    rows: list[tuple[str, ...]] = []
    for one in page.contrasts:
        for test in one.tests:
            if test.p_joint is None:
                continue
            name = words.title(one), words.measure_name(one, test.measure, page.options)
            smallest = words.p_text(test.p_fwe.min()), words.p_text(test.p_joint.min())
            rows.append((*name, *smallest, f"{test.significant.sum():,}", f"{(test.p_joint <= ALPHA).sum():,}"))
    return rows


def _figures(one: ContrastPage, page: PermutePage) -> list[tuple[str, Markup]]:
    """Caption and image of the map and of the null distributions."""
    maxima = [(words.measure_name(one, test.measure, page.options), test.null, test.critical) for test in one.tests]
    null_caption = (
        f"Null distribution: the largest value in each of {page.n_perm:,} permutations. Dashed: the 5 % level, which "
        "the observed largest value (red) must exceed to be significant."
    )
    return [(caption, data_uri(png)) for caption, png in (_map(one, page), (null_caption, null_histograms(maxima)))]


def _map(one: ContrastPage, page: PermutePage) -> tuple[str, bytes]:
    """Caption and picture of the effect where it is: on slices, on surfaces, or by name."""
    values, significant = one.tests[0].values, words.leading(one).significant
    label, signed = words.statistic_label(one), one.contrast.kind == "t"
    affine = None if one.region is None else voxel_affine(one.region)
    if one.region is not None and one.region.ijk is not None and affine is not None:
        drawn = statistic_slices(values, significant, one.region.ijk, affine, label, signed=signed)
        return (
            f"{label} on axial slices (z in mm; left is left, anterior is up). {_marked(one, page, 'Outlined')}.",
            drawn,
        )
    if one.meshes:
        drawn = statistic_surfaces(values, significant, one.meshes, label, signed=signed)
        untested = "; grey was not tested" if any((mesh.features < 0).any() for mesh in one.meshes) else ""
        return f"{label} on the surface{untested}. {_marked(one, page, 'Outlined')}.", drawn
    effect = one.effect
    name, sizes = (label, values) if effect is None else (effect.name, effect.values)
    if one.names and len(one.names) <= MOST_DOTS:
        limits = None if effect is None or effect.low is None or effect.high is None else (effect.low, effect.high)
        interval = "" if limits is None else " with 95 % confidence intervals"
        drawn = effect_dots(one.names, sizes, limits, significant, name)
        return f"{name}{interval}. {_marked(one, page, 'Red')}.", drawn
    drawn = volcano(sizes, one.p, significant, one.names, name)
    return f"{name} and uncorrected p. {_marked(one, page, 'Red')}.", drawn


def _marked(one: ContrastPage, page: PermutePage, how: str) -> str:
    """What the figure points out, if anything."""
    level = f"p_FWE ≤ .05 by {words.by_maxima(one, page.options)}"
    return f"{how}: {level}" if words.leading(one).significant.any() else f"Nothing reaches {level}"


def _design(page: DesignPage) -> dict[str, object]:
    design = page.design
    inflation = variance_inflation(design.matrix)
    weights = _weight_rows(design.contrasts)
    rows = [
        ((name, *(_weight(row[i]) for _, row in weights), _vif(vif)), vif > HIGH_INFLATION)
        for i, (name, vif) in enumerate(zip(design.columns, inflation, strict=True))
    ]
    return {
        "figure": data_uri(design_matrix(design.matrix, design.columns)),
        "checks": _checks(page),
        "headers": [header for header, _ in weights],
        "rows": rows,
        "inflated": [cells[0] for cells, flagged in rows if flagged],
        "high_inflation": f"{HIGH_INFLATION:g}",
        "coding": design.coding,
        "left_out": page.left_out,
    }


def _checks(page: DesignPage) -> tuple[tuple[str, str], ...]:
    """Rows of the table of what to check."""
    matrix, groups = page.design.matrix, page.design.variance_groups
    sizes = [] if groups is None else np.unique(groups, return_counts=True)[1].tolist()
    return (
        *((("group sizes", ", ".join(f"{name} {size}" for name, size in page.groups)),) if page.groups else ()),
        ("degrees of freedom", f"{len(matrix) - np.linalg.matrix_rank(matrix)} for error"),
        ("variance", f"one for each of {len(sizes)} groups ({', '.join(map(str, sizes))})" if sizes else "one for all"),
        ("leverage", _leverage(page.design)),
    )


def _leverage(design: Design) -> str:
    """How unequally subjects decide, and who stands out."""
    leverage = leverages(design.matrix)
    names = (
        [f"row {i + 1}" for i in range(len(leverage))] if design.ids is None else [f"sub-{one}" for one in design.ids]
    )
    outstanding = ", ".join(f"{names[i]} ({leverage[i]:.2f})" for i in np.flatnonzero(stands_out(leverage)))
    return f"mean {leverage.mean():.2f}; " + (
        f"{LEVERAGES:g} times the mean or more: {outstanding}" if outstanding else "nobody stands out"
    )


def _weight_rows(contrasts: tuple[Contrast, ...]) -> list[tuple[str, NDArray[np.float64]]]:
    """Header and weights of every row of every contrast."""
    return [
        (f"{one.name}, row {i + 1}" if len(one.weights) > 1 else one.name, row)
        for one in contrasts
        for i, row in enumerate(one.weights)
    ]


def _weight(weight: float) -> str:
    return f"{weight:.4g}".replace("-", "−") if weight else "·"


def _vif(inflation: float) -> str:
    if np.isnan(inflation):
        return "–"
    return "∞" if np.isinf(inflation) else f"{inflation:.2f}"
