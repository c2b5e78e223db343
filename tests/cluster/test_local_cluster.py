"""A Dask cluster that a run starts and ends itself: the same bytes, loopback, TLS, and nothing left of it."""

import inspect
import math
import operator
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from contextlib import nullcontext, suppress
from functools import partial
from types import SimpleNamespace

import pytest

from thalgpu.engine.cluster import devices, local_cluster
from thalgpu.engine.cluster.devices import choose_gpus, use_gpu
from thalgpu.engine.cluster.executor import Workers
from thalgpu.engine.cluster.interrupts import Interrupts
from thalgpu.engine.cluster.local_cluster import gpu_options, start_local_cluster
from thalgpu.engine.cluster.scheduler import LOCAL, Scheduler
from thalgpu.engine.machine import Gpu
from thalgpu.engine.progress import silent
from thalgpu.errors import ResourceError, WorkerDiedError

distributed = pytest.importorskip("distributed", reason="Dask is not installed")
psutil = pytest.importorskip("psutil", reason="comes with Dask")

ROOTS = [partial(math.sqrt, number) for number in range(5)]
TWO_GPUS = (Gpu(0, "first", 16 * 2**30, 10 * 2**30), Gpu(1, "second", 16 * 2**30, 12 * 2**30))

RUN = """
import operator, sys
from functools import partial
from pathlib import Path
from thalgpu.engine.cluster.executor import Workers
from thalgpu.engine.cluster.interrupts import Interrupted, catch_interrupts
from thalgpu.engine.cluster.scheduler import Scheduler

out, seconds = Path(sys.argv[1]), float(sys.argv[2])
try:
    with catch_interrupts() as stop, Workers(2, stop, scheduler=Scheduler("local"), shared=out) as workers:
        begun = str(out / "begun")
        task = partial(exec, f"import time; open({begun!r}, 'w').close(); time.sleep({seconds})")
        for outcome in workers.run(operator.call, [task] * 100):
            print(repr(outcome.error), flush=True)
except Interrupted as second:
    sys.exit(second.exit_code)
sys.exit(stop.exit_code)
"""


@pytest.fixture
def start_run(tmp_path):
    """Start a run of tasks that sleep on two workers; it, and all its processes, once a task is at work."""
    runs = []

    def start(seconds):
        run = subprocess.Popen(
            [sys.executable, "-c", RUN, tmp_path, str(seconds)],
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
            env={**os.environ, "TMPDIR": str(tmp_path)},
        )
        runs.append(run)
        while not (tmp_path / "begun").exists():
            assert run.poll() is None
            time.sleep(0.05)
        return run, psutil.Process(run.pid).children(recursive=True)

    yield start
    for run in runs:
        run.kill()
        run.communicate()


@pytest.fixture(scope="module")
def started():
    """A cluster of two workers, its scheduler, and its processes."""
    before = workers_of(os.getpid())
    with start_local_cluster(2, (), device_bytes=0, progress=silent) as scheduler:
        yield scheduler, workers_of(os.getpid()) - before


def workers_of(pid):
    """Processes that Dask has started for a process, and not the one that keeps account of them."""
    found = set()
    for process in psutil.Process(pid).children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            if "spawn_main" in " ".join(process.cmdline()):
                found.add(process)
    return found


def all_gone(processes):
    _, alive = psutil.wait_procs(processes, timeout=10)
    return processes and not alive


def temporary_folders(tmp_path):
    return list(tmp_path.glob("thalgpu-dask-*"))


def test_gradients_on_a_cluster_of_their_own_are_those_of_one_process(
    thalgpu, inputs, in_process, same_bytes, tmp_path
):
    before = workers_of(os.getpid())
    done = thalgpu("gradients", *inputs, "--out", tmp_path / "out", "--gpus", 0, "--scheduler", "local", "--workers", 3)
    assert done.exit_code == 0, done.err
    assert "http://127.0.0.1:" in done.err
    same_bytes(tmp_path / "out", in_process)
    assert workers_of(os.getpid()) == before


@pytest.mark.studies
def test_other_commands_on_a_cluster_of_their_own_are_those_of_one_process(thalgpu, other, same_bytes, tmp_path):
    command, whole = other
    done = thalgpu(*command, "--out", tmp_path / "out", "--scheduler", "local", "--workers", 2)
    assert done.exit_code == 0, done.err
    assert "http://127.0.0.1:" in done.err
    same_bytes(tmp_path / "out", whole)


@pytest.mark.studies
def test_permutations_on_a_cluster_of_their_own_are_those_of_one_process(
    thalgpu, test_options, tested_in_process, same_bytes, tmp_path
):
    done = thalgpu(*test_options, "--out", tmp_path / "out", "--scheduler", "local", "--workers", 2)
    assert done.exit_code == 0, done.err
    assert "http://127.0.0.1:" in done.err
    same_bytes(tmp_path / "out", tested_in_process)


def listening(process):
    return {each.laddr for each in process.net_connections("inet") if each.status == psutil.CONN_LISTEN}


def plain_answer(port):
    """What somebody without TLS hears."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection, suppress(ConnectionError):
        connection.sendall(b"GET /sitemap.json HTTP/1.0\r\n\r\n")
        return connection.recv(8)
    return b""


def page(port, path):
    """What a browser is sent."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(f"GET {path} HTTP/1.0\r\n\r\n".encode())
        return b"".join(iter(lambda: connection.recv(65536), b""))


@pytest.mark.fault("stranger on the network")
def test_all_ports_are_on_loopback_and_only_the_dashboards_speak_without_tls(started):
    _, workers = started
    assert len(workers) == 2
    ports = [listening(process) for process in (psutil.Process(), *workers)]
    assert {address.ip for each in ports for address in each} == {"127.0.0.1"}
    for of_worker in ports[1:]:
        answers = sorted(plain_answer(address.port)[:4] for address in of_worker)
        assert len(answers) == 2, "its own, and one that tells how it is doing"
        assert answers[1] == b"HTTP"
        assert answers[0] in (b"", b"\x15\x03\x03\x00"), "nothing, or a TLS alert"


@pytest.mark.fault("stranger on the network")
def test_dashboard_leads_to_no_other_port_and_stops_no_worker(started):
    scheduler, _ = started
    ports = [address.port for address in listening(psutil.Process())]
    pages = [(port, page(port, "/info/main/workers.html")) for port in ports if plain_answer(port).startswith(b"HTTP")]
    (port,) = [port for port, text in pages if scheduler.place.encode() in text]
    assert b"HTTP/1.1 404" in page(port, "/proxy/22/127.0.0.1/")
    assert b"HTTP/1.1 404" in page(port, "/api/v1/retire_workers")
    assert b"proxy" not in page(port, "/sitemap.json")


def encrypted_answer(port, security):
    """What the owner of certificates hears; who answers is not verified, so that a refusal is the other side's."""
    context = security.get_connection_args("client")["ssl_context"]
    context.verify_mode = ssl.CERT_NONE
    with (
        suppress(ssl.SSLError, ConnectionError),
        socket.create_connection(("127.0.0.1", port), timeout=10) as connection,
        context.wrap_socket(connection) as encrypted,
    ):
        return encrypted.recv(8)
    return b""


@pytest.mark.fault("stranger on the network")
def test_strangers_certificates_are_refused(started):
    scheduler, workers = started
    ports = [int(scheduler.place.rpartition(":")[2])]
    ports += [address.port for worker in workers for address in listening(worker)]
    encrypted = [port for port in ports if not plain_answer(port).startswith(b"HTTP")]
    assert len(encrypted) == 3, "the scheduler's and both workers'"
    ours = distributed.Security(require_encryption=True, **scheduler.certificates)
    assert all(encrypted_answer(port, ours) for port in encrypted)
    assert [port for port in encrypted if encrypted_answer(port, distributed.Security.temporary())] == []


def test_certificates_show_in_no_environment_command_line_or_repr(started):
    scheduler, workers = started
    key = scheduler.certificates["tls_client_key"]
    assert "PRIVATE KEY" in key
    assert "PRIVATE" not in repr(scheduler)
    for process in workers:
        assert "PRIVATE" not in " ".join([*process.cmdline(), *process.environ().values()])


def test_workers_do_not_hear_ctrl_c(started):
    _, workers = started
    for process in workers:
        with open(f"/proc/{process.pid}/status") as stream:
            blocked = next(int(line.split()[1], 16) for line in stream if line.startswith("SigBlk"))
        assert blocked & 1 << (signal.SIGINT - 1)


@pytest.mark.faults_long
@pytest.mark.fault("SIGINT or SIGTERM")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_lets_running_tasks_finish_and_leaves_nothing(start_run, tmp_path, number):
    run, processes = start_run(0.5)
    if number == signal.SIGINT:
        os.killpg(run.pid, number)  # as a terminal does
    else:
        run.send_signal(number)
    said, _ = run.communicate(timeout=30)
    assert run.returncode == 128 + number
    assert 1 <= len(said.split()) <= 4, "what ran on two workers when it came, and no more"
    assert set(said.split()) == {"None"}
    assert all_gone(processes)
    assert temporary_folders(tmp_path) == []


@pytest.mark.faults_long
@pytest.mark.fault("SIGINT or SIGTERM")
def test_signal_ends_the_run_within_30_s_though_a_task_takes_longer(start_run, tmp_path):
    run, processes = start_run(60)
    run.send_signal(signal.SIGTERM)
    assert run.wait(timeout=30) == 143
    assert all_gone(processes)
    assert temporary_folders(tmp_path) == []


@pytest.mark.faults_long
@pytest.mark.fault("SIGINT or SIGTERM")
def test_second_signal_waits_for_nobody(start_run, tmp_path):
    run, processes = start_run(60)
    run.send_signal(signal.SIGTERM)
    with pytest.raises(subprocess.TimeoutExpired):
        run.wait(timeout=1)
    run.send_signal(signal.SIGTERM)
    assert run.wait(timeout=15) == 143
    assert all_gone(processes)
    assert temporary_folders(tmp_path) == []


@pytest.mark.fault("kill -9 of the parent, a worker or all")
def test_killed_run_leaves_no_process(start_run):
    run, processes = start_run(60)
    assert len(processes) >= 2
    run.kill()
    assert all_gone(processes)


def test_error_of_the_run_leaves_no_process(tmp_path):
    before, processes = workers_of(os.getpid()), set()
    workers = Workers(1, Interrupts(), scheduler=Scheduler(LOCAL), shared=tmp_path)

    def fail():
        with workers:
            for _ in workers.run(operator.call, ROOTS):
                processes.update(workers_of(os.getpid()) - before)
                raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert all_gone(processes)


@pytest.mark.faults_long
@pytest.mark.fault("poison subject, worker out of memory")
def test_only_the_task_that_kills_its_worker_is_lost(tmp_path):
    poison = partial(exec, "import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    with Workers(2, Interrupts(), scheduler=Scheduler(LOCAL), shared=tmp_path) as workers:
        found = list(workers.run(operator.call, [poison, *ROOTS]))
    assert sorted(one.result for one in found if one.error is None) == [math.sqrt(number) for number in range(5)]
    (death,) = [one.error for one in found if one.error is not None]
    assert isinstance(death, WorkerDiedError)
    assert "use fewer --workers" in str(death)


@pytest.mark.parametrize("option", [["--insecure"], ["--tls-ca", "ca.pem"]])
def test_options_of_another_cluster_are_refused(thalgpu, inputs, tmp_path, option):
    done = thalgpu("gradients", *inputs, "--out", tmp_path / "out", "--scheduler", "local", *option)
    assert done.exit_code == 2
    assert f"{option[0]} speaks of an address as --scheduler" in done.err


def test_gpus_that_are_not_there_are_missed_as_without_a_scheduler(thalgpu, inputs, tmp_path, monkeypatch):
    def none_here():
        raise RuntimeError("no NVIDIA driver")

    monkeypatch.setattr(devices, "find_gpus", none_here)
    gpus = ["--out", tmp_path / "out", "--gpus", 2]
    local, plain = (thalgpu("gradients", *inputs, *gpus, *more) for more in (["--scheduler", "local"], []))
    assert local.exit_code == 5
    assert "--gpus 2: no NVIDIA driver" in local.err
    assert local.err == plain.err


def test_gpus_of_this_machine_are_chosen_for_a_cluster_of_this_machine(monkeypatch):
    monkeypatch.setattr(devices, "find_gpus", lambda: TWO_GPUS)
    assert choose_gpus(None, Scheduler(LOCAL)) == TWO_GPUS
    assert choose_gpus(0, Scheduler(LOCAL)) == ()
    assert choose_gpus(None, Scheduler("tls://10.0.0.1:8786")) == ()


@pytest.fixture
def two_gpus(monkeypatch):
    """A machine with two GPUs and dask-cuda, but no RMM; what is asked of dask-cuda's cluster is noted."""
    asked = []

    def stand_in(*, CUDA_VISIBLE_DEVICES, device_memory_limit, **options):
        asked.append({"CUDA_VISIBLE_DEVICES": CUDA_VISIBLE_DEVICES, "device_memory_limit": device_memory_limit})
        return distributed.LocalCluster(**options)

    monkeypatch.setitem(sys.modules, "dask_cuda", SimpleNamespace(LocalCUDACluster=stand_in))
    monkeypatch.setitem(sys.modules, "pynvml", SimpleNamespace(NVMLError=type("NVMLError", (Exception,), {})))
    monkeypatch.setattr(local_cluster, "find_gpus", lambda: TWO_GPUS)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return asked


def test_each_gpu_gets_a_worker_of_dask_cuda_which_must_find_it(two_gpus, tmp_path):
    with (
        pytest.raises(ResourceError, match="finds no GPU"),
        Workers(2, Interrupts(), gpus=(0, 1), scheduler=Scheduler(LOCAL), shared=tmp_path) as workers,
    ):
        list(workers.run(operator.call, ROOTS))
    assert two_gpus == [{"CUDA_VISIBLE_DEVICES": [0, 1], "device_memory_limit": 9 * 2**30}]


@pytest.mark.parametrize("names", [["4", "6"], ["GPU-84fd49f2", "MIG-41b3359c"]])
def test_gpus_are_those_that_a_batch_job_was_given(two_gpus, monkeypatch, names):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", ", ".join(names))
    assert gpu_options([1], 2**30)["CUDA_VISIBLE_DEVICES"] == names[1:]
    assert gpu_options([0, 1], 2**30)["CUDA_VISIBLE_DEVICES"] == names


def test_pool_of_rmm_begins_with_what_the_plan_says_and_ends_below_what_is_free(two_gpus, monkeypatch):
    monkeypatch.setattr(local_cluster.importlib.util, "find_spec", lambda name: name == "rmm" or None)
    options = gpu_options([0, 1], 2**30)
    assert (options["rmm_pool_size"], options["rmm_maximum_pool_size"]) == (2**30, 9 * 2**30)
    assert options["rmm_allocator_external_lib_list"] == ["cupy"]
    assert gpu_options([0, 1], 2**40)["rmm_pool_size"] == 9 * 2**30


@pytest.mark.parametrize(
    ("package", "remedy"),
    [("dask_cuda", "'thalgpu[cuda12]'"), ("distributed", "'thalgpu[cluster]'"), ("cryptography", "'thalgpu[cluster]'")],
)
def test_missing_package_is_named_with_what_to_install(two_gpus, monkeypatch, package, remedy):
    monkeypatch.setitem(sys.modules, package, None)
    with (
        pytest.raises(ResourceError, match=rf"no {package} .*pip install {remedy}".replace("[", r"\[")),
        start_local_cluster(2, (0, 1), device_bytes=2**30, progress=silent),
    ):
        pass


def test_cluster_that_does_not_start_says_why(two_gpus, monkeypatch):
    def no_driver(**options):
        raise sys.modules["pynvml"].NVMLError("NVML Shared Library Not Found")

    monkeypatch.setattr(sys.modules["dask_cuda"], "LocalCUDACluster", no_driver)
    with (
        pytest.raises(ResourceError, match="NVML Shared Library Not Found — leave out --scheduler local"),
        start_local_cluster(2, (0, 1), device_bytes=2**30, progress=silent),
    ):
        pass


@pytest.mark.parametrize("class_name", ["LocalCluster", "LocalCUDACluster"])
def test_clusters_know_every_option_that_they_are_told(monkeypatch, class_name):
    known = set(inspect.signature(distributed.LocalCluster).parameters)
    known |= set(inspect.signature(distributed.Nanny).parameters)  # what LocalCluster does not know goes to its workers
    told = {"n_workers", "local_directory", "security", *local_cluster.OPTIONS}
    if class_name == "LocalCUDACluster":
        dask_cuda = pytest.importorskip("dask_cuda", reason="dask-cuda is not installed", exc_type=ImportError)
        known |= set(inspect.signature(dask_cuda.LocalCUDACluster).parameters)
        monkeypatch.setattr(local_cluster, "find_gpus", lambda: TWO_GPUS)
        monkeypatch.setattr(local_cluster.importlib.util, "find_spec", lambda name: name == "rmm" or None)
        told |= set(gpu_options([0, 1], 2**30))
    assert told - known == set()


def test_each_worker_of_dask_cuda_sees_another_gpu_first(monkeypatch):
    """The real one, told by its own switch for tests to leave out what asks the driver."""
    pytest.importorskip("dask_cuda", reason="dask-cuda is not installed", exc_type=ImportError)
    monkeypatch.setenv("DASK_CUDA_TEST_DISABLE_DEVICE_SPECIFIC", "1")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,6")
    monkeypatch.setattr(local_cluster, "find_gpus", lambda: TWO_GPUS)
    with start_local_cluster(2, (0, 1), device_bytes=2**30, progress=silent) as scheduler:
        security = distributed.Security(require_encryption=True, **scheduler.certificates)
        with distributed.Client(scheduler.place, security=security, set_as_default=False) as client:
            told = client.run(os.getenv, "CUDA_VISIBLE_DEVICES")
    assert scheduler.place.startswith("tls://127.0.0.1:")
    assert sorted(told.values()) == ["4,6", "6,4"]


class CupyOutOfMemory(MemoryError):
    """CuPy's own."""


@pytest.mark.parametrize(
    "error",
    [
        CupyOutOfMemory("Out of memory allocating 8 bytes"),
        MemoryError("std::bad_alloc: out_of_memory: RMM failure at: pool_memory_resource.hpp:196: Maximum pool size"),
    ],
    ids=["CuPy", "RMM"],
)
def test_work_that_does_not_fit_into_a_gpu_says_so_whoever_gives_its_memory(monkeypatch, error):
    with pytest.raises(ResourceError, match="GPU 0 is out of memory"), on_stand_in(monkeypatch):
        raise error


def test_main_memory_that_runs_out_is_not_the_gpus(monkeypatch):
    with pytest.raises(MemoryError, match="Unable to allocate"), on_stand_in(monkeypatch):
        raise MemoryError("Unable to allocate 8 bytes")


def on_stand_in(monkeypatch):
    """Work on a GPU that is not there."""
    memory = SimpleNamespace(OutOfMemoryError=CupyOutOfMemory)
    cuda = SimpleNamespace(memory=memory, Device=lambda number: nullcontext())
    monkeypatch.setattr(devices, "_device_module", lambda: SimpleNamespace(cuda=cuda, asarray=None))
    return use_gpu(0)
