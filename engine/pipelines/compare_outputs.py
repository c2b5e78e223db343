"""Files of a comparison: maps of each pair and component, numbers of each component, results.h5, peaks, summary."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thalgpu.engine.comparison.blocks import BlockResult
from thalgpu.engine.comparison.finish import PartResult
from thalgpu.engine.comparison.labels import Comparison
from thalgpu.engine.comparison.statistics import SCALARS
from thalgpu.engine.comparison.verification import Verified
from thalgpu.engine.inference.corrections import monte_carlo_interval
from thalgpu.engine.inference.peaks import PEAK_COLUMNS, Findings, Places, peaks_table
from thalgpu.engine.inputs.model import LEFT, RIGHT
from thalgpu.engine.outputs.inference_results import write_results
from thalgpu.engine.outputs.sidecars import write_table
from thalgpu.engine.outputs.stat_maps import stat_map_stem, write_stat_map
from thalgpu.engine.pipelines.compare_prepare import ComparePrepared, Embedded
from thalgpu.engine.pipelines.compare_request import CompareRequest
from thalgpu.engine.pipelines.permute_outputs import unit_size
from thalgpu.engine.report.permute_page import ALPHA

_STALE = (
    "*_statmap.*",
    "*results.h5",
    "peaks.tsv",
    "summary.tsv",
    "numbers.tsv",
    "angles.tsv",
    "report.html",
    "blocks/*.h5",
)

_FILE_NAMES = {
    "p": "p",
    "p_fwe": "pfwe",
    "p_fdr": "pfdr",
    "p_fwe_joint": "pfwejoint",
    "tfce": "tfce",
    "p_tfce": "tfcep",
    "p_fwe_tfce": "tfcepfwe",
    "p_fdr_tfce": "tfcepfdr",
    "p_fwe_joint_tfce": "tfcepfwejoint",
}


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


def write_outputs(
    request: CompareRequest, prepared: ComparePrepared, found: Sequence[ComparisonResult], key: str
) -> None:
    """Everything but the report."""
    out = request.out
    for embedded in prepared.embeddings:
        mine = [one for one in found if one.embedded is embedded]
        _write_record(out, prepared, embedded, mine, key)
        for one in mine:
            _write_maps(out, prepared, one)
    peaks = [row for one in found for part in one.maps for row in peaks_of(one, part)]
    write_table(out / "peaks.tsv", PEAK_COLUMNS, peaks)
    numbers = [row for one in found for row in number_rows(one)]
    write_table(out / "numbers.tsv", list(numbers[0]), numbers)
    angles = [row for one in found for row in angle_rows(one)]
    write_table(out / "angles.tsv", list(angles[0]), angles)
    summary = [row for one in found for row in summary_rows(one)]
    write_table(out / "summary.tsv", list(summary[0]), summary)


def remove_results(out: Path) -> None:
    """Remove what an earlier comparison left in the folder."""
    for pattern in _STALE:
        for path in out.glob(pattern):
            path.unlink(missing_ok=True)


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


def _write_maps(out: Path, prepared: ComparePrepared, one: ComparisonResult) -> None:
    """A file a statistic, a volume a component."""
    about = {
        "Comparison": one.comparison.name,
        "Groups": list(one.comparison.groups),
        "Subjects": len(one.comparison.members),
        "Maps": [part.part.name for part in one.maps],
        "Permutations": one.comparison.permutations.n_perm,
        "PermutationsInWords": one.comparison.permutations.description,
        "Path": one.embedded.study.path,
        "PathInWords": one.embedded.choice.words,
        "Covariates": list(prepared.groups.covariate_names),
        "Options": asdict(one.embedded.study.options),
    }
    side = f"hemi-{one.embedded.hemisphere}" if one.embedded.hemisphere else ""
    statistic = "difference" if one.comparison.is_pair else "spread"
    for name, stat in ({"stat": statistic} | _FILE_NAMES).items():
        if name in one.maps[0].maps:
            values = np.stack([part.maps[name] for part in one.maps], axis=1)
            stem = stat_map_stem(out, one.comparison.label, stat, side)
            names = [part.part.name for part in one.maps]
            content = {"StatisticName": stat, **about}
            write_stat_map(stem, values, one.embedded.region, stat, names=names, about=content)


def _write_record(
    out: Path, prepared: ComparePrepared, embedded: Embedded, mine: Sequence[ComparisonResult], key: str
) -> None:
    contrasts: dict[str, dict[str, NDArray[Any]]] = {}
    null: dict[str, dict[str, NDArray[Any]]] = {}
    for one in mine:
        for part in one.parts:
            place = f"{one.comparison.label}-{part.part.name}"
            contrasts[place] = dict(part.maps)
            null[place] = {str(measure): maxima for measure, maxima in part.null.items()}
        if one.angles is not None:
            contrasts[f"{one.comparison.label}-subspace"]["angles"] = one.angles
    features: dict[str, NDArray[Any]] = {"kept": np.flatnonzero(embedded.voxels)}
    if embedded.region.ijk is not None:
        features["voxel_ijk"] = embedded.region.ijk
    prefix = f"hemi-{embedded.hemisphere}_" if embedded.hemisphere else ""
    write_results(
        out / f"{prefix}results.h5",
        contrasts=contrasts,
        null=null,
        features=features,
        attributes={
            "options": asdict(embedded.study.options),
            "path": embedded.study.path,
            "path_in_words": embedded.choice.words,
            "eig_tol": embedded.study.eig_tol,
            "subjects": list(prepared.groups.ids),
            "groups": list(prepared.groups.labels),
            "covariates": list(prepared.groups.covariate_names),
            "errors": {
                one.comparison.label: {
                    "estimated": one.blocks.worst.tolist(),
                    "verified": one.verified.maps.tolist(),
                    "verified_numbers": dict(zip(SCALARS, one.verified.numbers.tolist(), strict=True)),
                    "n_exact": one.blocks.n_exact,
                }
                for one in mine
            },
        },
        key=key,
    )
