"""What a study has beside its scans: stats files and meshes of everybody, its description, and the truth in words."""

from itertools import combinations

from thalgpu.engine.simulate.brain_structure import Brain, brain_of
from thalgpu.engine.simulate.freesurfer_stats import stats_files
from thalgpu.engine.simulate.options import CohortOptions
from thalgpu.engine.simulate.phenotype import participant
from thalgpu.engine.simulate.thalamus_mesh import SIDES, Mesh, Side, person_mesh, vtk_text


def structure_names(participant_id: str) -> dict[str, str]:
    """Column of list.tsv → folder or file, relative to the cohort."""
    meshes = {f"mesh_{side}": f"meshes/{participant_id}-{side[0].upper()}_Thal_first.vtk" for side in SIDES}
    return {"freesurfer_dir": f"freesurfer/{participant_id}", **meshes}


def structure_files(options: CohortOptions, index: int, participant_id: str) -> dict[str, bytes]:
    """File → bytes of one person's stats folder and meshes."""
    names = structure_names(participant_id)
    brain = person_brain(options, index)
    stats = stats_files(brain, participant_id)
    files = {f"{names['freesurfer_dir']}/stats/{name}": data for name, data in stats.items()}
    for side in SIDES:
        mesh = person_thalamus(options, index, side, brain)
        text = vtk_text(mesh, f"simulated {side} thalamus of {participant_id} in the layout of FSL FIRST")
        files[names[f"mesh_{side}"]] = text.encode()
    return files


def person_brain(options: CohortOptions, index: int) -> Brain:
    """A person's volumes and thicknesses, from the same age and sex as in participants.tsv; no group counts."""
    row = participant(options.seed, index, "", "")
    return brain_of(options.seed, index, age=float(row["age"]), is_female=row["sex"] == "F")


def person_thalamus(options: CohortOptions, index: int, side: Side, brain: Brain) -> Mesh:
    """A person's thalamus with the effect of their group."""
    effect = options.shape_effect if options.group_of(index) == options.shape_group else 0.0
    volume = brain.volumes[f"{side.capitalize()}-Thalamus"]
    return person_mesh(options.seed, index, side, volume=volume, effect=effect)


def contrasts(groups: tuple[str, ...]) -> list[str]:
    """Each group against the last, the controls; then the others against one another."""
    *patients, controls = groups
    pairs = [(group, controls) for group in patients] + list(combinations(patients, 2))
    return [f"{one} - {other}" for one, other in pairs]


def study_toml(options: CohortOptions) -> str:
    """The description that `thalgpu study` reads."""
    groups, patients, pairs = (
        _toml_list(values) for values in (options.groups, options.groups[:-1], contrasts(options.groups))
    )
    return f"""\
# A simulated study: nobody in it exists. What was planted is told in truth.md.
# Run it with: thalgpu study study.toml

[study]
title = "Simulated study of the thalamus"
participants = "participants.tsv"   # one row a person: group, covariates, clinical scores
subjects = "list.tsv"               # one row a scan: bold, confounds, freesurfer_dir, mesh_left, mesh_right
out = "study-out"                   # paths are relative to this file
seed = 0                            # of the permutations
n_perm = 2000                       # one set, shared by all arms

[groups]
column = "group"
order = {groups}

[design]
covariates = ["age", "sex"]
contrasts = {pairs}

[clinical]
table = ["age", "sex", "painDETECT", "DN4", "NeuPSIG", "pain_intensity", "disability", "pain_duration"]
severity = ["painDETECT", "pain_intensity"]   # correlated with a number of every measure, among
patients = {patients}
sensitivity = "pain_intensity"                # among the covariates when all arms are tested once more, in patients

[arms.gradients]                    # gradients of thalamocortical connectivity, voxel by voxel
thalamus = "thalamus.nii.gz"
cortex = "cortex.nii.gz"
confounds = "24p"
components = [1, 2]
tfce = true

[arms.volumes]                      # thalamus left, right, total and asymmetry, from aseg.stats
icv = "covariate"                   # or "residual", or "proportion"

[arms.thickness]                    # of S1 and its Brodmann areas, from BA_exvivo.thresh.stats
s1 = "ba"

[arms.shape]                        # displacement of the thalamus' surface, vertex by vertex, from the meshes
tfce = true

[arms.connectivity]                 # Fisher z of the thalamus with each parcel
atlas = "cortex_parcels.nii.gz"
confounds = "24p"

[arms.group_gradients]              # gradients of the groups' mean connectivity, made anew in every permutation
n_perm = 200
"""


def truth_text(options: CohortOptions) -> str:
    """What was planted, in words: which arm, who, where."""
    gradients, shape = options.affected_group, options.shape_group
    sizes = ", ".join(f"{_size(options, k)} {group}" for k, group in enumerate(options.groups))
    return f"""\
# What was planted

{options.subjects} simulated people: {sizes}. Numbers are in truth.h5.

| arm | planted in | what and where |
|---|---|---|
| gradients | {_who(gradients)} | {_gradient_words(options)} |
| group gradients, connectivity | {_who(gradients)} | what follows from that |
| shape | {_who(shape)} | {_shape_words(options)} |
| volumes | nobody | head size, age and sex count; groups do not |
| thickness | nobody | age counts; groups do not |
| clinical scores | {_who_hurts(options)} | see participants.tsv |
"""


def _size(options: CohortOptions, k: int) -> int:
    return len(range(k, options.subjects, len(options.groups)))


def _who(group: str | None) -> str:
    return group or "nobody"


def _who_hurts(options: CohortOptions) -> str:
    severe = [group for group in ("neuCLBP", "nonneuCLBP") if group in options.groups]
    return ", then ".join(severe) or "nobody"


def _gradient_words(options: CohortOptions) -> str:
    if options.affected_group is None:
        return "nothing"
    return (
        f"the first gradient is moved by up to {options.effect:g} SD at the posterior-lateral end of both thalami, "
        "which brings that end closer to the anterior one (`effect_map`)"
    )


def _shape_words(options: CohortOptions) -> str:
    if options.shape_group is None:
        return "nothing"
    return (
        f"the posterior half of both thalami is flatter: upper and lower faces lie up to {options.shape_effect:g} mm "
        "further in, medial and lateral ones further out, so that the volume stays (`shape/displacement`)"
    )


def _toml_list(values: "tuple[str, ...] | list[str]") -> str:
    return "[" + ", ".join(f'"{value}"' for value in values) + "]"
