"""The output folder of `thalgpu structure`: one set of options, and nothing out of date."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from thalgpu.engine.outputs.sidecars import write_dataset_files, write_toml
from thalgpu.engine.pipelines.out_folder import plain_options, remove_outdated, require_same_options
from thalgpu.engine.pipelines.structure_prepare import StructurePrepared
from thalgpu.engine.pipelines.structure_request import StructureRequest

TABLES = ("volumes", "icv", "thickness", "thickness_area", "shape_qc", "participants")
_SHAPING = ("measures", "icv", "shape_alignment", "smooth", "template_left", "template_right", "s1", "s1_labels")
_OUTDATED = (
    "sub-*/anat/*_stat-displacement.shape.gii",
    "sub-*/anat/*_thickness.shape.gii",
    "group/hemi-*.surf.gii",
    "group/hemi-*.vtk",
    *(f"{name}.tsv" for name in TABLES),
)


def claim_folder(request: StructureRequest, prepared: StructurePrepared) -> None:
    """Refuse to mix results of different options or commands; UsageError that names what differs."""
    require_same_options(
        request.out,
        "structure",
        results="sub-*/anat/*_structure.h5",
        overwrite=request.overwrite,
        names=_SHAPING,
        now=resolved_options(request, prepared),
        regions={},
        replaced=(*_OUTDATED, "report.html"),
    )


def write_folder_files(request: StructureRequest, prepared: StructurePrepared) -> None:
    """What makes the folder a BIDS derivative, and the resolved options."""
    ignored = [*(f"{name}.tsv" for name in TABLES if name != "participants"), "*.shape.gii"]
    write_dataset_files(request.out, name="thalamic structure", ignored=ignored)
    write_toml(request.out / "config.toml", {"structure": resolved_options(request, prepared), "regions": {}})


def remove_others(out: Path, current: Iterable[Path]) -> list[str]:
    """Remove tables, maps and meshes that are not this run's; records stay. The subjects concerned, "sub-07" …"""
    return [who for who in remove_outdated(out, current, _OUTDATED) if who.startswith("sub-")]


def resolved_options(request: StructureRequest, prepared: StructurePrepared) -> dict[str, Any]:
    """Every option with its final value under its name on the command line, as `--config` reads it; paths absolute."""
    files = ("subjects", "freesurfer", "meshes", "template_left", "template_right", "participants")
    named: dict[str, Any] = {name: getattr(request, name) for name in files}
    options = {name: str(Path(value).absolute()) for name, value in named.items() if value is not None}
    labels = request.s1_labels
    return plain_options(
        options
        | {f"{name}_table": _absolute(getattr(request, f"{name}_tables")) for name in ("aseg", "aparc")}
        | {
            "measures": ",".join(prepared.sources),
            "icv": request.icv,
            "shape_alignment": request.shape_alignment,
            "smooth": request.smooth,
            "s1": request.s1,
            "s1_labels": ",".join(_absolute(map(Path, labels.split(","))) or ()) if labels else None,
        }
    )


def _absolute(paths: Iterable[Path]) -> list[str] | None:
    return [str(path.absolute()) for path in paths] or None
