"""The task a worker runs for one subject: read, clean, embed, write one record an embedding."""

import time
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from thalgpu.engine.cluster.devices import device_name, use_gpu, worker_gpu
from thalgpu.engine.config import CleaningOptions, GradientOptions, config_key
from thalgpu.engine.gradients.subject import SubjectGradients, subject_gradients
from thalgpu.engine.inputs.coverage import require_coverage
from thalgpu.engine.inputs.model import Region, Subject, SubjectSeries
from thalgpu.engine.inputs.series import load_series
from thalgpu.engine.outputs.names import subject_paths
from thalgpu.engine.outputs.packing import pack_upper
from thalgpu.engine.outputs.sidecars import hashed_inputs
from thalgpu.engine.outputs.store import DatasetSpec, read_record, write_record
from thalgpu.engine.pipelines.input_hashes import InputHashes
from thalgpu.engine.pipelines.ledger import Ledger, stamps
from thalgpu.engine.pipelines.parts import Part
from thalgpu.engine.pipelines.remarks import collect_remarks
from thalgpu.engine.pipelines.self_test import prove_device
from thalgpu.engine.pipelines.verified import find_verified
from thalgpu.engine.results import SubjectRecord

RESULT_VERSION = 1
"""Part of every key: raised when the same input and options would give other numbers."""

_NOTED = ("participant_id", "n_covered", "n_targets", "n_targets_covered", "n_volumes", "n_kept", "mean_fd")

GROUP_ONLY = ("alignment", "template", "n_align", "trend_surface", "hemisphere", "targets")
"""Options that do not change a subject's own record (hemisphere and targets are in the regions' keys)."""


@dataclass(frozen=True)
class SubjectTask:
    """All that a worker needs: paths and options, no arrays but the regions."""

    subject: Subject
    thalamus: Region
    cortex: Region
    parts: tuple[Part, ...]
    cleaning: CleaningOptions
    options: GradientOptions
    out: Path


def subject_config(options: GradientOptions, cleaning: CleaningOptions) -> dict[str, Any]:
    """The options that shape a subject's own record, as plain values."""
    shaping = {name: value for name, value in asdict(options).items() if name not in GROUP_ONLY}
    shaping["keep"] = sorted(kept_besides(options))
    return {"gradients": shaping, "cleaning": asdict(cleaning)}


def kept_besides(options: GradientOptions) -> set[str]:
    """What a record holds besides the affinity: a pooled connectivity template needs the connectivity."""
    needed = {"connectivity"} if options.template == "pooled-connectivity" else set()
    return set(options.keep) | needed


def subject_key(task: SubjectTask, part: Part, sha256: list[str]) -> str:
    """The identity of one record: options, regions and the content of every input file."""
    return config_key(RESULT_VERSION, subject_config(task.options, task.cleaning), part.key, sha256)


def run_subject(task: SubjectTask) -> tuple[SubjectRecord, ...]:
    """Compute and write the records of one subject; one BLAS thread, so that bits do not depend on the workers."""
    started = time.perf_counter()
    with threadpool_limits(1):
        prove_device(worker_gpu())
        series = load_series(
            task.subject, task.thalamus, task.cortex, task.cleaning, min_coverage=task.options.min_coverage
        )
        records = []
        for part in task.parts:
            records.append(_run_part(task, part, series, started))
            started = time.perf_counter()
    return tuple(records)


def find_finished(task: SubjectTask, hashes: InputHashes, ledger: Ledger) -> tuple[SubjectRecord, ...]:
    """The subject's records when all of them are on disk, verified, and made from these very inputs and options."""
    found = []
    for part in task.parts:
        path = subject_paths(task.out, task.subject.participant_id, part.hemisphere).record
        if not path.is_file():
            return ()
        sha256 = {file: hashes.sha256(file) for file in task.subject.files}
        key = subject_key(task, part, list(sha256.values()))
        told = find_verified(ledger, path, key, partial(_tell, path, part.n_voxels))
        if told is None:
            return ()
        found.append(_found(told, part, key, sha256))
    return tuple(found)


def note_subject(task: SubjectTask, record: SubjectRecord, ledger: Ledger) -> None:
    """Have a record remembered that was written."""
    path = subject_paths(task.out, record.participant_id, record.hemisphere).record
    told = {name: getattr(record, name) for name in _NOTED}
    told |= {"lambdas": record.lambdas.tolist(), "warnings": list(record.warnings)}
    ledger.note(path, record.key, {path.name: record.stamp}, told)


def _tell(path: Path, n_voxels: int, about: dict[str, Any]) -> dict[str, Any]:
    """What is remembered of a record on disk; the rest is known before it is found."""
    stored = read_record(
        path, {"lambdas": DatasetSpec("float64", (None,)), "covered": DatasetSpec("uint8", (n_voxels,))}
    )
    numbers = {"lambdas": stored.datasets["lambdas"].tolist(), "n_covered": int(stored.datasets["covered"].sum())}
    return {name: about[name] for name in (*_NOTED, "warnings") if name != "n_covered"} | numbers


def _found(told: dict[str, Any], part: Part, key: str, sha256: dict[Path, str]) -> SubjectRecord:
    lambdas, remarks = np.array(told["lambdas"], dtype=np.float64), tuple(told["warnings"])
    return SubjectRecord(
        **{**told, "lambdas": lambdas, "warnings": remarks},
        hemisphere=part.hemisphere,
        key=key,
        n_voxels=part.n_voxels,
        seconds=0.0,
        skipped=True,
        sha256=sha256,
    )


def _run_part(task: SubjectTask, part: Part, series: SubjectSeries, started: float) -> SubjectRecord:
    voxels, targets = series.seed_covered[part.voxels], series.target_covered[part.targets]
    _require_coverage(task, part, voxels, targets)
    seed, target = series.seed[:, part.voxels[voxels]], series.target[:, part.targets[targets]]
    with collect_remarks() as remarks, use_gpu(worker_gpu()) as place:
        result = subject_gradients(place(seed), place(target), task.options, **part.voxel_places(voxels)).on_host()
    key = subject_key(task, part, list(series.sha256.values()))
    attributes = {
        "participant_id": task.subject.participant_id,
        "config": subject_config(task.options, task.cleaning),
        "inputs": hashed_inputs(series.sha256),
        "regions": part.key,
        "n_targets": len(part.targets),
        "n_targets_covered": int(targets.sum()),
        "n_volumes": series.n_volumes,
        "n_kept": series.n_kept,
        "tr": series.tr,
        "mean_fd": series.mean_fd,
        "device": device_name(worker_gpu()),
        "warnings": remarks,
    }
    path = subject_paths(task.out, task.subject.participant_id, part.hemisphere).record
    write_record(path, _datasets(result, part, voxels, targets), attributes, key=key)
    return SubjectRecord(
        participant_id=task.subject.participant_id,
        hemisphere=part.hemisphere,
        key=key,
        n_voxels=part.n_voxels,
        n_covered=int(voxels.sum()),
        n_targets=len(targets),
        n_targets_covered=int(targets.sum()),
        n_volumes=series.n_volumes,
        n_kept=series.n_kept,
        lambdas=result.embedding.lambdas,
        seconds=time.perf_counter() - started,
        skipped=False,
        sha256=series.sha256,
        mean_fd=series.mean_fd,
        warnings=tuple(remarks),
        stamp=stamps([path])[0],
    )


def _require_coverage(task: SubjectTask, part: Part, voxels: NDArray[np.bool_], targets: NDArray[np.bool_]) -> None:
    """A hemisphere may lie outside the scan although the whole is covered well enough."""
    side = f" of hemisphere {part.hemisphere}" if part.hemisphere else ""
    for what, covered, region in (("thalamic voxels", voxels, part.thalamus), ("targets", targets, part.cortex)):
        require_coverage(
            task.subject.runs[0].bold,
            f"{what}{side}",
            covered,
            task.options.min_coverage,
            source=region.source,
            gaps=(),
        )


def _datasets(
    result: SubjectGradients, part: Part, voxels: NDArray[np.bool_], targets: NDArray[np.bool_]
) -> dict[str, NDArray[Any]]:
    """Arrays of the record: rows of voxels without a signal are zero, and `covered` says which."""
    embedding = result.embedding
    affinity = np.asarray(result.affinity, dtype=np.float32)
    datasets: dict[str, NDArray[Any]] = {
        "gradients": scatter(embedding.gradients, voxels),
        "lambdas": embedding.lambdas,
        "gaps": embedding.gaps,
        "explained": embedding.explained,
        "affinity": pack_upper(scatter(scatter(affinity, voxels).T, voxels) if not voxels.all() else affinity),
        "covered": voxels.astype(np.uint8),
    }
    if part.thalamus.ijk is not None:
        datasets["voxel_ijk"] = part.thalamus.ijk
    if result.connectivity is not None:
        datasets["connectivity"] = scatter(scatter(result.connectivity, voxels).T, targets).T
    if result.projections is not None:
        datasets["projections"] = scatter(result.projections, targets)
    return datasets


def scatter(rows: NDArray[Any], covered: NDArray[np.bool_]) -> NDArray[np.float32]:
    """`rows` at the places where `covered` is True, zeros elsewhere, as float32."""
    full = np.zeros((len(covered), *rows.shape[1:]), dtype=np.float32)
    full[covered] = rows
    return full
