"""The page of a structure run: what was measured, tables in numbers, shapes in pictures, and every mesh's quality."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from thalgpu.engine.report.permute_page import Mesh
from thalgpu.engine.report.rendering import data_uri, render
from thalgpu.engine.report.surface_figures import statistic_surfaces
from thalgpu.engine.structure.quality import OUTLIER_Z


@dataclass(frozen=True)
class TableSummary:
    """One table in numbers.

    Attributes
    ----------
    title : with the unit, such as "Volumes (mm³)".
    rows : column, subjects, mean, SD, smallest, largest, as text.
    """

    title: str
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class MeanShape:
    """The mean shape of one side.

    Attributes
    ----------
    side : "L" or "R".
    vertices, faces : the mesh, mm.
    displacement : (n_vertices,) mean of the subjects' absolute displacement, mm.
    """

    side: str
    vertices: NDArray[np.float64]
    faces: NDArray[np.int64]
    displacement: NDArray[np.float64]


@dataclass(frozen=True)
class StructurePage:
    """All that the page says; text is escaped when it is rendered.

    Attributes
    ----------
    quality : cells of each mesh's row, and whether it is an outlier.
    """

    version: str
    facts: tuple[tuple[str, str], ...]
    options: tuple[tuple[str, str], ...]
    tables: tuple[TableSummary, ...]
    shapes: tuple[MeanShape, ...]
    quality_columns: tuple[str, ...]
    quality: tuple[tuple[tuple[str, ...], bool], ...]
    failures: tuple[tuple[str, str], ...]
    warnings: tuple[str, ...]


def render_structure(page: StructurePage) -> str:
    """The page as one self-contained HTML text: no scripts, no network, figures inside."""
    return render(
        "structure.html",
        page=page,
        columns=("measure", "subjects", "mean", "SD", "smallest", "largest"),
        figure=data_uri(_surfaces(page.shapes)) if page.shapes else None,
        n_flagged=sum(flagged for _, flagged in page.quality),
        outlier_z=OUTLIER_Z,
    )


def _surfaces(shapes: Sequence[MeanShape]) -> bytes:
    """Both sides laterally and medially, coloured by the mean absolute displacement, as PNG."""
    meshes, start = [], 0
    for shape in shapes:
        n_vertices = len(shape.vertices)
        features = np.arange(start, start + n_vertices)
        meshes.append(Mesh(shape.vertices, shape.faces, features, "L" if shape.side == "L" else "R"))
        start += n_vertices
    values = np.concatenate([shape.displacement for shape in shapes])
    return statistic_surfaces(
        values, np.zeros(len(values), dtype=bool), meshes, "mean |displacement| (mm)", signed=False
    )
