"""Folders tell names of people, of hospitals and of studies: what is shared with strangers says names of files only."""

import re
import sysconfig
from pathlib import Path

import thalgpu

_PROGRAMS = tuple(
    f"{folder}/"
    for folder in (
        *(sysconfig.get_path(name) for name in ("purelib", "platlib", "stdlib")),
        Path(thalgpu.__file__).parents[1],
    )
)
_FOLDERS = re.compile(r"""(?<![\w./<])/(?:[^/\s"',:;=()][^/\n"',:;=()]*/)+""")


def without_folders(text: str) -> str:
    """The text with the folders of every absolute path cut off.

    Below the folders of Python's packages the rest of the path stays: a traceback says which line of which file.
    """
    for folder in _PROGRAMS:
        text = text.replace(folder, "")
    return _FOLDERS.sub("", text)
