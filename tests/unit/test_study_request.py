"""From a study's request to those of the commands."""

import pytest

from thalgpu.cli._again import options_of
from thalgpu.cli.study import read_request, study
from thalgpu.engine.cluster.shards import Shard
from thalgpu.engine.inputs.study_file import read_study_file
from thalgpu.engine.pipelines.study_request import (
    comparison_request,
    connectivity_request,
    gradients_request,
    structure_request,
)
from thalgpu.errors import UsageError

STUDY = """
[study]
participants = "participants.tsv"
subjects = "list.tsv"
[arms.gradients]
[arms.volumes]
[arms.connectivity]
[arms.group_gradients]
"""


@pytest.fixture
def file(tmp_path):
    (tmp_path / "participants.tsv").write_text("participant_id\tgroup\nsub-01\ta\n")
    (tmp_path / "list.tsv").write_text("participant_id\tbold\nsub-01\tscan.nii.gz\n")
    path = tmp_path / "study.toml"
    path.write_text(STUDY)
    return path


def test_share_of_a_study_is_that_of_every_command_that_measures(file):
    request, found = read_request(options_of(study, [file, "--shard", "2/4"])), read_study_file(file)
    for asked in (gradients_request, structure_request, connectivity_request):
        assert asked(request, found).shard == Shard(2, 4)
    assert comparison_request(request, found, file.parent).shard is None


def test_whole_study_has_no_share(file):
    request = read_request(options_of(study, [file]))
    assert request.shard is None
    assert gradients_request(request, read_study_file(file)).shard is None


@pytest.mark.parametrize("options", [["--shard", "5/4"], ["--shard", "1/2", "--overwrite"]])
def test_share_that_cannot_be_meant_is_refused(file, options):
    with pytest.raises(UsageError):
        read_request(options_of(study, [file, *options]))
