"""`thalgpu study`: every arm measured, tested with one permutation set, corrected together, reported."""

import time
from collections.abc import Mapping
from typing import Any

from thalgpu.engine.cluster.interrupts import Interrupts, catch_interrupts
from thalgpu.engine.inputs.study_file import read_study_file
from thalgpu.engine.inputs.study_settings import ARM_TITLES
from thalgpu.engine.outputs.atomic import sweep_temporaries
from thalgpu.engine.outputs.locks import check_is_ours, hold
from thalgpu.engine.pipelines.compare import run_compare
from thalgpu.engine.pipelines.study_clinical import check_clinical, clinical_of, patient_groups
from thalgpu.engine.pipelines.study_design import check_design, check_permutations
from thalgpu.engine.pipelines.study_folder import claim_study, remove_outdated_tests, write_study_files
from thalgpu.engine.pipelines.study_measures import measure, named, prepare_measures
from thalgpu.engine.pipelines.study_model import StudyPrepared, StudyResult
from thalgpu.engine.pipelines.study_people import read_people, with_inputs, with_measures, write_excluded
from thalgpu.engine.pipelines.study_request import StudyRequest, comparison_request, n_perm_of, out_folder, seed_of
from thalgpu.engine.pipelines.study_results import write_rows
from thalgpu.engine.pipelines.study_rounds import Round, first_round, second_round
from thalgpu.engine.pipelines.study_share import measure_share
from thalgpu.engine.pipelines.study_summaries import summaries, write_summaries
from thalgpu.engine.pipelines.study_tests import check_seeds
from thalgpu.engine.progress import Event, Progress, silent


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
    there = with_inputs(people, study.study["subjects"], *_usable_and_rejected(commands))
    if there.ids != people.ids:
        check_design(study, there, there.covariates)
        check_clinical(study, there)
    return StudyPrepared(study, there, commands, out)


def _usable_and_rejected(commands: Mapping[str, Any]) -> tuple[dict[str, set[str]], dict[str, str]]:
    """Command → whom it can measure; participant → why a command cannot."""
    usable = {
        name: {one.participant_id for one in command.subjects} - set(command.rejected)
        for name, command in commands.items()
    }
    rejected = {
        one: f"{name}: {error}" for name, command in commands.items() for one, error in command.rejected.items()
    }
    return usable, rejected


def run_study(
    request: StudyRequest, progress: Progress = silent, *, prepared: StudyPrepared | None = None
) -> StudyResult:
    """Run the study, or a shard's share of its measures; what is done already is verified and skipped.

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
    shard = request.shard
    with hold(prepared.out, shard.name if shard else None), catch_interrupts() as interrupts:  # the commands', too
        claim_study(request, prepared.study)
        if shard is None:  # the others are at work on theirs
            sweep_temporaries(prepared.out)
        write_study_files(request, prepared.study)
        result = _Run(request, prepared, progress, interrupts).run()
    result.seconds = time.perf_counter() - started
    return result


class _Run:
    """One run, and what has come of it so far."""

    def __init__(
        self, request: StudyRequest, prepared: StudyPrepared, progress: Progress, interrupts: Interrupts
    ) -> None:
        self.request, self.prepared, self.progress, self.interrupts = request, prepared, progress, interrupts
        self.study, self.out = prepared.study, prepared.out
        self.result = StudyResult(prepared.out, prepared.people)

    def run(self) -> StudyResult:
        """Measures, people, tests, what they find together, robustness, report; until a signal."""
        whole = (self._measure, self._choose, self._test, self._compare, self._write)
        for step in whole if self.request.shard is None else (self._measure_share,):
            if self.interrupts.requested:
                self.result.interrupted = self.interrupts.exit_code
                break
            step()
        return self.result

    def _measure_share(self) -> None:
        """All that a shard can do without the others."""
        share = measure_share(self.request, self.study, self.prepared.commands, self.progress, self.interrupts)
        self.result.share, self.result.interrupted = share, share.interrupted

    def _measure(self) -> None:
        self.result.measured = measure(self.request, self.study, self.prepared.commands, self.progress)
        self.result.interrupted = self.result.measured.interrupted

    def _choose(self) -> None:
        """Those of whom there is every measure."""
        result = self.result
        result.people = with_measures(self.prepared.people, result.measured.who, result.measured.failures)
        result.warnings += [*result.people.remarks, *result.measured.warnings]
        write_excluded(self.out / "excluded.tsv", result.people)

    def _test(self) -> None:
        """Everybody, then patients with severity as a covariate."""
        result, about = self.result, (self.request, self.study, self.result.people, self.result.measured)
        first = self._noted(first_round(*about, self.progress))
        result.tested, result.joined, result.rows = first.tested, first.joined, first.rows
        result.permutations = first.permutations
        if result.interrupted is None:
            second = self._noted(second_round(*about, first, self.progress))
            result.adjusted, result.adjusted_rows = second.tested, second.rows

    def _noted(self, found: Round) -> Round:
        self.result.warnings += found.warnings
        self.result.interrupted = found.interrupted
        return found

    def _compare(self) -> None:
        """Gradients of group means."""
        measured = self.result.measured
        if "group_gradients" in self.study.arms and measured.gradients is not None:
            wanted = comparison_request(self.request, self.study, measured.gradients)
            found = run_compare(wanted, named(self.progress, "group gradients"))
            self.result.group_gradients, self.result.interrupted = found, found.interrupted

    def _write(self) -> None:
        """Table 1, severity, tables and report."""
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
