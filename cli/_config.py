"""`--config FILE.toml`: defaults of a command's options, below the environment and the command line."""

import tomllib
from pathlib import Path
from typing import Annotated, Any

import typer

from thalgpu.errors import InputError


def _load(context: typer.Context, path: Path | None) -> Path | None:
    """Put the file's values under the command's other sources of options."""
    if path is not None:
        parameters = {str(parameter.name): parameter for parameter in context.command.params}
        values = _read(path, str(context.info_name), set(parameters))
        for name, value in values.items():
            several = getattr(parameters[name], "multiple", False) or parameters[name].nargs != 1
            if isinstance(value, list) and not several:
                values[name] = ",".join(map(str, value))  # as the command line spells several names
        context.default_map = {**(context.default_map or {}), **values}
    return path


def _read(path: Path, command: str, names: set[str]) -> dict[str, Any]:
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise InputError(path, f"cannot be read: {error.strerror}", remedy="give a TOML file") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(
            path, f"is not TOML: {error}", remedy='write lines such as n_perm = 5000, text in "…"'
        ) from error
    values = document.get(command, {name: value for name, value in document.items() if not isinstance(value, dict)})
    if not isinstance(values, dict):
        raise InputError(path, f"{command} is not a table", at=command, remedy=f"write [{command}] above its options")
    found = {name.replace("-", "_").lower(): value for name, value in values.items()}
    for name in found:
        if name not in names:
            raise InputError(path, "is not an option of this command", at=name, remedy=f"see thalgpu {command} --help")
    return found


ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", help="TOML file with options; flags and environment win.", callback=_load, is_eager=True),
]
