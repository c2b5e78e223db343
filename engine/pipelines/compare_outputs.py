"""Files of a comparison: maps of each pair and component, numbers of each component, results.h5, peaks, summary."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thalgpu.engine.comparison.statistics import SCALARS
from thalgpu.engine.inference.peaks import PEAK_COLUMNS
from thalgpu.engine.outputs.inference_results import write_results
from thalgpu.engine.outputs.sidecars import write_table
from thalgpu.engine.outputs.stat_maps import stat_map_stem, write_stat_map
from thalgpu.engine.pipelines.compare_prepare import ComparePrepared, Embedded
from thalgpu.engine.pipelines.compare_request import CompareRequest
from thalgpu.engine.pipelines.compare_tables import (
    ComparisonResult,
    angle_rows,
    number_rows,
    peaks_of,
    summary_rows,
)

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
