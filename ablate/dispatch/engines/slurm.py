"""Jobs of Slurm, submitted through submitit."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from ablate.dispatch.declare import Engine, Option, Options, count, flags, lines, positive, text

if TYPE_CHECKING:
    from ablate.dispatch.contract.executor import Executor
    from ablate.study.values.resources import Resources

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


_OTHER_GPUS = ("gpus", "gpus-per-node", "gpus-per-task", "gpus-per-socket", "gres")
_OTHER_MEMORY = ("mem", "mem-per-cpu", "mem-per-gpu")
"""Options of sbatch under `extra` that would contradict what a study asks for."""


def asks(needs: Resources, site: Options, said: Options) -> Options:
    """The site's options with what one run takes; `said` goes over both. A site that names a type of GPU, as in gpu:a100:1,
    or `gpus_per_node`, keeps its way of asking."""
    asked = dict(site)
    other: tuple[str, ...] = ()
    if needs.gpus is not None:
        other += _OTHER_GPUS
        asked |= _gpus(asked, needs.gpus, set(said) & {"gres", "gpus_per_node"})
    if needs.cpus is not None:
        asked["cpus_per_task"] = needs.cpus
    if needs.memory is not None:
        other += _OTHER_MEMORY
        asked["mem"] = f"{-(-needs.memory >> 20)}M"
    extra = {name: value for name, value in asked.get("extra", {}).items() if name.replace("_", "-") not in other}
    return {**asked, **({"extra": extra} if "extra" in asked else {}), **said}


def _gpus(site: dict[str, Any], gpus: int, said: set[str]) -> dict[str, Any]:
    """How so many GPUs are asked for; what the site says of GPUs is taken out of it, and nothing is added where the command line
    says it."""
    per_node = site.pop("gpus_per_node", None)
    resources = [item for item in str(site.pop("gres", "")).split(",") if item]
    others = [item for item in resources if not re.match(r"gpu\b", item)]
    if gpus and not said:
        if per_node is not None:
            return {"gpus_per_node": gpus, **({"gres": ",".join(others)} if others else {})}
        kind = next((found[1] for item in resources if (found := re.match(r"gpu:([A-Za-z]\w*)", item))), "")
        others.append(f"gpu:{kind}:{gpus}" if kind else f"gpu:{gpus}")
    return {"gres": ",".join(others)} if others else {}


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
    asks=asks,
)
