"""`thalgpu compare`: group gradients re-estimated inside every permutation, in blocks on any workers."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

from threadpoolctl import threadpool_limits

from thalgpu.engine.cluster.shards import Shard, ShardDone
from thalgpu.engine.comparison.blocks import BlockResult, merge_blocks, observe, observed_vectors
from thalgpu.engine.comparison.finish import finish
from thalgpu.engine.comparison.statistics import principal_angles
from thalgpu.engine.comparison.verification import Verified, verify
from thalgpu.engine.config import config_key
from thalgpu.engine.inference.stretches import merge_all, stretches
from thalgpu.engine.outputs.atomic import disk_errors
from thalgpu.engine.outputs.store import is_done
from thalgpu.engine.pipelines.at_work import own_folder, workers_for
from thalgpu.engine.pipelines.block_runs import BlockRun, RunResult, block_records, found_and_left, result_of
from thalgpu.engine.pipelines.compare_folder import claim_folder, write_folder_files
from thalgpu.engine.pipelines.compare_outputs import write_outputs
from thalgpu.engine.pipelines.compare_prepare import ComparePrepared, Embedded, prepare_compare
from thalgpu.engine.pipelines.compare_records import read_block, write_block, write_study
from thalgpu.engine.pipelines.compare_request import CompareRequest
from thalgpu.engine.pipelines.compare_stage import (
    RESULT_VERSION,
    CompareTask,
    VerifyTask,
    run_compare_task,
    run_verify_task,
)
from thalgpu.engine.pipelines.compare_tables import ComparisonResult
from thalgpu.engine.progress import Event, Progress, silent

CompareResult: TypeAlias = RunResult[ComparisonResult]
"""What a run did, each comparison of each embedding."""


def run_compare(
    request: CompareRequest, progress: Progress = silent, *, prepared: ComparePrepared | None = None
) -> CompareResult:
    """Run the comparison; blocks that are done already are verified and skipped.

    Parameters
    ----------
    request : what to do.
    progress : told of every stage and block.
    prepared : `prepare_compare(request)` where the caller has it already.

    Raises
    ------
    InputError, NumericsError, UsageError
        When the comparison cannot be done.
    ResourceError
        Disk, memory, or another run in the same folder.
    """
    started = time.perf_counter()
    prepared = prepared or prepare_compare(request)
    with (
        own_folder(request, prepared.plan.disk_bytes) as interrupts,
        workers_for(request, prepared.plan, interrupts, progress) as workers,
    ):
        result = CompareResult(request.out, warnings=prepared.warnings)
        _Run(request, prepared, progress, interrupts, workers, result).run()
    result.seconds = time.perf_counter() - started
    return result


class _Run(BlockRun[CompareRequest, ComparePrepared, ComparisonResult]):
    """One run, and what has come of it so far."""

    def run(self) -> None:
        """Each embedding's comparisons: blocks, p-values; then files and report."""
        request, prepared = self.request, self.prepared
        key = config_key(RESULT_VERSION, [embedded.key for embedded in prepared.embeddings])
        claim_folder(request, key)
        write_folder_files(request, key)
        if request.shard is not None:
            self._run_shard(request.shard)
            return
        found = []
        for embedded in prepared.embeddings:
            path = self._study(embedded)
            for number in range(len(embedded.study.comparisons)):
                one = self._comparison(embedded, path, number)
                if one is None:
                    self.result.interrupted = self.interrupts.exit_code
                    return
                found.append(one)
        self.result.found = found
        self._write(key)

    def _run_shard(self, shard: Shard) -> None:
        """Records of this shard's blocks of every comparison that is not done."""
        n_done = n_mine = n_all = 0
        for embedded in self.prepared.embeddings:
            path = self._study(embedded)
            for number, comparison in enumerate(embedded.study.comparisons):
                tasks = self._tasks(embedded, path, number)
                mine = shard.mine(tasks)
                n_all, n_mine = n_all + len(tasks), n_mine + len(mine)
                if is_done(*self._whole(embedded, number)):
                    n_done += len(mine)
                    continue
                self.progress(Event("stage", comparison.name, total=len(mine)))
                found, left = found_and_left(mine)
                n_done += sum(1 for _ in block_records(run_compare_task, found, left, self.workers, self.progress))
        self.result.shard = ShardDone(shard, n_done, n_mine, n_all, "blocks of permutations")
        if n_done < n_mine:
            self.result.interrupted = self.interrupts.exit_code

    def _study(self, embedded: Embedded) -> Path:
        """Where workers read what is compared, written if it is not there."""
        path = self.folder / f"{_prefix(embedded)}study.h5"
        if not is_done(path, embedded.key):
            write_study(path, embedded, self.prepared.groups)
        return path

    @property
    def folder(self) -> Path:
        """Where the studies and the blocks' records are."""
        return self.request.out / "blocks"

    def _comparison(self, embedded: Embedded, path: Path, number: int) -> ComparisonResult | None:
        """One comparison's p-values; None after a signal."""
        result = self._blocks(embedded, path, number)
        if result is None:
            return None
        verified = self._verified(embedded, path, number)
        if verified is None:
            return None
        study = embedded.study
        with threadpool_limits(1):
            parts = finish(study, number, observe(study, number), result)
            is_pair = study.comparisons[number].is_pair
            angles = principal_angles(*observed_vectors(study, number)) if is_pair else None
        return ComparisonResult(embedded, number, parts, result, verified, angles)

    def _blocks(self, embedded: Embedded, path: Path, number: int) -> BlockResult | None:
        """What all permutations left behind, from an earlier run or this one."""
        comparison = embedded.study.comparisons[number]
        tasks = self._tasks(embedded, path, number)
        self.result.n_blocks += len(tasks)
        whole, key = self._whole(embedded, number)
        if is_done(whole, key):
            self.result.n_skipped += len(tasks)
            _remove(tasks)  # which a run that was killed just then has left
            return read_block(whole)
        self.progress(Event("stage", comparison.name, total=len(tasks)))
        found, left = found_and_left(tasks)
        self.result.n_skipped += len(found)
        done = list(block_records(run_compare_task, found, left, self.workers, self.progress))
        if len(done) < len(tasks):
            return None
        result = merge_all(map(read_block, sorted(done)), merge_blocks)
        write_block(whole, result, key)
        _remove(tasks)
        return result

    def _tasks(self, embedded: Embedded, path: Path, number: int) -> list[CompareTask]:
        """The blocks of a comparison."""
        comparison = embedded.study.comparisons[number]
        stem = self.folder / f"{_prefix(embedded)}{comparison.label}-block-"
        return [
            CompareTask(path, embedded.key, number, *cut, Path(f"{stem}{cut[0]:010d}.h5"))
            for cut in stretches(comparison.permutations.n_perm)
        ]

    def _whole(self, embedded: Embedded, number: int) -> tuple[Path, str]:
        """Record of all permutations of a comparison, and its identity."""
        label = embedded.study.comparisons[number].label
        key = config_key(RESULT_VERSION, embedded.key, number)
        return self.folder / f"{_prefix(embedded)}{label}-null.h5", key

    def _verified(self, embedded: Embedded, path: Path, number: int) -> Verified | None:
        """Errors of a random sample against the exact path, 0 where all took that; None after a signal."""
        if embedded.study.path != "reduced":
            return verify(embedded.study, number, embedded.study.options.seed)
        for outcome in self.workers.run(run_verify_task, [VerifyTask(path, embedded.key, number)]):
            return result_of(outcome)
        return None

    def _write(self, key: str) -> None:
        self.progress(Event("stage", "results", total=1))
        write_outputs(self.request, self.prepared, self.result.found, key)
        from thalgpu.engine.pipelines.compare_page import write_report  # loads matplotlib, which a worker never needs

        self.result.warnings += write_report(self.request, self.prepared, self.result.found)
        self.progress(Event("step", "written", 1, 1))


def _remove(tasks: Sequence[CompareTask]) -> None:
    """Remove the records of blocks that are merged."""
    for task in tasks:
        with disk_errors(task.record):
            task.record.unlink(missing_ok=True)


def _prefix(embedded: Embedded) -> str:
    return f"hemi-{embedded.hemisphere}_" if embedded.hemisphere else ""
