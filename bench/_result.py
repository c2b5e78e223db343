"""One benchmark's outcome: what was measured, beside what, and whether the target was met."""

import re
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class BenchResult:
    """Both sides of one claim.

    Attributes
    ----------
    claim : number of the claim, "B1".
    title : what was done, with its sizes.
    ours_label, ref_label : what each side is.
    ours_seconds : what ours took, in `unit`.
    ref_seconds : what the reference took or allows, in `unit`; None where it is not installed.
    unit : "s" unless something else is measured ("MB", "exponent").
    target : ">= 10x" on the ratio, or "<= 0.5" on ours in `unit`.
    note : in words, what a reader must know to judge the numbers.
    """

    claim: str
    title: str
    ours_label: str
    ours_seconds: float
    ref_label: str
    ref_seconds: float | None
    unit: str = "s"
    target: str = ">= 1x"
    note: str = ""

    @property
    def ratio(self) -> float | None:
        """How many times less ours takes than the reference; None without a reference."""
        return None if self.ref_seconds is None else self.ref_seconds / self.ours_seconds

    @property
    def met(self) -> bool | None:
        """Whether the target was met; None where the reference that it needs is missing."""
        match = re.fullmatch(r"(>=|<=) ([0-9.]+)(x?)", self.target)
        if match is None:
            raise ValueError(f"target {self.target!r} is not of the form '>= 10x' or '<= 0.5'")
        relation, bound, of_ratio = match.groups()
        value = self.ratio if of_ratio else self.ours_seconds
        if value is None:
            return None
        return value >= float(bound) if relation == ">=" else value <= float(bound)

    def to_json(self) -> dict[str, Any]:
        """Plain values, ratio and verdict included."""
        return {**asdict(self), "ratio": self.ratio, "met": self.met}
