"""From a permutation test's results to its report page."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from thalgpu import __version__
from thalgpu.engine.inference.block_tree import flip_units
from thalgpu.engine.inference.exchangeability import who_moves
from thalgpu.engine.outputs.atomic import write_text
from thalgpu.engine.outputs.sidecars import software_versions
from thalgpu.engine.pipelines.permute_hints import untested_directions
from thalgpu.engine.pipelines.permute_meshes import meshes_under
from thalgpu.engine.pipelines.permute_outputs import PartResult, corrected_name
from thalgpu.engine.pipelines.permute_prepare import PermutePrepared
from thalgpu.engine.pipelines.permute_request import PermuteRequest
from thalgpu.engine.report.permute import render_permute
from thalgpu.engine.report.permute_page import (
    ContrastPage,
    DesignPage,
    Effect,
    MaximumTest,
    PermutePage,
    Unit,
)

_EFFECTS = {"hedges_g": "Hedges g", "partial_r": "partial r", "partial_eta_squared": "partial η²"}
_PEAKS = {
    "map": "map",
    "cluster": "cluster",
    "name": "where",
    "hemisphere": "side",
    "size": "size",
    "peak": "peak",
    "x": "x",
    "y": "y",
    "z": "z",
    "p": "p_FWE",
    "effect": "effect",
}
"""Columns of peaks.tsv that the page shows, and how they are called there."""


def write_report(request: PermuteRequest, prepared: PermutePrepared, found: Sequence[PartResult]) -> None:
    """`report.html` of this test."""
    problem = prepared.problem
    page = PermutePage(
        version=__version__,
        options=problem.options,
        design=DesignPage(
            problem.design,
            groups=tuple(_groups(prepared)),
            possible=problem.permutations.description,
            exchangeability=_exchange(prepared),
        ),
        contrasts=tuple(_contrast(request, one) for one in found),
        n_perm=found[0].result.n_perm,
        exhaustive=problem.permutations.source == "exhaustive",
        unit=_unit(prepared),
        n_left_out=sum(maps.n_left_out for maps in prepared.maps),
        facts=(
            ("maps", ", ".join(str(path) for path in request.maps[:3]) + (" …" if len(request.maps) > 3 else "")),
            ("design", str(request.design)),
            *((("formula", request.formula),) if request.formula else ()),
            ("versions", ", ".join(f"{name} {version}" for name, version in software_versions().items())),
        ),
        remarks=(
            *untested_directions(found, problem.options),
            *(text for text in prepared.warnings if text not in problem.design.remarks),
        ),
    )
    write_text(request.out / "report.html", render_permute(page))


def _contrast(request: PermuteRequest, one: PartResult) -> ContrastPage:
    peak_columns, peaks = peak_cells(one.peaks)
    effect = one.result.effect
    return ContrastPage(
        contrast=one.result.contrast,
        part=one.maps_of.name,
        statistic=one.result.statistic,
        df=one.result.df,
        tests=tuple(_tests(one)),
        p=one.maps["p"],
        effect=Effect(_EFFECTS[effect], *(one.maps[f"{effect}{ending}"] for ending in ("", "_low", "_high"))),
        region=one.maps_of.space,
        meshes=meshes_under(one.maps_of.space, request.surface),
        names=one.maps_of.feature_names,
        peak_columns=peak_columns,
        peaks=peaks,
    )


def peak_cells(rows: Sequence[Mapping[str, Any]]) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
    """Headers and text of a table of peaks, of the columns that say something."""
    shown = [name for name in _PEAKS if any(row[name] not in (None, "") for row in rows)]
    return tuple(_PEAKS[name] for name in shown), tuple(tuple(_cell(row[name]) for name in shown) for row in rows)


def _tests(one: PartResult) -> Iterator[MaximumTest]:
    """The statistic first, then what else was maximised."""
    for measure, null in one.null.items():
        p = one.maps[corrected_name(measure)]
        interval = None
        if measure == one.deciding and one.p_low is not None and one.p_high is not None:
            best = int(p.argmin())
            interval = float(one.p_low[best]), float(one.p_high[best])
        suffix = "" if measure == "stat" else f"_{measure}"
        yield MaximumTest(measure, one.maps[measure], p, null, interval, one.maps.get(f"p_fwe_joint{suffix}"))


def _exchange(prepared: PermutePrepared) -> str:
    permutations = prepared.problem.permutations
    if permutations.sign_flip:
        units = flip_units(permutations.tree)
        return "nobody: signs are flipped" + (", of whole blocks" if len(units) < permutations.n_rows else "")
    return who_moves(permutations.tree)


def _unit(prepared: PermutePrepared) -> Unit:
    space = prepared.maps[0].space
    if space is None:
        return "feature"
    return "vertex" if space.ijk is None else "voxel"


def _groups(prepared: PermutePrepared) -> Iterator[tuple[str, int]]:
    """Columns that say who belongs to a group, and how many do."""
    design = prepared.problem.design
    for name, column in zip(design.columns, design.matrix.T, strict=True):
        if set(column.tolist()) == {0.0, 1.0} and ":" not in name:
            yield name, int(column.sum())


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 999.5 else f"{value:.3g}"  # no exponent, where three digits would round
    return str(value)
