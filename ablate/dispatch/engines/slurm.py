"""Jobs of Slurm, submitted through submitit."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ablate.dispatch.declare import Engine, Option, Options, count, flags, lines, positive, text

if TYPE_CHECKING:
    from ablate.dispatch.contract.executor import Executor

_CLOCK = re.compile(r"(?:(?P<days>\d+)-)?(?P<parts>\d+(?::\d+){0,2})")


def minutes(value: object) -> int:
    """Slurm's own forms: minutes, MM:SS, HH:MM:SS, D-HH, D-HH:MM, D-HH:MM:SS; whole minutes, rounded up."""
    found = _CLOCK.fullmatch(str(value))
    if found is None:
        raise ValueError("must be minutes, HH:MM:SS or D-HH:MM")
    parts = [int(part) for part in found["parts"].split(":")]
    if found["days"] is not None:
        hours, minutes, seconds = (*parts, 0, 0)[:3]
    elif len(parts) == 3:
        hours, minutes, seconds = parts
    else:
        hours, minutes, seconds = (0, *parts, 0)[:3]
    total = int(found["days"] or 0) * 1440 + hours * 60 + minutes + (seconds > 0)
    if total < 1:
        raise ValueError("must be at least a minute")
    return total


def _make(options: Options) -> Executor:
    from ablate.dispatch.clusters.slurm import SlurmExecutor

    return SlurmExecutor(options)


ENGINE = Engine(
    name="slurm",
    about="jobs of Slurm",
    make=_make,
    options={
        "partition": Option(text, "where jobs run"),
        "account": Option(text, "who pays"),
        "qos": Option(text, "quality of service"),
        "time": Option(minutes, "time limit of a job; at its end the job checkpoints and is requeued", "4:00:00"),
        "gres": Option(text, "generic resources per job, such as gpu:1"),
        "gpus_per_node": Option(positive, "GPUs per job, where the cluster prefers that to gres"),
        "cpus_per_task": Option(positive, "cores of a job", 1),
        "mem": Option(text, "memory per job, such as 16G"),
        "constraint": Option(text, "features a node must have"),
        "nodelist": Option(text, "nodes to use"),
        "exclude": Option(text, "nodes to avoid"),
        "signal_delay": Option(positive, "seconds before the time limit at which a job is told to checkpoint", 90),
        "max_requeues": Option(count, "times that a job is continued after its time limit", 100),
        "setup": Option(lines, "shell lines before the worker, such as module load; may be repeated"),
        "extra": Option(flags, "any other option of sbatch, as extra.NAME=VALUE"),
    },
    example="partition=gpu",
    packages={"submitit": "ablate-studies[slurm]"},
    programs=("sbatch", "squeue", "scancel", "srun"),
)
