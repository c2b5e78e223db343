"""A Dask cluster on which something goes wrong: what is lost, who is to blame, and who may not take part."""

import json
import math
import operator
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from thalgpu.cli import gradients as command
from thalgpu.engine.cluster import dask_executor
from thalgpu.engine.cluster.dask_worker import About, run_tasks, versions
from thalgpu.engine.cluster.devices import set_worker_gpu, worker_gpu
from thalgpu.engine.cluster.executor import Workers
from thalgpu.engine.cluster.interrupts import Interrupts, catch_interrupts
from thalgpu.engine.cluster.scheduler import Scheduler
from thalgpu.errors import InputError, ResourceError, UsageError, WorkerDiedError

ROOTS = [partial(math.sqrt, number) for number in range(5)]


def poison(path: Path) -> partial:
    """A task that ends whatever process runs it, and says so in a file, a line each time."""
    code = f"import os, pathlib, signal; log = pathlib.Path({str(path)!r}); before = log.read_text()\n"
    return partial(exec, code + "log.write_text(before + 'x'); os.kill(os.getpid(), signal.SIGKILL)")


@pytest.fixture
def scheduler(cluster):
    names = {f"tls_{name}": cluster.certificates / f"{name}.pem" for name in ("ca", "cert", "key")}
    return Scheduler(cluster.address, **names, cpu_only=True)


@pytest.fixture
def run_all(scheduler, tmp_path):
    """Outcomes of tasks that `operator.call` runs on the cluster."""

    def run(tasks):
        with Workers(1, Interrupts(), scheduler=scheduler, shared=tmp_path) as workers:
            return list(workers.run(operator.call, tasks))

    return run


@pytest.fixture
def start(scheduler):
    """Start a scheduler, and workers in threads of this process: quick, and to be stopped by a test."""
    distributed = pytest.importorskip("distributed", reason="Dask is not installed")
    files = {"cert": str(scheduler.tls_cert), "key": str(scheduler.tls_key)}
    roles = {f"tls_{role}_{name}": files[name] for role in ("scheduler", "worker", "client") for name in files}
    security = distributed.Security(require_encryption=True, tls_ca_file=str(scheduler.tls_ca), **roles)
    given = {"host": "127.0.0.1", "dashboard_address": "127.0.0.1:0", "protocol": "tls://", "security": security}
    with ExitStack() as started:

        def start(n_workers):
            cluster = distributed.LocalCluster(n_workers=n_workers, threads_per_worker=1, processes=False, **given)
            started.enter_context(cluster)
            return cluster, replace(scheduler, place=cluster.scheduler_address)

        yield start


@pytest.mark.fault("death of a Dask worker, client or scheduler")
def test_worker_killed_in_the_middle_changes_no_byte(
    thalgpu, cluster, inputs, in_process, same_bytes, tmp_path, monkeypatch
):
    killed = []

    class Killing:
        """Shows progress to nobody, and kills a worker once a subject is done: all three are at work then."""

        def __init__(self, *, as_json):
            pass

        def __enter__(self):
            return self.watch

        def __exit__(self, *error):
            pass

        def watch(self, event):
            if event.kind == "step" and not killed:
                killed.append(next(iter(cluster.dask.workers.values())).pid)
                os.kill(killed[0], signal.SIGKILL)

    monkeypatch.setattr(command, "show_progress", Killing)
    done = thalgpu("gradients", *inputs, "--out", tmp_path / "out", *cluster.options)
    assert done.exit_code == 0, done.err
    assert killed
    same_bytes(tmp_path / "out", in_process)


@pytest.mark.fault("poison subject, worker out of memory")
def test_only_the_task_that_kills_its_worker_is_lost(run_all, tmp_path):
    deaths = tmp_path / "deaths"
    deaths.touch()
    found = run_all([poison(deaths), *ROOTS])
    assert sorted(one.result for one in found if one.error is None) == [math.sqrt(number) for number in range(5)]
    assert [type(one.error) for one in found if one.error is not None] == [WorkerDiedError]
    assert deaths.read_text() == "xx", "once beside others, once alone, and never again"


@pytest.fixture
def bundles(monkeypatch):
    """Numbers of tasks that were sent to a worker at once."""
    sizes = []
    bind = dask_executor.DaskExecutor._bind

    def watched(self, worker, fn, bundle):
        sizes.append(len(bundle))
        return bind(self, worker, fn, bundle)

    monkeypatch.setattr(dask_executor.DaskExecutor, "_bind", watched)
    return sizes


@pytest.mark.fault("poison subject, worker out of memory")
def test_only_the_task_that_kills_its_worker_is_lost_of_a_bundle(run_all, bundles, tmp_path):
    deaths = tmp_path / "deaths"
    deaths.touch()
    found = run_all([*ROOTS * 8, poison(deaths), *ROOTS * 8])
    assert max(bundles) > 4
    assert len([one for one in found if one.error is None]) == 80
    assert [type(one.error) for one in found if one.error is not None] == [WorkerDiedError]
    assert deaths.read_text() == "xx", "once beside others, once alone, and never again"


def test_short_tasks_travel_together_and_long_ones_alone(run_all, bundles):
    found = run_all([*ROOTS * 20, *[partial(time.sleep, 0.3)] * 9])
    assert len(found) == 109
    assert len([one for one in found if one.error is None]) == 109
    assert max(bundles) > 4
    assert bundles[-3:] == [1, 1, 1]
    assert sum(bundles) > 109, "those behind the first long one were given back"


def test_result_that_cannot_travel_takes_no_other_along(run_all, bundles):
    found = run_all([*ROOTS * 8, partial(threading.Lock), *ROOTS * 8])
    assert max(bundles) > 4
    assert len([one for one in found if one.error is None]) == 80
    assert [type(one.error) for one in found if one.error is not None] == [TypeError]


def test_error_of_a_task_comes_back_with_its_traceback(run_all):
    (outcome,) = run_all([partial(math.sqrt, -1)])
    assert isinstance(outcome.error, ValueError)
    assert "in _run_task" in str(outcome.error.__cause__)


@pytest.mark.fault("SIGINT or SIGTERM")
def test_signal_lets_running_tasks_finish_and_starts_no_more(scheduler, tmp_path):
    with catch_interrupts() as stop, Workers(1, stop, scheduler=scheduler, shared=tmp_path) as workers:
        found = []
        for outcome in workers.run(operator.call, ROOTS * 100):
            if not found:
                os.kill(os.getpid(), signal.SIGTERM)
            found.append(outcome)
    assert stop.exit_code == 143
    # one task each, and, of workers that were done before the first was told, a bundle of 32 that was under way
    assert 1 <= len(found) <= 3 * (1 + 32) < len(ROOTS * 100), "what ran beside the first on three workers, and no more"
    assert all(one.error is None for one in found)


def test_token_is_removed_from_the_output_folder(run_all, tmp_path):
    run_all(ROOTS)
    assert not list(tmp_path.glob(".thalgpu-*"))


@pytest.mark.fault("unfit Dask worker")
def test_workers_of_another_version_are_refused(run_all, monkeypatch):
    ours = dask_executor.versions()
    monkeypatch.setattr(dask_executor, "versions", lambda: {**ours, "thalgpu": "99.0"})
    with pytest.raises(ResourceError, match=rf"other versions: thalgpu {ours['thalgpu']} there, 99.0 here"):
        run_all(ROOTS)


@pytest.mark.fault("unfit Dask worker")
def test_workers_that_do_not_see_the_output_folder_are_refused(run_all, monkeypatch):
    monkeypatch.setattr(dask_executor, "write_text", lambda path, text: None)
    with pytest.raises(ResourceError, match="does not see the output folder"):
        run_all(ROOTS)


@pytest.mark.fault("unfit Dask worker")
def test_workers_with_and_without_gpus_are_refused_together(scheduler, tmp_path, monkeypatch):
    distributed = pytest.importorskip("distributed", reason="Dask is not installed")

    told = []

    def tell(client, function, *given, workers=(), **how):
        """As if only the first that is ever asked had a GPU; the others may come up late."""
        told.extend(workers)
        return {worker: About(versions(), True, "GPU" if worker == told[0] else None) for worker in workers}

    monkeypatch.setattr(distributed.Client, "run", tell)
    with (
        pytest.raises(ResourceError, match="--gpus 0"),
        Workers(1, Interrupts(), scheduler=replace(scheduler, cpu_only=False), shared=tmp_path) as workers,
    ):
        list(workers.run(operator.call, ROOTS * 100))


@pytest.mark.parametrize(("on_gpu", "number"), [(True, 0), (False, None)])
def test_worker_of_a_cluster_uses_the_gpu_that_it_sees_first(on_gpu, number, tmp_path):
    try:
        (answer,) = run_tasks(operator.call, [(worker_gpu, None)], str(tmp_path), on_gpu=on_gpu)
    finally:
        set_worker_gpu(None)
    assert answer.result == number


@pytest.mark.faults_long
@pytest.mark.fault("death of a Dask worker, client or scheduler")
def test_killed_client_is_gone_on_with_to_the_same_bytes(thalgpu, cluster, inputs, in_process, same_bytes, tmp_path):
    command = [str(word) for word in ("gradients", *inputs, "--out", tmp_path / "out", *cluster.options)]
    program = "import sys; from thalgpu.cli.main import main; main(sys.argv[1:])"
    client = subprocess.Popen([sys.executable, "-c", program, *command], stderr=subprocess.PIPE, text=True)
    assert client.stderr is not None
    for line in client.stderr:
        if "[2/9]" in line:
            client.kill()
            break
    client.communicate()
    assert client.returncode == -signal.SIGKILL
    done = thalgpu(*command)
    assert done.exit_code == 0, done.err
    same_bytes(tmp_path / "out", in_process)


@pytest.mark.fault("stranger on the network")
def test_client_with_certificates_of_another_cluster_is_refused(scheduler, tmp_path):
    distributed = pytest.importorskip("distributed", reason="Dask is not installed")
    stranger = distributed.Security.temporary()
    given = {"tls_ca": stranger.tls_ca_file, "tls_cert": stranger.tls_client_cert, "tls_key": stranger.tls_client_key}
    for name, text in given.items():
        (tmp_path / name).write_text(text)
    other = Scheduler(scheduler.place, **{name: tmp_path / name for name in given})
    with pytest.raises(ResourceError, match="--tls-ca"), Workers(1, Interrupts(), scheduler=other) as workers:
        list(workers.run(operator.call, ROOTS))


@pytest.mark.fault("death of a Dask worker, client or scheduler")
def test_scheduler_that_goes_away_ends_the_run_with_the_remedy(start, tmp_path, monkeypatch):
    monkeypatch.setattr(dask_executor, "CONNECT_SECONDS", 1)
    cluster, scheduler = start(1)
    with Workers(1, Interrupts(), scheduler=scheduler, shared=tmp_path) as workers:
        outcomes = workers.run(operator.call, ROOTS)
        next(outcomes)
        cluster.close()
        with pytest.raises(ResourceError, match=r"scheduler has gone .* run the same command to go on"):
            list(outcomes)


def test_cluster_without_workers_is_given_up(start, tmp_path, monkeypatch):
    monkeypatch.setattr(dask_executor, "PATIENCE_SECONDS", 0.5)
    _, scheduler = start(0)
    workers = Workers(1, Interrupts(), scheduler=scheduler, shared=tmp_path)
    with pytest.raises(ResourceError, match="no Dask worker for"), workers:
        list(workers.run(operator.call, ROOTS))


def test_worker_that_comes_late_is_waited_for(start, tmp_path):
    cluster, scheduler = start(0)
    with Workers(1, Interrupts(), scheduler=scheduler, shared=tmp_path) as workers:
        threading.Timer(0.7, cluster.scale, [1]).start()
        assert len(list(workers.run(operator.call, ROOTS))) == 5


@pytest.mark.fault("stranger on the network")
def test_plain_scheduler_is_refused_before_any_work(thalgpu, inputs, tmp_path):
    done = thalgpu("gradients", *inputs, "--out", tmp_path / "out", "--scheduler", "tcp://127.0.0.1:8786")
    assert done.exit_code == 2
    assert "is not encrypted" in done.err
    assert "--insecure" in done.err
    assert not (tmp_path / "out").exists()


@pytest.mark.fault("stranger on the network")
def test_file_that_names_a_plain_scheduler_is_refused(tmp_path):
    path = tmp_path / "scheduler.json"
    path.write_text(json.dumps({"type": "Scheduler", "address": "tcp://10.0.0.1:8786"}))
    with pytest.raises(UsageError, match="--insecure"):
        Scheduler(str(path)).address()
    assert Scheduler(str(path), insecure=True).address() == "tcp://10.0.0.1:8786"


@pytest.mark.parametrize("place", ["inproc://1", "http://127.0.0.1:8787", "ws://127.0.0.1:8786"])
def test_address_of_something_else_is_refused(place):
    with pytest.raises(UsageError, match="tls://HOST:PORT"):
        Scheduler(place, insecure=True).address()


@pytest.mark.parametrize("text", ["", "{}", "[]", '"tls"', "\x00", '{"workers": {}}'])
def test_file_that_is_no_scheduler_is_refused(tmp_path, text):
    path = tmp_path / "scheduler.json"
    path.write_text(text)
    with pytest.raises(InputError, match="not a scheduler's file"):
        Scheduler(str(path)).address()


def test_missing_certificate_is_named(tmp_path):
    with pytest.raises(InputError, match=r"key\.pem"):
        Scheduler("tls://127.0.0.1:1", tls_key=tmp_path / "key.pem").security()


@pytest.mark.parametrize("option", [["--insecure"], ["--tls-ca", "ca.pem"]])
def test_options_of_a_scheduler_need_one(thalgpu, inputs, tmp_path, option):
    done = thalgpu("gradients", *inputs, "--out", tmp_path / "out", *option)
    assert done.exit_code == 2
    assert f"{option[0]} speaks of a --scheduler" in done.err


def test_gpus_of_this_machine_do_not_go_with_a_scheduler(thalgpu, inputs, tmp_path):
    done = thalgpu("gradients", *inputs, "--out", tmp_path / "out", "--scheduler", "tls://127.0.0.1:1", "--gpus", 1)
    assert done.exit_code == 2
    assert "--gpus 0" in done.err
