"""The permutation tests of a study: one request an arm, all with the same people, design and permutations."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Any

from thalgpu.engine.inference.model import InferenceOptions
from thalgpu.engine.inference.permutation_set import PermutationSet
from thalgpu.engine.inference.table_design import design_from_table
from thalgpu.engine.inputs.study_file import StudyFile
from thalgpu.engine.pipelines.connectivity_tables import NAMES as CONNECTIVITY_TABLES
from thalgpu.engine.pipelines.permute_request import PermuteRequest
from thalgpu.engine.pipelines.study_measures import Measured
from thalgpu.engine.pipelines.study_people import People
from thalgpu.engine.pipelines.study_request import StudyRequest, n_perm_of, seed_of
from thalgpu.errors import NumericsError


@dataclass(frozen=True)
class ArmTest:
    """One permutation test of an arm.

    Attributes
    ----------
    arm : its name in the study file.
    part : which of several tests of the arm, e.g. a seed; "" for the only one.
    request : what is asked of `thalgpu permute`.
    """

    arm: str
    part: str
    request: PermuteRequest


def contrasts_of(study: StudyFile, people: People) -> tuple[str, ...]:
    """The study's contrasts; every pair of groups where it names none."""
    pairs = tuple(f"{_name(one)} - {_name(other)}" for one, other in combinations(people.groups, 2))
    return study.design["contrasts"] or pairs


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
        covariates = list(people.covariates)
        if arm == "volumes" and settings["icv"] == "covariate" and measured.icv:
            covariates.append("icv")
        for part, (maps, more) in _maps(arm, study, people, measured).items():
            wanted = PermuteRequest(
                maps=tuple(maps),
                design=design,
                out=folder / (f"{arm}-{part}" if part else arm),
                formula=_formula(covariates),
                contrast=contrasts_of(study, people),
                f_test=_f_tests(people),
                blocks=",".join(study.design["blocks"]) or None,
                whole=study.design["whole"],
                missing="drop",  # the maps may be of more people than are tested
                options=_options(request, study, settings, is_table=maps[0].suffix == ".tsv"),
                workers=request.workers,
                scheduler=request.scheduler,
                memory=request.memory,
                gpus=request.gpus,
                overwrite=True,  # the study's own folder says which settings it is of
            )
            tests.append(ArmTest(arm, part, replace(wanted, **more)))
    return tests


def adjusted_tests(
    tests: Sequence[ArmTest], everybody: People, patients: People, score: str, *, design: Path, folder: Path
) -> list[ArmTest]:
    """The same tests among patients, with a severity score as one more covariate.

    Parameters
    ----------
    everybody, patients : contrasts with groups of which nobody is a patient are left out.
    design, folder : as of `arm_tests`, of the patients.
    """
    others = [group for group in everybody.groups if group not in patients.groups]
    kept = tuple(
        text
        for text in tests[0].request.contrast
        if not any(re.search(rf"(?<![\w.]){re.escape(other)}(?![\w.])", text) for other in others)
    )
    if not kept:
        return []
    return [
        replace(
            test,
            request=replace(
                test.request,
                design=design,
                out=folder / test.request.out.name,
                formula=f"{test.request.formula} + {_name(score)}",
                contrast=kept,
                f_test=_f_tests(patients),
                maps=_maps_of(test.request.maps, patients.ids),
            ),
        )
        for test in tests
    ]


def check_design(study: StudyFile, people: People) -> None:
    """What every test would refuse, before anything is measured: contrasts, covariates, blocks, rank.

    Raises
    ------
    NumericsError
        As `design_from_table`.
    """
    columns = {**people.table.columns, "group": tuple(people.group_of[one] for one in people.ids)}
    design_from_table(
        columns,
        people.ids,
        _formula(people.covariates),
        contrasts_of(study, people),
        _f_tests(people),
        blocks=study.design["blocks"] or None,
        whole=study.design["whole"],
    )


def check_seeds(study: StudyFile, seeds: Sequence[str]) -> None:
    """InputError where the arm of connectivity tests what there is not."""
    for name in study.arms["connectivity"]["test"]:
        if name not in (known := (*CONNECTIVITY_TABLES, *seeds)):
            raise study.error(
                "arms.connectivity", "test", f"there is no {name!r} to test", f"there are {', '.join(known)}"
            )


def _formula(covariates: Sequence[str]) -> str:
    return " + ".join(["group", *map(_name, covariates)])


def _f_tests(people: People) -> tuple[str, ...]:
    return ("group",) if len(people.groups) > 2 else ()


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


def _options(
    request: StudyRequest, study: StudyFile, settings: Mapping[str, object], *, is_table: bool
) -> InferenceOptions:
    spatial = {} if is_table else {name: settings[name] for name in ("tfce", "cluster_threshold") if name in settings}
    tail = {"tail": settings["tail"]} if "tail" in settings else {}
    return InferenceOptions(
        n_perm=n_perm_of(request, study),
        seed=seed_of(request, study),
        two_sided=study.design["two_sided"],
        **spatial,  # type: ignore[arg-type]  # the study file checked their kinds
        **tail,  # type: ignore[arg-type]
    )


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


def _name(text: str) -> str:
    """A name as formulas and contrasts take it."""
    plain = text.isidentifier()
    return text if plain else f"`{text}`"
