"""The registry leaves nothing out: no kernel, no branch of a parameter, no class of shapes, no mutation."""

import inspect
import typing
from functools import cache
from importlib import import_module
from pathlib import Path
from types import NoneType

import numpy as np
import pytest
from judging import all_cases, arguments, expected, module_of

import thalgpu.kernels
from thalgpu.kernels import _cuda
from thalgpu.kernels._declarations import declarations
from thalgpu.kernels.affinity import KERNELS

WITHOUT_CASES = {
    "sparsify.n_kept": "a number from two numbers, no arrays",
}
"""Public functions that need no case, and why."""

REFUSED = {"empty": "refused with a NumericsError"}
NOT_APPLICABLE = {
    "correlation.correlation": REFUSED,
    "eigen.leading_eigenpairs": REFUSED,
    "scaling.product_scale": {"empty": "refused by those that call it"},
    "sparsify.sparsify_rows": REFUSED,
    "standardize.standardize": REFUSED,
}
"""Classes of shapes that an operation, "module.function", cannot have, and why."""

_IN_DOUBLE = "statistics are float64"
ONE_DTYPE = {
    "clusters.clusters": _IN_DOUBLE,
    "glm.count_exceedances": _IN_DOUBLE,
    "glm.f_statistics": _IN_DOUBLE,
    "glm.permuted_rows": _IN_DOUBLE,
    "glm.t_statistics": _IN_DOUBLE,
    "glm.tie_threshold": _IN_DOUBLE,
    "small_eigen.ritz_pairs": "the problem inside a block is float64 whatever the vectors are",
    "tfce.tfce": _IN_DOUBLE,
}
"""Operations that take one floating dtype only, and why."""

NAMES = {
    "affinity.affinity_from_gram": {"kernel": KERNELS},
    "scaling.product_scale": {"kernel": KERNELS},
}
"""Parameters that are one of a few names, and are not annotated as Literal."""

SHAPES = {
    "empty": lambda n: n == 0,
    "one": lambda n: n == 1,
    "an odd prime": lambda n: n > 2 and _is_prime(n),
    "more than one block": lambda n: n > 256,
}
"""Classes of lengths of an axis: each operation meets each, in its arguments or its results."""


def _is_prime(n):
    return n > 1 and all(n % factor for factor in range(2, int(n**0.5) + 1))


def operations():
    """Every public function of a public module of `thalgpu.kernels`, by its "module.function"."""
    found = {}
    for path in sorted(Path(thalgpu.kernels.__file__).parent.glob("[!_]*.py")):
        module = import_module(f"thalgpu.kernels.{path.stem}")
        for name, function in vars(module).items():
            if inspect.isfunction(function) and function.__module__ == module.__name__ and not name.startswith("_"):
                found[f"{path.stem}.{name}"] = function
    return found


@cache
def cases_of(operation):
    return [case for case in all_cases() if f"{module_of(case)}.{case.operation.__name__}" == operation]


@cache
def calls_of(operation):
    """What each case gives for each parameter, defaults included."""
    calls = []
    for case in cases_of(operation):
        bound = inspect.signature(case.operation).bind(*arguments(case), **case.options)
        bound.apply_defaults()
        calls.append(bound.arguments)
    return calls


def arrays_of(operation):
    """Every array that goes into a case, or comes out of its reference."""
    given = [value for call in calls_of(operation) for value in call.values()]
    returned = [value for case in cases_of(operation) for value in expected(case)]
    return [value for value in (*given, *returned) if isinstance(value, np.ndarray)]


def branches(operation):
    """Parameters that choose between a few things: what must occur, and how to tell."""
    for name, hint in typing.get_type_hints(operations()[operation]).items():
        if name == "return":
            continue
        choices = NAMES.get(operation, {}).get(name) or typing.get_args(hint)
        if typing.get_origin(hint) is typing.Literal or hint is str:
            yield from ((name, repr(choice), lambda value, choice=choice: value == choice) for choice in choices)
        elif hint is bool:
            yield name, "True", lambda value: value is True
            yield name, "False", lambda value: value is False
        elif NoneType in choices:
            yield name, "None", lambda value: value is None
            yield name, "something", lambda value: value is not None


CHECKED = sorted(set(operations()) - set(WITHOUT_CASES))


@pytest.mark.parametrize("operation", CHECKED)
def test_every_operation_has_cases(operation):
    assert cases_of(operation), f"no case in tests/parity/cases_*.py calls thalgpu.kernels.{operation}"


@pytest.mark.parametrize("operation", CHECKED)
def test_every_branch_of_every_parameter_occurs(operation):
    missing = [
        f"{name} = {what}"
        for name, what, occurs in branches(operation)
        if not any(occurs(call[name]) for call in calls_of(operation))
    ]
    assert not missing


@pytest.mark.parametrize("operation", CHECKED)
def test_every_class_of_shapes_occurs(operation):
    lengths = {n for array in arrays_of(operation) for n in array.shape}
    missing = {name for name, belongs in SHAPES.items() if not any(map(belongs, lengths))}
    assert missing == set(NOT_APPLICABLE.get(operation, {}))


@pytest.mark.parametrize("operation", CHECKED)
def test_every_floating_dtype_occurs(operation):
    given = {
        value.dtype.name for call in calls_of(operation) for value in call.values() if isinstance(value, np.ndarray)
    }
    floating = {name for name in given if name.startswith("float")}
    assert len(floating) == 2 or floating == set() or operation in ONE_DTYPE


def test_case_names_are_unique_within_an_operation():
    names = [(case.operation, case.name) for case in all_cases()]
    assert len(names) == len(set(names))


def test_every_exemption_is_of_something_that_exists():
    assert set(WITHOUT_CASES) <= set(operations())
    assert set(NOT_APPLICABLE) | set(ONE_DTYPE) | set(NAMES) <= set(CHECKED)


def test_no_exempted_operation_has_cases():
    assert [operation for operation in WITHOUT_CASES if cases_of(operation)] == []


@pytest.mark.parametrize("path", sorted(_cuda._FOLDER.glob("*.cu")), ids=lambda path: path.stem)
def test_every_kernel_is_named_by_a_case(path):
    named = {kernel for case in all_cases() for kernel in case.cuda}
    assert {f"{path.stem}:{name}" for name in declarations(path.read_text())} - named == set()


def test_every_kernel_that_is_named_exists():
    written = {f"{path.stem}:{name}" for path in _cuda._FOLDER.glob("*.cu") for name in declarations(path.read_text())}
    assert {kernel for case in all_cases() for kernel in case.cuda} - written == set()


@pytest.mark.parametrize("path", sorted(_cuda._FOLDER.glob("*.cu")), ids=lambda path: path.stem)
def test_every_kernel_file_has_a_launcher_of_its_name(path):
    assert (path.parents[1] / f"{path.stem}.py").exists()


def test_every_tolerance_has_a_reason():
    assert [case.name for case in all_cases() if not case.reason.strip()] == []
