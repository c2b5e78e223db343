"""Figures of a study: equal figures are equal bytes, odd data are drawn, and surfaces enclose their voxels."""

from dataclasses import replace

import numpy as np
import pytest

from thalgpu.engine.inputs.model import LEFT, RIGHT
from thalgpu.engine.report.forest import ForestLine, forest
from thalgpu.engine.report.group_colours import group_styles
from thalgpu.engine.report.matrices import region_matrix
from thalgpu.engine.report.permute_page import Mesh
from thalgpu.engine.report.rain_clouds import rain_clouds
from thalgpu.engine.report.region_bars import region_bars
from thalgpu.engine.report.scree import group_scree
from thalgpu.engine.report.study_pictures import (
    forest_picture,
    group_maps_picture,
    matrix_picture,
    rain_cloud_picture,
    template_pictures,
)
from thalgpu.engine.report.thalamus_views import thalamus_surfaces, thalamus_voxels
from thalgpu.engine.report.voxel_surface import voxel_surface

PNG = b"\x89PNG\r\n\x1a\n"


def ball(radius):
    """Voxels of a ball."""
    return np.argwhere(((np.indices((15, 15, 15)) - 7.0) ** 2).sum(axis=0) <= radius**2).astype(np.int32)


def volume(coordinates, faces):
    """Enclosed by a surface whose faces run counter-clockwise seen from outside."""
    a, b, c = (coordinates[faces[:, i]] for i in range(3))
    return float(np.einsum("ij,ij->", a, np.cross(b, c)) / 6.0)


def voxels_in_space(sides):
    """A gradient of voxels that belong to the sides in turns."""
    voxels = ball(3.0)
    hemisphere = np.resize(np.array(sides, dtype=np.int8), len(voxels))
    return thalamus_voxels(voxels[:, :1].astype(float), ["gradient 1"], voxels, np.eye(4), hemisphere)


def groups(*sizes):
    rng = np.random.default_rng(1)
    return [(f"g{i}", rng.normal(5.0, 1.0, size)) for i, size in enumerate(sizes)]


@pytest.mark.parametrize(
    "draw",
    [
        lambda: rain_clouds([("left", groups(9, 9))], "mm³"),
        lambda: region_bars(["S1", "BA1"], groups((9, 2), (9, 2)), "mm"),
        lambda: group_scree(groups((9, 4), (9, 4)), np.arange(4.0)),
        lambda: voxels_in_space((LEFT,)),
    ],
    ids=["rain clouds", "bars", "scree", "voxels in space"],
)
def test_figure_drawn_twice_is_the_same_bytes(draw):
    drawn = draw()
    assert drawn.startswith(PNG)
    assert draw() == drawn


@pytest.mark.parametrize("values", [[], [3.0], [3.0, 3.0], [2.0] * 9, [0.0] * 9, [1e-12, 2e-12, 3e-12, 5e-12]])
def test_rain_clouds_of_few_or_equal_values_are_drawn(values):
    assert rain_clouds([("left", [("a", np.array(values)), ("b", np.arange(5.0))])], "mm").startswith(PNG)


def test_bars_of_a_single_member_have_no_interval_and_are_drawn():
    assert region_bars(["S1"], groups((1, 1), (0, 1)), "mm").startswith(PNG)


def test_names_in_figures_are_not_read_as_formulas():
    assert rain_clouds([("$x_", [("$\\frac", np.arange(6.0))])], "mm").startswith(PNG)


def test_effects_that_a_part_lacks_are_left_blank():
    line = ForestLine(0.5, None, None, True)
    both = forest([("a", [("arm", [("x", line), ("y", None)])])], "g")
    assert both.startswith(PNG)
    assert both != forest([("a", [("arm", [("x", line), ("y", line)])])], "g")


def test_no_figure_of_effects_without_t_contrasts(study):
    assert forest_picture(study.arms, []) is None


def test_significant_pairs_are_framed_and_named():
    values, found = np.array([[np.nan, 1.0], [1.0, np.nan]]), np.array([[False, True], [False, False]])
    assert region_matrix("ab", "ab", values, found, "t") != region_matrix("ab", "ab", values, found & False, "t")
    picture = matrix_picture("c", ["S1", "VPL"], ["S1", "VPL"], values, found, "t")
    assert picture.alt == "Matrix. c: t from 1 to 1 over 2 pairs; 1 significant. Significant: S1 and VPL."


def test_rain_clouds_are_described_by_their_medians():
    picture = rain_cloud_picture([("left", [("HC", np.array([1.0, 2.0, 9.0])), ("CLBP", np.array([-4.0]))])], "mm")
    assert picture.alt == "Rain clouds of mm. Medians: left: HC 2 and CLBP −4."


def test_group_maps_tell_the_means_within_what_differs(thalami):
    found = np.arange(90) < 2
    members = [("HC", np.stack([found * 4.0, found * 2.0])), ("CLBP", np.stack([found * -1.0]))]
    picture = group_maps_picture("gradient 1", members, found, thalami, "gradient 1", "TFCE")
    assert picture.png.startswith(PNG)
    assert picture.alt.endswith("HC 0 to 3; CLBP −1 to 0. Means within the outline: HC 3 and CLBP −1.")
    assert picture.caption.endswith("Outlined: p_FWE ≤ .05 by TFCE.")
    nothing = group_maps_picture("gradient 1", members, found & False, thalami, "gradient 1", "TFCE")
    assert nothing.png != picture.png
    assert nothing.caption.endswith("Nothing reaches p_FWE ≤ .05 by TFCE.")


def test_groups_have_styles_of_their_own_in_their_order():
    styles = group_styles(["HC", "a", "b", "c", "d", "e"])
    assert len(set(styles.values())) == 6
    assert group_styles(["HC", "z"])["HC"] == styles["HC"]


def test_surface_around_voxels_is_closed_and_looks_outwards():
    coordinates, faces, _ = voxel_surface(ball(5.0), np.eye(4))
    edges = np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), axis=1)
    assert (np.unique(edges, axis=0, return_counts=True)[1] == 2).all()
    assert volume(coordinates, faces) > 0


def test_surface_around_voxels_keeps_their_volume_and_place():
    voxels, affine = ball(5.0), np.diag([2.0, 2.0, 2.0, 1.0])
    affine[:3, 3] = [-20.0, -30.0, 5.0]
    coordinates, faces, _ = voxel_surface(voxels, affine)
    # smoothing rounds corners off, and Taubin's second step gives back what the first one took
    assert volume(coordinates, faces) == pytest.approx(8.0 * len(voxels), rel=0.06)
    assert coordinates.mean(axis=0) == pytest.approx(np.array([-6.0, -16.0, 19.0]), abs=0.05)


def test_vertices_show_the_mean_of_the_voxels_around_them():
    voxels = ball(5.0)
    _, _, mean = voxel_surface(voxels, np.eye(4))
    assert mean @ np.full(len(voxels), 3.0) == pytest.approx(np.full(mean.shape[0], 3.0))
    ends = mean @ voxels[:, 0].astype(float)
    assert ends.min() == pytest.approx(voxels[:, 0].min())


@pytest.mark.parametrize("sides", [(RIGHT,), (LEFT, RIGHT), (0,)])
def test_thalamus_of_one_side_both_or_neither_is_drawn(sides):
    assert voxels_in_space(sides).startswith(PNG)


def test_limit_of_colours_is_shared_by_maps():
    corners = np.array([[0.0, 0.0, 0.0], [9.0, 0.0, 0.0], [0.0, 9.0, 0.0], [0.0, 0.0, 9.0]])
    mesh = Mesh(corners, np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]]), np.arange(4), "L")
    values, nothing = np.arange(4.0), np.zeros(4, bool)
    own = thalamus_surfaces(values, nothing, [mesh], "t", signed=True)
    assert thalamus_surfaces(values, nothing, [mesh], "t", signed=True, limit=3.0) == own
    assert thalamus_surfaces(values, nothing, [mesh], "t", signed=True, limit=30.0) != own


def test_template_without_voxels_has_no_pictures(thalami):
    n = len(thalami.flat)
    surface = replace(thalami, ijk=None)
    assert template_pictures(np.ones((n, 2), np.float32), np.ones(n, bool), surface, 2) == ()
