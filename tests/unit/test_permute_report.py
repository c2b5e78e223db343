"""The page of a permutation test: what it says, that it is safe to open, and that it copes with every kind of map."""

import base64
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from thalgpu.engine.inference.model import Contrast, Design, InferenceOptions
from thalgpu.engine.inputs.model import LEFT, RIGHT, CiftiGrid, Region, SurfaceGrid, VolumeGrid
from thalgpu.engine.report.design_quality import leverages, stands_out, variance_inflation
from thalgpu.engine.report.inference_figures import plain
from thalgpu.engine.report.permute import render_permute
from thalgpu.engine.report.permute_page import (
    ContrastPage,
    DesignPage,
    Effect,
    MaximumTest,
    Mesh,
    PermutePage,
    meshes_of,
)
from thalgpu.engine.report.permute_words import statistic_label

EVIL = "<script>alert('1')</script>\"'&"
PNG = b"\x89PNG\r\n\x1a\n"
N_VOXELS = 120
A_MINUS_B = Contrast("a - b", "aMinusB", np.array([[1.0, -1.0, 0.0]]), "t")
GROUP = Contrast("group", "group", np.array([[1.0, -1.0, 0.0], [1.0, 1.0, 0.0]]), "f")


def design(contrasts=(A_MINUS_B,), **changes):
    group = np.repeat([1.0, 0.0], 6)
    matrix = np.column_stack([group, 1 - group, np.tile([-2.5, -1.5, -0.5, 0.5, 1.5, 2.5], 2)])
    return Design(matrix, ("a", "b", "age"), tuple(contrasts), **changes)


def region():
    ijk = np.column_stack(np.unravel_index(np.arange(N_VOXELS), (6, 5, 4))).astype(np.int32)
    grid = VolumeGrid((6, 5, 4), ((-2.0, 0, 0, 6), (0, 2.0, 0, 0), (0, 0, 2.0, -4), (0, 0, 0, 1.0)))
    return Region("m", grid, np.arange(N_VOXELS), np.full(N_VOXELS, LEFT, np.int8), ijk, ijk.astype(float))


def maximum_test(n_features=N_VOXELS, n_found=3, measure="stat", **changes):
    values = np.full(n_features, -0.5)
    values[:n_found] = 5.0
    null = np.linspace(4.0, 0.04, 100)
    null[0] = 5.0 if n_found else 0.04
    p_fwe = np.where(values > 4.0, 0.01, 0.4)
    return MaximumTest(measure, values, p_fwe, null, **changes)


def contrast_page(contrast=A_MINUS_B, n_features=N_VOXELS, tests=None, **changes):
    tests = (maximum_test(n_features),) if tests is None else tests
    filled = {"part": "", "statistic": contrast.kind, "df": 9.0, "tests": tests, "p": np.full(n_features, 0.02)}
    return ContrastPage(contrast, **{**filled, **changes})


def page(one=None, **changes):
    one = contrast_page(region=region()) if one is None else one
    filled = {
        "options": InferenceOptions(n_perm=100),
        "design": DesignPage(design()),
        "contrasts": (one,),
        "n_perm": 100,
    }
    return PermutePage("1.0", **{**filled, **changes})


class Elements(HTMLParser):
    """Names, attributes and text of a page, as a browser reads it."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.attributes, self.text = [], [], ""
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data):
        self.text += data


def words(html):
    """The text, with single spaces and without the style sheet."""
    return " ".join(Elements(re.sub(r"<style>.*</style>", "", html, flags=re.S)).text.split())


def images(html):
    return [base64.b64decode(found, validate=True) for found in re.findall(r"base64,([A-Za-z0-9+/=]+)", html)]


@pytest.fixture(scope="module")
def html():
    return render_permute(page())


def test_headline_says_how_many_which_way_and_how_sure():
    test = maximum_test(interval=(0.0018, 0.054))
    said = words(render_permute(page(contrast_page(tests=(test,), region=region()))))
    assert (
        "3 of 120 voxels (2.5 %) are significant at pFWE ≤ .05 by the largest t, all in the positive direction; "
        "the smallest pFWE is 0.010 (95 % Monte-Carlo interval 0.0018 to 0.054)."
    ) in said


def test_headline_tells_both_directions_apart():
    test = maximum_test()
    values = test.values.copy()
    values[0] = -5.0
    said = words(render_permute(page(contrast_page(tests=(replace(test, values=values),), region=region()))))
    assert "2 in the positive and 1 in the negative direction" in said


def test_nothing_found_is_said_and_empty_peaks_are_too():
    said = words(render_permute(page(contrast_page(tests=(maximum_test(n_found=0),), region=region()))))
    assert "None of the 120 voxels is significant" in said
    assert "Nothing reaches pFWE ≤ .05" in said
    assert "There are no peaks to list" in said


def test_exhaustive_permutations_need_no_interval():
    said = words(render_permute(page(exhaustive=True)))
    assert "(exact)" in said
    assert "all 100 permutations that are possible" in said


def test_tfce_leads_when_it_was_done():
    tests = (maximum_test(n_found=0), maximum_test(measure="tfce"))
    options = InferenceOptions(n_perm=100, tfce=True)
    said = words(render_permute(page(contrast_page(tests=tests, region=region()), options=options)))
    assert "3 of 120 voxels (2.5 %) are significant at pFWE ≤ .05 by TFCE" in said
    assert "H = 2, E = 0.5, exact integral" in said
    assert "Threshold-free cluster enhancement" in said


def test_critical_value_is_what_five_in_a_hundred_exceed():
    test = maximum_test()
    assert (test.null > test.critical).sum() == 5
    assert replace(test, null=test.null[:19]).critical is None


def test_only_what_was_used_is_cited(html):
    said = words(html)
    assert "Freedman D, Lane D." in said
    assert "Winkler AM, Ridgway GR" in said
    for unused in ("Threshold-free", "ter Braak", "Besag", "Multi-level", "Bullmore", "Alberton"):
        assert unused not in said


def test_every_option_is_told_with_its_reference():
    options = InferenceOptions(100, 3, "ter-braak", two_sided=True, cluster_threshold=2.3, tail="gpd", stop_after=50)
    blocks, groups = np.ones((12, 1), dtype=np.int64), np.repeat([1, 2], 6)
    one = page(options=options, design=DesignPage(design(blocks=blocks, variance_groups=groups)))
    said = words(render_permute(one))
    for paper in ("ter Braak CJF", "Multi-level", "Bullmore ET", "Faster permutation", "Besag J"):
        assert paper in said
    assert "both (two-sided)" in said
    assert "t ≥ 2.3" in said
    assert "one for each of 2 groups (6, 6)" in said


def test_contrasts_and_parts_get_a_joint_table():
    alone, jointly = maximum_test(n_features=1), np.array([0.03])
    both = tuple(
        contrast_page(A_MINUS_B, 1, (replace(alone, p_joint=jointly),), part=part) for part in ("hemi-L", "hemi-R")
    )
    html = render_permute(page(contrasts=both, unit="feature"))
    assert "All contrasts together" in html
    assert re.search(r"<td>a - b · hemi-R</td><td>t</td><td>0.010</td><td>0.030</td><td>1</td><td>1</td>", html)
    assert "1 feature in each of 2 parts" in html


def test_more_peaks_than_fit_are_counted():
    peaks = tuple((f"peak {i}",) for i in range(42))
    html = render_permute(page(contrast_page(region=region(), peak_columns=("cluster",), peaks=peaks)))
    assert "peak 29<" in html
    assert "peak 30<" not in html
    assert "12 more" in html


@pytest.mark.fault("markup in a name")
def test_every_text_is_escaped():
    contrast = Contrast(EVIL, "c1", A_MINUS_B.weights, "t")
    one = contrast_page(contrast, 2, names=(EVIL, EVIL), part=EVIL, peak_columns=(EVIL,), peaks=((EVIL,),))
    model = replace(design((contrast,)), columns=(EVIL, "b", "c"), coding=((EVIL, EVIL),), remarks=(EVIL,))
    about = DesignPage(model, ((EVIL, 6),), EVIL, EVIL, ((EVIL, EVIL),))
    evil = render_permute(page(one, design=about, unit="feature", facts=((EVIL, EVIL),), remarks=(EVIL,)))
    found = Elements(evil)
    assert "script" not in found.tags
    assert "<script" not in evil
    # title and part in the list and as heading (4), peaks (2), design's column, header, coding (2), remarks (2),
    # left out (2), facts: group, possible, exchangeable, its own (2); group sizes among the design's checks
    assert found.text.count(EVIL) == 20


def test_page_is_closed_to_scripts_and_to_the_network(html):
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', html)
    assert policy is not None
    assert policy[1].startswith("default-src 'none'")
    attributes = Elements(html).attributes
    assert not [name for name, _ in attributes if name.startswith("on")]
    assert all(value.startswith("data:image/png;base64,") for name, value in attributes if name == "src")
    assert all(value.startswith("#") for name, value in attributes if name == "href")
    assert "http://" not in html
    assert "https://" not in html


def test_every_picture_says_what_it_shows(html):
    attributes = Elements(html).attributes
    told = [value for name, value in attributes if name == "alt"]
    assert len(told) == len(images(html)) == 3
    assert all(len(value) > 20 for value in told)
    assert all(image.startswith(PNG) for image in images(html))


def test_no_number_is_missing_in_words():
    constant = replace(design(), matrix=np.column_stack([np.ones(12), np.repeat([1.0, 0], 6), np.arange(12.0)]))
    html = render_permute(page(contrast_page(tests=(maximum_test(n_found=0),)), design=DesignPage(constant)))
    assert not re.search(r"\b(nan|NaN|inf)\b|None\b(?! of)", words(html))


def test_same_page_is_the_same_bytes(html):
    assert render_permute(page()) == html


def octahedron(features, hemisphere=""):
    coordinates = np.array([[1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0], [0, 0, 1], [0, 0, -1.0]])
    faces = np.array([[i, j, k] for i in (0, 1) for j in (2, 3) for k in (4, 5)])
    return Mesh(coordinates, faces, np.array(features), hemisphere)


@pytest.mark.parametrize(
    "meshes",
    [(octahedron(range(6)),), (octahedron([0, 1, 2, -1, -1, -1], "L"), octahedron([-1, 3, 4, 5, -1, -1], "R"))],
    ids=["one", "both hemispheres"],
)
def test_surface_maps_are_drawn_on_their_meshes(meshes):
    one = contrast_page(n_features=6, meshes=meshes)
    html = render_permute(page(one, unit="vertex"))
    assert "t (9 df) on the surface" in words(html)
    assert "3 of 6 vertices" in words(html)
    assert len(images(html)) == 3


@pytest.mark.parametrize(
    ("contrast", "statistic", "label"),
    [
        (A_MINUS_B, "t", "t (9 df)"),
        (GROUP, "f", "F (2 and 9 df)"),
        (A_MINUS_B, "v", "v"),
        (GROUP, "g", "G"),  # features of v and G have degrees of freedom of their own
    ],
)
def test_degrees_of_freedom_are_named_where_all_features_share_them(contrast, statistic, label):
    assert statistic_label(contrast_page(contrast, statistic=statistic)) == label


def test_a_flat_surface_can_be_seen_from_its_edge():
    mesh = octahedron(range(6))
    flat = replace(mesh, coordinates=mesh.coordinates * [1, 1, 0])
    assert len(images(render_permute(page(contrast_page(n_features=6, meshes=(flat,)), unit="vertex")))) == 3


def test_table_with_few_columns_names_them_and_with_many_is_a_cloud():
    effect = Effect("Hedges g", np.full(5, 0.3), np.zeros(5), np.ones(5))
    few = contrast_page(n_features=5, names=tuple("vwxyz"), effect=effect)
    many = contrast_page(n_features=60, names=tuple(f"column {i}" for i in range(60)))
    assert "Hedges g with 95 % confidence intervals" in words(render_permute(page(few, unit="feature")))
    assert "uncorrected p" in words(render_permute(page(many, unit="feature")))


def test_two_sided_tests_go_by_magnitude():
    options = InferenceOptions(n_perm=100, two_sided=True)
    assert "by the largest |t|" in words(render_permute(page(options=options)))


def test_f_test_has_no_direction():
    said = words(render_permute(page(contrast_page(GROUP, region=region()), design=DesignPage(design((GROUP,))))))
    assert "by the largest F; the smallest" in said
    assert "group, row 2" in said


def test_voxels_of_cifti_are_drawn_by_their_axis():
    class Axis:
        affine = np.diag([2.0, 2, 2, 1])

    cifti = replace(region(), grid=CiftiGrid(N_VOXELS, Axis()))
    assert "on axial slices" in words(render_permute(page(contrast_page(region=cifti))))


def test_meshes_know_which_feature_each_vertex_is():
    flat, hemisphere = np.array([1, 3, 8, 9]), np.array([LEFT, LEFT, RIGHT, RIGHT], dtype=np.int8)
    surface = octahedron(range(6))
    triangles = (surface.coordinates, surface.faces)
    left, right = meshes_of(Region("s", SurfaceGrid(6, 6), flat, hemisphere), [triangles, triangles])
    np.testing.assert_array_equal(left.features, [-1, 0, -1, 1, -1, -1])
    np.testing.assert_array_equal(right.features, [-1, -1, 2, 3, -1, -1])
    assert (left.hemisphere, right.hemisphere) == ("L", "R")


def test_a_pair_of_meshes_serves_maps_of_the_right_hemisphere():
    surface = octahedron(range(6))
    pair = [(surface.coordinates, surface.faces), (surface.coordinates + 9, surface.faces)]
    (mesh,) = meshes_of(Region("s", SurfaceGrid(0, 6), np.array([2]), np.array([RIGHT], dtype=np.int8)), pair)
    assert mesh.hemisphere == "R"
    np.testing.assert_array_equal(mesh.coordinates, surface.coordinates + 9)


def test_variance_inflation_is_one_over_one_minus_r_squared(rng):
    first, noise = rng.standard_normal((2, 200))
    second = first + 0.5 * noise
    r = np.corrcoef(first, second)[0, 1]
    found = variance_inflation(np.column_stack([np.ones(200), first, second]))
    assert np.isnan(found[0])
    np.testing.assert_allclose(found[1:], 1 / (1 - r**2), rtol=1e-9)  # rounding of one least-squares fit


def test_groups_coded_by_a_column_each_are_not_inflated_by_an_uncentred_age(rng):
    group = np.repeat(np.eye(3), 20, axis=0)
    age = rng.normal(50, 10, 60)
    assert (variance_inflation(np.column_stack([group, age])) < 1.5).all()


def test_a_column_that_others_make_up_is_inflated_without_end():
    group = np.repeat(np.eye(2), 5, axis=0)
    assert np.isinf(variance_inflation(np.column_stack([np.ones(10), group]))[1:]).all()


def test_inflated_columns_are_flagged_on_the_page(rng):
    age = rng.normal(50, 10, 12)
    model = replace(design(), matrix=np.column_stack([np.ones(12), age, age + 0.1 * rng.standard_normal(12)]))
    html = render_permute(page(contrast_page(n_features=2), design=DesignPage(model)))
    assert len(re.findall(r'<tr class="flagged"><td>', html)) == 2
    assert "Variance inflation above 5: b, age" in words(html)


def test_leverage_is_the_diagonal_of_the_hat_matrix(rng):
    matrix = rng.standard_normal((20, 3))
    hat = matrix @ np.linalg.inv(matrix.T @ matrix) @ matrix.T
    np.testing.assert_allclose(leverages(matrix), np.diag(hat), rtol=1e-10)


def test_a_subject_alone_in_a_group_stands_out():
    matrix = np.column_stack([np.arange(5) == 0, np.arange(5) > 0]).astype(float)
    np.testing.assert_array_equal(stands_out(leverages(matrix)), [True, False, False, False, False])


def test_names_in_figures_are_short_and_in_the_font():
    assert plain("日本 $x$") == "?? $x$"
    assert len(plain("x" * 100)) == 28
