"""Connectivity and structure remember what they have verified, as gradients do (test_ledger.py)."""

from dataclasses import replace

import pytest

from thalgpu.engine.cluster.shards import Shard
from thalgpu.engine.outputs import store
from thalgpu.engine.pipelines import verified
from thalgpu.engine.pipelines.connectivity import run_connectivity
from thalgpu.engine.pipelines.connectivity_prepare import ConnectivityRequest
from thalgpu.engine.pipelines.structure import run_structure
from thalgpu.engine.pipelines.structure_request import StructureRequest
from thalgpu.engine.simulate.cohort import simulate_cohort
from thalgpu.engine.simulate.options import CohortOptions

N_SUBJECTS = 2


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    options = CohortOptions(subjects=N_SUBJECTS, groups=("A", "B"), timepoints=40, study=True)
    return simulate_cohort(tmp_path_factory.mktemp("cohort"), options=options)


@pytest.fixture
def connectivity(cohort, tmp_path):
    return ConnectivityRequest(
        subjects=cohort.list_file,
        out=tmp_path / "out",
        thalamus=str(cohort.thalamus[0]),
        cortex=str(cohort.cortex[0]),
        maps=True,
        workers=1,
    )


@pytest.fixture
def structure(cohort, tmp_path):
    return StructureRequest(subjects=cohort.table_file, out=tmp_path / "out", workers=1)


@pytest.fixture(params=["connectivity", "structure"])
def command(request):
    """What runs one of the commands on a request, and the request."""
    run = run_connectivity if request.param == "connectivity" else run_structure
    return run, request.getfixturevalue(request.param)


@pytest.fixture
def checked(monkeypatch):
    """Records that were verified byte by byte to see whether they are finished."""
    found = []
    is_done = verified.is_done

    def watched(path, key):
        found.append(path)
        return is_done(path, key)

    monkeypatch.setattr(verified, "is_done", watched)
    return found


def records(out):
    return sorted(out.glob("sub-*/*/*.h5"))


def contents(out):
    return {path: path.read_bytes() for path in sorted(out.rglob("*")) if path.is_file() and path.parent.name != "logs"}


def test_second_run_verifies_no_record_again_and_writes_the_same(command, checked):
    run, request = command
    run(request)
    before = contents(request.out)
    checked.clear()
    run(request)
    assert checked == []
    assert contents(request.out) == before


def test_every_record_is_verified_when_the_ledger_is_gone(command, checked):
    run, request = command
    run(request)
    (request.out / "logs" / "verified.txt").unlink()
    checked.clear()
    run(request)
    assert sorted(checked) == records(request.out)


def test_damaged_record_is_noticed_and_made_again(command, checked):
    run, request = command
    run(request)
    record = records(request.out)[0]
    whole = record.read_bytes()
    record.write_bytes(whole[:-200] + bytes(200))
    checked.clear()
    run(request)
    assert checked == [record]
    assert record.read_bytes() == whole


def test_damaged_map_is_noticed_and_made_again(connectivity):
    run_connectivity(connectivity)
    image = next(connectivity.out.glob("sub-*/func/*_boldmap.nii.gz"))
    whole = image.read_bytes()
    image.write_bytes(whole[:-1] + b"?")
    again = run_connectivity(connectivity)
    assert sum(not record.skipped for record in again.records) == 1
    assert image.read_bytes() == whole


def test_what_is_told_does_not_depend_on_who_vouches(connectivity):
    """Whether a subject was computed, found with a ledger or without: but for time and order of files, the same."""
    told = [run_connectivity(connectivity).records for _ in range(2)]
    (connectivity.out / "logs" / "verified.txt").unlink()
    told.append(run_connectivity(connectivity).records)
    alike = [
        [replace(one, files=sorted(one.files), seconds=0, skipped=True, stamps=()) for one in records]
        for records in told
    ]
    assert alike[0] == alike[1] == alike[2]


def test_a_shard_keeps_a_ledger_of_its_own_and_the_whole_run_believes_it(command, checked):
    run, request = command
    shard = replace(request, shard=Shard(1, 2))
    run(shard)
    mine = records(request.out)
    assert [path.name for path in (request.out / "logs").glob("verified*")] == ["verified-1-of-2.txt"]
    checked.clear()
    run(shard)
    run(request)
    assert not set(checked) & set(mine)
    assert [path.name for path in (request.out / "logs").glob("verified*")] == ["verified.txt"]


def test_second_run_opens_no_record_of_volumes(structure, monkeypatch):
    request = replace(structure, measures=("volumes",))
    first = run_structure(request)
    table = first.volumes.read_bytes()

    def opened(path):
        raise AssertionError(f"{path} was opened")

    monkeypatch.setattr(store, "open_guarded", opened)
    again = run_structure(request)
    assert again.n_skipped == N_SUBJECTS
    assert again.volumes.read_bytes() == table
