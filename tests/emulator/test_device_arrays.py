"""Device arrays are as strict about host memory as CuPy's, and hold what NumPy would."""

import gc
import pickle

import numpy as np
import pytest
from cuda_emulator import DeviceArray, OutOfMemoryError, limited, namespace
from cuda_emulator.memory import used


def test_implicit_conversion_to_numpy_is_refused(emulated):
    with pytest.raises(TypeError, match="Implicit conversion to a NumPy array is not allowed"):
        np.asarray(emulated.zeros(3))


@pytest.mark.parametrize(
    "mix",
    [
        lambda device, host: device + host,
        lambda device, host: host + device,
        lambda device, host: host @ device,
        lambda device, host: device[host > 0],
        lambda device, host: device.__setitem__(slice(None), host),
        lambda device, host: namespace.concatenate([device, host]),
        lambda device, host: namespace.where(host > 0, device, 0),
        lambda device, host: np.add(device, 1, out=host),
        lambda device, host: np.linalg.norm(device),
        lambda device, host: namespace.sum(host),
    ],
)
def test_host_arrays_among_device_arrays_are_refused(emulated, mix):
    with pytest.raises(TypeError):
        mix(emulated.ones(3), np.ones(3))


def test_what_cupy_lacks_is_refused(emulated):
    with pytest.raises(AttributeError, match="the emulated namespace has no nditer"):
        emulated.nditer  # noqa: B018 -- the look-up is the test
    with pytest.raises(TypeError, match="CuPy has no where="):
        emulated.ones(3).sum(where=emulated.ones(3, bool))


def test_what_is_there_is_in_cupy():
    cupy = pytest.importorskip("cupy", reason="cupy is not installed: names cannot be compared with it")
    from cuda_emulator import device_array

    functions = (namespace._FUNCTIONS + namespace._CONSTANTS).split()
    assert [name for name in functions if not hasattr(cupy, name)] == []
    assert [name for name in namespace._LINEAR_ALGEBRA if not hasattr(cupy.linalg, name)] == []
    methods = (device_array._METHODS + device_array._METHODS_IN_PLACE).split()
    assert [name for name in methods if not hasattr(cupy.ndarray, name)] == []


def test_elements_and_sums_stay_on_the_device(emulated):
    x = emulated.asarray([[1.0, 2.0], [3.0, 4.0]])
    for part in (x[0], x[1, 1], x.sum(), x.max(axis=0), emulated.linalg.norm(x), x[x > 1], -x, x @ x, abs(x)):
        assert isinstance(part, DeviceArray)
    assert (float(x.sum()), int(x[1, 1]), bool((x > 0).all()), x.tolist()) == (10, 4, True, [[1, 2], [3, 4]])


def test_views_share_memory_and_results_do_not(emulated):
    x = emulated.zeros((3, 4))
    x[1][2] = 1
    x.T[0, :] += 2
    y = x + 0
    y[...] = 9
    assert x.tolist() == [[2, 0, 0, 0], [2, 0, 1, 0], [2, 0, 0, 0]]
    assert emulated.multiply(x, 2, out=x) is x


def test_layouts_are_kept(emulated):
    x = np.asfortranarray(np.arange(6.0).reshape(2, 3))
    assert emulated.asarray(x, order="F").flags.f_contiguous
    assert emulated.ascontiguousarray(emulated.asarray(x).T).flags.c_contiguous
    assert emulated.empty_like(emulated.asarray(x, order="F")).flags.f_contiguous


def test_new_memory_is_poisoned_and_aligned(emulated):
    x = emulated.empty((2, 3), np.float32)
    assert np.isnan(x.get()).all()
    assert x.data.ptr % 256 == 0
    assert emulated.empty(2, np.int16).tolist() == [-1, -1]


def test_copies_are_explicit(emulated):
    host = np.arange(3.0)
    x = emulated.asarray(host)
    host[0] = 5
    x.get()[1] = 5
    assert emulated.asnumpy(x).tolist() == [0, 1, 2]
    x.set(host)
    assert x.tolist() == [5, 1, 2]
    with pytest.raises(ValueError, match="set needs a host array of shape"):
        x.set(np.zeros(4))


def test_pickled_arrays_come_back_to_the_device(emulated):
    x = pickle.loads(pickle.dumps(emulated.arange(3)))
    assert isinstance(x, DeviceArray)
    assert x.tolist() == [0, 1, 2]


def test_memory_runs_out_and_comes_back(emulated):
    gc.collect()
    before = used()
    with limited(1000):
        held = emulated.zeros(100)
        with pytest.raises(OutOfMemoryError, match="out of memory allocating 808 bytes"):
            emulated.zeros(101)
        del held
        gc.collect()
        emulated.zeros(101)
    with limited(n_allocations=2):
        first, second = emulated.zeros(1), emulated.zeros(1)
        with pytest.raises(MemoryError):
            first + second
    del first, second
    gc.collect()
    assert used() == before


def test_arrays_lie_on_the_device_that_was_current(emulated):
    with emulated.cuda.Device(1):
        x = emulated.zeros(2)
        assert emulated.cuda.runtime.getDevice() == 1
    assert (x.device.id, emulated.zeros(2).device.id, emulated.cuda.runtime.getDevice()) == (1, 0, 0)
    with pytest.raises(ValueError, match="no device 2"):
        emulated.cuda.Device(2)
