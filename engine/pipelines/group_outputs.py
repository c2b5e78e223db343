"""What a run writes about all subjects: dataset files, the resolved options, tables and the report."""

import tomllib
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from thalgpu import __version__
from thalgpu.engine.outputs.atomic import write_text
from thalgpu.engine.outputs.names import group_paths
from thalgpu.engine.outputs.sidecars import write_dataset_files as write_bids_files
from thalgpu.engine.outputs.sidecars import write_table, write_toml
from thalgpu.engine.pipelines.align_stage import AlignedSubject
from thalgpu.engine.pipelines.group_stage import Template, component_names
from thalgpu.engine.pipelines.prepare import GradientsRequest, Prepared
from thalgpu.engine.report.gradients import EmbeddingPage, GradientsPage, render_gradients
from thalgpu.errors import InputError, UsageError

TITLES = {None: "Thalamus", "L": "Left thalamus", "R": "Right thalamus"}


def resolved_options(request: GradientsRequest) -> dict[str, Any]:
    """Every option with its final value under its name on the command line: a file that `--config` reads back."""
    named = {
        "subjects": request.subjects.resolve(),
        "derivatives": request.derivatives.resolve() if request.derivatives else None,
        "input_type": request.input_type,
        "thalamus": request.thalamus,
        "cortex": request.cortex,
        "nuclei": request.nuclei,
    }
    return {name: str(value) for name, value in named.items() if value is not None} | shaping_options(request)


def shaping_options(request: GradientsRequest) -> dict[str, Any]:
    """The options that shape numbers, those without a value left out."""
    options = asdict(request.options) | asdict(request.cleaning)
    confounds = options["confounds"]
    options["confounds"] = confounds if isinstance(confounds, str) else ",".join(confounds)
    return {
        name: list(value) if isinstance(value, tuple) else value for name, value in options.items() if value is not None
    }


def check_same_options(request: GradientsRequest) -> None:
    """Refuse to mix results of different options in one folder; UsageError that names the options."""
    path = request.out / "config.toml"
    holds_results = path.exists() and any(request.out.glob("sub-*/func/*_gradients.h5"))
    if request.overwrite or not holds_results:
        return
    try:
        before = tomllib.loads(path.read_text(encoding="utf-8"))["gradients"]
    except (OSError, ValueError, KeyError) as error:
        raise InputError(path, "cannot be read", remedy="--overwrite, or another --out") from error
    now = shaping_options(request)
    changed = [
        f"{name} {before.get(name, 'none')} → {now.get(name, 'none')}"
        for name in asdict(request.options) | asdict(request.cleaning)
        if before.get(name) != now.get(name)
    ]
    if changed:
        raise UsageError(
            f"{request.out} holds results of other options: {'; '.join(changed)}",
            remedy="choose another --out, or --overwrite to replace them",
        )


def write_dataset_files(request: GradientsRequest) -> None:
    """What makes the folder a BIDS derivative, and the resolved options."""
    write_bids_files(request.out, name="thalamocortical gradients")
    write_toml(request.out / "config.toml", {"gradients": resolved_options(request)})


def write_tables(out: Path, aligned: list[AlignedSubject]) -> None:
    """`group/summary.tsv` and, with a trend surface, `group/trend_surface.tsv`: one row a subject and embedding."""
    separate = any(one.record.hemisphere for one in aligned)
    for name, field in (("summary", "summary"), ("trend_surface", "trend")):
        rows = [_identity(one, separate) | getattr(one, field) for one in aligned if getattr(one, field)]
        if rows:
            write_table(group_paths(out).summary.with_stem(name), list(rows[0]), rows)


def _identity(one: AlignedSubject, separate: bool) -> dict[str, Any]:
    participant = {"participant_id": f"sub-{one.record.participant_id}"}
    return participant | ({"hemisphere": one.record.hemisphere} if separate else {})


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
            ("list", str(request.subjects)),
        ),
        options=tuple((name, str(value)) for name, value in shaping_options(request).items()),
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
        participants=tuple(one.record.participant_id for one in aligned),
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
