"""Whole runs in which something goes wrong with one subject, with all, or with the disk."""

import hashlib
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass, replace

import h5py
import nibabel as nib
import numpy as np
import pytest

from thalgpu.engine.config import CleaningOptions, GradientOptions
from thalgpu.engine.inputs.model import Subject
from thalgpu.engine.outputs.locks import hold
from thalgpu.engine.pipelines import gradients as pipeline
from thalgpu.engine.pipelines.gradients import run_gradients
from thalgpu.engine.pipelines.prepare import GradientsRequest, prepare
from thalgpu.engine.simulate.cohort import simulate_cohort
from thalgpu.engine.simulate.options import CohortOptions
from thalgpu.errors import InputError, NumericsError, ResourceError, WorkerDiedError


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    """Three people; never written to."""
    return simulate_cohort(
        tmp_path_factory.mktemp("cohort") / "cohort", options=CohortOptions(subjects=3, timepoints=60, noise=0.5)
    )


@pytest.fixture
def request_(cohort, tmp_path):
    return GradientsRequest(
        cohort.list_file,
        out=tmp_path / "out",
        thalamus=str(cohort.thalamus[0]),
        cortex=str(cohort.folder / "cortex_parcels.nii.gz"),
        options=GradientOptions(n_components=3, n_align=3),
        workers=1,
    )


@dataclass(frozen=True)
class Deadly(Subject):
    """A subject that kills whoever unpacks it: the worker process that is given the task."""

    def __reduce__(self):
        return signal.raise_signal, (signal.SIGKILL,)


def without_second(cohort, folder):
    """A list of the first and the third person."""
    lines = [str(cohort.folder / line) for line in cohort.list_file.read_text().split()]
    path = folder / "two.txt"
    path.write_text("\n".join([lines[0], lines[2]]))
    return path


def results(out):
    """Bytes of every result that does not name the list or the failures."""
    skipped = {"config.toml", "report.html", ".thalgpu.lock"}
    return {
        str(path.relative_to(out)): path.read_bytes()
        for path in sorted(out.rglob("*"))
        if path.is_file() and path.name not in skipped and path.parent.name != "logs"
    }


@pytest.mark.fault("poison subject, worker out of memory")
def test_subject_that_kills_its_worker_is_named_and_the_others_are_as_if_it_were_not_there(request_, cohort, tmp_path):
    request = replace(request_, workers=2)
    prepared = prepare(request)
    first, second, third = prepared.subjects
    deadly = Deadly(**{name: getattr(second, name) for name in second.__dataclass_fields__})
    result = run_gradients(request, prepared=replace(prepared, subjects=(first, deadly, third)))
    assert list(result.failures) == ["02"]
    assert isinstance(result.failures["02"], WorkerDiedError)
    assert "memory" in str(result.failures["02"])
    assert [one.record.participant_id for one in result.aligned] == ["01", "03"]
    assert "sub-02" in (request.out / "report.html").read_text()
    alone = replace(request_, subjects=without_second(cohort, tmp_path), out=tmp_path / "alone")
    run_gradients(alone)
    assert results(request.out) == results(alone.out)


def test_all_subjects_failing_raises_the_reason(request_, cohort, tmp_path):
    with pytest.raises(InputError, match="nonsense"):
        run_gradients(replace(request_, cleaning=CleaningOptions(confounds=("nonsense",))))
    assert not list(request_.out.glob("sub-*"))


def test_options_can_be_mended_after_a_run_in_which_all_failed(request_):
    with pytest.raises(InputError):
        run_gradients(replace(request_, cleaning=CleaningOptions(confounds=("nonsense",))))
    assert not run_gradients(request_).failures


@pytest.mark.fault("poison subject, worker out of memory")
def test_unexpected_error_leaves_a_report_and_the_others_finish(request_, cohort, monkeypatch):
    real = pipeline.run_subject

    def surprising(task):
        if task.subject.participant_id == "03":
            raise ZeroDivisionError("a bug of ours")
        return real(task)

    monkeypatch.setattr(pipeline, "run_subject", surprising)
    result = run_gradients(request_)
    assert list(result.failures) == ["03"]
    crash = request_.out / "logs" / "crash-sub-03.txt"
    assert str(crash) in str(result.failures["03"])
    assert "ZeroDivisionError: a bug of ours" in crash.read_text()
    assert "in surprising" in crash.read_text(), "the traceback is there"
    for needed in ("test_worker_death.py", "numpy 2", "n_components = 3", request_.subjects.name):
        assert needed in crash.read_text()
    scan = next(cohort.folder.glob("sub-03/func/*_bold.nii.gz"))
    assert f"{scan.name}  {hashlib.sha256(scan.read_bytes()).hexdigest()}" in crash.read_text()
    assert str(cohort.folder) not in crash.read_text(), "folders tell names"
    assert str(request_.out.parent) not in crash.read_text()
    assert [one.record.participant_id for one in result.aligned] == ["01", "02"]


@pytest.mark.fault("poison subject, worker out of memory")
def test_lack_of_memory_is_named_as_such(request_, monkeypatch):
    real = pipeline.run_subject

    def greedy(task):
        if task.subject.participant_id == "01":
            raise MemoryError
        return real(task)

    monkeypatch.setattr(pipeline, "run_subject", greedy)
    failure = str(run_gradients(request_).failures["01"])
    assert "out of memory" in failure
    assert "--workers" in failure


@pytest.mark.fault("poison subject, worker out of memory")
def test_subject_that_cannot_be_aligned_is_named_and_the_others_finish(request_, monkeypatch):
    real = pipeline.run_align

    def picky(task):
        if task.record.participant_id == "02":
            raise NumericsError("no rotation")
        return real(task)

    monkeypatch.setattr(pipeline, "run_align", picky)
    result = run_gradients(request_)
    assert {who: str(error) for who, error in result.failures.items()} == {"02": "no rotation"}
    assert [one.record.participant_id for one in result.aligned] == ["01", "03"]


def test_nobody_that_can_be_aligned_raises_the_reason(request_, monkeypatch):
    def never(task):
        raise NumericsError("no rotation")

    monkeypatch.setattr(pipeline, "run_align", never)
    with pytest.raises(NumericsError, match="no rotation"):
        run_gradients(request_)


@pytest.mark.fault("no room, no permission, no folder")
def test_full_disk_ends_the_run(request_, monkeypatch):
    def full(task):
        raise ResourceError("no space left on device", where="out")

    monkeypatch.setattr(pipeline, "run_subject", full)
    with pytest.raises(ResourceError, match="no space left"):
        run_gradients(request_)


@pytest.mark.fault("no room, no permission, no folder")
def test_disk_without_room_is_refused_before_any_work(request_, monkeypatch):
    usage = shutil.disk_usage(request_.out.parent)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=1000))
    with pytest.raises(ResourceError, match="are needed and"):
        run_gradients(request_)
    assert not request_.out.exists()


@pytest.mark.fault("no room, no permission, no folder")
def test_read_only_folder_is_refused_before_any_work(request_, cohort, tmp_path):
    out = tmp_path / "locked"
    out.mkdir(mode=0o555)
    program = (
        "import sys; from thalgpu.cli.main import main;"
        f"main(['gradients','--subjects',{str(cohort.list_file)!r},'--thalamus',{request_.thalamus!r},"
        f"'--cortex',{request_.cortex!r},'--out',{str(out)!r},'--n-components','3','--workers','1'])"
    )
    command = [sys.executable, "-c", program]
    if os.geteuid() == 0:  # root may write anywhere
        setpriv = shutil.which("setpriv")
        if setpriv is None:
            pytest.skip("root may write anywhere, and setpriv is not there to give that up")
        for folder in (tmp_path, *tmp_path.parents, cohort.folder, *cohort.folder.parents):
            if folder.stat().st_uid == 0 and not folder.stat().st_mode & 0o001:
                folder.chmod(folder.stat().st_mode | 0o011)  # pytest's folders let nobody else pass
        command = [setpriv, "--reuid=65534", "--regid=65534", "--clear-groups", *command]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=120, env={**os.environ, "HOME": "/nonexistent"}
    )
    assert done.returncode == 5, done.stderr
    assert "the folder cannot be written" in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(out.iterdir())


@pytest.mark.fault("two runs in one folder")
def test_second_run_in_the_same_folder_is_refused(request_):
    with hold(request_.out), pytest.raises(ResourceError):
        run_gradients(request_)


@pytest.mark.fault("NaN, empty, constant or uncovered values")
def test_subject_below_the_coverage_is_named_with_the_remedy(request_, cohort, tmp_path):
    copy = shutil.copytree(cohort.folder, tmp_path / "cohort")
    scan = next((copy / "sub-02/func").glob("*_bold.nii.gz"))
    ijk = np.argwhere(nib.load(cohort.thalamus[0]).get_fdata() > 0)
    image = nib.load(scan)
    values = np.asanyarray(image.dataobj).copy()
    values[tuple(ijk[: len(ijk) // 2].T)] = 0
    nib.save(nib.Nifti1Image(values, image.affine, image.header), scan)
    request = replace(request_, subjects=copy / "list.txt")
    result = run_gradients(request)
    assert list(result.failures) == ["02"]
    assert "--min-coverage" in str(result.failures["02"])
    lower = replace(request, out=tmp_path / "lower", options=replace(request.options, min_coverage=0.4))
    assert not run_gradients(lower).failures
    with h5py.File(lower.out / "sub-02/func/sub-02_seg-thalamus_gradients.h5") as file:
        assert file["covered"][:].sum() == len(ijk) - len(ijk) // 2
        assert np.isfinite(file["gradients"][:]).all()


@pytest.mark.fault("SIGINT or SIGTERM")
def test_signal_during_the_subjects_stops_and_a_later_run_ends_in_the_same_bytes(request_, tmp_path):
    def interrupt(event):
        if event.kind == "step" and event.done == 1:
            os.kill(os.getpid(), signal.SIGTERM)

    stopped = run_gradients(request_, interrupt)
    assert stopped.interrupted == 143
    assert len(list(request_.out.glob("sub-*"))) == 1
    assert run_gradients(request_).interrupted is None
    whole = replace(request_, out=tmp_path / "whole")
    run_gradients(whole)
    assert results(request_.out) == results(whole.out)
