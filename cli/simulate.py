"""`thalgpu simulate`: a synthetic cohort with known ground truth."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from thalgpu.cli._config import ConfigOption
from thalgpu.cli._console import print_line, show_progress


class Kind(StrEnum):
    """What kind of files."""

    VOLUME = "volume"
    CIFTI = "cifti"
    SURFACE = "surface"


class Size(StrEnum):
    """How large a head."""

    SMALL = "small"
    MNI2MM = "mni2mm"


class Layout(StrEnum):
    """Which files beside the scans."""

    PLAIN = "plain"
    FMRIPREP = "fmriprep"


def simulate(
    folder: Annotated[Path, typer.Argument(help="Where to write the cohort.")],
    subjects: Annotated[
        int | None, typer.Option(help="Number of people. [default: 12; --study: 28 a group]", show_default=False)
    ] = None,
    groups: Annotated[str, typer.Option(help="Group names, separated by commas; people take turns.")] = (
        "neuCLBP,nonneuCLBP,HC"
    ),
    seed: Annotated[int, typer.Option(help="Of everything random.")] = 0,
    kind: Annotated[Kind, typer.Option(help="NIfTI, CIFTI, or NIfTI with GIFTI surfaces.")] = Kind.VOLUME,
    size: Annotated[Size, typer.Option(help="280 thalamic voxels at 4 mm, or 2,248 at 2 mm.")] = Size.SMALL,
    timepoints: Annotated[int | None, typer.Option(help="Volumes a run. [default: 200; mni2mm: 300]")] = None,
    tr: Annotated[float, typer.Option(help="Repetition time, s.")] = 2.0,
    noise: Annotated[float, typer.Option(help="0: none; 1: realistic.")] = 1.0,
    runs: Annotated[int, typer.Option(help="Scans a person.")] = 1,
    effect: Annotated[
        float, typer.Option(help="Gradient difference of nonneuCLBP (else of the first group), in SDs; 0: none.")
    ] = 0.8,
    layout: Annotated[Layout, typer.Option(help="fmriprep adds masks and segmentations.")] = Layout.PLAIN,
    study: Annotated[
        bool, typer.Option("--study", help="Add FreeSurfer stats, thalamus meshes and study.toml for all arms.")
    ] = False,
    shape_effect: Annotated[
        float, typer.Option(help="With --study: shape difference of neuCLBP (else of the first group), in mm; 0: none.")
    ] = 1.0,
    force: Annotated[bool, typer.Option("--force", help="Write into a folder that holds something else.")] = False,
    config: ConfigOption = None,
    verbose: Annotated[int, typer.Option("-v", "--verbose", count=True, help="-vv: tracebacks.")] = 0,
    log_json: Annotated[bool, typer.Option("--log-json", help="Progress as JSON lines on stderr.")] = False,
) -> None:
    """Write a synthetic cohort: scans in which known thalamic gradients are planted, and the truth beside them.

    With --study it is everything that `thalgpu study` reads: gradients differ in nonneuCLBP, the thalamus' shape in
    neuCLBP, which is clinically more severe; volumes and S1 thickness differ in nobody.

    The same options give the same bytes, and more subjects leave the earlier ones as they are.
    """
    from thalgpu.engine.simulate.cohort import simulate_cohort  # here: --help must not load NumPy
    from thalgpu.engine.simulate.options import STUDY_GROUP_SIZE, CohortOptions

    del config, verbose  # the first sets defaults before this is called, the second is read by main()
    names = tuple(name.strip() for name in groups.split(",") if name.strip())
    if subjects is None:
        subjects = STUDY_GROUP_SIZE * len(names) if study else 12
    options = CohortOptions(
        subjects=subjects,
        groups=names,
        seed=seed,
        kind=kind.value,
        size=size.value,
        timepoints=timepoints,
        tr=tr,
        noise=noise,
        runs=runs,
        effect=effect,
        layout=layout.value,
        study=study,
        shape_effect=shape_effect,
    )
    with show_progress(as_json=log_json) as progress:
        cohort = simulate_cohort(folder, options=options, progress=progress, force=force)
    named = {"--thalamus": cohort.thalamus, "--cortex": cohort.cortex}
    regions = [f"{option} {','.join(map(str, files))}" for option, files in named.items() if files]
    source = cohort.table_file if runs > 1 or kind is Kind.SURFACE else cohort.list_file
    print_line(f"{len(cohort.subjects)} simulated people are in {folder}, what was planted in {cohort.truth_file}.")
    if cohort.study_file is not None:
        print_line(f"Next: thalgpu study {cohort.study_file}")
        return
    print_line(f"Next: thalgpu gradients --subjects {source} {' '.join(regions)}".rstrip())
