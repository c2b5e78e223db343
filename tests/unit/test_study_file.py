"""The study file: settings, and the line of what is wrong."""

import re
import tomllib
from pathlib import Path

import pytest

from thalgpu.engine.inputs.study_file import StudyFile, read_study_file
from thalgpu.engine.inputs.study_settings import ARMS, STUDY
from thalgpu.engine.inputs.study_template import study_template
from thalgpu.errors import InputError

_HEAD = '[study]\nparticipants = "participants.tsv"\nsubjects = "list.tsv"\n'


@pytest.fixture
def written(tmp_path):
    (tmp_path / "participants.tsv").write_text("participant_id\tgroup\nsub-01\ta\n")
    (tmp_path / "list.tsv").write_text("01\n")

    def write(text: str) -> Path:
        path = tmp_path / "study.toml"
        path.write_text(text)
        return path

    return write


def read(written, text: str) -> StudyFile:
    return read_study_file(written(text))


def test_files_are_relative_to_the_study_file(written, tmp_path):
    found = read(written, _HEAD + '[arms.gradients]\nthalamus = "a.nii.gz:10,49"\n')
    assert found.study["participants"] == tmp_path / "participants.tsv"
    assert found.arms["gradients"]["thalamus"].startswith(f"{tmp_path}/a.nii.gz:10,")


def test_settings_that_are_left_out_have_their_default(written):
    found = read(written, _HEAD + "[arms.volumes]\n")
    assert found.study["n_perm"] == 10_000
    assert found.arms["volumes"]["icv"] == "covariate"


def test_an_arm_without_its_section_is_left_out(written):
    assert list(read(written, _HEAD + "[arms.shape]\n[arms.volumes]\n").arms) == ["volumes", "shape"]


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        (_HEAD + "[arms.volumes]\nivc = 1\n", 5, "unknown setting 'ivc'"),
        (_HEAD + "n_perm = -1\n[arms.volumes]\n", 4, "n_perm is not a whole number"),
        (_HEAD + "n_perm = true\n[arms.volumes]\n", 4, "n_perm is not a whole number"),
        (_HEAD + "[arms.volume]\n", 4, "unknown arm 'volume'"),
        (_HEAD + "[desing]\n[arms.volumes]\n", 4, "unknown section 'desing'"),
        (_HEAD + '[arms.volumes]\nicv = "none"\n', 5, "icv 'none' is not possible"),
        ('[study]\nsubjects = "list.tsv"\n[arms.volumes]\n', 1, "participants is missing"),
        (_HEAD + '[arms.shape]\nmeshes = "nowhere"\n', 5, "meshes: no file"),
        (_HEAD + f'[arms.shape]\nmeshes = "{"a" * 300}"\n', 5, "meshes: no file"),
        (_HEAD + "[arms.gradients]\nkernel = 3\n", 5, "kernel is not a text"),
        (_HEAD + "[arms.gradients]\ncomponents = [0]\n", 5, "components is not a list of whole numbers"),
        (_HEAD + "[arms.gradients]\ntfce = 1\n", 5, "tfce is not true or false"),
        (_HEAD + "groups =\n", 4, "not TOML"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(written, text, line, reason):
    with pytest.raises(InputError, match=re.escape(reason)) as caught:
        read(written, text)
    assert str(caught.value.where).endswith(f"study.toml:{line}")


def test_the_nearest_setting_is_offered(written):
    with pytest.raises(InputError, match="did you mean covariates"):
        read(written, _HEAD + '[design]\ncovariate = ["age"]\n[arms.volumes]\n')


def test_a_study_without_arms_is_refused(written):
    with pytest.raises(InputError, match="no arm is asked for"):
        read(written, _HEAD)


def test_the_template_has_every_setting_and_can_be_read(written):
    text = study_template()
    assert read(written, text).arms.keys() == ARMS.keys()
    everything = tomllib.loads(re.sub(r"(?m)^# (?=\w+ = )", "", text))
    for name, known in STUDY.items():
        assert everything[name].keys() == known.keys()
    for name, known in ARMS.items():
        assert everything["arms"][name].keys() == known.keys()


def test_defaults_in_the_template_are_the_defaults(written):
    def uncommented(match: re.Match[str]) -> str:
        return match[0] if '"…"' in match[0] or "[]" in match[0] else match[0].removeprefix("# ")

    plain, spoken = read(written, study_template()), None
    spoken = read(written, re.sub(r"(?m)^# \w+ = .*$", uncommented, study_template()))
    assert plain.design == spoken.design
    assert plain.arms["volumes"] == spoken.arms["volumes"]
