"""No source calls what runs foreign text or bytes as code; every exception has its name and its reason here."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = [path for folder in ("engine", "cli", "kernels", "thalgpu", "bench", "dev.py") for path in ROOT.glob(folder)]
SOURCES = sorted({file for path in SOURCES for file in (path.rglob("*.py") if path.is_dir() else [path])})

FORBIDDEN_CALLS = {
    *("eval", "exec", "compile", "__import__", "os.system", "os.popen", "tempfile.mktemp", "os.chmod", "os.fchmod"),
    *("yaml.load", "np.load", "numpy.load", "nib.load", "nibabel.load", "pickle.load", "pickle.loads", "h5py.File"),
    *("Markup", "markupsafe.Markup", "html.unescape"),
}
FORBIDDEN_MODULES = {
    *("pickle", "cPickle", "dill", "cloudpickle", "marshal", "shelve", "joblib", "yaml", "subprocess", "pty"),
    *("xml.etree", "xml.dom", "xml.sax", "lxml", "http", "urllib", "requests", "ftplib", "telnetlib"),
}
EXCEPTIONS = {
    "engine/inputs/hdf5_guard.py: h5py.File": "the guard itself: claims are checked before a byte is read",
    "engine/outputs/store.py: h5py.File": "writes into memory",
    "engine/simulate/truth.py: h5py.File": "writes into memory",
    "engine/report/rendering.py: Markup": "the address of a picture: base64 has no character to escape",
    "bench/_mrtrix.py: subprocess": "benchmarks run other programs, as lists of arguments",
    "bench/_mrtrix.py: nib.load": "reads what the benchmark has just written",
    "bench/startup.py: subprocess": "benchmarks start Python, as lists of arguments",
    "bench/memory.py: subprocess": "benchmarks start Python, as lists of arguments",
    "bench/permutation_large.py: subprocess": "benchmarks start Python, as lists of arguments",
    "bench/_commands.py: subprocess": "benchmarks start the command line, as lists of arguments",
    "bench/task_overhead.py: subprocess": "benchmarks start a Dask cluster, as lists of arguments",
    "dev.py: subprocess": "sets up an environment, as lists of arguments",
}


def findings(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            if ast.unparse(node.func) in FORBIDDEN_CALLS:
                yield ast.unparse(node.func)
            for argument in node.keywords:
                text = f"{argument.arg}={ast.unparse(argument.value)}"
                if text in ("shell=True", "allow_pickle=True", "autoescape=False"):
                    yield text
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        yield from (name for name in names if any(f"{name}.".startswith(f"{bad}.") for bad in FORBIDDEN_MODULES))


def test_nothing_runs_foreign_text_or_bytes_but_for_named_exceptions():
    found = {f"{path.relative_to(ROOT)}: {what}" for path in SOURCES for what in findings(path)}
    assert len(SOURCES) > 200
    assert sorted(found - EXCEPTIONS.keys()) == []
    assert sorted(EXCEPTIONS.keys() - found) == [], "an exception that nobody needs"


@pytest.mark.parametrize(
    "line", ["eval(x)", "import pickle", "from xml.etree import ElementTree", "run(c, shell=True)", "np.load(f)"]
)
def test_what_is_forbidden_is_found(tmp_path, line):
    (tmp_path / "a.py").write_text(line)
    assert list(findings(tmp_path / "a.py"))


def test_templates_escape_everything_and_have_one_strict_policy():
    folder = ROOT / "engine" / "report" / "templates"
    for path in folder.glob("*.html"):
        text = path.read_text()
        assert all(literal.startswith('"') for literal in re.findall(r"(\S+) \| ?safe", text)), "only what we wrote"
        assert "autoescape" not in text
        assert not re.search(r"<script|\son\w+=|javascript:|http-equiv=\"refresh", text)
        assert path.name in ("base.html", "macros.html") or re.match(r'{% extends "(base|inference).html" %}', text)
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', (folder / "base.html").read_text())
    rules = set(policy[1].split("; "))
    assert {"default-src 'none'", "base-uri 'none'", "form-action 'none'"} <= rules
    assert rules <= {
        *("default-src 'none'", "img-src data:", "style-src 'unsafe-inline'", "base-uri 'none'", "form-action 'none'")
    }


def test_every_locked_package_has_its_hashes():
    for lock in (ROOT / "requirements").glob("*.txt"):
        packages = re.split(r"(?m)^(?=[a-z0-9])", lock.read_text())[1:]
        assert packages
        assert [package.split()[0] for package in packages if "--hash=sha256:" not in package] == []
