"""Weighted sums of named coefficients: the expressions that contrasts are written in.

    expression = ["-"] product { ("+" | "-") product }
    product    = operand { ("*" | "/") operand }
    operand    = number | name | "(" expression ")"

A name is a column of the design, a level of a main effect, or anything of these between backticks; the longest known
name that fits is taken, so that `non-neuCLBP` needs no quotes. A level that the coding left out as the reference is
zero. Nothing is executed: products of names, and anything outside this grammar, are refused.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from thalgpu.engine.inference.words import known_names, listed, quoted
from thalgpu.errors import NumericsError

Weights: TypeAlias = NDArray[np.float64]

_DEEPEST = 20
_NUMBER = re.compile(r"(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?(?![\w.])")
_WORD = re.compile(r"[^\s+*/(),=`-]+")
_SAID = {"-": "minus", "+": "plus", "/": "over", ":": "by", "^": "power"}
_GRAMMAR = "write sums of names with numbers in front, such as 0.5*A + 0.5*B - C, and backticks around odd names"
_NAMES = "begin with a name of letters, digits, dots, spaces and - to name a contrast: pain = A - B"


@dataclass(frozen=True)
class Coefficients:
    """What contrasts may name.

    Attributes
    ----------
    columns : of the design.
    weights : name → (n_columns,) float64.
    terms : name of a term → (n_rows, n_columns) float64, the rows that an F test of it tests.
    ambiguous : name that could mean several things → what to write instead.
    """

    columns: tuple[str, ...]
    weights: Mapping[str, Weights]
    terms: Mapping[str, Weights] = field(default_factory=dict)
    ambiguous: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        """All names, those of columns first."""
        return tuple(dict.fromkeys([*self.columns, *self.weights]))


def tidy(name: str) -> str:
    """A name as it is looked up: without the spaces around it and around its colons, and without backticks."""
    return _tight(name.strip().strip("`").strip())


def _tight(text: str) -> str:
    return re.sub(r"\s*:\s*", ":", text)


def camel(text: str) -> str:
    """Letters and digits of `text`, pieces after the first with a capital: `group[A]:age` is groupAByAge."""
    spoken = re.sub(r"[:^]", lambda sign: f" {_SAID[sign[0]]} ", text)
    plain = unicodedata.normalize("NFKD", spoken).encode("ascii", "ignore").decode()
    return join(re.findall(r"[A-Za-z0-9]+", re.sub(r"(?<=\d)\.(?=\d)", "p", plain)))


def join(pieces: Sequence[str], between: str = "") -> str:
    """One word of several, each after the first with a capital."""
    words = [word for piece in filter(None, pieces) for word in (between, piece) if word]
    words = words[1:] if between else words
    return "".join(word if k == 0 else word[0].upper() + word[1:] for k, word in enumerate(words))


@dataclass(frozen=True)
class _Token:
    kind: Literal["name", "number", "sign", "end"]
    text: str
    start: int


class Expression:
    """Reads an expression from left to right; a value is a number or a vector of weights."""

    def __init__(self, text: str, names: Coefficients, others: Iterable[str] = ()) -> None:
        self._text, self._names, self._others = _tight(text.strip()), names, tuple(others)
        # Numbers are never read as bare levels: 2*`2` is twice the level 2.
        self._known = sorted((name for name in names.weights if not _NUMBER.fullmatch(name)), key=len, reverse=True)
        self._tokens = list(self._split())
        self._at = 0
        self._depth = 0

    def weights(self) -> Weights:
        """The weights of the whole text."""
        if [token.text for token in self._tokens] == ["1", ""]:
            return self._named(_Token("name", "intercept", 0))
        value = self._sum()
        if self._next.kind != "end":
            raise self._refusal("is not expected here")
        if isinstance(value, float):
            self._at = 0
            raise self._refusal("starts an expression without a name")
        return value

    def label(self) -> str:
        """The text in letters and digits: a name after a number needs no sign between, other signs are spoken."""
        return join([_said(token) for token in self._tokens])

    def _sum(self) -> float | Weights:
        total = -self._product() if self._accept("-") else self._product()
        while self._next.kind == "sign" and self._next.text in "+-":
            sign, at = self._next.text, self._at
            self._at += 1
            other = self._product()
            if isinstance(total, float) != isinstance(other, float):
                self._at = at
                raise self._refusal("joins a plain number and a name: a contrast has no constant")
            total = total + other if sign == "+" else total - other
        return total

    def _product(self) -> float | Weights:
        value = self._operand()
        while self._next.kind == "sign" and self._next.text in "*/":
            sign, at = self._next.text, self._at
            self._at += 1
            other = self._operand()
            if isinstance(other, float) and sign == "/" and other != 0:
                value = value / other
            elif sign == "*" and (isinstance(value, float) or isinstance(other, float)):
                value = value * other
            else:
                self._at = at
                raise self._refusal("multiplies names, or divides by a name or zero")
        return value

    def _operand(self) -> float | Weights:
        token = self._next
        self._at += token.kind != "end"
        if token.kind == "number":
            return float(token.text)
        if token.kind == "name":
            return self._named(token)
        if token.text == "(" and self._depth < _DEEPEST:
            self._depth += 1
            value = self._sum()
            if not self._accept(")"):
                raise self._refusal("stands where ')' is expected")
            self._depth -= 1
            return value
        self._at -= token.kind != "end"
        raise self._refusal("stands where a name is expected")

    def _named(self, token: _Token) -> Weights:
        name = tidy(token.text)
        if name in self._names.ambiguous:
            raise NumericsError(
                f"{quoted(name)} could be {' or '.join(self._names.ambiguous[name])}",
                where=self._where(token.start),
                remedy="write the one that is meant",
            )
        if name not in self._names.weights:
            remedy = known_names(name, [*self._names.names, *self._others])
            if name in self._names.terms and name not in self._others:
                weighed = listed(self._names.columns)
                remedy = f"it is a term of several columns: test it with --f-test {name}, or weigh {weighed}"
            raise NumericsError(f"unknown name {quoted(name)}", where=self._where(token.start), remedy=remedy)
        return self._names.weights[name]

    def _split(self) -> Iterator[_Token]:
        at = 0
        while at < len(self._text):
            token = None if self._text[at].isspace() else self._token(at)
            if token is not None:
                yield token
                at = token.start + len(token.text)
            else:
                at += 1
        yield _Token("end", "", at)

    def _token(self, at: int) -> _Token:
        text = self._text
        if text[at] == "`" and (close := text.find("`", at + 1)) > at:
            return _Token("name", text[at : close + 1], at)
        for name in self._known:
            if text.startswith(name, at) and _ends_word(text, at + len(name)):
                return _Token("name", name, at)
        if number := _NUMBER.match(text, at):
            return _Token("number", number[0], at)
        if text[at] in "+-*/()":
            return _Token("sign", text[at], at)
        if word := _WORD.match(text, at):
            return _Token("name", word[0], at)
        remedy = _NAMES if text[at] == "=" else _GRAMMAR
        raise NumericsError(f"{text[at]!r} is not part of a contrast", where=self._where(at), remedy=remedy)

    @property
    def _next(self) -> _Token:
        return self._tokens[self._at]

    def _accept(self, sign: str) -> bool:
        found = self._next.kind == "sign" and self._next.text == sign
        self._at += found
        return found

    def _refusal(self, why: str) -> NumericsError:
        token = self._next
        what = "the end" if token.kind == "end" else quoted(token.text)
        return NumericsError(f"{what} {why}", where=self._where(token.start), remedy=_GRAMMAR)

    def _where(self, at: int) -> str:
        return (
            f"contrast {quoted(self._text.strip())}, character {at + 1 - (len(self._text) - len(self._text.lstrip()))}"
        )


def _ends_word(text: str, at: int) -> bool:
    """Whether a name may end before `at`: `neu` is not found in `neuCLBP`."""
    return at >= len(text) or not (re.match(r"\w", text[at]) and re.match(r"\w", text[at - 1]))


def _said(token: _Token) -> str:
    if token.kind == "number":
        return camel(f"{float(token.text):.6g}")
    return _SAID.get(token.text, "") if token.kind == "sign" else camel(token.text)
