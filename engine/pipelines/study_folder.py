"""The output folder of a study: that it holds one study, and what was asked for."""

import shutil
from collections.abc import Collection
from pathlib import Path
from typing import Any

from thalgpu.engine.config import config_key
from thalgpu.engine.inputs.study_file import StudyFile
from thalgpu.engine.outputs.atomic import disk_errors
from thalgpu.engine.outputs.sidecars import write_dataset_files, write_toml
from thalgpu.engine.pipelines.claims import claim
from thalgpu.engine.pipelines.study_request import StudyRequest, out_folder
from thalgpu.errors import UsageError

_PARTS = ("gradients", "structure", "connectivity", "tests", "tests-adjusted", "group_gradients")
"""Folders of the commands: data sets by themselves."""

_TESTS = ("tests", "tests-adjusted")

_OF_ALL = (
    *("design.tsv", "design_patients.tsv", "excluded.tsv", "measures.tsv"),
    *("table_one.tsv", "severity.tsv", "results.tsv", "report.html"),
)


def claim_study(request: StudyRequest, study: StudyFile) -> None:
    """UsageError when the folder holds a study of other settings; more people, or a new table of them, are the same."""
    out = out_folder(request, study)
    try:
        claim(
            out,
            study_key(request, study),
            command="study",
            overwrite=request.overwrite,
            remove=_remove_tables,  # and each command replaces what it must in its own folder
        )
    except UsageError as error:
        if request.overwrite:  # results of another command, which nothing replaces
            raise
        raise UsageError(
            "the output folder holds a study of other settings",
            where=str(out),
            remedy="--overwrite computes what they change anew; or choose another --out",
        ) from error


def _remove_tables(out: Path) -> None:
    """Remove what is made of all arms: a run may end before it is made anew."""
    with disk_errors(out):
        for name in _OF_ALL:
            (out / name).unlink(missing_ok=True)


def remove_outdated_tests(out: Path, current: Collection[Path]) -> list[str]:
    """Remove tests that are not this run's: their arm was left out, or severity; and tell which.

    Parameters
    ----------
    current : folders of this run's tests.
    """
    gone = []
    for path in sorted(path for name in _TESTS for path in (out / name).glob("*/")):
        if path not in current and (path / "config.toml").exists():  # a folder of `thalgpu permute`
            with disk_errors(path):
                shutil.rmtree(path)
            gone.append(f"{path.parent.name}/{path.name}")
    if not any(path.parent.name == _TESTS[1] for path in current):
        with disk_errors(out):
            (out / "design_patients.tsv").unlink(missing_ok=True)
    return [f"tests of an earlier run were removed: {', '.join(gone)}"] if gone else []


def write_study_files(request: StudyRequest, study: StudyFile) -> None:
    """What makes the folder a BIDS derivative, and the resolved settings with the study's identity."""
    out = out_folder(request, study)
    write_dataset_files(out, name="study of thalamic structure and connectivity", ignored=["*.tsv", *_PARTS])
    settings = resolved_settings(request, study)
    arms = {f"arm {name}": _plain(values) for name, values in study.arms.items()}
    write_toml(
        out / "config.toml",
        {**settings, **arms, "test": {"key": study_key(request, study), "file": str(request.file.absolute())}},
    )


def study_key(request: StudyRequest, study: StudyFile) -> str:
    """Identity of the settings."""
    arms = {name: _plain(values) for name, values in study.arms.items()}
    return config_key({**resolved_settings(request, study), "arms": arms})


def resolved_settings(request: StudyRequest, study: StudyFile) -> dict[str, dict[str, Any]]:
    """All sections but the arms, with what the command line puts in their place."""
    given = {name: getattr(request, name) for name in ("n_perm", "seed") if getattr(request, name) is not None}
    sections = {"study": {**study.study, **given}, "groups": study.groups, "design": study.design}
    plain = {name: _plain(values) for name, values in {**sections, "clinical": study.clinical}.items()}
    plain["study"].pop("out")
    return plain


def _plain(values: Any) -> dict[str, Any]:
    """What TOML and JSON can say; settings that are left out are left out."""

    def one(value: Any) -> Any:
        return (
            [one(item) for item in value]
            if isinstance(value, tuple)
            else str(value)
            if isinstance(value, Path)
            else value
        )

    return {name: one(value) for name, value in values.items() if value is not None}
