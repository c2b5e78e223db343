"""A re-run opens no result that it has verified, and believes nothing that has changed."""

import os

import pytest

from thalgpu.engine.config import CleaningOptions, GradientOptions
from thalgpu.engine.outputs import store
from thalgpu.engine.pipelines import verified
from thalgpu.engine.pipelines.gradients import run_gradients
from thalgpu.engine.pipelines.ledger import Ledger, stamps
from thalgpu.engine.pipelines.prepare import GradientsRequest
from thalgpu.engine.simulate.cohort import simulate_cohort
from thalgpu.engine.simulate.options import CohortOptions


@pytest.fixture
def out(tmp_path):
    """A folder with a record and its map."""
    folder = tmp_path / "sub-01"
    folder.mkdir()
    (folder / "a.h5").write_bytes(b"record")
    (folder / "a.nii").write_bytes(b"map")
    return tmp_path


def noted(out, key="key"):
    ledger = Ledger(out / "logs" / "verified.txt")
    files = [out / "sub-01" / name for name in ("a.h5", "a.nii")]
    ledger.note(files[0], key, {file.name: stamp for file, stamp in zip(files, stamps(files), strict=True)}, {"n": 1})
    return ledger


def found(out, key="key", shard=None):
    return Ledger(out / "logs" / "verified.txt", shard).find(out / "sub-01" / "a.h5", key)


def test_what_was_noted_and_saved_is_told_by_the_next_run(out):
    noted(out).save()
    assert found(out) == {"n": 1}


def test_another_key_is_another_result(out):
    noted(out).save()
    assert found(out, key="other") is None


@pytest.mark.parametrize("name", ["a.h5", "a.nii"])
def test_a_file_that_was_touched_or_removed_is_not_vouched_for(out, name):
    noted(out).save()
    file = out / "sub-01" / name
    os.utime(file, ns=(0, 0))
    assert found(out) is None
    file.unlink()
    assert found(out) is None


def test_a_ledger_that_was_changed_is_not_believed(out):
    noted(out).save()
    path = out / "logs" / "verified.txt"
    path.write_text(path.read_text().replace('{"n":1}', '{"n":2}'))
    assert found(out) is None
    path.write_bytes(b"\xff\xfe")
    assert found(out) is None


def test_a_shard_saves_beside_the_others_and_the_whole_run_joins_them(out):
    whole = out / "logs" / "verified.txt"
    shard = Ledger(whole, "1-of-2")
    (stamp,) = stamps([out / "sub-01" / "a.h5"])
    shard.note(out / "sub-01" / "a.h5", "key", {"a.h5": stamp}, {"n": 1})
    shard.save()
    assert not whole.exists()
    Ledger(whole).save()
    assert [path.name for path in (out / "logs").iterdir()] == ["verified.txt"]
    assert found(out) == {"n": 1}


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    options = CohortOptions(subjects=3, groups=("A", "B"), timepoints=40)
    return simulate_cohort(tmp_path_factory.mktemp("cohort"), options=options)


@pytest.fixture
def request_(cohort, tmp_path):
    return GradientsRequest(
        subjects=cohort.list_file,
        out=tmp_path / "out",
        thalamus=str(cohort.thalamus[0]),
        cortex=str(cohort.cortex[0]),
        options=GradientOptions(),
        cleaning=CleaningOptions(),
        workers=1,
    )


def test_a_second_run_opens_no_subjects_record_and_tells_the_same(request_, monkeypatch):
    first = run_gradients(request_)
    summary = (request_.out / "group" / "summary.tsv").read_bytes()

    def opened(path, key):
        raise AssertionError(f"{path} was read again")

    monkeypatch.setattr(verified, "is_done", opened)
    again = run_gradients(request_)
    assert (request_.out / "group" / "summary.tsv").read_bytes() == summary
    for one, other in zip(first.aligned, again.aligned, strict=True):
        assert other.skipped
        assert other.record.skipped
        assert (other.summary, other.trend, other.files) == (one.summary, one.trend, one.files)
        assert other.record.lambdas.tolist() == one.record.lambdas.tolist()
        assert other.record.sha256 == one.record.sha256


def test_without_a_ledger_each_array_is_read_once(request_, monkeypatch):
    run_gradients(request_)
    (request_.out / "logs" / "verified.txt").unlink()
    read = []
    verified = store._verified_array

    def counted(file, path, name, *rest):
        read.append((path, name))
        return verified(file, path, name, *rest)

    monkeypatch.setattr(store, "_verified_array", counted)
    assert all(one.skipped for one in run_gradients(request_).aligned)
    large = [(path, name) for path, name in read if name in ("affinity", "gradients", "aligned")]
    assert large
    assert len(large) == len(set(large))


def test_a_damaged_record_is_found_and_made_again(request_):
    run_gradients(request_)
    record = next(request_.out.glob("sub-*/func/*thalamus_gradients.h5"))
    whole = record.read_bytes()
    record.write_bytes(whole[:-200] + bytes(200))
    again = run_gradients(request_)
    assert sum(not one.record.skipped for one in again.aligned) == 1
    assert record.read_bytes() == whole
