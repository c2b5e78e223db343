"""The output folder of a comparison: that it holds one, and what was asked for."""

from dataclasses import asdict
from typing import Any

from thalgpu.engine.outputs.sidecars import write_dataset_files, write_toml
from thalgpu.engine.pipelines.claims import claim
from thalgpu.engine.pipelines.compare_outputs import remove_results
from thalgpu.engine.pipelines.compare_request import CompareRequest

_OWN = ("group", "covariates", "blocks", "whole", "missing", "path", "eig_tol", "tfce_connectivity")
_INFERENCE = ("n_perm", "seed", "tfce", "tfce_grid", "tfce_h", "tfce_e")


def claim_folder(request: CompareRequest, key: str) -> None:
    """Make sure that the folder's results, if it has some, are of this comparison; see `claims.claim`."""
    claim(request.out, key, command="compare", overwrite=request.overwrite, remove=remove_results)


def write_folder_files(request: CompareRequest, key: str) -> None:
    """What makes the folder a BIDS derivative, and the resolved options with the comparison's identity."""
    write_dataset_files(request.out, name="comparison of group gradients", ignored=["*.tsv"])
    write_toml(request.out / "config.toml", {"compare": resolved_options(request), "test": {"key": key}})


def resolved_options(request: CompareRequest) -> dict[str, Any]:
    """Every option with its value under its name on the command line, as `--config` reads it; paths absolute."""
    options: dict[str, Any] = {
        "gradients": str(request.gradients.absolute()),
        "design": str(request.design.absolute()),
    }
    options |= {name: value for name, value in asdict(request).items() if name in _OWN}
    options |= {name: value for name, value in asdict(request.options).items() if name in _INFERENCE}
    return {
        name: ",".join(value) if isinstance(value, tuple) else value
        for name, value in options.items()
        if value is not None and value != ()
    }
