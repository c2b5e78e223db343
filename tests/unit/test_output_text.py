"""Sidecars, the derivative's description, options as TOML, tables."""

import json
import tomllib
from pathlib import Path

import numpy as np
import pytest

from thalgpu import __version__
from thalgpu.engine.outputs.sidecars import (
    hashed_inputs,
    software_versions,
    write_dataset_files,
    write_sidecar,
    write_table,
    write_toml,
)
from thalgpu.errors import ThalgpuError


def test_a_sidecar_keeps_its_order_and_names_its_software(tmp_path: Path) -> None:
    write_sidecar(tmp_path / "maps.json", {"Options": {"alpha": 0.5}, "Eigenvalues": [2.0, 1.0], "Warnings": ["ü"]})
    text = (tmp_path / "maps.json").read_text(encoding="utf-8")
    assert list(json.loads(text)) == ["Options", "Eigenvalues", "Warnings", "SoftwareVersions"]
    assert json.loads(text)["SoftwareVersions"]["thalgpu"] == __version__
    assert "ü" in text


def test_versions_are_those_in_use() -> None:
    assert software_versions()["numpy"] == np.__version__


def test_nan_in_a_sidecar_is_an_internal_error(tmp_path: Path) -> None:
    with pytest.raises(ThalgpuError, match="NaN or Inf"):
        write_sidecar(tmp_path / "maps.json", {"Eigenvalues": [float("nan")]})
    assert list(tmp_path.iterdir()) == []


def test_inputs_of_one_name_are_both_listed_without_their_folders() -> None:
    assert hashed_inputs({Path("/home/me/ses-1/bold.nii"): "aa", Path("/home/me/ses-2/bold.nii"): "bb"}) == [
        {"File": "bold.nii", "SHA256": "aa"},
        {"File": "bold.nii", "SHA256": "bb"},
    ]


def test_the_output_folder_is_a_bids_derivative(tmp_path: Path) -> None:
    write_dataset_files(tmp_path, name="Thalamic gradients")
    description = json.loads((tmp_path / "dataset_description.json").read_text())
    assert description["DatasetType"] == "derivative"
    assert description["GeneratedBy"] == [{"Name": "thalgpu", "Version": __version__}]
    assert {"Name", "BIDSVersion"} <= set(description)
    assert "*.h5" in (tmp_path / ".bidsignore").read_text().splitlines()


def test_options_come_back_from_toml(tmp_path: Path) -> None:
    options = {
        "seed": 0,
        "out": 'a "quoted" \\ path\twith \x7f\x01 and ü',
        "a key": "x",
        "gradients": {"alpha": 0.5, "tiny": 1e-05, "large": 1e16, "fisher_z": True, "keep": ["a", "b"], "none": []},
        "cleaning": {"confounds": ["x", "y"], "fwhm": 0.0},
    }
    write_toml(tmp_path / "config.toml", options)
    assert tomllib.loads((tmp_path / "config.toml").read_text(encoding="utf-8")) == options


def test_options_that_are_not_set_are_left_out_of_toml(tmp_path: Path) -> None:
    write_toml(tmp_path / "config.toml", {"tr": None, "cleaning": {"tr": None, "fwhm": 1.0}, "keep": ("a",)})
    assert tomllib.loads((tmp_path / "config.toml").read_text()) == {"keep": ["a"], "cleaning": {"fwhm": 1.0}}


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {1, 2}, 1j])
def test_what_toml_cannot_say_is_refused(value: object, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no place in the options"):
        write_toml(tmp_path / "config.toml", {"x": value})


def test_a_table_has_a_header_fixed_numbers_and_na_for_what_is_missing(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [
        {"participant_id": "0012", "r": 1 / 3, "n": 7, "ok": True, "note": "two\tcolumns\nand a line"},
        {"participant_id": "02", "r": None, "n": np.int64(8), "ok": False, "note": ""},
        {"participant_id": "03", "r": np.float32(0.5), "n": 9},
    ]
    write_table(tmp_path / "summary.tsv", ["participant_id", "r", "n", "ok", "note"], rows)
    assert (tmp_path / "summary.tsv").read_text() == (
        "participant_id\tr\tn\tok\tnote\n"
        "0012\t0.33333333\t7\ttrue\ttwo columns and a line\n"
        "02\tn/a\t8\tfalse\tn/a\n"
        "03\t0.5\t9\tn/a\tn/a\n"
    )


@pytest.mark.parametrize("bad", [float("nan"), np.float32("inf")])
def test_nan_in_a_table_is_an_internal_error(bad: float, tmp_path: Path) -> None:
    with pytest.raises(ThalgpuError, match=r"summary\.tsv:r"):
        write_table(tmp_path / "summary.tsv", ["r"], [{"r": bad}])
    assert list(tmp_path.iterdir()) == []


def test_a_value_without_a_column_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no columns"):
        write_table(tmp_path / "summary.tsv", ["r"], [{"p": 1.0}])
