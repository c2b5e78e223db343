"""Errors: one readable line, the right exit code, and the same after a trip between processes."""

import pickle
from pathlib import Path

import pytest

from thalgpu import errors
from thalgpu.errors import (
    IncompleteError,
    InputError,
    NumericsError,
    ResourceError,
    ThalgpuError,
    UsageError,
    WorkerDiedError,
)

LEAVES = [
    (ThalgpuError("what"), 1),
    (UsageError("what"), 2),
    (InputError("a.nii", "what"), 4),
    (NumericsError("what"), 4),
    (ResourceError("what"), 5),
    (WorkerDiedError("what"), 5),
    (IncompleteError("what"), 4),
]


@pytest.mark.parametrize(("error", "code"), LEAVES, ids=lambda value: type(value).__name__)
def test_exit_codes(error, code):
    assert error.exit_code == code


def test_every_error_of_the_module_is_in_this_test():
    kinds = {kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, ThalgpuError)}
    assert kinds == {type(error) for error, _ in LEAVES}


def test_message_says_what_where_and_what_to_do():
    error = ThalgpuError("grid differs", where="a.nii", remedy="resample")
    assert str(error) == "grid differs (a.nii) — resample"
    assert str(ThalgpuError("grid differs")) == "grid differs"


def test_input_error_points_to_line_or_field():
    assert str(InputError("list.txt", "no such file", at=3)) == "no such file (list.txt:3)"
    assert InputError("list.txt", "reason").path == Path("list.txt")
    assert InputError("list.txt", "reason").reason == "reason"


@pytest.mark.parametrize(
    "error",
    [InputError(Path("a"), "why", at="x", remedy="do"), WorkerDiedError("died"), NumericsError("no", where="here")],
    ids=lambda error: type(error).__name__,
)
def test_errors_survive_the_way_out_of_a_worker(error):
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert str(again) == str(error)
    assert again.__dict__ == error.__dict__
    assert again.args == error.args


def test_numerics_error_is_a_value_error_for_callers_from_python():
    assert isinstance(NumericsError("no"), ValueError)
