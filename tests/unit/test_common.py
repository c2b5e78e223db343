"""What tasks have in common travels once to each worker, and every task arrives whole."""

import pickle
from dataclasses import dataclass
from operator import attrgetter

import numpy as np
import pytest

from thalgpu.engine.cluster import common, dask_worker
from thalgpu.engine.cluster.common import Common, forget, unpack
from thalgpu.engine.cluster.dask_worker import run_tasks


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


def test_what_is_told_with_a_task_that_is_not_begun_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(dask_worker, "BUNDLE_SECONDS", 0)
    packer = Common("run")
    packed = [packer.pack("a", task) for task in tasks(3, np.arange(5))]
    assert [share is None or share.values is None for _, share in packed] == [True, False, True]
    given = {"folder": str(tmp_path), "on_gpu": False}
    assert [answer.result for answer in run_tasks(attrgetter("who"), packed[:2], **given)] == ["00"]
    (last,) = run_tasks(attrgetter("region"), packed[2:], **given)
    forget("run")
    assert last.error is None
    np.testing.assert_array_equal(last.result, np.arange(5))
