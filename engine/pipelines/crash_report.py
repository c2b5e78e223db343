"""What is needed to repeat a crash, in a file that can be sent to strangers: no image, no folder, no host.

Paths are cut to the file's name everywhere, in the traceback as in the options; content is told by its SHA-256.
"""

import platform
import traceback
from collections.abc import Iterable
from pathlib import Path

from thalgpu.engine.outputs.atomic import write_text
from thalgpu.engine.outputs.folders import without_folders
from thalgpu.engine.outputs.sidecars import software_versions
from thalgpu.engine.pipelines.input_hashes import input_sha256
from thalgpu.errors import InputError, ThalgpuError


def crash_report(out: Path, participant_id: str, error: Exception, files: Iterable[Path]) -> ThalgpuError:
    """Keep an unexpected error in `logs/crash-sub-….txt`; the error that names it.

    Parameters
    ----------
    out : the output folder, whose config.toml holds the options.
    participant_id : without "sub-".
    error : with the worker's traceback.
    files : the inputs, those of the participant and those of everybody.
    """
    path = out / "logs" / f"crash-sub-{participant_id}.txt"
    parts = {
        "error": "".join(traceback.format_exception(error)),
        "versions": "\n".join(f"{name} {version}" for name, version in _versions().items()),
        "inputs, with their SHA-256": "\n".join(f"{file.name}  {_digest(file)}" for file in dict.fromkeys(files)),
        "options": _options(out),
    }
    head = f"thalgpu crashed while it worked on sub-{participant_id}. Folders are left out, images are not in here.\n"
    body = "".join(f"\n[{title}]\n{text.rstrip()}\n" for title, text in parts.items())
    write_text(path, head + without_folders(body))
    if isinstance(error, MemoryError):
        return ThalgpuError("out of memory", where=str(path), remedy="use fewer --workers, or a larger machine")
    what = f"internal error: {type(error).__name__}: {error}"
    return ThalgpuError(what, where=str(path), remedy="please report it with this file")


def _versions() -> dict[str, str]:
    return {**software_versions(), "system": platform.platform()}


def _digest(file: Path) -> str:
    try:
        return input_sha256(file)
    except InputError:
        return "cannot be read"


def _options(out: Path) -> str:
    try:
        return (out / "config.toml").read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return "not written yet"
