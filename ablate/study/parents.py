"""Initial weights, as far as a plan needs to know them: what a recipe's `model.init` means and which run it waits for."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ablate.errors import AblateError
from ablate.study.names import UnclearName, resolve
from ablate.study.problems import Problems, show
from ablate.study.run import Run
from ablate.study.source import Key

if TYPE_CHECKING:
    from ablate.study.study import Study

WEIGHTS = {"imagenet": "IMAGENET1K_V1", "imagenet-v2": "IMAGENET1K_V2"}
"""torchvision's names of the two sets of ImageNet weights."""

LoadStudy = Callable[[Path, str | None], "Study"]


class Parents:
    """Resolves `model.init` for one study file; remembers the runs that others wait for."""

    def __init__(self, problems: Problems, folder: Path, load: LoadStudy) -> None:
        self.problems = problems
        self.folder = folder
        self.load = load
        self.needed: dict[str, Run] = {}
        self._resolved: dict[str, Any] = {}
        self._runs: dict[str, Mapping[int, Run]] = {}
        self._earlier: dict[str, tuple[Run, ...]] = {}

    def resolve(self, init: Any) -> Any:
        """The form in which `init` is hashed: an entry of torchvision, a file's digest, or another arm.

        One distinct value is resolved once and comes back as the same object.
        """
        key = repr(init)
        if key not in self._resolved:
            self._resolved[key] = self._resolve(init)
        return self._resolved[key]

    def parent_of(self, init: Mapping[str, Any], seed: int) -> str | None:
        """The run that a child with this seed starts from; it is remembered in `needed`."""
        runs = self._runs.get(init["arm"], {})
        wanted = seed if init["seed"] == "same" else init["seed"]
        run = runs.get(wanted)
        if run is None:
            there = ", ".join(map(str, runs)) or "none"
            self.problems.add(
                self._key(), f"the parent has no run with seed {wanted}; it has {there}. Raise its `seeds` or give one."
            )
            return None
        for earlier in (*self._earlier[init["arm"]], run):
            self.needed.setdefault(earlier.run_id, earlier)
        return run.run_id

    def _resolve(self, init: Any) -> Any:
        if init == "scratch":
            return init
        if init in WEIGHTS:
            return {"entry": WEIGHTS[init]}
        if isinstance(init, str):
            return self._file({"file": init})
        if "file" in init:
            return self._file(init)
        return self._run(init)

    def _file(self, init: Mapping[str, Any]) -> Any:
        path = self.folder / init["file"]
        if path.is_file():
            with path.open("rb") as stream:
                found = hashlib.file_digest(stream, "sha256").hexdigest()
            if init.get("sha256") not in (None, found):
                self.problems.add(self._key(), f"{init['file']} has SHA-256 {found}, not {init['sha256']}.")
            return {"file": init["file"], "sha256": found}
        if "sha256" not in init:
            self.problems.add(
                self._key(),
                f"there is no file {init['file']!r} beside the study. Allowed: scratch, {', '.join(WEIGHTS)}, a file of weights, or a run "
                "{study, arm, ...}. To plan without the file, give {file: ..., sha256: ...}.",
            )
        return dict(init)

    def _run(self, init: Mapping[str, Any]) -> Any:
        missing = [name for name in ("study", "arm") if name not in init]
        if missing:
            self.problems.add(self._key(), f"a run to start from needs {' and '.join(missing)}.")
            return dict(init)
        weights = init.get("weights", "last")
        seed = init.get("seed", "same")
        if weights not in ("last", "selected"):
            self.problems.add((*self._key(), "weights"), f"must be last or selected, not {show(weights)}.")
        if seed != "same" and (isinstance(seed, bool) or not isinstance(seed, int)):
            self.problems.add((*self._key(), "seed"), f"must be 'same' or a whole number, not {show(seed)}.")
        try:
            study = self.load(self.folder / str(init["study"]), init.get("profile"))
            levels = resolve(str(init["arm"]), study.factors, study.baseline)
        except UnclearName as error:
            self.problems.add((*self._key(), "arm"), str(error))
            return dict(init)
        except AblateError as error:
            self.problems.add((*self._key(), "study"), f"the parent study cannot be used: {error}")
            return dict(init)
        arm = next((arm for arm in study.arms if arm.levels == levels), None)
        if arm is None:
            self.problems.add(
                (*self._key(), "arm"), f"{init['arm']!r} is not an arm of {study.name}; its design leaves it out."
            )
            return dict(init)
        self._runs[arm.arm_id] = {run.seed: run for run in study.runs if run.arm_id == arm.arm_id}
        self._earlier[arm.arm_id] = study.parents
        return {"arm": arm.arm_id, "seed": seed, "weights": weights}

    def _key(self) -> Key:
        for key in (("recipe", "model", "init"), ("recipe", "model.init")):
            if self.problems.document.node(key) is not None:
                return key
        return ("recipe",)
