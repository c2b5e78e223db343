"""Batch files: bash accepts them, whatever a command's words hold; and they do what they say, with a SLURM of ours."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from thalgpu.engine.cluster.slurm import Job, slurm_script
from thalgpu.errors import UsageError

NASTY = ["gradients", "--subjects", "my list.txt", "--out", "a'b $(touch hacked) `touch hacked` {x}; touch hacked\nend"]

SBATCH = """#!/bin/bash
# Runs a job at once, an array's members one after the other, and says what it was asked for.
echo "sbatch $*" >> "$LOG"
array=
while [[ $1 == --* ]]; do case "$1" in --array=*) array=${1#--array=};; esac; shift; done
if [ -n "$array" ]; then
    for i in $(seq "${array%-*}" "${array#*-}"); do SLURM_ARRAY_TASK_ID=$i bash "$@"; done
else
    bash "$@"
fi
echo "4711;cluster"
"""

SRUN = """#!/bin/bash
# Runs a step at once, here.
while [[ $1 == --* ]]; do shift; done
exec "$@"
"""

SHOWN = """#!/bin/bash
# Says what it was called with, a word a line.
printf '%s\\0' "$@" >> "$LOG.calls"; printf '\\n' >> "$LOG.calls"
"""


@pytest.fixture
def run_script(tmp_path):
    """Run a script, with stand-ins for SLURM's commands and others; what it says."""

    def run(text, *, bash=(), **programs):
        folder = tmp_path / "bin"
        folder.mkdir()
        for name, program in {"sbatch": SBATCH, "srun": SRUN, **programs}.items():
            (folder / name).write_text(program)
            (folder / name).chmod(0o755)
        path = tmp_path / "job.sh"
        path.write_text(text)
        search = os.pathsep.join([str(folder), str(Path(sys.executable).parent), os.environ["PATH"]])
        environment = {**os.environ, "PATH": search, "LOG": str(tmp_path / "log")}
        return subprocess.run(
            ["bash", path, *bash], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120
        )

    return run


@pytest.mark.parametrize(
    "job",
    [
        Job(array=4),
        Job(array=2, gpus_per_node=1, cpus=8, memory="16G", time="1-04:00:00", partition="gpu,long"),
        Job(nodes=3, gpus_per_node=4),
        Job(nodes=2, cpus=16),
    ],
)
def test_script_is_what_bash_accepts_and_quotes_every_word(job):
    text = slurm_script(NASTY, job)
    assert subprocess.run(["bash", "-n"], input=text, text=True, capture_output=True).stderr == ""
    assert text.startswith("#!/bin/bash\n#SBATCH --job-name=thalgpu-gradients\n")
    assert shlex.join(["thalgpu", *NASTY]) in text


def test_array_runs_every_shard_and_then_the_merge(run_script, tmp_path):
    done = run_script(slurm_script(NASTY, Job(array=3)), thalgpu=SHOWN)
    assert done.returncode == 0, done.stderr
    calls = (tmp_path / "log.calls").read_text().split("\0\n")
    told = "\0".join(NASTY)
    assert calls == [*(f"{told}\0--shard\0{number}/3" for number in (1, 2, 3)), told, ""]
    asked = (tmp_path / "log").read_text().splitlines()
    assert "--array=1-3" in asked[0]
    assert "--dependency=afterany:4711 " in asked[1]
    assert not (tmp_path / "hacked").exists()


@pytest.mark.studies
def test_array_of_a_study_gives_the_bytes_of_one_process(
    run_script, short_study, studied_in_process, same_bytes, tmp_path
):
    command = [str(word) for word in ("study", short_study, "--out", tmp_path / "out", "--workers", 1, "--gpus", 0)]
    done = run_script(slurm_script(command, Job(array=2)))
    assert done.returncode == 0, done.stderr
    assert "gradients: subjects: 5" in done.stderr, "of the first shard"
    assert "gradients: subjects: 4" in done.stderr, "of the second"
    same_bytes(tmp_path / "out", studied_in_process)


@pytest.mark.studies
def test_dask_job_gives_the_bytes_of_one_process(run_script, test_options, tested_in_process, same_bytes, tmp_path):
    command = [str(word) for word in (*test_options, "--out", tmp_path / "out")]
    done = run_script(slurm_script(command, Job(cpus=2)))
    assert done.returncode == 0, done.stderr
    same_bytes(tmp_path / "out", tested_in_process)
    assert not list(tmp_path.glob("dask-cluster-*")), "keys are removed"


def test_dask_job_keeps_the_exit_code_of_its_command(run_script):
    text = slurm_script(["gradients", "--subjects", "no such list"], Job())
    sleeper = "#!/bin/bash\nexec sleep 60\n"
    starter = "#!/bin/bash\nwhile [ $# -gt 0 ]; do [ $1 = --scheduler-file ] && echo '{}' > \"$2\"; shift; done\n"
    failing = "#!/bin/bash\nexit 3\n"
    assert run_script(text, dask=starter + sleeper, thalgpu=failing, openssl="#!/bin/bash\n").returncode == 3


def test_command_prints_the_script(thalgpu):
    own = ["--array", 2, "--time", "4:00:00"]
    done = thalgpu("slurm-script", *own, "permute", "out", "--n-perm", 100, "--atlas", "a b")
    assert done.exit_code == 0, done.err
    assert "#SBATCH --time=4:00:00" in done.out
    assert "srun thalgpu permute out --n-perm 100 --atlas 'a b' --shard" in done.out


def test_study_is_shared_by_an_array(thalgpu):
    done = thalgpu("slurm-script", "--array", 3, "--gpus-per-node", 1, "study", "study.toml", "--n-perm", 500)
    assert done.exit_code == 0, done.err
    assert "#SBATCH --job-name=thalgpu-study" in done.out
    assert 'srun thalgpu study study.toml --n-perm 500 --shard "$SLURM_ARRAY_TASK_ID/3"' in done.out
    assert "srun thalgpu study study.toml --n-perm 500\n" in done.out


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["gradients"], "--array N or --dask"),
        (["--array", 2, "--dask", "gradients"], "--array N or --dask"),
        (["--array", 2, "--nodes", 2, "gradients"], "--nodes is for --dask"),
        (["--array", 2, "bids", "in", "out", "group"], "cannot share bids"),
        (["--dask", "doctor"], "cannot share doctor"),
        (["--array", 2, "gradients", "--shard", "1/2"], "--shard does not go with --array"),
        (["--dask", "gradients", "--overwrite"], "--overwrite does not go with --dask"),
        (["--dask", "--partition", "gpu\n#SBATCH --uid=0", "gradients"], "--partition"),
    ],
)
def test_what_cannot_be_a_job_is_refused(thalgpu, arguments, reason):
    done = thalgpu("slurm-script", *arguments)
    assert done.exit_code == 2
    assert reason in done.err


def test_time_is_as_slurm_spells_it():
    with pytest.raises(UsageError, match="4:00:00"):
        slurm_script(["gradients"], Job(array=2, time="4 hours"))
