"""The BIDS App on a Dask cluster: the same bytes as in one process."""

import pytest


@pytest.fixture
def bids(thalgpu, cohort, tmp_path):
    """Run one level into a folder."""
    config = tmp_path / "options.toml"
    config.write_text(
        f'[gradients]\nthalamus = "{cohort.thalamus[0]}"\n'
        f'cortex = "{cohort.folder / "cortex_parcels.nii.gz"}"\nn_components = 3\n'
    )

    def run(out, level, *options):
        return thalgpu("bids", cohort.folder, out, level, "--config", config, *options)

    return run


def test_both_levels_on_three_workers_are_those_of_one_process(bids, cluster, same_bytes, tmp_path):
    for out, options in (("three", cluster.options), ("one", ["--nprocs", 1, "--gpus", 0])):
        for level in ("participant", "group"):
            done = bids(tmp_path / out, level, *options)
            assert done.exit_code == 0, done.err
        assert "9 verified" in done.out, "the group computes no participant"
    same_bytes(tmp_path / "three", tmp_path / "one")


def test_plan_says_whose_workers_do_the_work(bids, tmp_path):
    options = ["--scheduler", "tcp://10.0.0.1:8786", "--insecure"]
    done = bids(tmp_path / "out", "participant", *options, "--dry-run")
    assert done.exit_code == 0, done.err
    assert "tcp://10.0.0.1:8786: its workers do the work" in done.out


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--scheduler", "tcp://10.0.0.1:8786"], "not encrypted"),
        (["--insecure"], "speaks of a --scheduler"),
        (["--tls-ca", "ca.pem"], "--tls-ca speaks of a --scheduler"),
        (["--scheduler", "tls://10.0.0.1:8786", "--gpus", 2], "--gpus counts this machine's"),
    ],
)
def test_options_that_cannot_be_meant_are_refused(bids, tmp_path, options, words):
    done = bids(tmp_path / "out", "participant", *options)
    assert done.exit_code == 2
    assert words in done.err
    assert not (tmp_path / "out").exists()
