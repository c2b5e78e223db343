"""From a run's results to its report page."""

import numpy as np

from thalgpu import __version__
from thalgpu.engine.config import GradientOptions
from thalgpu.engine.outputs.atomic import write_text
from thalgpu.engine.pipelines.align_stage import AlignedSubject
from thalgpu.engine.pipelines.group_stage import POOLS, Template, component_names
from thalgpu.engine.pipelines.out_folder import shaping_options
from thalgpu.engine.pipelines.prepare import GradientsRequest, Prepared
from thalgpu.engine.report.gradients import EmbeddingPage, GradientsPage, render_gradients

TITLES = {None: "Thalamus", "L": "Left thalamus", "R": "Right thalamus"}
TEMPLATES = {
    "pooled": "the gradients of all subjects' mean affinity",
    "pooled-connectivity": "the gradients of all subjects' mean connectivity",
    "generalised": "the mean of all subjects' gradients after generalised Procrustes alignment",
}


def write_report(
    request: GradientsRequest,
    prepared: Prepared,
    aligned: list[AlignedSubject],
    templates: list[Template],
    failures: dict[str, Exception],
    warnings: list[str],
) -> None:
    """`report.html` of this run."""
    plan = prepared.plan
    page = GradientsPage(
        version=__version__,
        facts=(
            ("subjects", f"{len({one.record.participant_id for one in aligned})} finished, {len(failures)} failed"),
            ("thalamus", f"{plan.n_voxels} voxels ({prepared.thalamus.source})"),
            ("cortex", f"{plan.n_targets} targets ({prepared.cortex.source})"),
            ("alignment", _method(request.options)),
            ("list", str(request.subjects)),
        ),
        options=tuple((name, _text(value)) for name, value in shaping_options(request).items()),
        columns=("subject", "voxels", "volumes", "mean FD (mm)", "eigenvalues", "r(template)", "range"),
        embeddings=tuple(
            _embedding(
                prepared,
                template,
                part.hemisphere,
                [one for one in aligned if one.record.hemisphere == part.hemisphere],
            )
            for part, template in zip(prepared.parts, templates, strict=True)
        ),
        failures=tuple((f"sub-{participant_id}", str(error)) for participant_id, error in failures.items()),
        warnings=tuple(warnings),
    )
    write_text(request.out / "report.html", render_gradients(page))


def _embedding(
    prepared: Prepared, template: Template, hemisphere: str | None, aligned: list[AlignedSubject]
) -> EmbeddingPage:
    part = next(part for part in prepared.parts if part.hemisphere == hemisphere)
    names = component_names(template.gradients.shape[1])
    correlations = [[_or_nan(one.summary[f"{name}_r_template"]) for name in names] for one in aligned]
    return EmbeddingPage(
        title=TITLES[hemisphere],
        thalamus=part.thalamus,
        template=template.gradients,
        covered=template.covered,
        template_lambdas=template.lambdas,
        lambdas=np.array([one.record.lambdas for one in aligned]),
        correlations=np.array(correlations),
        rows=tuple(_row(one) for one in aligned),
    )


def _row(one: AlignedSubject) -> tuple[str, ...]:
    record, summary = one.record, one.summary
    correlation = _or_nan(summary["gradient1_r_template"])
    return (
        f"sub-{record.participant_id}",
        f"{record.n_covered}/{record.n_voxels}",
        f"{record.n_kept}/{record.n_volumes}",
        "–" if record.mean_fd is None else f"{record.mean_fd:.2f}",
        "  ".join(f"{value:.3g}" for value in record.lambdas[:3]),
        "–" if np.isnan(correlation) else f"{correlation:.3f}",
        f"{summary['gradient1_range']:.3g}",
    )


def _or_nan(value: float | int | None) -> float:
    return float("nan") if value is None else float(value)


def _method(options: GradientOptions) -> str:
    """What template and alignment were, in words."""
    source = TEMPLATES[options.template] if options.template in POOLS else f"the maps of {options.template}"
    if options.alignment == "none":
        return f"none; compared with {source}"
    return f"orthogonal Procrustes of {options.n_align} components onto {source}"


def _text(value: object) -> str:
    return ", ".join(map(str, value)) or "nothing" if isinstance(value, list) else f"{value}"
