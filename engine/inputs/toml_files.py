"""TOML that people write, or that a run left: read whole, or refused with the line of what is wrong."""

import re
import tomllib
from pathlib import Path
from typing import Any

from thalgpu.engine.inputs.text_files import read_text
from thalgpu.errors import InputError

_REMEDY = 'write lines such as n_perm = 5000, text in "…"'


def read_toml(path: Path) -> dict[str, Any]:
    """The document of a TOML file; InputError as `read_text` and `parse_toml`."""
    return parse_toml(read_text(path)[0], path)


def parse_toml(text: str, path: Path) -> dict[str, Any]:
    """The document of a text that `path` holds.

    Raises
    ------
    InputError
        What is not TOML, with its line where it is known; numbers of thousands of digits and arrays within thousands
        of arrays too, which Python's parser answers with errors of other kinds.
    """
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # a TOMLDecodeError is a ValueError
        line = re.search(r"at line (\d+)", str(error))
        said = re.sub(r" \(at .*\)$", "", str(error).split(";")[0])
        reason = "too deeply nested" if isinstance(error, RecursionError) else said
        raise InputError(path, f"not TOML: {reason}", at=int(line[1]) if line else None, remedy=_REMEDY) from error
