"""`thalgpu bids` from the command line to files, as a BIDS App is used."""

import hashlib
import shutil
from pathlib import Path

import pytest


def results(out: Path) -> dict[str, bytes]:
    """SHA-256 of every result but the text that names the list."""
    own = {"config.toml", "report.html", "subjects.tsv"}
    files = (path for path in sorted(out.rglob("*")) if path.is_file() and not path.name.startswith("."))
    return {
        str(path.relative_to(out)): hashlib.sha256(path.read_bytes()).digest()
        for path in files
        if path.parent.name != "logs" and path.name not in own
    }


@pytest.fixture(scope="module")
def config(tmp_path_factory, cohort):
    path = tmp_path_factory.mktemp("config") / "options.toml"
    path.write_text(
        f'[gradients]\nthalamus = "{cohort}/thalamus.nii.gz"\ncortex = "{cohort}/cortex.nii.gz"\nn_components = 4\n'
    )
    return path


@pytest.fixture(scope="module")
def out(tmp_path_factory, thalgpu, cohort, config):
    """Participants in two jobs, one of them spelled as fMRIPrep does, then the group."""
    folder = tmp_path_factory.mktemp("bids") / "out"
    common = ["--config", config, "--nprocs", 1]
    for labels in (["--participant-label", "sub-01", "03", "02"], ["--participant_label=04", "--mem_mb", "2000"]):
        done = thalgpu("bids", cohort, folder, "participant", *labels, *common)
        assert done.exit_code == 0, done.err
        assert not (folder / "group").exists()
    done = thalgpu("bids", cohort, folder, "group", *common)
    assert done.exit_code == 0, done.err
    assert "4 verified" in done.out
    return folder


def test_results_are_those_of_the_main_job(out, tmp_path, thalgpu, inputs):
    assert thalgpu("gradients", *inputs, "--out", tmp_path / "out", "--workers", 1).exit_code == 0
    assert results(out) == results(tmp_path / "out")


def test_written_list_repeats_the_run_as_the_main_job(out, thalgpu):
    before = results(out)
    done = thalgpu("gradients", "--config", out / "config.toml", "--out", out)
    assert done.exit_code == 0, done.err
    assert "4 verified" in done.out
    assert results(out) == before


def test_unknown_label_is_named_with_those_that_exist(tmp_path, thalgpu, cohort, config):
    done = thalgpu("bids", cohort, tmp_path / "out", "participant", "--participant-label", "7", "--config", config)
    assert done.exit_code == 4
    assert "no sub-7" in done.err
    assert "takes 01, 02, 03, 04" in done.err
    assert not (tmp_path / "out").exists()


def test_group_without_some_participants_names_them_and_finishes_with_the_others(
    out, tmp_path, thalgpu, cohort, config
):
    copy = shutil.copytree(out, tmp_path / "out")
    shutil.rmtree(copy / "sub-02")
    done = thalgpu("bids", cohort, copy, "group", "--config", config, "--nprocs", 1)
    assert done.exit_code == 3
    assert "failed: sub-02: not finished at participant level" in done.out
    assert "3 finished" in done.out
    assert (copy / "excluded.tsv").read_text().splitlines()[1].startswith("sub-02\tnot finished")
    assert "not finished at participant level" in (copy / "report.html").read_text()


def test_participant_without_a_scan_is_left_out_with_the_reason(tmp_path, thalgpu, cohort, config):
    copy = shutil.copytree(cohort, tmp_path / "cohort")
    next((copy / "sub-03" / "func").glob("*_bold.nii.gz")).unlink()
    done = thalgpu("bids", copy, tmp_path / "out", "participant", "--config", config, "--nprocs", 1)
    assert done.exit_code == 3
    assert "failed: sub-03: no scan of sub-03" in done.out
    assert "3 of 4 participants finished" in done.out
    done = thalgpu("bids", copy, tmp_path / "out", "participant", "--participant-label", "03", "--config", config)
    assert done.exit_code == 4
    assert "no scan of sub-03" in done.err


def test_raw_data_set_needs_its_derivatives(tmp_path, thalgpu, cohort, config):
    raw = tmp_path / "raw"
    (raw / "sub-01" / "func").mkdir(parents=True)
    (raw / "derivatives").mkdir()
    (raw / "derivatives" / "fmriprep").symlink_to(cohort)
    done = thalgpu("bids", raw, tmp_path / "out", "participant", "--config", config)
    assert done.exit_code == 4
    assert f"add --derivatives {raw / 'derivatives' / 'fmriprep'}" in done.err
    arguments = ["--derivatives", raw / "derivatives" / "fmriprep", "--config", config, "--dry-run"]
    done = thalgpu("bids", raw, tmp_path / "out", "participant", *arguments)
    assert done.exit_code == 0, done.err
    assert "1 usable" in done.out
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--task-id", "rest", "--output-spaces", "MNI152NLin6Asym:res-4"], "4 usable"),
        (["--task-id", "nback"], "no scan of sub-01, task-nback"),
        (["--session-label", "ses-1", "2"], "no scan of sub-01, ses-1 or 2"),
        (["--output-spaces", "MNI152NLin2009cAsym"], "no scan in a fitting space"),
        (["--input-type", "xcpd"], "in the layouts xcpd"),
    ],
)
def test_scans_are_chosen_by_fmripreps_flags(tmp_path, thalgpu, cohort, config, arguments, words):
    done = thalgpu("bids", cohort, tmp_path / "out", "participant", "--dry-run", "--config", config, *arguments)
    assert words in done.out + done.err
    assert done.exit_code == (0 if "usable" in words else 4)


def test_report_of_the_group_is_made_anew_with_those_left_out(out, tmp_path, thalgpu, cohort, config):
    copy = shutil.copytree(out, tmp_path / "out")
    shutil.rmtree(copy / "sub-02")
    assert thalgpu("bids", cohort, copy, "group", "--config", config, "--nprocs", 1).exit_code == 3
    before = (copy / "report.html").read_bytes()
    done = thalgpu("report", copy)
    assert done.exit_code == 0, done.err
    assert (copy / "report.html").read_bytes() == before
