"""Jobs that share a run: the same bytes once they are merged, no task twice, no two of one kind at a time."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from thalgpu.engine.cluster.shards import Shard
from thalgpu.engine.outputs.locks import hold
from thalgpu.errors import ResourceError, UsageError


@dataclass(frozen=True)
class Merged:
    """A folder that two shards and a merge have filled, and how that went."""

    out: Path
    said: list[str]
    between: dict[Path, int]
    """Files before the merge, and when they were written."""


@pytest.fixture(scope="module")
def merged(thalgpu, inputs, tmp_path_factory):
    out = tmp_path_factory.mktemp("shards") / "out"
    command = ["gradients", *inputs, "--out", out, "--workers", 1, "--gpus", 0]
    said = [thalgpu(*command, "--shard", "1/2").out]
    with hold(out, "1-of-2"):  # as if the first were still at work
        said.append(thalgpu(*command, "--shard", "2/2").out)
    between = {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()}
    done = thalgpu(*command)
    assert done.exit_code == 0, done.err
    return Merged(out, [*said, done.out], between)


def test_two_shards_of_gradients_and_a_merge_are_one_run(merged, in_process, same_bytes):
    same_bytes(merged.out, in_process)


def test_shard_says_what_it_has_done_and_what_is_next(merged):
    assert "shard 1/2: 5 of its 5 subjects done, 9 in all" in merged.said[0]
    assert "shard 2/2: 4 of its 4 subjects done" in merged.said[1]
    assert "run the same command without --shard" in merged.said[1]


def test_shards_write_records_and_nothing_of_the_group(merged):
    assert not {"group", "report.html"} & {path.relative_to(merged.out).parts[0] for path in merged.between}


def test_merging_run_finds_every_record_of_the_shards(merged):
    assert "(9 verified" in merged.said[2]
    records = [path for path in merged.between if path.name.endswith("_gradients.h5")]
    assert len(records) == 9
    assert [path for path in records if path.stat().st_mtime_ns != merged.between[path]] == []


def test_merging_run_puts_together_what_shards_know_of_inputs(merged):
    assert len([path for path in merged.between if path.name.startswith("input-hashes")]) == 2
    assert [path.name for path in (merged.out / "logs").glob("input-hashes*")] == ["input-hashes.json"]


def test_two_shards_of_a_test_and_a_merge_are_one_run(thalgpu, test_options, tested_in_process, same_bytes, tmp_path):
    command = [*test_options, "--out", tmp_path, "--workers", 1]
    for shard in ("2/2", "1/2"):
        done = thalgpu(*command, "--shard", shard)
        assert done.exit_code == 0, done.err
    assert not (tmp_path / "report.html").exists()
    merged = thalgpu(*command)
    assert "(4 verified" in merged.out
    same_bytes(tmp_path, tested_in_process)


def test_more_shards_than_subjects_have_nothing_to_do(thalgpu, inputs, tmp_path):
    done = thalgpu("gradients", *inputs, "--out", tmp_path, "--workers", 1, "--gpus", 0, "--shard", "10/10")
    assert done.exit_code == 0
    assert "0 of its 0 subjects done, 9 in all" in done.out


@pytest.mark.parametrize("n_tasks", [1, 2, 7, 84])
@pytest.mark.parametrize("of", [1, 2, 4, 100])
def test_every_task_is_of_exactly_one_shard(n_tasks, of):
    shares = [Shard(number, of).mine(range(n_tasks)) for number in range(1, of + 1)]
    assert sorted(task for share in shares for task in share) == list(range(n_tasks))


@pytest.mark.parametrize("text", ["0/2", "3/2", "1", "1/0", "a/b", "1/2/3", "-1/2", "", "²/3"])
def test_share_that_is_none_is_refused(text):
    with pytest.raises(UsageError, match="1/4 to 4/4"):
        Shard.parse(text)


@pytest.mark.fault("two runs in one folder")
def test_same_shard_twice_at_a_time_is_refused(tmp_path):
    with hold(tmp_path, "1-of-2"), pytest.raises(ResourceError, match="another run"), hold(tmp_path, "1-of-2"):
        pytest.fail("twice")


@pytest.mark.fault("two runs in one folder")
def test_whole_run_waits_for_its_shards(tmp_path):
    with hold(tmp_path, "2-of-3"), pytest.raises(ResourceError, match="shard 2-of-3, process"), hold(tmp_path):
        pytest.fail("beside a shard")


@pytest.mark.fault("two runs in one folder")
def test_shard_beside_a_whole_run_is_refused(tmp_path):
    with hold(tmp_path), pytest.raises(ResourceError, match="another run"), hold(tmp_path, "1-of-2"):
        pytest.fail("beside a whole run")


def test_whole_run_leaves_no_locks_of_shards(tmp_path):
    with hold(tmp_path, "1-of-2"):
        pass
    with hold(tmp_path):
        pass
    assert [path.name for path in tmp_path.iterdir()] == [".thalgpu.lock"]


def test_overwriting_shard_is_refused(thalgpu, inputs, tmp_path):
    done = thalgpu("gradients", *inputs, "--out", tmp_path / "out", "--shard", "1/2", "--overwrite")
    assert done.exit_code == 2
    assert "other shards" in done.err
    assert not (tmp_path / "out").exists()
