"""Tasks of Ray, on a cluster that runs or on one that is started on this host."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ablate.dispatch.declare import Engine, Option, Options, amounts, count, number, text

if TYPE_CHECKING:
    from ablate.dispatch.contract.executor import Executor


def _make(options: Options) -> Executor:
    from ablate.dispatch.clusters.ray import RayExecutor

    return RayExecutor(options)


ENGINE = Engine(
    name="ray",
    about="tasks of Ray",
    make=_make,
    options={
        "address": Option(text, "a running cluster, as HOST:PORT or auto; default: start one on this host"),
        "num_cpus": Option(number, "cores of a worker", 1),
        "num_gpus": Option(number, "GPUs per worker; 0.5 lets two share one", 0),
        "resources": Option(amounts, "custom resources per worker, as resources.NAME=AMOUNT"),
        "max_replaced": Option(count, "workers replaced after they died, in total (default: 3 per worker)"),
    },
    example="num_gpus=0.5",
    packages={"ray": "ablate-studies[ray]"},
)
