"""The study file: every input, group, contrast and arm of a study, checked with the line of what is wrong."""

import difflib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from thalgpu.engine.inputs.study_settings import ARMS, REQUIRED, STUDY, Setting
from thalgpu.engine.inputs.text_files import read_text
from thalgpu.engine.inputs.toml_files import parse_toml
from thalgpu.errors import InputError

Section = tuple[str, ...]


@dataclass(frozen=True)
class StudyFile:
    """A checked study file; files are absolute, and settings that were left out have their default.

    Attributes
    ----------
    path, sha256 : of the file.
    study, groups, design, clinical : setting → value, as `study_settings.STUDY` lists them.
    arms : arm → setting → value, in the order of `study_settings.ARMS`; only arms whose section is there.
    """

    path: Path
    sha256: str
    study: Mapping[str, Any]
    groups: Mapping[str, Any]
    design: Mapping[str, Any]
    clinical: Mapping[str, Any]
    arms: Mapping[str, Mapping[str, Any]]

    def error(self, section: str, name: str, reason: str, remedy: str | None = None) -> InputError:
        """An error at the line of a setting, or of its section where the setting is left out."""
        text, _ = read_text(self.path)
        return _at(self.path, text, tuple(section.split(".")), name, reason, remedy)


def read_study_file(path: Path) -> StudyFile:
    """Read `study.toml`.

    Raises
    ------
    InputError
        With its line: what is not TOML, an unknown section or setting (with the nearest that exists), a value of the
        wrong kind, a file that is not there, no arm at all.
    """
    text, sha256 = read_text(path)
    document = parse_toml(text, path)
    arms = document.pop("arms", {})
    for name, section in {**document, "arms": arms}.items():
        if name not in (*STUDY, "arms"):
            raise _unknown(path, text, (), name, (*STUDY, "arms"), "section")
        if not isinstance(section, dict):
            raise _at(path, text, (), name, f"{name} is not a section", f"write [{name}] above its settings")
    for name, section in arms.items():
        if name not in ARMS:
            raise _unknown(path, text, ("arms",), name, tuple(ARMS), "arm")
        if not isinstance(section, dict):
            raise _at(path, text, ("arms",), name, f"{name} is no section", f"write [arms.{name}] above its settings")
    if not arms:
        raise InputError(
            path, "no arm is asked for", remedy=f"add a section such as [arms.gradients]: {', '.join(ARMS)}"
        )
    parts = {name: _settings(path, text, (name,), document.get(name, {}), known) for name, known in STUDY.items()}
    chosen = {
        name: _settings(path, text, ("arms", name), arms[name], known) for name, known in ARMS.items() if name in arms
    }
    return StudyFile(path, sha256, **parts, arms=chosen)


def _settings(
    path: Path, text: str, section: Section, given: Mapping[str, Any], known: Mapping[str, Setting]
) -> dict[str, Any]:
    for name in given:
        if name not in known:
            raise _unknown(path, text, section, name, tuple(known), "setting")
    found = {}
    for name, setting in known.items():
        if name not in given:
            if setting.default is REQUIRED:
                raise _at(path, text, section, name, f"{name} is missing", f'add {name} = "…" to [{".".join(section)}]')
            found[name] = _placed(path, setting, setting.default)
            continue
        value = _value(setting, given[name])
        if value is None:
            raise _at(path, text, section, name, f"{name} is not {_WORDS[setting.kind]}", _example(name, setting))
        if setting.choices and value not in setting.choices:
            raise _at(
                path,
                text,
                section,
                name,
                f"{name} {value!r} is not possible",
                f"it may be {', '.join(setting.choices)}",
            )
        found[name] = _placed(path, setting, value)
        if missing := _missing(setting, name, found[name]):
            raise _at(
                path, text, section, name, f"{name}: no file {missing}", "check the name; it is relative to this file"
            )
    return found


_WORDS = {
    "text": "a text",
    "file": "a file's name",
    "region": "a file's name",
    "texts": "a list of texts",
    "files": "a list of files",
    "regions": "a list of NAME=FILE",
    "whole": "a whole number that is not negative",
    "wholes": "a list of whole numbers from 1",
    "number": "a number",
    "flag": "true or false",
}
_EXAMPLES = {"text": '"…"', "file": '"…"', "region": '"FILE:LABELS"', "flag": "true", "whole": "1", "number": "0.5"}


def _example(name: str, setting: Setting) -> str:
    return f"write {name} = {_EXAMPLES.get(setting.kind, '[…, …]')}"


def _value(setting: Setting, value: Any) -> Any:
    """The value as it is kept, or None where it is of another kind."""
    match setting.kind:
        case "text" | "file" | "region":
            return value if isinstance(value, str) and value.strip() and "\0" not in value else None
        case "texts" | "files" | "regions":
            several = [value] if isinstance(value, str) else value
            ok = isinstance(several, list) and all(isinstance(one, str) and one.strip() for one in several)
            return tuple(several) if ok else None
        case "whole":
            return value if _is_whole(value) and value >= 0 else None
        case "wholes":
            several = [value] if _is_whole(value) else value
            fits = isinstance(several, list) and several and all(_is_whole(one) and one >= 1 for one in several)
            return tuple(several) if fits else None
        case "number":
            return float(value) if (_is_whole(value) or isinstance(value, float)) and abs(value) < 1e300 else None
        case "flag":
            return value if isinstance(value, bool) else None


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _placed(path: Path, setting: Setting, value: Any) -> Any:
    """Files in absolute form, relative ones being relative to the study file."""
    folder = path.resolve().parent
    if value is None:
        return None
    match setting.kind:
        case "file":
            return folder / value
        case "files":
            return tuple(folder / one for one in value)
        case "region":
            return ",".join(str(folder / one.strip()) for one in value.split(","))
        case "regions":
            return tuple(_named_region(folder, one) for one in value)
    return value


def _named_region(folder: Path, text: str) -> str:
    name, equals, region = text.partition("=")
    return f"{name.strip()}={folder / region.strip()}" if equals else text


def _missing(setting: Setting, name: str, value: Any) -> str | None:
    """The first file that is not there; the output folder need not be."""
    if name == "out" or setting.kind not in ("file", "files"):
        return None
    several = value if isinstance(value, tuple) else (value,)
    return next((str(one) for one in several if not os.path.exists(one)), None)  # a name too long is False, no error


def _unknown(path: Path, text: str, section: Section, name: str, known: tuple[str, ...], word: str) -> InputError:
    near = difflib.get_close_matches(name, known, n=1)
    remedy = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
    return _at(path, text, section, name, f"unknown {word} {name!r}", remedy)


def _at(path: Path, text: str, section: Section, name: str, reason: str, remedy: str | None) -> InputError:
    return InputError(path, reason, at=line_of(text, section, name), remedy=remedy)


def line_of(text: str, section: Section, name: str) -> int | None:
    """Number of the line that sets `name` in a section, or opens it as a section; else of the section's own line."""
    inside: Section = ()
    opened = None
    for number, line in enumerate(text.splitlines(), start=1):
        if header := re.match(r"\s*\[+\s*([^\]#]+?)\s*\]+", line):
            inside = tuple(part.strip().strip("\"'") for part in header[1].split("."))
            if inside == section:
                opened = number
            if inside[: len(section) + 1] == (*section, name):
                return number
        elif key := re.match(r"\s*([\w.\"'-]+)\s*=", line):
            parts = tuple(part.strip("\"'") for part in key[1].split("."))
            if (*inside, *parts)[: len(section) + 1] == (*section, name):
                return number
    return opened
