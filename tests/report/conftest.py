"""A made-up study, small, with every part that its page can have; and what a browser makes of a page."""

import json
import os
import select
import shutil
import subprocess
from itertools import count
from time import monotonic

import numpy as np
import pytest

from thalgpu.engine.inference.model import InferenceOptions
from thalgpu.engine.inputs.model import LEFT, RIGHT, Region, VolumeGrid
from thalgpu.engine.report import study_pictures as pictures
from thalgpu.engine.report.permute_page import Mesh
from thalgpu.engine.report.study_page import (
    ArmPage,
    GroupGradientsPage,
    QualityPage,
    ResultRow,
    SeverityPage,
    SeverityRow,
    StudyPage,
    SubjectQuality,
    TextTable,
)

GROUPS = ("HC", "nonneuCLBP", "neuCLBP")
CONTRASTS = ("neuCLBP - HC", "nonneuCLBP - HC")


def result(contrast=CONTRASTS[0], part="", p=(0.3, 0.5, 0.9), **changes):
    """A row with p of its part, its arm and all arms."""
    filled = {
        "statistic": "t", "df": "79", "peak": -2.5, "where": "left", "effect_name": "Hedges g", "effect": -0.66,
        "low": -1.2, "high": -0.12, "n_significant": int(p[0] <= 0.05), "n_features": 4,
    }  # fmt: skip
    p_fwe, p_arm, p_joint = p
    return ResultRow(contrast=contrast, part=part, p_fwe=p_fwe, p_arm=p_arm, p_joint=p_joint, **{**filled, **changes})


def octahedron():
    """Mesh of a left thalamus with six vertices."""
    corners = np.array([[1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0], [0, 0, 1], [0, 0, -1]], dtype=float)
    faces = np.array([[0, 2, 4], [2, 1, 4], [1, 3, 4], [3, 0, 4], [2, 0, 5], [1, 2, 5], [3, 1, 5], [0, 3, 5]])
    return Mesh(corners * [5.0, 12.0, 7.0] - [12.0, 20.0, 0.0], faces, np.arange(6), "L")


def two_thalami():
    """Voxels of two blocks, one a hemisphere."""
    one = np.argwhere(np.ones((3, 5, 3)))
    ijk = np.concatenate([one + np.array([1, 1, 1]), one + np.array([6, 1, 1])]).astype(np.int32)
    affine = ((2.0, 0, 0, -10), (0, 2.0, 0, -26), (0, 0, 2.0, 0), (0, 0, 0, 1.0))
    flat = np.ravel_multi_index(tuple(ijk.T), (10, 8, 6))
    side = np.repeat([LEFT, RIGHT], len(one)).astype(np.int8)
    return Region("thalamus", VolumeGrid((10, 8, 6), affine), flat, side, ijk, ijk * 2.0 + [-10, -26, 0])


def by_group(rng, *shape):
    """Values of eight members of every group."""
    return [(name, rng.normal(2.0, 0.2, (8, *shape))) for name in GROUPS]


def made_up_study(**changes):
    """A study that found something in shape and in a gradient, and nothing in volumes."""
    rng = np.random.default_rng(5)
    thalami, values = two_thalami(), rng.normal(size=90)
    gradients = ArmPage(
        key="gradients", title="Thalamic gradients", measured="Diffusion maps (Coifman and Lafon 2006).", unit="voxel",
        rows=(
            result(part="gradient 1"),
            result(CONTRASTS[1], "gradient 1", (0.002, 0.004, 0.02), n_significant=12, n_features=90),
        ),
        pictures=(
            pictures.scree_picture(by_group(rng, 4), np.array([2.2, 2.1, 2.0, 1.9])),
            *pictures.template_pictures(
                np.column_stack([values, values]).astype(np.float32), np.ones(90, bool), thalami, 2
            ),
            pictures.slices_picture(
                "nonneuCLBP - HC", values, values > 1.5, thalami, "t (79 df)", signed=True, by="TFCE"
            ),
        ),
        tfce=True,
    )  # fmt: skip
    shape = ArmPage(
        key="shape", title="Thalamic shape", measured="Displacement, mm.", unit="vertex",
        rows=(
            result(part="left", p=(0.001, 0.002, 0.008), n_significant=2, n_features=6),
            result(CONTRASTS[1], "left"),
        ),
        pictures=(
            pictures.surfaces_picture(
                "neuCLBP - HC", np.arange(6.0), np.arange(6) > 4, [octahedron()], "t (79 df)", signed=True, by="TFCE"
            ),
        ),
        reports=(("permutation test", "tests/shape/report.html"),),
        adjusted=(result(part="left", p=(0.06, 0.08, 0.2)), result(CONTRASTS[1], "left")),
        tfce=True,
    )  # fmt: skip
    volumes = ArmPage(
        key="volumes", title="Thalamic volume", measured="Volumes, mm³.", unit="feature",
        rows=tuple(result(contrast) for contrast in CONTRASTS),
        pictures=(pictures.rain_cloud_picture([("left", by_group(rng))], "volume (mm³)"),),
    )  # fmt: skip
    filled = {
        "version": "1.0", "title": "A study", "facts": (("study file", "study.toml"),),
        "groups": tuple((name, 8) for name in GROUPS), "grouped": ("neuCLBP: painDETECT ≥ 19",),
        "design": "group + age",
        "contrasts": tuple((name, "") for name in CONTRASTS), "options": InferenceOptions(n_perm=1000, tfce=True),
        "n_perm": 1000,
        "table_one": TextTable("Characteristics", ("", *GROUPS, "p"), (("age", "48", "47", "49", "0.7"),)),
        "arms": (gradients, shape, volumes), "excluded": (("sub-25", "no mesh"),), "covariates": ("age",),
        "severity": SeverityPage(
            (SeverityRow("displacement", "painDETECT", 16, -0.5, -0.8, -0.1, 0.002, 0.01),),
            ("age",), "16 patients", 1000,
        ),
        "adjusted_for": ("pain intensity",),
        "group_gradients": GroupGradientsPage(
            "Gradients of groups were compared.", ("Component 1 differs.",),
            (TextTable("Gradients of groups", ("component", "p_FWE"), (("1", "0.01"),)),),
        ),
        "quality": QualityPage(
            ("mean FD (mm)",), (SubjectQuality("sub-01", ("0.1",)), SubjectQuality("sub-02", ("0.9",), ("moved",)))
        ),
        "simulated": True,
    }  # fmt: skip
    return StudyPage(**{**filled, **changes})


@pytest.fixture
def thalami():
    return two_thalami()


@pytest.fixture(scope="session")
def study():
    return made_up_study()


class Browser:
    """Chromium without a window, spoken to through a pair of pipes (DevTools protocol)."""

    def __init__(self, program, profile):
        to_browser, self._to = os.pipe()
        self._from, from_browser = os.pipe()
        flags = f"--headless --no-sandbox --disable-gpu --remote-debugging-pipe --user-data-dir={profile}"
        self._process = subprocess.Popen(
            ["bash", "-c", f"exec {program} {flags} 3<&{to_browser} 4>&{from_browser}"],
            pass_fds=(to_browser, from_browser), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(to_browser)
        os.close(from_browser)
        self._numbers, self._rest, self.events = count(1), b"", []
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Network", "Log", "Runtime"):
            self.ask(f"{domain}.enable")

    _session = None

    def ask(self, method, **parameters):
        """The answer to a command; events on the way are kept."""
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": parameters}
        if self._session is not None:
            message["sessionId"] = self._session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        while (answer := self._read()).get("id") != number:
            self.events.append(answer)
        assert "error" not in answer, answer
        return answer["result"]

    def open(self, path):
        """Load a file until everything in it has been."""
        self.events.clear()
        self.ask("Page.navigate", url=path.as_uri())
        while not any(event["method"] == "Page.loadEventFired" for event in self.events):
            self.events.append(self._read())

    def value(self, script):
        """What a script returns in the page."""
        found = self.ask("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found
        return found["result"]["value"]

    def close(self):
        os.close(self._to)
        os.close(self._from)
        self._process.terminate()
        self._process.wait(timeout=20)

    def _read(self):
        deadline = monotonic() + 60.0
        while b"\0" not in self._rest:
            ready, _, _ = select.select([self._from], [], [], max(0.0, deadline - monotonic()))
            assert ready, "the browser does not answer"
            self._rest += os.read(self._from, 1 << 20)
        message, self._rest = self._rest.split(b"\0", 1)
        return json.loads(message)


@pytest.fixture(scope="session")
def browser(tmp_path_factory):
    program = next((name for name in ("chromium", "chromium-browser", "google-chrome") if shutil.which(name)), None)
    if program is None:
        pytest.skip("no chromium in the PATH")
    running = Browser(program, tmp_path_factory.mktemp("profile"))
    yield running
    running.close()
