"""The benchmark of group gradients runs, compares like with like, and says where the time goes."""

import json

import numpy as np
import pytest

from thalgpu.bench import group_gradients
from thalgpu.bench._affinities import smooth_affinities
from thalgpu.bench._naive_gradients import naive_gradients
from thalgpu.engine.gradients.embedding import diffusion_map
from thalgpu.engine.outputs.packing import unpack_upper


@pytest.fixture(scope="module")
def results():
    return group_gradients.run(threads=1, quick=True)


def test_speeds_errors_and_the_whole_job_are_claims_of_b6(results):
    assert [(result.claim, result.unit) for result in results] == [("B6", unit) for unit in ("s", "s", "SD", "SD", "s")]
    assert all(result.ours_seconds > 0 and result.ref_seconds is not None for result in results)


def test_both_paths_agree_with_arpack_to_a_hundredth_of_a_null_sd(results):
    assert [result.met for result in results if result.unit == "SD"] == [True, True]


def test_results_can_be_written_as_json(results):
    assert [json.loads(json.dumps(result.to_json()))["claim"] for result in results] == ["B6"] * len(results)


def test_the_notes_say_where_the_time_goes(results):
    reduced, exact = (result.note for result in results[:2])
    for stage in ("weighted sums", "small eigenproblem", "step out of the basis", "alignment", "statistics"):
        assert stage in reduced
    for stage in ("reduced start", "forming, and the first product", "iterations"):
        assert stage in exact


def test_the_loop_makes_the_gradients_of_a_diffusion_map():
    matrices = np.stack([unpack_upper(packed, 150) for packed in smooth_affinities(3, 150)])
    ours = diffusion_map(matrices[:2].mean(axis=0), 10).gradients
    loop = naive_gradients(matrices, np.array([0, 1]), np.float64)
    signs = np.sign((ours * loop).sum(axis=0))
    np.testing.assert_allclose(ours, loop * signs, atol=1e-4 * np.abs(loop).max())  # ours is float32
