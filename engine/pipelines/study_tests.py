"""The permutation tests of a study: one request an arm, all with the same people, design and permutations."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from thalgpu.engine.inference.permutation_set import PermutationSet
from thalgpu.engine.inference.words import repeated
from thalgpu.engine.inputs.study_file import StudyFile
from thalgpu.engine.pipelines.connectivity_tables import NAMES as CONNECTIVITY_TABLES
from thalgpu.engine.pipelines.permute_request import PermuteRequest
from thalgpu.engine.pipelines.study_design import contrasts_of, f_tests_of, formula_of, options_of_arm
from thalgpu.engine.pipelines.study_measures import Measured
from thalgpu.engine.pipelines.study_people import People
from thalgpu.engine.pipelines.study_request import StudyRequest
from thalgpu.errors import NumericsError


@dataclass(frozen=True)
class ArmTest:
    """One permutation test of an arm.

    Attributes
    ----------
    arm : its name in the study file.
    part : which of several tests of the arm, e.g. a seed; "" for the only one.
    covariates : in the formula, beside the group.
    request : what is asked of `thalgpu permute`.
    """

    arm: str
    part: str
    covariates: tuple[str, ...]
    request: PermuteRequest


def arm_tests(
    request: StudyRequest, study: StudyFile, people: People, measured: Measured, *, design: Path, folder: Path
) -> list[ArmTest]:
    """One or more tests an arm, in the order of the arms; `compare` is none of them.

    Parameters
    ----------
    design : the table that `write_design` wrote.
    folder : where each test gets a folder of its own.
    """
    tests: list[ArmTest] = []
    for arm, settings in study.arms.items():
        covariates = people.covariates
        if arm == "volumes" and settings["icv"] == "covariate" and measured.icv and "icv" not in covariates:
            covariates = (*covariates, "icv")
        for part, (maps, more) in _maps(arm, study, people, measured).items():
            wanted = PermuteRequest(
                maps=tuple(maps),
                design=design,
                out=folder / (f"{arm}-{part}" if part else arm),
                formula=formula_of(people, covariates),
                contrast=contrasts_of(study, people),
                f_test=f_tests_of(people),
                blocks=",".join(study.design["blocks"]) or None,
                whole=study.design["whole"],
                missing="drop",  # the maps may be of more people than are tested
                options=options_of_arm(request, study, settings, is_table=maps[0].suffix == ".tsv"),
                workers=request.workers,
                scheduler=request.scheduler,
                memory=request.memory,
                gpus=request.gpus,
                overwrite=True,  # the study's own folder says which settings it is of
            )
            tests.append(ArmTest(arm, part, covariates, replace(wanted, **more)))
    return tests


def adjusted_tests(
    tests: Sequence[ArmTest],
    contrasts: tuple[str, ...],
    patients: People,
    score: str,
    *,
    alike: Collection[str],
    design: Path,
    folder: Path,
) -> list[ArmTest]:
    """The same tests among patients, with a severity score as one more covariate.

    Parameters
    ----------
    contrasts : those among the patients (`contrasts_among`).
    alike : covariates that are the same in all patients, and left out.
    design, folder : as of `arm_tests`, of the patients.
    """
    if not contrasts and not f_tests_of(patients):
        return []
    return [
        replace(
            test,
            request=replace(
                test.request,
                design=design,
                out=folder / test.request.out.name,
                formula=formula_of(patients, (*(name for name in test.covariates if name not in alike), score)),
                contrast=contrasts,
                f_test=f_tests_of(patients),
                maps=_maps_of(test.request.maps, patients.ids),
            ),
        )
        for test in tests
    ]


def check_seeds(study: StudyFile, seeds: Sequence[str], *, writes_maps: bool) -> None:
    """InputError where the arm of connectivity tests what there is not."""
    tested = study.arms["connectivity"]["test"]
    if twice := repeated(tested):
        raise study.error("arms.connectivity", "test", f"{twice[0]!r} is there twice", "name each test once")
    for name in tested:
        if name in seeds and not writes_maps:
            remedy = "test the tables, or give a mask as cortex and the parcels as atlas"
            raise study.error("arms.connectivity", "test", f"there are no maps of {name}: cortex is parcels", remedy)
        if name not in (known := (*CONNECTIVITY_TABLES, *seeds)):
            raise study.error(
                "arms.connectivity", "test", f"there is no {name!r} to test", f"there are {', '.join(known)}"
            )


def check_shared(names: Sequence[str], permutations: Sequence[PermutationSet]) -> PermutationSet | None:
    """The permutations that all tests have; NumericsError where they differ: joint inference needs one set."""
    for name, one in zip(names, permutations, strict=True):
        if one.fingerprint != permutations[0].fingerprint:
            raise NumericsError(
                f"the arms {names[0]} and {name} have permutations of their own: so few exist that all are taken, and "
                "icv tells more people apart",
                remedy='set icv = "residual" in [arms.volumes], or fewer permutations in [study] n_perm',
            )
    return permutations[0] if permutations else None


Maps = Mapping[str, tuple[Sequence[Path], dict[str, Any]]]
"""Test of an arm → its maps, and what else is asked of `thalgpu permute`."""


def _maps(arm: str, study: StudyFile, people: People, measured: Measured) -> Maps:
    """What of an arm is tested; nothing where it was not measured, and of group gradients, which `compare` tests."""
    match arm:
        case "gradients" if measured.gradients:
            settings = study.arms[arm]
            more = {"component": settings["components"], "mask": settings["mask"], "atlas": settings["nuclei"]}
            return {"": ((measured.gradients,), more)}
        case "volumes" if measured.volumes:
            return {"": ((measured.volumes,), {})}
        case "thickness" if measured.thickness:
            return {"": ((measured.thickness,), {})}
        case "shape" if measured.displacement:
            files = [path for of_side in measured.displacement.values() for path in of_side]
            meshes = ",".join(str(measured.templates[side]) for side in measured.displacement)
            return {"": (_maps_of(files, people.ids), {"surface": meshes})}
        case "connectivity":
            names = study.arms[arm]["test"]
            found: dict[str, tuple[Sequence[Path], dict[str, Any]]]
            found = {name: (_connectivity(name, study, people, measured), {}) for name in names}
            return {name if len(names) > 1 else "": one for name, one in found.items()}
    return {}


def _connectivity(name: str, study: StudyFile, people: People, measured: Measured) -> Sequence[Path]:
    """A table, or the maps of a seed."""
    if name in measured.connectivity_tables:
        return (measured.connectivity_tables[name],)
    if name in measured.seed_maps:
        return _maps_of(measured.seed_maps[name], people.ids)
    raise study.error("arms.connectivity", "test", f"{name!r} was not written", "see the report of connectivity")


def _maps_of(paths: Sequence[Path], ids: Sequence[str]) -> tuple[Path, ...]:
    """A file a subject: those of the people only; anything else as it is."""
    chosen = set(ids)
    labelled = [(path, _label(path)) for path in paths]
    return tuple(path for path, label in labelled if label is None or label in chosen)


def _label(path: Path) -> str | None:
    first = path.name.split("_")[0]
    return first.removeprefix("sub-") if first.startswith("sub-") else None
