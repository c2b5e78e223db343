"""From a run's results to its report page."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from thalgpu import __version__
from thalgpu.engine.inputs.design_table import read_design_table
from thalgpu.engine.outputs.atomic import write_text
from thalgpu.engine.outputs.structure_names import Side
from thalgpu.engine.pipelines.structure_folder import resolved_options
from thalgpu.engine.pipelines.structure_prepare import StructurePrepared
from thalgpu.engine.pipelines.structure_request import ShapeQuality, StructureRequest, StructureResult
from thalgpu.engine.pipelines.structure_shapes import SideGroup
from thalgpu.engine.pipelines.structure_sources import WORDS
from thalgpu.engine.report.structure import MeanShape, StructurePage, TableSummary, render_structure

REMOVED = {
    "rigid": "position and orientation removed",
    "similarity": "position, orientation and size removed",
    "none": "meshes as they lie",
}
_QUALITY = ("subject", "side", "distance (mm)", "mean |d| (mm)", "largest |d| (mm)", "residual (mm)")
ICV = {
    "covariate": "volumes as measured; icv.tsv is for a covariate",
    "residual": "volumes as they would be at the mean intracranial volume",
    "proportion": "volumes as shares of the intracranial volume",
}


def write_report(
    request: StructureRequest, prepared: StructurePrepared, groups: Mapping[Side, SideGroup], result: StructureResult
) -> None:
    """`report.html` of this run."""
    unit = "share of ICV" if request.icv == "proportion" else "mm³"
    titles = (
        (f"Volumes ({unit}; asymmetry has no unit)", result.volumes),
        ("Intracranial volume (mm³)", result.icv),
        ("Thickness of S1 (mm)", result.thickness),
        ("Thickness of S1, weighted by area (mm)", result.thickness_area),
    )
    n_columns = len(_QUALITY) if any(one.residual is not None for one in result.quality) else len(_QUALITY) - 1
    page = StructurePage(
        version=__version__,
        facts=facts(request, prepared, result),
        options=tuple((name, _text(value)) for name, value in resolved_options(request, prepared).items()),
        tables=tuple(TableSummary(title, _summary(path)) for title, path in titles if path is not None),
        shapes=tuple(
            MeanShape(side, group.shape.mean, group.shape.faces, np.abs(group.shape.displacement).mean(axis=0))
            for side, group in groups.items()
        ),
        quality_columns=_QUALITY[:n_columns],
        quality=tuple((_quality_row(one)[:n_columns], one.outlier) for one in result.quality),
        failures=tuple((f"sub-{who}", str(error)) for who, error in result.failures.items()),
        warnings=tuple(result.warnings),
    )
    write_text(request.out / "report.html", render_structure(page))


def facts(
    request: StructureRequest, prepared: StructurePrepared, result: StructureResult
) -> tuple[tuple[str, str], ...]:
    """What was measured, from what, and of how many."""
    lines = [("subjects", f"{result.n_subjects} listed, {len(result.failures)} lack something")]
    for measure, source in prepared.sources.items():
        lines.append((measure, f"{result.measured.get(measure, 0)} subjects, from {WORDS[measure, source]}"))
    if "volumes" in prepared.sources:
        lines.append(("head size", ICV[request.icv]))
    if "shape" in prepared.sources:
        smooth = f", smoothed by {request.smooth:g} mm" if request.smooth else ""
        by = "generalised Procrustes" if prepared.sources["shape"] == "meshes" else "registration to the template"
        how = f", by {by}" if request.shape_alignment != "none" else ""
        lines.append(("alignment", f"{REMOVED[request.shape_alignment]}{how}{smooth}"))
    return (*lines, ("list", str(request.subjects)))


def _summary(path: Path) -> tuple[tuple[str, ...], ...]:
    rows = []
    for name, cells in read_design_table(path).columns.items():
        values = np.array(cells, dtype=np.float64)
        spread = f"{values.std(ddof=1):.5g}" if len(values) > 1 else "–"
        rows.append(
            (name, f"{len(values)}", f"{values.mean():.5g}", spread, f"{values.min():.5g}", f"{values.max():.5g}")
        )
    return tuple(rows)


def _quality_row(one: ShapeQuality) -> tuple[str, ...]:
    return (
        f"sub-{one.participant_id}",
        one.side,
        f"{one.distance:.3f}",
        f"{one.mean_displacement:.3f}",
        f"{one.max_displacement:.3f}",
        "–" if one.residual is None else f"{one.residual:.3f}",
    )


def _text(value: object) -> str:
    return ", ".join(map(str, value)) or "nothing" if isinstance(value, list) else f"{value}"
