"""The page of a comparison of group gradients: what differs, where, and how exact the eigenvectors behind it are."""

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from thalgpu.engine.report import compare_limits as limits
from thalgpu.engine.report import compare_words as words
from thalgpu.engine.report.compare_method import method
from thalgpu.engine.report.compare_page import MIXING, ComparePage, ComparisonPage, ComponentPage, NumberPage
from thalgpu.engine.report.inference_figures import null_histograms, volcano
from thalgpu.engine.report.permute import MOST_PEAKS, test_cells
from thalgpu.engine.report.permute_method import cited
from thalgpu.engine.report.permute_words import p_text
from thalgpu.engine.report.rendering import data_uri, render
from thalgpu.engine.report.slice_figures import statistic_slices, voxel_affine

SHOWN = 3
"""Components that are drawn whether or not something is significant in them."""


def render_compare(page: ComparePage) -> str:
    """The page as one self-contained HTML text: no scripts, no network, figures inside."""
    said = method(page)
    return render(
        "compare.html",
        page=page,
        facts=words.facts(page),
        permuted=[words.permuted(one) for one in page.comparisons],
        sections=[_section(one) for one in page.comparisons],
        certificate=list(limits.certificate(page)),
        exceeded=list(limits.exceeded(page)),
        errors=[(words.title(one), _error_rows(one, page.eig_tol)) for one in page.comparisons],
        shares=[("", [_share_row(one) for one in page.comparisons])],
        flags=[(words.title(one), lines) for one in page.comparisons if (lines := list(limits.flags(one, page)))],
        components=range(1, page.recipe.n_components + 1),
        closeness=f"{100 * page.closeness:g} %",
        mixing=f"{100 * MIXING:g} %",
        limits=list(limits.limits(page)),
        method=said,
        references=cited(said),
        most_peaks=MOST_PEAKS,
    )


def _section(one: ComparisonPage) -> dict[str, object]:
    drawn = [part for part in one.components if part.number <= SHOWN or part.leading.significant.any()]
    return {
        "title": words.title(one),
        "headline": words.headline(one),
        "numbers_found": words.numbers_found(one),
        "found": words.is_found(one),
        "is_pair": one.is_pair,
        "groups": [name for name, _ in one.groups],
        "components": [(part.number, part.mixes, _figures(one, part)) for part in drawn],
        "n_hidden": len(one.components) - len(drawn),
        "tests": [
            (str(part.number), words.measure_name(one, test.measure), *test_cells(test), _joint(part, i))
            for part in one.components
            for i, test in enumerate(part.tests)
        ],
        "number_names": [_number_header(number) for number in one.numbers],
        "numbers": [
            (i + 1, [cell for number in one.numbers for cell in _number_cells(number, i)])
            for i in range(len(one.components))
        ],
        "angle_columns": ["components", *(f"angle {i + 1}" for i in range(len(one.components)))],
        "angles": [] if one.angles is None else [_angle_row(row, i) for i, row in enumerate(one.angles, start=1)],
        "peak_columns": one.peak_columns,
        "peaks": one.peaks[:MOST_PEAKS],
        "peaks_in": "" if voxel_affine(one.region) is None else "Size in mm³; x, y and z in mm.",
        "n_more_peaks": max(0, len(one.peaks) - MOST_PEAKS),
    }


def _figures(one: ComparisonPage, part: ComponentPage) -> list[tuple[str, Markup]]:
    """Caption and image of a component's map and of its null distributions."""
    maxima = [(words.measure_name(one, test.measure), test.null, test.critical) for test in part.tests]
    null_caption = (
        f"Component {part.number}: the largest value in each of {one.n_perm:,} permutations; observed (red) and 5 % "
        "level (dashed)."
    )
    return [(caption, data_uri(png)) for caption, png in (_map(one, part), (null_caption, null_histograms(maxima)))]


def _map(one: ComparisonPage, part: ComponentPage) -> tuple[str, bytes]:
    """Caption and picture of a component's difference: on slices, or against its p where there are no voxels."""
    test, significant = part.tests[0], part.leading.significant
    name = words.map_name(one)
    level = f"p_FWE ≤ .05 by {words.measure_name(one, part.leading.measure)}"
    nothing = f"Nothing reaches {level}"
    what = f"Component {part.number}: {name}"
    if one.is_pair:
        what += f", {one.groups[0][0]} less {one.groups[1][0]}"
    affine = voxel_affine(one.region)
    if one.region.ijk is None or affine is None:
        drawn = volcano(test.values, part.p, significant, (), name)
        return f"{what}, and uncorrected p. {f'Red: {level}' if significant.any() else nothing}.", drawn
    drawn = statistic_slices(test.values, significant, one.region.ijk, affine, name, signed=one.is_pair)
    marked = f"Outlined: {level}" if significant.any() else nothing
    return f"{what}, on axial slices (z in mm; left is left, anterior is up). {marked}.", drawn


def _joint(part: ComponentPage, i: int) -> str:
    joint = part.tests[i].p_joint
    return "–" if joint is None else p_text(joint.min())


def _number_header(number: NumberPage) -> str:
    return f"{words.NUMBERS[number.name]}{' (%)' if number.name == 'explained' else ''}"


def _number_cells(number: NumberPage, i: int) -> list[tuple[str, bool]]:
    """Value, p and corrected p of a component, and whether it is significant."""
    value = float(number.values[i]) * (100.0 if number.name == "explained" else 1.0)
    sign = "−" if value < 0 else ""
    cells = (f"{sign}{abs(value):.3g}", p_text(number.p[i]), p_text(number.p_fwe[i]))
    return [(cell, bool(number.significant[i])) for cell in cells]


def _angle_row(angles: NDArray[np.float64], size: int) -> list[str]:
    """How many components, and their angles."""
    return [
        "1" if size == 1 else f"1–{size}",
        *(f"{angle:.1f}°" if angle >= 1 else f"{angle:.2g}°" for angle in angles[:size]),
        *[""] * (len(angles) - size),
    ]


def _error_rows(one: ComparisonPage, eig_tol: float) -> list[tuple[str, list[tuple[str, bool]]]]:
    """Rows of the certificate: what they hold; values, and whether they are above the tolerance."""
    errors = {"map: estimated error": [part.estimated for part in one.components]}
    if one.n_verified:
        errors["map: verified error"] = [part.verified or 0.0 for part in one.components]
        errors |= {
            f"{words.NUMBERS[number.name]}: verified error": number.verified.tolist()
            for number in one.numbers
            if number.verified is not None
        }
    return [
        ("map: null SD", [(f"{part.null_sd:.3g}", False) for part in one.components]),
        *((name, [(_percent(error), error > eig_tol) for error in values]) for name, values in errors.items()),
    ]


def _percent(error: float) -> str:
    """Of an SD, without digits that nobody reads."""
    return f"{100 * error:.2g} %" if error >= 1e-5 else "< 0.001 %" if error > 0 else "0"


def _share_row(one: ComparisonPage) -> tuple[str, list[tuple[str, bool]]]:
    """How often each component's eigenvalue was close to a neighbour's, and whether it is pointed out."""
    return words.title(one), [(f"{100 * part.close:.2g} %", part.mixes) for part in one.components]
