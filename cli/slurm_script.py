"""`thalgpu slurm-script`: a batch file for a command that is to run on a cluster, on stdout."""

from typing import Annotated

import typer

from thalgpu.cli._console import print_line
from thalgpu.cli._options import option
from thalgpu.errors import UsageError

SHARE, RESOURCES = "How it is shared", "What each job gets"

CONTEXT = {"ignore_unknown_options": True, "allow_interspersed_args": False}
"""Whatever follows the command's name is the command's own."""


def slurm_script(
    command: Annotated[
        list[str], typer.Argument(help="The command without 'thalgpu': gradients --subjects …", show_default=False)
    ],
    array: Annotated[int | None, option(SHARE, "An array of this many shards, and a merge after it.", min=1)] = None,
    dask: Annotated[bool, option(SHARE, "One job with a Dask cluster inside.", "--dask")] = False,
    nodes: Annotated[int, option(RESOURCES, "Nodes of the Dask cluster.", min=1)] = 1,
    gpus_per_node: Annotated[int, option(RESOURCES, "GPUs of a shard, or of each of the cluster's nodes.", min=0)] = 0,
    cpus: Annotated[int, option(RESOURCES, "Cores of a shard, or of each of the cluster's nodes.", min=1)] = 1,
    mem: Annotated[str | None, option(RESOURCES, "Memory, of the same.", metavar="16G")] = None,
    time: Annotated[str | None, option(RESOURCES, "Time limit.", metavar="4:00:00")] = None,
    partition: Annotated[str | None, option(RESOURCES, "Partition.")] = None,
) -> None:
    """Print a SLURM batch file: an array of shards without any scheduler, or a Dask cluster in one job.

    thalgpu slurm-script --array 8 gradients --subjects list.txt --out out > job.sh; bash job.sh
    """
    from thalgpu.engine.cluster.slurm import Job
    from thalgpu.engine.cluster.slurm import slurm_script as script_of

    if dask == (array is not None):
        raise UsageError("how is it shared?", remedy="give --array N or --dask, one of the two")
    if array is not None and nodes != 1:
        raise UsageError("--nodes is for --dask: each shard has one node", remedy="leave it out")
    print_line(script_of(command, Job(array, nodes, gpus_per_node, cpus, mem, time, partition)).rstrip())
