"""What setuptools leaves out, it leaves out silently: these tests speak up."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RUNGS = ("bench", "cli", "engine", "kernels")
TEXT = {".cff", ".cfg", ".cu", ".cuh", ".html", ".in", ".md", ".py", ".toml", ".txt", ".yml"}


@pytest.fixture(scope="module")
def pyproject():
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def source_files():
    """Every file of the packages, as a path from the root; not what benchmarks have written here."""
    for folder in ("thalgpu", *RUNGS):
        for path in sorted((ROOT / folder).rglob("*")):
            inside = path.relative_to(ROOT)
            through_symlink = inside.parts[0] == "thalgpu" and len(inside.parts) > 1 and inside.parts[1] in RUNGS
            written = "__pycache__" in inside.parts or inside.parts[:2] == ("bench", "history")
            if path.is_file() and not written and not through_symlink:
                yield inside


def package_of(path):
    """`engine/inputs/model.py` → `thalgpu.engine.inputs`."""
    parts = path.parent.parts
    return ".".join(parts if parts[0] == "thalgpu" else ("thalgpu", *parts))


def data_files(setuptools_table):
    """Every file that the package-data patterns select, as a path from the root."""
    for package, patterns in setuptools_table["package-data"].items():
        folder = ROOT.joinpath(*package.removeprefix("thalgpu.").split("."))
        for pattern in patterns:
            yield from (path.relative_to(ROOT) for path in folder.glob(pattern))


def test_every_folder_with_python_files_is_a_listed_package(pyproject):
    listed = set(pyproject["tool"]["setuptools"]["packages"])
    assert {package_of(path) for path in source_files() if path.suffix == ".py"} == listed


def test_every_package_has_an_init_file(pyproject):
    packages = {package_of(path) for path in source_files() if path.name == "__init__.py"}
    assert packages == set(pyproject["tool"]["setuptools"]["packages"])


def test_every_other_file_is_package_data(pyproject):
    documents = {".md"}
    others = {path for path in source_files() if path.suffix != ".py" and path.suffix not in documents}
    assert others - set(data_files(pyproject["tool"]["setuptools"])) == set()


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="the symlinks are for checkouts, a source archive has none")
@pytest.mark.parametrize("rung", RUNGS)
def test_tools_see_each_rung_through_a_symlink(rung):
    link = ROOT / "thalgpu" / rung
    assert link.is_symlink()
    assert link.resolve() == ROOT / rung


def test_source_archive_holds_what_a_developer_needs():
    manifest = (ROOT / "MANIFEST.in").read_text().split()
    for name in ("bench", "tests", "docs", "requirements", ".ci", "environment.yml", "dev.py", "LICENSE"):
        assert name in manifest
        assert (ROOT / name).exists()


def test_locks_pin_everything_by_hash():
    for path in (ROOT / "requirements").glob("*.txt"):
        requirements = re.findall(
            r"^([a-z0-9-]+)==[^\\]+\\\n((?:    --hash=sha256:[0-9a-f]{64}.*\n)+)", path.read_text(), re.M
        )
        lines = [line for line in path.read_text().splitlines() if re.match(r"[a-zA-Z-]", line)]
        assert len(requirements) == len(lines) > 0, path


def test_locks_name_no_host_and_no_place():
    for path in (ROOT / "requirements").glob("*.txt"):
        text = path.read_text()
        for trace in (
            "://",
            "--index",
            "--extra-index",
            "--find-links",
            "--trusted-host",
            " @ ",
            "file:",
            "/home",
            "/root",
        ):
            assert trace not in text, f"{path.name} holds {trace!r}"


def test_locks_agree_with_each_other_and_with_the_project(pyproject):
    pinned = {
        name: set(re.findall(r"^\S+==\S+", (ROOT / "requirements" / f"{name}.txt").read_text(), re.M))
        for name in ("run", "dev", "nvrtc", "validate")
    }
    assert pinned["run"] < pinned["dev"] < pinned["nvrtc"] < pinned["validate"]
    names = {line.split("==")[0] for line in pinned["run"]}
    wanted = {re.match(r"[a-z0-9-]+", line)[0] for line in pyproject["project"]["dependencies"]}
    assert wanted <= names


def test_conda_environment_asks_for_the_same_versions(pyproject):
    conda_names = {"isal": "python-isal", "matplotlib": "matplotlib-base"}
    environment = (ROOT / "environment.yml").read_text()
    for dependency in pyproject["project"]["dependencies"]:
        name, version = dependency.split(">=")
        assert f"- {conda_names.get(name, name)}>={version}\n" in environment


def test_citation_gives_this_version():
    import thalgpu

    assert f"\nversion: {thalgpu.__version__}\n" in (ROOT / "CITATION.cff").read_text()


def test_no_file_names_a_package_index_or_a_neighbouring_folder():
    traces = [a + b for a, b in (("py", "pi.org"), ("pythonhosted", ".org"), ("../", "shared"), ("/opt/", "pypi"))]
    tracked = [path for path in ROOT.iterdir() if path.is_file()] + [
        path
        for folder in (*RUNGS, "thalgpu", "docs", "tests", "requirements", ".ci")
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    ]
    offenders = [
        f"{path.relative_to(ROOT)}: {trace}"
        for path in tracked
        if path.suffix in TEXT or path.parent.name == ".ci"
        for trace in traces
        if trace in path.read_text(encoding="utf-8", errors="replace")
    ]
    assert offenders == []
