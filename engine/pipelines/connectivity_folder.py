"""The output folder of a connectivity run: one set of options and seeds, and nothing out of date."""

from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from thalgpu.engine.config import config_key
from thalgpu.engine.inputs.region_files import absolute_argument
from thalgpu.engine.inputs.region_parts import region_key
from thalgpu.engine.outputs.sidecars import write_dataset_files, write_toml
from thalgpu.engine.pipelines.connectivity_prepare import ConnectivityPrepared, ConnectivityRequest
from thalgpu.engine.pipelines.connectivity_seeds import parse_seed
from thalgpu.engine.pipelines.connectivity_tables import NAMES
from thalgpu.engine.pipelines.out_folder import (
    cleaning_options,
    file_options,
    input_options,
    remove_outdated,
    require_same_options,
)

_MAPS = ("sub-*/func/*_seed-*_stat-fisherz_boldmap.*", "sub-*/func/*_stat-fisherz_boldmap.json")


def claim_folder(request: ConnectivityRequest, prepared: ConnectivityPrepared) -> None:
    """Refuse to mix results of different options, regions or seeds, or of several commands, in one folder."""
    keys = _region_keys(prepared)
    # a region that is found by vote may change with the list, and then all is computed anew
    named = {"thalamus": request.thalamus, "cortex": request.cortex, "atlas": request.atlas, "nuclei": request.nuclei}
    words = {name: f"another {name}, {text}" for name, text in named.items() if text}
    require_same_options(
        request.out,
        "connectivity",
        results="sub-*/func/*_connectivity.h5",
        overwrite=request.overwrite,
        names=[*asdict(request.cleaning), "min_coverage", "maps"],
        now=_shaping(request, prepared),
        regions={name: (keys[name], text) for name, text in {**words, "seeds": "other seeds"}.items()},
        replaced=(*_MAPS, *(f"{name}.tsv" for name in NAMES), "report.html"),
    )


def write_folder_files(request: ConnectivityRequest, prepared: ConnectivityPrepared) -> None:
    """What makes the folder a BIDS derivative, and the resolved options with the regions' identities."""
    write_dataset_files(request.out, name="seed connectivity", ignored=[f"{name}.tsv" for name in NAMES])
    config = {"connectivity": resolved_options(request, prepared), "regions": _region_keys(prepared)}
    write_toml(request.out / "config.toml", config)


def resolved_options(request: ConnectivityRequest, prepared: ConnectivityPrepared) -> dict[str, Any]:
    """Every option with its final value under its name on the command line, as `--config` reads it; paths absolute."""
    seeds = [f"{name}={absolute_argument(text)}" for name, text in map(parse_seed, request.seed)]
    return (
        input_options(request)
        | file_options({"nuclei": request.nuclei, "atlas": request.atlas})
        | ({"seed": seeds} if seeds else {})
        | _shaping(request, prepared)
        | {"matrix": request.matrix}
    )


def remove_outdated_maps(out: Path, current: Iterable[Path]) -> list[str]:
    """Remove maps that are not this run's, and tell whose; each subject's record stays."""
    return [
        f"{subject}: maps of an earlier run were removed; its own record stays"
        for subject in remove_outdated(out, current, _MAPS)
    ]


def _shaping(request: ConnectivityRequest, prepared: ConnectivityPrepared) -> dict[str, Any]:
    own = {"min_coverage": request.min_coverage, "maps": prepared.writes_maps}
    return cleaning_options(request.cleaning) | own


def _region_keys(prepared: ConnectivityPrepared) -> dict[str, str]:
    """SHA-256 of the regions; that of the seeds is of their names, and of layers that no vote decides."""
    own = [region_key(layer) for layer in prepared.seeds.layers if layer.source != prepared.thalamus.source]
    return {
        "thalamus": region_key(prepared.thalamus),
        "cortex": region_key(prepared.cortex),
        **({"atlas": region_key(prepared.atlas)} if prepared.atlas else {}),
        **({"nuclei": region_key(prepared.nuclei)} if prepared.nuclei else {}),
        "seeds": config_key(list(prepared.seeds.names), own),
    }
