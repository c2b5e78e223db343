"""Contrasts and F tests written with names: `neuCLBP - nonneuCLBP`, `pain = 0.5*A + 0.5*B - HC`, `group:age`.

contrast = [name "="] expression                          expression: contrast_expression
F test   = [name "="] term | item { "," item }            item: a term, the name of a contrast, or an expression
"""

import re
from collections.abc import Sequence
from typing import Literal

import numpy as np

from thalgpu.engine.inference.contrast_expression import Coefficients, Expression, Weights, camel, join, tidy
from thalgpu.engine.inference.model import Contrast
from thalgpu.engine.inference.words import quoted
from thalgpu.errors import NumericsError

_LONGEST = 2000
_LONGEST_LABEL = 100
_PREFIX = re.compile(r"\s*([^\W\d_][\w .-]*?)\s*=(.*)", re.DOTALL)
_ITEM = re.compile(r"(?:`[^`]*`|[^,`]|`)+")


def build_contrasts(t_tests: Sequence[str], f_tests: Sequence[str], names: Coefficients) -> tuple[Contrast, ...]:
    """The t contrasts in order, then the F tests, with labels that stay apart as file names.

    Raises
    ------
    NumericsError
        As `parse_contrast` and `parse_f_test`; and for two contrasts with one label.
    """
    singles = [parse_contrast(text, names) for text in t_tests]
    every = singles + [parse_f_test(text, names, singles) for text in f_tests]
    seen: dict[str, Contrast] = {}
    for contrast in every:
        # Case is ignored, as some file systems do.
        other = seen.setdefault(contrast.label.casefold(), contrast)
        if other is not contrast:
            both = f"contrasts {quoted(other.name)} and {quoted(contrast.name)}"
            raise NumericsError(
                f"{both} would share files named {contrast.label!r}",
                remedy="leave one out, or put a name of its own in front: name = expression",
            )
    return tuple(every)


def parse_contrast(text: str, names: Coefficients) -> Contrast:
    """Read a t contrast.

    Parameters
    ----------
    text : an expression in the grammar above, with a label in front if wanted: `pain = 0.5*A + 0.5*B - HC`.
    names : what may be named.

    Returns
    -------
    Contrast
        Weights (1, n_columns); the label is the one given, else the expression in letters and digits.

    Raises
    ------
    NumericsError
        For unknown names (with the nearest and the known), ambiguous ones, and anything outside the grammar, with its
        position.
    """
    given, expression = _split_label(text, names)
    parser = Expression(expression, names)
    weights = parser.weights()
    return _labelled(given, expression, [parser.label()], weights[None], "t")


def parse_f_test(text: str, names: Coefficients, contrasts: Sequence[Contrast] = ()) -> Contrast:
    """Read an F test: a term of the formula (`group`, `group:age`), or contrasts or their names with commas between."""
    given, expression = _split_label(text, names)
    known = {**names.terms, **{contrast.name: contrast.weights for contrast in contrasts}}
    items = [expression] if tidy(expression) in known else _ITEM.findall(expression) or [expression]
    rows, labels = [], []
    for item in items:
        if tidy(item) in known:
            rows.append(known[tidy(item)])
            labels.append(camel(item))
        else:
            parser = Expression(item, names, known)
            rows.append(parser.weights()[None])
            labels.append(parser.label())
    return _labelled(given, expression, labels, np.vstack(rows), "f")


def _split_label(text: str, names: Coefficients) -> tuple[str | None, str]:
    """What stands before `=`, and the expression; a level such as `dose=5` is no label."""
    if len(text) > _LONGEST:
        raise NumericsError(f"a contrast has {len(text)} characters, more than {_LONGEST}", remedy="write it shorter")
    match = _PREFIX.fullmatch(text)
    if match is None or any("=" in name and text.lstrip().startswith(name) for name in names.weights):
        return None, text
    return match[1], match[2]


def _labelled(
    given: str | None, expression: str, labels: Sequence[str], weights: Weights, kind: Literal["t", "f"]
) -> Contrast:
    label = camel(given) if given else join(labels, "and")
    name = given or expression.strip()
    if not 0 < len(label) <= _LONGEST_LABEL:
        what = f"longer than {_LONGEST_LABEL} letters" if label else "without a letter or digit"
        remedy = "put a short name in front: name = expression"
        raise NumericsError(f"contrast {quoted(name)} makes a file name {what}", remedy=remedy)
    return Contrast(name, label, np.ascontiguousarray(weights, dtype=np.float64), kind)
