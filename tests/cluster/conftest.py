"""A Dask cluster of three encrypted local workers, a small cohort, and runs to compare with."""

import io
import re
import shutil
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import pytest

from thalgpu.cli.main import main
from thalgpu.engine.simulate.cohort import simulate_cohort
from thalgpu.engine.simulate.options import CohortOptions


@dataclass(frozen=True)
class Finished:
    """How a command ended."""

    exit_code: int
    out: str
    err: str


def run_command(*arguments):
    """The command line in this process; its workers are processes all the same."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    return Finished(int(ended.value.code or 0), out.getvalue(), err.getvalue())


@pytest.fixture(scope="session")
def thalgpu():
    return run_command


@pytest.fixture(scope="session")
def same_bytes():
    """Compare everything that two runs have written, but for logs, locks and what names folders."""

    def contents(out: Path) -> dict[str, bytes]:
        names = {"config.toml", ".thalgpu.lock"}
        return {
            str(path.relative_to(out)): path.read_bytes().replace(bytes(out), b"OUT")
            for path in sorted(out.rglob("*"))
            if path.is_file() and path.name not in names and path.parent.name != "logs"
        }

    def compare(one: Path, other: Path) -> None:
        ours, theirs = contents(one), contents(other)
        assert list(ours) == list(theirs)
        assert [name for name in ours if ours[name] != theirs[name]] == []

    return compare


@dataclass(frozen=True)
class Cluster:
    """Workers, and how to reach them."""

    address: str
    certificates: Path
    dask: object

    @property
    def options(self):
        names = ("ca", "cert", "key")
        files = [option for name in names for option in (f"--tls-{name}", self.certificates / f"{name}.pem")]
        return ["--scheduler", self.address, *files]


@pytest.fixture(scope="session")
def cluster(tmp_path_factory):
    """Three workers in processes of their own, on this machine's loopback, encrypted."""
    distributed = pytest.importorskip("distributed", reason="Dask is not installed")
    security = distributed.Security.temporary()
    folder = tmp_path_factory.mktemp("certificates")
    given = {"ca": security.tls_ca_file, "cert": security.tls_client_cert, "key": security.tls_client_key}
    for name, text in given.items():
        (folder / f"{name}.pem").write_text(text)
    with distributed.LocalCluster(
        n_workers=3,
        threads_per_worker=1,
        host="127.0.0.1",
        dashboard_address="127.0.0.1:0",
        security=security,
        local_directory=str(tmp_path_factory.mktemp("dask")),
    ) as dask:
        yield Cluster(dask.scheduler_address, folder, dask)


@pytest.fixture(scope="session")
def cohort(tmp_path_factory):
    """Nine small people of two groups; never written to."""
    return simulate_cohort(
        tmp_path_factory.mktemp("cohort") / "cohort",
        options=CohortOptions(subjects=9, groups=("patients", "controls"), timepoints=60, noise=0.5, study=True),
    )


@pytest.fixture(scope="session")
def inputs(cohort):
    """The options that name the cohort's files."""
    return [
        *("--subjects", cohort.list_file, "--thalamus", cohort.thalamus[0]),
        *("--cortex", cohort.folder / "cortex_parcels.nii.gz", "--n-components", 3),
    ]


@pytest.fixture(scope="session")
def in_process(thalgpu, inputs, tmp_path_factory):
    """What a single process makes of the cohort; never written to."""
    out = tmp_path_factory.mktemp("gradients") / "out"
    done = thalgpu("gradients", *inputs, "--out", out, "--workers", 1, "--gpus", 0)
    assert done.exit_code == 0, done.err
    return out


@pytest.fixture(scope="session")
def test_options(in_process, cohort):
    """A test of the two groups with several blocks of permutations."""
    return [
        *("permute", in_process, "--design", cohort.folder / "participants.tsv", "--formula", "group + age"),
        *("--contrast", "patients - controls", "--tfce", "--n-perm", 400, "--gpus", 0),
    ]


@pytest.fixture(scope="session")
def tested_in_process(thalgpu, test_options, tmp_path_factory):
    """What a single process makes of the test; never written to."""
    out = tmp_path_factory.mktemp("permute") / "out"
    done = thalgpu(*test_options, "--out", out, "--workers", 1)
    assert done.exit_code == 0, done.err
    return out


@pytest.fixture(scope="module", params=["compare", "connectivity", "structure"])
def other(request, commands, thalgpu, tmp_path_factory):
    """One of the other commands, and what a single process makes of it; never written to."""
    command, out = commands[request.param], tmp_path_factory.mktemp(request.param) / "out"
    done = thalgpu(*command, "--out", out, "--workers", 1)
    assert done.exit_code == 0, done.err
    return command, out


@pytest.fixture(scope="session")
def commands(in_process, inputs, cohort):
    """The other commands, with what they need."""
    design = ["--design", cohort.folder / "participants.tsv"]
    return {
        "compare": ["compare", in_process, *design],
        "connectivity": ["connectivity", *inputs[:-2], "--maps"],
        "structure": ["structure", "--subjects", cohort.table_file],
    }


@pytest.fixture(scope="session")
def short_study(cohort, tmp_path_factory):
    """A study of three arms, one of each command, and few permutations: it takes seconds; never changed.

    Its folder holds the inputs, too, for whoever needs a copy.
    """
    folder = tmp_path_factory.mktemp("study") / "cohort"
    shutil.copytree(cohort.folder, folder)
    path = folder / "study.toml"
    text = re.sub(r"(?m)^sensitivity = .*\n", "", path.read_text())
    text = re.sub(r"(?ms)^\[arms\.(thickness|shape|group_gradients)\].*?(?=^\[|\Z)", "", text)
    path.write_text(
        text.replace("n_perm = 2000", "n_perm = 20")
        .replace("tfce = true", "")
        .replace("components = [1, 2]", "components = [1]")
    )
    return path


@pytest.fixture(scope="session")
def studied_in_process(thalgpu, short_study, tmp_path_factory):
    """What a single process makes of the short study; never written to."""
    out = tmp_path_factory.mktemp("studied") / "out"
    done = thalgpu("study", short_study, "--out", out, "--workers", 1, "--gpus", 0)
    assert done.exit_code == 0, done.err
    return out
