"""The output folder of a permutation test: that it holds one test, and what was asked for."""

import tomllib
from dataclasses import asdict
from typing import Any

from thalgpu.engine.inputs.region_files import absolute_argument
from thalgpu.engine.outputs.sidecars import write_dataset_files, write_toml
from thalgpu.engine.pipelines.permute_request import PermuteRequest
from thalgpu.errors import InputError, UsageError

_FILES = ("design", "contrasts", "f_tests", "permutations")
_NOT_OPTIONS = ("maps", "options", "out", "workers", "memory", "gpus", "overwrite")


def check_same_test(request: PermuteRequest, key: str) -> None:
    """UsageError when the folder holds results, or blocks, of another test, unless they may be replaced."""
    path = request.out / "config.toml"
    if request.overwrite or not path.exists():
        return
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))["test"]["key"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            path, "cannot be read, so that nobody knows what was tested here", remedy="--overwrite, or another --out"
        ) from error
    if found != key:
        raise UsageError(
            f"{request.out} holds another test: other maps, subjects, design or options",
            remedy="choose another --out, or --overwrite to replace it",
        )


def write_folder_files(request: PermuteRequest, key: str) -> None:
    """What makes the folder a BIDS derivative, and the resolved options with the test's identity."""
    write_dataset_files(request.out, name="permutation inference")
    config = {"permute": resolved_options(request), "test": {"key": key, "maps": [str(path) for path in request.maps]}}
    write_toml(request.out / "config.toml", config)


def resolved_options(request: PermuteRequest) -> dict[str, Any]:
    """Every option with its value under its name on the command line, as `--config` reads it; paths absolute."""
    options = asdict(request) | asdict(request.options)
    for name in _NOT_OPTIONS:
        options.pop(name)
    for name in _FILES:
        if options[name] is not None:
            options[name] = str(options[name].absolute())
    for name in ("mask", "atlas"):
        if options[name] is not None:
            options[name] = absolute_argument(options[name])
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in options.items()
        if value is not None and value != ()
    }
