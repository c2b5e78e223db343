"""`thalgpu structure` from the command line to files, and on to a test of groups, as a user meets it."""

import hashlib
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from nibabel.freesurfer import io as freesurfer
from scipy.spatial import ConvexHull
from scipy.spatial.transform import Rotation

from thalgpu.engine.inputs.mesh_files import read_triangles

N_SUBJECTS = 8
RADII = np.array([5.0, 9.0, 6.0])
PLANTED_MM = 1.0


def _sphere(n):
    """Even points on a sphere and their triangles, wound outwards."""
    k = np.arange(n) + 0.5
    polar, around = np.arccos(1 - 2 * k / n), np.pi * (1 + 5**0.5) * k
    points = np.column_stack([np.cos(around) * np.sin(polar), np.sin(around) * np.sin(polar), np.cos(polar)])
    faces = ConvexHull(points).simplices.astype(np.int64)
    inward = np.einsum("ij,ij->i", points[faces[:, 0]], np.cross(points[faces[:, 1]], points[faces[:, 2]])) < 0
    faces[inward] = faces[inward][:, ::-1]
    return points, faces


def _is_patient(number):
    return number % 2 == 0


def _write_first(folder, who, rng, *, patient):
    """Meshes of both thalami as FIRST writes them; patients' have a bump of 1 mm in front."""
    points, faces = _sphere(200)
    for side, x in (("L", -12.0), ("R", 12.0)):
        out = points / RADII
        out /= np.linalg.norm(out, axis=1, keepdims=True)
        bump = PLANTED_MM * np.exp(-((points - [0, 1, 0]) ** 2).sum(axis=1) / 0.3) if patient else np.zeros(200)
        vertices = points * RADII + out * (bump + rng.normal(0, 0.1, 200))[:, None]
        place = rng.normal([x, -15.0, 8.0], 1.0)
        vertices = Rotation.from_rotvec(rng.normal(0, 0.1, 3)).apply(vertices) + place
        rows = [" ".join(map(str, row)) for row in vertices] + [f"POLYGONS {len(faces)} {4 * len(faces)}"]
        rows += [f"3 {a} {b} {c}" for a, b, c in faces]
        header = ["# vtk DataFile Version 3.0", "mesh", "ASCII", "DATASET POLYDATA", "POINTS 200 float"]
        (folder / f"{who}-{side}_Thal_first.vtk").write_text("\n".join(header + rows) + "\n")


def _write_aseg_stats(folder, volumes, icv):
    (folder / "stats").mkdir(parents=True)
    measure = f"# Measure EstimatedTotalIntraCranialVol, eTIV, Estimated Total Intracranial Volume, {icv}, mm^3"
    rows = [f" {k} {k} 7000 {value} {name}" for k, (name, value) in enumerate(volumes.items(), 1)]
    text = "\n".join([measure, "# ColHeaders Index SegId NVoxels Volume_mm3 StructName", *rows])
    (folder / "stats" / "aseg.stats").write_text(text + "\n")


def _write_cortex(folder, rng, n_vertices):
    """Surfaces of one person, or of fsaverage: thickness, areas, the sphere, and an annotation with S1 in front."""
    points, faces = _sphere(n_vertices)
    for name in ("surf", "label"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    thickness = {}
    for h in ("lh", "rh"):
        values = rng.uniform(1.5, 3.5, n_vertices).astype(np.float32)
        areas = rng.uniform(0.5, 1.5, n_vertices).astype(np.float32)
        inside = points[:, 1] > 0.5
        freesurfer.write_morph_data(str(folder / "surf" / f"{h}.thickness"), values)
        freesurfer.write_morph_data(str(folder / "surf" / f"{h}.area"), areas)
        for surface in ("sphere.reg", "white"):
            freesurfer.write_geometry(str(folder / "surf" / f"{h}.{surface}"), 100 * points, faces)
        colours = np.array([[25, 5, 25, 0, 0], [220, 20, 20, 0, 0]])
        names = ["unknown", "postcentral"]
        freesurfer.write_annot(
            str(folder / "label" / f"{h}.aparc.annot"), inside.astype(int), colours, names, fill_ctab=True
        )
        side = "left" if h == "lh" else "right"
        thickness[side] = values[inside].mean(dtype=np.float64), np.average(values[inside], weights=areas[inside])
    return thickness


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    """A SUBJECTS_DIR with fsaverage, meshes, a list and a table of eight people; never written to. And the truth."""
    root, rng = tmp_path_factory.mktemp("structure"), np.random.default_rng(4)
    (root / "first").mkdir()
    truth, rows = {}, ["participant_id\tgroup"]
    _write_cortex(root / "fs" / "fsaverage", rng, 300)
    for number in range(1, N_SUBJECTS + 1):
        who = f"sub-{number:02d}"
        left, right, icv = rng.normal(7000, 400), rng.normal(7000, 400), rng.normal(1.5e6, 1e5)
        _write_aseg_stats(root / "fs" / who, {"Left-Thalamus": left, "Right-Thalamus": right}, icv)
        (root / "fs" / who / "mri").mkdir()
        nuclei = f"Left-MDm {100 + number}\nRight-MDm {110 + number}\n"
        (root / "fs" / who / "mri" / "ThalamicNuclei.v13.T1.volumes.txt").write_text(nuclei)
        thickness = _write_cortex(root / "fs" / who, rng, 250)
        _write_first(root / "first", who, rng, patient=_is_patient(number))
        truth[who] = {"left": left, "right": right, "icv": icv, "thickness": thickness}
        rows.append(f"{who}\t{'patient' if _is_patient(number) else 'control'}")
    (root / "list.txt").write_text("\n".join(truth) + "\n")
    (root / "participants.tsv").write_text("\n".join(rows) + "\n")
    return root, truth


@pytest.fixture(scope="module")
def arguments(people):
    root, _ = people
    given = ("--freesurfer", root / "fs", "--meshes", root / "first", "--participants", root / "participants.tsv")
    return ("structure", "--subjects", root / "list.txt", *given)


@pytest.fixture(scope="module")
def out(tmp_path_factory, thalgpu, arguments):
    folder = tmp_path_factory.mktemp("run") / "out"
    done = thalgpu(*arguments, "--out", folder, "--workers", 1)
    assert done.exit_code == 0, done.out + done.err
    return folder


def digests(out: Path) -> dict[str, str]:
    """SHA-256 of every result; logs and the lock are not results."""
    files = (path for path in sorted(out.rglob("*")) if path.is_file())
    return {
        str(path.relative_to(out)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
        if path.parent.name != "logs" and path.name != ".thalgpu.lock"
    }


def _table(path):
    header, *rows = [line.split("\t") for line in path.read_text().splitlines()]
    return {row[0]: dict(zip(header[1:], row[1:], strict=True)) for row in rows}


def test_tables_hold_what_the_files_say(out, people):
    _, truth = people
    volumes, icv, with_icv = (_table(out / f"{name}.tsv") for name in ("volumes", "icv", "participants"))
    plain, weighted = (_table(out / f"{name}.tsv") for name in ("thickness", "thickness_area"))
    assert list(volumes) == list(truth)
    assert [float(row["MDm_right"]) for row in volumes.values()] == [110 + k for k in range(1, N_SUBJECTS + 1)]
    for who, of in truth.items():
        assert float(volumes[who]["total"]) == pytest.approx(of["left"] + of["right"], rel=1e-6)
        expected = (of["left"] - of["right"]) / (of["left"] + of["right"]) * 2
        assert float(volumes[who]["asymmetry"]) == pytest.approx(expected, abs=1e-6)
        assert float(icv[who]["icv"]) == float(with_icv[who]["icv"]) == pytest.approx(of["icv"], rel=1e-6)
        for side, (mean, by_area) in of["thickness"].items():
            assert float(plain[who][f"S1_{side}"]) == pytest.approx(mean, rel=1e-6)
            assert float(weighted[who][f"S1_{side}_area"]) == pytest.approx(by_area, rel=1e-6)


def test_displacement_is_that_which_was_planted(out, people):
    _, truth = people
    template = read_triangles(out / "group" / "hemi-L_seg-thalamus_desc-template.surf.gii")
    assert len(read_triangles(out / "group" / "hemi-L_seg-thalamus_desc-template.vtk").faces) == len(template.faces)
    found = np.stack(
        [
            nib.load(out / who / "anat" / f"{who}_hemi-L_seg-thalamus_stat-displacement.shape.gii").darrays[0].data
            for who in truth
        ]
    )
    patients = np.array([_is_patient(number) for number in range(1, N_SUBJECTS + 1)])
    difference = found[patients].mean(axis=0) - found[~patients].mean(axis=0)
    assert difference.max() == pytest.approx(PLANTED_MM, abs=0.25)  # mm; noise of 0.1 mm, and the fit's own shift
    assert np.argmax(difference) in np.argsort(template.coordinates[:, 1])[-12:]  # in front
    np.testing.assert_allclose(found.mean(axis=0), 0, atol=1e-5)


def test_thickness_of_s1_lies_on_fsaverage(out, people):
    root, _ = people
    values = nib.load(out / "sub-01" / "anat" / "sub-01_hemi-R_thickness.shape.gii").darrays[0].data
    mesh = read_triangles(out / "group" / "hemi-R_desc-common.surf.gii")
    assert values.shape == (300,) == mesh.coordinates[:, 0].shape
    inside = mesh.coordinates[:, 1] > 50
    assert (values[~inside] == 0).all()
    own = freesurfer.read_morph_data(str(root / "fs" / "sub-01" / "surf" / "rh.thickness"))
    assert np.isin(values[inside], own).all()


def test_the_report_shows_tables_and_meshes(out):
    page = (out / "report.html").read_text()
    assert "Thickness of S1, weighted by area" in page
    assert "data:image/png;base64," in page
    assert "http://" not in page.replace("http://www.w3.org", "")


@pytest.mark.parametrize("workers", [1, 2])
def test_a_second_run_verifies_and_changes_nothing(out, thalgpu, arguments, tmp_path, workers):
    shutil.copytree(out, tmp_path / "again")
    if workers == 2:  # what is gone is made again, in other processes
        for path in (tmp_path / "again").glob("sub-0[3-6]/anat/*.h5"):
            path.unlink()
    done = thalgpu(*arguments, "--out", tmp_path / "again", "--workers", workers)
    assert done.exit_code == 0, done.err
    assert f"{24 if workers == 1 else 12} records verified" in done.out
    assert digests(tmp_path / "again") == digests(out)


@pytest.mark.fault("kill -9 of the parent, a worker or all")
def test_a_killed_run_goes_on_and_ends_in_the_same_bytes(out, thalgpu, arguments, tmp_path):
    killer = (
        "import os, signal, sys\n"
        "from thalgpu.cli.main import main\n"
        "from thalgpu.engine.pipelines import structure_subject as stage\n"
        "write, written = stage.write_record, []\n"
        "def once_too_often(*given, **named):\n"
        "    written.append(given)\n"
        "    if len(written) == 10: os.kill(os.getpid(), signal.SIGKILL)\n"
        "    return write(*given, **named)\n"
        "stage.write_record = once_too_often\n"
        "main(sys.argv[1:])\n"
    )
    command = [*map(str, arguments), "--out", str(tmp_path / "out"), "--workers", "1"]
    killed = subprocess.run([sys.executable, "-c", killer, *command], capture_output=True, check=False)
    assert killed.returncode == -9, killed.stderr.decode()
    assert len(list((tmp_path / "out").rglob("*.h5"))) == 9
    done = thalgpu(*command)
    assert done.exit_code == 0, done.err
    assert "9 records verified" in done.out
    assert digests(tmp_path / "out") == digests(out)


@pytest.mark.fault("damaged FreeSurfer, FIRST or table file")
def test_one_bad_subject_is_named_and_the_others_go_on(thalgpu, people, tmp_path):
    root, _ = people
    shutil.copytree(root / "first", tmp_path / "first")
    bad = tmp_path / "first" / "sub-03-R_Thal_first.vtk"
    bad.write_text(bad.read_text()[:2000])
    (tmp_path / "first" / "sub-05-L_Thal_first.vtk").unlink()
    flat = tmp_path / "first" / "sub-06-L_Thal_first.vtk"
    flat.write_text(re.sub(r"(?m)^(\S+ \S+) \S*\.\S*$", r"\1 0.0", flat.read_text()))
    command = ("structure", "--subjects", root / "list.txt", "--meshes", tmp_path / "first", "--out", tmp_path / "out")
    done = thalgpu(*command, "--workers", 1)
    assert done.exit_code == 3
    assert "failed: sub-03:" in done.out
    assert "sub-03-R_Thal_first.vtk" in done.out
    assert "failed: sub-05: no mesh of hemi-L" in done.out
    quality = (tmp_path / "out" / "shape_qc.tsv").read_text()
    assert "sub-03" not in quality
    assert quality.count("sub-05") == 1
    assert "failed: sub-06: the mesh encloses no volume" in done.out
    assert quality.count("sub-0") == 11
    assert "NaN" not in quality


def test_groups_differ_where_it_was_planted(out, thalgpu, people, tmp_path):
    root, _ = people
    maps = sorted(out.glob("sub-*/anat/*hemi-L*displacement.shape.gii"))
    surface = out / "group" / "hemi-L_seg-thalamus_desc-template.surf.gii"
    design = ("--design", root / "participants.tsv", "--formula", "group", "--contrast", "patient - control")
    done = thalgpu(
        "permute",
        *maps,
        "--surface",
        surface,
        "--tfce",
        *design,
        "--n-perm",
        0,
        "--workers",
        1,
        "--out",
        tmp_path / "t",
    )
    assert done.exit_code == 0, done.err
    (name,) = (tmp_path / "t").rglob("*stat-tfcepfwe*.gii")
    significant = nib.load(name).darrays[0].data < 0.05
    front = read_triangles(surface).coordinates[:, 1]
    assert 3 <= significant.sum() <= 40
    assert front[significant].min() > np.median(front)


def test_tables_alone_are_enough_and_icv_is_taken_out(thalgpu, people, tmp_path):
    root, truth = people
    rows = [f"{who}\t{of['left']}\t{of['right']}\t{of['icv']}" for who, of in truth.items()]
    header = "Measure:volume\tLeft-Thalamus-Proper\tRight-Thalamus-Proper\tEstimatedTotalIntraCranialVol"
    (tmp_path / "aseg.tsv").write_text("\n".join([header, *rows]) + "\n")
    command = ("structure", "--subjects", root / "list.txt", "--aseg-table", tmp_path / "aseg.tsv")
    done = thalgpu(*command, "--out", tmp_path / "out", "--icv", "residual")
    assert done.exit_code == 0, done.err
    assert "shape left out" in done.out
    found = np.array([float(row["left"]) for row in _table(tmp_path / "out" / "volumes.tsv").values()])
    icv = np.array([of["icv"] for of in truth.values()])
    assert np.corrcoef(found, icv)[0, 1] == pytest.approx(0, abs=1e-5)  # the table has 8 digits
    other = thalgpu(*command, "--out", tmp_path / "out", "--icv", "proportion")
    assert other.exit_code == 0  # tables leave no records that could be mixed
    assert float(_table(tmp_path / "out" / "volumes.tsv")["sub-01"]["left"]) < 0.01


def test_label_images_get_meshes_of_one_template(thalgpu, tmp_path):
    pytest.importorskip("skimage", reason="scikit-image makes surfaces of label images")
    rng, rows = np.random.default_rng(5), ["participant_id\taseg"]
    grid = np.stack(np.meshgrid(*[np.arange(n) for n in (40, 26, 20)], indexing="ij"), axis=-1) - [19.5, 13.0, 10.0]
    for number in (1, 2):
        turn = Rotation.from_rotvec(rng.normal(0, 0.1, 3)).as_matrix()
        labels = np.zeros(grid.shape[:3], np.uint8)
        for label, x in ((10, -10.0), (49, 10.0)):
            radii = RADII * rng.normal(1, 0.04, 3)
            labels[(((grid - [x, 0, 0]) @ turn / radii) ** 2).sum(axis=-1) < 1] = label
        affine = np.eye(4)
        affine[:3, 3] = [-19.5, -13.0, -10.0]
        nib.save(nib.Nifti1Image(labels, affine), tmp_path / f"sub-{number}_aseg.nii.gz")
        rows.append(f"sub-{number}\tsub-{number}_aseg.nii.gz")
    (tmp_path / "list.tsv").write_text("\n".join(rows) + "\n")
    command = ("structure", "--subjects", tmp_path / "list.tsv", "--out", tmp_path / "out", "--workers", 1)
    done = thalgpu(*command)
    assert done.exit_code == 0, done.err
    quality = [line.split("\t") for line in (tmp_path / "out" / "shape_qc.tsv").read_text().splitlines()[1:]]
    assert len(quality) == 4
    assert all(float(row[5]) < 0.1 for row in quality)  # mm left between template and surface; a voxel is 1 mm
    before = digests(tmp_path / "out")
    (tmp_path / "out" / "sub-2" / "anat" / "sub-2_desc-registered_structure.h5").unlink()
    assert "5 records verified" in thalgpu(*command).out
    assert digests(tmp_path / "out") == before
    templates = [tmp_path / "out" / "group" / f"hemi-{side}_seg-thalamus_desc-template.vtk" for side in "LR"]
    named = ("--template-left", templates[0], "--template-right", templates[1])
    given = thalgpu(
        *command[:3], *named, "--shape-alignment", "similarity", "--out", tmp_path / "other", "--workers", 1
    )
    assert given.exit_code == 0, given.err
    same_size = [line.split("\t") for line in (tmp_path / "other" / "shape_qc.tsv").read_text().splitlines()[1:]]
    assert sum(float(row[2]) for row in same_size) < sum(float(row[2]) for row in quality)


def test_results_of_other_options_are_not_mixed(out, thalgpu, arguments, tmp_path):
    shutil.copytree(out, tmp_path / "out")
    refused = thalgpu(*arguments, "--out", tmp_path / "out", "--smooth", 2)
    assert refused.exit_code == 2
    assert "smooth 0.0 → 2.0" in refused.err
    assert digests(tmp_path / "out") == digests(out)


def test_a_dry_run_writes_nothing_and_options_can_be_given_again(out, thalgpu, arguments, tmp_path):
    done = thalgpu(*arguments, "--out", tmp_path / "out", "--dry-run", "-v")
    assert done.exit_code == 0, done.err
    again = thalgpu("structure", "--config", out / "config.toml", "--out", tmp_path / "out", "--dry-run", "-v")
    assert again.out == done.out
    assert "8 subjects, from meshes" in done.out
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("given", "exit_code", "words"),
    [
        (("--measures", "volume"), 2, "--measures volume"),
        (("--s1", "glasser", "--measures", "thickness"), 2, "no source of it for --s1 glasser"),
        (("--smooth", "-1"), 2, "--smooth"),
        (("--template-left", "x.vtk"), 2, "--template-right"),
        (("--s1-labels", "x.dlabel.nii"), 2, "--s1-labels is for"),
        (("--aseg-table", "none.tsv"), 4, "none.tsv"),
    ],
)
def test_what_cannot_be_done_is_said_at_once(thalgpu, arguments, tmp_path, given, exit_code, words):
    done = thalgpu(*arguments, "--out", tmp_path / "out", *given)
    assert done.exit_code == exit_code
    assert words in done.err
    assert not (tmp_path / "out").exists()


def _write_gifti(path, values, intent, kind, structure, names=()):
    array = nib.gifti.GiftiDataArray(values, intent=intent, datatype=kind)
    table = nib.gifti.GiftiLabelTable()
    for key, name in enumerate(names):
        label = nib.gifti.GiftiLabel(key=key)
        label.label = name
        table.labels.append(label)
    meta = nib.gifti.GiftiMetaData(AnatomicalStructurePrimary=structure)
    nib.save(nib.gifti.GiftiImage(darrays=[array], labeltable=table, meta=meta), path)


def test_thickness_maps_on_a_common_surface_need_only_their_parcellation(thalgpu, tmp_path):
    rng, rows, truth = np.random.default_rng(6), ["participant_id\tthickness_left\tthickness_right"], {}
    labels = np.repeat([0, 1, 2, 3, 4], 20).astype(np.int32)
    names = ("???", *(f"{area}_ROI" for area in ("L_1", "L_2", "L_3a", "L_3b")))
    for structure, side in (("CortexLeft", "L"), ("CortexRight", "R")):
        own = [name.replace("L_", f"{side}_") for name in names]
        path = tmp_path / f"{side}.label.gii"
        _write_gifti(path, labels, "NIFTI_INTENT_LABEL", "NIFTI_TYPE_INT32", structure, own)
    for who in ("sub-1", "sub-2"):
        for structure, side in (("CortexLeft", "L"), ("CortexRight", "R")):
            values = rng.uniform(1.5, 3.5, 100).astype(np.float32)
            path = tmp_path / f"{who}_hemi-{side}_thickness.shape.gii"
            _write_gifti(path, values, "NIFTI_INTENT_SHAPE", "NIFTI_TYPE_FLOAT32", structure)
            truth[who, side] = values
        rows.append("\t".join([who, *(f"{who}_hemi-{side}_thickness.shape.gii" for side in "LR")]))
    (tmp_path / "list.tsv").write_text("\n".join(rows) + "\n")
    parcels = f"{tmp_path / 'L.label.gii'},{tmp_path / 'R.label.gii'}"
    command = ("structure", "--subjects", tmp_path / "list.tsv", "--s1", "glasser", "--s1-labels", parcels)
    done = thalgpu(*command, "--out", tmp_path / "out", "--workers", 1)
    assert done.exit_code == 0, done.out + done.err
    table = _table(tmp_path / "out" / "thickness.tsv")
    for (who, side), values in truth.items():
        word = "left" if side == "L" else "right"
        assert float(table[who][f"area3b_{word}"]) == pytest.approx(values[80:].mean(), rel=1e-6)
        assert float(table[who][f"S1_{word}"]) == pytest.approx(values[20:].mean(), rel=1e-6)
        written = nib.load(tmp_path / "out" / who / "anat" / f"{who}_hemi-{side}_thickness.shape.gii").darrays[0].data
        np.testing.assert_array_equal(written, np.where(labels > 0, values, 0))
