"""The study file that `thalgpu study --init` writes, with every setting explained."""

from collections.abc import Mapping

from thalgpu.engine.inputs.study_settings import ARMS, STUDY, Setting

_ABOUT = {
    "study": "What the study is made of. Files are relative to this one.",
    "groups": "Who belongs to which group.",
    "design": "The model that every arm is tested with: group + covariates.",
    "clinical": "Table 1, severity, and the robustness of what was found.",
    "gradients": "Connectivity gradients of every person's thalamus (thalgpu gradients).",
    "volumes": "Volumes of the thalamus (thalgpu structure).",
    "thickness": "Thickness of the primary somatosensory cortex (thalgpu structure).",
    "shape": "Where the thalamus' surface lies further out or in (thalgpu structure).",
    "connectivity": "Connectivity of thalamus and other seeds (thalgpu connectivity).",
    "group_gradients": "Gradients of group means, computed anew in every permutation (thalgpu compare).",
}

_LINES = {
    "title": "title of the report",
    "participants": "table with participant_id, groups, covariates and scores",
    "subjects": "subject list: participant_id, bold, confounds, freesurfer_dir, mesh_left, mesh_right …",
    "derivatives": "folder of fMRIPrep, XCP-D or HCP, where subjects is a list of labels",
    "input_type": "its layout and space, such as fmriprep:MNI152NLin2009cAsym",
    "out": "where everything is written",
    "seed": "of the permutations",
    "n_perm": "permutations, the same for all arms",
    "group_gradients.n_perm": "those of [study] when left out",
    "column": "column of participants that holds the groups",
    "order": "groups that take part, in the order of tables and figures; all when left out",
    "score": "or groups from painDETECT, DN4, DN4-interview or NeuPSIG; order: neuropathic, not so, controls",
    "score_column": "its column, where it has another name",
    "control_column": "column that says who has no pain, and",
    "control_value": "what it says then",
    "unclear": "patients whose grade is unclear: leave-out, neuropathic or non-neuropathic",
    "covariates": "columns of participants",
    "contrasts": "such as patients - controls; every pair of groups when left out",
    "blocks": "columns of exchangeability blocks, such as site",
    "whole": "exchange blocks as wholes",
    "two_sided": "test both directions",
    "missing": "people without a value: drop them, or stop with an error",
    "table": "columns of Table 1; age, sex and all scores when left out",
    "severity": "scores that every measure is correlated with, among",
    "patients": "these groups; all but the last of order when left out",
    "sensitivity": "score that is added as a covariate when all arms are run once more among the patients",
    "thalamus": "mask or label image, FILE or FILE:LABELS; found when left out",
    "cortex": "likewise: voxels of a mask, or parcels of a label image",
    "nuclei": "label image of thalamic nuclei",
    "components": "gradients that are tested",
    "mask": "test inside this mask only",
    "tfce": "threshold-free cluster enhancement",
    "cluster_threshold": "form clusters at this t",
    "tail": "none, gpd or gamma: refine small p-values",
    "freesurfer": "FreeSurfer's SUBJECTS_DIR, where the list does not say",
    "aseg_tables": "tables of asegstats2table",
    "aparc_tables": "tables of aparcstats2table",
    "icv": "covariate, residual or proportion",
    "s1": "atlas that says where it is: aparc, ba or glasser",
    "s1_labels": "parcellation of thickness maps, FILE or LEFT,RIGHT",
    "meshes": "folder of FSL FIRST's meshes, where the list does not say",
    "shape_alignment": "rigid, similarity or none",
    "smooth": "smoothing of displacement along the surface, mm",
    "template_left": "mesh that label images are registered to",
    "template_right": "the same, right",
    "atlas": "label image of regions, for thalamus x region tables",
    "seeds": "further seeds, such as S1=FILE:LABELS",
    "test": "connectivity (seed x region), regions (region x region), or seeds whose maps are tested",
    "eig_tol": "largest error of the statistic, in its null SD",
}

_ALWAYS = ("participants", "subjects", "thalamus", "cortex", "tfce", "order", "covariates", "icv")
_SPOKEN = {
    "participants": '"participants.tsv"',
    "subjects": '"list.tsv"',
    "order": '["patients", "controls"]',
    "covariates": '["age", "sex"]',
    "thalamus": '"thalamus.nii.gz"',
    "cortex": '"cortex.nii.gz"',
    "tfce": "true",
}
_EMPTY = {"text": '"…"', "file": '"…"', "region": '"…"', "whole": "0", "number": "0.0", "flag": "false"}


def study_template() -> str:
    """A study file with all sections; what is not needed by most is behind a `#`."""
    parts = [
        "# A study of the thalamus. Run it with: thalgpu study THIS-FILE   (--dry-run first: it checks everything)"
    ]
    for name, settings in STUDY.items():
        parts += ["", f"# {_ABOUT[name]}", f"[{name}]", *_lines(name, settings)]
    parts += ["", "# The arms. An arm without its section is left out."]
    for name, settings in ARMS.items():
        parts += ["", f"# {_ABOUT[name]}", f"[arms.{name}]", *_lines(name, settings)]
    return "\n".join(parts) + "\n"


def _lines(section: str, settings: Mapping[str, Setting]) -> list[str]:
    rows = []
    for name, setting in settings.items():
        hidden = "" if name in _ALWAYS else "# "
        about = _LINES.get(f"{section}.{name}") or _LINES.get(name)
        about = about or f"as --{name.replace('_', '-')} of thalgpu gradients"
        rows.append((f"{hidden}{name} = {_SPOKEN.get(name) or _spoken(setting)}", about))
    width = max(len(line) for line, _ in rows)
    return [f"{line:<{width}}   # {about}" for line, about in rows]


def _spoken(setting: Setting) -> str:
    """The default as TOML, or an example of what may stand there."""
    value = setting.example if setting.default is None else setting.default
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, tuple):
        return "[" + ", ".join(f'"{one}"' if isinstance(one, str) else str(one) for one in value) + "]"
    if value is None:
        return _EMPTY.get(setting.kind, "[]")
    return str(value)
