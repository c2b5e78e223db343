"""What a user asks of `thalgpu study`, and the requests to the other commands that follow from it."""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from thalgpu.engine.cluster.scheduler import Scheduler
from thalgpu.engine.cluster.shards import Shard
from thalgpu.engine.config import CleaningOptions, GradientOptions, recipe
from thalgpu.engine.inference.model import InferenceOptions
from thalgpu.engine.inputs.study_file import StudyFile
from thalgpu.engine.pipelines.check_options import STRATEGIES
from thalgpu.engine.pipelines.compare_request import CompareRequest
from thalgpu.engine.pipelines.connectivity_prepare import ConnectivityRequest
from thalgpu.engine.pipelines.prepare import GradientsRequest
from thalgpu.engine.pipelines.structure_request import MEASURES, StructureRequest


@dataclass(frozen=True)
class StudyRequest:
    """Everything that a user asks of `thalgpu study`.

    Attributes
    ----------
    file : the study file.
    out, n_perm, seed : in place of the study file's, or None.
    workers, memory, gpus, scheduler : as of `thalgpu gradients`.
    overwrite : replace results of other settings.
    shard : the share of what is a subject's own that is measured, without tests; None for all.
    """

    file: Path
    out: Path | None = None
    n_perm: int | None = None
    seed: int | None = None
    workers: int | None = None
    memory: int | None = None
    gpus: int | None = None
    overwrite: bool = False
    scheduler: Scheduler | None = None
    shard: Shard | None = None


def out_folder(request: StudyRequest, study: StudyFile) -> Path:
    """Where everything is written."""
    return request.out or Path(study.study["out"])


def n_perm_of(request: StudyRequest, study: StudyFile) -> int:
    """Permutations of every arm."""
    return int(study.study["n_perm"] if request.n_perm is None else request.n_perm)


def seed_of(request: StudyRequest, study: StudyFile) -> int:
    """Of the permutations."""
    return int(study.study["seed"] if request.seed is None else request.seed)


def gradients_request(request: StudyRequest, study: StudyFile) -> GradientsRequest:
    """What is asked of `thalgpu gradients`; the arm of group gradients asks the same."""
    settings = study.arms["gradients"]
    return GradientsRequest(
        options=_gradient_options(study, settings),
        nuclei=settings["nuclei"],
        gpus=request.gpus,
        **_scans(request, study, settings),
        out=out_folder(request, study) / "gradients",
    )


def structure_request(request: StudyRequest, study: StudyFile) -> StructureRequest:
    """What is asked of `thalgpu structure`: all arms of it in one go."""
    arms = {name: study.arms[name] for name in MEASURES if name in study.arms}
    settings: dict[str, Any] = {}
    for arm, of_arm in arms.items():
        for name, value in of_arm.items():
            if name in ("tfce", "cluster_threshold", "tail"):
                continue
            if value is not None and settings.get(name) not in (None, (), value):
                raise study.error(f"arms.{arm}", name, f"{name} differs between arms", "give it once, or the same")
            settings[name] = value if value is not None else settings.get(name)
    known = {field.name for field in fields(StructureRequest)}
    given = {name: value for name, value in settings.items() if name in known and value is not None}
    return StructureRequest(
        subjects=study.study["subjects"],
        out=out_folder(request, study) / "structure",
        measures=tuple(name for name in MEASURES if name in arms),
        workers=request.workers,
        scheduler=request.scheduler,
        overwrite=request.overwrite,
        shard=request.shard,
        **given,
    )


def connectivity_request(request: StudyRequest, study: StudyFile) -> ConnectivityRequest:
    """What is asked of `thalgpu connectivity`; regions and cleaning that are left out are the gradients' own."""
    settings = {name: value for name, value in study.arms["connectivity"].items() if value not in (None, ())}
    settings = {**study.arms.get("gradients", {}), **settings}
    return ConnectivityRequest(
        seed=tuple(settings.get("seeds", ())),
        nuclei=settings.get("nuclei"),
        atlas=settings.get("atlas"),
        **_scans(request, study, settings),
        out=out_folder(request, study) / "connectivity",
    )


def comparison_request(request: StudyRequest, study: StudyFile, gradients: Path) -> CompareRequest:
    """What is asked of `thalgpu compare`, with the people and the design of the tests.

    Parameters
    ----------
    gradients : folder of `thalgpu gradients`.
    """
    settings, out = study.arms["group_gradients"], out_folder(request, study)
    return CompareRequest(
        gradients=gradients,
        design=out / "design.tsv",
        out=out / "group_gradients",
        covariates=study.design["covariates"],
        blocks=study.design["blocks"],
        whole=study.design["whole"],
        missing="drop",
        eig_tol=settings["eig_tol"],
        options=InferenceOptions(
            n_perm=settings["n_perm"] or n_perm_of(request, study),
            seed=seed_of(request, study),
            two_sided=True,
            tfce=settings["tfce"],
        ),
        workers=request.workers,
        scheduler=request.scheduler,
        memory=request.memory,
        overwrite=True,  # the study's own folder says which settings it is of
    )


def _scans(request: StudyRequest, study: StudyFile, settings: dict[str, Any] | Any) -> dict[str, Any]:
    """What the commands that read scans are all told."""
    cleaning = {
        field.name: settings[field.name]
        for field in fields(CleaningOptions)
        if settings.get(field.name) is not None and settings[field.name] != ()
    }
    if len(names := cleaning.get("confounds", ())) == 1 and names[0] in STRATEGIES:
        cleaning["confounds"] = names[0]
    return {
        "subjects": study.study["subjects"],
        "derivatives": study.study["derivatives"],
        "input_type": study.study["input_type"],
        "thalamus": settings.get("thalamus"),
        "cortex": settings.get("cortex"),
        "cleaning": CleaningOptions(**cleaning),
        "workers": request.workers,
        "memory": request.memory,
        "scheduler": request.scheduler,
        "overwrite": request.overwrite,
        "shard": request.shard,
    }


def _gradient_options(study: StudyFile, settings: dict[str, Any] | Any) -> GradientOptions:
    given = {
        field.name: settings[field.name]
        for field in fields(GradientOptions)
        if settings[field.name] is not None and settings[field.name] != ()
    }
    given.setdefault("n_align", min(10, given.get("n_components", 10)))
    if (template := given.get("template")) and (beside := study.path.parent / template).exists():
        given["template"] = str(beside)
    return recipe(settings["recipe"], **given)
