"""Results of a comparison, and the rows of its tables."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thalgpu.engine.comparison.blocks import BlockResult
from thalgpu.engine.comparison.finish import PartResult
from thalgpu.engine.comparison.labels import Comparison
from thalgpu.engine.comparison.statistics import SCALARS
from thalgpu.engine.comparison.verification import Verified
from thalgpu.engine.inference.corrections import monte_carlo_interval
from thalgpu.engine.inference.peaks import Findings, Places, peaks_table
from thalgpu.engine.inputs.model import LEFT, RIGHT
from thalgpu.engine.pipelines.compare_prepare import Embedded
from thalgpu.engine.pipelines.permute_outputs import unit_size
from thalgpu.engine.report.permute_page import ALPHA


@dataclass(frozen=True, eq=False)
class ComparisonResult:
    """One comparison of one embedding.

    Attributes
    ----------
    embedded, number : which.
    parts : p-values of maps and numbers.
    blocks : what all permutations left behind.
    verified : errors of the reduced path in a random sample; zeros on the other paths.
    angles : (n_components, n_components) principal angles of a pair's groups as they are, as `principal_angles` has
        them; None of all groups.
    """

    embedded: Embedded
    number: int
    parts: tuple[PartResult, ...]
    blocks: BlockResult
    verified: Verified
    angles: NDArray[np.float64] | None

    @property
    def comparison(self) -> Comparison:
        """Groups and permutations."""
        return self.embedded.study.comparisons[self.number]

    @property
    def maps(self) -> tuple[PartResult, ...]:
        """The parts that are maps, a component each."""
        return tuple(part for part in self.parts if part.part.name not in SCALARS)

    @property
    def numbers(self) -> tuple[PartResult, ...]:
        """The parts that are one number a component."""
        return tuple(part for part in self.parts if part.part.name in SCALARS)


def summary_rows(one: ComparisonResult) -> Iterator[dict[str, Any]]:
    """A line a component: what was found, and how exact it is."""
    n_perm = one.comparison.permutations.n_perm
    for i, part in enumerate(one.maps):
        name = deciding_name(part)
        p = part.maps[name]
        best = int(np.argmin(p))
        low, high = _interval(one, p)
        yield {
            "comparison": one.comparison.name,
            "map": _map_name(one, part),
            "n_voxels": len(p),
            "largest": float(part.maps["stat"].max()),
            "smallest": float(part.maps["stat"].min()),
            "by": name,
            "n_significant": int((p <= ALPHA).sum()),
            "smallest_p": float(p[best]),
            "p_low": float(low[best]),
            "p_high": float(high[best]),
            "n_perm": n_perm,
            "null_sd": float(one.embedded.study.spreads[one.number][i]),
            "error_estimated": float(one.blocks.worst[i]),
            "error_verified": float(one.verified.maps[i]),
            "n_exact": one.blocks.n_exact if one.embedded.study.path == "reduced" else n_perm,
            "close_eigenvalues": float(one.blocks.n_close[i] / (n_perm * len(one.comparison.groups))),
        }


def number_rows(one: ComparisonResult) -> Iterator[dict[str, Any]]:
    """A line a component and number: difference of eigenvalues, explained variance, range, subspaces."""
    for part, errors, largest in zip(one.numbers, one.verified.numbers, one.verified.largest, strict=True):
        for i, value in enumerate(part.maps["stat"]):
            yield {
                "comparison": one.comparison.name,
                "hemisphere": one.embedded.hemisphere or None,
                "number": part.part.name,
                "component": i + 1,
                "value": float(value),
                "p": float(part.maps["p"][i]),
                "p_fwe": float(part.maps["p_fwe"][i]),
                "p_fdr": float(part.maps["p_fdr"][i]),
                "error_verified": float(errors[i]),
                "error_largest": float(largest[i]),
            }


def angle_rows(one: ComparisonResult) -> Iterator[dict[str, Any]]:
    """A line a principal angle between the groups of a pair, for each number of leading components."""
    if one.angles is None:
        return
    for i, row in enumerate(one.angles):
        for j, degrees in enumerate(row[: i + 1]):
            yield {
                "comparison": one.comparison.name,
                "hemisphere": one.embedded.hemisphere or None,
                "n_components": i + 1,
                "angle": j + 1,
                "degrees": float(degrees),
            }


def peaks_of(one: ComparisonResult, part: PartResult) -> list[dict[str, Any]]:
    """Clusters of significant voxels of one map."""
    region = one.embedded.region
    sides = {LEFT: "L", RIGHT: "R"}
    places = Places(
        neighbours=one.embedded.study.neighbours,
        coordinates=region.xyz,
        unit_size=unit_size(region, vertex_areas=False),
        hemispheres=[sides.get(side) for side in region.hemisphere.tolist()],
    )
    name = deciding_name(part)
    low, high = _interval(one, part.maps[name])
    findings = Findings(part.maps["stat"], part.maps[name], name, low, high)
    return peaks_table(one.comparison.name, _map_name(one, part), findings, places, alpha=ALPHA)


def deciding_name(part: PartResult) -> str:
    """Name of the corrected p that says what is significant."""
    return "p_fwe_tfce" if "tfce" in part.null else "p_fwe"


def _interval(one: ComparisonResult, p: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    permutations = one.comparison.permutations
    counts = np.rint(p * permutations.n_perm).astype(np.int64)
    return monte_carlo_interval(counts, permutations.n_perm, exhaustive=permutations.source == "exhaustive")


def _map_name(one: ComparisonResult, part: PartResult) -> str:
    side = one.embedded.hemisphere
    return f"hemi-{side}_{part.part.name}" if side else part.part.name
