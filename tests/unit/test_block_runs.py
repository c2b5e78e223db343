"""Blocks on workers: what is on disk is kept, the rest is run, and all of it is told."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from thalgpu.engine.cluster.executor import Workers
from thalgpu.engine.cluster.interrupts import catch_interrupts
from thalgpu.engine.outputs.store import write_record
from thalgpu.engine.pipelines.block_runs import block_records, found_and_left
from thalgpu.errors import ResourceError


@dataclass(frozen=True)
class Stretch:
    start: int
    stop: int
    record: Path

    @property
    def key(self):
        return f"of {self.start}"


def write(task):
    write_record(task.record, {"numbers": np.arange(task.start, task.stop)}, {}, key=task.key)
    return task.record


def without_memory(task):
    raise MemoryError


@pytest.fixture
def tasks(tmp_path):
    return [Stretch(start, start + 100, tmp_path / f"{start}.h5") for start in (0, 100, 200)]


def records(run, tasks, progress):
    with catch_interrupts() as interrupts, Workers(1, interrupts, in_process=True) as workers:
        return list(block_records(run, *found_and_left(tasks), workers, progress))


def test_what_is_on_disk_comes_first_and_only_the_rest_is_run(tasks):
    write(tasks[1])
    ran, told = [], []

    def run(task):
        ran.append(task)
        return write(task)

    found = records(run, tasks, told.append)
    assert [path.name for path in found] == ["100.h5", "0.h5", "200.h5"]
    assert ran == [tasks[0], tasks[2]]
    assert [(event.text, event.done, event.total) for event in told] == [
        ("101–200", 1, 3),
        ("1–100", 2, 3),
        ("201–300", 3, 3),
    ]


def test_a_record_of_another_run_is_done_again(tasks):
    write_record(tasks[0].record, {"numbers": np.zeros(3)}, {}, key="of another")
    assert found_and_left(tasks) == ([], tasks)


def test_lack_of_memory_in_a_worker_is_named(tasks):
    with pytest.raises(ResourceError, match="out of memory"):
        records(without_memory, tasks, lambda event: None)
