"""Seed connectivity on a Dask cluster: the same bytes as in one process."""


def test_connectivity_on_three_workers_is_that_of_one_process(thalgpu, cluster, cohort, same_bytes, tmp_path):
    inputs = [
        *("--subjects", cohort.list_file, "--thalamus", cohort.thalamus[0]),
        *("--cortex", cohort.folder / "cortex_parcels.nii.gz", "--maps"),
    ]
    for name, where in (("one", ["--workers", 1]), ("cluster", cluster.options)):
        done = thalgpu("connectivity", *inputs, "--out", tmp_path / name, *where)
        assert done.exit_code == 0, done.err
    same_bytes(tmp_path / "cluster", tmp_path / "one")
