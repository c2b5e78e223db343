"""What a study measures: gradients, structure and connectivity, each by its own command in a folder of its own."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from thalgpu.engine.cluster.interrupts import catch_interrupts
from thalgpu.engine.inputs.design_table import read_design_table
from thalgpu.engine.inputs.study_file import StudyFile
from thalgpu.engine.outputs.structure_names import Side
from thalgpu.engine.pipelines.connectivity import ConnectivityResult, prepare_connectivity, run_connectivity
from thalgpu.engine.pipelines.gradients import GradientsResult, run_gradients
from thalgpu.engine.pipelines.prepare import prepare
from thalgpu.engine.pipelines.structure import run_structure
from thalgpu.engine.pipelines.structure_prepare import prepare_structure
from thalgpu.engine.pipelines.structure_request import MEASURES, StructureResult
from thalgpu.engine.pipelines.study_request import (
    StudyRequest,
    connectivity_request,
    gradients_request,
    structure_request,
)
from thalgpu.engine.progress import Event, Progress


@dataclass(frozen=True)
class Measured:
    """Where the measures are, and who has them.

    Attributes
    ----------
    gradients : folder of `thalgpu gradients`, or None.
    volumes, thickness : tables, or None.
    icv : participant → mm³, or None.
    displacement, templates : hemisphere → files of the subjects, and the mesh that they lie on.
    connectivity_tables, seed_maps : name → table; seed → files of the subjects.
    who : what was measured, in words → participants who have it.
    failures : participant → why a measure failed.
    warnings : remarks of the commands.
    results : what the commands returned: "gradients", "structure", "connectivity".
    interrupted : exit code of a signal, or None.
    """

    gradients: Path | None = None
    volumes: Path | None = None
    thickness: Path | None = None
    icv: Mapping[str, float] | None = None
    displacement: Mapping[Side, Sequence[Path]] = field(default_factory=dict)
    templates: Mapping[Side, Path] = field(default_factory=dict)
    connectivity_tables: Mapping[str, Path] = field(default_factory=dict)
    seed_maps: Mapping[str, Sequence[Path]] = field(default_factory=dict)
    who: Mapping[str, Sequence[str]] = field(default_factory=dict)
    failures: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    results: Mapping[str, Any] = field(default_factory=dict)
    interrupted: int | None = None


_NO_ICV = "no source has intracranial volumes: volumes are not adjusted for the size of the head"


def prepare_measures(request: StudyRequest, study: StudyFile) -> dict[str, Any]:
    """Check the inputs of every command that the study needs; command → what it prepared."""
    prepared: dict[str, Any] = {}
    if "gradients" in study.arms:
        prepared["gradients"] = prepare(gradients_request(request, study))
    elif "group_gradients" in study.arms:
        raise study.error("arms.group_gradients", "", "it needs gradients", "add [arms.gradients]")
    if any(arm in study.arms for arm in MEASURES):
        prepared["structure"] = prepare_structure(structure_request(request, study))
    if "connectivity" in study.arms:
        prepared["connectivity"] = prepare_connectivity(connectivity_request(request, study))
    return prepared


def measure(request: StudyRequest, study: StudyFile, prepared: Mapping[str, Any], progress: Progress) -> Measured:
    """Run the commands, one after the other; what is done is verified and skipped."""
    found = Measured()
    steps = {"gradients": _gradients, "structure": _structure, "connectivity": _connectivity}
    with catch_interrupts() as interrupts:  # a signal may come while a command that is complete is written
        for name, step in steps.items():
            if name in prepared and not interrupts.requested:
                found = step(request, study, prepared[name], named(progress, name), found)
        return replace(found, interrupted=interrupts.exit_code) if interrupts.requested else found


def named(progress: Progress, name: str) -> Progress:
    """Progress whose stages say which part of the study they are of."""

    def tell(event: Event) -> None:
        progress(replace(event, text=f"{name}: {event.text}") if event.kind == "stage" else event)

    return tell


def _gradients(request: StudyRequest, study: StudyFile, prepared: Any, progress: Progress, found: Measured) -> Measured:
    result: GradientsResult = run_gradients(gradients_request(request, study), progress, prepared=prepared)
    have = [one.record.participant_id for one in result.aligned]
    n_parts = len(prepared.parts)
    complete = tuple(dict.fromkeys(one for one in have if have.count(one) == n_parts))
    found = _noted(found, "gradients", result, {"gradients": complete})
    return replace(found, gradients=result.out)


def _structure(request: StudyRequest, study: StudyFile, prepared: Any, progress: Progress, found: Measured) -> Measured:
    result: StructureResult = run_structure(structure_request(request, study), progress, prepared=prepared)
    if result.interrupted is not None:
        return replace(found, interrupted=result.interrupted)
    who: dict[str, Sequence[str]] = {}
    if "volumes" in study.arms:
        who["volumes"] = _ids(result.volumes)
        if study.arms["volumes"]["icv"] == "covariate":
            if result.icv is None:
                found = replace(found, warnings=(*found.warnings, _NO_ICV))
            elif "icv" not in study.design["covariates"]:
                who["intracranial volume"] = _ids(result.icv)
    if "thickness" in study.arms:
        who["thickness"] = _ids(result.thickness)
    if "shape" in study.arms:
        for side, files in result.displacement.items():
            who[f"shape {side}"] = [path.name.split("_")[0].removeprefix("sub-") for path in files]
    found = _noted(found, "structure", result, who)
    return replace(
        found,
        volumes=result.volumes if "volumes" in study.arms else None,
        thickness=result.thickness if "thickness" in study.arms else None,
        icv=_icv(result.icv),
        displacement=result.displacement,
        templates=result.templates,
    )


def _connectivity(
    request: StudyRequest, study: StudyFile, prepared: Any, progress: Progress, found: Measured
) -> Measured:
    result: ConnectivityResult = run_connectivity(connectivity_request(request, study), progress, prepared=prepared)
    if result.interrupted is not None:
        return replace(found, interrupted=result.interrupted)
    who = {f"connectivity ({name})": _ids(path) for name, path in result.tables.items()}
    found = _noted(found, "connectivity", result, who)
    return replace(found, connectivity_tables=result.tables, seed_maps=result.maps)


def _noted(found: Measured, name: str, result: Any, who: Mapping[str, Sequence[str]]) -> Measured:
    return replace(
        found,
        who={**found.who, **who},
        failures={**{one: f"{name}: {error}" for one, error in result.failures.items()}, **found.failures},
        warnings=(*found.warnings, *(f"{name}: {remark}" for remark in result.warnings)),
        results={**found.results, name: result},
        interrupted=result.interrupted,
    )


def _ids(path: Path | None) -> Sequence[str]:
    return () if path is None else read_design_table(path).ids


def _icv(path: Path | None) -> Mapping[str, float] | None:
    if path is None:
        return None
    table = read_design_table(path)
    return {one: float(cell) for one, cell in zip(table.ids, table.columns["icv"], strict=True)}
