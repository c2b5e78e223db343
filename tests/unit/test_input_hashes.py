"""Digests of inputs, remembered: never wrong, and never worth a crash."""

import hashlib
import json
import os

import pytest

from thalgpu.engine.pipelines import input_hashes
from thalgpu.engine.pipelines.input_hashes import InputHashes, input_sha256
from thalgpu.errors import InputError


@pytest.fixture
def scan(tmp_path):
    path = tmp_path / "scan.nii"
    path.write_bytes(b"one")
    return path


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "logs" / "input-hashes.json"


def sha256(content):
    return hashlib.sha256(content).hexdigest()


def test_digest_is_the_files(scan, cache):
    assert InputHashes(cache).sha256(scan) == sha256(b"one") == input_sha256(scan)


def test_known_file_is_not_read_again(scan, cache, monkeypatch):
    hashes = InputHashes(cache)
    hashes.sha256(scan)
    hashes.save()
    monkeypatch.setattr(input_hashes, "input_sha256", lambda path: pytest.fail("it was read"))
    assert InputHashes(cache).sha256(scan) == sha256(b"one")


def test_other_size_is_read_again(scan, cache):
    hashes = InputHashes(cache)
    hashes.sha256(scan)
    scan.write_bytes(b"three")
    assert hashes.sha256(scan) == sha256(b"three")


def test_other_time_is_read_again(scan, cache):
    hashes = InputHashes(cache)
    hashes.sha256(scan)
    scan.write_bytes(b"two")
    os.utime(scan, ns=(1, 1))
    assert hashes.sha256(scan) == sha256(b"two")


def test_file_that_changed_after_its_stamp_is_read_again(scan, cache):
    hashes = InputHashes(cache)
    stamp = hashes.stamp(scan)
    scan.write_bytes(b"newer")
    hashes.remember(scan, sha256(b"one"), stamp)
    assert hashes.sha256(scan) == sha256(b"newer")


@pytest.mark.parametrize("content", ["", "{", "[]", "null", '{"a": 1}', '{"files": [1, 2], "sha256": "0"}', "\x00"])
def test_damaged_cache_is_as_good_as_none(scan, cache, content):
    cache.parent.mkdir()
    cache.write_text(content)
    assert InputHashes(cache).sha256(scan) == sha256(b"one")


def test_cache_with_another_digest_than_was_written_is_not_believed(scan, cache):
    hashes = InputHashes(cache)
    hashes.sha256(scan)
    hashes.save()
    cache.write_text(cache.read_text().replace(sha256(b"one"), sha256(b"two")))
    assert InputHashes(cache).sha256(scan) == sha256(b"one")


def test_cache_is_the_same_bytes_in_any_order(scan, cache, tmp_path):
    other = tmp_path / "other.nii"
    other.write_bytes(b"2")
    saved = []
    for order in ((scan, other), (other, scan)):
        hashes = InputHashes(cache)
        for path in order:
            hashes.sha256(path)
        hashes.save()
        saved.append(cache.read_bytes())
    assert saved[0] == saved[1]
    assert sorted(json.loads(saved[0])["files"]) == sorted([str(scan), str(other)])


def test_missing_file_is_named(tmp_path, cache):
    with pytest.raises(InputError, match=r"cannot be read.*gone\.nii"):
        InputHashes(cache).sha256(tmp_path / "gone.nii")
