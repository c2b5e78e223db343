"""A small simulated cohort, and the command line as a user runs it."""

import io
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import pytest

from thalgpu.cli.main import main


@dataclass(frozen=True)
class Finished:
    """How a command ended."""

    exit_code: int
    out: str
    err: str


@pytest.fixture(scope="session")
def thalgpu() -> Callable[..., Finished]:
    """Run the command line in this process, which is quick; its workers are processes all the same."""

    def run(*arguments: object) -> Finished:
        out, err = io.StringIO(), io.StringIO()
        with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in arguments])
        return Finished(int(ended.value.code or 0), out.getvalue(), err.getvalue())

    return run


@pytest.fixture(scope="session")
def cohort(tmp_path_factory: pytest.TempPathFactory, thalgpu: Callable[..., Finished]) -> Path:
    """Four simulated people; never written to."""
    folder = tmp_path_factory.mktemp("cohort") / "cohort"
    done = thalgpu("simulate", folder, "--subjects", 4, "--groups", "patients,controls", "--timepoints", 120)
    assert done.exit_code == 0, done.err
    return folder


@pytest.fixture(scope="session")
def inputs(cohort: Path) -> list[object]:
    """The options that name the cohort's files."""
    return [
        *("--subjects", cohort / "list.txt"),
        *("--thalamus", cohort / "thalamus.nii.gz"),
        *("--cortex", cohort / "cortex.nii.gz"),
        *("--n-components", 4),
    ]


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory, thalgpu: Callable[..., Finished]) -> Path:
    """An output folder of each command that has one, named as the command; asked for by relative paths."""
    place = tmp_path_factory.mktemp("folders")
    scans = ["--subjects", "cohort/list.txt", "--thalamus", "cohort/thalamus.nii.gz"]
    scans += ["--cortex", "cohort/cortex_parcels.nii.gz"]
    few = ["--design", "cohort/participants.tsv", "--n-perm", 20]
    commands: dict[str, list[object]] = {
        "gradients": [*scans, "--n-components", 3],
        "connectivity": [*scans, "--maps"],
        "structure": ["--subjects", "cohort/list.tsv", "--participants", "cohort/participants.tsv"],
        "permute": ["gradients", *few, "--formula", "group", "--contrast", "patients - controls"],
        "compare": ["gradients", *few, "--path", "direct"],
        "study": ["cohort/small.toml", "--n-perm", 20],
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        people = ["--subjects", 6, "--groups", "patients,controls"]
        done = thalgpu("simulate", "cohort", "--study", *people, "--timepoints", 100)
        assert done.exit_code == 0, done.err
        _write_small_study(place / "cohort")
        for command, arguments in commands.items():
            done = thalgpu(command, *arguments, "--out", command, "--workers", 1)
            assert done.exit_code == 0, done.err
    return place


def _write_small_study(cohort: Path) -> None:
    """The cohort's study with one arm, and without covariates, of which six people are too few."""
    text = (cohort / "study.toml").read_text()
    text = text[: text.index("[clinical]")].replace('covariates = ["age", "sex"]', "covariates = []")
    (cohort / "small.toml").write_text(f"{text}[arms.volumes]\n")
