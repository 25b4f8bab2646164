"""Refinements that change a network: what they build, what they leave alone, and whose weights fit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from golden_texts import raising
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torchvision.ops import StochasticDepth

from ablate.errors import StudyError
from ablate.parts.declare import Network, Refinement
from ablate.parts.found import parts
from ablate.parts.refinements.blur_pool import blur_pool
from ablate.parts.refinements.squeeze_excitation import squeezed
from ablate.parts.residual import blocks
from ablate.study.recipes.recipe import Model
from ablate.training.init import initialise
from ablate.training.models import build_model, macs, parameter_count
from ablate.training.trainer import fit

CHANGES = [name for name, part in parts(Refinement).items() if part.change is not None]
BLUR = {"model.blur_pool": True}
SE = {"model.squeeze_excitation": True}
TEN = tuple(f"class{number}" for number in range(10))


def build(settings: Any = None, **fields: Any) -> Any:
    given = {"arch": "resnet18", **fields}
    built = build_model(Model(**given), num_classes=10, image_shape=(3, 32, 32), seed=0, settings=settings or {})
    return built.network


def images(side: int = 32) -> torch.Tensor:
    return torch.randn(4, 3, side, side, generator=torch.Generator().manual_seed(1))


def test_the_changes_are_those_of_the_issue() -> None:
    assert CHANGES == ["activation", "blur_pool", "norm", "squeeze_excitation", "stochastic_depth"]


@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.parametrize("arch", ["resnet18", "resnet50"])
def test_a_change_moves_no_other_layers_draws(name: str, arch: str) -> None:
    plain, changed = build(arch=arch), build(parts(Refinement)[name].on, arch=arch)
    before, after = plain.state_dict(), changed.state_dict()
    common = [key for key in after if key in before]
    assert len(common) > 60
    assert all(torch.equal(before[key], after[key]) for key in common)
    assert all(".se." in key for key in after if key not in before)


@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.parametrize("arch", parts(Network))
def test_a_network_that_takes_a_change_is_changed_by_it(name: str, arch: str) -> None:
    """The declaration is what the builder does: `takes` names what has an effect, and nothing else has one."""
    part = parts(Refinement)[name]
    if parts(Network)[arch].initialise is not None:
        pytest.skip("not of our layers")
    plain, changed = build(arch=arch), build(part.on, arch=arch)
    taken = set(part.fields) <= set(parts(Network)[arch].takes)
    assert (repr(plain) != repr(changed)) is taken


@pytest.mark.slow
@pytest.mark.parametrize("name", CHANGES)
def test_every_change_trains(name: str, new_run: Any, watched: Any, room: Any) -> None:
    room.sizes, room.side = {"train": 8, "val": 4}, 32
    settings = {"model__arch": "resnet18", "batch_size": 4, "epochs": 1, "optimizer__lr": 0.01}
    changed = {path.replace(".", "__"): value for path, value in parts(Refinement)[name].on.items()}
    plain = fit(new_run(**settings), watched("plain").context).metrics
    refined = fit(new_run(**settings, **changed), watched("changed").context).metrics
    again = fit(new_run(**settings, **changed), watched("again").context).metrics
    assert refined["train_loss"] != plain["train_loss"]
    assert refined["train_loss"] == again["train_loss"]


def test_stochastic_depth_follows_the_papers_linear_rule() -> None:
    network = build({"model.stochastic_depth": 0.2})
    rates = [block.depth.p for block in blocks(network)]
    assert rates == pytest.approx([0.025, 0.05, 0.075, 0.1, 0.125, 0.15, 0.175, 0.2])
    assert all(isinstance(block.depth, StochasticDepth) and block.depth.mode == "row" for block in blocks(network))
    plain = build().eval()
    with torch.no_grad():
        assert torch.equal(network.eval()(images()), plain(images()))


def test_a_skipped_branch_leaves_the_shortcut() -> None:
    block = blocks(build({"model.stochastic_depth": 0.5}))[1].train()
    maps = torch.rand(64, 64, 4, 4)
    torch.manual_seed(0)
    with torch.no_grad():
        out = block(maps)
    kept = [not torch.equal(one, image) for one, image in zip(out, maps, strict=True)]
    assert 0 < kept.count(False) < 64


def test_the_squeeze_is_a_sixteenth_in_steps_of_eight() -> None:
    assert [squeezed(channels) for channels in (64, 128, 256, 512, 1024, 2048)] == [8, 8, 16, 32, 64, 128]
    # 16 blocks of C -> C / 16 -> C with biases: 4.7% and more of ResNet-50 (Hu et al. 2018, section 5.1: about 10%)
    added = parameter_count(build(SE, arch="resnet50")) - parameter_count(build(arch="resnet50"))
    assert added == sum(
        number * (2 * channels * channels // 16 + channels + channels // 16)
        for number, channels in ((3, 256), (4, 512), (6, 1024), (3, 2048))
    )


def test_squeeze_and_excitation_is_the_formula() -> None:
    block = blocks(build(SE))[0].eval()
    maps = torch.rand(2, 64, 5, 5)
    with torch.no_grad():
        hidden = torch.relu(maps.mean((2, 3)) @ block.se.fc1.weight.flatten(1).T + block.se.fc1.bias)
        factors = torch.sigmoid(hidden @ block.se.fc2.weight.flatten(1).T + block.se.fc2.bias)
        torch.testing.assert_close(block.se(maps), maps * factors[:, :, None, None])


def test_the_blur_is_the_binomial_filter_of_the_paper() -> None:
    pool = blur_pool()
    point = torch.zeros(1, 2, 5, 5)
    point[:, :, 2, 2] = 16
    assert pool(point)[0, 1].tolist() == [[0, 0, 0], [0, 4, 0], [0, 0, 0]]
    # the last column lies at the border: the point is seen once more, reflected
    assert pool(point.roll(1, dims=3))[0, 0].tolist() == [[0, 0, 0], [0, 2, 4], [0, 0, 0]]
    assert torch.equal(pool(torch.full((1, 3, 6, 6), 2.0)), torch.full((1, 3, 3, 3), 2.0))
    assert pool(torch.full((1, 3, 1, 1), 2.0)).flatten().tolist() == [2.0] * 3
    assert list(pool.state_dict()) == []


@pytest.mark.parametrize("tweak", ["A", "B", "D"])
@pytest.mark.parametrize("side", [1, 7, 32])
def test_blurred_networks_have_the_maps_of_the_plain_ones(tweak: str, side: int) -> None:
    plain, blurred = build(arch="resnet50", tweak=tweak).eval(), build(BLUR, arch="resnet50", tweak=tweak).eval()
    with torch.no_grad():
        for network in (plain, blurred):
            network.maps = []
            network.layer4.register_forward_hook(lambda layer, inputs, out, seen=network.maps: seen.append(out.shape))
            network(images(side))
    assert plain.maps == blurred.maps
    convolutions = [m for n, m in blurred.named_modules() if isinstance(m, nn.Conv2d) and "downsample" not in n]
    assert [m.stride for m in convolutions if m.stride != (1, 1)] == [(2, 2)], "the stem's alone"


def test_every_relu_is_replaced_but_that_of_the_squeeze() -> None:
    network = build({"model.activation": "gelu", **SE}, deep_stem=True)
    relus = [name for name, module in network.named_modules() if isinstance(module, nn.ReLU)]
    assert relus
    assert all(".se." in name for name in relus)
    small = build({"model.activation": "silu"}, arch="three-layer-cnn")
    assert [type(layer) for layer in small][1:4:2] == [nn.SiLU, nn.SiLU]


@pytest.mark.parametrize("name", ["leaky_relu", "elu", "gelu", "silu", "mish", "hard_swish"])
def test_activations_are_torchs(name: str) -> None:
    functions = {"hard_swish": "hardswish"}
    layer = build({"model.activation": name}, arch="two-layer-fc")[2]
    numbers = torch.linspace(-4, 4, 33)
    assert torch.equal(layer(numbers), getattr(nn.functional, functions.get(name, name))(numbers))


@pytest.mark.parametrize(("name", "groups"), [("group", 32), ("layer", 1)])
def test_norms(name: str, groups: int) -> None:
    network = build({"model.norm": name}, zero_init_gamma=True)
    layers = [module for module in network.modules() if isinstance(module, nn.GroupNorm)]
    assert len(layers) == 20
    assert {layer.num_groups for layer in layers} == {groups}
    assert not any(isinstance(module, _BatchNorm) for module in network.modules())
    assert all(not block.bn2.weight.any() for block in blocks(network))
    assert all(bool((block.bn1.weight == 1).all()) for block in blocks(network))
    with torch.no_grad():
        network.eval()
        assert torch.allclose(network(images())[:1], network(images()[:1]), atol=1e-5), "images do not see each other"


@pytest.mark.slow
def test_macs_count_what_a_change_adds() -> None:
    plain, excited, blurred = (build(settings) for settings in (None, SE, BLUR))
    sizes = (64, 64, 128, 128, 256, 256, 512, 512)
    assert macs(excited, 32) - macs(plain, 32) == sum(2 * channels * squeezed(channels) for channels in sizes)
    # each 3x3 that halved a map of side s now works on it whole, and a blur of 3x3 follows; so does one after the stem
    dearer = sum((s * s - s * s // 4) * 9 * c * c // 2 + 9 * c * s * s // 4 for c, s in ((128, 8), (256, 4), (512, 2)))
    assert macs(blurred, 32) - macs(plain, 32) == dearer + 9 * 64 * 8 * 8
    assert macs(build({"model.norm": "group", "model.activation": "gelu"}), 32) == macs(plain, 32)


@pytest.mark.slow
@pytest.mark.parametrize("settings", [SE, BLUR, {"model.activation": "gelu"}, {"model.norm": "group"}])
def test_weights_of_another_variant_are_refused(settings: Any, new_run: Any, watched: Any, room: Any) -> None:
    room.sizes, room.side = {"train": 8, "val": 4}, 32
    ((path, value),) = settings.items()
    given = {"model__arch": "resnet18", "batch_size": 4, "epochs": 1}
    changed = {**given, path.replace(".", "__"): value}
    start = {"model__init": {"run": "ab" * 32, "weights": "last"}}
    parents = {}
    for name, recipe in (("plain", given), ("changed", changed)):
        parents[name] = watched(name, keep="all")
        fit(new_run(**recipe), parents[name].context)
    child = watched("child")
    leaf = path.rpartition(".")[2]
    before = next(field.default for p in parts(Refinement).values() for at, field in p.fields.items() if at == path)
    for parent, recipe, had in (("changed", given, value), ("plain", changed, before)):
        child.context.parent_dir = parents[parent].context.run_dir
        with raising(StudyError, match=f"{leaf}: {str(had).lower()}"):
            fit(new_run(**recipe, **start), child.context)
    child.context.parent_dir = parents["changed"].context.run_dir
    assert fit(new_run(**changed, **start), child.context).details["init"]["head"] == "loaded"


@pytest.mark.slow
def test_a_file_that_says_nothing_has_no_changes_but_those_that_show(tmp_path: Path) -> None:
    path = tmp_path / "weights.pt"
    for built_as, wanted, fits in (({}, {}, True), ({}, BLUR, False), ({}, SE, False), (SE, {}, False), (SE, SE, True)):
        torch.save(build(built_as).state_dict(), path)
        model = Model(init=str(path))
        network = build(wanted)
        if fits:
            assert initialise(network, model, classes=TEN, home=tmp_path, settings=wanted).head == "loaded"
        else:
            with pytest.raises(StudyError, match=r"model\.init"):
                initialise(network, model, classes=TEN, home=tmp_path, settings=wanted)


# --- against timm


def timms(name: str, **arguments: Any) -> nn.Module:
    timm = pytest.importorskip("timm", reason="timm is not installed; `pip install ablate-studies[timm]`")
    network: nn.Module = timm.create_model(name, num_classes=10, **arguments)
    return network


@pytest.mark.libraries
@pytest.mark.parametrize("arch", ["resnet18", "resnet50"])
@pytest.mark.parametrize("mode", ["train", "eval"])
def test_blurred_networks_give_timms_outputs(arch: str, mode: str) -> None:
    layers = pytest.importorskip("timm.layers", reason="timm is not installed")
    theirs, ours = timms(arch, aa_layer=layers.BlurPool2d), build(BLUR, arch=arch)
    ours.load_state_dict(theirs.state_dict(), strict=True)
    with torch.no_grad():
        assert torch.equal(getattr(ours, mode)()(images(64)), getattr(theirs, mode)()(images(64)))


@pytest.mark.libraries
@pytest.mark.parametrize("arch", ["resnet18", "resnet50"])
def test_excited_networks_give_timms_outputs(arch: str) -> None:
    theirs, ours = timms(f"se{arch}"), build(SE, arch=arch)
    ours.load_state_dict(theirs.state_dict(), strict=True)
    with torch.no_grad():
        torch.testing.assert_close(ours.eval()(images(64)), theirs.eval()(images(64)))
