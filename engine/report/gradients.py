"""The page of a gradients run: what was run, the template, and every subject's quality."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from thalgpu.engine.inputs.model import Region
from thalgpu.engine.report.figures import gradient_slices, grid_affine, scree, template_correlations
from thalgpu.engine.report.rendering import data_uri, render

SHOWN = 3
"""Gradients drawn on slices."""

OUTLIER_MADS = 3.0
"""A subject is pointed out when its correlation with the template is this many MADs below the median."""

MOST_SHOWN = 500
"""Subjects in figures and table: a page of thousands is read by nobody, and opens slowly."""


@dataclass(frozen=True)
class EmbeddingPage:
    """One embedding's part of the page.

    Attributes
    ----------
    title : e.g. "Left thalamus".
    thalamus : the region its gradients lie on.
    template : (n_voxels, n_components).
    covered : (n_voxels,) bool.
    template_lambdas : (n_components,), or empty.
    lambdas, correlations : (n_subjects, n_components); a correlation that does not exist is NaN.
    rows : cells of the subjects' table.
    """

    title: str
    thalamus: Region
    template: NDArray[np.float32]
    covered: NDArray[np.bool_]
    template_lambdas: NDArray[np.float64]
    lambdas: NDArray[np.float64]
    correlations: NDArray[np.float64]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class GradientsPage:
    """All that the page says; text is escaped when it is rendered."""

    version: str
    facts: tuple[tuple[str, str], ...]
    options: tuple[tuple[str, str], ...]
    columns: tuple[str, ...]
    embeddings: tuple[EmbeddingPage, ...]
    failures: tuple[tuple[str, str], ...]
    warnings: tuple[str, ...]


def render_gradients(page: GradientsPage) -> str:
    """The page as one self-contained HTML text: no scripts, no network, figures inside."""
    return render(
        "gradients.html",
        page=page,
        embeddings=[_figures(one) for one in page.embeddings],
        outlier_mads=OUTLIER_MADS,
    )


def outliers(correlations: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Subjects whose first gradient follows the template much less than the others' do (median − 3 MAD)."""
    first = correlations[:, 0]
    known = first[~np.isnan(first)]
    median = np.median(known) if len(known) else np.nan
    spread = 1.4826 * np.median(np.abs(known - median)) if len(known) else np.nan
    below: NDArray[np.bool_] = ~(first >= median - OUTLIER_MADS * spread)
    return below


def chosen(flagged: NDArray[np.bool_], most: int = MOST_SHOWN) -> NDArray[np.intp]:
    """Ascending positions of the subjects that are shown: those pointed out, and others evenly spread over the list."""
    first, others = np.flatnonzero(flagged)[:most], np.flatnonzero(~flagged)
    room = min(most - len(first), len(others))
    spread = np.linspace(0, len(others) - 1, room).round().astype(np.intp) if room else np.zeros(0, dtype=np.intp)
    return np.sort(np.concatenate([first, others[spread]]))


def _figures(embedding: EmbeddingPage) -> dict[str, object]:
    flagged = outliers(embedding.correlations)
    shown = chosen(flagged)
    figures = [
        (
            "Eigenvalues of the subjects (grey) and the template",
            scree(embedding.lambdas[shown], embedding.template_lambdas),
        ),
        (
            "Correlation of each aligned gradient with the template",
            template_correlations(embedding.correlations[shown]),
        ),
    ]
    if embedding.thalamus.ijk is not None:
        slices = gradient_slices(
            embedding.template,
            embedding.thalamus.ijk,
            embedding.covered,
            grid_affine(embedding.thalamus.grid),
            n_components=SHOWN,
        )
        n_maps = embedding.template.shape[1]
        which = f"1 to {min(SHOWN, n_maps)} of {n_maps}" if n_maps > 1 else "1"
        figures.insert(0, (f"Template gradient {which} on axial slices, left is left", slices))
    return {
        "title": embedding.title,
        "figures": [(caption, data_uri(png)) for caption, png in figures],
        "rows": [(embedding.rows[position], flagged[position]) for position in shown],
        "n_subjects": len(flagged),
        "n_flagged": int(flagged.sum()),
    }
