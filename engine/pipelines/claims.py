"""An output folder holds the results of one test."""

from collections.abc import Callable
from pathlib import Path

from thalgpu.engine.inputs.toml_files import read_toml
from thalgpu.errors import InputError, UsageError


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
        found = document["test"]["key"] if command in document else None
    except (InputError, KeyError, TypeError) as error:
        if not overwrite:
            raise InputError(
                path,
                "cannot be read, so that nobody knows what was tested here",
                remedy="--overwrite, or another --out",
            ) from error
        found = ""
    if found is None:
        raise UsageError(f"{out} holds results of another command", remedy="choose another --out")
    if found == key:
        return
    if not overwrite:
        raise UsageError(
            f"{out} holds another test: other maps, subjects, design or options",
            remedy="choose another --out, or --overwrite to replace it",
        )
    remove(out)
