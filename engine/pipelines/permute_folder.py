"""The output folder of a permutation test: that it holds one test, and what was asked for."""

import tomllib
from dataclasses import asdict
from pathlib import Path
from typing import Any

from thalgpu.engine.inputs.map_neighbours import mesh_files
from thalgpu.engine.inputs.region_files import absolute_argument
from thalgpu.engine.outputs.sidecars import write_dataset_files, write_toml
from thalgpu.engine.pipelines.permute_outputs import remove_results
from thalgpu.engine.pipelines.permute_request import PermuteRequest
from thalgpu.errors import InputError, UsageError

_FILES = ("design", "contrasts", "f_tests", "permutations")
_ARGUMENTS = ("mask", "atlas")
_FILES_WITHOUT_FORMULA = ("blocks", "variance_groups")
_NOT_OPTIONS = ("maps", "options", "out", "workers", "memory", "gpus", "overwrite")


def claim_folder(request: PermuteRequest, key: str) -> None:
    """Make sure that the folder's results, if it has some, are of this test.

    Results of another one are removed where they may be replaced, before anything says that they are of this test.

    Raises
    ------
    UsageError
        The folder holds another test, or the results of another command.
    InputError
        Nobody knows what it holds.
    """
    path = request.out / "config.toml"
    if not path.exists():
        return
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
        found = document["test"]["key"] if "permute" in document else None
    except (OSError, ValueError, KeyError, TypeError) as error:
        if not request.overwrite:
            raise InputError(
                path,
                "cannot be read, so that nobody knows what was tested here",
                remedy="--overwrite, or another --out",
            ) from error
        found = ""
    if found is None:
        raise UsageError(f"{request.out} holds results of another command", remedy="choose another --out")
    if found == key:
        return
    if not request.overwrite:
        raise UsageError(
            f"{request.out} holds another test: other maps, subjects, design or options",
            remedy="choose another --out, or --overwrite to replace it",
        )
    remove_results(request.out)


def write_folder_files(request: PermuteRequest, key: str) -> None:
    """What makes the folder a BIDS derivative, and the resolved options with the test's identity."""
    write_dataset_files(request.out, name="permutation inference")
    write_toml(request.out / "config.toml", {"permute": resolved_options(request), "test": {"key": key}})


def resolved_options(request: PermuteRequest) -> dict[str, Any]:
    """The maps and every option under its name on the command line, as `--config` reads them; paths absolute."""
    options = asdict(request) | asdict(request.options)
    for name in _NOT_OPTIONS:
        options.pop(name)
    for name in (*_FILES, *(_FILES_WITHOUT_FORMULA if request.formula is None else ())):
        if options[name] is not None:
            options[name] = str(Path(options[name]).absolute())
    for name in _ARGUMENTS:
        if options[name] is not None:
            options[name] = absolute_argument(options[name])
    options = {"maps": [str(path.absolute()) for path in request.maps]} | options
    if request.surface is not None:
        options["surface"] = ",".join(str(path.absolute()) for path in mesh_files(request.surface))
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in options.items()
        if value is not None and value != ()
    }
