"""Tables of `asegstats2table` and `aparcstats2table`."""

from collections.abc import Callable
from pathlib import Path

import pytest

from thalgpu.engine.inputs.freesurfer_stats import AreaStats, icv_of, thalamus_of
from thalgpu.engine.inputs.stats_tables import person_of, read_stats_table, s1_of_tables, volumes_of_tables
from thalgpu.errors import InputError

Write = Callable[..., Path]

ASEG = """Measure:volume\tLeft-Thalamus-Proper\tRight-Thalamus-Proper\tEstimatedTotalIntraCranialVol
sub-01\t6900.5\t6700.0\t1450000.0
sub-02\t7100.0\t7000.0\t1550000.0
"""
THICK = "lh.aparc.thickness,lh_postcentral_thickness,lh_MeanThickness_thickness,eTIV\nsub-01,2.05,2.4,1450000\n"


@pytest.fixture
def table(tmp_path: Path) -> Write:
    def write(text: str, name: str = "table.txt") -> Path:
        path = tmp_path / name
        path.write_text(text)
        return path

    return write


@pytest.mark.parametrize("separator", ["\t", ",", ";", "  "])
def test_volumes_of_a_person_with_any_separator(table: Write, separator: str) -> None:
    found = read_stats_table(table(ASEG.replace("\t", separator)))
    assert (found.measure, found.side, found.ids()) == ("volume", None, ("01", "02"))
    volumes = volumes_of_tables([found], "02")
    assert thalamus_of(found.path, volumes) == {"left": 7100, "right": 7000}
    assert icv_of(found.path, volumes) == 1550000


def test_a_transposed_table_reads_the_same(table: Write) -> None:
    rows = [line.split("\t") for line in ASEG.splitlines()]
    turned = "\n".join("\t".join(column) for column in zip(*rows, strict=True))
    one, other = read_stats_table(table(ASEG, "a.txt")), read_stats_table(table(turned, "b.txt"))
    assert (one.labels, one.columns, one.values.tolist()) == (other.labels, other.columns, other.values.tolist())


def test_thickness_with_and_without_the_hemisphere_in_the_column(table: Write) -> None:
    full = read_stats_table(table(THICK, "full.csv"))
    short = read_stats_table(table("rh.aparc.thickness\tpostcentral\nsub-01\t2.1\n", "short.txt"))
    expected = {"left": {"S1": AreaStats(2.05)}, "right": {"S1": AreaStats(2.1)}}
    assert s1_of_tables([full, short], "01", "aparc") == expected


def test_an_export_with_participant_and_session(table: Write) -> None:
    text = "participant_id,session,ctx_lh_postcentral_thickness,ctx_lh_cuneus_thickness\nsub-7,ses-1,2.0,1.9\n"
    assert s1_of_tables([read_stats_table(table(text))], "7", "aparc") == {"left": {"S1": AreaStats(2.0)}}


def test_s1_of_brodmann_areas_needs_their_surface(table: Write) -> None:
    names = ("BA1", "BA2", "BA3a", "BA3b")
    thick = "lh.BA_exvivo.thickness\t" + "\t".join(f"lh_{name}_exvivo_thickness" for name in names)
    area = thick.replace("thickness", "area")
    thickness = read_stats_table(table(thick + "\nsub-01\t2.2\t2.0\t1.6\t1.4\n", "thick.txt"))
    assert list(s1_of_tables([thickness], "01", "ba")["left"]) == list(names)
    areas = read_stats_table(table(area + "\nsub-01\t60\t120\t180\t240\n", "area.txt"))
    found = s1_of_tables([areas, thickness], "01", "ba")["left"]
    assert found["BA3b"] == AreaStats(1.4, 240)
    assert found["S1"].mean == pytest.approx((2.2 * 60 + 2.0 * 120 + 1.6 * 180 + 1.4 * 240) / 600, rel=1e-15)
    assert s1_of_tables([areas], "01", "ba") == {}


@pytest.mark.parametrize(
    ("label", "person"),
    [
        ("01", "01"),
        ("sub-0012", "0012"),
        ("sub-01_ses-2", "01"),
        ("/data/subjects/sub-01/", "01"),
        ("sub-01.long.sub-01_base", "01"),
        ("HC_01", None),
    ],
)
def test_whose_row_it_is(label: str, person: str | None) -> None:
    assert person_of(label) == person


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("6900.5\t", "", "3 cells under 4 columns"),
        ("6900.5", "many", "'many' is not a finite number"),
        ("6900.5", "inf", "'inf' is not a finite number"),
        ("Right-Thalamus", "Left-Thalamus", "appears twice"),
    ],
)
def test_a_damaged_table_is_refused_with_its_line(table: Write, old: str, new: str, reason: str) -> None:
    with pytest.raises(InputError, match=reason) as caught:
        read_stats_table(table(ASEG.replace(old, new)))
    assert caught.value.where.endswith((":1", ":2"))


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("sub-02", "sub-01", "2 rows of sub-01"),
        ("sub-01", "sub-03", "no row of sub-01"),
    ],
)
def test_a_person_needs_one_row(table: Write, old: str, new: str, reason: str) -> None:
    found = read_stats_table(table(ASEG.replace(old, new)))
    with pytest.raises(InputError, match=reason):
        found.row("01")


@pytest.mark.parametrize("cell", ["", "n/a", "nan", "0.0"])
def test_a_missing_volume_is_the_persons_own_failure(table: Write, cell: str) -> None:
    found = read_stats_table(table(ASEG.replace("6900.5", cell)))
    with pytest.raises(InputError, match=r"left thalamus|no volume of a thalamus"):
        thalamus_of(found.path, found.row("01"))
    assert thalamus_of(found.path, found.row("02"))["left"] == 7100


def test_tables_that_disagree_are_refused(table: Write) -> None:
    one, other = (read_stats_table(table(ASEG.replace("6900.5", v), f"{v}.txt")) for v in ("6900.5", "6900.6"))
    with pytest.raises(InputError, match=r"where another table says 6900\.5"):
        volumes_of_tables([one, other], "01")


def test_two_tables_of_one_area_that_differ_are_refused(table: Write) -> None:
    one, other = (read_stats_table(table(THICK.replace("2.05", v), f"{v}.csv")) for v in ("2.05", "2.15"))
    with pytest.raises(InputError, match=r"thickness of 2\.15 for sub-01 where 2\.05 is given already"):
        s1_of_tables([one, other], "01", "aparc")


def test_a_thickness_that_nobody_has_is_refused(table: Write) -> None:
    found = read_stats_table(table(THICK.replace("2.05", "0.0")))
    with pytest.raises(InputError, match="a thickness of 0 mm"):
        s1_of_tables([found], "01", "aparc")


def test_tables_that_lack_an_area_or_hold_no_volumes(table: Write) -> None:
    text = "lh.BA_exvivo.thickness\tlh_BA1_exvivo_thickness\nsub-01\t2.2\n"
    found = read_stats_table(table(text))
    with pytest.raises(InputError, match="no thickness of BA2 in the left hemisphere"):
        s1_of_tables([found], "01", "ba")
    assert volumes_of_tables([found], "01") == {}
