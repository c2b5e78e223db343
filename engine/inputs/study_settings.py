"""What may stand in a study file: sections, their settings, and what each may be."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal, TypeAlias

from thalgpu.engine.config import CleaningOptions, GradientOptions

Kind: TypeAlias = Literal["text", "file", "region", "texts", "files", "regions", "whole", "wholes", "number", "flag"]


@dataclass(frozen=True)
class Setting:
    """One line of a study file.

    Attributes
    ----------
    kind : what its value is. A "region" is `FILE` or `FILE:LABELS`; files are relative to the study file.
    default : where it is left out; `REQUIRED` where it must not be.
    choices : the only texts that it may be; () for any.
    example : what it is where it is left out and another command decides.
    """

    kind: Kind
    default: Any = None
    choices: tuple[str, ...] = ()
    example: Any = None


REQUIRED = object()

_TEST: Mapping[str, Setting] = {
    "tfce": Setting("flag", False),
    "cluster_threshold": Setting("number"),
    "tail": Setting("text", "none", ("none", "gpd", "gamma")),
}
"""How the maps of an arm are tested."""


def _of_options() -> dict[str, Setting]:
    """Every option of `thalgpu gradients` that shapes series and gradients; None leaves it to the recipe."""
    kinds: dict[str, Kind] = {"str": "text", "float": "number", "int": "whole", "bool": "flag"}
    found: dict[str, Setting] = {}
    for option in (*fields(CleaningOptions), *fields(GradientOptions)):
        named = type(option.default).__name__
        found[option.name] = Setting(kinds.get(named, "number"), example=option.default)
    found |= {"confounds": Setting("texts", example="24p"), "keep": Setting("texts", example=())}
    return found | {"recipe": Setting("text", "brainspace")}


_SCANS: Mapping[str, Setting] = {
    "thalamus": Setting("region"),
    "cortex": Setting("region"),
    "nuclei": Setting("region"),
}

STUDY: Mapping[str, Mapping[str, Setting]] = {
    "study": {
        "title": Setting("text", "Thalamic structure and connectivity of three groups"),
        "participants": Setting("file", REQUIRED),
        "subjects": Setting("file", REQUIRED),
        "derivatives": Setting("file"),
        "input_type": Setting("text"),
        "out": Setting("file", "study-out"),
        "seed": Setting("whole", 0),
        "n_perm": Setting("whole", 10_000),
    },
    "groups": {
        "column": Setting("text", "group"),
        "order": Setting("texts", ()),
        "score": Setting("text", None, ("painDETECT", "DN4", "DN4-interview", "NeuPSIG")),
        "score_column": Setting("text"),
        "control_column": Setting("text"),
        "control_value": Setting("text"),
        "unclear": Setting("text", "leave-out", ("leave-out", "neuropathic", "non-neuropathic")),
    },
    "design": {
        "covariates": Setting("texts", ()),
        "contrasts": Setting("texts", ()),
        "blocks": Setting("texts", ()),
        "whole": Setting("flag", False),
        "two_sided": Setting("flag", True),
        "missing": Setting("text", "drop", ("drop", "error")),
    },
    "clinical": {
        "table": Setting("texts", ()),
        "severity": Setting("texts", ()),
        "patients": Setting("texts", ()),
        "sensitivity": Setting("text"),
    },
}
"""Sections beside the arms."""

ARMS: Mapping[str, Mapping[str, Setting]] = {
    "gradients": {**_SCANS, **_of_options(), "components": Setting("wholes", (1,)), "mask": Setting("region"), **_TEST},
    "volumes": {
        "freesurfer": Setting("file"),
        "aseg_tables": Setting("files", ()),
        "icv": Setting("text", "covariate", ("covariate", "residual", "proportion")),
    },
    "thickness": {
        "freesurfer": Setting("file"),
        "aparc_tables": Setting("files", ()),
        "s1": Setting("text", "aparc", ("aparc", "ba", "glasser")),
        "s1_labels": Setting("region"),
    },
    "shape": {
        "freesurfer": Setting("file"),
        "meshes": Setting("file"),
        "shape_alignment": Setting("text", "rigid", ("rigid", "similarity", "none")),
        "smooth": Setting("number", 0.0),
        "template_left": Setting("file"),
        "template_right": Setting("file"),
        **_TEST,
    },
    "connectivity": {
        **_SCANS,
        **{name: setting for name, setting in _of_options().items() if name in CleaningOptions.__dataclass_fields__},
        "atlas": Setting("region"),
        "seeds": Setting("regions", ()),
        "test": Setting("texts", ("connectivity",)),
        **_TEST,
    },
    "group_gradients": {
        "n_perm": Setting("whole"),
        "tfce": Setting("flag", False),
        "eig_tol": Setting("number", 0.01),
    },
}
"""Arms, each of which is run when its section is there, and their settings."""

ARM_TITLES: Mapping[str, str] = {
    "gradients": "Thalamocortical gradients",
    "volumes": "Thalamic volume",
    "thickness": "Thickness of the primary somatosensory cortex",
    "shape": "Thalamic shape",
    "connectivity": "Seed connectivity",
    "group_gradients": "Gradients of group means",
}
