"""A Dask cluster: the same bytes as in one process, and who may take part."""


def test_gradients_on_three_workers_are_those_of_one_process(
    thalgpu, cluster, inputs, in_process, same_bytes, tmp_path
):
    done = thalgpu("gradients", *inputs, "--out", tmp_path / "out", *cluster.options)
    assert done.exit_code == 0, done.err
    same_bytes(tmp_path / "out", in_process)


def test_permutations_on_three_workers_are_those_of_one_process(
    thalgpu, cluster, test_options, tested_in_process, same_bytes, tmp_path
):
    done = thalgpu(*test_options, "--out", tmp_path / "out", *cluster.options)
    assert done.exit_code == 0, done.err
    same_bytes(tmp_path / "out", tested_in_process)
