"""The permutation tests of a study: all arms with everybody, then once more among patients, adjusted for severity."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from thalgpu.engine.cluster.interrupts import catch_interrupts
from thalgpu.engine.inference.joint_arms import JointArms
from thalgpu.engine.inputs.study_file import StudyFile
from thalgpu.engine.pipelines.permute import run_permute
from thalgpu.engine.pipelines.permute_prepare import PermutePrepared, prepare_permute
from thalgpu.engine.pipelines.study_clinical import alike_in, alike_words, patients_of
from thalgpu.engine.pipelines.study_design import contrasts_among
from thalgpu.engine.pipelines.study_measures import Measured, named
from thalgpu.engine.pipelines.study_people import People, write_design
from thalgpu.engine.pipelines.study_request import StudyRequest, out_folder
from thalgpu.engine.pipelines.study_results import Tested, join, result_rows
from thalgpu.engine.pipelines.study_tests import ArmTest, adjusted_tests, arm_tests, check_shared
from thalgpu.engine.progress import Progress
from thalgpu.engine.report.study_page import ResultRow
from thalgpu.errors import InputError, NumericsError


@dataclass(frozen=True)
class Round:
    """What the arms found, tested with one permutation set.

    Attributes
    ----------
    tested : the tests.
    joined : contrast → how the arms are corrected together.
    rows : arm → a row a contrast and part.
    permutations : what they were, in words.
    warnings : remarks on the tests.
    interrupted : exit code of the signal that stopped it (130 or 143), or None.
    """

    tested: Sequence[Tested] = ()
    joined: Mapping[str, JointArms] = field(default_factory=dict)
    rows: Mapping[str, Sequence[ResultRow]] = field(default_factory=dict)
    permutations: str = ""
    warnings: tuple[str, ...] = ()
    interrupted: int | None = None


def first_round(
    request: StudyRequest, study: StudyFile, people: People, measured: Measured, progress: Progress
) -> Round:
    """Every arm with everybody who has every measure; `tests` and `design.tsv`."""
    out = out_folder(request, study)
    design = _write_design(out / "design.tsv", study, people, measured)
    tests = arm_tests(request, study, people, measured, design=design, folder=out / "tests")
    return _run(tests, [prepare_permute(test.request) for test in tests], "", progress)


def second_round(
    request: StudyRequest, study: StudyFile, people: People, measured: Measured, first: Round, progress: Progress
) -> Round:
    """The arms once more among patients, the study's score being a covariate; `tests-adjusted`, `design_patients.tsv`.

    Nothing where the study names no score, and a remark where too few patients are left.
    """
    score: str | None = study.clinical["sensitivity"]
    if score is None or not first.tested:
        return Round()
    out = out_folder(request, study)
    try:
        patients = patients_of(study, people, with_score=score)
        alike = alike_in(patients, patients.ids)
        tests = adjusted_tests(
            [each.test for each in first.tested],
            contrasts_among(study, people, patients.groups),
            patients,
            score,
            alike=alike,
            design=_write_design(out / "design_patients.tsv", study, patients, measured),
            folder=out / "tests-adjusted",
        )
        ready = [prepare_permute(test.request) for test in tests]
    except (InputError, NumericsError) as error:  # too few are left for it: no reason to lose everything else
        return Round(warnings=(f"not tested once more with {score}: {error}",))
    found = _run(tests, ready, f", adjusted for {score}", progress)
    told = alike_words(alike) if tests else ("no contrast is of patients alone",)
    return replace(found, warnings=(*(f"tests with {score}: {remark}" for remark in told), *found.warnings))


def _run(tests: Sequence[ArmTest], ready: Sequence[PermutePrepared], words: str, progress: Progress) -> Round:
    """Run tests that share one permutation set, and correct them together."""
    shared = check_shared([test.request.out.name for test in tests], [one.problem.permutations for one in ready])
    tested: list[Tested] = []
    warnings: list[str] = []
    with catch_interrupts() as interrupts:  # a signal may come while a test that is complete is written
        for test, prepared in zip(tests, ready, strict=True):
            name = f"{test.request.out.name}{words}"
            found = run_permute(test.request, named(progress, name), prepared=prepared)
            if interrupts.requested:
                return Round(interrupted=interrupts.exit_code)
            tested.append(Tested(test, found.found))
            known = prepared.problem.design.remarks  # of the people, who are told once
            warnings += [f"{name}: {text}" for text in found.warnings if text not in known]
    if shared is None:
        return Round()
    joined = join(tested, shared.fingerprint)
    return Round(tested, joined, result_rows(tested, joined), shared.description, tuple(warnings))


def _write_design(path: Path, study: StudyFile, people: People, measured: Measured) -> Path:
    """The table of a round: groups, covariates, blocks and scores."""
    score = study.clinical["sensitivity"]
    scores = [*study.clinical["severity"], *((score,) if score else ())]
    write_design(path, people, measured.icv, [*study.design["blocks"], *scores])
    return path
