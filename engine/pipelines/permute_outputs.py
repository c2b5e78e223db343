"""Files of a permutation test: maps or a table of each contrast, results.h5, peaks.tsv, summary.tsv."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thalgpu.engine.inference.corrections import monte_carlo_interval
from thalgpu.engine.inference.finish import ContrastResult
from thalgpu.engine.inference.null_maxima import Measure
from thalgpu.engine.inference.peaks import PEAK_COLUMNS, Findings, Places, peaks_table
from thalgpu.engine.inputs.model import LEFT, RIGHT, CiftiGrid, Region
from thalgpu.engine.inputs.subject_maps import SubjectMaps
from thalgpu.engine.outputs.atomic import disk_errors
from thalgpu.engine.outputs.inference_results import write_results
from thalgpu.engine.outputs.sidecars import hashed_inputs, write_table
from thalgpu.engine.outputs.stat_maps import stat_map_stem, write_result_table, write_stat_map
from thalgpu.engine.pipelines.permute_meshes import feature_coordinates
from thalgpu.engine.pipelines.permute_prepare import PermutePrepared
from thalgpu.engine.pipelines.permute_request import PermuteRequest
from thalgpu.engine.report.permute_page import ALPHA

DECIDING: tuple[Measure, ...] = ("tfce", "cluster_mass", "cluster_extent", "stat")
"""The first of these that was asked for says what is significant."""

_RESULTS = ("*_statmap.*", "*results.h5", "*results.tsv", "peaks.tsv", "summary.tsv", "report.html")

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
    "cluster_extent": "clusterextent",
    "p_fwe_cluster_extent": "clusterextentpfwe",
    "p_fwe_joint_cluster_extent": "clusterextentpfwejoint",
    "cluster_mass": "clustermass",
    "p_fwe_cluster_mass": "clustermasspfwe",
    "p_fwe_joint_cluster_mass": "clustermasspfwejoint",
    "estimate": "estimate",
    "hedges_g": "hedgesg",
    "partial_r": "partialr",
    "partial_eta_squared": "partialetasq",
}
"""Maps that become files, and what stands after `stat-`; confidence limits are in results.h5 only."""


@dataclass(frozen=True)
class PartResult:
    """One contrast on one part: the part's own stretch of every map and its own null maxima.

    Attributes
    ----------
    number : of the part.
    maps_of : what the subjects' maps of this part are.
    result : of the contrast, on all parts.
    maps, null : of this part: (n_features,) each, and (n_perm,) each.
    deciding : the measure that says what is significant.
    p_low, p_high : (n_features,) 95 % Monte-Carlo limits of the deciding corrected p; None where p is not counted.
    peaks : rows of peaks.tsv.
    """

    number: int
    maps_of: SubjectMaps
    result: ContrastResult
    maps: dict[str, NDArray[np.float64]]
    null: dict[Measure, NDArray[np.float64]]
    deciding: Measure
    p_low: NDArray[np.float64] | None
    p_high: NDArray[np.float64] | None
    peaks: list[dict[str, Any]]

    @property
    def p_name(self) -> str:
        """Name of the deciding corrected p in `maps`."""
        return corrected_name(self.deciding)

    @property
    def p(self) -> NDArray[np.float64]:
        """(n_features,) the deciding corrected p."""
        return self.maps[self.p_name]


def split_results(
    request: PermuteRequest, prepared: PermutePrepared, results: Sequence[ContrastResult]
) -> list[PartResult]:
    """Each contrast on each part, with its clusters of significant features."""
    numbers = range(len(prepared.problem.parts))
    coordinates = [
        None if maps.space is None else feature_coordinates(maps.space, request.surface) for maps in prepared.maps
    ]
    return [_part_result(prepared, result, number, coordinates[number]) for result in results for number in numbers]


def write_outputs(
    request: PermuteRequest, prepared: PermutePrepared, found: Sequence[PartResult], key: str
) -> set[Path]:
    """Everything but the report; returns the files."""
    out = request.out
    written = {out / "peaks.tsv", out / "summary.tsv"}
    for number, maps in enumerate(prepared.maps):
        mine = [one for one in found if one.number == number]
        written.add(_write_record(request, prepared, mine, maps, key))
        if maps.space is None:
            written.add(_write_table(out, mine, maps))
        else:
            for one in mine:
                written.update(_write_images(out, prepared, one))
    write_table(out / "peaks.tsv", PEAK_COLUMNS, [row for one in found for row in one.peaks])
    summary = [summary_row(one) for one in found]
    write_table(out / "summary.tsv", list(summary[0]), summary)
    return written


def remove_results(out: Path, but: Collection[Path] = ()) -> None:
    """Remove what an earlier test, or an earlier run of this one, left in the folder."""
    with disk_errors(out):
        for pattern in _RESULTS:
            for path in out.glob(pattern):
                if path not in but:
                    path.unlink(missing_ok=True)


def summary_row(one: PartResult) -> dict[str, Any]:
    """One contrast on one part in a line."""
    best = int(np.argmin(one.p))
    stat = one.maps["stat"]
    *tested, error = one.result.degrees or (None,)
    return {
        "contrast": one.result.contrast.name,
        "map": one.maps_of.name or None,
        "statistic": one.result.statistic,
        "df1": tested[0] if tested else None,
        "df": error,
        "n_features": len(stat),
        "largest": float(stat.max()),
        "smallest": float(stat.min()),
        "by": one.p_name,
        "n_significant": int((one.p <= ALPHA).sum()),
        "smallest_p": float(one.p[best]),
        "p_low": None if one.p_low is None else float(one.p_low[best]),
        "p_high": None if one.p_high is None else float(one.p_high[best]),
        "n_clusters": len(one.peaks),
        "n_perm": one.result.n_perm,
    }


def _part_result(
    prepared: PermutePrepared, result: ContrastResult, number: int, coordinates: NDArray[np.float64] | None
) -> PartResult:
    part, maps_of = prepared.problem.parts[number], prepared.maps[number]
    maps = {name: values[part.start : part.stop] for name, values in result.maps.items()}
    null = {measure: maxima[number] for measure, maxima in result.null.items()}
    deciding = next(measure for measure in DECIDING if measure in null)
    p = maps[corrected_name(deciding)]
    low, high = _interval(prepared, p, result.n_perm)
    effect, effect_low, effect_high = (maps[f"{result.effect}{ending}"] for ending in ("", "_low", "_high"))
    findings = Findings(
        maps["stat"], p, corrected_name(deciding), low, high, effect, effect_low, effect_high, result.effect
    )
    places = _places(prepared, number, deciding, coordinates)
    peaks = peaks_table(result.contrast.name, maps_of.name, findings, places, alpha=ALPHA)
    return PartResult(number, maps_of, result, maps, null, deciding, low, high, peaks)


def corrected_name(measure: Measure) -> str:
    """Name of a measure's corrected p among the maps."""
    return "p_fwe" if measure == "stat" else f"p_fwe_{measure}"


def _interval(
    prepared: PermutePrepared, p: NDArray[np.float64], n_perm: int
) -> tuple[NDArray[np.float64] | None, NDArray[np.float64] | None]:
    """Monte-Carlo limits of counted p-values; those that are fitted, or stopped early, have none of this kind."""
    options = prepared.problem.options
    if options.tail != "none" or options.stop_after:
        return None, None
    counts = np.rint(p * n_perm).astype(np.int64)
    return monte_carlo_interval(counts, n_perm, exhaustive=prepared.problem.permutations.source == "exhaustive")


def _places(
    prepared: PermutePrepared, number: int, deciding: Measure, coordinates: NDArray[np.float64] | None
) -> Places:
    """Where a part's features are; they touch as they did in what says what is significant."""
    maps, nuclei = prepared.maps[number], prepared.atlas[number]
    if maps.space is None:
        return Places(names=maps.feature_names or None)
    sides = {LEFT: "L", RIGHT: "R"}
    names = None
    if nuclei is not None:
        names = [nuclei.names[which] if which >= 0 else None for which in nuclei.nucleus.tolist()]
    problem = prepared.problem
    touching = problem.cluster_neighbours if deciding.startswith("cluster") else problem.neighbours
    return Places(
        neighbours=touching[number],
        coordinates=coordinates,
        unit_size=unit_size(maps.space, prepared.vertex_areas),
        hemispheres=[sides.get(side) for side in maps.space.hemisphere.tolist()],
        names=names,
    )


def _write_record(
    request: PermuteRequest, prepared: PermutePrepared, mine: Sequence[PartResult], maps: SubjectMaps, key: str
) -> Path:
    features: dict[str, NDArray[Any]] = {"kept": maps.kept}
    if maps.space is not None and maps.space.ijk is not None:
        features["voxel_ijk"] = maps.space.ijk
    permutations = None
    if request.save_permutations:
        rows, signs = prepared.problem.permutations.rows(0, mine[0].result.n_perm)
        signed = (rows + 1) * (1 if signs is None else signs.astype(np.int32))
        permutations = {one.result.contrast.label: signed for one in mine}
    path = request.out / f"{maps.name}{'_' if maps.name else ''}results.h5"
    write_results(
        path,
        contrasts={one.result.contrast.label: one.maps for one in mine},
        null={
            one.result.contrast.label: {str(measure): maxima for measure, maxima in one.null.items()} for one in mine
        },
        permutations=permutations,
        features=features,
        attributes=_about_all(prepared, mine),
        key=key,
    )
    return path


def _about_all(prepared: PermutePrepared, mine: Sequence[PartResult]) -> dict[str, Any]:
    design = prepared.problem.design
    return {
        "options": asdict(prepared.problem.options),
        "n_perm": mine[0].result.n_perm,
        "permutations": prepared.problem.permutations.description,
        "subjects": list(design.ids or ()),
        "columns": list(design.columns),
        "design": design.matrix.tolist(),
        "contrasts": {one.result.contrast.label: _about_contrast(one.result) for one in mine},
        "inputs": hashed_inputs(prepared.sha256),
    }


def _about_contrast(result: ContrastResult) -> dict[str, Any]:
    contrast = result.contrast
    return {
        "Name": contrast.name,
        "Weights": contrast.weights.tolist(),
        "Statistic": result.statistic,
        "DegreesOfFreedom": list(result.degrees),
    }


def _write_table(out: Path, mine: Sequence[PartResult], maps: SubjectMaps) -> Path:
    names = maps.feature_names or tuple(f"feature {position + 1}" for position in maps.kept.tolist())
    columns = {f"{one.result.contrast.label}_{stat}": values for one in mine for stat, values in _named_maps(one)}
    path = out / f"{maps.name}{'_' if maps.name else ''}results.tsv"
    write_result_table(path, names, columns)
    return path


def _write_images(out: Path, prepared: PermutePrepared, one: PartResult) -> Iterator[Path]:
    space = one.maps_of.space
    assert space is not None
    about = _about_contrast(one.result) | {
        "Permutations": one.result.n_perm,
        "PermutationsInWords": prepared.problem.permutations.description,
        "Options": asdict(prepared.problem.options),
        "Subjects": len(prepared.problem.design.matrix),
        "Columns": list(prepared.problem.design.columns),
        "Features": len(one.maps["stat"]),
    }
    for stat, values in _named_maps(one):
        stem = stat_map_stem(out, one.result.contrast.label, stat, one.maps_of.name)
        named = {"StatisticName": stat, **about}
        yield from write_stat_map(stem, values, space, stat, degrees=one.result.degrees, about=named)


def _named_maps(one: PartResult) -> Iterator[tuple[str, NDArray[np.float64]]]:
    """What becomes a file, under the name in it."""
    yield one.result.statistic, one.maps["stat"]
    for name, stat in _FILE_NAMES.items():
        if name in one.maps:
            yield stat, one.maps[name]


def unit_size(space: Region, vertex_areas: bool) -> float | None:
    """What a size of 1 measures: mm³ of a voxel, mm² on a surface whose vertices have areas; None for a count."""
    if space.ijk is None:
        return 1.0 if vertex_areas else None
    image: Any = space.grid.axis if isinstance(space.grid, CiftiGrid) else space.grid
    affine = np.array(image.affine)
    return float(abs(np.linalg.det(affine[:3, :3])))
