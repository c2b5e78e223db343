"""An output folder holds the results of one test."""

from collections.abc import Callable, Collection
from pathlib import Path

from thalgpu.engine.inputs.toml_files import read_toml
from thalgpu.errors import InputError, UsageError

_COMMANDS = frozenset({"gradients", "structure", "connectivity", "permute", "compare", "study"})


def is_of_another(settings: Collection[str], command: str) -> bool:
    """Whether the tables of a config.toml are those of another command; those of none are damaged."""
    return command not in settings and not _COMMANDS.isdisjoint(settings)


def claim(out: Path, key: str, *, command: str, overwrite: bool, remove: Callable[[Path], None]) -> None:
    """Make sure that the folder's results, if it has some, are those of a test.

    Results of another one are removed where they may be replaced, before anything says that they are of this test.

    Parameters
    ----------
    out : the folder; config.toml says what it holds.
    key : identity of the test.
    command : that is run, the name of its table in config.toml.
    overwrite : whether another test of the same command may be replaced.
    remove : removes its results.

    Raises
    ------
    UsageError
        The folder holds another test, or the results of another command.
    InputError
        Nobody knows what it holds.
    """
    path = out / "config.toml"
    if not path.exists():
        return
    try:
        document = read_toml(path)
        if is_of_another(document, command):
            raise UsageError(f"{out} holds results of another command", remedy="choose another --out")
        _, found = document[command], document["test"]["key"]
    except (InputError, KeyError, TypeError) as error:
        if not overwrite:
            raise InputError(
                path,
                "cannot be read, so that nobody knows what was tested here",
                remedy="--overwrite, or another --out",
            ) from error
        found = ""
    if found == key:
        return
    if not overwrite:
        raise UsageError(
            f"{out} holds another test: other maps, subjects, design or options",
            remedy="choose another --out, or --overwrite to replace it",
        )
    remove(out)
