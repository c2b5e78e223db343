"""The permutation tests of a study: one request an arm, all with the same people, design and permutations."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Any

from thalgpu.engine.inference.check_options import check_options
from thalgpu.engine.inference.coding import finite_number
from thalgpu.engine.inference.model import Design, InferenceOptions
from thalgpu.engine.inference.permutation_set import PermutationSet, plan_permutations
from thalgpu.engine.inference.table_design import design_from_table
from thalgpu.engine.inference.words import repeated
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
    covariates : in the formula, beside the group.
    request : what is asked of `thalgpu permute`.
    """

    arm: str
    part: str
    covariates: tuple[str, ...]
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
        covariates = people.covariates
        if arm == "volumes" and settings["icv"] == "covariate" and measured.icv and "icv" not in covariates:
            covariates = (*covariates, "icv")
        for part, (maps, more) in _maps(arm, study, people, measured).items():
            wanted = PermuteRequest(
                maps=tuple(maps),
                design=design,
                out=folder / (f"{arm}-{part}" if part else arm),
                formula=_formula(people, covariates),
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
    if not contrasts and not _f_tests(patients):
        return []
    return [
        replace(
            test,
            request=replace(
                test.request,
                design=design,
                out=folder / test.request.out.name,
                formula=_formula(patients, (*(name for name in test.covariates if name not in alike), score)),
                contrast=contrasts,
                f_test=_f_tests(patients),
                maps=_maps_of(test.request.maps, patients.ids),
            ),
        )
        for test in tests
    ]


def check_design(
    study: StudyFile, people: People, covariates: Sequence[str], contrasts: Sequence[str] | None = None
) -> Design:
    """What every test would refuse, before anything is measured: contrasts, covariates, blocks, rank.

    Raises
    ------
    NumericsError
        As `design_from_table`.
    """
    if study.design["whole"] and not study.design["blocks"]:
        raise study.error("design", "whole", "whole speaks of blocks, which are not given", "add blocks")
    columns = {**people.table.columns, "group": tuple(people.group_of[one] for one in people.ids)}
    return design_from_table(
        columns,
        people.ids,
        _formula(people, covariates),
        contrasts_of(study, people) if contrasts is None else contrasts,
        _f_tests(people),
        blocks=study.design["blocks"] or None,
        whole=study.design["whole"],
    )


def check_permutations(request: StudyRequest, study: StudyFile, design: Design) -> None:
    """What every test would refuse: numbers of permutations, blocks that let nobody move, how maps are tested.

    Raises
    ------
    NumericsError, UsageError
        As `plan_permutations` and `check_options`.
    """
    for settings in study.arms.values():
        options = _options(request, study, settings, is_table=False)
        check_options(options)
        check_options(replace(options, n_perm=settings.get("n_perm") or options.n_perm))
        plan_permutations(design, options)


def contrasts_among(study: StudyFile, people: People, groups: Collection[str]) -> tuple[str, ...]:
    """Contrasts of the study without weights on any but some groups."""
    design = check_design(study, people, people.covariates)
    others = [design.columns.index(f"group[{group}]") for group in people.groups if group not in groups]
    contrasts = zip(contrasts_of(study, people), design.contrasts, strict=False)  # F tests come after them
    return tuple(text for text, contrast in contrasts if not contrast.weights[:, others].any())


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


def _formula(people: People, covariates: Sequence[str]) -> str:
    coded = all(finite_number(group) is not None for group in people.groups)  # 1, 2, 3 are names here, not numbers
    return " + ".join(["C(group)" if coded else "group", *map(_name, covariates)])


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
        **tail,  # type: ignore[arg-type]  # as above
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
