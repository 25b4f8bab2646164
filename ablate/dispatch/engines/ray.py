"""Tasks of Ray, on a cluster that runs or on one that is started on this host."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ablate.dispatch.declare import Engine, Option, Options, amounts, count, memory, number, text

if TYPE_CHECKING:
    from ablate.dispatch.contract.executor import Executor
    from ablate.study.values.resources import Resources


def _make(options: Options) -> Executor:
    from ablate.dispatch.clusters.ray import RayExecutor

    return RayExecutor(options)


def asks(needs: Resources, site: Options, said: Options) -> Options:
    """The site's options with what one run takes; `said` goes over both."""
    amounts = {"num_gpus": needs.gpus, "num_cpus": needs.cpus, "memory": needs.memory}
    return {**site, **{name: amount for name, amount in amounts.items() if amount is not None}, **said}


ENGINE = Engine(
    name="ray",
    about="tasks of Ray",
    make=_make,
    options={
        "address": Option(text, "a running cluster, as HOST:PORT or auto; default: start one on this host"),
        "num_cpus": Option(number, "cores of a worker", 1),
        "num_gpus": Option(number, "GPUs per worker; 0.5 lets two share one", 0),
        "memory": Option(memory, "memory of a worker, such as 20G; counted by Ray, not enforced"),
        "resources": Option(amounts, "custom resources per worker, as resources.NAME=AMOUNT"),
        "max_replaced": Option(count, "workers replaced after they died, in total (default: 3 per worker)"),
    },
    example="num_gpus=0.5",
    packages={"ray": "ablate-studies[ray]"},
    asks=asks,
)
