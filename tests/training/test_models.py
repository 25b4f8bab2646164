"""The networks: names, shapes, outputs, costs and first weights."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision
from golden_texts import raising
from torch import nn

from ablate.errors import AblateError, StudyError
from ablate.parts.networks.resnet import resnet
from ablate.study.recipes.recipe import TWEAKS, Model
from ablate.training.initialise import init_parameters
from ablate.training.models import build_model, macs, network_of, parameter_count, variant_of

FOUR = ("stride_in_3x3", "deep_stem", "avgpool_shortcut", "small_stem")


def build(**fields: Any) -> nn.Module:
    return build_model(Model(**fields), num_classes=10, image_shape=(3, 32, 32), seed=0).network


def ghost(arch: str, **flags: Any) -> nn.Module:
    """A network without memory behind it."""
    with torch.device("meta"):
        return resnet(arch, 1000, **flags)


@pytest.mark.parametrize("arch", ["resnet18", "resnet34", "resnet50", "resnet101", "resnet152"])
def test_tweak_b_has_torchvisions_names_and_shapes(arch: str) -> None:
    with torch.device("meta"):
        theirs = getattr(torchvision.models, arch)()
    ours = ghost(arch)
    assert [(n, t.shape) for n, t in ours.state_dict().items()] == [
        (n, t.shape) for n, t in theirs.state_dict().items()
    ]


@pytest.mark.parametrize("arch", ["resnet18", "resnet50"])
def test_tweak_b_gives_torchvisions_outputs(arch: str) -> None:
    theirs = getattr(torchvision.models, arch)(num_classes=10)
    ours = build(arch=arch)
    ours.load_state_dict(theirs.state_dict(), strict=True)
    images = torch.randn(2, 3, 40, 40, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.equal(ours.train()(images), theirs.train()(images))
        assert torch.equal(ours.eval()(images), theirs.eval()(images))


@pytest.mark.parametrize(("tweak", "expected"), [("A", 3.86), ("B", 4.09), ("C", 4.33), ("D", 4.33)])
def test_costs_of_the_tweaks_are_those_of_he_2019(tweak: str, expected: float) -> None:
    assert round(macs(ghost("resnet50", **TWEAKS[tweak]), 224) / 1e9, 2) == expected


def test_costs_on_the_meta_device_are_those_of_a_real_pass() -> None:
    model = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5))
    assert macs(model, 10) == 10 * 10 * 8 * 27 + 8 * 5
    assert parameter_count(model) == 8 * 27 + 8 + 8 * 5 + 5
    assert next(model.parameters()).device.type == "cpu"


def test_a_moves_the_stride_to_the_first_1x1() -> None:
    a, b = ghost("resnet50", stride_in_3x3=False), ghost("resnet50")
    for stage in ("layer2", "layer3", "layer4"):
        first_a, first_b = getattr(a, stage)[0], getattr(b, stage)[0]
        assert (first_a.conv1.stride, first_a.conv2.stride) == ((2, 2), (1, 1))
        assert (first_b.conv1.stride, first_b.conv2.stride) == ((1, 1), (2, 2))
    assert a.layer1[0].conv1.stride == (1, 1)
    assert list(a.state_dict()) == list(b.state_dict())


@pytest.mark.parametrize("arch", ["resnet18", "resnet50"])
@pytest.mark.parametrize("small", [False, True])
def test_the_deep_stem(arch: str, small: bool) -> None:
    model = ghost(arch, deep_stem=True, small_stem=small)
    convolutions = [layer for layer in model.conv1 if isinstance(layer, nn.Conv2d)]
    assert [c.out_channels for c in convolutions] == [32, 32, 64]
    assert [c.stride for c in convolutions] == [(1, 1) if small else (2, 2), (1, 1), (1, 1)]
    assert isinstance(model.maxpool, nn.Identity) is small


def test_the_small_stem_keeps_the_size_of_the_map() -> None:
    model = ghost("resnet18", small_stem=True)
    assert (model.conv1.kernel_size, model.conv1.stride) == ((3, 3), (1, 1))
    assert model.layer1(model.maxpool(model.conv1(torch.empty(1, 3, 8, 8, device="meta")))).shape[-1] == 8


@pytest.mark.parametrize("arch", ["resnet18", "resnet50"])
def test_d_pools_before_the_shortcut(arch: str) -> None:
    model = ghost(arch, avgpool_shortcut=True)
    for stage in ("layer2", "layer3", "layer4"):
        pool, convolution, _ = getattr(model, stage)[0].downsample
        assert (pool.kernel_size, pool.stride, pool.ceil_mode, pool.count_include_pad) == (2, 2, True, False)
        assert convolution.stride == (1, 1)
    assert list(model.state_dict()) == list(ghost(arch).state_dict())
    if arch == "resnet50":
        assert len(model.layer1[0].downsample) == 2


@pytest.mark.parametrize("arch", ["resnet18", "resnet50"])
@pytest.mark.parametrize("size", [1, 5, 8, 33])
def test_d_works_on_maps_of_any_size(arch: str, size: int) -> None:
    model = ghost(arch, deep_stem=True, avgpool_shortcut=True, small_stem=True).eval()
    assert model(torch.empty(2, 3, size, size, device="meta")).shape == (2, 1000)


def test_d_on_a_map_of_one_pixel_is_the_plain_1x1() -> None:
    pool = ghost("resnet18", avgpool_shortcut=True).layer4[0].downsample[0]
    pixel = torch.full((1, 1, 1, 1), 3.0)
    assert pool(pixel).item() == 3.0
    assert pool(torch.tensor([[[[1.0, 2.0, 6.0]]]])).flatten().tolist() == [1.5, 6.0]


def test_dropout_stands_before_the_last_layer_without_a_name_of_its_own() -> None:
    model = build(arch="resnet18", dropout=0.5).train()
    assert list(model.state_dict()) == list(ghost("resnet18").state_dict())
    seen: list[torch.Tensor] = []
    model.fc.register_forward_pre_hook(lambda layer, inputs: seen.append(inputs[0]))
    torch.manual_seed(0)
    model(torch.randn(4, 3, 32, 32))
    assert 0.35 < float((seen[0] == 0).float().mean()) < 0.75


def test_zero_gamma_makes_each_block_its_shortcut() -> None:
    model = build(arch="resnet50", zero_init_gamma=True).eval()
    gammas = {n: p for n, p in model.named_parameters() if n.endswith("bn3.weight")}
    assert len(gammas) == 16
    assert not any(p.any() for p in gammas.values())
    block = model.layer1[1]
    maps = torch.rand(1, 256, 4, 4)
    assert torch.equal(block(maps), maps)


def test_the_small_networks_have_the_layers_of_the_paper() -> None:
    fully = build(arch="two-layer-fc")
    assert [tuple(p.shape) for p in fully.parameters() if p.ndim > 1] == [(512, 3072), (10, 512)]
    cnn = build(arch="three-layer-cnn", args={"channels": [7, 5]})
    assert [tuple(p.shape) for p in cnn.parameters() if p.ndim > 1] == [(7, 3, 5, 5), (5, 7, 3, 3), (10, 5 * 32 * 32)]
    assert cnn(torch.zeros(2, 3, 32, 32)).shape == (2, 10)


def test_first_weights_do_not_depend_on_the_arm() -> None:
    """C changes the stem, D the shortcuts, A the strides; every parameter of the same name and shape starts the same."""
    arms = [build(arch="resnet50", tweak=tweak).state_dict() for tweak in ("A", "B", "C", "D")]
    for arm in arms[1:]:
        common = [name for name in arm if name in arms[0] and not name.startswith("conv1")]
        assert len(common) > 300
        assert all(torch.equal(arm[name], arms[0][name]) for name in common)


def test_first_weights_differ_by_seed_and_by_name() -> None:
    one, two = nn.Linear(4, 4), nn.Linear(4, 4)
    both = nn.Sequential(one, two)
    init_parameters(both, 0)
    first = one.weight.clone()
    assert not torch.equal(one.weight, two.weight)
    init_parameters(both, 1)
    assert not torch.equal(first, one.weight)
    init_parameters(both, 0)
    assert torch.equal(first, one.weight)


def test_first_weights_follow_torchvisions_rules() -> None:
    model = build(arch="resnet18")
    convolution, fc = model.layer3[1].conv1.weight.detach(), model.fc.requires_grad_(False)
    assert float(convolution.std()) == pytest.approx(math.sqrt(2 / (256 * 9)), rel=0.01)
    assert float(convolution.mean()) == pytest.approx(0, abs=1e-3)
    bound = 1 / math.sqrt(512)
    assert 0.99 * bound < float(fc.weight.abs().max()) <= bound
    assert float(fc.bias.abs().max()) <= bound
    assert torch.equal(model.bn1.weight, torch.ones(64))
    assert torch.equal(model.bn1.running_var, torch.ones(64))


def test_a_layer_without_a_rule_is_an_error() -> None:
    with raising(AblateError):
        init_parameters(nn.Sequential(nn.Embedding(2, 2)), 0)


def test_null_flags_follow_the_tweak_and_single_flags_win() -> None:
    def flags(**fields: Any) -> tuple[bool, ...]:
        variant = variant_of(Model(arch="resnet50", **fields))
        return tuple(variant[name] for name in FOUR)

    assert flags(tweak="A") == (False, False, False, False)
    assert flags(tweak="D") == (True, True, True, False)
    assert flags(tweak=None) == flags(tweak="B") == (True, False, False, False)
    assert flags(tweak="A", deep_stem=True, small_stem=True) == (False, True, False, True)
    assert "stride_in_3x3" not in variant_of(Model(arch="resnet18", tweak="A"))
    assert variant_of(Model(arch="two-layer-fc")) == {}


def test_an_unknown_name_lists_what_is_allowed() -> None:
    with raising(StudyError):
        network_of("resnet5O")


@pytest.fixture
def user_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "my_networks_8c1.py").write_text(
        "import torch\n"
        "from torch import nn\n"
        "def wide(num_classes, image_shape, width=3):\n"
        "    net = nn.Sequential(nn.Flatten(), nn.Linear(image_shape[0] * image_shape[1] * image_shape[2], width),\n"
        "                        nn.Linear(width, num_classes))\n"
        "    nn.init.constant_(net[2].weight, 0.5)\n"
        "    return net\n"
        "def wrong(num_classes):\n"
        "    return 3\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    return "my_networks_8c1"


def test_a_network_of_the_users_keeps_its_authors_weights(user_module: str) -> None:
    model = Model(arch=f"{user_module}:wide", args={"width": 5}, small_stem=True)
    one, two, other = (build_model(model, num_classes=4, image_shape=(1, 2, 2), seed=seed) for seed in (0, 0, 1))
    assert torch.equal(one.network[1].weight, two.network[1].weight)
    assert not torch.equal(one.network[1].weight, other.network[1].weight)
    assert torch.equal(one.network[2].weight, torch.full((4, 5), 0.5))
    assert one.without_effect == ("small_stem",)


@pytest.mark.parametrize(
    ("arch", "args", "message"),
    [
        ("nowhere_8c1:net", {}, "model.arch: cannot import 'nowhere_8c1' of 'nowhere_8c1:net'"),
        ("my_networks_8c1:wid", {}, "has no callable 'wid'. Did you mean 'wide'?"),
        (
            "my_networks_8c1:wide",
            {"wdth": 1},
            "model.args: my_networks_8c1:wide has no argument 'wdth'; allowed: width",
        ),
        ("my_networks_8c1:wrong", {}, "gave a int, not a torch.nn.Module"),
        (
            "three-layer-cnn",
            {"num_classes": 3},
            "model.args: 'num_classes' follows from the data or has a recipe field",
        ),
        (":net", {}, "':net' is not of the form package.module:callable"),
        ("three-layer-cnn", {"channels": [1, 2, 3]}, "model.args: three-layer-cnn cannot be built from"),
    ],
)
def test_mistakes_in_a_network_are_named(arch: str, args: dict[str, Any], message: str, user_module: str) -> None:
    with pytest.raises(StudyError) as refused:
        build_model(Model(arch=arch, args=args), num_classes=4, image_shape=(3, 2, 2), seed=0)
    assert message in str(refused.value)


def test_resnets_take_three_channels() -> None:
    with raising(StudyError):
        build_model(Model(), num_classes=4, image_shape=(1, 8, 8), seed=0)


@pytest.mark.slow
def test_convnext_gives_torchvisions_outputs_and_draws_by_the_papers_rule() -> None:
    theirs = torchvision.models.convnext_tiny(num_classes=10)
    ours = build(arch="convnext_tiny")
    weights, first = ours.features[1][0].block[3].weight.detach(), build(arch="convnext_tiny").state_dict()
    assert float(weights.std()) == pytest.approx(0.02 * 0.88, rel=0.02), (
        "0.88: what cutting off at two deviations leaves"
    )
    assert float(weights.abs().max()) <= 0.04
    assert all(torch.equal(first[name], tensor) for name, tensor in ours.state_dict().items())
    assert float(ours.features[1][0].layer_scale.detach().max()) == pytest.approx(1e-6)
    ours.load_state_dict(theirs.state_dict(), strict=True)
    images = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.equal(ours.eval()(images), theirs.eval()(images))
