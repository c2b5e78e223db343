"""Measures of structure, and of connectivity, that are killed, stopped or damaged; they end in the same bytes."""

import os
import signal
import sys

import nibabel as nib
import numpy as np
import pytest
from command_under_faults import FINISHED, KILLED, REFUSED
from faulty_runs import (
    as_nobody,
    check_struck,
    damage,
    signalled,
    under_disk_faults,
    whole,
    with_a_worker_killed,
    without_pictures,
)

from thalgpu.engine.outputs.locks import hold
from thalgpu.engine.simulate.cohort import simulate_cohort
from thalgpu.engine.simulate.options import CohortOptions

linux = pytest.mark.skipif(sys.platform != "linux", reason="needs LD_PRELOAD and /proc")


@pytest.fixture(scope="module", autouse=True)
def fast():
    with without_pictures():
        yield


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    """Three people with scans, stats files and meshes; and label images of thalami. Never written to."""
    options = CohortOptions(subjects=3, timepoints=30, study=True)
    folder = simulate_cohort(tmp_path_factory.mktemp("people") / "people", options=options).folder
    rows = ["participant_id\taseg"]
    x, y, z = np.ogrid[-16:16, -10:10, -10:10]
    affine = np.eye(4)
    affine[:3, 3] = -16, -10, -10
    for number in (1, 2, 3):
        labels = np.zeros((32, 20, 20), np.int16)
        for label, middle in ((10, -8), (49, 8)):
            labels[(x - middle) ** 2 / 9 + y**2 / (20 + 4 * number) + z**2 / 16 < 1] = label
        nib.save(nib.Nifti1Image(labels, affine), folder / f"aseg-{number}.nii.gz")
        rows.append(f"sub-{number:02}\taseg-{number}.nii.gz")
    (folder / "labels.tsv").write_text("\n".join(rows) + "\n")
    return folder


COMMANDS = {
    "structure": ("structure", "--subjects", "list.tsv"),
    "labels": ("structure", "--subjects", "labels.tsv"),
    "connectivity": (
        *("connectivity", "--subjects", "list.txt", "--thalamus", "thalamus.nii.gz"),
        *("--cortex", "cortex.nii.gz", "--atlas", "cortex_parcels.nii.gz"),
    ),
}
"""Stats and meshes; label images, onto which a template is registered; and maps and tables of connectivity."""


@pytest.fixture(scope="module")
def wholes(people, fast, tmp_path_factory):
    """Each command, run once."""
    done = {}

    def once(name):
        if name not in done:
            command = [people / word if "." in word else word for word in COMMANDS[name]]
            done[name] = whole(tmp_path_factory.mktemp(name) / "out", *command)
        return done[name]

    return once


@pytest.fixture(params=COMMANDS)
def finished(request, wholes):
    if request.param == "labels":
        pytest.importorskip("skimage", reason="surfaces of label images need scikit-image")
    one = wholes(request.param)
    one.begin(finished=True)
    return one


@pytest.fixture
def new(finished):
    finished.begin(finished=False)
    return finished


STATUS = {"killed": KILLED, "full": REFUSED}
ROWS = {"killed": "kill at the Nth disk operation", "full": "full disk at the Nth disk operation"}
STRUCK = [
    pytest.param(name, kind, marks=pytest.mark.fault(ROWS[kind]))
    for name, kind in (
        ("structure", "full"),
        ("labels", "killed"),
        ("connectivity", "killed"),
        ("connectivity", "full"),
    )
]


@pytest.fixture(scope="module")
def struck(wholes, tmp_path_factory):
    """Command and kind of fault → its runs; imports are paid once for all."""
    pytest.importorskip("skimage", reason="surfaces of label images need scikit-image")
    folder = tmp_path_factory.mktemp("struck")
    jobs = {}
    for name, kind in (one.values for one in STRUCK):
        out = str(folder / f"{name}-{kind}")
        command = [*wholes(name).command[:-1], out, "--workers", "1"]
        jobs[name, kind] = {"command": command, "out": out, "kind": kind, "n_faults": 12, "latest": 120}
    return dict(zip(jobs, under_disk_faults(folder, list(jobs.values())), strict=True))


@linux
@pytest.mark.faults_long
@pytest.mark.parametrize(("name", "kind"), STRUCK)
def test_commands_struck_again_and_again_lose_nothing_and_end_in_the_same_bytes(struck, name, kind, injected):
    check_struck(struck[name, kind], STATUS[kind], injected)


MOMENTS = {
    "structure": [("subjects", 2), ("subjects", 6)],
    "labels": [("subjects", 4), ("template", 1), ("registration", 2)],
    "connectivity": [("subjects", 0), ("subjects", 2)],
}


@pytest.mark.fault("SIGINT or SIGTERM")
def test_a_signal_at_any_stage_stops_a_command_and_a_later_run_ends_in_the_same_bytes(request, new, injected):
    moments = MOMENTS[request.node.callspec.params["finished"]]
    injected(2 * len(moments))
    for stage, step in moments:
        new.begin(finished=False)
        for number in (signal.SIGINT, signal.SIGTERM):
            done, _ = signalled(new, stage, step, number)
            assert done.exit_code == 128 + number, (stage, done.out)
            assert "run the same command to go on" in done.out
            assert not list(new.out.glob("*.tsv"))
            step = max(0, step - 1)
    assert new.run().exit_code == FINISHED
    assert new.differing() == []


@pytest.mark.fault("kill -9 of the parent, a worker or all")
@pytest.mark.parametrize(
    "finished",
    ["structure", pytest.param("labels", marks=pytest.mark.faults_long), "connectivity"],
    indirect=True,
)
def test_a_killed_worker_costs_a_command_nothing(new):
    done = with_a_worker_killed(new)
    assert done.exit_code == FINISHED, done.err
    assert new.differing() == []


@pytest.mark.fault("two runs in one folder")
def test_a_folder_in_which_another_run_is_at_work_is_refused_and_left_as_it_is(finished):
    with hold(finished.out):
        done = finished.run()
    assert done.exit_code == REFUSED
    assert "another run is at work in this folder: process" in done.error
    assert finished.differing() == []


@linux
@pytest.mark.fault("no room, no permission, no folder")
def test_folders_that_cannot_be_written_are_refused_in_one_line(wholes, people, tmp_path):
    (tmp_path / "closed").mkdir(mode=0o555)
    commands, ones = [], [wholes(name) for name in ("structure", "connectivity")]
    for one in ones:
        one.begin(finished=True)
        for path in (one.out, *one.out.rglob("*")):
            path.chmod(path.stat().st_mode & 0o555)
        commands += [[*one.command[:-1], out] for out in (tmp_path / "closed" / "new", tmp_path / "closed", one.out)]
    for done in as_nobody(commands, tmp_path, people, *(one.out for one in ones)):
        assert done.exit_code == REFUSED
        assert "choose a folder that you may write to" in done.error
    assert not list((tmp_path / "closed").iterdir())
    assert [one.differing() for one in ones] == [[], []]


TRUSTED = {
    "structure": (
        "sub-01/anat/*_desc-volumes_structure.h5",
        "sub-02/anat/*_desc-thickness_structure.h5",
        "sub-03/anat/*_desc-shape_structure.h5",
        "sub-02/anat/*_hemi-L_*displacement.shape.gii",
        "group/hemi-R*.surf.gii",
        "group/hemi-L*.vtk",
        "group/hemi-L*.json",
        "volumes.tsv",
        "icv.tsv",
        "thickness.tsv",
        "shape_qc.tsv",
        "logs/input-hashes.json",
    ),
    "labels": (
        "sub-01/anat/*_desc-shape_structure.h5",
        "sub-02/anat/*_desc-registered_structure.h5",
        "sub-03/anat/*_hemi-R_*displacement.shape.gii",
        "group/hemi-L*.surf.gii",
        "volumes.tsv",
        "logs/input-hashes.json",
    ),
    "connectivity": (
        "sub-01/func/*_connectivity.h5",
        "sub-02/func/*_boldmap.nii.gz",
        "sub-03/func/*.json",
        "connectivity.tsv",
        "regions.tsv",
        "logs/input-hashes.json",
    ),
}
"""Files that a run reads again, or that people and `thalgpu permute` do."""

WAYS = ("cut", "flipped", "gone", "empty")


@pytest.mark.fault("results damaged between runs")
@pytest.mark.parametrize("turn", range(len(WAYS)))
def test_damaged_results_are_noticed_and_made_again(request, finished, turn, injected):
    patterns = TRUSTED[request.node.callspec.params["finished"]]
    for number, pattern in enumerate(patterns):
        (path, *_) = sorted(finished.out.glob(pattern))
        damage(path, WAYS[(number + turn) % len(WAYS)])
    injected(len(patterns))
    done = finished.run()
    assert done.exit_code == FINISHED, done.err
    assert finished.differing() == []


@pytest.mark.fault("results damaged between runs")
def test_damage_behind_the_ledger_is_refused_by_whoever_reads_it_and_changes_no_table(finished, injected):
    assert finished.run().exit_code == FINISHED  # which verifies, and trusts size and time from then on
    records = [path for who in ("01", "02", "03") for path in sorted(finished.out.glob(f"sub-{who}/*/*.h5"))]
    tables = {path: path.read_bytes() for path in finished.out.glob("*.tsv")}
    injected(len(records))
    for record in records:
        intact, times = record.read_bytes(), record.stat()
        damage(record, "flipped")
        os.utime(record, ns=(times.st_atime_ns, times.st_mtime_ns))
        done = finished.run()
        if done.exit_code != FINISHED:
            assert (done.exit_code, str(record) in done.error) == (4, True)
            assert "remove the file and run again" in done.error
        assert {path: path.read_bytes() for path in tables} == tables
        record.unlink()
        assert finished.run().exit_code == FINISHED
        assert record.read_bytes() == intact
    assert finished.differing() == []


@pytest.mark.fault("results damaged between runs")
def test_settings_that_cannot_be_read_are_named_and_overwritten_on_request(finished):
    (finished.out / "config.toml").write_text("[st")
    done = finished.run()
    assert done.exit_code == 4
    assert str(finished.out / "config.toml") in done.error
    assert "--overwrite" in done.error
    assert finished.run("--overwrite").exit_code == FINISHED
    assert finished.differing() == []


OTHERS = {
    "structure": (("--icv", "residual"), 'icv = "residual"'),
    "labels": (("--smooth", 2), "smooth = 2"),
    "connectivity": (("--drop-first", 2), "drop_first = 2"),
}
"""Other options, and how the folder tells of them."""


@pytest.mark.fault("SIGINT or SIGTERM")
def test_what_other_options_gave_does_not_stay_beside_those_of_a_run_that_was_stopped(request, finished):
    options, told = OTHERS[request.node.callspec.params["finished"]]
    stopped, _ = signalled(finished, "subjects", 0, signal.SIGTERM, "--overwrite", *options)
    assert stopped.exit_code == 143
    assert told in (finished.out / "config.toml").read_text()
    left = [
        path
        for kind in ("*.tsv", "report.html", "sub-*/*/*.gii", "sub-*/*/*.nii.gz")
        for path in finished.out.glob(kind)
    ]
    assert left == []
    assert finished.run("--overwrite").exit_code == FINISHED
    assert finished.differing() == []
