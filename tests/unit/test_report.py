"""The page: every text escaped, nothing from the network, figures inside, outliers pointed out."""

import base64
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from thalgpu.engine.inputs.model import LEFT, CiftiGrid, Region, VolumeGrid
from thalgpu.engine.report.figures import gradient_slices, scree, template_correlations
from thalgpu.engine.report.gradients import MOST_SHOWN, EmbeddingPage, GradientsPage, chosen, outliers, render_gradients

AFFINE = ((-2.0, 0, 0, 9.0), (0, 2.0, 0, 0), (0, 0, 2.0, -4.0), (0, 0, 0, 1.0))
GRID = VolumeGrid((10, 8, 6), AFFINE)
PNG = b"\x89PNG\r\n\x1a\n"
EVIL = "<script>alert('1')</script>\"'&"


def thalamus():
    flat = np.arange(100, 300)
    ijk = np.column_stack(np.unravel_index(flat, GRID.shape)).astype(np.int32)
    return Region("thalamus.nii", GRID, flat, np.full(200, LEFT, dtype=np.int8), ijk, ijk.astype(float))


def embedding(correlations, text="sub-01"):
    n = len(correlations)
    values = np.linspace(-1, 1, 400).reshape(200, 2).astype(np.float32)
    return EmbeddingPage(
        title=text,
        thalamus=thalamus(),
        template=values,
        covered=np.arange(200) > 5,
        template_lambdas=np.array([0.5, 0.3]),
        lambdas=np.linspace(0.5, 0.2, 2 * n).reshape(n, 2),
        correlations=np.asarray(correlations, dtype=float),
        rows=((text, "1/2"),) * n,
    )


def page(text="text", correlations=((0.9, 0.8), (0.8, 0.7), (0.85, 0.7))):
    return GradientsPage(
        version="1.0",
        facts=((text, text),),
        options=((text, text),),
        columns=(text, "voxels"),
        embeddings=(embedding(correlations, text),),
        failures=((text, text),),
        warnings=(text,),
    )


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


@pytest.mark.fault("markup in a name")
def test_every_text_is_escaped():
    evil = render_gradients(page(EVIL))
    found = Elements(evil)
    assert "script" not in found.tags
    assert "<script" not in evil
    # two facts, two options, one column, title, three rows, two of a failure, one warning
    assert found.text.count(EVIL) == 12


@pytest.fixture(scope="module")
def html():
    return render_gradients(page())


def test_page_has_no_scripts_and_says_so_to_the_browser(html):
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', html)
    assert policy is not None
    assert policy[1].startswith("default-src 'none'")
    assert "script-src" not in policy[1]
    assert not [name for name, _ in Elements(html).attributes if name.startswith("on")]


def test_nothing_comes_from_the_network(html):
    links = [value for name, value in Elements(html).attributes if name in ("src", "href", "action", "data")]
    assert links
    assert all(value.startswith("data:image/png;base64,") for value in links)
    assert "http://" not in html
    assert "https://" not in html
    assert "url(" not in html


def test_figures_are_inside(html):
    images = re.findall(r"data:image/png;base64,([A-Za-z0-9+/=]+)", html)
    assert len(images) == 3
    assert all(base64.b64decode(image, validate=True).startswith(PNG) for image in images)


def test_thalamus_without_voxels_has_no_slices():
    surface = Region("s", CiftiGrid(200, object()), np.arange(200), np.full(200, LEFT, dtype=np.int8))
    one = page()
    drawn = render_gradients(replace(one, embeddings=(replace(one.embeddings[0], thalamus=surface),)))
    assert drawn.count("data:image/png") == 2


def test_same_page_is_the_same_bytes(html):
    assert render_gradients(page()) == html


def test_subject_far_below_the_others_is_marked():
    followers = [(0.9 + 0.01 * i, 0.5) for i in range(5)]
    marked = render_gradients(page("one", (*followers, (0.2, 0.5))))
    assert "1 marked" in marked
    assert len(re.findall(r'<tr class="flagged"><td>', marked)) == 1


def test_outlier_is_three_scaled_mads_below_the_median():
    # median 0.9, MAD 0.02, so that the limit is 0.9 - 3 * 1.4826 * 0.02 = 0.811
    first = np.array([0.94, 0.92, 0.9, 0.88, 0.812])
    assert not outliers(first[:, None]).any()
    first[4] = 0.810
    np.testing.assert_array_equal(outliers(first[:, None]), [False, False, False, False, True])


def test_subject_above_the_others_is_no_outlier():
    assert not outliers(np.array([[0.5], [0.5], [0.51], [0.99]])).any()


def test_single_subject_is_no_outlier():
    assert not outliers(np.array([[0.3]])).any()


def test_subject_without_a_correlation_is_pointed_out():
    np.testing.assert_array_equal(outliers(np.array([[0.9], [0.8], [np.nan]])), [False, False, True])


def test_nobody_with_a_correlation_is_no_crash():
    assert outliers(np.array([[np.nan], [np.nan]])).all()


@pytest.mark.parametrize("affine", [np.array(AFFINE), np.diag([2.0, 2, 2, 1]), None], ids=["flipped", "plain", "none"])
def test_slices_are_drawn_and_are_the_same_bytes_again(affine):
    region, values = thalamus(), np.linspace(0, 1, 200, dtype=np.float32)[:, None]
    drawn = [gradient_slices(values, region.ijk, np.ones(200, dtype=bool), affine) for _ in range(2)]
    assert drawn[0].startswith(PNG)
    assert drawn[0] == drawn[1]


def test_figures_of_one_subject_and_one_component():
    assert scree(np.array([[0.4]]), np.zeros(0)).startswith(PNG)
    assert template_correlations(np.array([[np.nan]])).startswith(PNG)


def test_of_thousands_those_marked_are_shown_and_others_evenly_spread():
    flagged = np.zeros(10_000, dtype=bool)
    flagged[[3, 7_001]] = True
    shown = chosen(flagged)
    assert len(shown) == len(set(shown.tolist())) == MOST_SHOWN
    assert {0, 3, 7_001, 9_999} <= set(shown.tolist())
    assert np.diff(shown).max() <= 2 * 10_000 / MOST_SHOWN


def test_a_page_never_shows_more_than_it_can_and_few_subjects_are_all_shown():
    assert len(chosen(np.ones(10_000, dtype=bool))) == MOST_SHOWN
    np.testing.assert_array_equal(chosen(np.array([False, True, False])), [0, 1, 2])


def test_page_of_thousands_says_how_many_it_shows():
    html = render_gradients(page(text="sub-7", correlations=[(0.9, 0.8)] * (MOST_SHOWN + 1)))
    assert f"{MOST_SHOWN} of {MOST_SHOWN + 1} subjects are shown" in html
    assert html.count("<td>1/2</td>") == MOST_SHOWN
