"""Bytes of NIfTI, CIFTI and GIFTI files: equal arrays give equal bytes."""

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
from isal import isal_zlib
from nibabel.cifti2.cifti2 import Cifti2Image
from nibabel.cifti2.cifti2_axes import BrainModelAxis, LabelAxis, SeriesAxis
from nibabel.gifti.gifti import GiftiDataArray, GiftiImage, GiftiLabel, GiftiLabelTable, GiftiMetaData
from nibabel.nifti1 import Nifti1Header
from numpy.typing import NDArray

from thalgpu.engine.simulate.anatomy import N_PARCELS
from thalgpu.engine.simulate.geometry import Head, Surfaces

INTENT_TIME_SERIES: Final = "NIFTI_INTENT_TIME_SERIES"
_VOX_OFFSET: Final = 352
_MM_SEC: Final = 10
_GZIP: Final = 31  # zlib's code for the largest window inside a gzip frame


def label_nifti(labels: NDArray[np.int16], affine: NDArray[np.float64]) -> bytes:
    """A gzipped 3-D NIfTI of small whole numbers."""
    header = _header(labels.shape, affine)
    return _gzipped(iter([header, labels.tobytes(order="F")]))


def bold_nifti(
    volumes: Iterator[NDArray[np.float32]], head: Head, n_timepoints: int, *, tr: float, slope: float
) -> bytes:
    """A gzipped 4-D NIfTI as int16 with a slope, compressed while the volumes come.

    Parameters
    ----------
    volumes : chunks of (n_volumes, n_elements of the head), scanner units.
    head : where they lie; 0 elsewhere.
    n_timepoints : volumes in all chunks together.
    tr : s.
    slope : scanner units a step of the stored integers.
    """
    header = _header((*head.shape, n_timepoints), head.affine, tr=tr, slope=slope)
    # NIfTI stores x fastest: where each element goes in a volume
    place = np.ravel_multi_index(np.unravel_index(head.flat, head.shape), head.shape, order="F")

    def stored() -> Iterator[bytes]:
        yield header
        for chunk in volumes:
            whole = np.zeros((len(chunk), int(np.prod(head.shape))), dtype="<i2")
            whole[:, place] = np.rint(np.clip(chunk / slope, 0, 32_767))
            yield whole.tobytes()

    return _gzipped(stored())


def dtseries(
    thalamus: NDArray[np.float32], cortex: NDArray[np.float32], head: Head, surfaces: Surfaces, *, tr: float
) -> bytes:
    """A CIFTI-2 dense time series: cortical vertices of both hemispheres, then thalamic voxels of both.

    Parameters
    ----------
    thalamus : (n_timepoints, n_voxels) in the order of `head`, which holds the thalamus only.
    cortex : (n_timepoints, n_vertices) in the order of `surfaces`.
    """
    axis, order = brain_models(head, surfaces)
    values = np.hstack([cortex, thalamus])[:, order]
    return _cifti(values, SeriesAxis(0.0, tr, len(values)), axis, "NIFTI_INTENT_CONNECTIVITY_DENSE_SERIES")


def dlabel(head: Head, surfaces: Surfaces) -> bytes:
    """The cortical parcels as a CIFTI-2 dense label file; the thalamus is unlabelled."""
    axis, order = brain_models(head, surfaces)
    labels = np.concatenate([surfaces.parcels, np.zeros(len(head.flat), dtype=np.int32)])[order]
    table = {key: (name, _colour(key)) for key, name in {0: "???", **parcel_names()}.items()}
    return _cifti(
        labels[None].astype(np.float32), LabelAxis(["parcels"], [table]), axis, "NIFTI_INTENT_CONNECTIVITY_DENSE_LABELS"
    )


def brain_models(head: Head, surfaces: Surfaces) -> tuple[Any, NDArray[np.int64]]:
    """The CIFTI axis, and the position of each of its entries among cortical vertices followed by thalamic voxels."""
    models, order = [], []
    for left in (True, False):
        side = np.flatnonzero(surfaces.is_left == left)
        name = f"CIFTI_STRUCTURE_CORTEX_{'LEFT' if left else 'RIGHT'}"
        models.append(BrainModelAxis.from_surface(surfaces.vertex[side], surfaces.n_vertices, name))
        order.append(side)
    ijk = np.column_stack(np.unravel_index(head.flat, head.shape))
    for left in (True, False):
        side = np.flatnonzero((head.elements.xyz[:, 0] < 0) == left)
        name = f"CIFTI_STRUCTURE_THALAMUS_{'LEFT' if left else 'RIGHT'}"
        voxels = {"voxel": ijk[side], "affine": head.affine, "volume_shape": head.shape}
        models.append(BrainModelAxis(np.full(len(side), name), **voxels))
        order.append(side + len(surfaces.vertex))
    return models[0] + models[1] + models[2] + models[3], np.concatenate(order)


def func_gifti(series: NDArray[np.float32], *, left: bool, tr: float) -> bytes:
    """A func.gii of one hemisphere: one data array a volume, (n_timepoints, n_vertices)."""
    image = GiftiImage(meta=_structure(left))
    meta = {"TimeStep": f"{1000 * tr:g}"}  # ms, as FreeSurfer and fMRIPrep write it
    for volume in series:
        image.add_gifti_data_array(GiftiDataArray(volume, intent=INTENT_TIME_SERIES, datatype="float32", meta=meta))
    return bytes(image.to_bytes())


def label_gifti(surfaces: Surfaces, labels: NDArray[np.int32], names: dict[int, str], *, left: bool) -> bytes:
    """A label.gii of one hemisphere: a label for each cortical vertex, 0 on its medial wall."""
    whole = surfaces.full(labels[None].astype(np.float32), left=left)[0].astype(np.int32)
    table = GiftiLabelTable()
    for key, name in {0: "???", **names}.items():
        entry: Any = GiftiLabel(key, *_colour(key))
        entry.label = name
        table.labels.append(entry)
    image = GiftiImage(labeltable=table, meta=_structure(left))
    image.add_gifti_data_array(GiftiDataArray(whole, intent="NIFTI_INTENT_LABEL", datatype="int32"))
    return bytes(image.to_bytes())


def parcel_names() -> dict[int, str]:
    """Label → name of the cortical parcels: L_01 … L_50, R_01 … R_50."""
    numbers = range(1, N_PARCELS + 1)
    left, right = ({k: f"L_{k:02d}" for k in numbers}, {k + N_PARCELS: f"R_{k:02d}" for k in numbers})
    return left | right


def _header(shape: tuple[int, ...], affine: NDArray[np.float64], *, tr: float = 0.0, slope: float = 1.0) -> bytes:
    header = Nifti1Header()
    header.set_data_dtype(np.dtype("<i2"))
    header.set_data_shape(shape)
    header.set_qform(affine, code="mni")
    header.set_sform(affine, code="mni")
    if tr:
        header["pixdim"][4] = tr
    header["xyzt_units"] = _MM_SEC
    header["vox_offset"] = _VOX_OFFSET
    header["scl_slope"], header["scl_inter"] = slope, 0.0
    return bytes(header.binaryblock) + bytes(4)


def _gzipped(parts: Iterator[bytes]) -> bytes:
    # a gzip header without name and time: nothing but the content decides the bytes
    gzip = isal_zlib.compressobj(level=1, wbits=_GZIP)
    return b"".join([*(gzip.compress(part) for part in parts), gzip.flush()])


def _cifti(values: NDArray[np.float32], first: Any, axis: Any, intent: str) -> bytes:
    image = Cifti2Image(values, header=(first, axis))
    image.nifti_header.set_intent(intent)
    return bytes(image.to_bytes())


def _colour(key: int) -> tuple[float, float, float, float]:
    shade = round(key % N_PARCELS / N_PARCELS, 3)
    return (shade, 0.5, round(1.0 - shade, 3), 1.0 if key else 0.0)


def _structure(left: bool) -> Any:
    return GiftiMetaData({"AnatomicalStructurePrimary": f"Cortex{'Left' if left else 'Right'}"})
