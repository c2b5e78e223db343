"""The three forms of a subject list, as a user writes them."""

from collections.abc import Callable
from pathlib import Path

import pytest

from thalgpu.engine.inputs.subject_list import read_subject_list
from thalgpu.errors import InputError, ThalgpuWarning

Write = Callable[..., Path]


@pytest.fixture
def touch(tmp_path: Path) -> Write:
    """Make empty files under tmp_path; the list reader looks at names only."""

    def make(*names: str) -> Path:
        for name in names:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).touch()
        return tmp_path / names[0]

    return make


@pytest.fixture
def listing(tmp_path: Path) -> Write:
    def write(text: str | bytes, name: str = "list.txt") -> Path:
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


def test_paths_are_relative_to_the_list(touch: Write, listing: Write) -> None:
    scan = touch("scans/sub-01_task-rest_bold.nii.gz")
    (subject,) = read_subject_list(listing("scans/sub-01_task-rest_bold.nii.gz\n"))
    assert (subject.participant_id, subject.runs[0].bold, subject.line) == ("01", scan, 1)


def test_absolute_paths_are_taken_as_they_are(touch: Write, listing: Write) -> None:
    scan = touch("elsewhere/sub-02_bold.nii")
    assert read_subject_list(listing(f"{scan}\n"))[0].runs[0].bold == scan


def test_leading_zeros_of_an_id_survive(touch: Write, listing: Write) -> None:
    touch("0012.nii.gz", "sub-0013_bold.nii.gz")
    subjects = read_subject_list(listing("0012.nii.gz\nsub-0013_bold.nii.gz"))
    assert [subject.participant_id for subject in subjects] == ["0012", "0013"]


@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"])
def test_byte_order_mark_line_ends_comments_and_blanks_are_passed_over(touch: Write, listing: Write, ends: str) -> None:
    touch("sub-01_bold.nii.gz", "sub-02_bold.nii.gz")
    text = ends.join(["# cohort", "", "  sub-01_bold.nii.gz  ", "   ", "  # not sub-09", "sub-02_bold.nii.gz", ""])
    subjects = read_subject_list(listing(b"\xef\xbb\xbf" + text.encode()))
    assert [(subject.participant_id, subject.line) for subject in subjects] == [("01", 3), ("02", 6)]


def test_a_hash_or_a_space_inside_a_path_belongs_to_it(touch: Write, listing: Write) -> None:
    scan = touch("my #1 scans/sub-01_bold.nii.gz")
    assert read_subject_list(listing("my #1 scans/sub-01_bold.nii.gz"))[0].runs[0].bold == scan


def test_a_comment_after_a_path_is_passed_over(touch: Write, listing: Write) -> None:
    touch("sub-01_bold.nii.gz", "sub-#2_bold.nii.gz", "my #3 scans/sub-03_bold.nii.gz")
    text = "sub-01_bold.nii.gz   # good\nmy #3 scans/sub-03_bold.nii.gz\t# once more #3, like a.nii\n"
    subjects = read_subject_list(listing(text))
    assert [subject.runs[0].bold.name for subject in subjects] == ["sub-01_bold.nii.gz", "sub-03_bold.nii.gz"]
    with pytest.raises(InputError, match=r"no file .*sub-09_bold.nii.gz .*:2"):
        read_subject_list(listing("sub-01_bold.nii.gz\nsub-09_bold.nii.gz # late\n"))
    with pytest.raises(InputError, match=r"'sub-#2_bold.nii.gz' gives no id"):
        read_subject_list(listing("sub-#2_bold.nii.gz # a hash in the name\n"))


def test_a_comment_after_a_label_is_passed_over(touch: Write, listing: Write, tmp_path: Path) -> None:
    touch("d/sub-01/func/sub-01_task-rest_space-MNI_desc-preproc_bold.nii.gz")
    (subject,) = read_subject_list(listing("sub-01 # the first\n"), derivatives=tmp_path / "d")
    assert subject.participant_id == "01"


def test_an_empty_cell_is_none_even_where_something_lies_beside_the_scan(touch: Write, listing: Write) -> None:
    stem = "sub-01_ses-pre_task-rest_run-2"
    bold = touch(f"{stem}_space-MNI_desc-preproc_bold.nii.gz").name
    confounds = touch(f"{stem}_desc-confounds_timeseries.tsv")
    aseg = touch(f"{stem}_space-MNI_desc-aseg_dseg.nii.gz")
    columns = "confounds\taseg\tsession\trun"
    for empty in ("n/a", ""):
        text = f"participant_id\tbold\t{columns}\n01\t{bold}" + f"\t{empty}" * 4
        (subject,) = read_subject_list(listing(text))
        (run,) = subject.runs
        assert (run.confounds, subject.aseg, run.session, run.run) == (None, None, None, None)
    (subject,) = read_subject_list(listing(f"participant_id\tbold\n01\t{bold}"))
    (run,) = subject.runs
    assert (run.confounds, subject.aseg, run.session, run.run) == (confounds, aseg, "pre", "2")


def test_a_dtseries_is_recognised_by_its_name(touch: Write, listing: Write) -> None:
    touch("100307.dtseries.nii")
    (subject,) = read_subject_list(listing("100307.dtseries.nii"))
    assert subject.participant_id == "100307"


def test_confounds_and_segmentation_beside_a_scan_are_found(touch: Write, listing: Write) -> None:
    stem = "sub-01_ses-pre_task-rest_run-2"
    touch(f"{stem}_space-MNI_desc-preproc_bold.nii.gz")
    confounds = touch(f"{stem}_desc-confounds_timeseries.tsv")
    touch(f"{stem}_space-MNI_desc-aseg_dseg.nii.gz")
    segmentation = touch(f"{stem}_space-MNI_desc-aparcaseg_dseg.nii.gz")
    (subject,) = read_subject_list(listing(f"{stem}_space-MNI_desc-preproc_bold.nii.gz"))
    assert subject.runs[0].confounds == confounds
    assert subject.aseg == segmentation
    assert (subject.runs[0].session, subject.runs[0].run) == ("pre", "2")


@pytest.mark.fault("hostile subject list")
def test_one_subject_twice_in_a_list_of_paths_points_to_the_table(touch: Write, listing: Write) -> None:
    touch("sub-01_run-1_bold.nii.gz", "sub-01_run-2_bold.nii.gz")
    with pytest.raises(
        InputError, match=r"sub-01 is on line 1 already \(.*list.txt:2\) — for several runs use a table"
    ):
        read_subject_list(listing("sub-01_run-1_bold.nii.gz\nsub-01_run-2_bold.nii.gz"))


def test_labels_with_and_without_prefix_are_the_same_subject(touch: Write, listing: Write, tmp_path: Path) -> None:
    touch("d/sub-01/func/sub-01_task-rest_space-MNI_desc-preproc_bold.nii.gz")
    with pytest.raises(InputError, match=r"sub-01 is on line 1 already .*:2"):
        read_subject_list(listing("01\nsub-01\n"), derivatives=tmp_path / "d")


def test_labels_are_looked_up_in_derivatives(touch: Write, listing: Write, tmp_path: Path) -> None:
    scans = [
        touch(f"d/sub-{label}/func/sub-{label}_task-rest_space-MNI_desc-preproc_bold.nii.gz")
        for label in ("0012", "A1")
    ]
    subjects = read_subject_list(listing("# ids\nsub-0012\nA1\n"), derivatives=tmp_path / "d")
    assert [(subject.participant_id, subject.runs[0].bold) for subject in subjects] == [
        ("0012", scans[0]),
        ("A1", scans[1]),
    ]


def test_labels_need_derivatives(listing: Write) -> None:
    with pytest.raises(InputError, match=r"'01' is a participant label .*:1.* add --derivatives DIR"):
        read_subject_list(listing("01\n02\n"))


def test_paths_with_derivatives_contradict(touch: Write, listing: Write, tmp_path: Path) -> None:
    touch("sub-01_bold.nii.gz")
    with pytest.raises(InputError, match="--derivatives has no use"):
        read_subject_list(listing("sub-01_bold.nii.gz"), derivatives=tmp_path)


def test_missing_labels_are_all_counted_with_their_lines(touch: Write, listing: Write, tmp_path: Path) -> None:
    touch("d/sub-01/func/sub-01_task-rest_space-MNI_desc-preproc_bold.nii.gz")
    with pytest.raises(InputError, match=r"no scan of sub-02.* and 3 more: line 3: .*; line 4: .*; and 1 others"):
        read_subject_list(listing("01\n02\n03\n04\n05"), derivatives=tmp_path / "d")


def test_rows_of_one_participant_are_runs_in_order(touch: Write, listing: Write) -> None:
    touch("a.nii.gz", "b.nii.gz", "c.nii.gz")
    text = (
        "participant_id\tbold\tsession\trun\nsub-01\tb.nii.gz\tses-1\trun-2\n02\tc.nii.gz\tn/a\t\n01\ta.nii.gz\t1\t1\n"
    )
    first, second = read_subject_list(listing(text))
    assert [(run.bold.name, run.session, run.run) for run in first.runs] == [
        ("b.nii.gz", "1", "2"),
        ("a.nii.gz", "1", "1"),
    ]
    assert (second.participant_id, second.line, second.runs[0].run) == ("02", 3, None)


def test_a_table_names_everything_that_belongs_to_a_scan(touch: Write, listing: Write, tmp_path: Path) -> None:
    names = [
        "bold.nii.gz",
        "conf.tsv",
        "thal.nii.gz",
        "cort.nii.gz",
        "aseg.nii.gz",
        "l.vtk",
        "r.vtk",
        "l.func.gii",
        "r.func.gii",
    ]
    touch(*names, "fs/sub-01/stats/aseg.stats")
    columns = [
        "bold",
        "confounds",
        "thalamus",
        "cortex",
        "aseg",
        "mesh_left",
        "mesh_right",
        "surface_left",
        "surface_right",
        "freesurfer_dir",
    ]
    text = "\t".join(["participant_id", *columns]) + "\n" + "\t".join(["01", *names, "fs/sub-01"]) + "\n"
    (subject,) = read_subject_list(listing(text))
    (run,) = subject.runs
    of_run = [run.bold, run.confounds]
    of_subject = [subject.thalamus, subject.cortex, subject.aseg, subject.mesh_left, subject.mesh_right]
    assert of_run + of_subject + list(run.surfaces or ()) == [tmp_path / name for name in names]
    assert subject.freesurfer_dir == tmp_path / "fs/sub-01"


def test_unknown_columns_are_named_in_a_warning(touch: Write, listing: Write) -> None:
    touch("a.nii.gz")
    path = listing("participant_id\tbold\tconfound\n1\ta.nii.gz\tx.tsv\n")
    with pytest.warns(ThalgpuWarning, match="columns not read: confound"):
        read_subject_list(path)


def test_several_sessions_are_joined_with_a_warning(touch: Write, listing: Write) -> None:
    touch("a.nii.gz", "b.nii.gz")
    path = listing("participant_id\tbold\tsession\n1\ta.nii.gz\tpre\n1\tb.nii.gz\tpost\n")
    with pytest.warns(ThalgpuWarning, match="1 subjects have several sessions"):
        assert len(read_subject_list(path)[0].runs) == 2


@pytest.mark.fault("hostile subject list")
@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("participant_id\tbold\n1\n", "1 cells under 2 columns .*:2"),
        ("participant_id\tbold\n1\ta.nii.gz\textra\n", "3 cells under 2 columns .*:2"),
        ("participant_id\tbold\n1\t\n", "no bold .*:2"),
        ("participant_id\tbold\n\ta.nii.gz\n", "participant id '' is not letters and digits only .*:2"),
        ("participant_id\tbold\n1\tz.nii.gz\n", "bold: no file .*z.nii.gz .*:2"),
        ("participant_id\tbold\n1\tlist.txt\n", "'list.txt' is no scan .*:2"),
        ("participant_id\tbold\tconfounds\n1\ta.nii.gz\tz.tsv\n", "confounds: no file .*z.tsv .*:2"),
        (
            "participant_id\tbold\tsurface_left\n1\ta.nii.gz\ta.nii.gz\n",
            "only one of surface_left and surface_right .*:2",
        ),
        ("participant_id\tbold\trun\n1\ta.nii.gz\t../x\n", "run '../x' is not letters and digits only .*:2"),
        ("participant_id\tbold\n1\ta.nii.gz\n1\ta.nii.gz\n", "the same scan a.nii.gz is given twice to sub-1 "),
        ("participant_id\tbold\n1\ta.nii.gz\n2\ta.nii.gz\n", "a.nii.gz of sub-2 is given to sub-1 already .*:3"),
        (
            "participant_id\tbold\taseg\n1\ta.nii.gz\ta.nii.gz\n1\tb.nii.gz\tb.nii.gz\n",
            "aseg differs between rows .*:3",
        ),
        ("participant_id\tbold\tbold\n1\ta.nii.gz\ta.nii.gz\n", "column 'bold' appears twice .*:1"),
        ("participant_id\tage\n1\t63\n", "the table has no column 'bold' .*:1"),
        ("participant_id\tbold\n", "the table has a header but no row .*:1"),
        ("1\ta.csv\n", "a table without a header .*:1"),
    ],
)
def test_a_faulty_table_names_the_line(touch: Write, listing: Write, table: str, message: str) -> None:
    touch("a.nii.gz", "b.nii.gz")
    with pytest.raises(InputError, match=message):
        read_subject_list(listing(table))
