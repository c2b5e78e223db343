"""Model formulas in a small grammar of their own: parsed into terms, never executed.

    formula     = ["~"] product { "+" product }
    product     = interaction { "*" interaction }              a*b is a + b + a:b
    interaction = factor { ":" factor }
    factor      = name | name "^" power | "C(" name ")" | "poly(" name "," power ")" | "1" | "0"

A name is letters, digits, dots and underscores, or anything between backticks. `C(site)` takes a column of numbers as
categories, `age^2` is a power of a covariate, `poly(age, 3)` is age + age^2 + age^3 (plain powers, not R's orthogonal
ones). 1 asks for an intercept and 0 for none. As in R, terms are ordered by the number of their factors and repeated
ones are dropped; unlike in R there are no parentheses, functions or subtraction, because nothing here may run code.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import TypeAlias

from thalgpu.engine.inference.words import quoted
from thalgpu.errors import NumericsError

_LONGEST = 2000
_MOST_TERMS = 200
_HIGHEST_POWER = 9
_TOKEN = re.compile(r"`(?P<quoted>[^`]+)`|(?P<name>[^\W\d][\w.]*)|(?P<number>\d[\w.]*)|(?P<sign>[+:*^(),~])")
_GRAMMAR = "use names, +, :, *, name^2, C(name), poly(name, 2), 1 or 0, and backticks around any other name"


@dataclass(frozen=True)
class Factor:
    """A column of the table inside a term: as it is, to a power, or taken as categories."""

    name: str
    power: int = 1
    categorical: bool = False

    def __str__(self) -> str:
        return self.name if self.power == 1 else f"{self.name}^{self.power}"


Term: TypeAlias = tuple[Factor, ...]
"""A product of factors of different columns."""


@dataclass(frozen=True)
class Formula:
    """Terms by ascending number of factors; `intercept` is True or False where 1 or 0 is written, else None."""

    terms: tuple[Term, ...]
    intercept: bool | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The columns of the table that the terms use, in the order of the terms."""
        return tuple(dict.fromkeys(factor.name for term in self.terms for factor in term))


def term_name(term: Term) -> str:
    """A term as people read it: `group:age^2`."""
    return ":".join(map(str, term))


def parse_formula(text: str) -> Formula:
    """Read a formula such as `group*age + sex + poly(age, 2)`.

    Parameters
    ----------
    text : the right-hand side of a model, in the grammar above.

    Returns
    -------
    Formula
        Without repeated terms.

    Raises
    ------
    NumericsError
        For anything outside the grammar, with the offending piece and its position (characters from 1).
    """
    if len(text) > _LONGEST:
        remedy = "name fewer columns"
        raise NumericsError(f"the formula has {len(text)} characters, more than {_LONGEST}", remedy=remedy)
    return _Parser(text).formula()


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str
    start: int


class _Parser:
    """One pass over the tokens from left to right; each method reads one rule of the grammar."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = self._split()
        self._at = 0
        self._intercept: bool | None = None

    def formula(self) -> Formula:
        self._accept("~")
        terms = self._product()
        while self._accept("+"):
            terms += self._product()
        if self._next.kind != "end":
            raise self._refusal("is not expected here")
        unique: dict[frozenset[Factor], Term] = {}
        for term in filter(None, terms):
            unique.setdefault(frozenset(term), term)
        kept = sorted(unique.values(), key=len)
        self._require_one_kind(kept)
        if not kept and self._intercept is not True:
            raise NumericsError(
                "the formula has no term", where=self._where(0), remedy="name the columns of the model, or 1"
            )
        return Formula(tuple(kept), self._intercept)

    def _product(self) -> list[Term]:
        terms = self._interaction()
        while self._accept("*"):
            right = self._interaction()
            terms = terms + right + self._joined(terms, right)
        return terms

    def _interaction(self) -> list[Term]:
        terms = self._factor()
        while self._accept(":"):
            terms = self._joined(terms, self._factor())
        return terms

    def _factor(self) -> list[Term]:
        token = self._next
        if token.kind == "number":
            return [self._constant()]
        if token.kind not in ("name", "quoted"):
            raise self._refusal("stands where a column's name is expected")
        self._at += 1
        if self._next.text != "(" or self._next.kind != "sign":
            power = self._power() if self._accept("^") else 1
            return [(Factor(token.text, power),)]
        if token.kind == "quoted" or token.text not in ("C", "poly"):
            self._at -= 1
            raise self._refusal("is no function of this grammar")
        return self._call(token.text)

    def _call(self, function: str) -> list[Term]:
        """What `C(` or `poly(` holds."""
        self._expect("(")
        name = self._next
        if name.kind not in ("name", "quoted"):
            raise self._refusal("stands where a column's name is expected")
        self._at += 1
        if function == "C":
            self._expect(")")
            return [(Factor(name.text, categorical=True),)]
        self._expect(",")
        degree = self._power()
        self._expect(")")
        return [(Factor(name.text, power),) for power in range(1, degree + 1)]

    def _constant(self) -> Term:
        """1 or 0: no factor of its own, only a wish about the intercept."""
        beside = {self._tokens[self._at - 1].text if self._at else "+", self._tokens[self._at + 1].text}
        if self._next.text not in ("0", "1") or not beside <= {"+", "~", ""}:
            raise self._refusal("is not a column's name; only 1 or 0 may stand as a term of its own")
        wish = self._next.text == "1"
        if self._intercept is not None and self._intercept != wish:
            raise self._refusal("contradicts the other wish about the intercept")
        self._intercept = wish
        self._at += 1
        return ()

    def _power(self) -> int:
        token = self._next
        if token.kind != "number" or token.text not in map(str, range(2, _HIGHEST_POWER + 1)):
            raise self._refusal(f"is not a power from 2 to {_HIGHEST_POWER}")
        self._at += 1
        return int(token.text)

    def _joined(self, left: list[Term], right: list[Term]) -> list[Term]:
        if len(left) * len(right) > _MOST_TERMS:
            raise self._refusal(f"ends a product of more than {_MOST_TERMS} terms", before=True)
        for one, other in product(left, right):
            shared = {factor.name for factor in one} & {factor.name for factor in other}
            if shared:
                name = min(shared)
                raise self._refusal(
                    f"ends a product that has {name!r} twice (write {name}^2 for its square)", before=True
                )
        return [one + other for one, other in product(left, right)]

    def _require_one_kind(self, terms: Sequence[Term]) -> None:
        factors = {factor for term in terms for factor in term}
        for factor in sorted(factors, key=str):
            if factor.categorical and any(other.name == factor.name and not other.categorical for other in factors):
                raise NumericsError(
                    f"{factor.name!r} is used both as it is and as C({factor.name})",
                    where=self._where(0),
                    remedy="write it one way throughout",
                )

    @property
    def _next(self) -> _Token:
        return self._tokens[self._at]

    def _accept(self, sign: str) -> bool:
        found = self._next.kind == "sign" and self._next.text == sign
        self._at += found
        return found

    def _expect(self, sign: str) -> None:
        if not self._accept(sign):
            raise self._refusal(f"stands where {sign!r} is expected")

    def _split(self) -> list[_Token]:
        tokens, at = [], 0
        while at < len(self._text):
            if self._text[at].isspace():
                at += 1
                continue
            match = _TOKEN.match(self._text, at)
            if match is None:
                raise NumericsError(
                    f"{self._text[at]!r} is not part of the grammar", where=self._where(at), remedy=_GRAMMAR
                )
            kind = str(match.lastgroup)
            tokens.append(_Token(kind, match[kind], at))
            at = match.end()
        return [*tokens, _Token("end", "", len(self._text))]

    def _refusal(self, why: str, *, before: bool = False) -> NumericsError:
        token = self._tokens[self._at - before]
        what = "the end" if token.kind == "end" else quoted(token.text)
        return NumericsError(f"{what} {why}", where=self._where(token.start), remedy=_GRAMMAR)

    def _where(self, at: int) -> str:
        return f"formula {quoted(self._text)}, character {at + 1}"
