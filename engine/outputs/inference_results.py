"""`results.h5` of a permutation test: statistics and p-values of every contrast, and the null maxima."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thalgpu.engine.outputs.store import write_record

Arrays = Mapping[str, NDArray[Any]]


def write_results(
    path: Path,
    *,
    contrasts: Mapping[str, Arrays],
    null: Mapping[str, Arrays],
    permutations: Arrays | None = None,
    features: Arrays | None = None,
    attributes: Mapping[str, Any],
    key: str,
) -> str:
    """Write all results of one set of maps as a write-once record, which `read_record` verifies.

    Parameters
    ----------
    path : the file, `results.h5`.
    contrasts : contrast → `stat`, `p`, `p_fwe`, `p_fdr`, `tfce` … → (n_features,) in the order of the maps' features.
    null : contrast → `stat`, `tfce`, `cluster_extent` … → (n_perm,) maxima, the identity first, in the scale that was
        maximised.
    permutations : contrast → (n_perm, n_rows) whole numbers; None leaves them out.
    features : where the features lie: `kept`, (n_features,) int64 positions among those of the source, and `voxel_ijk`,
        (n_features, 3) int32; None for nothing.
    attributes : what the test was made from, as text or anything that JSON can say.
    key : identity of it all, as `thalgpu.engine.config.config_key` gives it.

    Returns
    -------
    The SHA-256 (hex) of the content.

    Raises
    ------
    ResourceError
        When the file cannot be written.
    ThalgpuError
        When a number is NaN or Inf: no such number may leave the engine.

    Notes
    -----
    The datasets are `contrasts/C/stat` and so on. A contrast that HDF5 has no name for is escaped as in web addresses:
    "a/2 - b" becomes "a%2F2 - b".
    """
    groups = {"contrasts": contrasts, "null": null}
    datasets = {
        f"{group}/{group_name(contrast)}/{name}": array
        for group, of_contrasts in groups.items()
        for contrast, arrays in of_contrasts.items()
        for name, array in arrays.items()
    }
    for contrast, rows in (permutations or {}).items():
        datasets[f"permutations/{group_name(contrast)}"] = rows.astype(np.int32)
    datasets |= {f"features/{name}": array for name, array in (features or {}).items()}
    return write_record(path, datasets, attributes, key=key)


def group_name(contrast: str) -> str:
    """A contrast's name as HDF5 can have it: `%`, `/` and NUL escaped, and names of nothing but dots."""
    escaped = contrast.replace("%", "%25").replace("/", "%2F").replace("\0", "%00")
    return escaped.replace(".", "%2E") if not escaped.strip(".") else escaped
