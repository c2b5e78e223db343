"""Compile and link with g++ alone; what has been built once is found again by the hash of all it was made from."""

import hashlib
import os
import shutil
import subprocess
from functools import cache
from pathlib import Path

from cuda_emulator.settings import settings

NATIVE = Path(__file__).parent / "native"
COMPILER = os.environ.get("CXX", "g++")
_PLAIN = ("-O1",)
_CHECKED = (
    "-O1",
    "-gdwarf-4",
    "-DEMULATOR_CHECKED",
    "-fsanitize=thread",
    "--param=tsan-distinguish-volatile=1",
    "-fsanitize=shift,integer-divide-by-zero,signed-integer-overflow,bounds,alignment,null,return,unreachable",
)
_KERNEL = (
    "-std=c++17",
    "-fPIC",
    "-shared",
    "-fno-exceptions",
    "-fno-rtti",
    "-fno-strict-aliasing",
    "-ffp-contract=off",
    "-Wno-unknown-pragmas",
)
_RUNTIME = ("-std=c++17", "-O2", "-fPIC", "-shared", "-Wall", "-Wextra", "-Werror")


class BuildError(RuntimeError):
    """The compiler's own words."""


def has_compiler() -> bool:
    """Whether kernels can be compiled here."""
    return shutil.which(COMPILER) is not None


def kernel_library(text: str, *, checked: bool, defines: tuple[str, ...] = ()) -> Path:
    """A library with the kernels of a translated text, linked to the runtime."""
    flags = (*_KERNEL, *(_CHECKED if checked else _PLAIN), *defines)
    runtime = runtime_library()
    # The sanitizers' own libraries stay out: the runtime answers their calls.
    command = (*flags, "-nodefaultlibs", "-x", "c++", "-include", str(NATIVE / "cuda_runtime.h"), "@source")
    return _built("kernels", text, (*command, "-x", "none", str(runtime), "-lm", "-lc", "-lgcc"))


def runtime_library() -> Path:
    """The emulated multiprocessor and its checker."""
    options = ("-DEMULATOR_UCONTEXT",) if settings().portable else ()
    sources = [str(NATIVE / name) for name in ("multiprocessor.cpp", "checker.cpp")]
    return _built("runtime", "", (*_RUNTIME, *options, *sources, "-ldl", "-lpthread"))


@cache
def _native_text() -> str:
    return "".join(path.read_text() for path in sorted(NATIVE.iterdir()))


@cache
def _compiler_version() -> str:
    return subprocess.run([COMPILER, "--version"], capture_output=True, text=True, check=True).stdout


def _built(name: str, text: str, arguments: tuple[str, ...]) -> Path:
    """Run the compiler unless its result is there; others may do the same at the same time."""
    made_from = "\0".join((text, *arguments, _native_text(), _compiler_version()))
    digest = hashlib.sha256(made_from.encode()).hexdigest()[:20]
    folder = settings().cache
    library = folder / f"{name}-{digest}.so"
    if library.exists():
        return library
    folder.mkdir(parents=True, exist_ok=True)
    source, partial = folder / f"{name}-{digest}.{os.getpid()}.cpp", folder / f"{name}-{digest}.{os.getpid()}.so"
    source.write_text(text)
    command = [COMPILER, *(str(source) if part == "@source" else part for part in arguments), "-o", str(partial)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "LC_ALL": "C"})
    source.unlink()
    if done.returncode:
        raise BuildError(done.stderr)
    partial.replace(library)
    return library
