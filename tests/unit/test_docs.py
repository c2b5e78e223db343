"""What the guide says can be typed: its Python runs, its options and links exist."""

import re
from pathlib import Path

import numpy as np
import pytest
import typer

from thalgpu.cli.main import app
from thalgpu.engine.pipelines.permute_outputs import _FILE_NAMES as MAP_NAMES

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
OTHER_PROGRAMS = {"--with-peers", "--with-nvrtc", "--upgrade", "--no-build-isolation", "--no-deps"}
OTHER_PROGRAMS |= {"--scheduler-file", "--nthreads", "--nworkers", "--dashboard-address"}  # Dask's


@pytest.mark.parametrize("page", ["README.md", "docs/python-api.md"])
def test_python_examples_run(page, rng):
    sources = rng.standard_normal((100, 8))
    place = np.linspace(0, 1, 8)[:, None]
    seed_ts = sources @ np.exp(-8 * (place - np.linspace(0, 1, 40)) ** 2)
    target_ts = sources @ np.exp(-8 * (place - np.linspace(0, 1, 50)) ** 2) + 0.1 * rng.standard_normal((100, 50))
    connectivity = np.corrcoef(seed_ts.T, target_ts.T)[:40, 40:]
    names = {
        "seed_ts": seed_ts,
        "target_ts": target_ts,
        "connectivity": connectivity,
        "connectivity_1": connectivity,
        "connectivity_2": connectivity + 0.01 * rng.standard_normal(connectivity.shape),
        "template": rng.standard_normal((40, 10)),
    }
    example = "\n".join(re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(), re.S))
    exec(compile(example, page, "exec"), names)
    gradients = names["gm"].gradients_
    last = gradients[-1] if isinstance(gradients, list) else gradients
    assert last.shape == (40, 10)
    assert np.isfinite(last).all()


def test_every_option_that_is_named_exists():
    commands = typer.main.get_command(app).commands.values()
    known = {
        text for command in commands for option in command.params for text in (*option.opts, *option.secondary_opts)
    }
    for page in PAGES:
        named = set(re.findall(r"(?<![\w-])--[a-z][A-Za-z0-9-]+", page.read_text()))
        assert named - known - OTHER_PROGRAMS - {"--help", "--version"} == set(), page.name


def test_every_map_of_a_permutation_test_is_explained():
    page = (ROOT / "docs/permute.md").read_text()
    assert [stat for stat in MAP_NAMES.values() if f"`{stat}`" not in page] == []


def test_every_link_within_the_project_leads_somewhere():
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"
