"""The template's tree of sums by a cluster's workers."""

import shutil

from thalgpu.engine.pipelines import group_stage, template_sums


def test_branches_on_a_cluster_give_the_template_of_one_process(
    thalgpu, cluster, inputs, in_process, same_bytes, tmp_path, monkeypatch
):
    monkeypatch.setattr(template_sums, "SUBJECTS_A_SUM", 2)
    monkeypatch.setattr(group_stage, "SUBJECTS_A_SUM", 2)
    here, there = (shutil.copytree(in_process, tmp_path / name) for name in ("here", "there"))
    done = thalgpu("gradients", *inputs, "--out", here, "--workers", 1, "--gpus", 0)
    assert done.exit_code == 0, done.err
    with monkeypatch.context() as patch:
        patch.setattr(group_stage, "remove_sums", lambda _: None)
        done = thalgpu("gradients", *inputs, "--out", there, *cluster.options)
    assert done.exit_code == 0, done.err
    sums = there / "group/template-sums"
    assert len(list(sums.iterdir())) == 5 + 3 + 2, "of nine subjects, by twos"
    shutil.rmtree(sums)
    same_bytes(here, there)
