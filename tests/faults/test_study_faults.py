"""A whole study that is killed, stopped, run out of disk or damaged; the same command then ends in the same bytes."""

import functools
import os
import shutil
import signal
import sys
from dataclasses import dataclass, replace

import nibabel as nib
import numpy as np
import pytest
from command_under_faults import FINISHED, KILLED, REFUSED
from faulty_runs import (
    as_nobody,
    check_struck,
    damage,
    signalled,
    thalgpu,
    under_disk_faults,
    whole,
    with_a_worker_killed,
    without_pictures,
)

from thalgpu.engine.outputs.locks import hold
from thalgpu.engine.pipelines.structure_prepare import prepare_structure
from thalgpu.engine.pipelines.structure_sources import MeasureTask
from thalgpu.engine.simulate.cohort import simulate_cohort
from thalgpu.engine.simulate.options import CohortOptions

STUDY = """
[study]
participants = "participants.tsv"
subjects = "list.tsv"
n_perm = 50

[groups]
order = ["neuCLBP", "nonneuCLBP"]

[design]
covariates = ["age"]

[clinical]
severity = ["pain_intensity"]
patients = ["neuCLBP", "nonneuCLBP"]
sensitivity = "pain_intensity"

[arms.gradients]
thalamus = "nucleus.nii.gz"
cortex = "cortex_parcels.nii.gz"
n_components = 2

[arms.volumes]
[arms.shape]

[arms.group_gradients]
n_perm = 10
"""
"""All that a study does, in less than a second: measures, two rounds of tests, group gradients, clinical scores."""

linux = pytest.mark.skipif(sys.platform != "linux", reason="needs LD_PRELOAD and /proc")


@pytest.fixture(scope="module", autouse=True)
def fast():
    with without_pictures():
        yield


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    """Six patients of two groups, and 40 voxels of the thalamus; never written to."""
    options = CohortOptions(subjects=6, groups=("neuCLBP", "nonneuCLBP"), timepoints=30, study=True)
    folder = simulate_cohort(tmp_path_factory.mktemp("people") / "people", options=options).folder
    thalamus = nib.load(folder / "thalamus.nii.gz")
    voxels = np.argwhere(thalamus.get_fdata() > 0)[:40]
    nucleus = np.zeros(thalamus.shape, np.uint8)
    nucleus[tuple(voxels.T)] = 1
    nib.save(nib.Nifti1Image(nucleus, thalamus.affine), folder / "nucleus.nii.gz")
    (folder / "small.toml").write_text(STUDY)
    return folder


@pytest.fixture(scope="module")
def study(people, fast, tmp_path_factory):
    return whole(tmp_path_factory.mktemp("study") / "out", "study", people / "small.toml", "--gpus", 0)


@pytest.fixture
def finished(study):
    study.begin(finished=True)
    return study


@pytest.fixture
def new(study):
    study.begin(finished=False)
    return study


STATUS = {"killed": KILLED, "full": REFUSED}
STRUCK = [
    pytest.param("killed", marks=pytest.mark.fault("kill at the Nth disk operation")),
    pytest.param("full", marks=pytest.mark.fault("full disk at the Nth disk operation")),
]

JOBS = {
    "chains": [{"kind": kind, "n_faults": 9, "latest": 800} for kind in STATUS],
    "steps": [{"kinds": ["killed"], "step": 31}, {"kinds": ["full"], "step": 43}],
}
"""Of some 1,250 operations, six a file: those of a few runs that follow each other; and every so many-th, one a run."""


@pytest.fixture(scope="module")
def strike(study, tmp_path_factory):
    """Strike the study by every kind of fault; kind → its runs. Imports are paid once for all."""

    @functools.cache
    def strike(how):
        folder = tmp_path_factory.mktemp("struck")
        out = str(folder / "out")
        where = {"command": [*study.command[:-1], out, "--workers", "1"], "out": out}
        jobs = [{**where, **job} for job in JOBS[how]]
        return dict(zip(STATUS, under_disk_faults(folder, jobs), strict=True))

    return strike


@linux
@pytest.mark.parametrize("kind", STRUCK)
def test_a_study_struck_again_and_again_loses_nothing_and_ends_in_the_same_bytes(strike, kind, injected):
    runs = strike("chains")[kind]
    check_struck(runs, STATUS[kind], injected)


@linux
@pytest.mark.faults_long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("kind", STRUCK)
def test_a_study_struck_once_at_any_operation_ends_in_the_same_bytes(strike, kind, injected):
    *struck, last = strike("steps")[kind]
    injected(len(struck), lost=sum(one["lost"] for one in struck))
    assert last["status"] == FINISHED
    assert {one["status"] for one in struck} == {STATUS[kind]}
    assert [one for one in struck if one["resumed"] != FINISHED or one["incomplete"] or one["leftovers"]] == []
    assert [one for one in struck if one["differing"]] == []


MOMENTS = [
    ("gradients: alignment", 2, signal.SIGTERM),
    ("structure: group", 0, signal.SIGINT),
    ("volumes: results", 0, signal.SIGTERM),
    ("shape, adjusted for pain_intensity: p-values", 1, signal.SIGINT),
    ("group gradients: results", 1, signal.SIGTERM),
]
"""Stage and step: among subjects, and while the last of a part is written, when nothing is left to be stopped in it."""


@pytest.mark.fault("SIGINT or SIGTERM")
def test_a_signal_at_any_stage_stops_a_study_and_a_later_run_ends_in_the_same_bytes(new, injected):
    injected(len(MOMENTS))
    for stage, step, number in MOMENTS:
        done, later = signalled(new, stage, step, number)
        assert done.exit_code == 128 + number, stage
        part = stage.rpartition(": ")[0]
        assert [text for text in later if not text.startswith(part)] == [], "only what is at work may end"
        assert "run the same command to go on" in done.out
        assert not (new.out / "results.tsv").exists()
    assert new.run().exit_code == FINISHED
    assert new.differing() == []


@pytest.mark.fault("SIGINT or SIGTERM")
def test_a_signal_while_the_report_is_written_does_not_spoil_it(new):
    done, _ = signalled(new, "report", 0, signal.SIGTERM)
    assert done.exit_code == FINISHED
    assert new.differing() == []


@pytest.mark.fault("kill -9 of the parent, a worker or all")
def test_a_killed_worker_costs_a_study_nothing(finished):
    shutil.rmtree(finished.out / "structure")
    done = with_a_worker_killed(finished)
    assert done.exit_code == FINISHED, done.err
    assert finished.differing() == []


@dataclass(frozen=True)
class Deadly(MeasureTask):
    """Kills whoever unpacks it: the worker that is given the task."""

    def __reduce__(self):
        return signal.raise_signal, (signal.SIGKILL,)


@pytest.mark.faults_long
@pytest.mark.fault("poison subject, worker out of memory")
def test_a_person_who_kills_workers_is_named_and_the_others_are_tested_as_if_alone(
    finished, people, tmp_path, monkeypatch
):
    shutil.rmtree(finished.out / "structure")

    def prepare(request):
        prepared = prepare_structure(request)
        tasks = [Deadly(**vars(one)) if one.words == "sub-02 shape" else one for one in prepared.tasks]
        return replace(prepared, tasks=tuple(tasks))

    with monkeypatch.context() as patch:
        patch.setattr("thalgpu.engine.pipelines.study_measures.prepare_structure", prepare)
        done = finished.run(workers=2)
    assert done.exit_code == 3, done.err
    excluded = (finished.out / "excluded.tsv").read_text()
    assert "sub-02\tstructure: the worker process died" in excluded
    rows = (people / "list.tsv").read_text().splitlines(keepends=True)
    (people / "others.tsv").write_text("".join(row for row in rows if not row.startswith("sub-02")))
    arms = STUDY.index("[arms.gradients]")
    text = STUDY[:arms].replace("list.tsv", "others.tsv") + "[arms.volumes]\n[arms.shape]\n"
    (people / "others.toml").write_text(text)
    others = tmp_path / "others"
    assert thalgpu("study", people / "others.toml", "--out", others, "--workers", 1).exit_code == FINISHED
    for table in ("design.tsv", "tests/volumes/results.tsv", "tests/shape/summary.tsv"):
        assert (finished.out / table).read_bytes() == (others / table).read_bytes()


@pytest.mark.fault("two runs in one folder")
@pytest.mark.parametrize("part", ["", "gradients", "tests/volumes"])
def test_a_folder_in_which_another_run_is_at_work_is_refused_and_left_as_it_is(finished, part):
    with hold(finished.out / part):
        done = finished.run()
    assert done.exit_code == REFUSED
    assert "another run is at work in this folder: process" in done.error
    assert finished.differing() == []


@linux
@pytest.mark.fault("no room, no permission, no folder")
def test_folders_that_cannot_be_written_are_refused_in_one_line(finished, people, tmp_path):
    (tmp_path / "closed").mkdir(mode=0o555)
    for path in (finished.out, *finished.out.rglob("*")):
        path.chmod(path.stat().st_mode & 0o555)
    study = ("study", people / "small.toml", "--workers", 1, "--gpus", 0, "--out")
    outs = (tmp_path / "closed" / "new", tmp_path / "closed", finished.out)
    for done in as_nobody([(*study, out) for out in outs], tmp_path, people, finished.out):
        assert done.exit_code == REFUSED
        assert "choose a folder that you may write to" in done.error
    assert not list((tmp_path / "closed").iterdir())
    assert finished.differing() == []


TRUSTED = (
    "gradients/sub-02/func/sub-02_seg-thalamus_gradients.h5",
    "gradients/sub-03/func/sub-03_seg-thalamus_desc-aligned_gradients.h5",
    "gradients/sub-04/func/*_boldmap.nii.gz",
    "gradients/sub-05/func/*_boldmap.json",
    "gradients/group/gradients.h5",
    "gradients/group/*_boldmap.nii.gz",
    "gradients/group/summary.tsv",
    "gradients/logs/verified.txt",
    "gradients/logs/input-hashes.json",
    "structure/sub-02/anat/sub-02_desc-volumes_structure.h5",
    "structure/sub-03/anat/sub-03_desc-shape_structure.h5",
    "structure/sub-04/anat/*_hemi-L_*displacement.shape.gii",
    "structure/group/hemi-L*.surf.gii",
    "structure/volumes.tsv",
    "structure/icv.tsv",
    "structure/logs/input-hashes.json",
    "design.tsv",
    "design_patients.tsv",
    "tests/gradients/blocks/problem.h5",
    "tests/gradients/blocks/null.h5",
    "tests/shape/results.h5",
    "tests/shape/*pfwe_statmap.func.gii",
    "tests/volumes/results.tsv",
    "tests-adjusted/volumes/blocks/null.h5",
    "group_gradients/blocks/study.h5",
    "group_gradients/blocks/*-null.h5",
    "group_gradients/results.h5",
    "measures.tsv",
    "results.tsv",
)
"""A file of every kind that a run reads again, or that people do."""

WAYS = ("cut", "flipped", "gone", "empty")


@pytest.mark.fault("results damaged between runs")
@pytest.mark.parametrize("turn", range(len(WAYS)))
def test_damaged_results_are_noticed_and_made_again(finished, turn, injected):
    for number, pattern in enumerate(TRUSTED):
        (path, *_) = sorted(finished.out.glob(pattern))
        damage(path, WAYS[(number + turn) % len(WAYS)])
    injected(len(TRUSTED))
    done = finished.run()
    assert done.exit_code == FINISHED, done.err
    assert finished.differing() == []


@pytest.mark.fault("results damaged between runs")
@pytest.mark.parametrize("part", ["", "gradients", "structure"])
def test_settings_that_cannot_be_read_are_named_and_overwritten_on_request(finished, part):
    (finished.out / part / "config.toml").write_text("[st")
    done = finished.run()
    assert done.exit_code == 4
    assert str(finished.out / part / "config.toml") in done.error
    assert "--overwrite" in done.error
    assert finished.run("--overwrite").exit_code == FINISHED
    assert finished.differing() == []


@pytest.mark.fault("results damaged between runs")
@pytest.mark.parametrize("part", ["tests/volumes", "tests-adjusted/shape", "group_gradients"])
def test_settings_of_a_test_are_written_again(finished, part):
    (finished.out / part / "config.toml").write_text("[st")
    assert finished.run().exit_code == FINISHED
    assert finished.differing() == []


@pytest.mark.fault("results damaged between runs")
def test_numbers_damaged_behind_the_ledger_are_refused_by_whoever_reads_them(finished):
    record = finished.out / "gradients/sub-03/func/sub-03_seg-thalamus_desc-aligned_gradients.h5"
    times = record.stat()
    damage(record, "flipped")
    os.utime(record, ns=(times.st_atime_ns, times.st_mtime_ns))
    done = finished.run()
    assert done.exit_code == 4
    assert str(record) in done.error
    assert "remove the file and run again" in done.error
    record.unlink()
    assert finished.run().exit_code == FINISHED
    assert finished.differing() == []


@pytest.mark.fault("SIGINT or SIGTERM")
def test_what_other_settings_gave_does_not_stay_beside_those_of_a_run_that_was_stopped(finished):
    stopped, _ = signalled(finished, "gradients: subjects", 0, signal.SIGTERM, "--overwrite", "--n-perm", 60)
    assert stopped.exit_code == 143
    assert "n_perm = 60" in (finished.out / "config.toml").read_text()
    assert not list(finished.out.glob("*.tsv"))
    assert not (finished.out / "report.html").exists()
    assert finished.run("--overwrite").exit_code == FINISHED
    assert finished.differing() == []
