"""Whatever text comes as a formula, a contrast or a table: an answer, or the one kind of error; nothing is executed."""

import builtins
import importlib
import os
from collections.abc import Callable
from functools import partial
from typing import TypeVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thalgpu.engine.inference.contrast_expression import Coefficients
from thalgpu.engine.inference.contrasts import parse_contrast, parse_f_test
from thalgpu.engine.inference.formula import parse_formula, term_name
from thalgpu.engine.inference.table_design import design_from_table
from thalgpu.errors import NumericsError

pytestmark = pytest.mark.fault("hostile formula")

PIECES = ["a", "b", "`x y`", "C(", "poly(", ")", ",", "+", ":", "*", "^", "2", "0", "1", "~", " ", "-", "`", "é", "."]
NAMES = Coefficients(
    ("a", "b-c", "f[x]"),
    {"a": np.eye(3)[0], "b-c": np.eye(3)[1], "f[x]": np.eye(3)[2], "f[y]": np.zeros(3), "2": np.ones(3)},
    {"f": np.eye(3)[:2]},
    {"z": ("f[z]", "g[z]")},
)
WORDS = ["a", "b-c", "f[x]", "f[y]", "f", "z", "2", "1", "0.5", "(", ")", "+", "-", "*", "/", "=", "`", ",", " ", "1e9"]
HOSTILE = [
    "__import__('os').system('x')",
    "C(__import__('os').system('x'))",
    "`__import__('os').system('x')`",
    "I(open('/tmp/x', 'w'))",
    "a + exec('raise SystemExit')",
    "poly(a, (lambda: 2)())",
    "{a.__class__}",
    "%(a)s",
    "a; import os",
    "@a",
    "a\n+\n__builtins__",
]

T = TypeVar("T")


def outcome(call: Callable[..., T], *given_to: object) -> T | NumericsError:
    """What the call returns, or its error, which must fill one line and say what to do."""
    try:
        return call(*given_to)
    except NumericsError as error:
        found = error
    assert found.remedy
    assert "\n" not in str(found)
    return found


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.text(max_size=60), st.lists(st.sampled_from(PIECES), max_size=20).map("".join)))
def test_any_text_is_a_formula_or_an_error_with_a_remedy(text: str) -> None:
    formula = outcome(parse_formula, text)
    if not isinstance(formula, NumericsError):
        assert formula.terms or formula.intercept
        assert all(term_name(term) for term in formula.terms)


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.text(max_size=60), st.lists(st.sampled_from(WORDS), max_size=20).map("".join)))
def test_any_text_is_a_contrast_or_an_error_with_a_remedy(text: str) -> None:
    for parse in (parse_contrast, parse_f_test):
        contrast = outcome(parse, text, NAMES)
        if not isinstance(contrast, NumericsError):
            assert contrast.weights.shape[1] == 3
            assert contrast.label.isascii()
            assert contrast.label.isalnum()


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.sampled_from(["A", "B", "C", "", "1", "2.5", "-3", "nan", "1e300", "1e-300", "x y"]), min_size=8, max_size=8
    ),
    st.lists(st.sampled_from(["1", "2", "3", "7.5", "9", "1e150", "NA"]), min_size=8, max_size=8),
    st.sampled_from(["g", "x", "g + x", "g*x", "x + x^2", "1 + g", "C(x)", "0 + x", "g:x", "g:C(x)", "poly(x, 9)"]),
)
def test_any_table_gives_a_finite_design_of_full_rank_or_an_error(g: list[str], x: list[str], formula: str) -> None:
    build = partial(design_from_table, missing="drop")
    design = outcome(build, {"g": g, "x": x}, list("12345678"), formula, ())
    if not isinstance(design, NumericsError):
        assert np.isfinite(design.matrix).all()
        scaled = design.matrix / np.linalg.norm(design.matrix, axis=0)
        assert np.linalg.matrix_rank(scaled, tol=1e-12) == len(design.columns) < len(design.matrix)


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_never_executed(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("executed")

    table = {"a": list("12345678"), "g": list("AABBAABB")}
    with monkeypatch.context() as patch:
        patch.setattr(os, "system", refuse)
        patch.setattr(importlib, "import_module", refuse)
        for name in ("eval", "exec", "compile", "open"):
            patch.setattr(builtins, name, refuse)
        with pytest.raises(NumericsError):
            design_from_table(table, list("12345678"), text, ())
        with pytest.raises(NumericsError):
            design_from_table(table, list("12345678"), "g + a", [text])
        with pytest.raises(NumericsError):
            design_from_table(table, list("12345678"), "g + a", (), [text])
