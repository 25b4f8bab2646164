"""Predictions of unlabelled images: the run's own evaluation again, on files; and what is refused."""

from __future__ import annotations

import hashlib
import json
import pickle
import re
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchvision
from golden_texts import raising
from PIL import Image

from ablate.errors import BadData, NoSpaceOrPermission, NotFound, RunFailure
from ablate.parts.reading.images import decode_image
from ablate.study.code import provenance
from ablate.study.recipes.recipe import Data, Model
from ablate.study.records import Artifact, Context, Outcome
from ablate.study.values.run import Run
from ablate.training import data, sources, unlabelled
from ablate.training.checkpoint import save_weights
from ablate.training.models import build_model
from ablate.training.predict import Kept, Predictions, load_network, predict
from ablate.training.selection import Watch
from ablate.training.trainer import fit
from ablate.training.unlabelled import Found, Preparation, decoded, find_images, natural

CLASSES = ("ant", "bee", "cat", "dog")
README = Path(__file__).resolve().parents[2] / "README.md"


@pytest.fixture(autouse=True)
def room(monkeypatch: pytest.MonkeyPatch) -> None:
    """The real data room, in place of the made-up one of the other tests here."""
    monkeypatch.setattr(sources, "data", data)
    data.forget_data()


def picture(seed: int, colour: int, size: tuple[int, int] = (14, 11)) -> Image.Image:
    """A noisy picture in which the classes' colours are hard, but not impossible, to tell apart."""
    draws = np.random.default_rng(seed)
    base = np.array([[150, 90, 90], [90, 150, 90], [90, 90, 150], [120, 120, 90]])[colour]
    noise = draws.normal(0, 90, (size[1], size[0], 3)) + draws.normal(0, 25, 3)
    return Image.fromarray((base + noise).clip(0, 255).astype(np.uint8))


def save_as(kind: str, image: Image.Image, path: Path) -> None:
    """The picture in one of the forms that files come in."""
    if kind == "grey":
        image.convert("L").save(path.with_suffix(".png"))
    elif kind == "16 bits":
        Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257).save(path.with_suffix(".png"))
    elif kind == "palette":
        image.convert("P").save(path.with_suffix(".gif"))
    elif kind == "alpha":
        image.convert("RGBA").save(path.with_suffix(".webp"), lossless=True)
    elif kind == "cmyk":
        image.convert("CMYK").save(path.with_suffix(".jpg"), quality=95)
    elif kind == "turned":
        exif = Image.Exif()
        exif[0x0112] = 6
        image.save(path.with_suffix(".jpeg"), quality=95, exif=exif)
    else:
        image.save(path.with_suffix(".png"))


KINDS = ("plain", "grey", "16 bits", "palette", "alpha", "cmyk", "turned")


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """`data/pictures` with train/ and val/, the latter in all forms and in sizes of its own; gives val/."""
    root = tmp_path / "data" / "pictures"
    for part, count in (("train", 10), ("val", 14)):
        for number, name in enumerate(CLASSES):
            folder = root / part / name
            folder.mkdir(parents=True)
            for index in range(count):
                seed = zlib.crc32(f"{part} {name} {index}".encode())
                kind = KINDS[index % len(KINDS)] if part == "val" else "plain"
                save_as(kind, picture(seed, number, (12 + index, 11)), folder / f"{index}")
    return root / "val"


@dataclass(frozen=True)
class Trained:
    run: Run
    outcome: Outcome
    folder: Path

    def artifact(self, name: str) -> Artifact:
        return next(artifact for artifact in self.outcome.artifacts if artifact.path == name)

    def kept(self, name: str = "model-last.pt") -> Kept:
        return load_network(self.run, self.folder / name, self.artifact(name).sha256)


Train = Callable[..., Trained]


@pytest.fixture
def train(tmp_path: Path, pictures: Path, new_run: Any, watched: Any) -> Train:
    def make(**changes: Any) -> Trained:
        given = {
            "data.name": "imagefolder",
            "data.path": "pictures",
            "data.split": "official",
            "data.image_size": 10,
            "model.arch": "three-layer-cnn",
            "epochs": 3,
            "optimizer.lr": 0.02,
            "data.augment": [{"horizontal_flip": {"p": 0.5}}],
            **{name.replace("__", "."): value for name, value in changes.items()},
        }
        run = new_run(**{name.replace(".", "__"): value for name, value in given.items()})
        context = watched("run", keep="all", data_root=str(tmp_path / "data")).context
        return Trained(run, fit(run, context), context.run_dir)

    return make


def counted(predictions: Predictions, classes: tuple[str, ...]) -> tuple[tuple[int, ...], ...]:
    """The confusion counts of predictions whose files lie in a folder of their class."""
    counts = [[0] * len(classes) for _ in classes]
    for row in predictions.rows:
        counts[classes.index(row.file.split("/")[0])][row.label] += 1
    return tuple(map(tuple, counts))


def guesses(kept: Kept, place: Path, threads: int = 2, **more: Any) -> Predictions:
    return predict(kept, find_images(place), Context(run_dir=place, threads=threads), **more)


# The run's own evaluation ---------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"data__normalize": "imagenet", "precision": "bf16"},
        {"data__normalize": {"mean": [0.3, 0.4, 0.5], "std": [0.2, 0.3, 0.4]}},
        {"model__arch": "resnet18", "model__tweak": "D", "model__small_stem": True, "epochs": 1},
    ],
    ids=["dataset", "imagenet in bf16", "given", "resnet18 D"],
)
def test_predictions_are_those_of_the_runs_evaluation(changes: dict[str, Any], train: Train, pictures: Path) -> None:
    trained = train(**changes)
    confusion = trained.outcome.confusions[0]
    found = guesses(trained.kept(), pictures)
    assert confusion.classes == CLASSES
    assert counted(found, CLASSES) == confusion.counts
    right = sum(confusion.counts[number][number] for number in range(len(CLASSES)))
    assert len(CLASSES) < right < 14 * len(CLASSES), "neither all right nor all wrong, or the comparison is empty"
    assert all(1 / len(CLASSES) <= row.probability <= 1 for row in found.rows)


def test_mean_and_std_are_those_of_the_training_images(train: Train) -> None:
    trained = train(data__fraction=0.5)
    splits = data.load_data(
        Data.model_validate(trained.run.recipe["data"]),
        trained.run.seed,
        home=trained.folder.parent / "home",
        data_root=trained.folder.parent / "data",
    )
    kept = trained.kept()
    assert torch.equal(kept.mean, splits.mean)
    assert torch.equal(kept.std, splits.std)


def test_the_probability_is_the_softmax_of_the_network(train: Train, pictures: Path) -> None:
    kept = train().kept()
    file = pictures / "ant" / "0.png"
    (row,) = guesses(kept, file).rows
    pixels = torch.from_numpy(decode_image(file.read_bytes(), 10))[None]
    with torch.no_grad():
        logits = kept.network((pixels.float() / 255 - kept.mean[:, None, None]) / kept.std[:, None, None])
    wanted = logits.softmax(dim=1).max(dim=1)
    assert (row.file, row.label) == ("0.png", int(wanted.indices))
    assert row.probability == pytest.approx(float(wanted.values), abs=1e-5)


@pytest.mark.parametrize(("precision", "autocast"), [("fp32", False), ("bf16", True)])
def test_the_precision_is_the_runs(precision: str, autocast: bool, train: Train, pictures: Path) -> None:
    kept = train(epochs=1, precision=precision).kept()
    seen: list[tuple[bool, bool]] = []
    kept.network.register_forward_hook(
        lambda network, *_: seen.append((torch.is_autocast_enabled("cpu"), network.training))
    )
    guesses(kept, pictures / "ant")
    assert seen == [(autocast, False)]


def test_the_selected_epoch_is_not_the_last(train: Train, pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Watch, "update", lambda watch, epoch, value: epoch == 2)
    trained = train(select="val_top1", epochs=6, optimizer__lr=0.2)
    selected, last = trained.kept("model-selected.pt"), trained.kept("model-last.pt")
    by_epoch = {confusion.at: confusion.counts for confusion in trained.outcome.confusions}
    assert (selected.epoch, last.epoch) == (2, 6)
    assert by_epoch["selected"] != by_epoch["last"]
    assert counted(guesses(selected, pictures), CLASSES) == by_epoch["selected"]
    assert counted(guesses(last, pictures), CLASSES) == by_epoch["last"]


def test_batches_and_threads_change_nothing(train: Train, pictures: Path) -> None:
    kept = train().kept()
    whole = guesses(kept, pictures)
    one = guesses(kept, pictures, threads=1, batch_size=1)
    assert [(row.file, row.label) for row in one.rows] == [(row.file, row.label) for row in whole.rows]
    assert [row.probability for row in one.rows] == pytest.approx([row.probability for row in whole.rows], abs=1e-5)
    assert len(whole.rows) == 56


def test_a_run_without_an_image_size_takes_images_as_they_are(train: Train, tmp_path: Path, pictures: Path) -> None:
    for file in pictures.parent.rglob("*.*"):
        with Image.open(file) as opened:
            opened.convert("RGB").resize((9, 7)).save(file.with_suffix(".bmp"))
        file.unlink()
    trained = train(data__image_size=None, epochs=1)
    kept = trained.kept()
    assert kept.shape == (3, 7, 9)
    assert counted(guesses(kept, pictures), CLASSES) == trained.outcome.confusions[0].counts
    picture(0, 0, (8, 8)).save(tmp_path / "other.png")
    with raising(BadData):
        guesses(kept, tmp_path / "other.png")


# Plain torchvision ----------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_kept_weights_load_into_torchvision_as_the_readme_says(train: Train) -> None:
    trained = train(model__arch="resnet18", data__image_size=32, epochs=1)
    blocks = re.findall(r"^```python\n(.*?)^```", README.read_text(), re.DOTALL | re.MULTILINE)
    (snippet,) = [block for block in blocks if "torchvision.models" in block]
    path = re.search(r'"(\S+/model-last\.pt)"', snippet)
    assert path is not None
    assert "num_classes=10" in snippet
    snippet = snippet.replace(path.group(1), str(trained.folder / "model-last.pt"))
    names: dict[str, Any] = {}
    exec(snippet.replace("num_classes=10", "num_classes=4"), names)
    images = torch.randn(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        ours = trained.kept().network(images)
        torch.testing.assert_close(names["network"].eval()(images), ours)
    assert float(ours.std()) > 0


@pytest.mark.slow
def test_a_resnet50_of_tweak_b_is_torchvisions(tmp_path: Path) -> None:
    model = Model(arch="resnet50", tweak="B")
    ours = build_model(model, num_classes=7, image_shape=(3, 32, 32), seed=0).network
    path, _, _ = save_weights(tmp_path, "model-last.pt", ours.state_dict())
    theirs = torchvision.models.resnet50(num_classes=7)
    theirs.load_state_dict(torch.load(path, weights_only=True), strict=True)
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(theirs.eval()(images), ours.eval()(images))


def test_the_trainer_does_not_import_this() -> None:
    """So a change here leaves old results as fresh as they are."""
    core = provenance._core()[0]
    assert "ablate.training.outcome" in core
    assert not core & {"ablate.training.predict", "ablate.training.unlabelled"}


# Which files ----------------------------------------------------------------------------------------------------------


def test_images_are_found_in_natural_order(tmp_path: Path) -> None:
    for name in (
        "10.png",
        "9.PNG",
        "b/2.jpg",
        "b/1.jpg",
        "b/c/1.tif",
        "a.txt",
        "Thumbs.db",
        ".hidden.png",
        ".git/x.png",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "loop").symlink_to(tmp_path)
    found = find_images(tmp_path)
    assert found.files == ("9.PNG", "10.png", "b/1.jpg", "b/2.jpg", "b/c/1.tif")
    assert found.ignored == (".hidden.png", "Thumbs.db", "a.txt")


@pytest.mark.parametrize(
    ("first", "second"), [("2.png", "10.png"), ("a/9", "a/10"), ("a1/2", "a1b/1"), ("01.png", "1.png"), ("a", "a1")]
)
def test_the_natural_order(first: str, second: str) -> None:
    assert natural(first) < natural(second)


def test_no_folder_no_image(tmp_path: Path) -> None:
    with raising(NotFound):
        find_images(tmp_path / "absent")
    with raising(NotFound):
        find_images(tmp_path)
    (tmp_path / "notes.txt").touch()
    for place in (tmp_path, tmp_path / "notes.txt"):
        with raising(NotFound):
            find_images(place)


def test_a_folder_that_cannot_be_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests may run as root, who may list everything."""

    def refuse(path: str) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(unlabelled.os, "scandir", refuse)
    with raising(NoSpaceOrPermission):
        find_images(tmp_path)


class Eager(ThreadPoolExecutor):
    """Works when it is asked, so that what is asked ahead can be counted."""

    def map(self, function: Callable[..., Any], *values: Any, **more: Any) -> Iterator[Any]:
        return iter([function(*each) for each in zip(*values, strict=True)])


def test_only_two_batches_are_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unlabelled, "ThreadPoolExecutor", Eager)
    asked: list[str] = []

    def decode(content: bytes, size: int | None) -> Any:
        asked.append(content.decode())
        return np.zeros((3, 1, 1), dtype=np.uint8)

    monkeypatch.setattr(unlabelled, "decode_image", decode)
    for number in range(10):
        (tmp_path / f"{number}.png").write_text(str(number))
    chunks = decoded(find_images(tmp_path), Preparation(None, (3, 1, 1)), batch=2, threads=1)
    assert [file for file, _ in next(chunks)] == ["0.png", "1.png"]
    assert asked == ["0", "1", "2", "3"]
    assert [file for chunk in chunks for file, _ in chunk] == [f"{number}.png" for number in range(2, 10)]


# Bad images -----------------------------------------------------------------------------------------------------------


def spoil(folder: Path) -> dict[str, str]:
    """Puts bad images among the good ones; gives the reasons."""
    whole = (folder / "ant" / "1.png").read_bytes()
    (folder / "empty.png").touch()
    (folder / "text.jpg").write_text("no picture")
    (folder / "cut.png").write_bytes(whole[: len(whole) // 2])
    (folder / "gone.png").symlink_to(folder / "nowhere.png")
    return {
        "cut.png": "image file is truncated",
        "empty.png": "empty file",
        "gone.png": "missing, or a broken link",
        "text.jpg": "not an image in a known format",
    }


@pytest.mark.slow
def test_bad_images_are_an_error_that_names_them(train: Train, pictures: Path) -> None:
    kept = train(epochs=1).kept()
    reasons = spoil(pictures)
    with pytest.raises(BadData) as raised:
        guesses(kept, pictures, batch_size=3)
    said = str(raised.value)
    assert f"{pictures}: 4 of 60 images cannot be used: " in said
    assert all(f"{file} ({reason}" in said for file, reason in reasons.items())
    assert said.endswith("Replace or remove them, or leave them out with --skip-bad; nothing was written")
    for number in range(3):
        (pictures / f"z{number}.png").touch()
    with raising(BadData):
        guesses(kept, pictures)


@pytest.mark.slow
def test_bad_images_can_be_left_out(train: Train, pictures: Path) -> None:
    trained = train(epochs=1)
    kept = trained.kept()
    reasons = spoil(pictures)
    found = guesses(kept, pictures, batch_size=3, skip_bad=True)
    assert [file for file, _ in found.bad] == sorted(reasons)
    assert all(reason.startswith(reasons[file]) for file, reason in found.bad)
    assert counted(found, CLASSES) == trained.outcome.confusions[0].counts
    for file in pictures.glob("*/*"):
        file.unlink()
    with raising(BadData):
        guesses(kept, pictures, skip_bad=True)


def test_a_name_that_is_not_utf8_and_a_huge_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    picture(0, 0).save(tmp_path / "one.png")
    monkeypatch.setattr(unlabelled, "MAX_BYTES", 1)
    files = ("one.png", "\udcff.png")
    (chunk,) = decoded(Found(tmp_path, files), Preparation(4, (3, 4, 4)), batch=8, threads=1)
    assert chunk == [("one.png", "file of more than 0 MiB"), ("\udcff.png", "its name is not UTF-8")]


def test_a_fault_of_the_disk_says_nothing_about_the_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    picture(0, 0).save(tmp_path / "one.png")

    def refuse(path: Path) -> bytes:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with raising(NoSpaceOrPermission):
        list(decoded(find_images(tmp_path), Preparation(4, (3, 4, 4)), batch=8, threads=1))


# Bad weights ----------------------------------------------------------------------------------------------------------


class Runs:
    """Runs code when it is unpickled."""

    def __reduce__(self) -> Any:
        return (Path.touch, (Path("ran"),))


def test_a_pickle_that_runs_code_is_refused(train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    trained = train(epochs=1)
    path = trained.folder / "model-last.pt"
    for write in (lambda: path.write_bytes(pickle.dumps({"w": Runs()})), lambda: torch.save({"w": Runs()}, path)):
        write()
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        with raising(BadData):
            load_network(trained.run, path, digest)
    assert not (tmp_path / "ran").exists()


def test_weights_that_are_not_what_was_recorded(train: Train) -> None:
    trained = train(epochs=1)
    path, digest = trained.folder / "model-last.pt", trained.artifact("model-last.pt").sha256
    path.write_bytes(path.read_bytes()[:-1])
    with raising(BadData, code="digest-differs"):
        load_network(trained.run, path, digest)
    path.unlink()
    with raising(NotFound, code="absent-weights"):
        load_network(trained.run, path, digest)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"run_id": "f" * 64}, "run ffffffffffff"),
        ({"sha256": "0" * 64}, "SHA-256 000000000000"),
        ({"mean": [0.5]}, "RuntimeError"),
        ({"classes": None}, "TypeError"),
        ({"classes": ["ant", "bee"]}, "three-layer-cnn: Error(s) in loading"),
    ],
)  # fmt: skip
def test_the_file_beside_the_weights_is_checked(change: dict[str, Any], said: str, train: Train) -> None:
    trained = train(epochs=1)
    beside = trained.folder / "model-last.json"
    beside.write_text(json.dumps({**json.loads(beside.read_text()), **change}))
    with pytest.raises(BadData, match=re.escape(said)) as raised:
        trained.kept()
    assert "\n" not in str(raised.value)


def test_the_file_beside_the_weights_is_needed(train: Train) -> None:
    trained = train(epochs=1)
    beside = trained.folder / "model-last.json"
    for text, said in (("{", "not JSON"), ("[]", "KeyError")):
        beside.write_text(text)
        with pytest.raises(BadData, match=said):
            trained.kept()
    beside.unlink()
    with raising(NotFound):
        trained.kept()


def test_a_list_of_tensors_is_no_state_dict(train: Train) -> None:
    trained = train(epochs=1)
    path = trained.folder / "model-last.pt"
    torch.save([torch.zeros(1)], path)
    with raising(BadData):
        load_network(trained.run, path, hashlib.sha256(path.read_bytes()).hexdigest())


def test_weights_that_give_no_numbers(train: Train, pictures: Path) -> None:
    kept = train(epochs=1).kept()
    with torch.no_grad():
        next(iter(kept.network.parameters())).fill_(torch.nan)
    with raising(RunFailure):
        guesses(kept, pictures)
