"""Maps of more elements than shared memory has room for: the same bits, from memory that is as large as it may be."""

import numpy as np
import pytest

from thalgpu.kernels import _cuda, clusters, tfce

N_MAPS, N = 5, 67


@pytest.fixture
def maps(rng):
    """Some ties among them."""
    return np.round(rng.standard_normal((N_MAPS, N)), 1)


@pytest.fixture
def ring(rng):
    """Each element touches the two beside it; sizes are areas."""
    neighbours = np.sort((np.arange(N)[:, None] + [-1, 1]) % N, axis=1)
    return np.arange(0, 2 * N + 1, 2, dtype=np.int32), neighbours.ravel().astype(np.int32), rng.random(N)


def enhance(maps, *ring):
    return (tfce.tfce(maps, maps**3, *ring, 0.7),)


def cluster(maps, *ring):
    return clusters.clusters(maps, 0.2, *ring)


OPERATIONS = pytest.mark.parametrize(("operation", "module"), [(enhance, tfce), (cluster, clusters)])


@OPERATIONS
def test_bits_do_not_depend_on_where_a_block_works(operation, module, maps, ring, emulated_checked, monkeypatch):
    given = [emulated_checked.asarray(array) for array in (maps, *ring)]
    in_shared_memory = operation(*given)
    monkeypatch.setattr(module, "shared_limit", lambda _: 0)
    elsewhere = operation(*given)
    for one, other in zip(in_shared_memory, elsewhere, strict=True):
        np.testing.assert_array_equal(one.get(), other.get())


@OPERATIONS
def test_maps_take_turns_in_memory_that_is_limited(operation, module, maps, ring, emulated, monkeypatch):
    monkeypatch.setattr(module, "shared_limit", lambda _: 0)
    monkeypatch.setattr(module, "_WORK_BYTES", 3 * 8 * N)  # one map of the one, three of the other
    grids = []

    def note(_name, grid, run):
        grids.append(grid)
        run()

    with _cuda.watched(note):
        found = operation(*(emulated.asarray(array) for array in (maps, *ring)))
    assert len(grids) > 1
    assert sum(blocks for (blocks,) in grids) == N_MAPS
    for result, expected in zip(found, operation(maps, *ring), strict=True):
        np.testing.assert_allclose(result.get(), expected, rtol=1e-13)  # sums of some levels in another order


@OPERATIONS
def test_one_map_is_worked_on_however_little_memory_there_may_be(operation, module, maps, ring, emulated, monkeypatch):
    monkeypatch.setattr(module, "shared_limit", lambda _: 0)
    monkeypatch.setattr(module, "_WORK_BYTES", 1)
    found = operation(*(emulated.asarray(array) for array in (maps, *ring)))
    np.testing.assert_allclose(found[0].get(), operation(maps, *ring)[0], rtol=1e-13)  # as above


@OPERATIONS
def test_a_graph_on_the_host_is_refused(operation, module, maps, ring, emulated):
    with pytest.raises(TypeError, match="mixed"):
        operation(emulated.asarray(maps), *ring)
