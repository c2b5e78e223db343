"""Options of one command, read on behalf of another."""

from collections.abc import Callable, Sequence
from typing import Any

import typer
from typer.main import get_command


def options_of(
    function: Callable[..., None], arguments: Sequence[object], *, environment: str | None = None
) -> dict[str, Any]:
    """The values that a command is called with, by name, when it is given these arguments.

    Parameters
    ----------
    function : the command.
    arguments : as on the command line.
    environment : prefix of the variables that stand above a `--config` and below the arguments; None for no variable.
    """
    alone = typer.Typer(add_completion=False)
    alone.command(function.__name__)(function)
    context = get_command(alone).make_context(
        function.__name__, [str(argument) for argument in arguments], auto_envvar_prefix=environment
    )
    return context.params
