"""Text is rewritten line for line, built once, and runs on machines other than x86-64."""

import numpy as np
import pytest
from cuda_emulator import build, settings, using
from cuda_emulator.source import translate


@pytest.mark.parametrize(
    ("declaration", "names"),
    [
        ("__shared__ float a;", ["a"]),
        ("__shared__ float a[32], b[4][5], c;", ["a", "b", "c"]),
        ("static __shared__ __align__(16) unsigned long long a[2];", ["a"]),
        ("__shared__ Pair<int, 2> a[f(1, 2)];", ["a"]),
        ("__shared__\n float\n a[3];", ["a"]),
    ],
)
def test_shared_variables_are_rewritten_within_their_lines(declaration, names):
    text = translate(f"before\n{declaration}\nafter", [])
    assert [name for name in "abc" if f'.enter("{name}")' in text] == names
    assert text.count("\n", 0, text.index("after")) == declaration.count("\n") + 3
    assert "__shared__" not in text


def test_comments_are_left_alone():
    text = "// __shared__ float a;\n/* extern __shared__ int b[]; */"
    assert text in translate(text, [])


def test_dynamic_shared_memory_is_a_pointer():
    text = translate("extern __shared__ __align__(16) unsigned char raw[];", [])
    assert "auto raw = static_cast<unsigned char*>(emulator_dynamic_shared());" in text


def test_what_cannot_be_rewritten_is_refused():
    with pytest.raises(SyntaxError, match="__shared__"):
        translate("__shared__ float a = 1;", [])


def test_a_text_is_built_once(emulated, tmp_path, monkeypatch):
    code = 'extern "C" __global__ void f(int* y) { y[0] = 7; }'
    with using(cache=tmp_path):
        first = emulated.RawModule(code=code).library()[0]
        monkeypatch.setattr(build, "COMPILER", "no-compiler")
        assert emulated.RawModule(code=code).library()[0] == first
        assert sorted(path.suffix for path in tmp_path.iterdir()) == [".so", ".so"]  # the runtime's and the kernel's


def test_defines_reach_the_text(emulated):
    module = emulated.RawModule(
        code='extern "C" __global__ void f(int* y) { y[0] = VALUE; }', options=("-std=c++17", "-DVALUE=7")
    )
    y = emulated.zeros(1, np.int32)
    module.get_function("f")((1,), (1,), (y,))
    assert int(y[0]) == 7


@pytest.mark.parametrize("checked", [False, True])
def test_stacks_are_switched_without_assembly_elsewhere(emulated, cuda_text, rng, checked):
    x = rng.integers(0, 100, 150).astype(np.float32)
    sums = emulated.empty(6, np.float32)
    with using(portable=True, checked=checked):
        module = emulated.RawModule(code=cuda_text("sound.cu"))
        module.get_function("sum_in_warps")((3,), (64,), (emulated.asarray(x), sums, np.int32(150)))
    expected = np.append(x, np.zeros(42, np.float32)).reshape(6, 32).sum(axis=1)
    np.testing.assert_array_equal(sums.get(), expected)


def test_settings_come_back(emulated):
    before = settings()
    with using(checked=True, orders=(3,)):
        assert (settings().checked, settings().orders) == (True, (3,))
    assert settings() == before
