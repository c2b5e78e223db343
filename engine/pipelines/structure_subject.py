"""The task a worker runs for one measure of one person: read, measure, write one record."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from thalgpu.engine.config import config_key
from thalgpu.engine.inputs.freesurfer_binary import read_surface
from thalgpu.engine.inputs.freesurfer_folder import (
    FreeSurferFolder,
    open_freesurfer,
    read_folder_parcels,
    read_native_s1,
    read_s1_stats,
    read_volumes,
)
from thalgpu.engine.inputs.gifti import Side as Hemisphere
from thalgpu.engine.inputs.s1_names import S1, Atlas
from thalgpu.engine.inputs.thalamus_labels import read_thalamus_labels
from thalgpu.engine.inputs.thickness_maps import S1Parcels, read_s1_parcels, read_thickness_map, require_same_surface
from thalgpu.engine.outputs.sidecars import hashed_inputs
from thalgpu.engine.outputs.store import write_record
from thalgpu.engine.outputs.structure_names import Side, measure_record
from thalgpu.engine.pipelines.input_hashes import InputHashes, input_sha256
from thalgpu.engine.pipelines.ledger import Ledger, Stamp, stamps
from thalgpu.engine.pipelines.remarks import collect_remarks
from thalgpu.engine.pipelines.structure_meshes import read_closed_mesh
from thalgpu.engine.pipelines.structure_sources import HEMISPHERES, MeasureTask
from thalgpu.engine.pipelines.verified import find_verified
from thalgpu.engine.structure.meshing import mesh_of_mask, voxels_of_mask
from thalgpu.engine.structure.thickness import nearest_on_sphere, region_mean
from thalgpu.errors import InputError, NumericsError

RESULT_VERSION = 1
"""Part of every key: raised when the same input and options would give other numbers."""

_Arrays = dict[str, NDArray[Any]]
_Attributes = dict[str, Any]


@dataclass(frozen=True)
class Measured:
    """A record that is on disk, verified.

    Attributes
    ----------
    task : what it is of.
    record : its file.
    key : its identity.
    told : what a ledger remembers of it: "values", "weighted" ones, "icv" (as far as the measure has them), "warnings"
        and names of "datasets".
    seconds : that it took.
    stamp : size and modification time (ns) of its file as it was written; None where it was there already.
    """

    task: MeasureTask
    record: Path
    key: str
    told: dict[str, Any]
    seconds: float = 0.0
    stamp: Stamp | None = None


def find_measured(task: MeasureTask, hashes: InputHashes, ledger: Ledger) -> Measured | None:
    """The person's record when it is on disk and made from these very files and options."""
    path = measure_record(task.out, task.participant_id, task.measure)
    if not path.is_file():
        return None
    key = _key(task, [hashes.sha256(file) for file in task.files])
    told = find_verified(ledger, path, key, _tell)
    return None if told is None else Measured(task, path, key, told)


def run_measure(task: MeasureTask) -> Measured:
    """Measure and write the record; one BLAS thread, so that bits do not depend on the workers."""
    started = time.perf_counter()
    with threadpool_limits(1):
        sha256 = {file: input_sha256(file) for file in task.files}
        with collect_remarks() as remarks:
            attributes, datasets = _MEASURES[task.measure](task)
    key = _key(task, list(sha256.values()))
    about = attributes | {
        "participant_id": task.participant_id,
        "source": task.source,
        "inputs": hashed_inputs(sha256),
        "warnings": remarks,
    }
    path = measure_record(task.out, task.participant_id, task.measure)
    write_record(path, datasets, about, key=key)
    (stamp,) = stamps([path])
    return Measured(task, path, key, _tell(about | {"datasets": datasets}), time.perf_counter() - started, stamp)


def _tell(about: Mapping[str, Any]) -> dict[str, Any]:
    """What is remembered of a record."""
    told = {name: about[name] for name in ("values", "weighted", "icv", "warnings") if name in about}
    return told | {"datasets": sorted(about["datasets"])}


def _key(task: MeasureTask, sha256: list[str]) -> str:
    s1 = [task.s1, task.group_key] if task.measure == "thickness" else []
    return config_key(RESULT_VERSION, task.measure, task.source, s1, sha256)


def _volumes(task: MeasureTask) -> tuple[_Attributes, _Arrays]:
    folder, subject = task.person.folder, task.person.subject
    if task.source == "stats":
        volumes = read_volumes(_present(folder))
        values: dict[str, float] = {str(side): mm3 for side, mm3 in volumes.thalamus.items()} | dict(volumes.nuclei)
        return {"values": list(values.items()), "icv": volumes.icv}, {}
    path = subject.aseg if task.source == "labels" else _present(folder).aseg
    assert path is not None
    return {"values": list(read_thalamus_labels(path).volumes.items()), "icv": None}, {}


def _thickness(task: MeasureTask) -> tuple[_Attributes, _Arrays]:
    means: dict[str, float] = {}
    weighted: dict[str, float] = {}
    datasets: _Arrays = {}
    for side, hemisphere in HEMISPHERES.items():
        if task.source == "stats":
            areas, _ = read_s1_stats(_present(task.person.folder), hemisphere, task.s1)
            means |= {f"{area}_{hemisphere}": stats.mean for area, stats in areas.items()}
            continue
        if task.source == "maps":
            if hemisphere not in task.person.subject.thickness:
                continue
            thickness = read_thickness_map(task.person.subject.thickness[hemisphere], hemisphere)
            parcels = _map_parcels(task, side, len(thickness.values))
            require_same_surface(thickness, parcels)
            values, vertex_areas = thickness.values, None
            datasets[f"{side}/vertices"] = values[parcels.masks[S1]].astype(np.float32)
        else:
            native = read_native_s1(_present(task.person.folder), hemisphere, task.s1)
            values, vertex_areas, parcels = native.thickness.values, native.area, native.parcels
            datasets |= _on_common(task, side, values)
        for area, mask in parcels.masks.items():
            means[f"{area}_{hemisphere}"] = region_mean(values, mask)
            if vertex_areas is not None:
                weighted[f"{area}_{hemisphere}"] = region_mean(values, mask, vertex_areas)
    return {"values": list(means.items()), "weighted": list(weighted.items())}, datasets


def _on_common(task: MeasureTask, side: Side, thickness: NDArray[np.float64]) -> _Arrays:
    """Thickness of S1's vertices of fsaverage, where there are fsaverage and the person's sphere."""
    folder, hemisphere = _present(task.person.folder), HEMISPHERES[side]
    if task.common is None or hemisphere not in folder.sphere:
        return {}
    sphere, parcels = _common_side(task.common.folder.path, task.common.key, hemisphere, task.s1)
    inside = parcels.masks[S1]
    own = read_surface(folder.sphere[hemisphere]).coordinates
    if len(own) != len(thickness):
        reason = f"{len(own)} vertices where the thickness has {len(thickness)}"
        raise InputError(folder.sphere[hemisphere], reason, remedy="run recon-all again")
    return {f"{side}/vertices": thickness[nearest_on_sphere(own, sphere[inside])].astype(np.float32)}


def _map_parcels(task: MeasureTask, side: Side, n_vertices: int) -> S1Parcels:
    """S1 on the surface of the list's thickness maps: the parcellation that is given, else fsaverage's."""
    if task.s1_labels:
        return read_s1_parcels(task.s1_labels["LR".index(side) % len(task.s1_labels)], HEMISPHERES[side], task.s1)
    assert task.common is not None
    return read_folder_parcels(task.common.folder, HEMISPHERES[side], task.s1, n_vertices)


@lru_cache(maxsize=2)
def _common_side(
    path: Path, _content: str, hemisphere: Hemisphere, atlas: Atlas
) -> tuple[NDArray[np.float64], S1Parcels]:
    """Sphere and parcels of one side of fsaverage; kept for the next person, as long as its files are the same."""
    folder = open_freesurfer(path)
    sphere = read_surface(folder.sphere[hemisphere]).coordinates
    return sphere, read_folder_parcels(folder, hemisphere, atlas, len(sphere))


def _shape(task: MeasureTask) -> tuple[_Attributes, _Arrays]:
    datasets: _Arrays = {}
    subject = task.person.subject
    if task.source == "meshes":
        for side, hemisphere in HEMISPHERES.items():
            if hemisphere in subject.meshes:
                mesh = read_closed_mesh(subject.meshes[hemisphere], hemisphere)
                datasets |= {f"{side}/coordinates": mesh.coordinates, f"{side}/faces": mesh.faces}
        return {}, datasets
    path = subject.aseg if task.source == "labels" else _present(task.person.folder).aseg
    assert path is not None
    labels = read_thalamus_labels(path)
    for side, hemisphere in HEMISPHERES.items():
        try:
            vertices, faces = mesh_of_mask(labels.masks[hemisphere], labels.affine)
        except NumericsError as error:
            raise InputError(path, error.what, at=f"{hemisphere} thalamus", remedy=error.remedy) from error
        voxels = voxels_of_mask(labels.masks[hemisphere]).astype(np.int32)
        datasets |= {f"{side}/coordinates": vertices, f"{side}/faces": faces, f"{side}/voxels": voxels}
    return {}, {**datasets, "affine": labels.affine.astype(np.float64)}


_MEASURES: Mapping[str, Any] = {"volumes": _volumes, "thickness": _thickness, "shape": _shape}


def _present(folder: FreeSurferFolder | None) -> FreeSurferFolder:
    assert folder is not None
    return folder
