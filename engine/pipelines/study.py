"""`thalgpu study`: every arm measured, tested with one permutation set, corrected together, reported."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from thalgpu.engine.inference.joint_arms import JointArms
from thalgpu.engine.inference.model import InferenceOptions
from thalgpu.engine.inference.permutation_set import PermutationSet
from thalgpu.engine.inputs.study_file import StudyFile, read_study_file
from thalgpu.engine.inputs.study_settings import ARM_TITLES
from thalgpu.engine.outputs.atomic import sweep_temporaries
from thalgpu.engine.outputs.locks import check_is_ours, hold
from thalgpu.engine.pipelines.compare import CompareResult, run_compare
from thalgpu.engine.pipelines.compare_request import CompareRequest
from thalgpu.engine.pipelines.permute import run_permute
from thalgpu.engine.pipelines.permute_prepare import PermutePrepared, prepare_permute
from thalgpu.engine.pipelines.study_clinical import (
    Clinical,
    alike_in,
    alike_words,
    check_clinical,
    clinical_of,
    patient_groups,
    patients_of,
)
from thalgpu.engine.pipelines.study_folder import claim_study, remove_outdated_tests, write_study_files
from thalgpu.engine.pipelines.study_measures import Measured, measure, named, prepare_measures
from thalgpu.engine.pipelines.study_people import (
    People,
    read_people,
    with_inputs,
    with_measures,
    write_design,
    write_excluded,
)
from thalgpu.engine.pipelines.study_request import StudyRequest, n_perm_of, out_folder, seed_of
from thalgpu.engine.pipelines.study_results import Tested, join, result_rows, write_rows
from thalgpu.engine.pipelines.study_summaries import Summary, summaries, write_summaries
from thalgpu.engine.pipelines.study_tests import (
    ArmTest,
    adjusted_tests,
    arm_tests,
    check_design,
    check_permutations,
    check_seeds,
    check_shared,
    contrasts_among,
)
from thalgpu.engine.progress import Event, Progress, silent
from thalgpu.engine.report.study_page import ResultRow
from thalgpu.errors import InputError, NumericsError


@dataclass(frozen=True)
class StudyPrepared:
    """A checked request.

    Attributes
    ----------
    study : the study file.
    people : who takes part, as far as the table of participants tells.
    commands : command → what it prepared.
    out : where everything is written.
    """

    study: StudyFile
    people: People
    commands: Mapping[str, Any]
    out: Path


@dataclass
class StudyResult:
    """What a run did.

    Attributes
    ----------
    out : the output folder.
    people : who was tested, and who was not.
    measured : where the measures are.
    tested, adjusted : the tests of the arms, and those with a severity score as a covariate.
    joined : contrast → how the arms are corrected together.
    rows, adjusted_rows : arm → a row a contrast and part.
    group_gradients : the comparison of group gradients, or None.
    numbers : what every arm comes down to, a number a person.
    clinical : Table 1 and correlations with severity.
    permutations : what they were, in words.
    warnings : remarks on the whole.
    seconds : wall time.
    interrupted : exit code of the signal that stopped the run (130 or 143), or None.
    """

    out: Path
    people: People
    measured: Measured = field(default_factory=Measured)
    tested: list[Tested] = field(default_factory=list)
    adjusted: list[Tested] = field(default_factory=list)
    joined: Mapping[str, JointArms] = field(default_factory=dict)
    rows: Mapping[str, Sequence[ResultRow]] = field(default_factory=dict)
    adjusted_rows: Mapping[str, Sequence[ResultRow]] = field(default_factory=dict)
    group_gradients: CompareResult | None = None
    numbers: Sequence[Summary] = ()
    clinical: Clinical | None = None
    permutations: str = ""
    warnings: list[str] = field(default_factory=list)
    seconds: float = 0.0
    interrupted: int | None = None


def prepare_study(request: StudyRequest) -> StudyPrepared:
    """Check the study file, the people and the inputs of every command; nothing is written.

    Raises
    ------
    InputError, NumericsError, UsageError
        When something cannot be used; the study file's own errors have its line.
    ResourceError
        When a command does not fit into memory.
    """
    study = read_study_file(request.file)
    people = read_people(study)
    check_permutations(request, study, check_design(study, people, people.covariates))
    patient_groups(study, people)
    check_clinical(study, people)
    out = out_folder(request, study)
    check_is_ours(out)
    commands = prepare_measures(request, study)
    if "connectivity" in commands:
        connectivity = commands["connectivity"]
        check_seeds(study, connectivity.seeds.names, writes_maps=connectivity.writes_maps)
    there = _with_inputs(study, people, commands)
    if there.ids != people.ids:
        check_design(study, there, there.covariates)
        check_clinical(study, there)
    return StudyPrepared(study, there, commands, out)


def _with_inputs(study: StudyFile, people: People, commands: Mapping[str, Any]) -> People:
    usable = {
        name: {one.participant_id for one in command.subjects} - set(command.rejected)
        for name, command in commands.items()
    }
    rejected = {
        one: f"{name}: {error}" for name, command in commands.items() for one, error in command.rejected.items()
    }
    return with_inputs(people, study.study["subjects"], usable, rejected)


def run_study(
    request: StudyRequest, progress: Progress = silent, *, prepared: StudyPrepared | None = None
) -> StudyResult:
    """Run the study; what is done already is verified and skipped by each command.

    Parameters
    ----------
    request : what to do.
    progress : told of every command's stages.
    prepared : `prepare_study(request)` where the caller has it already.

    Raises
    ------
    InputError, NumericsError, UsageError
        When the study cannot be done.
    ResourceError
        Disk, memory, or another run in the same folder.
    """
    started = time.perf_counter()
    prepared = prepared or prepare_study(request)
    with hold(prepared.out):
        claim_study(request, prepared.study)
        sweep_temporaries(prepared.out)
        write_study_files(request, prepared.study)
        result = _Run(request, prepared, progress).run()
    result.seconds = time.perf_counter() - started
    return result


class _Run:
    """One run, and what has come of it so far."""

    def __init__(self, request: StudyRequest, prepared: StudyPrepared, progress: Progress) -> None:
        self.request, self.prepared, self.progress = request, prepared, progress
        self.study, self.out = prepared.study, prepared.out
        self.result = StudyResult(prepared.out, prepared.people)

    def run(self) -> StudyResult:
        """Measures, people, tests, what they find together, robustness, report; until a signal."""
        for step in (self._measure, self._test, self._adjust, self._compare, self._write):
            step()
            if self.result.interrupted is not None:
                break
        return self.result

    def _measure(self) -> None:
        result = self.result
        result.measured = measure(self.request, self.study, self.prepared.commands, self.progress)
        result.interrupted = result.measured.interrupted
        if result.interrupted is not None:
            return
        result.people = with_measures(self.prepared.people, result.measured.who, result.measured.failures)
        result.warnings += [*result.people.remarks, *result.measured.warnings]
        self._design("design.tsv", result.people)
        write_excluded(self.out / "excluded.tsv", result.people)

    def _design(self, name: str, people: People) -> Path:
        scores = [*self.study.clinical["severity"], *([self.study.clinical["sensitivity"]] * bool(self._score))]
        write_design(self.out / name, people, self.result.measured.icv, [*self.study.design["blocks"], *scores])
        return self.out / name

    @property
    def _score(self) -> str | None:
        score: str | None = self.study.clinical["sensitivity"]
        return score

    def _test(self) -> None:
        result = self.result
        tests = arm_tests(
            self.request,
            self.study,
            result.people,
            result.measured,
            design=self.out / "design.tsv",
            folder=self.out / "tests",
        )
        result.tested, permutations = self._permute(tests, [prepare_permute(test.request) for test in tests], "")
        if result.interrupted is None and permutations is not None:
            result.permutations = permutations.description
            result.joined = join(result.tested, permutations.fingerprint)
            result.rows = result_rows(result.tested, result.joined)

    def _permute(
        self, tests: Sequence[ArmTest], ready: Sequence[PermutePrepared], words: str
    ) -> tuple[list[Tested], PermutationSet | None]:
        """Run tests that share one permutation set; None without tests."""
        shared = check_shared([test.request.out.name for test in tests], [one.problem.permutations for one in ready])
        tested: list[Tested] = []
        for test, prepared in zip(tests, ready, strict=True):
            name = f"{test.request.out.name}{words}"
            found = run_permute(test.request, named(self.progress, name), prepared=prepared)
            if found.interrupted is not None:
                self.result.interrupted = found.interrupted
                break
            tested.append(Tested(test, found.found))
            known = prepared.problem.design.remarks  # of the people, who are told once
            self.result.warnings += [f"{name}: {text}" for text in found.warnings if text not in known]
        return tested, shared

    def _adjust(self) -> None:
        """The arms once more among patients, severity being a covariate."""
        if self._score is None or not self.result.tested:
            return
        try:
            tests, ready = self._adjusted(self._score)
        except (InputError, NumericsError) as error:  # too few are left for it: no reason to lose everything else
            self.result.warnings.append(f"not tested once more with {self._score}: {error}")
            return
        self.result.adjusted, permutations = self._permute(tests, ready, f", adjusted for {self._score}")
        if self.result.interrupted is None and permutations is not None:
            joined = join(self.result.adjusted, permutations.fingerprint)
            self.result.adjusted_rows = result_rows(self.result.adjusted, joined)

    def _adjusted(self, score: str) -> tuple[list[ArmTest], list[PermutePrepared]]:
        people = self.result.people
        patients = patients_of(self.study, people, with_score=score)
        alike = alike_in(patients, patients.ids)
        tests = adjusted_tests(
            [each.test for each in self.result.tested],
            contrasts_among(self.study, people, patients.groups),
            patients,
            score,
            alike=alike,
            design=self._design("design_patients.tsv", patients),
            folder=self.out / "tests-adjusted",
        )
        ready = [prepare_permute(test.request) for test in tests]
        told = alike_words(alike) if tests else ("no contrast is of patients alone",)
        self.result.warnings += [f"tests with {score}: {remark}" for remark in told]
        return tests, ready

    def _compare(self) -> None:
        settings = self.study.arms.get("group_gradients")
        if settings is None or self.result.measured.gradients is None:
            return
        wanted = CompareRequest(
            gradients=self.result.measured.gradients,
            design=self.out / "design.tsv",
            out=self.out / "group_gradients",
            covariates=self.study.design["covariates"],
            blocks=self.study.design["blocks"],
            whole=self.study.design["whole"],
            missing="drop",
            eig_tol=settings["eig_tol"],
            options=InferenceOptions(
                n_perm=settings["n_perm"] or n_perm_of(self.request, self.study),
                seed=seed_of(self.request, self.study),
                two_sided=True,
                tfce=settings["tfce"],
            ),
            workers=self.request.workers,
            scheduler=self.request.scheduler,
            memory=self.request.memory,
            overwrite=True,
        )
        found = run_compare(wanted, named(self.progress, "group gradients"))
        self.result.group_gradients, self.result.interrupted = found, found.interrupted

    def _write(self) -> None:
        from thalgpu.engine.pipelines.study_page import write_report  # loads matplotlib, which a worker never needs

        self.progress(Event("stage", "report", total=1))
        result = self.result
        current = [each.test.request.out for each in (*result.tested, *result.adjusted)]
        result.warnings += remove_outdated_tests(self.out, current)
        result.numbers = summaries(result.tested)
        result.clinical = clinical_of(
            self.study,
            result.people,
            result.numbers,
            n_perm=n_perm_of(self.request, self.study),
            seed=seed_of(self.request, self.study),
        )
        result.warnings += result.clinical.remarks
        result.clinical.write(self.out)
        write_summaries(self.out / "measures.tsv", result.numbers)
        write_rows(self.out / "results.tsv", result.rows, ARM_TITLES)
        write_report(self.request, self.prepared, self.result)
        self.progress(Event("step", "written", 1, 1))
