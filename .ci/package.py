"""Build the source archive, a wheel from it, install that in a new environment, and see that nothing was left out."""

import os
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
import dev  # noqa: E402 - the project's own set-up script, which is no package

RUNGS = ("bench", "cli", "engine", "kernels")
NOT_SHIPPED = {".gitignore"}
TRIALS = (
    ("python", "-c", "import thalgpu; print(thalgpu.__version__, 'in', thalgpu.__file__)"),
    ("thalgpu", "--help"),
    ("thalgpu", "doctor"),
)


def main() -> int:
    """Check both archives; 1 with a list of what is missing."""
    with tempfile.TemporaryDirectory(prefix="thalgpu-package-") as folder:
        work = Path(folder)
        subprocess.run(["git", "checkout-index", "--all", f"--prefix={work / 'source'}/"], cwd=ROOT, check=True)
        build(work / "source", work / "dist")
        missing = [*missing_in_archive(next((work / "dist").glob("*.tar.gz"))), *missing_in_wheel(wheel_in(work))]
        print("\n".join(missing) or "source archive and wheel hold every file")
        install_and_try(wheel_in(work), work)
    return 1 if missing else 0


def build(source: Path, dist: Path) -> None:
    """The source archive, and a wheel from it; silent unless it fails."""
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(dist), str(source)]
    finished = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if finished.returncode:
        raise SystemExit(finished.stdout)


def wheel_in(work: Path) -> Path:
    """The wheel that was built."""
    return next((work / "dist").glob("*.whl"))


def tracked() -> list[str]:
    """Every file that git knows, apart from symlinks."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return [name for name in listed.splitlines() if not (ROOT / name).is_symlink()]


def missing_in_archive(archive: Path) -> list[str]:
    """Tracked files that the source archive lacks."""
    with tarfile.open(archive) as held:
        names = {name.split("/", 1)[1] for name in held.getnames() if "/" in name}
    return [f"source archive lacks {name}" for name in tracked() if name not in names | NOT_SHIPPED]


def missing_in_wheel(wheel: Path) -> list[str]:
    """Tracked files of the packages that the wheel lacks; documents beside the code are not needed to run it."""
    names = set(zipfile.ZipFile(wheel).namelist())
    places = {name: name if name.startswith("thalgpu/") else f"thalgpu/{name}" for name in tracked()}
    wanted = {name: place for name, place in places.items() if name.split("/")[0] in ("thalgpu", *RUNGS)}
    return [f"wheel lacks {name}" for name, place in wanted.items() if place not in names and not name.endswith(".md")]


def install_and_try(wheel: Path, work: Path) -> None:
    """Use the wheel where no source is in sight."""
    venv = work / "venv"
    dev.create(venv)
    dev.pip(venv, "--require-hashes", "-r", str(ROOT / "requirements" / "run.txt"))
    dev.pip(venv, "--no-deps", str(wheel))
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    for name, *arguments in TRIALS:
        subprocess.run([str(venv / "bin" / name), *arguments], check=True, cwd=work, env=environment)


if __name__ == "__main__":
    sys.exit(main())
