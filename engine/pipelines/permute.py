"""`thalgpu permute`: blocks of permutations on any workers, merged, finished, written; each only where needed."""

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from thalgpu.engine.cluster.interrupts import Interrupted
from thalgpu.engine.cluster.shards import Shard, ShardDone
from thalgpu.engine.config import config_key
from thalgpu.engine.inference.blocks import prepare_test
from thalgpu.engine.inference.finish import ContrastResult, finish
from thalgpu.engine.inference.null_maxima import Measure, Null, merge
from thalgpu.engine.inference.stretches import Settling, merge_all, stretches
from thalgpu.engine.outputs.atomic import check_space, disk_errors
from thalgpu.engine.outputs.store import is_done
from thalgpu.engine.pipelines.at_work import own_folder, workers_for
from thalgpu.engine.pipelines.block_runs import BlockRun, RunResult, block_records, found_and_left, result_of
from thalgpu.engine.pipelines.permute_folder import check_folder, claim_folder, write_folder_files
from thalgpu.engine.pipelines.permute_loops import compile_loops
from thalgpu.engine.pipelines.permute_outputs import PartResult, remove_results, split_results, write_outputs
from thalgpu.engine.pipelines.permute_prepare import PermutePrepared, prepare_permute
from thalgpu.engine.pipelines.permute_records import OF_RESULTS, problem_content, read_null, write_null, write_problem
from thalgpu.engine.pipelines.permute_request import PermuteRequest
from thalgpu.engine.pipelines.permute_stage import (
    RESULT_VERSION,
    BlockTask,
    ValuesTask,
    forget_problem,
    run_block_task,
    run_values_task,
)
from thalgpu.engine.progress import Event, Progress, silent

PermuteResult: TypeAlias = RunResult[PartResult]
"""What a run did, each contrast on each part."""


def run_permute(
    request: PermuteRequest, progress: Progress = silent, *, prepared: PermutePrepared | None = None
) -> PermuteResult:
    """Run the test; blocks that are done already are verified and skipped.

    Parameters
    ----------
    request : what to do.
    progress : told of every stage and block.
    prepared : `prepare_permute(request)` where the caller has it already.

    Raises
    ------
    InputError, NumericsError, UsageError
        When the test cannot be done.
    ResourceError
        Disk, memory, or another run in the same folder.
    """
    started = time.perf_counter()
    prepared = prepared or prepare_permute(request)
    plan = prepared.plan
    with own_folder(request, plan.disk_bytes) as interrupts:
        with workers_for(
            request, plan, interrupts, progress, gpus=plan.gpus, device_bytes=plan.device_bytes
        ) as workers:
            result = PermuteResult(request.out, warnings=prepared.warnings)
            _Run(request, prepared, progress, interrupts, workers, result).run()
        if result.interrupted is None and request.shard is None:
            _remove_blocks(request.out)  # now that nobody is at work on one that came too late to be needed
    result.seconds = time.perf_counter() - started
    return result


def check_run(request: PermuteRequest, prepared: PermutePrepared) -> None:
    """What else `run_permute` would refuse before it starts: too small a disk, a folder of another test."""
    check_space(request.out, prepared.plan.disk_bytes)
    content = problem_content(_blocks(request.out) / "problem.h5", prepared.problem)
    check_folder(request, _results_key(content, request))


class _Run(BlockRun[PermuteRequest, PermutePrepared, PartResult]):
    """One run, and what has come of it so far."""

    def run(self) -> None:
        """Blocks, then p-values, files and report."""
        request, prepared = self.request, self.prepared
        self.result.n_blocks = len(self.cuts)
        content = problem_content(self.problem, prepared.problem)
        key = _results_key(content, request)
        claim_folder(request, key)
        write_folder_files(request, key)
        write_problem(self.problem, prepared.problem)
        if request.shard is not None:
            self._run_shard(request.shard, content)
            return
        null = self._null(content)
        if null is not None:
            self._write(self._finish(null, content), key)
        else:
            self.result.interrupted = self.interrupts.exit_code

    @property
    def cuts(self) -> list[tuple[int, int]]:
        """First and last + 1 permutation of every block."""
        return stretches(self.prepared.problem.permutations.n_perm)

    @property
    def folder(self) -> Path:
        """Where the problem and the blocks' records are."""
        return _blocks(self.request.out)

    @property
    def problem(self) -> Path:
        """Where workers read the problem."""
        return self.folder / "problem.h5"

    def _null(self, content: str) -> Null | None:
        """What all permutations left behind, from an earlier run or this one; None after a signal."""
        whole, key = self.folder / "null.h5", config_key(RESULT_VERSION, content)
        if is_done(whole, key):
            self.result.n_skipped = self.result.n_blocks
            return read_null(whole)
        null = self._run_blocks(content)
        if null is not None:
            write_null(whole, null, key)
        return null

    def _run_shard(self, shard: Shard, content: str) -> None:
        """Records of this shard's blocks, all of them: whether fewer are enough only the whole run can tell."""
        tasks = self._tasks(content)
        mine = shard.mine(tasks)
        n_done = len(mine)
        if not is_done(self.folder / "null.h5", config_key(RESULT_VERSION, content)):
            self.progress(Event("stage", "permutations", total=len(mine)))
            n_done = sum(1 for _ in self._records(mine))
        self.result.shard = ShardDone(shard, n_done, len(mine), len(tasks), "blocks of permutations")
        if n_done < len(mine):
            self.result.interrupted = self.interrupts.exit_code

    def _tasks(self, content: str) -> list[BlockTask]:
        return [BlockTask(self.problem, content, *cut, self._record(cut[0])) for cut in self.cuts]

    def _run_blocks(self, content: str) -> Null | None:
        tasks = self._tasks(content)
        self.progress(Event("stage", "permutations", total=len(tasks)))
        settling = Settling() if self.prepared.problem.options.stop_after else None
        done: list[Path] = []
        for path in self._records(tasks):
            done.append(path)
            if settling is not None:
                settling.take(read_null(path))
                if settling.is_settled:
                    return settling.null
        if len(done) < len(tasks):
            return None
        if settling is not None:
            return settling.null
        return merge_all(map(read_null, sorted(done)), merge)

    def _records(self, tasks: Sequence[BlockTask]) -> Iterator[Path]:
        """Records of the blocks as they are found or done; fewer than all after a signal."""
        found, left = found_and_left(tasks)
        self.result.n_skipped = len(found)
        if left and not self.prepared.plan.gpus:
            compile_loops(self.prepared.problem, self.progress)
        return block_records(run_block_task, found, left, self.workers, self.progress)

    def _record(self, start: int) -> Path:
        return self.folder / f"block-{start:010d}.h5"

    def _finish(self, null: Null, content: str) -> tuple[ContrastResult, ...]:
        self.progress(Event("stage", "p-values", total=1))
        forget_problem()  # where blocks were run in this process
        with threadpool_limits(1):
            test = prepare_test(self.prepared.problem)

            def collect(measure: Measure, contrast: int, features: NDArray[np.int64]) -> NDArray[np.float64]:
                return self._values(null, content, measure, contrast, features)

            results = finish(test, null, collect)
        self.progress(Event("step", "corrected", 1, 1))
        return results

    def _values(
        self, null: Null, content: str, measure: Measure, contrast: int, features: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """Magnitudes of some features under every permutation, for a tail."""
        cuts = stretches(null.stretches[0][1])
        tasks = [ValuesTask(self.problem, content, *cut, measure, contrast, features) for cut in cuts]
        found: dict[int, NDArray[np.float64]] = {}
        for outcome in self.workers.run(run_values_task, tasks):
            found[outcome.task.start] = result_of(outcome)
        if len(found) < len(tasks):
            raise Interrupted(self.interrupts.signal_number or 0)
        return np.concatenate([found[start] for start in sorted(found)])

    def _write(self, results: tuple[ContrastResult, ...], key: str) -> None:
        from thalgpu.engine.pipelines.permute_page import write_report  # loads matplotlib, which a worker never needs

        request, prepared = self.request, self.prepared
        self.progress(Event("stage", "results", total=1))
        self.result.found = split_results(request, prepared, results)
        written = write_outputs(request, prepared, self.result.found, key)
        write_report(request, prepared, self.result.found)
        remove_results(request.out, but={*written, request.out / "report.html"})
        self.progress(Event("step", "written", 1, 1))


def _blocks(out: Path) -> Path:
    """Where the problem and the blocks' records are."""
    return out / "blocks"


def _results_key(content: str, request: PermuteRequest) -> str:
    """Identity of the folder's results: the same permutations end in other p-values with another tail."""
    return config_key(RESULT_VERSION, content, [getattr(request.options, name) for name in OF_RESULTS])


def _remove_blocks(out: Path) -> None:
    with disk_errors(out):
        for path in _blocks(out).glob("block-*.h5"):
            path.unlink(missing_ok=True)
