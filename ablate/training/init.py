"""Where first weights come from: `model.init`.

`scratch` keeps the drawn ones. `imagenet` and `imagenet-v2` are torchvision's, found on this machine and never downloaded.
A file is `{file, sha256}`; a parent is `{run, weights}` and lies in the parent's run folder. Everything is loaded with
`weights_only=True`.

A and B of He et al. 2019 have the same parameter names and shapes, so weights of one load into the other without a murmur
and with the wrong stride. Therefore the *variant* is compared, not only names: torchvision's weights are B with the 7x7
stem; files of ours carry theirs in a JSON beside them, and so may any other, as `{"arch": "resnet50", "variant":
{"stride_in_3x3": false}}`; a file without one counts as torchvision's, but for what its tensors show.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import nn

from ablate.errors import BadData
from ablate.parts.declare import Settings
from ablate.study.recipes.recipe import Model
from ablate.training.find_weights import Weights, locate
from ablate.training.models import NONE, variant_of
from ablate.training.models.changes import variants_before
from ablate.training.registry import recipe_error
from ablate.training.state_dict import NotWeights, State, read_tensors, state_in, unfit, without_wrappers


@dataclass(frozen=True)
class InitReport:
    """What was loaded and what was left as drawn: names in the state dict. `head` is `loaded`, `new` or `drawn`.

    `inside` is the key under which the file keeps its state dict, `prefix` what was taken off its names; else ''.
    """

    source: str
    loaded: int = 0
    random: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()
    head: str = "drawn"
    inside: str = ""
    prefix: str = ""

    def as_details(self) -> dict[str, Any]:
        found = {"inside": self.inside, "prefix": self.prefix}
        return {
            "source": self.source,
            "loaded": self.loaded,
            "random": list(self.random),
            "unused": list(self.unused),
            "head": self.head,
            **{name: value for name, value in found.items() if value},
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
    settings: Settings = NONE,
) -> InitReport:
    """Load the weights that `model.init` names into `network`, which holds drawn ones.

    `settings` are those that `build_model` had. The last layer is new where the classes differ in number or, if the file says
    them, in name. Raises NotFound for absent weights, BadData for a file that is not what its SHA-256 says, StudyError for
    weights of another network.
    """
    folders = [Path(folder) for folder in (study_dir, *parent_study_dirs) if folder]
    weights = locate(model, home=home, parent_dir=parent_dir, folders=folders)
    if weights is None:
        return InitReport("scratch")
    loaded = _read(weights.path)
    state, prefix = without_wrappers(loaded[0], network.state_dict())
    state, pooled = _numbered_as_ours(state, network.state_dict())
    if not weights.declared:
        weights = replace(weights, variant={**weights.variant, **_shown(state, weights.variant, pooled)})
    _check_variant(weights, model, variant_of(model, settings))
    report = _load(network, state, weights, model, classes)
    return replace(report, inside=loaded[1], prefix=prefix)


def _read(path: Path) -> tuple[State, str]:
    """The state dict of a file, and under which key it lay."""
    try:
        with path.open("rb") as file:
            return state_in(read_tensors(file))
    except NotWeights as error:
        raise BadData(f"model.init: {path} cannot be read as weights: {error}") from None
    except MemoryError:
        raise BadData(f"model.init: {path} cannot be read as weights: not enough memory") from None


def _numbered_as_ours(state: State, own: State) -> tuple[State, bool]:
    """timm counts the pooling of a shortcut: its `downsample.1` and `.2` are ours `.0` and `.1`. And whether it was so."""
    counted = {
        name.removesuffix("1.weight")
        for name, tensor in state.items()
        if name.endswith(".downsample.1.weight")
        and tensor.ndim == 4
        and not (name in own and own[name].shape == tensor.shape)
        and f"{name.removesuffix('1.weight')}0.weight" in own
    }

    def ours(name: str) -> str:
        start, dot, rest = name.partition(".downsample.")
        number, _, last = rest.partition(".")
        return f"{start}{dot}{int(number) - 1}.{last}" if f"{start}{dot}" in counted and number in ("1", "2") else name

    return ({ours(name): tensor for name, tensor in state.items()}, True) if counted else (state, False)


def _shown(state: State, variant: Mapping[str, Any], pooled: bool) -> dict[str, Any]:
    """What the tensors themselves tell: the flags that the network has, and squeeze-and-excitation."""
    first = state.get("conv1.weight")
    shown = {"deep_stem": "conv1.0.weight" in state, "avgpool_shortcut": pooled}
    if first is not None and first.ndim == 4:
        shown["small_stem"] = first.shape[-1] == 3
    excited = {"squeeze_excitation": True} if any(".se.fc1." in name for name in state) else {}
    return {name: flag for name, flag in shown.items() if name in variant} | excited


def _check_variant(weights: Weights, model: Model, wanted: Mapping[str, Any]) -> None:
    if model.allow_variant_mismatch:
        return
    if weights.arch is not None and weights.arch != model.arch:
        raise recipe_error(
            "model.init",
            "weights-differ",
            f"{weights.source} holds weights of {weights.arch}, but the recipe's arch is {model.arch}",
        )
    before = variants_before()
    ours = {**before, **wanted}
    theirs = {**wanted, **before, **weights.variant}
    differ = [name for name in theirs if name in ours and theirs[name] != ours[name]]
    if not differ:
        return
    told, meant = _written(theirs, differ), _written(ours, differ)
    has = "the opposite" if all(isinstance(ours[name], bool) for name in differ) else meant
    way = "use the tweak that the weights were trained with, weights of this variant, or model.allow_variant_mismatch: true"
    if weights.declared:
        raise recipe_error(
            "model.init",
            "weights-differ",
            f"{weights.source} was trained with {told}, but the recipe's network has {has}; {way}",
        )
    declaration = json.dumps({"arch": model.arch, "variant": {name: ours[name] for name in differ}})
    raise recipe_error(
        "model.init",
        "weights-differ",
        f"{weights.source} does not say its variant, so it is taken for torchvision's unless its tensors tell: {told}; "
        f"the recipe's network has {has}; {way}. If it was trained as the recipe says, write "
        f"{weights.path.with_suffix('.json').name} beside it: {declaration}",
    )


def _written(variant: Mapping[str, Any], names: Sequence[str]) -> str:
    return ", ".join(f"{name}: {str(variant[name]).lower()}" for name in names)


def _load(network: nn.Module, state: State, weights: Weights, model: Model, classes: tuple[str, ...]) -> InitReport:
    own = network.state_dict()
    head = head_name(network)
    in_head = {name for name in own if name.startswith(f"{head}.")}
    fits = {name for name, tensor in own.items() if name in state and state[name].shape == tensor.shape}
    same_classes = weights.classes is None or weights.classes == classes
    load_head = bool(in_head) and in_head <= fits and same_classes
    loaded = fits - in_head | (in_head if load_head else set())
    # counters of BatchNorm batches and of averaged models are absent in some files and decide nothing
    missing = sorted(name for name in set(own) - loaded - in_head if not name.endswith("num_batches_tracked"))
    unused = sorted(set(state) - loaded - in_head - {"n_averaged"})
    some = bool(loaded - in_head)
    if not some or ((missing or unused) and not model.allow_variant_mismatch):
        hint = (
            "model.allow_variant_mismatch: true loads what fits" if some else f"it shares no tensor with {model.arch}"
        )
        raise recipe_error(
            "model.init",
            "weights-differ",
            f"{weights.source} does not fit {model.arch}: {len(missing)} tensors of the network are missing or of another "
            f"shape ({', '.join(missing[:3]) or 'none'}), {len(unused)} of the file are unused "
            f"({', '.join(unused[:3]) or 'none'}); {hint}",
        )
    trouble = unfit({name: state[name] for name in sorted(loaded)}, own)
    if trouble:
        raise BadData(
            f"model.init: {weights.path} cannot be trained from: {trouble}; use weights saved in "
            "full precision by a run that did not diverge"
        )
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
