"""The page of a connectivity run: what was run, mean maps, the mean matrix, and every subject's quality."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from thalgpu.engine.inputs.model import Region
from thalgpu.engine.report.gradients import OUTLIER_MADS, outliers
from thalgpu.engine.report.matrices import region_matrix
from thalgpu.engine.report.rendering import data_uri, render
from thalgpu.engine.report.slice_figures import statistic_slices, voxel_affine


@dataclass(frozen=True)
class MeanMap:
    """The group's mean Fisher z of one seed with every target: `values` (n_targets,) at the voxels of `targets`."""

    seed: str
    values: NDArray[np.float64]
    targets: Region


@dataclass(frozen=True)
class ConnectivityPage:
    """All that the page says; text is escaped when it is rendered.

    Attributes
    ----------
    facts, options, failures : name and text.
    maps : mean maps that are drawn.
    rows, columns, matrix : seeds, what they are compared with, and mean Fisher z; NaN where there is none.
    table_columns, table : cells of the subjects' table.
    likeness : (n_subjects,) correlation of each subject's map with the others' mean; NaN if none.
    """

    version: str
    facts: tuple[tuple[str, str], ...]
    options: tuple[tuple[str, str], ...]
    maps: tuple[MeanMap, ...]
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    matrix: NDArray[np.float64]
    table_columns: tuple[str, ...]
    table: tuple[tuple[str, ...], ...]
    likeness: NDArray[np.float64]
    failures: tuple[tuple[str, str], ...]
    warnings: tuple[str, ...]


def render_connectivity(page: ConnectivityPage) -> str:
    """The page as one self-contained HTML text: no scripts, no network, figures inside."""
    flagged = outliers(page.likeness[:, None]) & np.isfinite(page.likeness)
    return render(
        "connectivity.html",
        page=page,
        figures=[(caption, data_uri(png)) for caption, png in _figures(page)],
        rows=list(zip(page.table, flagged, strict=True)),
        n_flagged=int(flagged.sum()),
        outlier_mads=OUTLIER_MADS,
    )


def _figures(page: ConnectivityPage) -> list[tuple[str, bytes]]:
    figures = []
    for one in page.maps:
        affine = voxel_affine(one.targets)
        if affine is not None and one.targets.ijk is not None:
            nowhere = np.zeros(len(one.values), dtype=bool)
            png = statistic_slices(one.values, nowhere, one.targets.ijk, affine, "Fisher z", signed=True)
            figures.append((f"Mean connectivity of {one.seed}, axial slices, left is left", png))
    if np.isfinite(page.matrix).any():
        nothing = np.zeros(page.matrix.shape, dtype=bool)
        png = region_matrix(page.rows, page.columns, page.matrix, nothing, "Fisher z")
        figures.append(("Mean connectivity of seeds; grey: regions that share voxels, or lack a signal", png))
    return figures
