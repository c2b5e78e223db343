"""The launch door lets nothing through that a kernel's declaration, or a device, does not allow."""

import subprocess
import sys
from types import ModuleType

import numpy as np
import pytest
from cuda_emulator import DeviceArray
from cuda_emulator import namespace as device_namespace

from thalgpu.kernels import _cuda, _namespace
from thalgpu.kernels._cuda import int32, launch, shared_limit, source
from thalgpu.kernels._declarations import MAX_THREADS, declarations

TEXT = """
// extern "C" __global__ void in_a_comment(int n) {}
extern "C" __global__ void scale(const float* __restrict__ x, float* __restrict__ y, int n, float factor) {}
extern "C" __global__ void __launch_bounds__(128) bounded(unsigned long long* counts) {}
extern "C" __global__ void no_arrays(int n) {}
"""


@pytest.fixture
def launches(monkeypatch, tmp_path):
    """A device that only takes down what reaches it, with one module, `try.cu`."""
    (tmp_path / "common.cuh").write_text("// common\n")
    (tmp_path / "try.cu").write_text(TEXT)
    reached = []

    class RawModule:
        def __init__(self, *, code, options):
            reached.append(("compile", code, options))

        def get_function(self, name):
            def function(grid, block, args, *, shared_mem):
                limit = getattr(function, "max_dynamic_shared_size_bytes", None)
                reached.append((name, grid, block, args, shared_mem, limit))

            return function

    namespace = ModuleType("recorder")
    namespace.RawModule, namespace.cuda = RawModule, device_namespace.cuda
    monkeypatch.setattr(_cuda, "_FOLDER", tmp_path)
    monkeypatch.setitem(_namespace._beside_cupy, DeviceArray, namespace)
    remembered = (_cuda.source, _cuda._declared, _cuda._module, _cuda._function)
    for function in remembered:
        function.cache_clear()
    yield reached
    for function in remembered:
        function.cache_clear()


@pytest.fixture
def arrays():
    return device_namespace.zeros(8, np.float32), device_namespace.zeros(8, np.float32)


def arguments(x, y, **others):
    return x, y, others.get("n", np.int32(8)), others.get("factor", np.float32(2))


def test_a_sound_launch_reaches_the_kernel_as_it_is(launches, arrays):
    launch("try", "scale", grid=3, block=(32, 2), args=arguments(*arrays), shared_bytes=64)
    assert launches[-1] == ("scale", (3,), (32, 2), arguments(*arrays), 64, None)


def test_a_module_is_compiled_once_a_device_from_one_text(launches, arrays):
    for _ in range(2):
        launch("try", "scale", grid=1, block=32, args=arguments(*arrays))
    with device_namespace.cuda.Device(1):
        x, y = device_namespace.zeros((2, 8), np.float32)
        launch("try", "scale", grid=1, block=32, args=arguments(x, y))
    compiled = [entry for entry in launches if entry[0] == "compile"]
    expected = f'#line 1 "common.cuh"\n// common\n\n#line 1 "try.cu"\n{TEXT}\n'
    assert compiled == [("compile", expected, ("-std=c++17",))] * 2


def test_a_grid_without_blocks_is_checked_and_not_run(launches, arrays):
    launch("try", "scale", grid=(0, 4), block=32, args=arguments(*arrays))
    assert launches == []
    with pytest.raises(TypeError, match="takes 4 arguments"):
        launch("try", "scale", grid=0, block=32, args=arrays)


Y = "kernel scale, argument y: needs a device array of float32, not "


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"y": np.zeros(8, np.float32)}, Y + "a host array of float32"),
        ({"y": device_namespace.zeros(8)}, Y + "a device array of float64"),
        ({"y": np.float32(1)}, Y + "a float32"),
        ({"y": None}, Y + "a NoneType"),
        ({"n": 8}, "kernel scale, argument n: needs a NumPy scalar of int32, not a int"),
        ({"n": np.int64(8)}, "argument n: .* not a int64"),
        ({"n": np.float32(8)}, "argument n: .* not a float32"),
        ({"n": device_namespace.zeros(8, np.int32)}, "argument n: .* not a device array of int32"),
        ({"n": np.zeros((), np.int32)}, "argument n: .* not a host array of int32"),
        ({"factor": np.float64(2)}, "argument factor: .* not a float64"),
        ({"factor": 2.0}, "argument factor: .* not a float"),
    ],
)
def test_arguments_of_another_kind_are_refused_by_name(launches, arrays, change, message):
    given = {"x": arrays[0], "y": arrays[1], **change}
    with pytest.raises(TypeError, match=message):
        launch("try", "scale", grid=1, block=32, args=arguments(**given))
    assert launches == []


def test_arrays_in_pieces_are_refused(launches, arrays):
    wide = device_namespace.zeros((8, 2), np.float32)
    with pytest.raises(ValueError, match=r"argument y: an array of shape \(8,\) that is not C-contiguous"):
        launch("try", "scale", grid=1, block=32, args=arguments(arrays[0], wide[:, 0]))


def test_arrays_of_another_device_are_refused(launches, arrays):
    with (
        device_namespace.cuda.Device(1),
        pytest.raises(ValueError, match="argument x: an array on device 0, while device 1 is current"),
    ):
        launch("try", "scale", grid=1, block=32, args=arguments(*arrays))


def test_written_arrays_overlap_no_other(launches):
    x = device_namespace.zeros(12, np.float32)
    with pytest.raises(ValueError, match="argument y: overlaps argument x, and one of them is written"):
        launch("try", "scale", grid=1, block=32, args=arguments(x[:8], x[7:]))
    launch("try", "scale", grid=1, block=32, args=arguments(x[:6], x[6:]))
    assert len(launches) == 2  # compiled and run


@pytest.mark.parametrize("grid", [-1, (1, 65536), (1, 1, 65536), 2**31, (1, 1, 1, 1), ()])
def test_grids_that_cannot_run_are_refused(launches, arrays, grid):
    with pytest.raises(ValueError, match=r"kernel scale: a grid of"):
        launch("try", "scale", grid=grid, block=32, args=arguments(*arrays))


@pytest.mark.parametrize("block", [0, 1025, (32, 33), (1, 1, 65), (1, 1, 1, 1)])
def test_blocks_that_cannot_run_are_refused(launches, arrays, block):
    with pytest.raises(ValueError, match=r"kernel scale: "):
        launch("try", "scale", grid=1, block=block, args=arguments(*arrays))


def test_launch_bounds_are_kept(launches):
    counts = device_namespace.zeros(1, np.uint64)
    launch("try", "bounded", grid=1, block=128, args=(counts,))
    with pytest.raises(ValueError, match=r"kernel bounded: \(129,\) threads a block are above 128"):
        launch("try", "bounded", grid=1, block=129, args=(counts,))


def test_large_shared_memory_is_asked_for_up_to_the_devices_limit(launches, arrays):
    launch("try", "scale", grid=1, block=32, args=arguments(*arrays), shared_bytes=48 * 1024)
    assert launches[-1][-1] is None
    limit = shared_limit(device_namespace)
    launch("try", "scale", grid=1, block=32, args=arguments(*arrays), shared_bytes=limit)
    assert launches[-1][-2:] == (limit, limit)
    with pytest.raises(ValueError, match="kernel scale: 65537 bytes of shared memory are more than the device has"):
        launch("try", "scale", grid=1, block=32, args=arguments(*arrays), shared_bytes=limit + 1)


def test_kernels_that_do_not_exist_are_named(launches):
    with pytest.raises(
        ValueError, match=r"cuda/try\.cu declares no kernel in_a_comment, but scale, bounded, no_arrays"
    ):
        launch("try", "in_a_comment", grid=1, block=1, args=(np.int32(1),))


def test_a_kernel_without_arrays_has_no_device(launches):
    with pytest.raises(TypeError, match="kernel no_arrays has no arrays"):
        launch("try", "no_arrays", grid=1, block=1, args=(np.int32(1),))


def test_declarations_say_names_dtypes_and_what_is_written():
    found = declarations(
        'extern "C" __global__ void\n k(const  signed char *a, bool* __restrict__ b, /* in */ unsigned int c,'
        "\n const double* __restrict__ d, // last\n long long e, unsigned char* f) {"
    )["k"]
    assert found.max_threads == MAX_THREADS
    assert [(p.name, p.dtype.name, p.is_array, p.is_written) for p in found.parameters] == [
        ("a", "int8", True, False),
        ("b", "bool", True, True),
        ("c", "uint32", False, False),
        ("d", "float64", True, False),
        ("e", "int64", False, False),
        ("f", "uint8", True, True),
    ]


@pytest.mark.parametrize("parameter", ["float4* x", "size_t n", "float** x", "float& x", "struct Shape s", "float"])
def test_parameters_that_cannot_be_checked_are_refused(parameter):
    with pytest.raises(ValueError, match="kernel k: cannot check arguments against the parameter"):
        declarations(f'extern "C" __global__ void k({parameter}) {{')


def test_sizes_become_ints_or_are_refused():
    assert int32(0, 2**31 - 1) == (0, 2**31 - 1)
    assert all(type(size) is np.int32 for size in int32(1, 2))
    for size in (-1, 2**31):
        with pytest.raises(ValueError, match="does not fit a kernel's int"):
            int32(size)


def test_every_module_of_the_package_can_be_declared():
    names = [path.stem for path in _cuda._FOLDER.glob("*.cu")]
    assert all(declarations(source(name)) for name in names)


def test_the_door_does_not_import_cupy():
    code = "import sys, thalgpu.kernels._cuda; sys.exit('cupy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
