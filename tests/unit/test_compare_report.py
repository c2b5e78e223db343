"""The page of a comparison of group gradients: what it says, how exact it says it is, and that it is safe to open."""

import base64
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from thalgpu.engine.comparison.blocks import Study, observe, observed_vectors, run_block
from thalgpu.engine.comparison.finish import finish
from thalgpu.engine.comparison.labels import comparisons
from thalgpu.engine.comparison.model import Recipe
from thalgpu.engine.comparison.statistics import principal_angles
from thalgpu.engine.comparison.verification import Verified
from thalgpu.engine.inference.adjacency import volume_neighbours
from thalgpu.engine.inference.model import InferenceOptions
from thalgpu.engine.inputs.model import LEFT, Region, SurfaceGrid, VolumeGrid
from thalgpu.engine.pipelines.compare_groups import Groups
from thalgpu.engine.pipelines.compare_page import write_report
from thalgpu.engine.pipelines.compare_prepare import ComparePrepared, Embedded
from thalgpu.engine.pipelines.compare_request import CompareRequest
from thalgpu.engine.pipelines.compare_tables import ComparisonResult
from thalgpu.engine.report.compare import render_compare
from thalgpu.engine.report.compare_page import ComparePage, ComparisonPage, ComponentPage, EmbeddingPage, NumberPage
from thalgpu.engine.report.compare_words import listed, runs
from thalgpu.engine.report.permute_page import MaximumTest

EVIL = "<script>alert('1')</script>\"'&"
N_VOXELS, N_COMPONENTS = 120, 4
PAIR, ALL = (("a", 6), ("b", 8)), (("a", 6), ("b", 8), ("c", 10))


def region():
    ijk = np.column_stack(np.unravel_index(np.arange(N_VOXELS), (6, 5, 4))).astype(np.int32)
    grid = VolumeGrid((6, 5, 4), ((-2.0, 0, 0, 6), (0, 2.0, 0, 0), (0, 0, 2.0, -4), (0, 0, 0, 1.0)))
    return Region("m", grid, np.arange(N_VOXELS), np.full(N_VOXELS, LEFT, np.int8), ijk, ijk.astype(float))


def maximum_test(n_found, measure="stat", **changes):
    values = np.full(N_VOXELS, -0.5)
    values[:n_found] = 5.0
    null = np.linspace(4.0, 0.04, 100)
    null[0] = 5.0 if n_found else 0.5
    p_fwe = np.where(values > 4.0, 0.01, 0.4)
    return MaximumTest(measure, values, p_fwe, null, **{"p_joint": np.minimum(1.0, 4 * p_fwe), **changes})


def component(number, n_found=0, **changes):
    filled = {
        "tests": (maximum_test(n_found),),
        "p": np.full(N_VOXELS, 0.02),
        "null_sd": 0.1,
        "estimated": 0.004,
        "verified": 0.003,
        "close": 0.0,
    }
    return ComponentPage(number, **{**filled, **changes})


def numbers(p_fwe=0.5):
    names = ("eigenvalue", "explained", "range", "subspace")
    values = np.array([0.01, -0.02, 0.03, 0.04])
    return tuple(NumberPage(name, values, np.full(N_COMPONENTS, 0.2), np.full(N_COMPONENTS, p_fwe)) for name in names)


def comparison(components=None, **changes):
    filled = {
        "name": "a - b",
        "place": "",
        "groups": PAIR,
        "components": tuple(component(i) for i in range(1, N_COMPONENTS + 1)) if components is None else components,
        "numbers": numbers(),
        "region": region(),
        "n_perm": 100,
        "exhaustive": False,
        "permutations": "free exchange of 14 subjects: 3,003 distinct permutations; 100 taken at random",
        "path": "reduced",
        "n_exact": 7,
        "n_verified": 20,
    }
    return ComparisonPage(**{**filled, **changes})


def with_found(*found):
    """A comparison with so many significant voxels in components 1, 2, …."""
    counts = [*found, *[0] * (N_COMPONENTS - len(found))]
    return comparison(tuple(component(i, n) for i, n in enumerate(counts, start=1)))


def page(*compared, **changes):
    filled = {
        "options": InferenceOptions(n_perm=100, seed=3, two_sided=True),
        "recipe": Recipe(n_components=N_COMPONENTS),
        "n_align": N_COMPONENTS,
        "eig_tol": 0.01,
        "closeness": 0.01,
        "groups": ALL,
        "covariates": (),
        "blocks": (),
        "embeddings": (EmbeddingPage("Thalamus", N_VOXELS, "reduced", 100, "a smooth pilot"),),
        "comparisons": compared or (with_found(3),),
    }
    return ComparePage("1.0", **{**filled, **changes})


class Elements(HTMLParser):
    """Names, attributes and text of a page, as a browser reads it."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.attributes, self.text = [], [], ""
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag):
        self.text += " " if tag in ("td", "th") else ""

    def handle_data(self, data):
        self.text += data


def words(html):
    """The text, with single spaces and without the style sheet."""
    return " ".join(Elements(re.sub(r"<style>.*</style>", "", html, flags=re.S)).text.split())


def said(*compared, **changes):
    """The text of a page whose figures were not drawn, which is what takes the time."""
    with pytest.MonkeyPatch.context() as patch:
        for figure in ("statistic_slices", "null_histograms"):
            patch.setattr(f"thalgpu.engine.report.compare.{figure}", lambda *_, **__: b"")
        return words(render_compare(page(*compared, **changes)))


def n_images(html):
    return len([base64.b64decode(found, validate=True) for found in re.findall(r"base64,([A-Za-z0-9+/=]+)", html)])


@pytest.fixture(scope="module")
def html():
    return render_compare(page())


@pytest.fixture(scope="module")
def text(html):
    return words(html)


def test_headline_counts_voxels_of_each_component_and_says_in_which_group_they_are_larger():
    first = maximum_test(3, interval=(0.0018, 0.054))
    values = first.values.copy()
    values[0] = -5.0
    tests = (replace(first, values=values),)
    others = (component(2, 1), component(3), component(4))
    assert (
        "2 larger in a, 1 in b) and 1 in component 2 (larger in a) are significant at pFWE ≤ .05 by the largest "
        "|difference|; the smallest pFWE is 0.010 (95 % Monte-Carlo interval 0.0018 to 0.054), in component 1. "
        "Corrected over the 4 components as well, components 1–2 are significant."
    ) in said(comparison((component(1, tests=tests), *others)))


def test_many_components_are_counted_together():
    assert "6 voxels of components 1–4 together are significant" in said(with_found(1, 2, 1, 2))


def test_nothing_found_is_said_of_maps_numbers_and_peaks():
    text = said(comparison())
    assert "None of the 120 voxels is significant in any of the 4 components" in text
    assert "Nothing reaches pFWE ≤ .05" in text
    assert "No eigenvalue, explained variance, range or subspace differs" in text
    assert "There are no peaks to list" in text


def test_numbers_that_differ_stand_in_the_headline_and_are_marked():
    changed = list(numbers())
    changed[0] = replace(changed[0], p_fwe=np.array([0.5, 0.04, 0.5, 0.5]))
    changed[3] = replace(changed[3], p_fwe=np.array([0.5, 0.5, 0.02, 0.5]))
    html = render_compare(page(comparison(numbers=tuple(changed))))
    assert (
        "Numbers that differ at pFWE ≤ .05: the eigenvalue of component 2 (pFWE 0.040) and the subspace of 3 "
        "components (pFWE 0.020)."
    ) in words(html)
    assert re.search(r'class="first marked">−0.02</td><td class="marked">0.200</td><td class="marked">0.040<', html)


@pytest.mark.parametrize(("p_joint", "kind"), [(0.04, "found"), (0.06, "none")])
def test_a_comparison_is_marked_where_something_is_left_when_corrected_over_the_components(p_joint, kind):
    test = maximum_test(3, p_joint=np.full(N_VOXELS, p_joint))
    html = render_compare(page(comparison((component(1, tests=(test,)), *(component(i) for i in range(2, 5))))))
    assert f'<li class="{kind}">' in html
    assert "3 of 120 voxels in component 1" in words(html)


def test_explained_variance_is_told_in_percent():
    html = render_compare(page(comparison()))
    assert "explained variance (%)</th>" in html
    assert '<td class="first ">−2<' in html


def test_a_component_is_drawn_if_it_is_one_of_three_or_has_something_significant():
    html = render_compare(page(with_found(0, 0, 0, 1)))
    assert n_images(html) == 8
    fewer = render_compare(page(with_found(1)))
    assert n_images(fewer) == 6
    assert "1 more component is not drawn: nothing is significant there." in words(fewer)


def test_tfce_decides_where_it_was_done():
    tests = (maximum_test(0), maximum_test(3, "tfce"))
    components = tuple(component(i, tests=tests if i == 1 else tests[:1]) for i in range(1, 5))
    text = said(comparison(components), options=InferenceOptions(100, tfce=True))
    assert "3 of 120 voxels in component 1" in text
    assert "by TFCE" in text
    assert "Threshold-free cluster enhancement" in text


def test_all_groups_have_a_spread_without_direction():
    text = said(comparison(with_found(3).components, name="all groups", groups=ALL))
    assert "3 of 120 voxels in component 1 are significant at pFWE ≤ .05 by the largest SD between groups" in text
    assert "Values are SDs between the groups" in text
    assert "to the subspace of all subjects" in text


def test_certificate_holds_estimated_and_verified_errors_and_what_was_exact(text):
    assert "a - b map: null SD 0.1 0.1 0.1 0.1 map: estimated error 0.4 % 0.4 % 0.4 % 0.4 %" in text
    assert "map: verified error 0.3 % 0.3 % 0.3 % 0.3 %" in text
    assert "7 (7 %)" in text
    assert "20 permutations a comparison, drawn at random, were computed both ways" in text
    assert "found in the 100 leading eigenvectors of all subjects' mean" in text
    assert "The tolerance (eig_tol) is 1 %" in text
    assert "run it again" not in text


def test_errors_above_the_tolerance_are_remarked_and_marked():
    worse = (component(1, verified=0.05), *(component(i) for i in range(2, 5)))
    html = render_compare(page(comparison(worse)))
    assert "a - b: errors of maps of component 1 reach 0.05 null SDs, more than the 0.01 allowed" in words(html)
    assert '<td class="marked">5 %</td>' in html


def test_errors_of_numbers_stand_in_the_certificate_and_are_remarked_above_the_tolerance():
    errors = np.array([0.001, 0.002, 0.03, 0.002])
    changed = [replace(number, verified=errors if number.name == "range" else errors / 10) for number in numbers()]
    html = render_compare(page(comparison(numbers=tuple(changed))))
    assert "a - b: errors of range of component 3 reach 0.03 null SDs, more than the 0.01 allowed" in words(html)
    assert "range: verified error 0.1 % 0.2 % 3 % 0.2 %" in words(html)
    assert "subspace: verified error 0.01 % 0.02 % 0.3 % 0.02 %" in words(html)


def test_principal_angles_of_a_pair_are_listed_for_each_number_of_components():
    angles = np.tril(np.arange(1.0, 17.0).reshape(4, 4))
    text = said(comparison(angles=angles))
    assert "Principal angles" in text
    assert "1–3 9.0° 10.0° 11.0° 1–4 13.0°" in text
    assert "Principal angles" not in said(comparison(name="all groups", groups=ALL)).replace("principal angles", "")


@pytest.mark.parametrize("path", ["exact", "direct"])
def test_exact_paths_have_nothing_to_verify(path):
    exact = tuple(component(i, verified=None) for i in range(1, 5))
    text = said(
        comparison(exact, path=path, n_exact=100, n_verified=0),
        embeddings=(EmbeddingPage("Thalamus", N_VOXELS, path, 0, "asked for"),),
    )
    assert "nothing was left to verify" in text
    assert "verified error" not in text
    assert "without approximation" in text


def test_components_with_close_eigenvalues_are_flagged_with_the_subspace_to_read():
    mixing = tuple(component(i, close=close) for i, close in enumerate((0.0, 0.34, 0.34, 0.001), start=1))
    html = render_compare(page(comparison(mixing)))
    text = words(html)
    assert "Components 2–3: close in 34 % and 34 % of the group solutions." in text
    assert "Read the subspace of 3 components: distance 0.03, p = 0.200, pFWE = 0.500." in text
    assert "matched to the template by Procrustes" in text
    assert len(re.findall(r'<td class="marked">34 %</td>', html)) == 2
    assert html.count('href="#mixing"') == 2


def test_flags_name_components_that_were_not_rotated_together():
    mixing = tuple(component(i, close=close) for i, close in enumerate((0.0, 0.34, 0.34, 0.0), start=1))
    assert "Only the first 2 were rotated onto the template together" in said(comparison(mixing), n_align=2)
    assert "They were matched to the template by sign alone" in said(comparison(mixing), n_align=1)


def test_without_close_eigenvalues_nothing_is_flagged(text):
    assert "No component has an eigenvalue within 1 % of a neighbour's in 1 % of the group solutions" in text


def test_method_cites_what_was_used_and_nothing_else(text):
    for paper in ("Coifman RR", "Winkler AM, Ridgway GR", "Björck Å", "Nichols TE, Holmes AP", "Schönemann PH"):
        assert paper in text
    for unused in ("Threshold-free", "Belkin", "Multi-level"):
        assert unused not in text
    assert "7 of 100 permutations" in text
    assert "100 permutations (seed 3)" in text
    laplacian = said(recipe=Recipe("le", n_components=N_COMPONENTS), blocks=("site",))
    assert "Belkin M" in laplacian
    assert "Coifman" not in laplacian
    assert "Multi-level" in laplacian


def test_limits_tell_of_covariates_only_where_there_are_some(text):
    adjusted = said(covariates=("age", "sex"))
    assert "Covariates (age and sex) were regressed from the affinities" in adjusted
    assert "may have negative entries" in adjusted
    assert "may have negative entries" not in text
    assert "permuted within its own members" in text
    assert "not studentised" in text


def test_two_thalami_have_a_path_each():
    sides = ("Left thalamus", "Right thalamus")
    embeddings = tuple(EmbeddingPage(side, N_VOXELS, "reduced", 100, "smooth") for side in sides)
    text = said(*(replace(comparison(), place=side) for side in sides), embeddings=embeddings)
    assert "a - b · Left thalamus" in text
    assert "path, right thalamus" in text


def test_exhaustive_permutations_need_no_interval_and_no_seed():
    text = said(comparison(exhaustive=True))
    assert "(exact), in component 1" in text
    assert "(seed 3)" not in text


def test_places_that_are_no_voxels_get_a_cloud():
    flat = Region("s", SurfaceGrid(N_VOXELS, 0), np.arange(N_VOXELS), np.full(N_VOXELS, LEFT, np.int8))
    assert "a less b, and uncorrected p. Red: pFWE" in said(comparison(with_found(3).components, region=flat))


@pytest.mark.fault("markup in a name")
def test_every_text_is_escaped():
    groups = ((EVIL, 6), ("b", 8))
    evil = comparison(name=EVIL, place=EVIL, groups=groups, permutations=EVIL, peak_columns=(EVIL,), peaks=((EVIL,),))
    embedding = EmbeddingPage("Thalamus", N_VOXELS, "reduced", 100, EVIL)
    html = render_compare(
        page(evil, groups=groups, covariates=(EVIL,), blocks=(EVIL,), embeddings=(embedding,), facts=((EVIL, EVIL),),
             remarks=(EVIL,))
    )  # fmt: skip
    found = Elements(html)
    assert "script" not in found.tags
    assert "<script" not in html
    assert found.text.count(EVIL) > 20


def test_group_names_with_mathematics_are_only_text():
    groups = (("$\\frac$", 6), ("b", 8))
    assert "$\\frac$ less b" in said(comparison(groups=groups), groups=groups)


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


def test_links_within_the_page_lead_somewhere():
    mixing = tuple(component(i, close=0.5) for i in range(1, 5))
    attributes = Elements(render_compare(page(comparison(mixing)))).attributes
    places = {value for name, value in attributes if name == "id"}
    assert {value[1:] for name, value in attributes if name == "href"} <= places


def test_no_number_is_missing_in_words():
    few = tuple(component(i, tests=(replace(maximum_test(0), null=np.arange(1.0, 7.0)),)) for i in range(1, 5))
    assert not re.search(r"\b(nan|NaN|inf)\b|None\b(?! of)", said(comparison(few, n_perm=6, n_exact=0)))


def test_same_page_is_the_same_bytes(html):
    assert render_compare(page()) == html


def test_lists_and_runs_are_written_as_people_do():
    assert listed(["a"]) == "a"
    assert listed(["a", "b", "c"]) == "a, b and c"
    assert runs([1, 2, 3, 5, 7, 8]) == "1–3, 5 and 7–8"


def cohort(rng, labels, n_voxels):
    """Packed affinities; those of group b have another first gradient."""
    place = np.linspace(-1, 1, n_voxels)
    stack = []
    for label in labels:
        along = place**3 if label == "b" else place
        waves = np.column_stack([along, np.cos(3 * place), np.sin(5 * place), rng.standard_normal((n_voxels, 3)) / 2])
        stack.append(np.exp(-((waves[:, None] - waves[None]) ** 2).sum(axis=2))[np.triu_indices(n_voxels)])
    return np.array(stack, dtype=np.float32)


def test_a_comparison_of_three_groups_becomes_a_page(tmp_path, rng):
    labels = ("a",) * 5 + ("b",) * 5 + ("c",) * 4
    space, options = region(), InferenceOptions(n_perm=30, tfce=True, two_sided=True)
    stack = cohort(rng, labels, N_VOXELS)
    template = rng.standard_normal((N_VOXELS, N_COMPONENTS))
    chosen = comparisons(labels, options)
    study = Study(
        stack, Recipe(n_components=N_COMPONENTS), None, template, np.linalg.qr(template)[0], N_COMPONENTS, chosen, None,
        volume_neighbours(space.ijk, 6), options, "direct", 0.01, (np.ones(N_COMPONENTS),) * len(chosen),
        (np.ones(4 * N_COMPONENTS),) * len(chosen), (np.zeros(4 * N_COMPONENTS),) * len(chosen),
    )  # fmt: skip
    choice = SimpleNamespace(path="direct", rank=0, words="few voxels")
    embedded = Embedded("", study, choice, space, (), np.ones(N_VOXELS, bool), "key")
    found = []
    for number in range(len(chosen)):
        observed = observe(study, number)
        blocks = run_block(study, number, observed, 0, 30)
        parts = finish(study, number, observed, blocks)
        verified = Verified(np.zeros(N_COMPONENTS), *np.zeros((2, 4, N_COMPONENTS)))
        angles = principal_angles(*observed_vectors(study, number)) if chosen[number].is_pair else None
        found.append(ComparisonResult(embedded, number, parts, blocks, verified, angles))
    groups = Groups(tuple("123"), labels, None, (), None, "")
    request = CompareRequest(Path("gradients"), Path("participants.tsv"), out=tmp_path)
    write_report(request, ComparePrepared(groups, (embedded,), None, ("a remark",)), found)
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    text = words(html)
    for expected in ("a - b", "a - c", "b - c", "all groups", "14: 5 a, 5 b, 4 c", "a remark", "few voxels", "nothing"):
        assert expected in text
    assert n_images(html) >= 2 * 3 * len(chosen)
    assert not re.search(r"\bnan\b", text)
