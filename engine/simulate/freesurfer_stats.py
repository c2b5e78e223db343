"""Stats files in the layout of FreeSurfer 7, of a simulated brain."""

from typing import Final

import numpy as np

from thalgpu.engine.simulate.brain_structure import APARC, BRODMANN, Brain

_SEGMENT_IDS: Final = {
    "Left-Lateral-Ventricle": 4, "Left-Cerebellum-White-Matter": 7, "Left-Cerebellum-Cortex": 8, "Left-Thalamus": 10,
    "Left-Caudate": 11, "Left-Putamen": 12, "Left-Pallidum": 13, "3rd-Ventricle": 14, "4th-Ventricle": 15,
    "Brain-Stem": 16, "Left-Hippocampus": 17, "Left-Amygdala": 18, "Left-Accumbens-area": 26, "Left-VentralDC": 28,
    "Right-Lateral-Ventricle": 43, "Right-Cerebellum-White-Matter": 46, "Right-Cerebellum-Cortex": 47,
    "Right-Thalamus": 49, "Right-Caudate": 50, "Right-Putamen": 51, "Right-Pallidum": 52, "Right-Hippocampus": 53,
    "Right-Amygdala": 54, "Right-Accumbens-area": 58, "Right-VentralDC": 60,
}  # fmt: skip
_ASEG_COLUMNS: Final = (
    ("Index", "Index", "NA"),
    ("SegId", "Segmentation Id", "NA"),
    ("NVoxels", "Number of Voxels", "unitless"),
    ("Volume_mm3", "Volume", "mm^3"),
    ("StructName", "Structure Name", "NA"),
    ("normMean", "Intensity normMean", "MR"),
    ("normStdDev", "Intensity normStdDev", "MR"),
    ("normMin", "Intensity normMin", "MR"),
    ("normMax", "Intensity normMax", "MR"),
    ("normRange", "Intensity normRange", "MR"),
)
_SURFACE_COLUMNS: Final = (
    ("StructName", "Structure Name", "NA"),
    ("NumVert", "Number of Vertices", "unitless"),
    ("SurfArea", "Surface Area", "mm^2"),
    ("GrayVol", "Gray Matter Volume", "mm^3"),
    ("ThickAvg", "Average Thickness", "mm"),
    ("ThickStd", "Thickness StdDev", "mm"),
    ("MeanCurv", "Integrated Rectified Mean Curvature", "mm^-1"),
    ("GausCurv", "Integrated Rectified Gaussian Curvature", "mm^-2"),
    ("FoldInd", "Folding Index", "unitless"),
    ("CurvInd", "Intrinsic Curvature Index", "unitless"),
)
_VERTEX_AREA: Final = 0.65  # mm² of white surface a vertex


def stats_files(brain: Brain, participant_id: str) -> dict[str, bytes]:
    """File name → bytes of a person's `stats` folder: aseg, aparc and the Brodmann areas of both hemispheres."""
    files = {"aseg.stats": _aseg(brain, participant_id)}
    for hemi in ("lh", "rh"):
        files[f"{hemi}.aparc.stats"] = _surface(brain, participant_id, hemi, "aparc", tuple(APARC))
        name = "BA_exvivo.thresh"
        files[f"{hemi}.{name}.stats"] = _surface(brain, participant_id, hemi, name, tuple(BRODMANN))
    return {name: text.encode() for name, text in files.items()}


def _aseg(brain: Brain, participant_id: str) -> str:
    brain_volume = 0.74 * brain.icv
    lines = [
        "# Title Segmentation Statistics ",
        *_provenance("volume", participant_id),
        f"# Measure BrainSeg, BrainSegVol, Brain Segmentation Volume, {brain_volume:.6f}, mm^3",
        f"# Measure EstimatedTotalIntraCranialVol, eTIV, Estimated Total Intracranial Volume, {brain.icv:.6f}, mm^3",
        "# VoxelVolume_mm3 1 ",
        *_columns(_ASEG_COLUMNS),
        f"# NRows {len(_SEGMENT_IDS)} ",
        f"# NTableCols {len(_ASEG_COLUMNS)} ",
        f"# ColHeaders  {' '.join(name for name, _, _ in _ASEG_COLUMNS)}  ",
    ]
    for row, (name, label) in enumerate(_SEGMENT_IDS.items(), start=1):
        volume = brain.volumes[name]
        intensity = f"{35.0 if 'Ventricle' in name else 85.0:10.4f} {8.0:10.4f} {20.0:10.4f} {110.0:10.4f} {90.0:10.4f}"
        lines.append(f"{row:3d} {label:3d} {round(volume):9d} {volume:10.1f}  {name:<30s} {intensity} ")
    return "\n".join(lines) + "\n"


def _surface(brain: Brain, participant_id: str, hemi: str, annotation: str, regions: tuple[str, ...]) -> str:
    """A parcellation's table; the measures of its header are those of the whole cortex."""
    thickness, area = brain.thickness[hemi], brain.area[hemi]
    areas = np.array([area[region] for region in APARC])
    mean_thickness = float(np.average([thickness[region] for region in APARC], weights=areas))
    lines = [
        "# Table of FreeSurfer cortical parcellation anatomical statistics ",
        *_provenance("surface", participant_id),
        f"# hemi {hemi}",
        f"# AnnotationFile ../label/{hemi}.{annotation}.annot",
        f"# Measure Cortex, NumVert, Number of Vertices, {round(areas.sum() / _VERTEX_AREA)}, unitless",
        f"# Measure Cortex, WhiteSurfArea, White Surface Total Area, {areas.sum():.1f}, mm^2",
        f"# Measure Cortex, MeanThickness, Mean Thickness, {mean_thickness:.5f}, mm",
        f"# NTableCols {len(_SURFACE_COLUMNS)}",
        *_columns(_SURFACE_COLUMNS),
        f"# ColHeaders {' '.join(name for name, _, _ in _SURFACE_COLUMNS)}",
    ]
    for region in regions:
        mm, mm2 = thickness[region], area[region]
        sizes = f"{round(mm2 / _VERTEX_AREA):6d} {mm2:6.0f} {1.08 * mm * mm2:6.0f}"
        bends = f"{0.11:9.3f} {0.02:9.3f} {0.012 * mm2:8.0f} {0.0013 * mm2:7.1f}"
        lines.append(f"{region:<39s} {sizes} {mm:6.3f} {0.22 * mm:5.3f} {bends}")
    return "\n".join(lines) + "\n"


def _provenance(anatomy: str, participant_id: str) -> list[str]:
    simulated = "# generating_program thalgpu simulate, in the layout of FreeSurfer 7: nobody was measured"
    return ["# ", simulated, f"# anatomy_type {anatomy}", f"# subjectname {participant_id}"]


def _columns(columns: tuple[tuple[str, str, str], ...]) -> list[str]:
    return [
        f"# TableCol {number:2d} {key} {value}"
        for number, column in enumerate(columns, start=1)
        for key, value in zip(("ColHeader", "FieldName", "Units    "), column, strict=True)
    ]
