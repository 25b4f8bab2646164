"""Initial weights, as far as a plan needs to know them: what a recipe's `model.init` means and which run it waits for."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ablate.errors import AblateError
from ablate.parts.weights import WEIGHTS
from ablate.study.designs.names import UnclearName, resolve
from ablate.study.document.problems import Problems
from ablate.study.document.source import Key
from ablate.study.values.run import Run

if TYPE_CHECKING:
    from ablate.study.values.study import Arm, Study

LoadStudy = Callable[[Path, str | None], "Study"]
Digest = Callable[[Path], str | None]


_UNUSABLE = "the parent study cannot be used: "


class Parents:
    """Resolves `model.init` for one study file; remembers the runs that others wait for, and their studies' folders."""

    def __init__(self, problems: Problems, folder: Path, load: LoadStudy, digest: Digest) -> None:
        self.problems = problems
        self.folder = folder
        self.load = load
        self.digest = digest
        self.needed: dict[str, Run] = {}
        self.folders: dict[str, None] = {}
        self._resolved: dict[tuple[str, str], Any] = {}
        self._places: dict[tuple[str, str], Key] = {}
        self._runs: dict[str, dict[int, Run]] = {}
        self._known: dict[str, Run] = {}

    def resolve(self, path: str, init: str | Mapping[str, Any] | None) -> Any:
        """The form in which the weights that a field names are hashed: an entry of torchvision, a file's digest, or another arm.

        One distinct value is resolved once and comes back as the same object.
        """
        key = (path, repr(init))
        if key not in self._resolved:
            self._resolved[key] = self._resolve(path, init)
        return self._resolved[key]

    def parent_of(self, path: str, init: Mapping[str, Any], seed: int) -> str | None:
        """The run that a child with this seed starts from; it and those that it starts from are remembered in `needed`."""
        runs = self._runs.get(init["arm"], {})
        wanted = seed if init["seed"] == "same" else init["seed"]
        run = runs.get(wanted)
        if run is None:
            there = ", ".join(map(str, list(runs)[:20])) or "none"
            message = f"the parent has no run with seed {wanted}; it has {there}. Raise its `seeds`, or name one seed in {path}."
            self.problems.add(self._places.get((path, init["arm"]), ("recipe",)), "missing", message)
            return None
        self._need(run)
        return run.run_id

    def _need(self, run: Run) -> None:
        """A run after all that it starts from itself."""
        chain = [run]
        while (parent := chain[-1].parent) is not None and parent in self._known:
            chain.append(self._known[parent])
        for link in reversed(chain):
            self.needed.setdefault(link.run_id, link)

    def _resolve(self, path: str, init: str | Mapping[str, Any] | None) -> Any:
        place = self.problems.place(path, init)
        if init is None or init == "scratch":
            return init
        if isinstance(init, str):
            return {"entry": WEIGHTS[init]} if init in WEIGHTS else self._file(path, place, {"file": init})
        if "file" in init:
            return self._file(path, place, init)
        return self._run(path, place, init)

    def _file(self, path: str, place: Key, init: Mapping[str, Any]) -> Any:
        name = str(init["file"])
        found = self.digest(self.folder / name)
        declared = init.get("sha256")
        if found and declared not in (None, found):
            self.problems.add(place, "digest-differs", f"{name} has SHA-256 {found}, not {declared}.")
        if not found and not declared:
            named = (*(("scratch",) if path == "model.init" else ()), *WEIGHTS)
            self.problems.add(
                place,
                "absent-file",
                f"cannot find or read a file {name!r} beside the study. Allowed: {', '.join(named)}, a file of "
                "weights, or a run {study: ..., arm: ...}. To plan without the file, give {file: ..., sha256: ...}.",
            )
        return {"file": os.path.normpath(name), "sha256": found or declared}

    def _run(self, path: str, place: Key, init: Mapping[str, Any]) -> Any:
        missing = [name for name in ("study", "arm") if name not in init]
        if missing:
            self.problems.add(
                place, "missing", f"a run to start from needs {' and '.join(missing)}, as in {{study: ..., arm: ...}}."
            )
            return dict(init)
        arm, study = self._parent_arm(place, init)
        if arm is None or study is None:
            return dict(init)
        self._places.setdefault((path, arm.arm_id), place)
        self.folders |= dict.fromkeys([str(Path(study.file).parent), *study.parent_folders])
        self._known |= {run.run_id: run for run in (*study.parents, *study.runs)}
        runs = {run.seed: run for run in study.runs if run.arm_id == arm.arm_id}
        self._runs.setdefault(arm.arm_id, {}).update(runs)
        return {"arm": arm.arm_id, "seed": init.get("seed", "same"), "weights": init.get("weights", "last")}

    def _parent_arm(self, place: Key, init: Mapping[str, Any]) -> tuple[Arm | None, Study | None]:
        profile = init.get("profile")
        try:
            study = self.load(self.folder / str(init["study"]), None if profile is None else str(profile))
            levels = resolve(str(init["arm"]), study.factors, study.baseline, study.steps)
        except UnclearName as error:
            self.problems.add((*place, "arm"), error.code, str(error))
            return None, None
        except AblateError as error:
            self.problems.add((*place, "study"), "unusable-study", _UNUSABLE + _cause(error))
            return None, None
        if study.trainer is not None:
            message = f"{study.name} uses its own trainer, so its weights cannot be loaded."
            self.problems.add((*place, "study"), "unsupported", message)
            return None, None
        arm = next((arm for arm in study.arms if arm.levels == levels), None)
        if arm is None:
            message = f"{init['arm']!r} is not an arm of {study.name}; its design or an exclude rule leaves it out."
            self.problems.add((*place, "arm"), "not-in-grid", message)
        return arm, study


def digest_of(path: Path) -> str | None:
    """The SHA-256 of a file; None where it cannot be read."""
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except (OSError, ValueError):
        return None


def _cause(error: AblateError) -> str:
    """What is wrong with a parent; of a chain of parents, with the one that is."""
    text = str(error)
    return text if "\n" in text else text.rpartition(_UNUSABLE)[2]
