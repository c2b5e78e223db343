"""Kernels without a fault give NumPy's answers, in every order of threads, and pass the checks."""

import numpy as np
import pytest
from cuda_emulator import using
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components


@pytest.fixture(scope="module")
def text(cuda_text):
    return cuda_text("sound.cu")


@pytest.fixture
def kernel(device, text):
    return device.RawModule(code=text, options=("-std=c++17",)).get_function


def test_rows_are_standardised(device, kernel, rng):
    x = rng.normal(50, 2, (9, 333)).astype(np.float32)
    unit = device.empty_like(device.asarray(x))
    kernel("standardize_rows")((9,), (64,), (device.asarray(x), unit, np.int32(333)))
    centred = x - x.mean(axis=1, dtype=float, keepdims=True)
    expected = centred / np.linalg.norm(centred, axis=1, keepdims=True)
    np.testing.assert_allclose(unit.get(), expected, atol=2e-8)  # half a unit in the last place of the largest


@pytest.mark.parametrize("shape", [(1, 1, 1), (8, 8, 8), (19, 13, 21)])
def test_tiled_product_equals_numpy(device, kernel, rng, shape):
    m, n, k = shape
    a, b = rng.random((m, k), dtype=np.float32), rng.random((k, n), dtype=np.float32)
    c = device.empty((m, n), np.float32)
    sizes = tuple(np.int32(size) for size in shape)
    kernel("product")((-(-n // 8), -(-m // 8)), (8, 8), (device.asarray(a), device.asarray(b), c, *sizes))
    np.testing.assert_allclose(c.get(), a @ b, rtol=1e-5)  # sums of up to 21 positive terms


def test_union_find_labels_components(device, kernel, rng):
    n, edges = 200, rng.integers(0, 200, (150, 2), dtype=np.int32)
    parents, roots = device.arange(n, dtype=np.int32), device.empty(n, np.int32)
    with using(orders=(2,)):  # one order: trees of other shapes have the same roots
        kernel("join")((3,), (32,), (device.asarray(edges), np.int32(len(edges)), parents))
    kernel("flatten")((2,), (64,), (parents, roots, np.int32(n)))
    _, labels = connected_components(coo_matrix((np.ones(len(edges)), edges.T), shape=(n, n)), directed=False)
    smallest = np.array([np.flatnonzero(labels == label)[0] for label in labels])
    np.testing.assert_array_equal(roots.get(), smallest)


def test_warp_synchronous_sums(device, kernel, rng):
    x = rng.integers(0, 100, 150).astype(np.float32)
    sums = device.empty(6, np.float32)
    kernel("sum_in_warps")((3,), (64,), (device.asarray(x), sums, np.int32(150)))
    padded = np.append(x, np.zeros(42, np.float32))
    np.testing.assert_array_equal(sums.get(), padded.reshape(6, 32).sum(axis=1))


def test_dynamic_shared_memory(device, kernel, rng):
    x = rng.random((4, 100))
    out = device.empty((4, 100))
    kernel("reverse_rows")((4,), (32,), (device.asarray(x), out, np.int32(100)), shared_mem=800)
    np.testing.assert_array_equal(out.get(), x[:, ::-1])


def test_philox_gives_the_published_numbers(device, kernel):
    """The known-answer vectors of Random123 for philox4x32 with 10 rounds: zeros, ones, and the digits of pi."""
    counters = np.array([[0] * 4, [0xFFFFFFFF] * 4, [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344]], np.uint32)
    keys = np.array([[0] * 2, [0xFFFFFFFF] * 2, [0xA4093822, 0x299F31D0]], np.uint32)
    bits = device.empty((3, 4), np.uint32)
    kernel("philox")((1,), (32,), (device.asarray(counters), device.asarray(keys), bits, np.int32(3)))
    assert [[f"{word:08x}" for word in row] for row in bits.tolist()] == [
        ["6627e8d5", "e169c58d", "bc57ac4c", "9b00dbd8"],
        ["408f276d", "41c83b0e", "a20bc7c6", "6d5451fd"],
        ["d16cfe09", "94fdcceb", "5001e420", "24126ea1"],
    ]


def test_atomics_count_every_thread(device, kernel, rng):
    x = rng.integers(0, 1000, 150).astype(np.int32)
    ints, unsigneds = device.asarray([0, 0, 10**6, -1], np.int32), device.asarray([0, 2**32 - 1, 0, 0], np.uint32)
    longs, floats, doubles = device.zeros(2, np.uint64), device.zeros(1, np.float32), device.zeros(1)
    arguments = (device.asarray(x), np.int32(150), ints, unsigneds, longs, floats, doubles)
    kernel("atomics")((5,), (32,), arguments)
    assert ints.tolist() == [x.sum(), -x.sum(), x.min(), x.max()]
    flags = np.bitwise_or.reduce(np.uint32(1) << (x % 32).astype(np.uint32))
    assert unsigneds.tolist() == [flags, ~flags, np.bitwise_xor.reduce(x), 150 % 7]
    assert longs.tolist() == [int(x.sum()) << 33, x.max()]
    assert (float(floats[0]), float(doubles[0])) == (x.sum(), x.sum())


@pytest.mark.parametrize("n", [32, 20])
def test_warp_collectives(device, kernel, rng, n):
    x = rng.integers(-50, 50, n).astype(np.int32)
    out = device.empty((n, 12), np.int32)
    kernel("warps")((1,), (n,), (device.asarray(x), out))
    lanes = np.arange(n)
    positive = int((x > 0).sum())
    expected = np.stack(
        [
            np.full(n, sum(1 << i for i in lanes if x[i] > 0)).astype(np.uint32).astype(np.int32),
            np.zeros(n),
            np.ones(n),
            np.full(n, x[3]),
            np.where(lanes >= 2, np.roll(x, 2), x),
            np.where(lanes % 4 < 3, np.roll(x, -1), x),
            x[lanes ^ 1],
            *(np.full(n, value) for value in (x.sum(), x.min(), x.max(), positive, 2)),
        ],
        axis=1,
    )
    np.testing.assert_array_equal(out.get(), expected)


def test_bits_and_conversions(device, kernel):
    x = np.array([0, 1, 0x80000000, 0xFFFFFFFF, 0x12345678], np.uint32)
    y = np.array([-1.5, 2.5, 1e20, np.nan, 0.4], np.float32)
    out = device.empty((5, 10), np.int32)
    kernel("bits")((1,), (32,), (device.asarray(x), device.asarray(y), out, np.int32(5)))
    words = [f"{int(word):032b}" for word in x]
    expected = [
        [word.count("1") for word in words],
        [len(word) - len(word.lstrip("0")) for word in words],
        [32 - word.rindex("1") if "1" in word else 0 for word in words],
        np.array([int(word[::-1], 2) for word in words], np.uint32).view(np.int32),
        y.view(np.int32),
        y.view(np.int32),
        [-2, 2, 2**31 - 1, 0, 0],
        ((x.astype(np.uint64) ** 2) >> np.uint64(32)).astype(np.uint32).view(np.int32),
        x.view(np.int32),
        [min(i, 2) + max(1, int(word) % 5) for i, word in enumerate(x)],
    ]
    np.testing.assert_array_equal(out.get(), np.array(expected).T)
