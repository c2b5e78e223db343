"""Workers: independent tasks, a death that takes nobody along, signals."""

import math
import multiprocessing
import operator
import os
import signal
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path

import pytest

from thalgpu.engine.cluster import executor, interrupts
from thalgpu.engine.cluster.executor import Workers
from thalgpu.engine.cluster.interrupts import Interrupted, Interrupts, catch_interrupts
from thalgpu.errors import WorkerDiedError

# a task is a partial, and `operator.call` runs it: both travel to another process by their names
ROOTS = [partial(math.sqrt, number) for number in range(5)]
BROKEN = partial(math.sqrt, -1)


def poison(path: Path) -> partial:
    """A task that ends whatever process runs it, and says so in a file, a line each time."""
    code = f"import os, signal; open({str(path)!r}, 'a').write('x\\n'); os.kill(os.getpid(), signal.SIGKILL)"
    return partial(exec, code)


def run_all(tasks, n_workers, stop=None):
    """Outcomes by the position of their task."""
    with Workers(n_workers, stop or Interrupts(), in_process=n_workers == 1) as workers:
        found = list(workers.run(operator.call, tasks))
    return {next(i for i, task in enumerate(tasks) if same(task, one.task)): one for one in found}


def same(a, b):
    return (a.func, a.args) == (b.func, b.args)


@pytest.mark.parametrize("n_workers", [1, 2, 3])
def test_results_do_not_depend_on_the_number_of_workers(n_workers):
    found = run_all(ROOTS, n_workers)
    assert [found[i].result for i in range(5)] == [math.sqrt(i) for i in range(5)]
    assert all(one.error is None for one in found.values())


@pytest.mark.parametrize("n_workers", [1, 2])
def test_processes_that_are_dismissed_end_while_this_one_goes_on(n_workers):
    others, until = set(multiprocessing.active_children()), time.monotonic() + 60
    with Workers(n_workers, Interrupts(), in_process=n_workers == 1) as workers:
        assert len(list(workers.run(operator.call, ROOTS))) == len(ROOTS)
        assert (set(multiprocessing.active_children()) > others) == (n_workers == 2)
        workers.dismiss()
        while not set(multiprocessing.active_children()) <= others and time.monotonic() < until:
            time.sleep(0.05)
        assert set(multiprocessing.active_children()) <= others, "but for those of another test's cluster"


@pytest.mark.parametrize("n_workers", [1, 2])
def test_task_that_raises_is_an_outcome_and_the_others_finish(n_workers):
    found = run_all([ROOTS[1], BROKEN, ROOTS[4]], n_workers)
    assert isinstance(found[1].error, ValueError)
    assert found[1].result is None
    assert (found[0].result, found[2].result) == (1.0, 2.0)


@pytest.mark.fault("poison subject, worker out of memory")
def test_only_the_task_that_kills_its_worker_is_lost(tmp_path):
    tasks = [partial(time.sleep, 0.3), poison(tmp_path / "deaths"), *ROOTS]
    found = run_all(tasks, 2)
    assert sorted(found) == list(range(len(tasks)))
    assert isinstance(found[1].error, WorkerDiedError)
    assert [one.error for i, one in found.items() if i != 1] == [None] * 6
    assert (tmp_path / "deaths").read_text().count("x") == 2, "once beside others, once alone"


@pytest.mark.fault("poison subject, worker out of memory")
def test_innocent_that_ran_beside_a_death_is_run_again(tmp_path):
    seen, deaths = tmp_path / "starts", tmp_path / "deaths"
    seen.touch()
    reading = f"import pathlib, time; seen = pathlib.Path({str(seen)!r}); before = seen.read_text()\n"
    slow = partial(exec, reading + "seen.write_text(before + 's')\nif not before: time.sleep(60)")
    # the poison waits for the other to be at work, so that it surely takes it along
    patient = reading + "while not seen.read_text(): time.sleep(0.01)\n"
    killer = partial(exec, patient + poison(deaths).args[0])
    with Workers(2, Interrupts()) as workers:
        list(workers.run(operator.call, [partial(time.sleep, 0.5)] * 2))  # the pool watches both from here on
        found = list(workers.run(operator.call, [slow, killer]))
    assert {one.task.args == killer.args: type(one.error) for one in found} == {
        False: type(None),
        True: WorkerDiedError,
    }
    assert seen.read_text() == "ss", "begun beside the poison, and once more alone"


def test_workers_serve_another_stage_after_a_death(tmp_path):
    with Workers(2, Interrupts()) as workers:
        first = list(workers.run(operator.call, [poison(tmp_path / "deaths")]))
        second = list(workers.run(operator.call, ROOTS))
    assert isinstance(first[0].error, WorkerDiedError)
    assert sorted(one.result for one in second) == [math.sqrt(i) for i in range(5)]


@pytest.mark.parametrize("n_workers", [1, 2])
def test_nothing_new_starts_after_an_interrupt(n_workers):
    stop = Interrupts()
    found = []
    with Workers(n_workers, stop, in_process=n_workers == 1) as workers:
        for outcome in workers.run(operator.call, [partial(time.sleep, 0.2), *ROOTS, *ROOTS]):
            found.append(outcome)
            stop.signal_number, stop.since = signal.SIGTERM, time.monotonic()
    assert 1 <= len(found) <= 1 + n_workers, "those in flight may finish"


@pytest.mark.fault("SIGINT or SIGTERM")
def test_tasks_that_outlast_the_grace_are_ended(monkeypatch):
    monkeypatch.setattr(executor, "GRACE_SECONDS", 0.1)
    stop, began, others = Interrupts(), time.monotonic(), multiprocessing.active_children()

    def ask():
        stop.signal_number, stop.since = signal.SIGTERM, time.monotonic()

    with Workers(2, stop) as workers:
        threading.Timer(1.0, ask).start()
        found = list(workers.run(operator.call, [partial(time.sleep, 60), partial(time.sleep, 61)]))
    assert found == []
    assert time.monotonic() - began < 20
    assert set(multiprocessing.active_children()) <= set(others), "but for those of another test's cluster"


def test_first_signal_is_noted_and_handlers_come_back():
    before = signal.getsignal(signal.SIGTERM)
    with catch_interrupts() as stop:
        assert not stop.requested
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.requested
        assert stop.exit_code == 143
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_signal_to_a_part_of_a_run_stops_the_whole():
    before = signal.getsignal(signal.SIGTERM)
    with catch_interrupts() as whole:
        with catch_interrupts() as part:
            os.kill(os.getpid(), signal.SIGTERM)
        assert part.exit_code == whole.exit_code == 143
        with pytest.raises(Interrupted), catch_interrupts():
            os.kill(os.getpid(), signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) is before
    with catch_interrupts() as another:
        assert not another.requested


def test_second_signal_is_raised():
    with catch_interrupts():
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(Interrupted) as stop:
            os.kill(os.getpid(), signal.SIGINT)
    assert stop.value.exit_code == 130


def test_patience_ends_where_the_work_does_not(monkeypatch):
    monkeypatch.setattr(interrupts, "PATIENCE_SECONDS", 0.2)
    began = time.monotonic()
    with catch_interrupts():
        os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(Interrupted):
            time.sleep(30)
    assert time.monotonic() - began < 10


def test_no_signal_follows_a_run_that_ended_in_time(monkeypatch):
    monkeypatch.setattr(interrupts, "PATIENCE_SECONDS", 0.2)
    with catch_interrupts():
        os.kill(os.getpid(), signal.SIGINT)
    time.sleep(0.4)  # a late reminder would be a KeyboardInterrupt here


def test_signals_are_left_alone_outside_the_main_thread():
    before, inside = signal.getsignal(signal.SIGINT), []

    def look():
        with catch_interrupts():
            inside.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert inside == [before]


PARENT = """
import operator, os, sys, time
from functools import partial
from thalgpu.engine.cluster.executor import Workers
from thalgpu.engine.cluster.interrupts import Interrupted, catch_interrupts

def announce(folder):
    return f"import os, time; open(os.path.join({folder!r}, str(os.getpid())), 'w').close(); time.sleep(120)"

if __name__ == "__main__":
    try:
        with catch_interrupts() as stop, Workers(2, stop) as workers:
            list(workers.run(operator.call, [partial(exec, announce(sys.argv[1]))] * 2))
    except Interrupted as error:
        sys.exit(error.exit_code)
"""


@pytest.fixture
def parent(tmp_path):
    """A process whose two workers are at work, and the folder that names them."""
    script, folder = tmp_path / "parent.py", tmp_path / "workers"
    folder.mkdir()
    script.write_text(PARENT)
    process = subprocess.Popen([sys.executable, script, folder])
    until(lambda: len(list(folder.iterdir())) == 2)
    yield process, [int(one.name) for one in folder.iterdir()]
    process.kill()
    process.wait()


def until(holds, seconds=30.0):
    """Wait for a condition; AssertionError when it does not come true."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.05)


def is_running(pid):
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


@pytest.mark.fault("kill -9 of the parent, a worker or all")
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc to look at processes")
def test_workers_do_not_outlive_a_killed_parent(parent):
    process, workers = parent
    process.kill()
    until(lambda: not any(map(is_running, workers)), seconds=10)


@pytest.mark.fault("SIGINT or SIGTERM")
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc to look at processes")
def test_second_signal_ends_a_run_and_its_workers_at_once(parent):
    process, workers = parent
    process.send_signal(signal.SIGTERM)
    time.sleep(0.3)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=10) == 143
    until(lambda: not any(map(is_running, workers)), seconds=10)
