"""Stats files as FreeSurfer writes them, by version."""

from collections.abc import Callable
from pathlib import Path

import pytest

from thalgpu.engine.inputs.freesurfer_stats import (
    AreaStats,
    icv_of,
    read_nuclei,
    read_stats,
    s1_stats,
    thalamus_of,
)
from thalgpu.engine.inputs.s1_names import AreaName, s1_area
from thalgpu.errors import InputError

Write = Callable[..., Path]

ASEG = """# Title Segmentation Statistics
# subjectname sub-01
# Measure BrainSeg, BrainSegVol, Brain Segmentation Volume, 1100000.000000, mm^3
# Measure lhSurfaceHoles, lhSurfaceHoles, Number of defect holes in lh surfaces prior to fixing, 24, unitless
# Measure EstimatedTotalIntraCranialVol, eTIV, Estimated Total Intracranial Volume, 1450000.5, mm^3
# NRows 3
# ColHeaders  Index SegId NVoxels Volume_mm3 StructName normMean normStdDev normMin normMax normRange
  1  10   7000   6900.5  {0}     83.3   10.4    27.0   114.0    87.0
  2  49   6800   6700.25 {1}     83.3   10.4    27.0   114.0    87.0
  3  30      0      0.0  Left-vessel        nan    nan      0.0     0.0     0.0
"""
APARC = """# hemi lh
# ColHeaders StructName NumVert SurfArea GrayVol ThickAvg ThickStd MeanCurv GausCurv FoldInd CurvInd
precentral                               7000   4700  13000  2.500 0.600     0.110     0.025       60     6.0
postcentral                              6000   4000   9000  2.050 0.550     0.120     0.025       55     inf
"""
BA = """# hemi rh
# ColHeaders StructName NumVert SurfArea GrayVol ThickAvg ThickStd MeanCurv GausCurv FoldInd CurvInd
BA1_exvivo    100  60  130  2.2 0.6  0.1  0.02  6  6.0
BA2_exvivo    200 120  260  2.0 0.6  0.1  0.02  6  6.0
BA3a_exvivo   300 180  390  1.6 0.6  0.1  0.02  6  6.0
BA3b_exvivo   400 240  520  1.4 0.6  0.1  0.02  6  6.0
V1_exvivo     400 240  520  1.5 0.6  0.1  0.02  6  6.0
"""


@pytest.fixture
def stats(tmp_path: Path) -> Write:
    def write(text: str, name: str = "aseg.stats") -> Path:
        path = tmp_path / name
        path.write_text(text)
        return path

    return write


@pytest.mark.parametrize("name", ["Thalamus", "Thalamus-Proper"], ids=["version 7", "version 5 and 6"])
def test_thalamus_and_intracranial_volume_by_the_names_of_each_version(stats: Write, name: str) -> None:
    found = read_stats(stats(ASEG.format(f"Left-{name}", f"Right-{name}")))
    assert thalamus_of(found.path, found.volumes) == {"left": 6900.5, "right": 6700.25}
    assert icv_of(found.path, found.volumes) == 1450000.5
    assert found.measures["lhSurfaceHoles"] == 24  # its description has commas
    assert found.subject == "sub-01"


def test_numbers_that_are_not_finite_are_left_out_of_their_row(stats: Write) -> None:
    row = read_stats(stats(ASEG.format("Left-Thalamus", "Right-Thalamus"))).rows["Left-vessel"]
    assert row["Volume_mm3"] == 0
    assert "normMean" not in row


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("6900.5", "0.0", "0 mm³ is no volume of a thalamus"),
        ("6900.5", "-5", "-5 mm³ is no volume"),
        ("6900.5", "690050", "690050 mm³ is no volume"),
        ("6900.5", "nan", "no volume of the left thalamus"),
        ("Left-Thalamus", "Left-Caudate", "no volume of the left thalamus"),
        ("1450000.5", "1450.5", "an intracranial volume of 1450.5 mm³ is not credible"),
    ],
)
def test_volumes_that_nobody_has_are_refused(stats: Write, old: str, new: str, reason: str) -> None:
    found = read_stats(stats(ASEG.format("Left-Thalamus", "Right-Thalamus").replace(old, new)))
    with pytest.raises(InputError, match=reason):
        (thalamus_of(found.path, found.volumes), icv_of(found.path, found.volumes))


def test_a_file_without_intracranial_volume_has_none(stats: Write) -> None:
    found = read_stats(stats(APARC))
    assert icv_of(found.path, found.volumes) is None


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("# NRows 3", "# NRows 4", "3 rows where its header says '4'"),
        ("  83.3   10.4", "  83.3", "9 cells under 10 columns"),
        ("6900.5", "6900,5", "'6900,5' is not a number"),
        ("# ColHeaders", "# Columns", "a row before the line # ColHeaders"),
        ("Right-Thalamus", "Left-Thalamus", "appears twice"),
        ("1450000.5, mm^3", "many, mm^3", "'many' is not a number"),
        ("# Measure BrainSeg, BrainSegVol, Brain", "# Measure Brain", "is not a measure"),
    ],
)
def test_a_damaged_file_is_refused_with_its_line(stats: Write, old: str, new: str, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        read_stats(stats(ASEG.format("Left-Thalamus", "Right-Thalamus").replace(old, new, 1)))


def test_s1_is_the_postcentral_gyrus_of_aparc(stats: Write) -> None:
    found = read_stats(stats(APARC, "lh.aparc.stats"))
    assert found.side == "left"
    assert s1_stats(found, "aparc") == {"S1": AreaStats(2.05, 4000, 6000)}


def test_s1_of_brodmann_areas_is_the_mean_over_their_vertices(stats: Write) -> None:
    found = s1_stats(read_stats(stats(BA, "rh.BA_exvivo.thresh.stats")), "ba")
    assert list(found) == ["S1", "BA1", "BA2", "BA3a", "BA3b"]
    assert found["BA3b"] == AreaStats(1.4, 240, 400)
    assert found["S1"].mean == pytest.approx((2.2 * 1 + 2.0 * 2 + 1.6 * 3 + 1.4 * 4) / 10, rel=1e-15)
    assert (found["S1"].area, found["S1"].n_vertices) == (600, 1000)


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("BA3a_exvivo", "BA4a_exvivo", "no BA3a among its structures"),
        ("1.4", "14", "a thickness of 14 mm"),
        ("1.4", "nan", "no ThickAvg"),
        ("400 240", "0 240", "an area without vertices"),
    ],
)
def test_areas_that_cannot_be_used_are_named(stats: Write, old: str, new: str, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        s1_stats(read_stats(stats(BA.replace(old, new, 1))), "ba")


def test_nuclei_of_both_kinds_of_files(stats: Write) -> None:
    text = stats(
        "Left-MDm 700.5\nRight-MDm 690.0\nLeft-L-Sg 30.1\nLeft-MV(Re) 9.9\nLeft-Whole_thalamus 7000\n", "v.txt"
    )
    volumes, sha256 = read_nuclei(text)
    assert volumes == {
        "MDm_left": 700.5, "MDm_right": 690.0, "L-Sg_left": 30.1, "MV(Re)_left": 9.9, "Whole_thalamus_left": 7000.0
    }  # fmt: skip
    assert len(sha256) == 64
    table = (
        "# Measure X, ICV, ICV, 1500000, mm^3\n# ColHeaders Index SegId NVoxels Volume_mm3 StructName\n1 8 0 90.5 AV\n"
    )
    assert read_nuclei(stats(table, "thalamic-nuclei.rh.v12.T1.stats"))[0] == {"AV_right": 90.5}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("Left-AV ninety\n", "is not a name and a volume"),
        ("Left-AV -4\n", "a volume of -4 mm³"),
        ("AV 90\n", "'AV' does not say its side"),
        ("Left-AV 90\nLeft-AV 91\n", "appears twice"),
        ("", "no nucleus"),
    ],
)
def test_nuclei_that_cannot_be_used_are_named(stats: Write, text: str, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        read_nuclei(stats(text, "ThalamicNuclei.volumes.txt"))


@pytest.mark.parametrize(
    ("name", "meaning"),
    [
        ("postcentral", AreaName("aparc", "S1", None)),
        ("ctx-lh-postcentral", AreaName("aparc", "S1", "left")),
        ("R_postcentral", AreaName("aparc", "S1", "right")),
        ("lh.BA3b_exvivo.thresh", AreaName("ba", "BA3b", "left")),
        ("BA1", AreaName("ba", "BA1", None)),
        ("L_3a_ROI", AreaName("glasser", "area3a", "left")),
        ("3b_R", AreaName("glasser", "area3b", "right")),
        ("R_2_ROI-rh", AreaName("glasser", "area2", "right")),
        ("3b", None),
        ("G_postcentral", None),
        ("BA10", None),
        ("L_33pr_ROI", None),
        ("L_1_ROIs", None),
    ],
)
def test_names_of_s1_in_every_spelling(name: str, meaning: AreaName | None) -> None:
    assert s1_area(name) == meaning
