"""The page of a study in a real browser: nothing is fetched, nothing overflows, everything can be read."""

import base64

import pytest

from thalgpu.engine.report.study import render_study

LEAST_CONTRAST = 4.5
"""WCAG 2.2, level AA, for text of ordinary size."""

CONTRASTS = """(() => {
  const channel = (c) => (c /= 255) <= .03928 ? c / 12.92 : ((c + .055) / 1.055) ** 2.4;
  const parse = (text) => text.match(/[\\d.]+/g).map(Number);
  const luminance = ([r, g, b]) => .2126 * channel(r) + .7152 * channel(g) + .0722 * channel(b);
  const behind = (element) => {
    for (; element; element = element.parentElement) {
      const colour = parse(getComputedStyle(element).backgroundColor);
      if (colour.length == 3 || colour[3] > 0) return colour;
    }
    return [255, 255, 255];
  };
  const written = [...document.body.querySelectorAll('*')].filter(
    (one) => [...one.childNodes].some((node) => node.nodeType == 3 && node.textContent.trim()));
  return written.map((one) => {
    const [a, b] = [luminance(parse(getComputedStyle(one).color)), luminance(behind(one))];
    return [(Math.max(a, b) + .05) / (Math.min(a, b) + .05), one.tagName, one.textContent.trim().slice(0, 40)];
  });
})()"""


@pytest.fixture(scope="module")
def page(browser, study, tmp_path_factory):
    """The browser with the page open."""
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(render_study(study), encoding="utf-8")
    browser.open(path)
    return browser


def of_kind(browser, *methods):
    return [event["params"] for event in browser.events if event["method"] in methods]


def resize(browser, width):
    browser.ask("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False)


def prefer(browser, scheme):
    browser.ask("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])


def test_browser_has_nothing_to_complain_of(page):
    assert of_kind(page, "Log.entryAdded", "Runtime.exceptionThrown", "Runtime.consoleAPICalled") == []


def test_nothing_but_the_page_is_requested(page):
    requests = [params["request"]["url"] for params in of_kind(page, "Network.requestWillBeSent")]
    others = [url for url in requests if not url.startswith("data:image/png;base64,")]
    assert len(others) == 1
    assert others[0].startswith("file://")


def test_every_figure_is_shown(page):
    sizes = page.value("[...document.images].map((one) => [one.complete, one.naturalWidth, one.clientWidth])")
    assert len(sizes) == 7
    assert all(complete and natural > 100 and shown > 100 for complete, natural, shown in sizes)


@pytest.mark.parametrize("width", [400, 800, 1400, 1900])
def test_nothing_overflows_sideways(page, width):
    resize(page, width)
    assert page.value("document.documentElement.scrollWidth") <= width


def test_wide_tables_scroll_within_themselves_on_a_narrow_screen(page):
    resize(page, 400)
    inside = page.value("[...document.querySelectorAll('.scroll')].filter((o) => o.scrollWidth > o.clientWidth).length")
    assert inside > 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_stands_out_from_what_is_behind_it(page, scheme):
    prefer(page, scheme)
    contrasts = page.value(CONTRASTS)
    assert len(contrasts) > 150
    assert [one for one in contrasts if one[0] < LEAST_CONTRAST] == []


def test_dark_page_is_dark(page):
    prefer(page, "light")
    light = page.value("getComputedStyle(document.body).backgroundColor")
    prefer(page, "dark")
    assert (light, page.value("getComputedStyle(document.body).backgroundColor")) == (
        "rgb(255, 255, 255)",
        "rgb(13, 17, 23)",
    )


def test_dark_page_prints_black_on_white(page):
    page.ask("Emulation.setEmulatedMedia", media="print", features=[{"name": "prefers-color-scheme", "value": "dark"}])
    shown = page.value("[getComputedStyle(document.body).color, getComputedStyle(document.body).backgroundColor]")
    page.ask("Emulation.setEmulatedMedia", media="")
    assert shown == ["rgb(0, 0, 0)", "rgb(255, 255, 255)"]


def test_links_within_the_page_lead_somewhere(page):
    links = page.value("[...document.querySelectorAll('a[href^=\"#\"]')].map((a) => !!document.querySelector(a.hash))")
    assert len(links) > 10
    assert all(links)


def test_page_prints(page):
    printed = base64.b64decode(page.ask("Page.printToPDF")["data"])
    assert printed.startswith(b"%PDF")
    assert printed.count(b"/Type /Page\n") + printed.count(b"/Type /Page ") + printed.count(b"/Type /Page/") > 3
