"""Figures of a study with their captions, and with words for those who cannot see them."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from thalgpu.engine.inputs.model import Region
from thalgpu.engine.report.compare_words import listed
from thalgpu.engine.report.figures import gradient_slices
from thalgpu.engine.report.forest import ForestLine, forest
from thalgpu.engine.report.group_slices import group_slices
from thalgpu.engine.report.matrices import region_matrix
from thalgpu.engine.report.permute_page import ALPHA, Mesh
from thalgpu.engine.report.rain_clouds import rain_clouds
from thalgpu.engine.report.region_bars import region_bars
from thalgpu.engine.report.scree import group_scree
from thalgpu.engine.report.slice_figures import statistic_slices, voxel_affine
from thalgpu.engine.report.study_page import ArmPage, Picture
from thalgpu.engine.report.thalamus_views import thalamus_surfaces, thalamus_voxels

Groups = Sequence[tuple[str, NDArray[np.float64]]]
"""Name of each group, in the study's order, and its members' values."""

_MOST_PARTS = 6
"""Parts of an arm that the figure of effects shows."""


def rain_cloud_picture(panels: Sequence[tuple[str, Groups]], label: str) -> Picture:
    """Measures by group; `panels` are titles and groups of (n_in_group,) values, `label` is what all of them are."""
    medians = "; ".join(
        f"{title}: {listed([f'{name} {_short(np.median(values))}' for name, values in groups if len(values)])}"
        for title, groups in panels
    )
    caption = (
        f"{_capital(label)} by group: distribution, quartiles (box, line: median; whiskers: the most distant values "
        "within 1.5 interquartile ranges), and every participant."
    )
    return Picture(rain_clouds(panels, label), caption, f"Rain clouds of {label}. Medians: {medians}.")


def bars_picture(regions: Sequence[str], groups: Groups, label: str) -> Picture:
    """Regions by group; values are (n_in_group, n_regions)."""
    means = "; ".join(
        f"{region}: {listed([f'{name} {_short(values[:, i].mean())}' for name, values in groups if len(values)])}"
        for i, region in enumerate(regions)
    )
    caption = (
        f"{_capital(label)}: means of groups (bars) with 95 % confidence intervals, and every participant (points)."
    )
    return Picture(region_bars(regions, groups, label), caption, f"Bars of {label}. Means: {means}.")


def scree_picture(groups: Groups, template: NDArray[np.float64]) -> Picture:
    """Eigenvalues; values are (n_in_group, n_components), `template` (n_components,) or empty."""
    first = listed([f"{name} {_short(values[:, 0].mean())}" for name, values in groups if len(values)])
    caption = "Eigenvalues of the gradients: means of groups, and the middle 90 % of their members (vertical lines)."
    alt = f"Scree plot, falling over {groups[0][1].shape[1]} components. Mean first eigenvalue: {first}."
    return Picture(group_scree(groups, template), caption, alt)


def template_pictures(
    template: NDArray[np.float32], covered: NDArray[np.bool_], region: Region, n_shown: int
) -> tuple[Picture, ...]:
    """The template's first gradients on slices and in space; nothing where the region has no voxels."""
    affine = voxel_affine(region)
    if region.ijk is None or affine is None:
        return ()
    n_shown = min(n_shown, template.shape[1])
    names = [f"gradient {number}" for number in range(1, n_shown + 1)]
    drawn = gradient_slices(template, region.ijk, covered, affine, n_components=n_shown)
    in_space = thalamus_voxels(
        template[covered, :n_shown].astype(np.float64), names, region.ijk[covered], affine, region.hemisphere[covered]
    )
    what = f"{listed(names)} of the template"
    return (
        Picture(
            drawn,
            f"Template: {listed(names)} on axial slices; left is left.",
            f"Axial slices of {what}: {_ends(template[covered, 0], region.ijk[covered], affine)}.",
        ),
        Picture(
            in_space,
            "The template's gradients in space, on a smoothed surface around the voxels, from four sides.",
            f"Surfaces of the thalamus coloured by {what}, lateral, medial, from above and from below.",
        ),
    )


def slices_picture(
    title: str,
    values: NDArray[np.float64],
    significant: NDArray[np.bool_],
    region: Region,
    label: str,
    *,
    signed: bool,
    by: str,
    limit: float | None = None,
) -> Picture:
    """A contrast's map on slices.

    Parameters
    ----------
    title : contrast and part.
    values, significant : (n_voxels,).
    region : where the voxels are; it has voxel indices and an affine.
    label : the statistic with its degrees of freedom, e.g. "t (79 df)".
    signed : whether the colours diverge about 0.
    by : what significance goes by: "TFCE", "the largest |t|".
    limit : where the colours end, for maps that are to be compared; None for the map's largest magnitude.
    """
    affine = voxel_affine(region)
    assert region.ijk is not None
    assert affine is not None
    drawn = statistic_slices(values, significant, region.ijk, affine, label, signed=signed, limit=limit)
    caption = f"{title}: {label} on axial slices (z in mm; left is left, anterior is up). {_marked(significant, by)}."
    return Picture(drawn, caption, f"Axial slices. {title}: {_range(values, significant, label, 'voxels')}.")


def group_maps_picture(
    title: str, groups: Groups, significant: NDArray[np.bool_], region: Region, label: str, by: str
) -> Picture:
    """Means of groups on slices, with what differs outlined; values are (n_in_group, n_voxels), none empty."""
    affine = voxel_affine(region)
    assert region.ijk is not None
    assert affine is not None
    means = [(name, values.mean(axis=0)) for name, values in groups]
    drawn = group_slices(means, significant, region.ijk, affine, label)
    ranges = "; ".join(f"{name} {_short(mean.min())} to {_short(mean.max())}" for name, mean in means)
    inside = ""
    if significant.any():
        there = listed([f"{name} {_short(mean[significant].mean())}" for name, mean in means])
        inside = f" Means within the outline: {there}."
    caption = (
        f"{title}: means of groups on axial slices (z in mm; left is left, anterior is up). {_marked(significant, by)}."
    )
    return Picture(drawn, caption, f"Axial slices of every group's mean. {title}: {ranges}.{inside}")


def surfaces_picture(
    title: str,
    values: NDArray[np.float64],
    significant: NDArray[np.bool_],
    meshes: Sequence[Mesh],
    label: str,
    *,
    signed: bool,
    by: str,
    limit: float | None = None,
) -> Picture:
    """A contrast's map on thalamic surfaces from four sides; parameters as of `slices_picture`."""
    drawn = thalamus_surfaces(values, significant, meshes, label, signed=signed, limit=limit)
    caption = f"{title}: {label} on the surface, from four sides. {_marked(significant, by)}."
    return Picture(drawn, caption, f"Thalamic surfaces. {title}: {_range(values, significant, label, 'vertices')}.")


def matrix_picture(
    title: str,
    rows: Sequence[str],
    columns: Sequence[str],
    values: NDArray[np.float64],
    significant: NDArray[np.bool_],
    label: str,
) -> Picture:
    """A matrix of regions; what was not tested is NaN in `values`."""
    drawn = region_matrix(rows, columns, values, significant, label)
    found = [f"{rows[i]} and {columns[j]}" for i, j in np.argwhere(significant)]
    few = f"{listed(found[:6])}{f' and {len(found) - 6} more' if len(found) > 6 else ''}" if found else "none"
    how = "Framed: p_FWE ≤ .05" if found else "Nothing reaches p_FWE ≤ .05"
    tested = np.isfinite(values)
    alt = f"Matrix. {title}: {_range(values[tested], significant[tested], label, 'pairs')}. Significant: {few}."
    return Picture(drawn, f"{title}: {label}; grey was not tested. {how}.", alt)


def forest_picture(arms: Sequence[ArmPage], contrasts: Sequence[str]) -> Picture | None:
    """Effects of all t contrasts and arms; None where there are none."""
    name = next((row.effect_name for arm in arms for row in arm.rows if row.statistic in ("t", "v")), None)
    shown = [one for one in contrasts if any(row.effect_name == name for arm in arms for row in arm.of(one))]
    lines = {arm.key: _parts(arm, name) for arm in arms}
    if name is None or not shown:
        return None
    panels = [
        (
            contrast,
            [
                (arm.title, [(part or "peak", _line(arm, contrast, part)) for part in lines[arm.key]])
                for arm in arms
                if lines[arm.key]
            ],
        )
        for contrast in shown
    ]
    found = [
        f"{arm.title}{f' {row.part}' if row.part else ''}, {row.contrast}: {_short(row.effect)}"
        for arm in arms
        for row in arm.rows
        if row.effect_name == name and row.p_arm <= ALPHA
    ]
    caption = (
        f"{name} with 95 % confidence limits at the peak of every part, where the statistic is largest: of maps, these "
        "are larger than the effects of typical places. Red, filled: p ≤ .05 corrected within the arm."
    )
    alt = f"Effects of all arms and contrasts. Significant within their arms: {'; '.join(found) or 'none'}."
    return Picture(forest(panels, name), caption, alt)


def _parts(arm: ArmPage, effect_name: str | None) -> list[str]:
    """Parts of an arm, at most so many: those with the smallest p of any contrast."""
    smallest: dict[str, float] = {}
    for row in arm.rows:
        if row.effect_name == effect_name:
            smallest[row.part] = min(row.p_fwe, smallest.get(row.part, 1.0))
    kept = sorted(smallest, key=smallest.__getitem__)[:_MOST_PARTS]
    return [part for part in smallest if part in kept]


def _line(arm: ArmPage, contrast: str, part: str) -> ForestLine | None:
    row = next((row for row in arm.of(contrast) if row.part == part), None)
    if row is None:
        return None
    return ForestLine(row.effect, row.low, row.high, row.p_arm <= ALPHA)


def _marked(significant: NDArray[np.bool_], by: str) -> str:
    level = f"p_FWE ≤ .05 by {by}"
    return f"Outlined: {level}" if significant.any() else f"Nothing reaches {level}"


def _range(values: NDArray[np.float64], significant: NDArray[np.bool_], label: str, units: str) -> str:
    """What a map holds, in words."""
    said = f"{label} from {_short(values.min())} to {_short(values.max())} over {len(values):,} {units}"
    n_found = int(significant.sum())
    return f"{said}; {n_found:,} significant" if n_found else f"{said}; none significant"


def _ends(gradient: NDArray[np.float32], ijk: NDArray[np.int32], affine: NDArray[np.float64]) -> str:
    """Where the first gradient is lowest and highest."""
    xyz = ijk @ affine[:3, :3].T + affine[:3, 3]
    low, high = (
        xyz[chosen].mean(axis=0)
        for chosen in (gradient <= np.quantile(gradient, 0.05), gradient >= np.quantile(gradient, 0.95))
    )
    return f"gradient 1 rises from around {_place(low)} to {_place(high)} mm"


def _place(xyz: NDArray[np.float64]) -> str:
    return "({})".format(", ".join(f"{value:.0f}".replace("-", "−") for value in xyz))


def _short(value: float) -> str:
    text = f"{value:,.0f}" if abs(value) >= 1000.0 else f"{value:.3g}"
    return text.replace("-", "−")


def _capital(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}"
