"""The file that `model.init` names: where it lies, whether it is the one that was hashed, and what is known of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torchvision

from ablate.errors import BadData, NotFound
from ablate.parts.declare import Network
from ablate.parts.found import parts
from ablate.parts.packages import weights_folders
from ablate.study.recipes.places import expand
from ablate.study.recipes.recipe import Model
from ablate.training.models import flags_of, usual_variant
from ablate.training.models.changes import variants_before
from ablate.training.registry import recipe_error

_VERSIONS = {"imagenet": "IMAGENET1K_V1", "imagenet-v2": "IMAGENET1K_V2"}


@dataclass(frozen=True)
class Weights:
    """A file of weights and what is known of it. `classes` is None if they were not written down.

    `declared` is False where nothing says the variant: it is then torchvision's, as is assumed.
    """

    source: str
    path: Path
    variant: Mapping[str, Any]
    arch: str | None = None
    classes: tuple[str, ...] | None = None
    declared: bool = True


def locate(model: Model, *, home: Path, parent_dir: Path | None = None, folders: Sequence[Path] = ()) -> Weights | None:
    """The file that `model.init` names; None for scratch. Raises NotFound with what to do where it is absent.

    A file is looked for as named, in `folders` (of the study file and of those that its parents come from), and in
    `home`/weights, there also by its SHA-256 alone, and in installed packages of weights; of several of its name, the one
    with that SHA-256 is meant.
    """
    init = model.init
    if init == "scratch":
        return None
    if isinstance(init, str):
        if init in _VERSIONS or init.endswith(tuple(_VERSIONS.values())):
            return _torchvision(model.arch, init, home)
        init = {"file": init}
    if "entry" in init:
        return _torchvision(model.arch, str(init["entry"]), home)
    if "run" in init:
        return _parent(init, parent_dir)
    return _file(model.arch, init, folders, home / "weights")


def _torchvision(arch: str, name: str, home: Path) -> Weights:
    try:
        entries = torchvision.models.get_model_weights(arch.removeprefix("torchvision/"))
        entry = entries[_VERSIONS.get(name, name.rpartition(".")[2])]
    except (ValueError, KeyError) as error:
        raise recipe_error(
            "model.init",
            "unknown-name",
            f"torchvision has no {name!r} weights for {arch}; write init: scratch, a file or a run",
        ) from error
    file = str(entry.url).rpartition("/")[2]
    folders = (home / "weights", Path(torch.hub.get_dir()) / "checkpoints")
    path = next((folder / file for folder in folders if (folder / file).is_file()), None)
    if path is None:
        raise NotFound(
            f"the weights {entry} are not on this machine: download {entry.url} into {folders[0]} "
            f"(ABLATE_HOME) or {folders[1]}; ablate downloads nothing by itself",
            code="absent-weights",
        )
    expected = Path(file).stem.rpartition("-")[2]  # torchvision's file names end in the first digits of their SHA-256
    _check_digest(path, expected)
    return Weights(str(entry), path, usual_variant(arch), arch=arch)


def _file(arch: str, init: Mapping[str, Any], folders: Sequence[Path], store: Path) -> Weights:
    digest = str(init.get("sha256", ""))
    name = expand(str(init.get("file", "")), "model.init.file")
    looked = [Path(), *folders, store, *weights_folders()]
    named = [folder / name for folder in looked] if "file" in init else []
    there = [path for path in named if path.is_file()]
    path = next((path for path in there if _sha256(path) == digest), there[0] if there else None)
    if path is None and digest:
        path = next((path for path in sorted(store.glob("*")) if path.is_file() and _sha256(path) == digest), None)
    if path is None:
        what = str(name) if named else f"a file with SHA-256 {digest[:12]}..."
        folder = next((path for path in named if path.is_dir()), None)
        if folder is not None:
            raise NotFound(f"model.init: {folder} is a folder; name the file of weights in it")
        places = ", ".join(str(folder) for folder in [Path.cwd(), *folders, store])
        raise NotFound(f"model.init: {what} was not found in {places}; put it into one of them", code="absent-weights")
    _check_digest(path, digest)
    return _described(f"file {path.name}", path, arch)


def _parent(init: Mapping[str, Any], parent_dir: Path | None) -> Weights:
    run, which = str(init["run"]), str(init.get("weights", "last"))
    if parent_dir is None:
        raise NotFound(f"model.init: the run folder of the parent run {run[:12]} was not given to the trainer")
    path = parent_dir / f"model-{which}.pt"
    if not path.is_file() and which == "selected":
        last = parent_dir / "model-last.pt"
        # where the parent's recipe selects its last epoch, the two are one file
        if last.is_file() and sidecar(last).get("select") == "last":
            path = last
    if not path.is_file():
        raise NotFound(
            f"model.init: the parent run {run[:12]} has no {path.name} in {parent_dir}; "
            "`ablate grid run --retry failed` trains the parent again first",
            code="absent-weights",
        )
    return _described(f"run {run[:12]} {which}", path, None)


def _described(source: str, path: Path, arch: str | None) -> Weights:
    notes = sidecar(path)
    usual = usual_variant(arch) if arch else {}
    if not notes:
        return Weights(source, path, usual, declared=not usual)
    if "sha256" in notes:
        _check_digest(path, str(notes["sha256"]))
    variant, classes = notes.get("variant", {}), notes.get("classes", [])
    if not isinstance(variant, dict) or not isinstance(classes, list):
        raise BadData(
            f"model.init: {path.with_suffix('.json')} does not say what {path.name} holds: variant must be a mapping and "
            "classes a list; remove the file to use the recipe's, or train its run again"
        )
    known = known_variants()
    wrong = [name for name, value in variant.items() if name not in known or not isinstance(value, type(known[name]))]
    if wrong:
        raise BadData(
            f"model.init: {path.with_suffix('.json')}: variant: {wrong[0]!r}: {variant[wrong[0]]!r} is not a flag of a variant; "
            f"allowed: {_allowed(known)}"
        )
    # what a hand-written declaration leaves out is as usual; a run of ours writes all
    variant = variant if "schema" in notes else {**usual, **variant}
    return Weights(source, path, variant, notes.get("arch"), tuple(str(name) for name in classes) or None)


def sidecar(path: Path) -> dict[str, Any]:
    """The JSON beside a file of weights, where it speaks for it; {} for any other, such as a list of labels."""
    try:
        notes = json.loads(path.with_suffix(".json").read_text())
    except (OSError, ValueError, RecursionError):
        return {}
    return notes if isinstance(notes, dict) and _speaks(notes) else {}


def _speaks(notes: Mapping[str, Any]) -> bool:
    variant = notes.get("variant")
    if isinstance(variant, dict) and variant and set(variant) <= set(known_variants()):
        return True
    return isinstance(notes.get("arch"), str) and not {"variant", "sha256", "classes"}.isdisjoint(notes)


def known_variants() -> dict[str, Any]:
    """What makes a variant of any network, each with a value of its kind."""
    return {flag: False for arch in parts(Network) for flag in flags_of(arch)} | variants_before()


def _allowed(known: Mapping[str, Any]) -> str:
    flags = [name for name, value in known.items() if isinstance(value, bool)]
    texts = [name for name, value in known.items() if not isinstance(value, bool)]
    return f"{', '.join(flags)}, each true or false" + "".join(f", and {name} as a recipe writes it" for name in texts)


def _check_digest(path: Path, expected: str) -> None:
    found = _sha256(path)
    if not found.startswith(expected):
        raise BadData(
            f"model.init: {path} has SHA-256 {found[:12]}..., expected {expected[:12]}...; fetch it again",
            code="digest-differs",
        )


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return str(hashlib.file_digest(file, "sha256").hexdigest())
