"""Loading first weights: files, parents, ImageNet, variants and heads."""

from __future__ import annotations

import hashlib
import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision
from golden_texts import raising
from torch import nn

from ablate.errors import BadData, NotFound, StudyError
from ablate.parts.networks.resnet import LAYERS
from ablate.study.recipes import first_weights
from ablate.study.recipes.recipe import Model
from ablate.study.values.recipe import NestedRecipe
from ablate.training import find_weights
from ablate.training.init import InitReport, initialise
from ablate.training.models import build_model
from ablate.training.trainer import fit

TEN = tuple(f"class{number}" for number in range(10))


def load(model: Model, home: Path, classes: tuple[str, ...] = TEN, **where: Any) -> tuple[nn.Module, InitReport]:
    network = build_model(model, num_classes=len(classes), image_shape=(3, 8, 8), seed=0).network
    return network, initialise(network, model, classes=classes, home=home, **where)


@pytest.fixture
def file(tmp_path: Path) -> tuple[Path, str, dict[str, torch.Tensor]]:
    """A ResNet-18 of 10 classes as torchvision saves it."""
    state = torchvision.models.resnet18(num_classes=10).state_dict()
    path = tmp_path / "resnet18.pt"
    torch.save(state, path)
    return path, hashlib.sha256(path.read_bytes()).hexdigest(), state


def test_scratch_reports_that_all_was_drawn(tmp_path: Path) -> None:
    assert load(Model(arch="two-layer-fc"), tmp_path)[1] == InitReport("scratch")


def test_a_file_loads_whole(file: Any, tmp_path: Path) -> None:
    path, digest, state = file
    network, report = load(Model(init={"file": str(path), "sha256": digest}), tmp_path)
    assert all(torch.equal(tensor, state[name]) for name, tensor in network.state_dict().items())
    assert (report.loaded, report.random, report.unused, report.head) == (122, (), (), "loaded")


def test_another_number_of_classes_gets_a_new_head(file: Any, tmp_path: Path) -> None:
    path, digest, state = file
    network, report = load(Model(init={"file": str(path), "sha256": digest}), tmp_path, classes=("a", "b", "c"))
    assert report.head == "new"
    assert report.random == ("fc.bias", "fc.weight")
    assert report.loaded == 120
    assert network.fc.weight.shape == (3, 512)
    assert torch.equal(network.state_dict()["layer4.1.conv2.weight"], state["layer4.1.conv2.weight"])


def test_a_file_is_found_by_its_digest_and_beside_the_study(file: Any, tmp_path: Path) -> None:
    path, digest, _ = file
    home = tmp_path / "home"
    (home / "weights").mkdir(parents=True)
    relative = {"file": "elsewhere/resnet18.pt", "sha256": digest}
    with raising(NotFound, code="absent-weights"):
        load(Model(init=relative), home)
    assert load(Model(init={"file": path.name, "sha256": digest}), home, study_dir=tmp_path)[1].loaded == 122
    (home / "weights" / "any-name.pt").write_bytes(path.read_bytes())
    assert load(Model(init=relative), home)[1].loaded == 122


def test_of_files_with_one_name_the_one_that_was_hashed_is_taken(
    file: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, digest, _ = file
    here = tmp_path / "here"
    here.mkdir()
    (here / path.name).write_bytes(b"another file of that name, where the command was started")
    monkeypatch.chdir(here)
    folders = {"study_dir": here, "parent_study_dirs": [str(path.parent)]}
    assert load(Model(init={"file": path.name, "sha256": digest}), tmp_path / "home", **folders)[1].loaded == 122


def test_a_file_with_other_bytes_is_refused(file: Any, tmp_path: Path) -> None:
    with raising(BadData, code="digest-differs"):
        load(Model(init={"file": str(file[0]), "sha256": "0" * 64}), tmp_path)


def test_a_file_that_runs_code_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "trap.pt"
    torch.save({"fc.weight": Path("harmless")}, path)
    with raising(BadData):
        load(Model(init=str(path)), tmp_path)
    torch.save([1, 2], path)
    with raising(BadData):
        load(Model(init=str(path)), tmp_path)


class Trap:
    """Unpickled, it makes a folder: code in a checkpoint, harmless here."""

    def __init__(self, folder: Path) -> None:
        self.folder = str(folder)

    def __reduce__(self) -> Any:
        return os.mkdir, (self.folder,)


def test_code_in_a_checkpoint_never_runs(tmp_path: Path) -> None:
    path, sprung = tmp_path / "trap.pt", tmp_path / "sprung"
    torch.save({"fc.weight": torch.zeros(1), "trap": Trap(sprung)}, path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    for init in (str(path), {"file": str(path), "sha256": digest}):
        with raising(BadData):
            load(Model(init=init), tmp_path)
    assert not sprung.exists()


def torchvision_file(tmp_path: Path) -> str:
    path = tmp_path / "resnet50.pt"
    torch.save(torchvision.models.resnet50(num_classes=10).state_dict(), path)
    return str(path)


@pytest.mark.slow
def test_weights_of_b_do_not_load_into_a_without_a_word(tmp_path: Path) -> None:
    path = torchvision_file(tmp_path)
    with raising(StudyError):
        load(Model(arch="resnet50", tweak="A", init=path), tmp_path)
    allowed = Model(arch="resnet50", tweak="A", init=path, allow_variant_mismatch=True)
    assert load(allowed, tmp_path)[1].random == ()
    with raising(StudyError):
        load(Model(arch="resnet50", tweak="D", init=path), tmp_path)
    report = load(Model(arch="resnet50", tweak="D", init=path, allow_variant_mismatch=True), tmp_path)[1]
    assert all(name.startswith("conv1.") for name in report.random)
    assert len(report.random) == 13
    assert report.unused == ("conv1.weight",)


@pytest.mark.slow
def test_weights_of_a_do_not_load_into_b_without_a_word(tmp_path: Path) -> None:
    path = Path(torchvision_file(tmp_path))
    variant = {"stride_in_3x3": False, "deep_stem": False, "avgpool_shortcut": False, "small_stem": False}
    path.with_suffix(".json").write_text(json.dumps({"arch": "resnet50", "variant": variant}))
    with raising(StudyError):
        load(Model(arch="resnet50", tweak="B", init=str(path)), tmp_path)
    assert load(Model(arch="resnet50", tweak="A", init=str(path)), tmp_path)[1].random == ()


def test_weights_of_b_load_into_resnet18_a(file: Any, tmp_path: Path) -> None:
    assert load(Model(tweak="A", init=str(file[0])), tmp_path)[1].random == ()


def test_a_small_stem_is_another_variant(file: Any, tmp_path: Path) -> None:
    with raising(StudyError):
        load(Model(init=str(file[0]), small_stem=True), tmp_path)
    report = load(Model(init=str(file[0]), small_stem=True, allow_variant_mismatch=True), tmp_path)[1]
    assert report.random == ("conv1.weight",)


@pytest.mark.slow
def test_what_an_error_says_of_a_variant_is_what_to_write_beside_the_file(tmp_path: Path) -> None:
    path = Path(torchvision_file(tmp_path))
    model = Model(arch="resnet50", tweak="A", init=str(path))
    with pytest.raises(StudyError) as refused:
        load(model, tmp_path)
    beside, _, declaration = str(refused.value).partition("write resnet50.json beside it: ")
    path.with_suffix(".json").write_text(declaration)
    assert beside
    assert load(model, tmp_path)[1].random == ()
    with raising(StudyError):
        load(Model(arch="resnet50", tweak="B", init=str(path)), tmp_path)
    with raising(StudyError):
        load(Model(arch="resnet50", tweak="A", deep_stem=True, init=str(path)), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(
    "notes", [{"0": "cat", "1": "dog"}, {"sha256": "0" * 64}, {"variant": "large"}, {"classes": 10}, {"arch": "resnet50"}, []]
)  # fmt: skip
def test_a_json_that_is_not_ours_does_not_speak_for_the_file_beside_it(notes: Any, tmp_path: Path) -> None:
    path = Path(torchvision_file(tmp_path))
    path.with_suffix(".json").write_text(json.dumps(notes))
    with raising(StudyError):
        load(Model(arch="resnet50", tweak="A", init=str(path)), tmp_path)
    assert load(Model(arch="resnet50", tweak="B", init=str(path)), tmp_path)[1].random == ()


@pytest.mark.slow
def test_a_declaration_that_cannot_be_meant_is_refused(tmp_path: Path) -> None:
    path = Path(torchvision_file(tmp_path))
    for variant in ({"stride_in_3x3": "no"}, {"stride": False}):
        path.with_suffix(".json").write_text(json.dumps({"arch": "resnet50", "variant": variant}))
        with raising(BadData):
            load(Model(arch="resnet50", init=str(path)), tmp_path)


def timm_names(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The state dict of our tweak D under the names of timm's resnet50d, whose shortcuts count their pooling."""
    return {
        re.sub(r"downsample\.(\d)", lambda found: f"downsample.{int(found[1]) + 1}", name): tensor
        for name, tensor in state.items()
    }


@pytest.mark.slow
def test_timms_names_of_tweak_d_load_into_ours(tmp_path: Path) -> None:
    model = Model(arch="resnet18", tweak="D")
    source = build_model(model, num_classes=10, image_shape=(3, 8, 8), seed=1).network.state_dict()
    path = tmp_path / "resnet18d.pth"
    torch.save(timm_names(source), path)
    network, report = load(model.model_copy(update={"init": str(path)}), tmp_path)
    assert (report.random, report.unused) == ((), ())
    assert all(torch.equal(tensor, source[name]) for name, tensor in network.state_dict().items())
    with raising(StudyError):
        load(Model(arch="resnet18", tweak="B", init=str(path)), tmp_path)


@pytest.mark.parametrize(
    ("inside", "prefix"),
    [
        ("", "module."),
        ("", "_orig_mod."),
        ("", "module._orig_mod."),
        ("state_dict", ""),
        ("state_dict", "module."),
        ("state_dict", "model."),
        ("model", ""),
        ("model_state_dict", "module.model."),
        ("model.state_dict", ""),
        ("model_ema", ""),
    ],
)
def test_wrapped_state_dicts_are_read(inside: str, prefix: str, file: Any, tmp_path: Path) -> None:
    _, _, state = file
    saved: Any = {f"{prefix}{name}": tensor for name, tensor in state.items()}
    for key in reversed(inside.split(".") if inside else []):
        saved = {"epoch": 3, "optimizer": {"state": {}}, key: saved}
    path = tmp_path / "wrapped.pt"
    torch.save(saved, path)
    network, report = load(Model(init=str(path)), tmp_path)
    assert all(torch.equal(tensor, state[name]) for name, tensor in network.state_dict().items())
    assert (report.inside, report.prefix, report.random, report.unused) == (inside, prefix, (), ())
    assert report.as_details().get("inside", "") == inside


def test_trained_weights_come_before_their_average(file: Any, tmp_path: Path) -> None:
    _, _, state = file
    path = tmp_path / "both.pt"
    torch.save({"model_ema": {n: t * 0 for n, t in state.items()}, "model": state}, path)
    network, report = load(Model(init=str(path)), tmp_path)
    assert report.inside == "model"
    assert torch.equal(network.state_dict()["conv1.weight"], state["conv1.weight"])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: t.to(torch.int8), "conv1.weight holds int8 numbers, the network's are float32"),
        (lambda t: t.to(torch.complex64), "conv1.weight holds complex64 numbers, the network's are float32"),
        (lambda t: t.bool(), "conv1.weight holds bool numbers, the network's are float32"),
        (lambda t: t * torch.nan, "conv1.weight holds NaN or infinity"),
        (lambda t: t / 0.0, "conv1.weight holds NaN or infinity"),
        (lambda t: t.to_sparse(), "conv1.weight is no plain tensor"),
    ],
    ids=["int8", "complex", "bool", "nan", "inf", "sparse"],
)
def test_numbers_that_are_no_weights_are_refused(change: Any, said: str, file: Any, tmp_path: Path) -> None:
    path, _, state = file
    torch.save({**state, "conv1.weight": change(state["conv1.weight"])}, path)
    with raising(BadData):
        load(Model(init=str(path)), tmp_path)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions_load(dtype: torch.dtype, file: Any, tmp_path: Path) -> None:
    path, _, state = file
    torch.save(
        {name: tensor.to(dtype) if tensor.is_floating_point() else tensor for name, tensor in state.items()}, path
    )
    assert load(Model(init=str(path)), tmp_path)[0].state_dict()["conv1.weight"].dtype == torch.float32


def test_weights_of_another_network_are_refused(file: Any, tmp_path: Path) -> None:
    with raising(StudyError):
        load(Model(arch="two-layer-fc", init=str(file[0])), tmp_path)
    with raising(StudyError):
        load(Model(arch="two-layer-fc", init=str(file[0]), allow_variant_mismatch=True), tmp_path)


def test_imagenet_weights_are_never_downloaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    monkeypatch.setattr(torch.hub, "download_url_to_file", lambda *a, **k: pytest.fail("a download"))
    with raising(NotFound, code="absent-weights"):
        load(Model(init="imagenet"), tmp_path)
    with raising(StudyError):
        load(Model(init="imagenet-v2"), tmp_path)
    with raising(StudyError):
        load(Model(arch="two-layer-fc", init="imagenet"), tmp_path)


@pytest.mark.parametrize("init", ["imagenet", {"entry": "IMAGENET1K_V1"}, {"entry": "ResNet18_Weights.IMAGENET1K_V1"}])
@pytest.mark.parametrize("place", ["home/weights", "hub/checkpoints"])
def test_imagenet_weights_are_found(init: Any, place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    path = tmp_path / place / "resnet18-f37072fd.pth"
    path.parent.mkdir(parents=True)
    state = torchvision.models.resnet18().state_dict()
    torch.save(state, path)
    with pytest.raises(BadData, match=r"expected f37072fd"):
        load(Model(init=init), tmp_path / "home")
    monkeypatch.setattr(find_weights, "_sha256", lambda path: "f37072fd" + "0" * 56)
    network, report = load(Model(init=init), tmp_path / "home")
    assert (report.source, report.head) == ("ResNet18_Weights.IMAGENET1K_V1", "new")
    assert torch.equal(network.state_dict()["conv1.weight"], state["conv1.weight"])


def test_the_plan_knows_torchvisions_files() -> None:
    entries = {
        (arch, entry.name): entry.url for arch in LAYERS for entry in torchvision.models.get_model_weights(arch)
    }  # fmt: skip
    assert {key: first_weights.URL + name for key, name in first_weights.TORCHVISION.items()} == entries


def seen_by_both(model: Model, home: Path, folders: list[Path]) -> bool:
    """Whether the weights are here; the plan and the trainer must be of one mind."""
    why = first_weights.absent(NestedRecipe({"model": model.model_dump()}), home=home, folders=folders)
    try:
        find_weights.locate(model, home=home, folders=folders)
    except NotFound:
        assert why.startswith("no weights: ")
        return False
    assert why == ""
    return True


@pytest.mark.parametrize(
    ("place", "environment"),
    [
        ("home/weights", {}),
        ("torch/hub/checkpoints", {"TORCH_HOME": "{}/torch"}),
        ("cache/torch/hub/checkpoints", {"XDG_CACHE_HOME": "{}/cache"}),
        ("user/.cache/torch/hub/checkpoints", {}),
        ("user/mine/hub/checkpoints", {"TORCH_HOME": "~/mine"}),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_plan_and_trainer_look_for_imagenet_weights_in_the_same_places(
    place: str, environment: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("TORCH_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "user"))
    for name, value in environment.items():
        monkeypatch.setenv(name, value.format(tmp_path))
    monkeypatch.setattr(find_weights, "_sha256", lambda path: "0676ba61" + "0" * 56)
    model, home = Model(arch="resnet50", init={"entry": "IMAGENET1K_V1"}), tmp_path / "home"
    assert first_weights.torch_cache() == Path(torch.hub.get_dir()) / "checkpoints"
    assert not seen_by_both(model, home, [])
    (tmp_path / place).mkdir(parents=True)
    (tmp_path / place / "resnet50-11ad3fa6.pth").touch()
    assert not seen_by_both(model, home, []), "those are the second version's"
    (tmp_path / place / "resnet50-0676ba61.pth").touch()
    assert seen_by_both(model, home, [])


@pytest.mark.parametrize("place", ["here/kept/w.pt", "study/kept/w.pt", "parent/kept/w.pt", "home/weights/kept/w.pt", "home/weights/any.pt"])  # fmt: skip
def test_plan_and_trainer_look_for_a_file_in_the_same_places(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    model = Model(init={"file": "kept/w.pt", "sha256": hashlib.sha256(b"weights").hexdigest()})
    folders = [tmp_path / "study", tmp_path / "parent"]
    assert not seen_by_both(model, tmp_path / "home", folders)
    path = tmp_path / place
    path.parent.mkdir(parents=True)
    (path.parent / "other.pt").write_bytes(b"other weights")
    assert not seen_by_both(model, tmp_path / "home", folders)
    path.write_bytes(b"weights")
    assert seen_by_both(model, tmp_path / "home", folders)


def test_what_no_file_can_mend_is_the_trainers_to_refuse(tmp_path: Path) -> None:
    for arch, init in (("resnet18", "IMAGENET1K_V2"), ("two-layer-fc", "IMAGENET1K_V1")):
        model = Model(arch=arch, init={"entry": init})
        assert first_weights.absent(NestedRecipe({"model": model.model_dump()}), home=tmp_path) == ""
        with raising(StudyError):
            load(model, tmp_path)


def test_a_child_starts_from_its_parents_weights(new_run: Any, watched: Any) -> None:
    parent = watched("parent", keep="all")
    run = new_run(epochs=1)
    fit(run, parent.context)
    saved = torch.load(parent.context.run_dir / "model-last.pt", weights_only=True)
    for which in ("last", "selected"):
        child = watched(f"child {which}", keep="last")
        child.context.parent_dir = parent.context.run_dir
        settings = {"model__init": {"run": run.run_id, "weights": which}, "optimizer__lr": 1e-30, "epochs": 1}
        outcome = fit(new_run(**settings), child.context)
        assert outcome.details["init"]["source"] == f"run {run.run_id[:12]} {which}"
        assert outcome.details["init"]["head"] == "loaded"
        started = torch.load(child.context.run_dir / "model-last.pt", weights_only=True)
        assert torch.equal(started["1.weight"], saved["1.weight"])


def test_a_child_with_other_class_names_gets_a_new_head(new_run: Any, watched: Any) -> None:
    parent = watched("parent", keep="all")
    run = new_run(epochs=1)
    fit(run, parent.context)
    path = parent.context.run_dir / "model-last.json"
    notes = json.loads(path.read_text())
    path.write_text(json.dumps({**notes, "classes": [f"other{number}" for number in range(6)]}))
    child = watched("child")
    child.context.parent_dir = parent.context.run_dir
    details = fit(new_run(model__init={"run": run.run_id, "weights": "last"}), child.context).details
    assert details["init"]["head"] == "new"


@pytest.mark.slow
def test_a_parent_without_weights_or_of_another_variant(new_run: Any, watched: Any) -> None:
    child = watched("child")
    run = new_run(model__init={"run": "ab" * 32, "weights": "last"})
    with raising(NotFound):
        fit(run, child.context)
    parent = watched("parent", keep="all")
    child.context.parent_dir = parent.context.run_dir
    with raising(NotFound, match="abababababab has no model-last.pt", code="absent-weights"):
        fit(run, child.context)
    fit(new_run(model__arch="resnet18", model__small_stem=True, model__tweak="C", epochs=1), parent.context)
    with raising(StudyError):
        fit(run, child.context)
    other = new_run(model__arch="resnet18", model__small_stem=True, model__init={"run": "ab" * 32, "weights": "last"})
    with raising(StudyError):
        fit(other, child.context)
