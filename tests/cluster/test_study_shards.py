"""A study shared by jobs: the same bytes once the whole run has ended it, whatever became of the jobs."""

import json
import re
import shutil
import signal
import subprocess
import sys

import pytest

from thalgpu.engine.outputs.locks import hold

PROGRAM = "import sys; from thalgpu.cli.main import main; main(sys.argv[1:])"
OF_EVERYBODY = {"tests", "design.tsv", "excluded.tsv", "results.tsv", "report.html", "group_gradients"}


@pytest.fixture
def command(short_study, tmp_path):
    return [str(word) for word in ("study", short_study, "--out", tmp_path / "out", "--workers", 1, "--gpus", 0)]


@pytest.fixture
def started():
    """Start a command line in a process of its own; none outlives the test."""
    processes = []

    def start(*arguments):
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        processes.append(process)
        return process

    yield start
    for process in processes:
        process.kill()
        process.communicate()


def wait_for(process: subprocess.Popen[str], words: str) -> None:
    """Until its progress says so."""
    assert process.stderr is not None
    assert any(words in line for line in process.stderr), f"it has never said {words}"


def test_two_shards_at_a_time_and_a_merge_are_one_run(
    thalgpu, started, command, studied_in_process, same_bytes, tmp_path
):
    jobs = [started(*command, "--shard", f"{number}/2") for number in (1, 2)]
    said = [job.communicate() for job in jobs]
    assert [job.returncode for job in jobs] == [0, 0], said
    assert "shard 1/2: gradients: 5 of its 5 subjects done, 9 in all" in said[0][0]
    assert "shard 2/2: structure: 4 of its 4 records done, 9 in all" in said[1][0]
    assert "shard 2/2: connectivity: 4 of its 4 subjects done" in said[1][0]
    assert said[1][0].endswith("when all shards are done, run the same command without --shard\n")
    out = tmp_path / "out"
    assert not OF_EVERYBODY & {path.name for path in out.rglob("*")}
    records = {path: path.stat().st_mtime_ns for path in out.rglob("sub-*.h5")}
    assert len(records) == 9 * 3, "of gradients, structure and connectivity"
    done = thalgpu(*command)
    assert done.exit_code == 0, done.err
    assert {path: path.stat().st_mtime_ns for path in records} == records, "nothing is measured twice"
    same_bytes(out, studied_in_process)
    assert not [path for path in out.rglob("*") if "-of-2" in path.name], "locks and logs of shards are put together"


@pytest.mark.faults_long
@pytest.mark.fault("kill -9 of the parent, a worker or all")
def test_shard_that_died_is_no_loss(thalgpu, started, command, studied_in_process, same_bytes, tmp_path):
    dying = started(*command, "--shard", "2/2")
    wait_for(dying, "structure: subjects: 4")
    dying.kill()
    assert dying.wait() == -signal.SIGKILL
    done = thalgpu(*command, "--shard", "1/2")
    assert done.exit_code == 0, done.err
    merged = thalgpu(*command)
    assert merged.exit_code == 0, merged.err
    same_bytes(tmp_path / "out", studied_in_process)


@pytest.mark.faults_long
@pytest.mark.fault("SIGINT or SIGTERM")
def test_shard_stops_on_a_signal_and_is_gone_on_with(thalgpu, started, command):
    stopped = started(*command, "--shard", "1/1")
    wait_for(stopped, "[1/9]")
    stopped.terminate()
    said, _ = stopped.communicate()
    assert stopped.returncode == 143
    assert said.endswith("stopped on request; run the same command to go on\n")
    assert "shard 1/1: connectivity" not in said
    done = thalgpu(*command, "--shard", "1/1")
    assert done.exit_code == 0, done.err
    assert "shard 1/1: connectivity: 9 of its 9 subjects done, 9 in all" in done.out


@pytest.mark.fault("two runs in one folder")
@pytest.mark.parametrize(
    ("held", "own", "words"),
    [
        ("1-of-2", ["--shard", "1/2"], "another run is at work in this folder: process"),
        ("1-of-2", [], "shard 1-of-2, process"),
        (None, ["--shard", "1/2"], "another run is at work in this folder: process"),
    ],
    ids=["the same shard twice", "the whole run beside a shard", "a shard beside the whole run"],
)
def test_runs_that_would_collide_are_refused(thalgpu, command, tmp_path, held, own, words):
    out = tmp_path / "out"
    with hold(out, held):
        before = sorted(out.rglob("*"))
        done = thalgpu(*command, *own)
        assert sorted(path for path in out.rglob("*") if "1-of-2" not in path.name) == [
            path for path in before if "1-of-2" not in path.name
        ]
    assert done.exit_code == 5
    assert words in done.err


def test_shard_of_one_who_cannot_be_measured_does_the_rest_and_names_them(thalgpu, short_study, tmp_path):
    folder = shutil.copytree(short_study.parent, tmp_path / "cohort")
    (scan,) = (folder / "sub-02").rglob("*_bold.nii.gz")
    scan.write_bytes(scan.read_bytes()[:-2000])
    command = ["study", folder / short_study.name, "--out", tmp_path / "out", "--workers", 1, "--gpus", 0]
    done = thalgpu(*command, "--shard", "2/9", "--log-json")
    assert done.exit_code == 3, done.err
    assert "failed: sub-02: gradients: " in done.out
    assert "shard 2/9: gradients: 0 of its 1 subjects done, 9 in all" in done.out
    assert "shard 2/9: structure: 1 of its 1 records done, 9 in all" in done.out
    results = [json.loads(line) for line in done.err.splitlines() if '"result"' in line]
    assert [(one["command"], one["finished"], one["of"]) for one in results] == [
        ("gradients", 0, 1),
        ("structure", 1, 1),
        ("connectivity", 0, 1),
    ]
    done = thalgpu(*command, "--shard", "3/9")
    assert done.exit_code == 0, done.err


def test_shard_leaves_alone_what_another_is_writing(thalgpu, command, tmp_path):
    assert thalgpu(*command, "--shard", "9/9").exit_code == 0
    unfinished = [tmp_path / "out" / folder / ".thalgpu-1-abcd.tmp" for folder in (".", "gradients", "structure")]
    for path in unfinished:
        path.touch()
    assert thalgpu(*command, "--shard", "8/9").exit_code == 0
    assert [path for path in unfinished if not path.exists()] == []


def test_overwriting_shard_is_refused(thalgpu, command, tmp_path):
    done = thalgpu(*command, "--shard", "1/2", "--overwrite")
    assert done.exit_code == 2
    assert "other shards" in done.err
    assert not (tmp_path / "out").exists()


def test_share_that_is_none_is_refused(thalgpu, command, tmp_path):
    done = thalgpu(*command, "--shard", "3/2")
    assert done.exit_code == 2
    assert "--shard 3/2" in done.err
    assert not (tmp_path / "out").exists()


def test_dry_run_of_a_shard_tells_its_plan_and_writes_nothing(thalgpu, command, tmp_path):
    done = thalgpu(*command, "--shard", "1/2", "--dry-run")
    assert done.exit_code == 0, done.err
    assert re.search(r"(?m)^shard +1/2: its share of what is measured", done.out)
    assert "measured by   thalgpu structure: 9 people" in done.out
    assert not (tmp_path / "out").exists()


def test_shard_of_other_settings_is_refused(thalgpu, command):
    assert thalgpu(*command, "--shard", "9/9").exit_code == 0
    done = thalgpu(*command, "--shard", "8/9", "--n-perm", 30)
    assert done.exit_code == 2
    assert "a study of other settings" in done.err


@pytest.mark.studies
def test_shards_on_a_cluster_or_not_give_the_bytes_of_one_process(thalgpu, cohort, cluster, same_bytes, tmp_path):
    out = tmp_path / "out"  # the same for both: paths are among what a comparison is made from
    command = ["study", cohort.study_file, "--n-perm", 200, "--gpus", 0, "--out", out]
    here = ["--workers", 1]
    runs = {"shared": [[*here, "--shard", "2/2"], [*cluster.options, "--shard", "1/2"], here], "whole": [here]}
    for name, options in runs.items():
        for given in options:
            done = thalgpu(*command, *given)
            assert done.exit_code == 0, done.err
        out.rename(tmp_path / name)
    same_bytes(tmp_path / "shared", tmp_path / "whole")
