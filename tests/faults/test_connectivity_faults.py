"""Runs of seed connectivity in which something goes wrong with one subject, with all, or on the way."""

import os
import shutil
import signal
from dataclasses import replace

import h5py
import nibabel as nib
import numpy as np
import pytest

from thalgpu.engine.pipelines import connectivity as pipeline
from thalgpu.engine.pipelines.connectivity import ConnectivityRequest, run_connectivity
from thalgpu.engine.simulate.cohort import simulate_cohort
from thalgpu.engine.simulate.options import CohortOptions
from thalgpu.errors import InputError, ResourceError


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    """Three people; never written to."""
    return simulate_cohort(
        tmp_path_factory.mktemp("cohort") / "cohort", options=CohortOptions(subjects=3, timepoints=40, noise=0.5)
    )


@pytest.fixture(scope="module", autouse=True)
def without_pictures():
    """No fault here has to do with them, and they take most of the time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("thalgpu.engine.report.connectivity._figures", lambda page: [])
        yield


def make_request(cohort):
    return ConnectivityRequest(
        cohort.list_file,
        thalamus=str(cohort.thalamus[0]),
        cortex=str(cohort.folder / "cortex_parcels.nii.gz"),
        seed=(f"S1={cohort.folder / 'cortex_parcels.nii.gz'}:1,2,51",),
        maps=True,
        matrix=False,
        workers=1,
    )


@pytest.fixture
def request_(cohort, tmp_path):
    return replace(make_request(cohort), out=tmp_path / "out")


@pytest.fixture(scope="module")
def undisturbed(cohort, without_pictures, tmp_path_factory):
    """What a run without any fault writes."""
    out = tmp_path_factory.mktemp("undisturbed") / "out"
    run_connectivity(replace(make_request(cohort), out=out))
    return results(out)


def results(out):
    """Bytes of every result; logs and the lock are none."""
    files = (path for path in out.rglob("*") if path.is_file() and path.parent.name != "logs")
    return {str(path.relative_to(out)): path.read_bytes() for path in files if not path.name.startswith(".thalgpu")}


@pytest.fixture
def with_values(cohort, request_, tmp_path):
    """The request on a copy of the cohort in which the second scan was changed."""

    def change(edit):
        copy = shutil.copytree(cohort.folder, tmp_path / "cohort")
        scan = next((copy / "sub-02/func").glob("*_bold.nii.gz"))
        image = nib.load(scan)
        values = image.get_fdata(dtype=np.float32)
        edit(values)
        nib.save(nib.Nifti1Image(values, image.affine), scan)
        return replace(request_, subjects=copy / "list.txt")

    return change


@pytest.mark.fault("damaged scan, surface or confounds")
def test_one_damaged_scan_is_named_and_the_others_finish(cohort, request_, tmp_path):
    copy = shutil.copytree(cohort.folder, tmp_path / "cohort")
    scan = next((copy / "sub-02/func").glob("*_bold.nii.gz"))
    scan.write_bytes(scan.read_bytes()[:-2000])
    result = run_connectivity(replace(request_, subjects=copy / "list.txt"))
    assert list(result.failures) == ["02"]
    assert scan.name in str(result.failures["02"])
    assert [record.participant_id for record in result.records] == ["01", "03"]
    assert not (request_.out / "sub-02").exists()
    rows = result.tables["connectivity"].read_text().splitlines()
    assert [row.split("\t")[0] for row in rows] == ["participant_id", "sub-01", "sub-03"]
    assert "sub-02" in (request_.out / "report.html").read_text()


@pytest.mark.fault("NaN, empty, constant or uncovered values")
def test_seed_outside_the_scan_fails_the_subject_by_name(cohort, with_values):
    parcels = nib.load(cohort.folder / "cortex_parcels.nii.gz").get_fdata()

    def cut(values):
        values[np.isin(parcels, [1, 2])] = 0

    result = run_connectivity(with_values(cut))
    assert list(result.failures) == ["02"]
    assert "all but S1" in str(result.failures["02"])
    assert "--min-coverage" in str(result.failures["02"])


@pytest.mark.fault("NaN, empty, constant or uncovered values")
def test_scan_that_holds_nan_leaves_none_in_any_result(cohort, with_values):
    parcels = nib.load(cohort.folder / "cortex_parcels.nii.gz").get_fdata()

    def spoil(values):
        values[np.isin(parcels, [7, 60]), 11] = np.nan

    result = run_connectivity(replace(with_values(spoil), matrix=True))
    assert not result.failures
    with h5py.File(result.out / "sub-02/func/sub-02_connectivity.h5") as file:
        assert np.flatnonzero(file["targets_covered"][:] == 0).tolist() == [6, 59]
        assert not file["z"][:][:, [6, 59]].any()
        assert np.isfinite(file["z"][:]).all()
        assert np.isfinite(file["regions"][:]).all()
    for path in result.maps["thalamus"]:
        assert np.isfinite(nib.load(path).get_fdata()).all()
    assert "n/a" not in result.tables["regions"].read_text()
    assert any("L_07" in remark and "sub-02" in remark for remark in result.warnings)


@pytest.mark.fault("NaN, empty, constant or uncovered values")
def test_cortex_mostly_outside_the_scan_fails_the_subject(cohort, with_values):
    parcels = nib.load(cohort.folder / "cortex_parcels.nii.gz").get_fdata()

    def cut(values):
        values[(parcels > 2) & (parcels < 50)] = 0

    result = run_connectivity(with_values(cut))
    assert "targets of" in str(result.failures["02"])


def test_nobody_that_can_be_used_raises_the_reason(request_):
    cleaning = replace(request_.cleaning, confounds=("nonsense",))
    with pytest.raises(InputError, match="nonsense"):
        run_connectivity(replace(request_, cleaning=cleaning))
    assert not run_connectivity(request_).failures, "options can be mended after a run in which all failed"


@pytest.mark.fault("SIGINT or SIGTERM")
def test_signal_stops_in_order_and_a_later_run_ends_in_the_same_bytes(request_, undisturbed):
    def interrupt(event):
        if event.kind == "step" and event.done == 1:
            os.kill(os.getpid(), signal.SIGTERM)

    stopped = run_connectivity(request_, interrupt)
    assert stopped.interrupted == 143
    assert not stopped.tables
    assert len(list(request_.out.glob("sub-*"))) == 1
    assert run_connectivity(request_).interrupted is None
    assert results(request_.out) == undisturbed


@pytest.mark.fault("full disk at the Nth disk operation")
def test_crash_between_maps_and_record_is_mended(request_, undisturbed, monkeypatch):
    with monkeypatch.context() as patch:

        def full(*arguments, **named):
            raise ResourceError("no space left on device", where="out")

        patch.setattr("thalgpu.engine.pipelines.connectivity_stage.write_record", full)
        with pytest.raises(ResourceError):
            run_connectivity(request_)
    assert list(request_.out.rglob("*_boldmap.nii.gz")), "maps come before the record that vouches for them"
    run_connectivity(request_)
    assert results(request_.out) == undisturbed


@pytest.mark.fault("poison subject, worker out of memory")
def test_unexpected_error_leaves_a_report_and_the_others_finish(request_, monkeypatch):
    real = pipeline.run_connectivity_subject

    def surprising(task):
        if task.subject.participant_id == "03":
            raise ZeroDivisionError("a bug of ours")
        return real(task)

    monkeypatch.setattr(pipeline, "run_connectivity_subject", surprising)
    result = run_connectivity(request_)
    assert list(result.failures) == ["03"]
    assert "ZeroDivisionError: a bug of ours" in (request_.out / "logs/crash-sub-03.txt").read_text()


def test_overwritten_options_leave_no_file_of_the_earlier_ones(request_):
    run_connectivity(replace(request_, matrix=True))
    fewer = replace(request_, seed=(), maps=False, overwrite=True)
    result = run_connectivity(fewer)
    assert result.maps == {}
    assert not list(request_.out.rglob("*_boldmap.*"))
    assert not (request_.out / "regions.tsv").exists()
    assert "S1" not in (request_.out / "connectivity.tsv").read_text()
