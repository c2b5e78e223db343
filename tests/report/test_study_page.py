"""The page of a study: what it says, that it is safe to open, and that it can be read without seeing it."""

import re
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise

import pytest

from thalgpu.engine.config import GradientOptions
from thalgpu.engine.inference.model import InferenceOptions
from thalgpu.engine.report import study_measures as measures
from thalgpu.engine.report.study import render_study
from thalgpu.engine.report.study_method import methods_paragraph
from thalgpu.engine.report.study_page import StudyPage
from thalgpu.engine.report.study_papers import references
from thalgpu.engine.report.study_words import limits, minus, reach, robust

EVIL = "<script>alert('1')</script>\"'&"
VOID = {"meta", "img", "br"}


class Elements(HTMLParser):
    """Elements in their order, each with its attributes and text; and whether all were closed."""

    def __init__(self, html):
        super().__init__()
        self.all, self._open = [], []
        self.feed(html)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag, attrs):
        if tag in ("td", "th", "small"):
            self.handle_data(" ")  # what stands beside each other is not one word
        element = {"tag": tag, "text": "", **dict(attrs)}
        self.all.append(element)
        if tag not in VOID:
            self._open.append(element)

    def handle_endtag(self, tag):
        assert self._open.pop()["tag"] == tag

    def handle_data(self, data):
        for element in self._open:
            element["text"] += data

    def of(self, *tags):
        return [one for one in self.all if one["tag"] in tags]


@pytest.fixture(scope="module")
def html(study):
    return render_study(study)


@pytest.fixture(scope="module")
def elements(html):
    return Elements(html)


def text(elements):
    return " ".join(elements.of("body")[0]["text"].split())


def rows(elements):
    """Text of every row of every table."""
    return [" ".join(one["text"].split()) for one in elements.of("tr")]


def test_same_study_gives_the_same_bytes(study, html):
    assert render_study(study) == html


def test_identifiers_are_unique(elements):
    ids = [one["id"] for one in elements.all if "id" in one]
    assert len(ids) == len(set(ids)) > 10


def test_headings_descend_one_level_at_a_time_from_a_single_first(elements):
    levels = [int(one["tag"][1]) for one in elements.of("h1", "h2", "h3", "h4")]
    assert levels.count(1) == 1
    assert levels[0] == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))


def test_page_names_its_language_its_parts_and_a_way_past_them(elements):
    assert elements.of("html")[0]["lang"] == "en"
    assert len(elements.of("main")) == 1
    assert elements.of("nav")[0]["aria-label"] == "Sections"
    assert elements.of("a")[0]["href"] == "#results"


def test_sections_are_named_by_headings_that_exist(elements):
    ids = {one["id"] for one in elements.all if "id" in one}
    sections = elements.of("section")
    assert len(sections) > 8
    assert all(one["aria-labelledby"] in ids for one in sections)


def test_every_table_has_a_caption_and_every_header_a_scope(elements):
    assert len(elements.of("table")) == len(elements.of("caption")) > 8
    assert {one.get("scope") for one in elements.of("th")} == {"col", "row"}


def test_every_figure_is_described_otherwise_than_by_its_caption(elements):
    images, captions = elements.of("img"), elements.of("figcaption")
    assert len(images) == len(captions) == 7
    assert all(len(image["alt"]) > 20 for image in images)
    assert all(image["alt"] != caption["text"] for image, caption in zip(images, captions, strict=True))


def test_policy_allows_inline_style_and_images_only(html):
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', html)
    assert policy is not None
    assert policy[1] == (
        "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
    )


def test_nothing_outside_the_page_is_referred_to(elements):
    assert elements.of("script", "link", "iframe", "object") == []
    assert all(one["src"].startswith("data:image/png;base64,") for one in elements.of("img"))
    assert not any("//" in one["href"] for one in elements.of("a"))


@pytest.mark.fault("markup in a name")
def test_text_is_escaped_wherever_it_comes_from(study):
    arm = replace(study.arms[0], title=EVIL, measured=EVIL, remarks=(EVIL,), reports=((EVIL, EVIL),))
    arm = replace(arm, rows=tuple(replace(row, part=EVIL, where=EVIL) for row in arm.rows))
    quality = replace(study.quality, columns=(EVIL,), criteria=(EVIL,))
    evil = replace(
        study, title=EVIL, grouped=(EVIL,), excluded=((EVIL, EVIL),), remarks=(EVIL,), arms=(arm,), quality=quality
    )
    found = Elements(render_study(evil))
    assert found.of("script") == []
    assert EVIL in found.of("h1")[0]["text"]


def test_pages_of_84_participants_stay_small(study):
    one = study.quality.rows[0]
    many = replace(study.quality, rows=tuple(replace(one, participant=f"sub-{i:02d}") for i in range(84)))
    assert len(render_study(replace(study, quality=many))) < 6e6


def test_joint_table_says_in_words_how_far_results_stand_up(elements):
    said = rows(elements)
    assert (
        "Thalamic gradients nothing found pjoint = 0.900 parm = 0.500 across all arms pjoint = 0.020 parm = 0.004"
    ) in said
    assert "in the arm pjoint" not in " ".join(said)


def test_headlines_say_what_was_found_and_where(elements):
    assert "Significant: nonneuCLBP - HC: gradient 1 in 12 of 90 voxels (13.3 %; parm = 0.004)." in text(elements)
    assert "Nothing is significant in this arm; the smallest parm is 0.500 (neuCLBP - HC)." in text(elements)


def test_result_that_does_not_survive_all_arms_is_said_not_to(study):
    shape = study.arms[1]
    rows = (replace(shape.rows[0], p_joint=0.07), *shape.rows[1:])
    page = Elements(render_study(replace(study, arms=(replace(shape, rows=rows),))))
    assert "neuCLBP - HC (not across all arms): left in 2 of 6 vertices" in text(page)
    assert "in the arm pjoint = 0.070" in text(page)


def test_rows_of_arms_hold_statistic_effect_and_all_three_corrections(elements):
    row = "neuCLBP - HC left t(79) = −2.50 left g = −0.66 [−1.20 to −0.12] 2 of 6 0.001 0.002 0.008 all arms"
    assert row in rows(elements)


def test_effects_of_several_kinds_are_named_one_by_one(study):
    arm = study.arms[2]
    other = replace(arm.rows[0], effect_name="partial η²", statistic="F", df="2, 79", effect=0.04, low=None, high=None)
    page = Elements(render_study(replace(study, arms=(replace(arm, rows=(*arm.rows, other)),))))
    assert "F(2, 79) = −2.50 left η² = 0.04 0 of 4" in text(page)


def test_parts_have_a_column_only_where_there_are_several(elements):
    headers = [row for row in rows(elements) if row.startswith("contrast ")]
    assert [header.split()[1] for header in headers] == ["part", "part", "statistic"]


def test_numbers_have_minus_signs_and_names_keep_their_hyphens():
    assert minus("x -14, y -20 at sub-01, component-3 of a - b: -0.5 to -1") == (
        "x −14, y −20 at sub-01, component-3 of a - b: −0.5 to −1"
    )


def test_robustness_stands_beside_the_main_result(elements):
    row = "Thalamic shape neuCLBP - HC left −0.66 0.002 −0.66 0.080 no longer significant"
    assert row in rows(elements)


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        (0.01, 0.05, "holds"),
        (0.01, 0.06, "no longer significant"),
        (0.2, 0.01, "becomes significant"),
        (0.2, 0.3, "not significant in either"),
    ],
)
def test_robustness_in_words(study, before, after, words):
    row = study.arms[0].rows[0]
    assert robust(replace(row, p_arm=before), replace(row, p_arm=after)) == words


def test_reach_counts_corrections_that_a_result_survives(study):
    row = study.arms[0].rows[0]
    ps = [(0.2, 0.3, 0.4), (0.05, 0.3, 0.4), (0.01, 0.05, 0.4), (0.01, 0.02, 0.05)]
    assert [reach(replace(row, p_fwe=p[0], p_arm=p[1], p_joint=p[2])) for p in ps] == [0, 1, 2, 3]


def test_excluded_severity_and_quality_are_told(elements):
    said = rows(elements)
    assert "sub-25 no mesh" in said
    assert "displacement painDETECT 16 −0.50 −0.80 to −0.10 0.002 0.010 yes" in said
    assert "sub-02 0.9 moved" in said
    assert "1 of 2 participants stands out" in text(elements)


def test_simulated_participants_are_told_at_the_top_and_real_ones_are_not(study, elements):
    assert "The participants of this study are simulated." in text(elements)
    assert "simulated" not in text(Elements(render_study(replace(study, simulated=False))))


def test_page_of_the_least_there_can_be(study):
    volumes = study.arms[2]
    row = replace(volumes.rows[0], contrast="age", statistic="r")
    least = StudyPage(
        version="1.0",
        title="Least",
        facts=(),
        groups=(("all", 12),),
        grouped=(),
        design="age",
        contrasts=(("age", ""),),
        options=InferenceOptions(),
        n_perm=100,
        table_one=study.table_one,
        arms=(replace(volumes, rows=(row,), pictures=()),),
    )
    page = Elements(render_study(least))
    assert "Nobody: every participant has every measure." in text(page)
    assert page.of("img") == []
    assert not any(one.get("id") in ("quality", "severity", "group-gradients") for one in page.all)


def test_methods_hold_the_numbers_used(study):
    said = methods_paragraph(study)
    assert "24 participants were analysed (8 HC, 8 nonneuCLBP and 8 neuCLBP)." in said
    assert "1 more was excluded" in said
    assert "1,000 random permutations, the identity included (seed 0)" in said
    assert (
        "(TFCE, Smith and Nichols 2009; H = 2, E = 0.5, exact integral over heights, for volumes; H = 2, E = 1" in said
    )
    assert "tests were repeated with pain intensity among the covariates" in said
    assert said.count("\n\n") == 4


def test_methods_of_tables_alone_do_not_speak_of_enhancement(study):
    assert "TFCE" not in methods_paragraph(replace(study, arms=study.arms[2:]))


def test_references_are_those_that_the_methods_name(study):
    named = "".join(references(methods_paragraph(study)))
    for doi in (
        "10.1097/j.pain.0000000000003843",
        "10.1016/j.neuroimage.2014.01.060",
        "10.1016/j.neuroimage.2008.03.061",
        "10.1002/hbm.23115",
        "10.1016/j.acha.2006.04.006",
        "10.1185/030079906X132488",
        "978-0-471-55761-6",
    ):
        assert doi in named
    assert "10.1016/j.pain.2004.12.010" not in named  # DN4 is not among the thresholds


def test_measures_are_described_with_their_options_and_papers():
    gradients = measures.gradients_measured(GradientOptions(), 2136, 400, 3)
    assert (
        "2,136 thalamic voxels held Fisher z of the correlation with 400 cortical targets; the largest 10 %"
        in gradients
    )
    assert "10 components of diffusion maps (Coifman and Lafon 2006; α = 0.5)" in gradients
    assert "Intracranial volume was a covariate" in measures.volumes_measured(
        ["left"], "covariate", "FreeSurfer's aseg"
    )
    shape = measures.shape_measured([642, 642], "rigid", 2.0, "FSL FIRST")
    assert "642 and 642 corresponding vertices" in shape
    assert references(shape)[0].startswith("Gower JC")
    assert "2 mm FWHM" in shape
    assert "FWHM" not in measures.shape_measured([642], "none", 0.0, "meshes")


def test_limits_say_how_small_a_difference_can_be_found(study):
    # (1.96 + 0.84) √(1/28 + 1/28): two-sided 5 %, power 80 %, normal approximation
    groups = tuple((name, 28) for name, _ in study.groups)
    assert any(
        "finds a difference of 0.75 SD in 80 % of studies" in line for line in limits(replace(study, groups=groups))
    )
