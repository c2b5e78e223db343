"""The output folder: that it holds one set of options, and that nothing in it is out of date."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from thalgpu.engine.config import CleaningOptions
from thalgpu.engine.inputs.region_files import absolute_argument
from thalgpu.engine.inputs.region_parts import region_key
from thalgpu.engine.inputs.toml_files import read_toml
from thalgpu.engine.outputs.atomic import disk_errors
from thalgpu.engine.outputs.sidecars import write_dataset_files as write_bids_files
from thalgpu.engine.outputs.sidecars import write_toml
from thalgpu.engine.pipelines.claims import is_of_another
from thalgpu.engine.pipelines.group_stage import POOLS
from thalgpu.engine.pipelines.prepare import GradientsRequest, Prepared
from thalgpu.engine.pipelines.scans_request import ScansRequest
from thalgpu.errors import InputError, UsageError

_TEMPLATE_BOUND = (
    "sub-*/func/*seg-thalamus*_stat-*_boldmap.*",
    "sub-*/func/*seg-thalamus_desc-aligned_gradients.h5",
    "group/*seg-thalamus_desc-template_stat-gradients_boldmap.*",
    "group/*gradients.h5",
)
"""Outputs that a change of the template, or of the hemispheres, makes obsolete."""

_OF_ALL = ("group/summary.tsv", "group/trend_surface.tsv", "report.html")


def check_same_options(request: GradientsRequest, prepared: Prepared) -> None:
    """Refuse to mix results of different options or regions in one folder; UsageError that names what differs."""
    # a region that is found by vote may change with the list, and then all is computed anew
    named = {"thalamus": request.thalamus, "cortex": request.cortex}
    keys = region_keys(prepared)
    require_same_options(
        request.out,
        "gradients",
        results="sub-*/func/*_gradients.h5",
        overwrite=request.overwrite,
        names=asdict(request.options) | asdict(request.cleaning),
        now=shaping_options(request),
        regions={name: (keys[name], f"another {name}, {text}") for name, text in named.items() if text},
        replaced=(*_TEMPLATE_BOUND, *_OF_ALL),
    )


def require_same_options(
    out: Path,
    command: str,
    *,
    results: str,
    overwrite: bool,
    names: Iterable[str],
    now: Mapping[str, Any],
    regions: Mapping[str, tuple[str, str]],
    replaced: Iterable[str],
) -> None:
    """Refuse to mix results of different options or regions, or of several commands, in one folder.

    Where they may be replaced, what is made of all subjects is removed before config.toml says that it is of these
    options: a run may end before it is made anew. Subjects' own records tell by their keys what they are of, and stay.

    Parameters
    ----------
    command : that is run, the name of its table in config.toml.
    results : pattern of the files that make a change matter.
    overwrite : whether results of other options may be replaced.
    names, now : options that shape results, and their values.
    regions : name → key, and what to say where the folder has another one.
    replaced : patterns of what is removed.

    Raises
    ------
    UsageError
        That names what differs.
    InputError
        Nobody knows the options of the results.
    """
    path = out / "config.toml"
    document = _read_config(path)
    if is_of_another(document, command):
        raise UsageError(f"{out} holds results of another command", remedy="choose another --out")
    if not path.exists() or not any(out.glob(results)):
        return
    known = command in document and isinstance(document.get("regions"), dict)
    if not known and not overwrite:
        raise InputError(
            path,
            "cannot be read, so that nobody knows the options of these results",
            remedy="--overwrite, or another --out",
        )
    changed = _changes(document[command], document["regions"], names, now, regions) if known else ["settings"]
    if not changed:
        return
    if not overwrite:
        raise UsageError(
            f"{out} holds results of other options: {'; '.join(changed)}",
            remedy="choose another --out, or --overwrite to replace them",
        )
    remove_outdated(out, (), replaced)


def _changes(
    before: Mapping[str, Any],
    keys: Mapping[str, Any],
    names: Iterable[str],
    now: Mapping[str, Any],
    regions: Mapping[str, tuple[str, str]],
) -> list[str]:
    """In words, what differs from the options and the regions' keys of before."""
    changed = [
        f"{name} {before.get(name, 'none')} → {now.get(name, 'none')}"
        for name in names
        if before.get(name) != now.get(name)
    ]
    return changed + [words for name, (key, words) in regions.items() if key != keys.get(name)]


def write_dataset_files(request: GradientsRequest, prepared: Prepared) -> None:
    """What makes the folder a BIDS derivative, and the resolved options with the regions' identities."""
    write_bids_files(request.out, name="thalamocortical gradients")
    config = {"gradients": resolved_options(request), "regions": region_keys(prepared)}
    write_toml(request.out / "config.toml", config)


def remove_outdated(out: Path, current: Iterable[Path], patterns: Iterable[str] = _TEMPLATE_BOUND) -> list[str]:
    """Remove maps and aligned records that are not this run's; each subject's own record stays.

    Parameters
    ----------
    current : every aligned file and map of this run.
    patterns : of the files that may be outdated.

    Returns
    -------
    The subjects concerned, "sub-07" …, in order.
    """
    kept = set(current)
    outdated = [path for pattern in patterns for path in out.glob(pattern) if path not in kept]
    with disk_errors(out):
        for path in outdated:
            path.unlink(missing_ok=True)
    return sorted({path.relative_to(out).parts[0] for path in outdated} - {"group"})


def region_keys(prepared: Prepared) -> dict[str, str]:
    """SHA-256 of the whole thalamus and cortex."""
    return {"thalamus": region_key(prepared.thalamus), "cortex": region_key(prepared.cortex)}


def resolved_options(request: GradientsRequest) -> dict[str, Any]:
    """Every option with its final value under its name on the command line, as `--config` reads it; paths absolute."""
    return input_options(request) | file_options({"nuclei": request.nuclei}) | shaping_options(request)


def input_options(request: ScansRequest) -> dict[str, Any]:
    """What says whose scans and which regions, where it is given; paths absolute."""
    named = {
        "subjects": str(request.subjects.absolute()),
        "derivatives": str(request.derivatives.absolute()) if request.derivatives else None,
        "input_type": request.input_type,
    }
    given = {name: value for name, value in named.items() if value is not None}
    return given | file_options({"thalamus": request.thalamus, "cortex": request.cortex})


def file_options(named: Mapping[str, str | None]) -> dict[str, str]:
    """Options of the form `FILE[:LABELS]`, where they are given, with absolute paths."""
    return {name: absolute_argument(text) for name, text in named.items() if text is not None}


def shaping_options(request: GradientsRequest) -> dict[str, Any]:
    """The options that shape numbers, those without a value left out."""
    options = asdict(request.options)
    if options["template"] not in POOLS:
        options["template"] = str(Path(options["template"]).absolute())
    return plain_options(options) | cleaning_options(request.cleaning)


def cleaning_options(cleaning: CleaningOptions) -> dict[str, Any]:
    """The options of cleaning, as the command line spells them."""
    options = asdict(cleaning)
    confounds = options["confounds"]
    options["confounds"] = confounds if isinstance(confounds, str) else ",".join(confounds)
    return plain_options(options)


def plain_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Those with a value, tuples as lists."""
    return {
        name: list(value) if isinstance(value, tuple) else value for name, value in options.items() if value is not None
    }


def _read_config(path: Path) -> dict[str, Any]:
    """The tables of the folder's config.toml; empty where it is absent or cannot be understood."""
    try:
        document = read_toml(path)
    except InputError:
        return {}
    return {name: table for name, table in document.items() if isinstance(table, dict)}
