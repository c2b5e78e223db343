"""`--config FILE.toml`: defaults of a command's options, below the environment and the command line."""

from pathlib import Path
from typing import Annotated, Any

import typer

from thalgpu.errors import InputError


def _load(context: typer.Context, path: Path | None) -> Path | None:
    """Put the file's values under the command's other sources of options."""
    if path is not None:
        parameters = {str(parameter.name): parameter for parameter in context.command.params}
        values = read_options(path, str(context.info_name), set(parameters))
        for name, value in values.items():
            several = getattr(parameters[name], "multiple", False) or parameters[name].nargs != 1
            if isinstance(value, list) and not several:
                values[name] = ",".join(map(str, value))  # as the command line spells several names
        context.default_map = {**(context.default_map or {}), **values}
    return path


def read_options(path: Path, command: str, names: set[str]) -> dict[str, Any]:
    from thalgpu.engine.inputs.toml_files import read_toml  # here: --help must not load what reads files

    document = read_toml(path)
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
