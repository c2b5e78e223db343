"""The output folder of a permutation test: that it holds one test, and what was asked for."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from thalgpu.engine.inputs.map_neighbours import mesh_files
from thalgpu.engine.inputs.region_files import absolute_argument
from thalgpu.engine.outputs.sidecars import write_dataset_files, write_toml
from thalgpu.engine.pipelines.claims import claim
from thalgpu.engine.pipelines.permute_outputs import remove_results
from thalgpu.engine.pipelines.permute_request import PermuteRequest

_FILES = ("design", "contrasts", "f_tests", "permutations")
_ARGUMENTS = ("mask", "atlas")
_FILES_WITHOUT_FORMULA = ("blocks", "variance_groups")
_NOT_OPTIONS = ("maps", "options", "out", "workers", "memory", "gpus", "overwrite", "scheduler", "shard")


def claim_folder(request: PermuteRequest, key: str) -> None:
    """Make sure that the folder's results, if it has some, are of this test; see `claims.claim`."""
    claim(request.out, key, command="permute", overwrite=request.overwrite, remove=remove_results)


def check_folder(request: PermuteRequest, key: str) -> None:
    """UsageError or InputError as `claim_folder`; nothing is removed."""
    claim(request.out, key, command="permute", overwrite=request.overwrite, remove=lambda _: None)


def write_folder_files(request: PermuteRequest, key: str) -> None:
    """What makes the folder a BIDS derivative, and the resolved options with the test's identity."""
    write_dataset_files(request.out, name="permutation inference", ignored=["*.tsv"])
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
