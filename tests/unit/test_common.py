"""What tasks have in common travels once to each worker, and every task arrives whole."""

import pickle
from dataclasses import dataclass

import numpy as np
import pytest

from thalgpu.engine.cluster import common
from thalgpu.engine.cluster.common import Common, forget, unpack


@dataclass(frozen=True)
class Task:
    who: str
    region: np.ndarray
    options: tuple


@pytest.fixture
def send(monkeypatch):
    """Send a task to one of several workers, each with a memory of its own; the task as it arrives, and its bytes."""
    memories = {}
    packer = Common("run")

    def send(worker, task):
        data = pickle.dumps(packer.pack(worker, task))
        monkeypatch.setattr(common, "_told", memories.setdefault(worker, {}))
        return unpack(*pickle.loads(data)), len(data)

    return send


def tasks(n_tasks, region):
    options = (1, 2)
    return [Task(f"{number:02}", region, options) for number in range(n_tasks)]


def test_every_task_arrives_whole_and_large_things_travel_once_to_each_worker(send):
    region = np.arange(10_000)
    sizes = {"a": [], "b": []}
    for number, task in enumerate(tasks(8, region)):
        worker = "ab"[number % 2]
        arrived, size = send(worker, task)
        assert arrived.who == task.who
        assert arrived.options == (1, 2)
        np.testing.assert_array_equal(arrived.region, region)
        sizes[worker].append(size > region.nbytes)
    # the first of all is sent as it is, for nothing is known yet that could be in common
    assert sizes == {"a": [True, True, False, False], "b": [True, False, False, False]}


def test_another_stage_has_other_things_in_common(send):
    for region in (np.arange(5), np.arange(7), np.arange(9)):
        for task in tasks(3, region):
            assert len(send("a", task)[0].region) == len(region)


def test_task_is_not_changed_by_being_sent(send):
    first, second = tasks(2, np.arange(5))
    send("a", first)
    send("a", second)
    assert second.region is first.region


def test_tasks_that_are_no_records_are_left_alone(send):
    assert send("a", "text")[0] == "text"
    assert send("a", "text")[0] == "text"


def test_what_a_run_has_told_can_be_forgotten(monkeypatch):
    monkeypatch.setattr(common, "_told", {"run": (1, {}), "other": (1, {})})
    forget("run")
    forget("run")
    assert list(common._told) == ["other"]
