"""`thalgpu gradients` from the command line to files, as a user meets it."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import h5py
import nibabel as nib
import numpy as np
import pytest

Command = Callable[..., object]


def digests(out: Path) -> dict[str, str]:
    """SHA-256 of every result; logs and the lock are not results."""
    files = (path for path in sorted(out.rglob("*")) if path.is_file())
    return {
        str(path.relative_to(out)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
        if path.parent.name != "logs" and path.name != ".thalgpu.lock"
    }


@pytest.fixture(scope="module")
def out(tmp_path_factory, thalgpu, inputs):
    folder = tmp_path_factory.mktemp("run") / "out"
    done = thalgpu("gradients", *inputs, "--out", folder, "--workers", 1)
    assert done.exit_code == 0, done.err
    return folder


def test_every_promised_file_is_written(out):
    stem = out / "sub-01" / "func" / "sub-01_seg-thalamus"
    for ending in ("_stat-gradients_boldmap.nii.gz", "_stat-gradients_boldmap.json", "_gradients.h5"):
        assert Path(f"{stem}{ending}").is_file()
    assert Path(f"{stem}_desc-aligned_gradients.h5").is_file()
    for name in ("dataset_description.json", ".bidsignore", "config.toml", "report.html", "group/summary.tsv"):
        assert (out / name).is_file()
    assert (out / "group" / "seg-thalamus_desc-template_stat-gradients_boldmap.nii.gz").is_file()


def test_map_holds_the_aligned_gradients_of_the_record(out, cohort):
    stem = out / "sub-02" / "func" / "sub-02_seg-thalamus"
    maps = nib.load(f"{stem}_stat-gradients_boldmap.nii.gz").get_fdata(dtype=np.float32)
    mask = nib.load(cohort / "thalamus.nii.gz").get_fdata() > 0
    with h5py.File(f"{stem}_desc-aligned_gradients.h5") as file:
        np.testing.assert_array_equal(maps[mask], file["aligned"][:])
    assert not maps[~mask].any()


def test_sidecar_names_inputs_and_options(out):
    sidecar = json.loads((out / "sub-01/func/sub-01_seg-thalamus_stat-gradients_boldmap.json").read_text())
    assert len(sidecar["Eigenvalues"]) == 4
    assert sidecar["Options"]["gradients"]["kernel"] == "normalized_angle"
    assert len(sidecar["Inputs"][0]["SHA256"]) == 64


def test_two_workers_give_the_same_bytes_as_one(out, tmp_path, thalgpu, inputs):
    done = thalgpu("gradients", *inputs, "--out", tmp_path / "two", "--workers", 2)
    assert done.exit_code == 0, done.err
    assert digests(tmp_path / "two") == digests(out)


def test_order_of_the_list_does_not_change_any_byte(out, tmp_path, thalgpu, inputs, cohort):
    reversed_list = tmp_path / "list.txt"
    lines = [str(cohort / line) for line in (cohort / "list.txt").read_text().split() if not line.startswith("#")]
    reversed_list.write_text("\n".join(reversed(lines)))
    done = thalgpu("gradients", *inputs, "--subjects", reversed_list, "--out", tmp_path / "out", "--workers", 1)
    assert done.exit_code == 0, done.err
    before, after = digests(out), digests(tmp_path / "out")
    for name in ("config.toml", "report.html"):  # these name the list
        del before[name], after[name]
    assert after == before


def test_second_run_verifies_and_computes_nothing(out, thalgpu, inputs):
    before = digests(out)
    done = thalgpu("gradients", *inputs, "--out", out)
    assert done.exit_code == 0, done.err
    assert "4 verified" in done.out
    assert digests(out) == before


@pytest.mark.fault("damaged or hostile HDF5 record")
def test_damaged_record_is_computed_again_to_the_same_bytes(out, tmp_path, thalgpu, inputs):
    copy = shutil.copytree(out, tmp_path / "copy")
    record = copy / "sub-03/func/sub-03_seg-thalamus_gradients.h5"
    damaged = bytearray(record.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    record.write_bytes(damaged)
    done = thalgpu("gradients", *inputs, "--out", copy)
    assert done.exit_code == 0, done.err
    assert "3 verified" in done.out
    assert digests(copy) == digests(out)


def test_added_subject_is_the_only_one_computed_and_the_template_changes(tmp_path, thalgpu, inputs, cohort):
    lines = [str(cohort / line) for line in (cohort / "list.txt").read_text().split() if not line.startswith("#")]
    growing = tmp_path / "list.txt"
    growing.write_text("\n".join(lines[:3]))
    arguments = [*inputs, "--subjects", growing, "--out", tmp_path / "out", "--workers", 1]
    assert thalgpu("gradients", *arguments).exit_code == 0
    before = digests(tmp_path / "out")
    growing.write_text("\n".join(lines))
    done = thalgpu("gradients", *arguments)
    assert done.exit_code == 0, done.err
    assert "3 verified" in done.out
    after = digests(tmp_path / "out")
    own = [name for name in before if name.endswith("seg-thalamus_gradients.h5")]
    assert [after[name] for name in own] == [before[name] for name in own]
    assert after["group/gradients.h5"] != before["group/gradients.h5"]


@pytest.mark.fault("kill -9 of the parent, a worker or all")
def test_resume_after_kill_gives_the_same_bytes(out, tmp_path, thalgpu, inputs):
    folder = tmp_path / "out"
    command = [sys.executable, "-m", "thalgpu", "gradients", *map(str, inputs), "--out", str(folder), "--workers", "2"]
    for seconds in (1.0, 1.8, 2.6):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(seconds)
        process.kill()
        process.wait()
    done = thalgpu("gradients", *inputs, "--out", folder, "--workers", 2)
    assert done.exit_code == 0, done.err
    assert digests(folder) == digests(out)
    assert not list(folder.rglob("*.tmp"))


@pytest.mark.fault("SIGINT or SIGTERM")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signal_stops_in_order_and_the_run_goes_on_later(out, tmp_path, thalgpu, inputs, number, code):
    folder = tmp_path / "out"
    command = [sys.executable, "-m", "thalgpu", "gradients", *map(str, inputs), "--out", str(folder), "--workers", "1"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    for line in process.stderr:
        if "[1/4]" in line:
            os.kill(process.pid, number)
            break
    printed, _ = process.communicate(timeout=30)
    assert process.returncode == code
    assert "run the same command to go on" in printed
    assert thalgpu("gradients", *inputs, "--out", folder).exit_code == 0
    assert digests(folder) == digests(out)


@pytest.mark.fault("damaged scan, surface or confounds")
def test_one_bad_subject_is_named_and_the_others_finish(tmp_path, thalgpu, inputs, cohort):
    copy = shutil.copytree(cohort, tmp_path / "cohort")
    scan = next((copy / "sub-02" / "func").glob("*_bold.nii.gz"))
    scan.write_bytes(scan.read_bytes()[:-2000])
    done = thalgpu("gradients", *inputs, "--subjects", copy / "list.txt", "--out", tmp_path / "out")
    assert done.exit_code == 3
    assert "failed: sub-02" in done.out
    assert scan.name in done.out
    assert (tmp_path / "out/sub-01/func/sub-01_seg-thalamus_gradients.h5").is_file()
    assert not (tmp_path / "out/sub-02").exists()


def test_other_options_in_the_same_folder_are_refused(out, thalgpu, inputs):
    done = thalgpu("gradients", *inputs, "--out", out, "--kernel", "cosine")
    assert done.exit_code == 2
    assert "kernel normalized_angle → cosine" in done.err


def test_dry_run_prints_the_plan_and_writes_nothing(tmp_path, thalgpu, inputs):
    done = thalgpu("gradients", *inputs, "--out", tmp_path / "out", "--dry-run")
    assert done.exit_code == 0, done.err
    assert "subjects    4 usable" in done.out
    assert not (tmp_path / "out").exists()


def test_written_configuration_repeats_the_run(out, tmp_path, thalgpu):
    done = thalgpu(
        "gradients", "--config", out / "config.toml", "--subjects", "x", "--out", tmp_path / "o", "--dry-run"
    )
    assert done.exit_code == 4, "the flag must win over the file"
    done = thalgpu("gradients", "--config", out / "config.toml", "--out", tmp_path / "again", "--workers", 1)
    assert done.exit_code == 0, done.err
    before, after = digests(out), digests(tmp_path / "again")
    assert after == before


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--subjects", "missing.txt"], 4, "missing.txt"),
        (["--sparsity", "1.5"], 2, "--sparsity 1.5"),
        (["--kernel", "nonsense"], 2, "nonsense"),
        (["--targets", "ipsilateral"], 2, "--hemisphere"),
        (["--memory", "1MB"], 5, "--memory"),
        (["--memory", "lots"], 2, "16GB"),
        (["--fwhm", "nan"], 2, "--fwhm nan"),
        (["--drop-first", "-1"], 2, "--drop-first -1"),
        (["--n-align", "0"], 2, "--n-align 0"),
        (["--confounds", "24P"], 2, "24p"),
        (["--confounds", ","], 2, "--confounds"),
        (["--high-pass", "0.1", "--low-pass", "0.01"], 2, "--high-pass 0.1"),
        (["--input-type", "fmriprep"], 2, "--derivatives"),
        (["--thalamus", "nowhere.nii.gz"], 4, "nowhere.nii.gz"),
        (["--keep", "everything"], 2, "everything"),
    ],
)
def test_wrong_input_is_one_line_with_the_right_code(tmp_path, thalgpu, inputs, arguments, code, words):
    done = thalgpu("gradients", *inputs, *arguments, "--out", tmp_path / "out")
    assert done.exit_code == code, done.err
    assert words in done.err
    assert "Traceback" not in done.err
    assert not (tmp_path / "out").exists()


def test_another_region_in_the_same_folder_is_refused(out, thalgpu, inputs, cohort):
    before = digests(out)
    done = thalgpu("gradients", *inputs, "--cortex", cohort / "cortex_parcels.nii.gz", "--out", out)
    assert done.exit_code == 2
    assert "another cortex" in done.err
    assert digests(out) == before


def test_a_folder_that_is_not_ours_is_refused_and_left_alone(tmp_path, thalgpu, inputs):
    (tmp_path / "dataset_description.json").write_text("{}")
    done = thalgpu("gradients", *inputs, "--out", tmp_path)
    assert done.exit_code == 2
    assert "dataset_description.json" in done.err
    assert [path.name for path in tmp_path.iterdir()] == ["dataset_description.json"]


@pytest.mark.fault("damaged or hostile HDF5 record")
@pytest.mark.parametrize("ending", ["nii.gz", "json"])
@pytest.mark.parametrize("stem", ["group/seg-thalamus_desc-template", "sub-01/func/sub-01_seg-thalamus"])
def test_damaged_map_or_sidecar_is_repaired(out, tmp_path, thalgpu, inputs, stem, ending):
    copy = shutil.copytree(out, tmp_path / "copy")
    damaged = copy / f"{stem}_stat-gradients_boldmap.{ending}"
    damaged.write_bytes(damaged.read_bytes()[:-20])
    assert thalgpu("gradients", *inputs, "--out", copy).exit_code == 0
    assert digests(copy) == digests(out)


def test_maps_of_a_subject_that_left_the_list_are_removed_and_its_record_stays(out, tmp_path, thalgpu, inputs, cohort):
    copy = shutil.copytree(out, tmp_path / "copy")
    lines = [str(cohort / line) for line in (cohort / "list.txt").read_text().split() if not line.startswith("#")]
    shorter = tmp_path / "list.txt"
    shorter.write_text("\n".join(lines[:3]))
    done = thalgpu("gradients", *inputs, "--subjects", shorter, "--out", copy)
    assert done.exit_code == 0, done.err
    assert "sub-04: maps aligned to an earlier template were removed" in done.out
    assert [path.name for path in (copy / "sub-04/func").iterdir()] == ["sub-04_seg-thalamus_gradients.h5"]


def test_changed_input_is_computed_again_and_a_touched_one_is_not(tmp_path, thalgpu, inputs, cohort):
    copy = shutil.copytree(cohort, tmp_path / "cohort")
    arguments = [*inputs, "--subjects", copy / "list.txt", "--out", tmp_path / "out", "--workers", 1]
    assert thalgpu("gradients", *arguments).exit_code == 0
    first, second = (next((copy / f"sub-0{n}/func").glob("*_bold.nii.gz")) for n in (1, 2))
    first.touch()
    assert "4 verified" in thalgpu("gradients", *arguments).out
    first.write_bytes(second.read_bytes())
    assert "3 verified" in thalgpu("gradients", *arguments).out


def test_underscores_are_accepted_in_options(tmp_path, thalgpu, inputs):
    done = thalgpu("gradients", *inputs, "--out", tmp_path / "out", "--dry_run", "--diffusion_time=1")
    assert done.exit_code == 0, done.err


def test_errors_are_json_lines_on_request(tmp_path, thalgpu, inputs):
    done = thalgpu("gradients", *inputs, "--subjects", "missing.txt", "--out", tmp_path / "out", "--log-json")
    told = json.loads(done.err.splitlines()[-1])
    assert (told["event"], told["exit_code"]) == ("error", 4)


def test_a_reader_who_goes_away_does_not_end_the_run(tmp_path, inputs):
    command = [sys.executable, "-m", "thalgpu", "gradients", *map(str, inputs), "--out", str(tmp_path / "out")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert process.stdout is not None
    process.stdout.close()
    assert process.wait(timeout=120) == 0
    assert (tmp_path / "out" / "report.html").is_file()
