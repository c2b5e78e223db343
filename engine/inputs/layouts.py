"""Folder layouts of fMRIPrep, XCP-D and HCP: which files are a person's scans, and what belongs to them."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from types import MappingProxyType
from typing import TypeAlias

from thalgpu.engine.inputs.list_lines import absent
from thalgpu.engine.inputs.model import Run
from thalgpu.engine.inputs.scan_names import entities, is_dtseries, natural_order, source_prefix, space_of
from thalgpu.engine.inputs.sidecars import run_of, segmentation_beside
from thalgpu.errors import InputError, UsageError

BIDS_GLOBS: Mapping[str, tuple[str, ...]] = {
    "xcpd": ("*_desc-denoised_bold.nii.gz", "*_desc-denoised_bold.dtseries.nii"),
    "fmriprep": ("*_desc-preproc_bold.nii.gz", "*_desc-preproc_bold.nii", "*_den-*k_bold.dtseries.nii"),
}
"""In `sub-XX/func` and `sub-XX/ses-*/func`."""

HCP_GLOBS: Mapping[str, str] = {
    "MSMAll": "*_Atlas_MSMAll_hp*_clean.dtseries.nii",
    "MSMSulc": "*_Atlas_hp*_clean.dtseries.nii",
    "volume": "rfMRI_REST*[LRAP]_hp*_clean.nii.gz",
}
"""In `XX/MNINonLinear/Results/rfMRI_REST?*`; the folder `rfMRI_REST` itself holds the runs once more, concatenated."""

INPUT_TYPES = ("xcpd", "fmriprep", "hcp")
"""In the order of detection: what has been cleaned further comes first."""

NATIVE_SPACES = frozenset({"", "T1w", "T2w", "anat", "func", "boldref", "individual", "orig", "fsnative"})
"""Spaces of one person's own, in which voxels of two people do not correspond."""

Only: TypeAlias = Mapping[str, Collection[str]]
"""BIDS entity → the values that are wanted: {"task": ["rest"], "ses": ["1"]}."""

EVERY: Only = MappingProxyType({})


@dataclass(frozen=True)
class Scans:
    """What a layout holds for one person.

    Attributes
    ----------
    layout : "xcpd", "fmriprep" or "hcp".
    runs : in natural order of their names (run-2 before run-10).
    aseg : a segmentation with FreeSurfer labels on the scans' grid, or None.
    """

    layout: str
    runs: tuple[Run, ...]
    aseg: Path | None


def find_runs(derivatives: Path, label: str, input_type: str | None = None, only: Only = EVERY) -> Scans:
    """A person's resting scans in a derivatives folder.

    The layouts are tried in the order of `INPUT_TYPES`; the first whose globs find a scan is taken. These rules hold:

    - Task: when a person has several tasks, those whose name begins with "rest".
    - Space (fMRIPrep, XCP-D): CIFTI where there is one, as it brings its own thalamus and cortex; else the only
      standard volumetric space. Native spaces (T1w, boldref) are never taken by themselves. Two choices are an error
      that names both; `input_type` then says which, e.g. "fmriprep:MNI152NLin6Asym_res-2".
    - Surfaces (fMRIPrep): with a volumetric space, the `func.gii` pair of the only standard surface space; to choose,
      "fmriprep:MNI152NLin2009cAsym+fsaverage5". A choice without a surface space takes none.
    - HCP: of MSMAll dtseries, MSMSulc dtseries and volumes the first that the most runs have; to choose, "hcp:volume".
    - XCP-D's concatenation of runs is left out where the runs themselves are there.

    Parameters
    ----------
    derivatives : folder that holds `sub-XX` folders (HCP: `XX` or `sub-XX`).
    label : participant label without "sub-", letters and digits.
    input_type : LAYOUT or LAYOUT:SPACE[+SPACE], or :SPACE[+SPACE] of any layout; None to recognise the layout.
    only : entities that names of scans must have; HCP's names have none.

    Raises
    ------
    UsageError
        For an unknown layout, and for entities of HCP's scans.
    InputError
        When no scan is found (with the layouts tried and similar labels), or when the choice is ambiguous.
    """
    layout, _, space = (input_type or "").partition(":")
    if layout and layout not in INPUT_TYPES:
        raise UsageError(f"unknown input type {layout!r}", remedy=f"choose one of {', '.join(INPUT_TYPES)}")
    if layout == "hcp" and only:
        raise UsageError("HCP's scans have neither task nor session", remedy="leave them out")
    wanted = frozenset(space.split("+")) if space else frozenset()
    layouts = (layout,) if layout else tuple(name for name in INPUT_TYPES if name != "hcp" or not only)
    for name in layouts:
        found = _hcp(derivatives, label, wanted) if name == "hcp" else _bids(derivatives, label, name, wanted, only)
        if found is not None:
            return found
    raise _no_scan(derivatives, label, layouts, only)


def _bids(derivatives: Path, label: str, layout: str, wanted: frozenset[str], only: Only) -> Scans | None:
    """fMRIPrep's or XCP-D's scans; None when the globs find nothing."""
    everything = _in_func(derivatives, label, BIDS_GLOBS[layout], only)
    # Single echoes and phase images stand beside the combined magnitude scan under the same description.
    files = [file for file in everything if not {"echo", "part"} & entities(file).keys()]
    if not files:
        return None
    files = _resting(derivatives, label, files)
    if layout == "xcpd":
        files = _without_concatenations(files)
    choices = _by_space(files, wanted)
    cifti = {key: group for key, group in choices.items() if is_dtseries(group[0])}
    space = _only_one(derivatives, label, layout, (cifti if cifti and not wanted else choices), files)
    bolds = choices[space]
    runs = [run_of(bold) for bold in bolds]
    if not cifti:
        runs = _with_surfaces(derivatives, label, layout, runs, wanted, only)
    return Scans(layout, tuple(_present(runs)), segmentation_beside(bolds[0]))


def _hcp(derivatives: Path, label: str, wanted: frozenset[str]) -> Scans | None:
    """HCP's cleaned scans; None when the globs find nothing."""
    for root in (derivatives / label, derivatives / f"sub-{label}"):
        results = root / "MNINonLinear" / "Results"
        kinds = {
            kind: sorted(results.glob(f"rfMRI_REST?*/{glob}"), key=natural_order)
            for kind, glob in HCP_GLOBS.items()
            if not wanted or kind in wanted
        }
        most = max(kinds, key=lambda kind: len(kinds[kind]), default="")
        if most and kinds[most]:
            segmentation = root / "MNINonLinear" / "ROIs" / "wmparc.2.nii.gz"
            aseg = segmentation if most == "volume" and segmentation.is_file() else None
            return Scans("hcp", tuple(_present([Run(bold) for bold in kinds[most]])), aseg)
    return None


def _in_func(derivatives: Path, label: str, globs: Sequence[str], only: Only) -> list[Path]:
    person = derivatives / f"sub-{label}"
    found = {file for glob in globs for place in ("func", "ses-*/func") for file in person.glob(f"{place}/{glob}")}
    meant = (file for file in found if all(entities(file).get(key) in values for key, values in only.items()))
    return sorted(meant, key=natural_order)


def _resting(derivatives: Path, label: str, files: list[Path]) -> list[Path]:
    tasks = sorted({entities(file).get("task", "") for file in files})
    if len(tasks) == 1:
        return files
    rest = [file for file in files if entities(file).get("task", "").lower().startswith("rest")]
    if not rest:
        reason = f"sub-{label} has several tasks, none of them rest: {', '.join(tasks)}"
        raise InputError(derivatives, reason, remedy="list the scans in a table (participant_id, bold)")
    return rest


def _without_concatenations(files: list[Path]) -> list[Path]:
    """Leave out a file whose runs (or phase-encoding directions) are there one by one."""

    def joined(file: Path) -> tuple[tuple[str, str], ...]:
        return tuple((key, value) for key, value in entities(file).items() if key not in ("run", "dir"))

    single = {joined(file) for file in files if {"run", "dir"} & entities(file).keys()}
    return [file for file in files if {"run", "dir"} & entities(file).keys() or joined(file) not in single]


def _by_space(files: Sequence[Path], wanted: frozenset[str]) -> dict[str, list[Path]]:
    """Files by space ("MNI152NLin6Asym_res-2"): those wanted, or all that are not native."""
    choices: dict[str, list[Path]] = {}
    for file in files:
        name, key = entities(file).get("space", ""), space_of(file)
        if {name, key} & wanted if wanted else name not in NATIVE_SPACES:
            choices.setdefault(key, []).append(file)
    return choices


def _only_one(
    derivatives: Path, label: str, layout: str, choices: Mapping[str, Sequence[Path]], files: Sequence[Path]
) -> str:
    if len(choices) == 1:
        return next(iter(choices))
    there = sorted({space_of(file) or "native" for file in files})
    if not choices:
        remedy = f"choose one with --input-type {layout}:SPACE, or write the scans in a standard space"
        raise InputError(
            derivatives, f"sub-{label} has no scan in a fitting space, only {', '.join(there)}", remedy=remedy
        )
    names = sorted(choices)
    remedy = f"choose one, e.g. --input-type {layout}:{names[0]}"
    raise InputError(derivatives, f"sub-{label} has scans in several spaces: {', '.join(names)}", remedy=remedy)


def _with_surfaces(
    derivatives: Path, label: str, layout: str, runs: list[Run], wanted: frozenset[str], only: Only
) -> list[Run]:
    """Add the func.gii pair of the same run, where there is one in a single standard surface space."""
    files = _in_func(derivatives, label, ("*_bold.func.gii",), only)
    choices = _by_space(files, wanted)
    if not choices:
        return runs
    surfaces = choices[_only_one(derivatives, label, layout, choices, files)]
    sides = {(source_prefix(file), entities(file).get("hemi")): file for file in surfaces}
    paired = []
    for run in runs:
        left, right = (sides.get((source_prefix(run.bold), hemi)) for hemi in "LR")
        paired.append(replace(run, surfaces=(left, right)) if left and right else run)
    return paired


def _present(runs: Sequence[Run]) -> Sequence[Run]:
    """The runs; InputError for one whose name is there without its content, as in a data set that is not fetched."""
    for run in runs:
        if reason := absent(run.bold):
            raise InputError(run.bold, reason, remedy="fetch its content if it is a link of git-annex or DataLad")
    return runs


def _no_scan(derivatives: Path, label: str, layouts: Sequence[str], only: Only) -> InputError:
    shown = layouts[0] if len(layouts) == 1 else "fmriprep"
    if shown == "hcp":
        example = f"{label}/MNINonLinear/Results/rfMRI_REST?*/{HCP_GLOBS['MSMAll']}"
    else:
        example = f"sub-{label}/func/{BIDS_GLOBS[shown][0]}"
    meant = "".join(f", {key}-{' or '.join(values)}" for key, values in only.items())
    reason = f"no scan of sub-{label}{meant} in the layouts {', '.join(layouts)} (e.g. {example})"
    return InputError(derivatives, reason, remedy=_hint(derivatives, label))


def _hint(derivatives: Path, label: str) -> str:
    """What the user may have meant: another spelling of the label, or a folder below."""
    names = sorted(entry.name for entry in derivatives.iterdir() if entry.is_dir())
    labels = {name.removeprefix("sub-"): name for name in names}
    if label in labels:
        return "list the scans in a table (participant_id, bold) if they have other names"
    below = [name for name in names if (derivatives / name / f"sub-{label}").is_dir()]
    if below:
        return f"did you mean --derivatives {derivatives / below[0]}?"
    plain = label.lower().lstrip("0")
    similar = [name for spelling, name in labels.items() if re.sub("^0+", "", spelling.lower()) == plain]
    similar += [labels[spelling] for spelling in get_close_matches(label, labels, n=2)]
    return f"did you mean {similar[0]}?" if similar else "check the label and --derivatives"
