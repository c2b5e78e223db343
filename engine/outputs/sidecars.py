"""Text beside the results: JSON sidecars, the BIDS derivative's own files, the resolved options, tables.

None of it holds a time, a host or a folder, so that a repeated run writes the same bytes.
"""

import json
import math
import platform
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from numbers import Integral, Real
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thalgpu import __version__
from thalgpu.engine.outputs.atomic import write_text
from thalgpu.errors import ThalgpuError

BIDS_VERSION = "1.10.0"
_BIDSIGNORE = (
    *("config.toml", "logs/", "report.html", "*.h5", "*_boldmap.*", "*_statmap.*"),
    *("group", "blocks", "subjects.tsv", "excluded.tsv"),  # without a slash: the validator also names the folder itself
)
_LIBRARIES = ("numpy", "scipy", "h5py", "nibabel")


def write_sidecar(path: Path, content: Mapping[str, Any]) -> None:
    """Write JSON for people: indented, in the order given, UTF-8, with the versions of what made it at the end.

    Raises
    ------
    ResourceError
        When the file cannot be written.
    ThalgpuError
        When a number is NaN or Inf: no such number may leave the engine.
    """
    _write_json(path, {**content, "SoftwareVersions": software_versions()})


def software_versions() -> dict[str, str]:
    """Versions of thalgpu, Python and the libraries that decide numbers; of CuPy where it is in use."""
    in_use = (*_LIBRARIES, *(("cupy",) if "cupy" in sys.modules else ()))
    found = {name: str(sys.modules[name].__version__) if name in sys.modules else version(name) for name in in_use}
    return {"thalgpu": __version__, "python": platform.python_version(), **found}


def hashed_inputs(sha256: Mapping[Path, str]) -> list[dict[str, str]]:
    """Input files by base name with their SHA-256; a list, because two folders may hold files of one name."""
    return [{"File": path.name, "SHA256": digest} for path, digest in sha256.items()]


def write_dataset_files(out: Path, *, name: str, ignored: Sequence[str] = ()) -> None:
    """Write dataset_description.json (a BIDS derivative called `name`) and .bidsignore, with what is `ignored` more."""
    description = {
        "Name": name,
        "BIDSVersion": BIDS_VERSION,
        "DatasetType": "derivative",
        "GeneratedBy": [{"Name": "thalgpu", "Version": __version__}],
    }
    _write_json(out / "dataset_description.json", description)
    write_text(out / ".bidsignore", "\n".join([*_BIDSIGNORE, *ignored]) + "\n")


def write_toml(path: Path, options: Mapping[str, Any]) -> None:
    """Write options as TOML: plain values first, then one table for each mapping; None is left out.

    Values are text, booleans, finite numbers, and lists or tuples of them.
    """
    tables = {name: value for name, value in options.items() if isinstance(value, Mapping)}
    plain = {name: value for name, value in options.items() if name not in tables}
    blocks = [_toml_lines(plain), *(f"[{_toml_key(name)}]\n{_toml_lines(table)}" for name, table in tables.items())]
    write_text(path, "\n".join(block for block in blocks if block))


def write_table(path: Path, columns: Sequence[str], rows: Sequence[Mapping[str, object]]) -> None:
    """Write a BIDS table: tab-separated, a header, `n/a` where a value is None or missing, numbers to 8 digits.

    Parameters
    ----------
    columns : names, in order.
    rows : column → text, number, boolean or None; other keys are an error.

    Raises
    ------
    ResourceError
        When the file cannot be written.
    ThalgpuError
        When a number is NaN or Inf.
    """
    unknown = {name for row in rows for name in row} - set(columns)
    if unknown:
        raise ValueError(f"no columns are called {sorted(unknown)}")
    lines = [columns, *([_cell(row.get(name), path, name) for name in columns] for row in rows)]
    write_text(path, "".join("\t".join(line) + "\n" for line in lines))


def write_measures(
    path: Path, participants: Sequence[str], columns: Sequence[str], values: NDArray[np.float64]
) -> None:
    """Write a table of `participant_id` and numbers, for tens of thousands of columns; numbers to 8 digits.

    Parameters
    ----------
    participants : (n_subjects,) without "sub-".
    columns : (n_columns,) names.
    values : (n_subjects, n_columns).

    Raises
    ------
    ResourceError, ThalgpuError
        As `write_table`.
    """
    if not np.isfinite(values).all():
        raise ThalgpuError("a table holds NaN or Inf and is not written", where=str(path))
    rows = [
        "\t".join((f"sub-{participant}", *map("{:.8g}".format, row.tolist())))
        for participant, row in zip(participants, values, strict=True)
    ]
    write_text(path, "\n".join(("\t".join(("participant_id", *columns)), *rows)) + "\n")


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    try:
        text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False)
    except ValueError as error:
        raise ThalgpuError("a sidecar holds NaN or Inf and is not written", where=str(path)) from error
    write_text(path, text + "\n")


def _toml_lines(table: Mapping[str, Any]) -> str:
    return "".join(f"{_toml_key(name)} = {_toml(value)}\n" for name, value in table.items() if value is not None)


def _toml_key(name: str) -> str:
    bare = name.isascii() and name.replace("-", "").replace("_", "").isalnum()
    return name if bare else _toml(name)


def _toml(value: object) -> str:
    match value:
        case bool():
            return str(value).lower()
        case int():
            return str(value)
        case float() if math.isfinite(value):
            return repr(value)
        case str() | Path():
            # JSON's escapes are TOML's, but for DEL, which JSON leaves as it is.
            return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")
        case list() | tuple():
            return f"[{', '.join(_toml(one) for one in value)}]"
    raise ValueError(f"{value!r} has no place in the options")


def _cell(value: object, path: Path, column: str) -> str:
    match value:
        case None:
            return "n/a"
        case Integral():  # bool too: true and false
            return str(value).lower()
        case Real():
            if not math.isfinite(value):
                raise ThalgpuError("a table holds NaN or Inf and is not written", where=f"{path}:{column}")
            return f"{float(value):.8g}"
    return " ".join(str(value).split()) or "n/a"
