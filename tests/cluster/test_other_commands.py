"""The other commands, shared by shards or by a cluster's workers: the same bytes as in one process."""

import pytest


def test_two_shards_and_a_merge_are_one_run(thalgpu, other, same_bytes, tmp_path):
    command, whole = other
    for shard in ("2/2", "1/2"):
        done = thalgpu(*command, "--out", tmp_path / "out", "--workers", 1, "--shard", shard)
        assert done.exit_code == 0, done.err
        assert f"shard {shard}: " in done.out
        assert not (tmp_path / "out/report.html").exists()
    merged = thalgpu(*command, "--out", tmp_path / "out", "--workers", 1)
    assert merged.exit_code == 0, merged.err
    assert "(0 verified" not in merged.out
    same_bytes(tmp_path / "out", whole)


@pytest.mark.studies
def test_three_workers_are_one_process(thalgpu, other, cluster, same_bytes, tmp_path):
    command, whole = other
    done = thalgpu(*command, "--out", tmp_path / "out", *cluster.options)
    assert done.exit_code == 0, done.err
    same_bytes(tmp_path / "out", whole)


@pytest.mark.studies
def test_study_on_three_workers_is_that_of_one_process(thalgpu, cohort, cluster, same_bytes, tmp_path):
    out = tmp_path / "out"  # the same for both: paths are among what a comparison is made from
    command = ["study", cohort.study_file, "--n-perm", 200, "--gpus", 0, "--out", out]
    for name, options in {"one": ["--workers", 1], "three": cluster.options}.items():
        done = thalgpu(*command, *options)
        assert done.exit_code == 0, done.err
        out.rename(tmp_path / name)
    same_bytes(tmp_path / "three", tmp_path / "one")
