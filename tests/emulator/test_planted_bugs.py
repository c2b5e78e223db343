"""A checker that has caught no fault is not trusted: each is planted here, caught at its line, and its twin passes."""

import re

import numpy as np
import pytest
from cuda_emulator import EmulatorError, using

N = 64
BUGS = {  # name: what the finding says, threads in a block, blocks
    "missing_barrier": ("race: .*shared tile", 64, 1),
    "missing_second_barrier": ("race: write after read: shared tile", 64, 1),
    "missing_syncwarp": ("race: .*shared partial", 32, 1),
    "shuffle_is_no_barrier": ("race: .*shared tile", 32, 1),
    "syncwarp_is_no_barrier": ("race: .*shared tile", 64, 1),
    "blocks_write_one_element": (r"race: write after write: y\[0\]", 32, 2),
    "block_reads_another": (r"race: .*y\[", 32, 2),
    "count_without_atomic": (r"race: .*shared count\[0\]", 64, 1),
    "read_beside_atomic": (r"race: .*shared count\[0\]", 64, 1),
    "return_before_barrier": ("divergent barrier: thread 0 to 53 waits .*thread 54 to 63 exited", 64, 1),
    "barrier_in_branch": ("divergent barrier: thread 0 to 39 waits .*thread 40 to 63 waits", 64, 1),
    "full_mask_in_branch": (r"names lane \d+, which has exited", 64, 1),
    "mask_without_itself": ("leaves itself out|which is not in the mask", 32, 1),
    "shuffle_from_exited": (r"names lane \d+, which has exited", 32, 1),
    "read_past_end": (r"read out of bounds: 0 bytes past the end of x \(64 elements\)", 64, 1),
    "write_past_end": (r"write out of bounds: 0 bytes past the end of y \(64 elements\)", 32, 1),
    "read_before_start": (r"read out of bounds: 4 bytes before the start of x", 64, 1),
    "shared_overrun": ("read out of bounds: 0 bytes past the end of shared first", 64, 1),
    "dynamic_shared_overrun": ("write out of bounds: 0 bytes past the end of shared dynamic", 64, 1),
    "index_outside_fixed_array": ("index outside a fixed array", 32, 1),
    "write_to_constants": ("segmentation fault", 32, 1),
    "uninitialised_shared": (r"read of uninitialised shared memory: shared tile\[63\]", 64, 1),
    "uninitialised_counter": (r"read of uninitialised shared memory: shared count\[0\]", 64, 1),
    "shared_of_the_block_before": (r"read of uninitialised shared memory: shared kept", 32, 2),
    "index_overflow": ("integer overflow in a product", 32, 1),
    "shift_too_far": ("shift by too much", 32, 1),
    "misaligned": ("misaligned", 1, 1),
    "divide_by_zero": ("integer division by zero", 64, 1),
}


@pytest.fixture(scope="module")
def text(cuda_text):
    return cuda_text("bugs.cu")


@pytest.fixture
def launch(emulated_checked, text, rng):
    """Run a kernel on 64 numbers, with its fault or without."""
    x = emulated_checked.asarray(rng.normal(size=N).astype(np.float32))
    modules = {
        planted: emulated_checked.RawModule(code=text, options=("-DPLANTED",) if planted else ())
        for planted in (False, True)
    }

    def run(name, threads, blocks, *, planted):
        y = emulated_checked.zeros(N, np.float32)
        shared = 4 * N if name.startswith("dynamic") else 0
        modules[planted].get_function(name)((blocks,), (threads,), (x, y, np.int32(N)), shared_mem=shared)

    return run


def line_of(text, name):
    """Line of bugs.cu that says `here: NAME`."""
    lines = text.split('#line 1 "bugs.cu"\n')[1].splitlines()
    return next(number for number, line in enumerate(lines, 1) if line.endswith(f"here: {name}"))


@pytest.mark.parametrize("order", [0, 1, 2, 3])
@pytest.mark.parametrize("name", BUGS)
def test_planted_bug_is_caught_at_its_line(launch, text, name, order):
    finding, threads, blocks = BUGS[name]
    with using(orders=(order,)), pytest.raises(EmulatorError, match=finding) as caught:
        launch(name, threads, blocks, planted=True)
    if name != "write_to_constants":  # which the processor finds
        assert re.search(rf"bugs\.cu:{line_of(text, name)}\b", str(caught.value)), str(caught.value)


@pytest.mark.parametrize("name", BUGS)
def test_the_kernel_without_the_bug_passes(launch, name):
    _, threads, blocks = BUGS[name]
    launch(name, threads, blocks, planted=False)


def test_every_kernel_of_the_file_is_tried(text):
    assert set(re.findall(r"here: (\w+)$", text, re.MULTILINE)) == {*BUGS, "follow_address"}


@pytest.fixture
def follow(emulated_checked, text):
    return emulated_checked.RawModule(code=text).get_function("follow_address")


def test_reading_a_freed_array_is_caught(emulated_checked, follow):
    y, x = emulated_checked.zeros(N, np.float32), emulated_checked.zeros(N, np.float32)
    address = np.uint64(x.data.ptr)
    del x
    with pytest.raises(EmulatorError, match="an array that has been freed"):
        follow((1,), (32,), (address, y, np.int32(N)))


def test_reading_an_array_that_is_no_argument_is_caught(emulated_checked, follow):
    y, x = emulated_checked.zeros(N, np.float32), emulated_checked.zeros(N, np.float32)
    with pytest.raises(EmulatorError, match="an array that is no argument"):
        follow((1,), (32,), (np.uint64(x.data.ptr), y, np.int32(N)))


def test_reading_beyond_a_view_is_caught_inside_its_array(emulated_checked, text, rng):
    kernel = emulated_checked.RawModule(code=text).get_function("write_past_end")
    x, y = emulated_checked.zeros(N, np.float32), emulated_checked.zeros((2, N), np.float32)
    kernel((1,), (32,), (x, y[0], np.int32(N)))
    with pytest.raises(EmulatorError, match="0 bytes past the end of y"):
        kernel((1,), (32,), (x, y[0], np.int32(N + 1)))


def test_a_result_that_depends_on_the_order_of_threads_is_caught(emulated, rng):
    code = 'extern "C" __global__ void total(const float* x, float* sum) { atomicAdd(sum, x[threadIdx.x]); }'
    kernel = emulated.RawModule(code=code).get_function("total")
    x, total = emulated.asarray(rng.normal(size=1024).astype(np.float32)), emulated.zeros(1, np.float32)
    kernel((1,), (1024,), (x, total))
    np.testing.assert_allclose(float(total[0]), x.get().sum(dtype=float), rtol=1e-4)
    with using(orders=(0, 1, 2, 3)), pytest.raises(EmulatorError, match="sum depends on the order of threads"):
        kernel((1,), (1024,), (x, total))


# --- what plain launches find, too


def test_a_plain_launch_finds_writes_outside_an_array(emulated, text):
    kernel = emulated.RawModule(code=text, options=("-DPLANTED",)).get_function("write_past_end")
    x, y = emulated.zeros(N, np.float32), emulated.zeros(N, np.float32)
    with pytest.raises(EmulatorError, match="write outside the array of argument y"):
        kernel((1,), (32,), (x, y, np.int32(N)))


def test_a_plain_launch_reads_nan_from_uninitialised_shared_memory(emulated, text):
    kernel = emulated.RawModule(code=text, options=("-DPLANTED",)).get_function("uninitialised_shared")
    x, y = emulated.zeros(N, np.float32), emulated.zeros(N, np.float32)
    kernel((1,), (64,), (x, y, np.int32(N)))
    assert np.isnan(y.get()).tolist() == [True] + [False] * 63


def test_a_plain_launch_survives_wild_pointers(emulated, text):
    kernel = emulated.RawModule(code=text).get_function("follow_address")
    with pytest.raises(EmulatorError, match="segmentation fault at address 0x10"):
        kernel((1,), (32,), (np.uint64(16), emulated.zeros(N, np.float32), np.int32(N)))


def test_an_endless_kernel_is_given_up(emulated):
    code = 'extern "C" __global__ void wait_for(volatile int* flag) { while (*flag == 0) {} }'
    module = emulated.RawModule(code=code.replace("volatile int*", "int*").replace("*flag", "*(volatile int*)flag"))
    with using(seconds=0.2), pytest.raises(EmulatorError, match=r"ran for more than 0\.2 s"):
        module.get_function("wait_for")((1,), (1,), (emulated.zeros(1, np.int32),))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (lambda xp, x: (x, x), "takes 3 arguments, not 2"),
        (lambda xp, x: (x.get(), x, np.int32(1)), "argument x: Unsupported type <class 'numpy.ndarray'>"),
        (
            lambda xp, x: (x.astype(np.float64), x, np.int32(1)),
            "argument x: needs an array of f4, not an array of float64",
        ),
        (lambda xp, x: (x, np.float32(1), np.int32(1)), "argument y: needs an array of f4, not a float32"),
        (lambda xp, x: (x, x, 1), "argument n: needs a i4, not a int64"),
        (lambda xp, x: (x, x, np.uint32(1)), "argument n: needs a i4, not a uint32"),
        (lambda xp, x: (x, x, np.float32(1)), "argument n: needs a i4, not a float32"),
    ],
)
def test_wrong_arguments_are_refused(emulated, text, arguments, message):
    kernel = emulated.RawModule(code=text).get_function("missing_barrier")
    with pytest.raises(TypeError, match=message):
        kernel((1,), (64,), arguments(emulated, emulated.zeros(N, np.float32)))


@pytest.mark.parametrize(
    ("grid", "block", "shared"),
    [((0,), (1,), 0), ((1,), (1025,), 0), ((1, 65536), (1,), 0), ((1,), (1,), 48 * 1024 + 1)],
)
def test_launches_that_no_device_can_make_are_refused(emulated, text, grid, block, shared):
    x = emulated.zeros(N, np.float32)
    with pytest.raises(EmulatorError):
        emulated.RawModule(code=text).get_function("missing_barrier")(
            grid, block, (x, x, np.int32(1)), shared_mem=shared
        )


def test_too_much_static_shared_memory_is_refused(emulated):
    code = 'extern "C" __global__ void f(float* y) { __shared__ float big[12289]; big[0] = 1; y[0] = big[0]; }'
    with pytest.raises(EmulatorError, match="static shared memory, with big"):
        emulated.RawModule(code=code).get_function("f")((1,), (1,), (emulated.zeros(1, np.float32),))


def test_what_gpp_does_not_compile_is_said_in_its_words(emulated):
    module = emulated.RawModule(code='extern "C" __global__ void f(float* y) { y[0] = oops; }')
    with pytest.raises(RuntimeError, match="'oops' was not declared"):
        module.get_function("f")((1,), (1,), (emulated.zeros(1, np.float32),))
