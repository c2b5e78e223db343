"""The task a worker runs for one subject: read, clean, correlate, write maps, and last the record that vouches."""

import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from thalgpu.engine.config import CleaningOptions, config_key
from thalgpu.engine.connectivity.maps import seed_maps
from thalgpu.engine.connectivity.matrices import region_matrix
from thalgpu.engine.inputs.coverage import require_coverage
from thalgpu.engine.inputs.model import Region, Subject
from thalgpu.engine.inputs.region_parts import region_key, source_name
from thalgpu.engine.inputs.series import LoadedSubject, RegionSeries, load_regions
from thalgpu.engine.outputs.atomic import file_sha256
from thalgpu.engine.outputs.images import Meaning, write_maps
from thalgpu.engine.outputs.names import connectivity_paths
from thalgpu.engine.outputs.sidecars import hashed_inputs, write_sidecar
from thalgpu.engine.outputs.store import DatasetSpec, read_record, write_record
from thalgpu.engine.pipelines.connectivity_seeds import Seeds
from thalgpu.engine.pipelines.input_hashes import InputHashes
from thalgpu.engine.pipelines.ledger import Ledger, Stamp, stamps
from thalgpu.engine.pipelines.verified import find_verified

RESULT_VERSION = 1
"""Part of every key: raised when the same input and options would give other numbers."""

_TOLD = ("participant_id", "n_targets", "n_targets_covered", "n_volumes", "n_kept", "mean_fd")

_LEAST = np.float32(1e-12)
"""Written for a z of exactly 0, since 0 says that there is no signal."""

_MEANING = Meaning(name="fisher z")  # not NIfTI's z score, which is standard normal


@dataclass(frozen=True)
class ConnectivityTask:
    """All that a worker needs: paths and options, no arrays but the regions."""

    subject: Subject
    seeds: Seeds
    cortex: Region
    atlas: Region | None
    regions: tuple[str, ...]
    cleaning: CleaningOptions
    min_coverage: float
    maps: bool
    out: Path

    @property
    def read(self) -> tuple[Region, ...]:
        """What is read of a scan: layers of seeds, targets and, where it is another, the atlas."""
        return (*self.seeds.layers, self.cortex, *((self.atlas,) if self.atlas else ()))


@dataclass(frozen=True)
class ConnectivityRecord:
    """What a worker returns for one subject.

    Attributes
    ----------
    participant_id : without "sub-".
    files : maps and sidecar.
    n_targets, n_targets_covered : targets, and those with a signal.
    key, n_volumes, n_kept, mean_fd, sha256, seconds, skipped : as of `SubjectRecord`.
    stamps : of maps, sidecar and record, as they were written; none where they were found.
    """

    participant_id: str
    key: str
    files: tuple[Path, ...]
    n_targets: int
    n_targets_covered: int
    n_volumes: int
    n_kept: int
    seconds: float
    skipped: bool
    sha256: dict[Path, str] = field(default_factory=dict)
    mean_fd: float | None = None
    stamps: tuple[Stamp, ...] = ()


def subject_key(task: ConnectivityTask, sha256: list[str]) -> str:
    """The identity of one record: options, regions and the content of every input file."""
    return config_key(RESULT_VERSION, _config(task), [region_key(region) for region in task.read], sha256)


def find_finished(task: ConnectivityTask, hashes: InputHashes, ledger: Ledger) -> tuple[ConnectivityRecord, ...]:
    """What is told of a subject whose record and maps are on disk and verified; nothing where they are not."""
    paths = connectivity_paths(task.out, task.subject.participant_id)
    if not paths.record.is_file():
        return ()
    sha256 = {file: hashes.sha256(file) for file in task.subject.files}
    key = subject_key(task, list(sha256.values()))
    told = find_verified(ledger, paths.record, key, _tell)
    if told is None:
        return ()
    files = tuple(paths.record.with_name(name) for name in told.pop("files"))
    return (ConnectivityRecord(**told, key=key, files=files, seconds=0.0, skipped=True, sha256=sha256),)


def note_subject(task: ConnectivityTask, record: ConnectivityRecord, ledger: Ledger) -> None:
    """Have a record and its maps remembered that were written."""
    path = connectivity_paths(task.out, record.participant_id).record
    names = [file.name for file in record.files]
    told = {name: getattr(record, name) for name in _TOLD} | {"files": names}
    ledger.note(path, record.key, dict(zip([*names, path.name], record.stamps, strict=True)), told)


def _tell(about: dict[str, Any]) -> dict[str, Any]:
    """What is remembered of a record."""
    return {name: about[name] for name in _TOLD} | {"files": list(about["files"])}


def run_connectivity_subject(task: ConnectivityTask) -> tuple[ConnectivityRecord, ...]:
    """Compute and write one subject's maps and record; one BLAS thread, so that bits do not depend on the workers."""
    started = time.perf_counter()
    with threadpool_limits(1):
        loaded = load_regions(task.subject, task.read, task.cleaning, min_coverage=task.min_coverage)
        seeds, targets, parcels = _require_signals(task, loaded)
        z = seed_maps(seeds, targets.series).astype(np.float32)
        z[(z == 0) & targets.covered] = _LEAST
        regions = np.hstack([seeds, parcels.series]) if parcels else seeds
        covered = np.concatenate([np.ones(seeds.shape[1], dtype=bool), parcels.covered if parcels else []])
        datasets: dict[str, NDArray[Any]] = {
            "z": z,
            "targets_covered": targets.covered.astype(np.uint8),
            "regions": region_matrix(regions),
            "regions_covered": covered.astype(np.uint8),
        }
    files = _write_maps(task, loaded, z) if task.maps else ()
    about = {
        "participant_id": task.subject.participant_id,
        "config": _config(task),
        "inputs": hashed_inputs(loaded.sha256),
        "seeds": list(task.seeds.names),
        "region_names": list(task.regions),
        "files": {path.name: file_sha256(path) for path in files},
        "n_targets": task.cortex.n_units,
        "n_targets_covered": int(targets.covered.sum()),
        "n_volumes": loaded.n_volumes,
        "n_kept": len(seeds),
        "mean_fd": loaded.mean_fd,
    }
    record = connectivity_paths(task.out, task.subject.participant_id).record
    key = subject_key(task, list(loaded.sha256.values()))
    write_record(record, datasets, about, key=key)
    told = ConnectivityRecord(
        participant_id=task.subject.participant_id,
        key=key,
        files=files,
        n_targets=task.cortex.n_units,
        n_targets_covered=int(targets.covered.sum()),
        n_volumes=loaded.n_volumes,
        n_kept=len(seeds),
        seconds=time.perf_counter() - started,
        skipped=False,
        sha256=loaded.sha256,
        mean_fd=loaded.mean_fd,
        stamps=tuple(stamps((*files, record))),
    )
    return (told,)


def read_regions(task: ConnectivityTask) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """The region × region matrix of a finished subject, and which regions have a signal."""
    n = len(task.regions)
    expected = {"regions": DatasetSpec("float64", (n, n)), "regions_covered": DatasetSpec("uint8", (n,))}
    record = connectivity_paths(task.out, task.subject.participant_id).record
    stored = read_record(record, expected).datasets
    return stored["regions"], stored["regions_covered"].astype(bool)


def read_z(task: ConnectivityTask) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """The (n_seeds, n_targets) maps of a finished subject, and which targets have a signal."""
    n_seeds, n_targets = len(task.seeds.names), task.cortex.n_units
    expected = {
        "z": DatasetSpec("float32", (n_seeds, n_targets)),
        "targets_covered": DatasetSpec("uint8", (n_targets,)),
    }
    record = connectivity_paths(task.out, task.subject.participant_id).record
    stored = read_record(record, expected).datasets
    return stored["z"], stored["targets_covered"].astype(bool)


def _config(task: ConnectivityTask) -> dict[str, Any]:
    """The options that shape a subject's own record, as plain values."""
    return {"cleaning": asdict(task.cleaning), "min_coverage": task.min_coverage, "maps": task.maps}


def _require_signals(
    task: ConnectivityTask, loaded: LoadedSubject
) -> tuple[NDArray[np.float32], RegionSeries, RegionSeries | None]:
    """(n_kept, n_seeds) series of all seeds, those of targets and parcels; InputError for too little signal."""
    n_layers, path = len(task.seeds.layers), task.subject.runs[0].bold
    layers, targets = loaded.regions[:n_layers], loaded.regions[n_layers]
    atlas = loaded.regions[n_layers + 1] if task.atlas else None
    for region, layer in zip(task.seeds.layers, layers, strict=True):
        lacking = [name for name, covered in zip(region.names, layer.covered, strict=True) if not covered]
        what = f"seeds (all but {', '.join(lacking)})"
        require_coverage(path, what, layer.covered, 1.0, source=region.source, gaps=layer.gaps)
    for what, whole, found in (("targets", task.cortex, targets), ("parcels", task.atlas, atlas)):
        if whole is not None and found is not None:
            require_coverage(path, what, found.covered, task.min_coverage, source=whole.source, gaps=found.gaps)
    parcels = atlas or (targets if task.cortex.parcel is not None else None)
    return np.hstack([layer.series for layer in layers]), targets, parcels


def _write_maps(task: ConnectivityTask, loaded: LoadedSubject, z: NDArray[np.float32]) -> tuple[Path, ...]:
    """A map a seed, and the sidecar of them all; the paths written."""
    paths = connectivity_paths(task.out, task.subject.participant_id)
    written: list[Path] = []
    for name, values in zip(task.seeds.names, z, strict=True):
        written += write_maps(paths.maps(name, task.cortex.grid), values, task.cortex, (name,), _MEANING)
    write_sidecar(
        paths.sidecar,
        {
            "Description": "Fisher's z of the correlation of a seed's mean series with every target; 0: no signal",
            "Seeds": list(task.seeds.names),
            "Options": _config(task),
            "Inputs": hashed_inputs(loaded.sha256),
            "SeedRegions": [
                {"Source": source_name(layer), "Key": key}
                for layer, key in zip(task.seeds.layers, task.seeds.keys, strict=True)
            ],
            "Targets": {"Source": source_name(task.cortex), "Key": region_key(task.cortex)},
            "VolumesKept": len(loaded.regions[0].series),
        },
    )
    return (*written, paths.sidecar)
