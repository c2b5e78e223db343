"""The registry notices damage: a barrier, an index bound or a mask taken out of a kernel makes a case fail.

A file `mutations_NAME.py` of this folder holds, in a tuple MUTATIONS, what is damaged: the name of the file in
`kernels/cuda`, the text in it (its first occurrence), what stands there instead, and what that breaks, in words.
"""

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache, partial
from importlib import import_module

import numpy as np
import pytest
from cuda_emulator import ASCENDING, DESCENDING, EmulatorError, RawModule, has_compiler, using
from cuda_emulator.build import kernel_library, runtime_library
from judging import HERE, all_cases, arguments, expected, has_nothing_in_it, require_close, run_on_device

from thalgpu.errors import NumericsError
from thalgpu.kernels import _cuda

SHUFFLED, SEEDED = 3, 7
SECONDS = 5.0
"""Processor time after which a damaged kernel is taken to run for ever."""
NOTICED = (AssertionError, EmulatorError, NumericsError, np.linalg.LinAlgError)
ASKED = "test_a_case_notices["
FUNCTION = re.compile(r"__forceinline__ [\w ]+?\b(\w+)\(")
BARRIER = re.compile(r"__sync(?:threads(?:_count|_and|_or)?|warp)\s*\(")
COMPARISON = re.compile(r"[<>]=?|[!=]=|\bmin\(|\bmax\(")


def all_mutations():
    """Every mutation of every file `mutations_NAME.py`."""
    names = sorted(path.stem for path in HERE.glob("mutations_*.py"))
    return [mutation for name in names for mutation in import_module(name).MUTATIONS]


def name_of(mutation):
    return f"{mutation[0]}: {mutation[3]}"


def path_of(module):
    header = _cuda._FOLDER / f"{module}.cuh"
    return header if header.exists() else header.with_suffix(".cu")


def is_header(module):
    return path_of(module).suffix == ".cuh"


@cache
def text_without_common(module):
    """The text of a module and of the headers that it needs, but for the one that all have."""
    return "".join(path_of(name).read_text() for name in (*_cuda.HEADERS.get(module, ()), module))


def damage(mutation, source):
    """The text of a whole module with the mutation in it."""
    module, text, replacement, _ = mutation
    before, begin, after = source.partition(f'#line 1 "{path_of(module).name}"')
    return before + begin + after.replace(text, replacement, 1)


@contextmanager
def damaged(mutation) -> Iterator[None]:
    """Have the launch door compile the damaged text in place of the kernel's own."""
    sound, remembered = _cuda.source, (_cuda._declared, _cuda._module, _cuda._function)
    _cuda.source = cache(lambda name: damage(mutation, sound(name)))
    try:
        for memory in remembered:
            memory.cache_clear()
        yield
    finally:
        _cuda.source = sound
        for memory in remembered:
            memory.cache_clear()


@cache
def cases_of(modules):
    """Those that launch kernels of some modules, small and large ones by turns."""
    launching = [case for case in all_cases() if {kernel.split(":")[0] for kernel in case.cuda} & modules]
    launching = [case for case in launching if not has_nothing_in_it(case)]
    launching.sort(key=lambda case: sum(getattr(argument, "size", 1) for argument in arguments(case)))
    order = sorted(range(len(launching)), key=lambda place: f"{place:016b}"[::-1])  # halves, quarters, …
    return [launching[place] for place in order]


def modules_with(mutation):
    """The module that is damaged, those that need the header that is, or those that call the common function."""
    module, text, *_ = mutation
    if not is_header(module):
        return frozenset({module})
    if module != "common":
        return frozenset(name for name, headers in _cuda.HEADERS.items() if module in headers)
    common = path_of(module).read_text()
    *_, damaged_one = FUNCTION.findall(common[: common.index(text) + len(text)])
    bodies = dict(zip(FUNCTION.findall(common), FUNCTION.split(common)[2::2], strict=True))
    calling, found = set(), {damaged_one}
    while found - calling:
        calling |= found
        found |= {name for name, body in bodies.items() if any(f"{called}(" in body for called in calling)}
    return frozenset(
        path.stem
        for path in _cuda._FOLDER.glob("*.cu")
        if any(f"{name}(" in text_without_common(path.stem) for name in calling)
    )


def is_noticed(case, device, **mode):
    """Whether a case fails, on a device whose launches are made in this mode."""
    try:
        with using(seconds=SECONDS, **mode):
            require_close(case, run_on_device(case, device), expected(case))
    except NOTICED:
        return True
    return False


@pytest.fixture(scope="module")
def being_built(request, emulator_cache):
    """Damaged modules that are being compiled beside the tests, by name of the mutation that will be asked for."""
    chosen = [item.callspec.params["mutation"] for item in request.session.items if item.name.startswith(ASKED)]

    def build(mutation):
        module = RawModule(code=damage(mutation, _cuda.source(mutation[0])), options=_cuda.OPTIONS)
        kernel_library(module.text, checked=True, defines=module.defines)

    with using(cache=emulator_cache), ThreadPoolExecutor(2) as threads:
        if not has_compiler():
            chosen = []
        elif chosen:
            runtime_library()  # once, before all that need it
        yield {name_of(one): threads.submit(build, one) for one in chosen if not is_header(one[0])}


@pytest.mark.mutations
@pytest.mark.parametrize("mutation", all_mutations(), ids=name_of)
def test_a_case_notices(mutation, emulated, being_built):
    if name_of(mutation) in being_built:
        being_built[name_of(mutation)].result()
    cases = cases_of(modules_with(mutation))
    checked = partial(is_noticed, device=emulated, checked=True, orders=(SHUFFLED,))
    plain = partial(is_noticed, device=emulated, orders=(ASCENDING, DESCENDING, SEEDED))
    with damaged(mutation):  # checked first: without checks a damaged kernel may write anywhere in this process
        noticed = any(checked(case) for case in cases if case.small) or any(plain(case) for case in cases)
    assert noticed, "no case of this kernel notices"


@pytest.mark.parametrize("path", sorted(_cuda._FOLDER.glob("*.cu*")), ids=lambda path: path.stem)
def test_every_barrier_is_taken_out_by_a_mutation(path):
    whole = path.read_text()
    code = re.sub(r"//[^\n]*", lambda comment: " " * len(comment[0]), whole)
    taken_out = [
        range(whole.index(text), whole.index(text) + len(text))
        for module, text, replacement, _ in all_mutations()
        if module == path.stem and len(BARRIER.findall(replacement)) < len(BARRIER.findall(text))
    ]
    left = [
        f"line {whole.count(chr(10), 0, barrier.start()) + 1}"
        for barrier in BARRIER.finditer(code)
        if not any(barrier.start() in place for place in taken_out)
    ]
    assert not left


@pytest.mark.parametrize("path", sorted(_cuda._FOLDER.glob("*.cu")), ids=lambda path: path.stem)
def test_an_index_bound_is_damaged_by_a_mutation(path):
    damaged_here = [(text, replacement) for module, text, replacement, _ in all_mutations() if module == path.stem]
    assert any(COMPARISON.findall(text) != COMPARISON.findall(replacement) for text, replacement in damaged_here)


def test_what_is_damaged_is_there():
    assert [name_of(one) for one in all_mutations() if one[1] not in path_of(one[0]).read_text()] == []


def test_mutations_have_names_of_their_own():
    names = [name_of(mutation) for mutation in all_mutations()]
    assert len(names) == len(set(names))
