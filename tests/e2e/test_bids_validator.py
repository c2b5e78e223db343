"""Output folders are BIDS derivatives, by the official validator's own judgement."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

VALIDATOR = shutil.which("bids-validator-deno", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")


def errors_of(folder):
    """Code and place of everything that the validator calls an error."""
    command = [VALIDATOR, str(folder), "--format", "json"]
    said = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "DENO_NO_UPDATE_CHECK": "1"})
    found = json.loads(said.stdout)["issues"]["issues"]
    return [(one["code"], one.get("location")) for one in found if one["severity"] == "error"]


pytestmark = pytest.mark.skipif(VALIDATOR is None, reason="the BIDS validator (bids-validator-deno) is not installed")


@pytest.mark.parametrize("command", ["gradients", "connectivity", "structure", "permute", "compare", "study"])
def test_folder_is_a_valid_derivative(folders, command):
    assert errors_of(folders / command) == []


def test_folder_of_the_bids_app_is_a_valid_derivative(tmp_path, folders, thalgpu):
    config = tmp_path / "options.toml"
    names = {"thalamus": "thalamus.nii.gz", "cortex": "cortex_parcels.nii.gz"}
    config.write_text("".join(f'{name} = "{folders / "cohort" / file}"\n' for name, file in names.items()))
    for level in ("participant", "group"):
        done = thalgpu("bids", folders / "cohort", tmp_path / "out", level, "--config", config, "--nprocs", 1)
        assert done.exit_code == 0, done.err
    assert errors_of(tmp_path / "out") == []


def test_what_is_not_told_of_is_refused(folders, tmp_path):
    out = shutil.copytree(folders / "gradients", tmp_path / "out")
    (out / "stray.tsv").write_text("a\tb\n")
    assert [place for _, place in errors_of(out)] == ["/stray.tsv"]
