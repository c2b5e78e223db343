"""The output folder: that it holds one set of options, and that nothing in it is out of date."""

import tomllib
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from thalgpu.engine.inputs.region_files import absolute_argument
from thalgpu.engine.inputs.region_parts import region_key
from thalgpu.engine.outputs.sidecars import write_dataset_files as write_bids_files
from thalgpu.engine.outputs.sidecars import write_toml
from thalgpu.engine.pipelines.group_stage import POOLS
from thalgpu.engine.pipelines.prepare import GradientsRequest, Prepared
from thalgpu.errors import InputError, UsageError

_TEMPLATE_BOUND = (
    "sub-*/func/*seg-thalamus*_stat-*_boldmap.*",
    "sub-*/func/*seg-thalamus_desc-aligned_gradients.h5",
    "group/*seg-thalamus_desc-template_stat-gradients_boldmap.*",
    "group/*gradients.h5",
)
"""Outputs that a change of the template, or of the hemispheres, makes obsolete."""


def check_same_options(request: GradientsRequest, prepared: Prepared) -> None:
    """Refuse to mix results of different options or regions in one folder; UsageError that names what differs."""
    path = request.out / "config.toml"
    holds_results = path.exists() and any(request.out.glob("sub-*/func/*_gradients.h5"))
    if request.overwrite or not holds_results:
        return
    before, regions = _read_config(path)
    now = shaping_options(request)
    changed = [
        f"{name} {before.get(name, 'none')} → {now.get(name, 'none')}"
        for name in asdict(request.options) | asdict(request.cleaning)
        if before.get(name) != now.get(name)
    ]
    # a region that is found by vote may change with the list, and then all is computed anew
    named = {"thalamus": request.thalamus, "cortex": request.cortex}
    keys = region_keys(prepared)
    changed += [f"another {name}, {text}" for name, text in named.items() if text and keys[name] != regions.get(name)]
    if changed:
        raise UsageError(
            f"{request.out} holds results of other options: {'; '.join(changed)}",
            remedy="choose another --out, or --overwrite to replace them",
        )


def write_dataset_files(request: GradientsRequest, prepared: Prepared) -> None:
    """What makes the folder a BIDS derivative, and the resolved options with the regions' identities."""
    write_bids_files(request.out, name="thalamocortical gradients")
    config = {"gradients": resolved_options(request), "regions": region_keys(prepared)}
    write_toml(request.out / "config.toml", config)


def remove_outdated(out: Path, current: Iterable[Path]) -> list[str]:
    """Remove maps and aligned records that belong to another template than this run's; each subject's own record stays.

    Parameters
    ----------
    current : every aligned file and map of this run.

    Returns
    -------
    The subjects concerned, "sub-07" …, in order.
    """
    kept = set(current)
    outdated = [path for pattern in _TEMPLATE_BOUND for path in out.glob(pattern) if path not in kept]
    for path in outdated:
        path.unlink(missing_ok=True)
    return sorted({path.relative_to(out).parts[0] for path in outdated} - {"group"})


def region_keys(prepared: Prepared) -> dict[str, str]:
    """SHA-256 of the whole thalamus and cortex."""
    return {"thalamus": region_key(prepared.thalamus), "cortex": region_key(prepared.cortex)}


def resolved_options(request: GradientsRequest) -> dict[str, Any]:
    """Every option with its final value under its name on the command line, as `--config` reads it; paths absolute."""
    named = {
        "subjects": str(request.subjects.absolute()),
        "derivatives": str(request.derivatives.absolute()) if request.derivatives else None,
        "input_type": request.input_type,
        "thalamus": absolute_argument(request.thalamus) if request.thalamus else None,
        "cortex": absolute_argument(request.cortex) if request.cortex else None,
        "nuclei": absolute_argument(request.nuclei) if request.nuclei else None,
    }
    return {name: value for name, value in named.items() if value is not None} | shaping_options(request)


def shaping_options(request: GradientsRequest) -> dict[str, Any]:
    """The options that shape numbers, those without a value left out."""
    options = asdict(request.options) | asdict(request.cleaning)
    confounds = options["confounds"]
    options["confounds"] = confounds if isinstance(confounds, str) else ",".join(confounds)
    if options["template"] not in POOLS:
        options["template"] = str(Path(options["template"]).absolute())
    return {
        name: list(value) if isinstance(value, tuple) else value for name, value in options.items() if value is not None
    }


def _read_config(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
        return dict(document["gradients"]), dict(document["regions"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            path,
            "cannot be read, so that nobody knows the options of these results",
            remedy="--overwrite, or another --out",
        ) from error
