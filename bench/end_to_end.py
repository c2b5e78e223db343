"""B3: one subject from .nii.gz to written gradients, against nilearn + BrainSpace, and against bare decompression."""

import gzip
import tempfile
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from thalgpu.bench._result import BenchResult
from thalgpu.engine.config import CleaningOptions
from thalgpu.engine.pipelines.align_stage import AlignTask, run_align
from thalgpu.engine.pipelines.group_stage import make_template
from thalgpu.engine.pipelines.prepare import GradientsRequest, Prepared, prepare
from thalgpu.engine.pipelines.subject_stage import SubjectTask, run_subject
from thalgpu.engine.simulate.cohort import simulate_cohort
from thalgpu.engine.simulate.options import CohortOptions


def run(*, threads: int, quick: bool) -> list[BenchResult]:  # noqa: ARG001 - a subject has one thread, on both sides
    """Read, clean with 24 motion regressors and a high-pass, embed with the default recipe, align, write."""
    with tempfile.TemporaryDirectory() as folder:
        options = CohortOptions(subjects=1, groups=("HC",), size="small" if quick else "mni2mm")
        cohort = simulate_cohort(Path(folder) / "cohort", options=options)
        request = GradientsRequest(
            subjects=cohort.table_file,
            out=Path(folder) / "out",
            thalamus=str(cohort.thalamus[0]),
            cortex=str(cohort.cortex[0]),
            cleaning=CleaningOptions(confounds="24p", high_pass=0.008),
        )
        prepared = prepare(request)
        _engine(request, prepared)  # the template, and everything imported and in the page cache
        ours = min(_engine(request, prepared) for _ in range(1 if quick else 2))
        scan = prepared.subjects[0].runs[0].bold
        bare = min(_decompress(scan) for _ in range(2))
        peers = _peers(request, prepared)
    plan = prepared.plan
    title = f"one subject, n={plan.n_voxels} m={plan.n_targets} T={plan.n_timepoints}, .nii.gz to aligned maps"
    return [
        BenchResult(
            "B3",
            title,
            "thalgpu",
            ours,
            "nilearn masker + BrainSpace",
            peers,
            target=">= 3x",
            note="one BLAS thread on both sides"
            if peers is not None
            else "nilearn or brainspace not installed (extra [validate])",
        ),
        BenchResult(
            "B3",
            title,
            "thalgpu",
            ours,
            "bare gzip.decompress",
            bare,
            target=">= 0.667x",
            note="the target is at most 1.5 times the time of decompression alone",
        ),
    ]


def _engine(request: GradientsRequest, prepared: Prepared) -> float:
    """Seconds of one subject's own work; the template, made once a cohort, is left out."""
    (subject,), (part,) = prepared.subjects, prepared.parts
    task = SubjectTask(
        subject, prepared.thalamus, prepared.cortex, prepared.parts, request.cleaning, request.options, request.out
    )
    began = perf_counter()
    (record,) = run_subject(task)
    seconds = perf_counter() - began
    template = make_template(request.out, part, [record], request.options, None)
    # another template key, so that the aligned files are not found on disk
    template = replace(template, key=f"{template.key}-{began}")
    began = perf_counter()
    run_align(AlignTask(record, part, template, None, request.cleaning, request.options, request.out))
    return seconds + perf_counter() - began


def _decompress(scan: Path) -> float:
    began = perf_counter()
    with gzip.open(scan) as stream:
        while stream.read(2**24):
            pass
    return perf_counter() - began


def _peers(request: GradientsRequest, prepared: Prepared) -> float | None:
    """The same with the usual glue: maskers, correlation, gradients, one NIfTI; None where a peer is missing."""
    try:
        import nibabel as nib
        from brainspace.gradient import GradientMaps
        from nilearn.maskers import NiftiMasker
    except ImportError:
        return None
    run = prepared.subjects[0].runs[0]
    confounds = _confounds(run.confounds)

    def series(mask: str | None) -> Any:
        masker = NiftiMasker(
            mask_img=mask,
            detrend=True,
            standardize="zscore_sample",
            high_pass=0.008,
            t_r=2.0,
            standardize_confounds=True,
        )
        return masker.fit_transform(run.bold, confounds=confounds), masker

    began = perf_counter()
    seed, masker = series(request.thalamus)
    target, _ = series(request.cortex)
    connectivity = np.arctanh(np.clip(seed.T @ target / (len(seed) - 1), -1 + 1e-7, 1 - 1e-7))
    maps = GradientMaps(n_components=10, approach="dm", kernel="normalized_angle", random_state=0)
    maps.fit(connectivity, sparsity=0.9)
    nib.save(masker.inverse_transform(maps.gradients_.T.astype(np.float32)), request.out / "peer.nii.gz")
    return perf_counter() - began


def _confounds(path: Path | None) -> Any:
    from thalgpu.engine.inputs.confounds import confound_regressors, read_confounds

    return None if path is None else confound_regressors(read_confounds(path), "24p")
