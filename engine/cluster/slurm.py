"""Batch files for SLURM: an array of shards with a merge after it, or a Dask cluster inside one job."""

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from thalgpu.errors import UsageError

SHARDED = ("gradients", "permute", "compare", "connectivity", "structure", "study")
ON_DASK = (*SHARDED, "bids")

_ARRAY = """\
# Send it off from the folder that its paths start from:  bash FILE
# An array of shards, then one job that puts their work together. To go on after a crash, do the same again.
set -euo pipefail

case "${{1:-submit}}" in
submit)
    shards=$(sbatch --parsable --array=1-{array} "$0" shard)
    # "any": a subject that cannot be used fails its shard, and the others' results are wanted all the same
    sbatch --dependency="afterany:${{shards%%;*}}" "$0" merge
    ;;
shard)
    srun {command} --shard "$SLURM_ARRAY_TASK_ID/{array}"
    ;;
merge)
    srun {command}
    ;;
esac
"""

_DASK = """\
# Send it off from the folder that its paths start from:  sbatch FILE
# A scheduler, its workers on all nodes and the command that uses them, encrypted. To go on after a crash, do the same
# again.
set -euo pipefail

cluster=$(mktemp -d "$PWD/dask-cluster-XXXXXXXX")  # all nodes see it, and only their owner may
scheduler= workers=
end() {{  # workers first: they take leave of the scheduler
    for one in $workers $scheduler; do kill "$one" 2> /dev/null || true; wait "$one" || true; done
    rm -rf "$cluster"
}}
trap end EXIT
openssl req -x509 -newkey rsa:3072 -nodes -days 30 -subj /CN=thalgpu \\
    -keyout "$cluster/key.pem" -out "$cluster/cert.pem" 2> /dev/null
tls=(--tls-ca-file "$cluster/cert.pem" --tls-cert "$cluster/cert.pem" --tls-key "$cluster/key.pem")
quiet=(--protocol tls --no-dashboard --dashboard-address 127.0.0.1:0)  # what is left of it stays on the node

srun --overlap --nodes=1 --ntasks=1 dask scheduler "${{tls[@]}}" "${{quiet[@]}}" --port 0 \\
    --scheduler-file "$cluster/scheduler.json" &
scheduler=$!
for _ in $(seq 120); do [ -s "$cluster/scheduler.json" ] && break; sleep 1; done
srun --overlap --nodes={nodes} --ntasks-per-node=1 {worker} "${{tls[@]}}" "${{quiet[@]}}" \\
    --scheduler-file "$cluster/scheduler.json" --local-directory "${{TMPDIR:-/tmp}}" --death-timeout 300 &
workers=$!

{command} --scheduler "$cluster/scheduler.json" \\
    --tls-ca "$cluster/cert.pem" --tls-cert "$cluster/cert.pem" --tls-key "$cluster/key.pem" &
client=$!
trap 'kill -TERM "$client" 2> /dev/null || true' TERM  # sent before the time is up: it stops, to be gone on with
code=0
wait "$client" || code=$?
while kill -0 "$client" 2> /dev/null; do code=0; wait "$client" || code=$?; done
exit "$code"
"""


@dataclass(frozen=True)
class Job:
    """What a job asks of SLURM.

    Attributes
    ----------
    array : shards; None for a Dask cluster in one job.
    nodes : of that cluster.
    gpus_per_node, cpus : of each shard, or of each node of the cluster, which gets a worker for each GPU, or else for
        each core.
    memory, time, partition : as SLURM spells them; None for its defaults.
    """

    array: int | None = None
    nodes: int = 1
    gpus_per_node: int = 0
    cpus: int = 1
    memory: str | None = None
    time: str | None = None
    partition: str | None = None


def slurm_script(command: Sequence[str], job: Job) -> str:
    """The text of a batch file.

    Parameters
    ----------
    command : what follows `thalgpu` on the command line.
    job : what it asks for.

    Raises
    ------
    UsageError
        The command cannot be shared in that way, or an option holds what SLURM does not know.
    """
    _check(command, job)
    told = shlex.join(["thalgpu", *command])
    if job.array is not None:
        body = _ARRAY.format(array=job.array, command=told)
    else:
        worker = "dask cuda worker" if job.gpus_per_node else f"dask worker --nworkers {job.cpus} --nthreads 1"
        body = _DASK.format(nodes=job.nodes, worker=worker, command=told)
    return "\n".join(["#!/bin/bash", *_header(command[0], job), body])


def _header(name: str, job: Job) -> list[str]:
    """Lines for SLURM; a signal a minute and a half before the time is up lets the run stop in order."""
    shell = "" if job.array is not None else "B:"  # the shell of the one job passes it to the client
    values = {
        "job-name": f"thalgpu-{name}",
        "nodes": 1 if job.array is not None else job.nodes,
        "ntasks-per-node": 1,
        "cpus-per-task": job.cpus,
        "gpus-per-node": job.gpus_per_node or None,
        "mem": job.memory,
        "time": job.time,
        "partition": job.partition,
        "signal": f"{shell}TERM@90",
    }
    return [f"#SBATCH --{option}={value}" for option, value in values.items() if value is not None]


def _check(command: Sequence[str], job: Job) -> None:
    able, how = (SHARDED, "--array") if job.array is not None else (ON_DASK, "--dask")
    if not command or command[0] not in able:
        raise UsageError(
            f"{how} cannot share {command[0] if command else 'nothing'}", remedy=f"give one of {', '.join(able)}"
        )
    for text in command:
        if text.partition("=")[0] in ("--shard", "--scheduler", "--overwrite"):
            raise UsageError(f"{text} does not go with {how}", remedy="leave it out: the file says what is needed")
    for option in ("memory", "time", "partition"):
        text = getattr(job, option)
        if text is not None and not re.fullmatch(r"[\w.,:+-]+", text, re.ASCII):
            raise UsageError(f"--{option} {text!r}", remedy="give it as SLURM spells it, such as 16G, 4:00:00, gpu")
