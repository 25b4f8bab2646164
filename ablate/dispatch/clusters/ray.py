"""The `ray` executor: one long task for each worker, on a cluster that runs or on one that is started on this host.

Ray only starts workers. It never retries a task (the queue in the store does that), so a worker that died is replaced
from here, a few times. Who can reach a Ray cluster can run code on it: what is started here listens to this host alone,
without a dashboard, and `~/.ray`, which holds its token, is made private.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ablate.dispatch.contract import events
from ablate.dispatch.contract.executor import GridRequest
from ablate.dispatch.contract.room import usable_cores
from ablate.dispatch.contract.signals import SIGNALS, listening
from ablate.dispatch.contract.slots import visible_gpus
from ablate.dispatch.declare import Options
from ablate.dispatch.elsewhere import gridfile
from ablate.dispatch.elsewhere.follow import Crew, Fleet, nobody_left
from ablate.dispatch.elsewhere.host_worker import WORKER_SIGNALS, EngineStop, serve
from ablate.dispatch.elsewhere.reach import follow_grid, refuse_sqlite, said_error, shares, work_for
from ablate.dispatch.engines.ray import ENGINE
from ablate.errors import AblateError, UsageError
from ablate.study.values.resources import memory_text

OLDEST = (2, 52)
"""Before it, anybody who could reach a cluster's job interface could run code there, without any token."""
REPLACED_EACH = 3


class RayExecutor:
    """See the module. `options` are those of `engines/ray.py`."""

    def __init__(self, options: Options) -> None:
        self._options = ENGINE.complete(options)
        self._ray = _ray()

    def check(self, device: str, workers: int | None, threads: int | None, database: str) -> None:
        """What can be asked for is known once the cluster is."""

    def run(self, request: GridRequest) -> events.GridReport:
        most, failed = work_for(request)
        with self._cluster():
            if gridfile.is_sqlite(request.database) and not request.spool:
                refuse_sqlite({str(node["NodeManagerHostname"]) for node in self._nodes()}, "Ray's nodes")
            asked = self._asked()
            places = self._places(asked)
            count = max(1, min(request.workers or places, most, request.limit or most))
            limits = shares(request.limit, count)
            may_replace = self._options.get("max_replaced", REPLACED_EACH * count)
            return follow_grid(
                request, failed, lambda grid, request: RayFleet(self._ray, grid, request, asked, limits, may_replace)
            )

    @contextlib.contextmanager
    def _cluster(self) -> Iterator[None]:
        """Connected to Ray; what was connected before stays so."""
        if self._ray.is_initialized():
            yield
            return
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        _make_private(Path.home() / ".ray")
        address = self._options.get("address") or os.environ.get("RAY_ADDRESS")
        where: dict[str, Any] = {"address": address}
        if address is None:
            where = {"address": "local", "num_cpus": usable_cores(), "num_gpus": len(visible_gpus()), "include_dashboard": False}  # fmt: skip
        with _handlers_kept():
            try:
                self._ray.init(**where, log_to_driver=False, logging_level="ERROR")
            except Exception as error:  # Ray raises what it likes: ConnectionError, RuntimeError, ValueError
                place = f"at {address}" if address else "on this host"
                last = (str(error).strip().splitlines() or [type(error).__name__])[-1]
                raise UsageError(f"no Ray cluster {place}: {last}\nThe address comes from --ray address=, the site file or RAY_ADDRESS.") from None  # fmt: skip
        try:
            yield
        finally:
            with _handlers_kept():
                self._ray.shutdown()

    def _nodes(self) -> list[dict[str, Any]]:
        return [node for node in self._ray.nodes() if node["Alive"]]

    def _asked(self) -> dict[str, Any]:
        """What one worker asks of a node, as options of a Ray task."""
        asked = {
            "num_cpus": self._options["num_cpus"],
            "num_gpus": self._options["num_gpus"],
            "resources": self._options.get("resources", {}),
            **({"memory": self._options["memory"]} if "memory" in self._options else {}),
        }
        if asked["num_gpus"] > 1 and asked["num_gpus"] % 1:
            raise UsageError(f"--ray num_gpus={asked['num_gpus']:g}: Ray gives whole GPUs above 1.")
        return asked

    def _places(self, asked: dict[str, Any]) -> int:
        """How many workers the cluster holds at a time. Raises UsageError for none: Ray would wait for ever, and say so
        nowhere."""
        wanted = {
            "CPU": asked["num_cpus"],
            "GPU": asked["num_gpus"],
            "memory": asked.get("memory", 0),
            **asked["resources"],
        }
        wanted = {name: amount for name, amount in wanted.items() if amount}
        places = 0
        for node in self._nodes():
            there = node["Resources"]
            places += int(
                min((there.get(name, 0.0) / amount for name, amount in wanted.items()), default=usable_cores())
            )
        if not places:
            raise UsageError(
                f"no node of the Ray cluster can hold a worker: it asks for {_amounts(wanted)}. "
                f"The cluster has {_amounts(self._ray.cluster_resources())}. Ask for less with --ray num_cpus=, num_gpus=, "
                "memory= or resources.NAME=."
            )
        return places


class RayFleet(Fleet):
    """The tasks of one grid, by worker name."""

    def __init__(self, ray: Any, grid: Path, request: GridRequest, asked: dict[str, Any], limits: Sequence[int | None],
                 may_replace: int) -> None:  # fmt: skip
        self._ray, self._grid, self._database = ray, grid, request.database
        self._may_replace = may_replace
        self._start = ray.remote(max_retries=0, max_calls=1, **asked)(_work)
        self._cores = max(1, int(asked["num_cpus"]))
        self._limits = {str(number): limit for number, limit in enumerate(limits)}
        self._tasks = {name: self._submit(name) for name in self._limits}
        self._deaths: list[str] = []
        self._stopping = False

    def look(self) -> Crew:
        over: list[Any] = []
        if self._tasks:
            over, _ = self._ray.wait(list(self._tasks.values()), num_returns=len(self._tasks), timeout=0)
        news: list[events.Event] = []
        for name in [name for name, task in self._tasks.items() if task in over]:
            why = self._death(self._tasks.pop(name))
            if why is not None and not self._stopping:
                news.append(self._replace(name, why))
        return Crew(len(self._tasks), news=tuple(news))

    def stop(self) -> None:
        """Ray raises SIGINT in the task's main thread, where the worker's own handler takes it."""
        self._stopping = True
        for task in self._tasks.values():
            self._ray.cancel(task, force=False)

    def end(self) -> None:
        for task in self._tasks.values():
            self._ray.cancel(task, force=True)

    def why(self) -> AblateError:
        if error := said_error(self._grid, self._limits):
            return error
        if self._deaths:
            return nobody_left(f"{len(self._deaths)} died: {self._deaths[-1]}")
        return nobody_left("They report nothing; `ablate status` shows what is left.")

    def _submit(self, name: str) -> Any:
        return self._start.remote(str(self._grid), name, self._limits[name], self._cores, self._database)

    def _death(self, task: Any) -> str | None:
        """Why a task that is over never came to its end; None where it did."""
        try:
            self._ray.get(task)
        except self._ray.exceptions.TaskCancelledError:
            return None
        except self._ray.exceptions.RayError as error:
            lines = [line.strip() for line in str(error).splitlines() if line.strip()]
            return lines[0] if lines else type(error).__name__
        return None

    def _replace(self, name: str, why: str) -> events.Event:
        """Another worker for one that died. Not where there is a limit: nobody knows how much of it is left."""
        self._deaths.append(why)
        if len(self._deaths) > self._may_replace or self._limits[name] is not None:
            return events.WorkerEnded(name, why)
        self._tasks[name] = self._submit(name)
        return events.WorkerReplaced(int(name), why)


def _work(grid: str, name: str, limit: int | None, cores: int, database: str) -> int:
    """The task. The database's URL comes as an argument: Ray shows the environment that it gives a task, not these."""
    stop = EngineStop()
    with listening(stop, WORKER_SIGNALS):
        try:
            return serve(Path(grid), name, stop, limit=limit, cores=cores, database=database, granted=True)
        except AblateError as error:
            return error.exit_code  # its text is beside the grid file


def _ray() -> Any:
    try:
        ray = importlib.import_module("ray")
    except ImportError:
        raise UsageError("--executor ray needs Ray: pip install 'ablate-studies[ray]'") from None
    version = tuple(int(part) for part in ray.__version__.split(".")[:2])
    if version < OLDEST:
        raise UsageError(
            f"Ray {ray.__version__} lets anyone on the network run code on the cluster; {OLDEST[0]}.{OLDEST[1]} or newer is needed: "
            "pip install --upgrade 'ablate-studies[ray]'"
        )
    return ray


def _make_private(folder: Path) -> None:
    """Ray writes its token there for everybody to read."""
    with contextlib.suppress(OSError):
        folder.mkdir(mode=0o700, exist_ok=True)
        folder.chmod(0o700)


def _amounts(resources: dict[str, float]) -> str:
    shown = {name: amount for name, amount in resources.items() if not name.startswith(("node:", "object_store"))}
    texts = {name: memory_text(int(amount)) if name == "memory" else f"{amount:g}" for name, amount in shown.items()}
    return ", ".join(f"{name} {text}" for name, text in sorted(texts.items())) or "nothing"


@contextlib.contextmanager
def _handlers_kept() -> Iterator[None]:
    """Ray sets its own handler of SIGTERM when it connects."""
    before = {number: signal.getsignal(number) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            if handler is not None:
                signal.signal(number, handler)
