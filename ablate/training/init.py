"""Where first weights come from: `model.init`.

`scratch` keeps the drawn ones. `imagenet` and `imagenet-v2` are torchvision's, found on this machine and never downloaded.
A file is `{file, sha256}`; a parent is `{run, weights}` and lies in the parent's run folder. Everything is loaded with
`weights_only=True`.

A and B of He et al. 2019 have the same parameter names and shapes, so weights of one load into the other without a murmur
and with the wrong stride. Therefore the *variant* is compared, not only names: torchvision's weights are B with the 7x7
stem; files of ours carry theirs in a JSON beside them; a file without one counts as torchvision's.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torchvision
from torch import nn

from ablate.errors import BadData, NotFound
from ablate.study.recipe import Model
from ablate.training.models import resnet, variant_of
from ablate.training.registry import recipe_error

_VERSIONS = {"imagenet": "IMAGENET1K_V1", "imagenet-v2": "IMAGENET1K_V2"}


@dataclass(frozen=True)
class Weights:
    """A file of weights and what is known of it. `classes` is None where nobody wrote them down."""

    source: str
    path: Path
    variant: Mapping[str, bool]
    arch: str | None = None
    classes: tuple[str, ...] | None = None


@dataclass(frozen=True)
class InitReport:
    """What was loaded and what was left as drawn: names in the state dict. `head` is `loaded`, `new` or `drawn`."""

    source: str
    loaded: int = 0
    random: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()
    head: str = "drawn"

    def as_details(self) -> dict[str, Any]:
        return {
            "source": self.source,
            "loaded": self.loaded,
            "random": list(self.random),
            "unused": list(self.unused),
            "head": self.head,
        }


def initialise(
    network: nn.Module,
    model: Model,
    *,
    classes: tuple[str, ...],
    home: Path,
    parent_dir: Path | None = None,
    study_dir: str | Path | None = None,
    parent_study_dirs: Sequence[str | Path] = (),
) -> InitReport:
    """Load the weights that `model.init` names into `network`, which holds drawn ones.

    The last layer is new where the classes differ in number or, if the file says them, in name. Raises NotFound for absent
    weights, BadData for a file that is not what its SHA-256 says, StudyError for weights of another network.
    """
    folders = [Path(folder) for folder in (study_dir, *parent_study_dirs) if folder]
    weights = locate(model, home=home, parent_dir=parent_dir, folders=folders)
    if weights is None:
        return InitReport("scratch")
    _check_variant(weights, model)
    return _load(network, weights, model, classes)


def locate(model: Model, *, home: Path, parent_dir: Path | None = None, folders: Sequence[Path] = ()) -> Weights | None:
    """The file that `model.init` names; None for scratch. Raises NotFound with what to do where it is absent.

    A file is looked for as named, in `folders` (of the study file and of those that its parents come from), and in
    `home`/weights, there also by its SHA-256 alone; of several of its name, the one with that SHA-256 is meant.
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
        entries = torchvision.models.get_model_weights(arch)
        entry = entries[_VERSIONS.get(name, name.rpartition(".")[2])]
    except (ValueError, KeyError) as error:
        raise recipe_error(
            "model.init", f"torchvision has no {name!r} weights for {arch}; write init: scratch, a file or a run"
        ) from error
    file = str(entry.url).rpartition("/")[2]
    folders = (home / "weights", Path(torch.hub.get_dir()) / "checkpoints")
    path = next((folder / file for folder in folders if (folder / file).is_file()), None)
    if path is None:
        raise NotFound(
            f"the weights {entry} are not on this machine: fetch {entry.url} and put it into {folders[0]} "
            f"(ABLATE_HOME) or {folders[1]}; nothing is downloaded by itself"
        )
    expected = Path(file).stem.rpartition("-")[2]  # torchvision's file names end in the first digits of their SHA-256
    _check_digest(path, expected)
    return Weights(str(entry), path, _torchvision_variant(arch), arch=arch)


def _file(arch: str, init: Mapping[str, Any], folders: Sequence[Path], store: Path) -> Weights:
    digest = str(init.get("sha256", ""))
    name = Path(str(init.get("file", ""))).expanduser()
    named = [folder / name for folder in [Path(), *folders, store]] if "file" in init else []
    there = [path for path in named if path.is_file()]
    path = next((path for path in there if _sha256(path) == digest), there[0] if there else None)
    if path is None and digest:
        path = next((path for path in sorted(store.glob("*")) if path.is_file() and _sha256(path) == digest), None)
    if path is None:
        what = str(name) if named else f"a file with SHA-256 {digest[:12]}..."
        places = ", ".join(str(folder) for folder in [Path.cwd(), *folders, store])
        raise NotFound(f"model.init: {what} is not here; looked in {places}; put it into one of them")
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
        if last.is_file() and _sidecar(last).get("select") == "last":
            path = last
    if not path.is_file():
        raise NotFound(
            f"model.init: the parent run {run[:12]} has no {path.name} in {parent_dir}; "
            "`ablate grid run --retry failed` trains the parent again first"
        )
    return _described(f"run {run[:12]} {which}", path, None)


def _described(source: str, path: Path, arch: str | None) -> Weights:
    notes = _sidecar(path)
    if not notes:
        return Weights(source, path, _torchvision_variant(arch) if arch else {})
    if "sha256" in notes:
        _check_digest(path, str(notes["sha256"]))
    variant, classes = notes.get("variant", {}), notes.get("classes", [])
    if not isinstance(variant, dict) or not isinstance(classes, list):
        raise BadData(
            f"model.init: {path.with_suffix('.json')} does not say what {path.name} holds: variant must be a mapping and "
            "classes a list; remove the file to go by the recipe, or train its run anew"
        )
    return Weights(source, path, variant, notes.get("arch"), tuple(str(name) for name in classes) or None)


def _sidecar(path: Path) -> dict[str, Any]:
    try:
        notes = json.loads(path.with_suffix(".json").read_text())
    except (OSError, ValueError, RecursionError):
        return {}
    return notes if isinstance(notes, dict) else {}


def _torchvision_variant(arch: str) -> dict[str, bool]:
    flags = {"stride_in_3x3": True, "deep_stem": False, "avgpool_shortcut": False, "small_stem": False}
    return resnet.variant(arch, flags)


def _check_variant(weights: Weights, model: Model) -> None:
    if model.allow_variant_mismatch:
        return
    if weights.arch is not None and weights.arch != model.arch:
        raise recipe_error(
            "model.init", f"{weights.source} holds weights of {weights.arch}, the recipe's arch is {model.arch}"
        )
    wanted = variant_of(model)
    differ = [name for name in wanted if weights.variant.get(name, wanted[name]) != wanted[name]]
    if differ:
        told = ", ".join(f"{name}: {str(weights.variant[name]).lower()}" for name in differ)
        raise recipe_error(
            "model.init",
            f"{weights.source} was trained with {told}, the recipe's network has the opposite; use the tweak that the "
            "weights were trained with, weights of this variant, or model.allow_variant_mismatch: true",
        )


def _load(network: nn.Module, weights: Weights, model: Model, classes: tuple[str, ...]) -> InitReport:
    try:
        state = torch.load(weights.path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise BadData(f"model.init: {weights.path} cannot be read as weights: {error}") from error
    if not isinstance(state, Mapping) or not all(isinstance(tensor, torch.Tensor) for tensor in state.values()):
        raise BadData(f"model.init: {weights.path} is not a state dict, a mapping of names to tensors")
    own = network.state_dict()
    head = head_name(network)
    in_head = {name for name in own if name.startswith(f"{head}.")}
    fits = {name for name, tensor in own.items() if name in state and state[name].shape == tensor.shape}
    same_classes = weights.classes is None or weights.classes == classes
    load_head = bool(in_head) and in_head <= fits and same_classes
    loaded = fits - in_head | (in_head if load_head else set())
    # counters of BatchNorm batches are absent in old files and decide nothing
    missing = sorted(name for name in set(own) - loaded - in_head if not name.endswith("num_batches_tracked"))
    unused = sorted(set(state) - loaded - in_head)
    if (missing or unused) and not model.allow_variant_mismatch:
        raise recipe_error(
            "model.init",
            f"{weights.source} does not fit {model.arch}: {len(missing)} tensors of the network are absent or of another "
            f"shape ({', '.join(missing[:3]) or 'none'}), {len(unused)} of the file have no place "
            f"({', '.join(unused[:3]) or 'none'}); model.allow_variant_mismatch: true loads what fits",
        )
    if not loaded - in_head:
        raise recipe_error("model.init", f"{weights.source} shares no tensor with {model.arch}")
    network.load_state_dict({name: state[name] for name in loaded}, strict=False)
    random = sorted(set(own) - loaded)
    return InitReport(weights.source, len(loaded), tuple(random), tuple(unused), "loaded" if load_head else "new")


def head_name(network: nn.Module) -> str:
    """The last layer that has parameters of its own: `fc` in a ResNet."""
    names: list[str] = [
        name
        for name, module in network.named_modules()
        if next(iter(module.parameters(recurse=False)), None) is not None
    ]
    return names[-1]


def _check_digest(path: Path, expected: str) -> None:
    found = _sha256(path)
    if not found.startswith(expected):
        raise BadData(f"model.init: {path} has SHA-256 {found[:12]}..., expected {expected[:12]}...; fetch it again")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return str(hashlib.file_digest(file, "sha256").hexdigest())
