"""The design that all tests of a study have: formula, contrasts, permutations, and what they would refuse."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from itertools import combinations

from thalgpu.engine.inference.check_options import check_options
from thalgpu.engine.inference.coding import finite_number
from thalgpu.engine.inference.model import Design, InferenceOptions
from thalgpu.engine.inference.permutation_set import plan_permutations
from thalgpu.engine.inference.table_design import design_from_table
from thalgpu.engine.inputs.study_file import StudyFile
from thalgpu.engine.pipelines.study_people import People
from thalgpu.engine.pipelines.study_request import StudyRequest, n_perm_of, seed_of


def contrasts_of(study: StudyFile, people: People) -> tuple[str, ...]:
    """The study's contrasts; every pair of groups where it names none."""
    pairs = tuple(f"{_name(one)} - {_name(other)}" for one, other in combinations(people.groups, 2))
    return study.design["contrasts"] or pairs


def formula_of(people: People, covariates: Sequence[str]) -> str:
    """The group, then covariates."""
    coded = all(finite_number(group) is not None for group in people.groups)  # 1, 2, 3 are names here, not numbers
    return " + ".join(["C(group)" if coded else "group", *map(_name, covariates)])


def f_tests_of(people: People) -> tuple[str, ...]:
    """Whether the groups differ at all, where there are more than two."""
    return ("group",) if len(people.groups) > 2 else ()


def options_of_arm(
    request: StudyRequest, study: StudyFile, settings: Mapping[str, object], *, is_table: bool
) -> InferenceOptions:
    """How an arm is tested; the features of a table touch nobody."""
    spatial = {} if is_table else {name: settings[name] for name in ("tfce", "cluster_threshold") if name in settings}
    tail = {"tail": settings["tail"]} if "tail" in settings else {}
    return InferenceOptions(
        n_perm=n_perm_of(request, study),
        seed=seed_of(request, study),
        two_sided=study.design["two_sided"],
        **spatial,  # type: ignore[arg-type]  # the study file checked their kinds
        **tail,  # type: ignore[arg-type]  # as above
    )


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
        formula_of(people, covariates),
        contrasts_of(study, people) if contrasts is None else contrasts,
        f_tests_of(people),
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
        options = options_of_arm(request, study, settings, is_table=False)
        check_options(options)
        check_options(replace(options, n_perm=settings.get("n_perm") or options.n_perm))
        plan_permutations(design, options)


def contrasts_among(study: StudyFile, people: People, groups: Collection[str]) -> tuple[str, ...]:
    """Contrasts of the study without weights on any but some groups."""
    design = check_design(study, people, people.covariates)
    others = [design.columns.index(f"group[{group}]") for group in people.groups if group not in groups]
    contrasts = zip(contrasts_of(study, people), design.contrasts, strict=False)  # F tests come after them
    return tuple(text for text, contrast in contrasts if not contrast.weights[:, others].any())


def _name(text: str) -> str:
    """A name as formulas and contrasts take it."""
    plain = text.isidentifier()
    return text if plain else f"`{text}`"
