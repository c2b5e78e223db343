"""Names that were meant to do harm are only text, on every page that has no such test beside its own."""

import re
from html.parser import HTMLParser

import numpy as np
import pytest

from thalgpu.engine.inputs.headers import volume_grid
from thalgpu.engine.inputs.model import Region
from thalgpu.engine.outputs.folders import without_folders
from thalgpu.engine.report.connectivity import ConnectivityPage, MeanMap, render_connectivity
from thalgpu.engine.report.structure import MeanShape, StructurePage, TableSummary, render_structure

EVIL = ["<script>alert('1')</script>\"'&", "$\\frac{<img src=x onerror=alert(1)>", "{{ 7 * 7 }}</style>"]
TETRAHEDRON = np.eye(4)[:, :3] * 10.0, np.array([[0, 2, 1], [0, 1, 3], [1, 2, 3], [0, 3, 2]])


def connectivity_page(evil: str) -> ConnectivityPage:
    ijk = np.argwhere(np.ones((3, 3, 2))).astype(np.int32)
    region = Region("mask.nii", volume_grid((3, 3, 2), np.eye(4)), np.arange(18), np.zeros(18, np.int8), ijk, ijk * 1.0)
    pair = ((evil, evil),)
    return ConnectivityPage(
        version="1",
        facts=pair,
        options=pair,
        maps=(MeanMap(evil, np.linspace(-1, 1, 18), region),),
        rows=(evil,),
        columns=(evil, evil + "2"),
        matrix=np.array([[0.1, 0.2]]),
        table_columns=(evil,),
        table=((evil,),),
        likeness=np.array([0.5]),
        failures=pair,
        warnings=(evil,),
    )


def structure_page(evil: str) -> StructurePage:
    pair = ((evil, evil),)
    return StructurePage(
        version="1",
        facts=pair,
        options=pair,
        tables=(TableSummary(evil, ((evil, "3", "1", "1", "0", "2"),)),),
        shapes=(MeanShape("L", *TETRAHEDRON, np.arange(4.0)),),
        quality_columns=(evil,),
        quality=(((evil,), True),),
        failures=pair,
        warnings=(evil,),
    )


class Elements(HTMLParser):
    """Names of elements and of attributes, and all text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[str] = []
        self.links: list[str | None] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [name for name, _ in attrs]
        self.links += [value for name, value in attrs if name in ("src", "href", "action", "data")]

    def handle_data(self, data):
        self.text += data


@pytest.mark.fault("markup in a name")
@pytest.mark.parametrize("evil", EVIL, ids=["script", "mathematics", "template"])
@pytest.mark.parametrize("html_of", [
    lambda evil: render_connectivity(connectivity_page(evil)),
    lambda evil: render_structure(structure_page(evil)),
], ids=["connectivity", "structure"])  # fmt: skip
def test_names_meant_to_do_harm_are_only_text(html_of, evil):
    html = html_of(evil)
    found = Elements(html)
    assert found.text.count(evil) >= 8
    assert "script" not in found.tags
    assert not [name for name in found.attributes if name.startswith("on")]
    assert all(link.startswith(("data:image/png;base64,", "#")) for link in found.links)
    assert re.search(r"Content-Security-Policy\" content=\"default-src 'none'", html)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("/home/jane doe/x/bold.nii.gz:10,49", "bold.nii.gz:10,49"),
        ("no file (/data/St. Mary/sub-01_bold.nii.gz:3) — see https://doi.org/10.1/x", None),
        ("covariates: age / sex / site; 3/4 and/or km/h", "covariates: age / sex / site; 3/4 and/or km/h"),
    ],
)
def test_pages_name_files_and_not_their_folders(text, shown):
    shown = shown or "no file (sub-01_bold.nii.gz:3) — see https://doi.org/10.1/x"
    assert shown in Elements(render_structure(structure_page(text))).text
    assert without_folders(text) == shown
