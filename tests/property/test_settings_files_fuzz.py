"""Whatever bytes come as settings or permutations: an answer, or an error with the file's name."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thalgpu.cli._config import read_options
from thalgpu.engine.inputs.permutation_files import read_permutations
from thalgpu.engine.inputs.study_file import StudyFile, read_study_file
from thalgpu.engine.pipelines.claims import claim
from thalgpu.errors import InputError, UsageError

N_EXAMPLES = int(os.environ.get("THALGPU_FUZZ", "100"))
NAMES = {"n_perm", "formula", "tfce"}
STUDY = b"""[study]
participants = "study.toml"
subjects = "study.toml"
seed = 3
[groups]
column = "group"
order = ["a", "b"]
[arms.gradients]
thalamus = "t.nii:10,49"
components = [1, 2]
[arms.volumes]
"""
OPTIONS = b'[permute]\nn_perm = 500\nformula = "age + sex"\ntfce = true\n'
CONFIG = b'thalgpu = "0.1.0"\n[test]\nkey = "abc"\n[permute]\nn_perm = 500\n'
PERMUTATIONS = b"1,2,3\n-2,1,3\n3,2,-1\n"
LIES = [
    *(b"\n", b'"', b"[", b"]", b"=", b"nan", b"-inf", b"1e999", b"\xff", b"\x00", b"\\u0000", b"\xef\xbb\xbf", b"[["),
    *(b"9" * 5000, b"x = " + b"[" * 3000, b"{a=" * 2000, b"99999999999999999999", b"1979-05-27", b"#", b"\r", b"a.b.c"),
]

T = TypeVar("T")

pytestmark = [pytest.mark.fault("damaged settings or permutations")]


def damaged(sound: bytes) -> st.SearchStrategy[bytes]:
    """A sound file with a piece replaced by other bytes."""
    other = st.one_of(st.binary(max_size=6), st.sampled_from(LIES))
    at = st.integers(0, len(sound))
    return st.builds(lambda i, n, new: sound[:i] + new + sound[i + n :], at, st.integers(0, 9), other)


def outcome(read: Callable[[Path], T], name: str, content: bytes) -> T | None:
    """What is read, or None for an error, which must fill one line, name the file and say what to do."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, name)
        path.write_bytes(content)
        try:
            return read(path)
        except UsageError:  # another command's, or another test
            return None
        except InputError as error:
            found = error
    assert found.remedy
    assert "\n" not in str(found)
    assert name in str(found)
    return None


@settings(max_examples=N_EXAMPLES, deadline=None)
@given(st.one_of(damaged(STUDY), st.binary(max_size=80)))
def test_damaged_study_file_is_read_whole_or_refused(content: bytes) -> None:
    study = outcome(read_study_file, "study.toml", content)
    if isinstance(study, StudyFile):
        assert study.arms
        assert all(number >= 1 for number in study.arms.get("gradients", {}).get("components", ()))


@settings(max_examples=N_EXAMPLES, deadline=None)
@given(st.one_of(damaged(OPTIONS), st.binary(max_size=80)))
def test_damaged_options_file_is_read_whole_or_refused(content: bytes) -> None:
    found = outcome(lambda path: read_options(path, "permute", NAMES), "options.toml", content)
    assert found is None or set(found) <= NAMES


@settings(max_examples=N_EXAMPLES, deadline=None)
@given(damaged(CONFIG))
def test_folder_whose_configuration_is_damaged_is_left_alone(content: bytes) -> None:
    removed: list[Path] = []

    def claimed(path: Path) -> None:
        claim(path.parent, "abc", command="permute", overwrite=False, remove=removed.append)

    outcome(claimed, "config.toml", content)
    assert not removed


@settings(max_examples=N_EXAMPLES, deadline=None)
@given(st.one_of(damaged(PERMUTATIONS), st.binary(max_size=40)))
def test_damaged_permutations_are_permutations_or_refused(content: bytes) -> None:
    found = outcome(lambda path: read_permutations(path, 3), "permidx.csv", content)
    if found is not None:
        assert (np.sort(np.abs(found), axis=1) == [1, 2, 3]).all()
