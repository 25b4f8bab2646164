"""The policies and the operations that they draw from: torchvision's pixels for the same strength, and torchvision's draws."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as tv

from ablate.parts import policy
from ablate.parts.affine import unmoved, warp
from ablate.parts.declare import Transform
from ablate.parts.found import parts
from ablate.parts.transforms.random_erasing import TRIES, erased_boxes
from ablate.training.data import augment as augment_module
from ablate.training.data import augment_batch

SPACES = {"narrow": (policy.NARROW, v2.RandAugment()), "wide": (policy.WIDE, v2.TrivialAugmentWide())}
SIZES = [(3, 24, 24), (3, 9, 14), (1, 11, 8), (3, 1, 1), (3, 2, 5), (1, 1, 7)]


def some_images(count: int, channels: int = 3, height: int = 12, width: int = 12) -> torch.Tensor:
    """Noise, a flat image, one of few levels and a grey one."""
    draw = torch.Generator().manual_seed(3)
    images = torch.randint(0, 256, (count, channels, height, width), dtype=torch.uint8, generator=draw)
    images[0] = 77
    images[1] = images[1] // 8 + 60
    images[2] = images[2, :1]
    return images


def uniform(count: int, draws: int, seed: int = 1) -> torch.Tensor:
    return torch.rand(count, draws, generator=torch.Generator().manual_seed(seed))


def names(theirs: Any) -> list[str]:
    return list(theirs._AUGMENTATION_SPACE)


def test_the_operations_are_torchvisions_in_its_order() -> None:
    meant = {"Color": "Saturation", "AutoContrast": "Auto_Contrast", "ShearX": "Shear_X", "ShearY": "Shear_Y"}
    meant |= {"TranslateX": "Translate_X", "TranslateY": "Translate_Y"}
    for _, theirs in SPACES.values():
        assert [meant.get(name, name).lower() for name in names(theirs)] == list(policy.OPERATIONS)
        signed = [signed for _, signed in theirs._AUGMENTATION_SPACE.values()]
        assert signed == [1 <= place < policy.SIGNED for place in range(len(policy.OPERATIONS))]


@pytest.mark.parametrize("which", list(SPACES))
@pytest.mark.parametrize(("height", "width"), [(24, 24), (9, 14), (331, 200)])
def test_the_strengths_are_torchvisions(which: str, height: int, width: int) -> None:
    space, theirs = SPACES[which]
    table = policy.strengths(space, height, width)
    for name, row in zip(names(theirs), table, strict=True):
        made = theirs._AUGMENTATION_SPACE[name][0](policy.BINS, height, width)
        assert torch.equal(row, torch.zeros(policy.BINS).double() if made is None else made.double())


@pytest.mark.parametrize("operation", list(policy.OPERATIONS))
@pytest.mark.parametrize("which", list(SPACES))
@pytest.mark.parametrize("shape", SIZES, ids=str)
def test_an_operation_is_torchvisions_at_every_strength(operation: str, which: str, shape: Any) -> None:
    space, theirs = SPACES[which]
    images, place = some_images(6, *shape), list(policy.OPERATIONS).index(operation)
    off = total = 0
    for magnitude in policy.strengths(space, *shape[1:])[place].tolist():
        for strength in (magnitude, -magnitude) if 1 <= place < policy.SIGNED else (magnitude,):
            made = policy.OPERATIONS[operation](images, torch.full((6,), strength, dtype=torch.float64))
            expected = torch.stack([reference(theirs, names(theirs)[place], image, strength) for image in images])
            difference = (made.int() - expected.int()).abs()
            off, total = off + int((difference > 0).sum()), total + difference.numel()
            if operation == "contrast":
                assert difference.max() <= 1
            else:
                assert difference.max() == 0
    # torchvision's contrast rounds once more for the last few pixels of an image, those that fill no vector of the processor
    assert off <= 0.03 * total


def reference(theirs: Any, name: str, image: torch.Tensor, strength: float) -> torch.Tensor:
    return theirs._apply_image_or_video_transform(image, name, strength, v2.InterpolationMode.NEAREST, theirs._fill)


def recorded(theirs: Any, count: int, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, float]]:
    """The operations and strengths that torchvision draws."""
    found: list[tuple[str, float]] = []

    def note(image: Any, name: str, magnitude: float, **_: Any) -> Any:
        found.append((name, round(magnitude, 6)))
        return image

    monkeypatch.setattr(theirs, "_apply_image_or_video_transform", note)
    torch.manual_seed(0)
    for _ in range(count):
        theirs(torch.zeros(3, 24, 24, dtype=torch.uint8))
    return found


def same_distribution(ours: Counter[Any], theirs: Counter[Any]) -> float:
    keys = sorted({*ours, *theirs})
    table = np.array([[counts[key] for key in keys] for counts in (ours, theirs)])
    return float(stats.chi2_contingency(table).pvalue)


@pytest.mark.parametrize("which", list(SPACES))
def test_the_draws_are_torchvisions_in_distribution(which: str, monkeypatch: pytest.MonkeyPatch) -> None:
    _, theirs = SPACES[which]
    found: list[tuple[str, float]] = []

    def note(images: torch.Tensor, index: torch.Tensor, strength: torch.Tensor) -> torch.Tensor:
        known = [names(theirs)[place] for place in index.tolist()]
        found.extend(zip(known, (round(value, 6) for value in strength.tolist()), strict=True))
        return images

    monkeypatch.setattr(policy, "apply", note)
    monkeypatch.setattr(augment_module, "CHUNK", 2**24)
    name, arguments = ("rand_augment", {"num_ops": 2, "magnitude": 9}) if which == "narrow" else ("trivial_augment", {})
    images = torch.zeros(6000, 3, 24, 24, dtype=torch.uint8)
    augment_batch(images, torch.arange(6000), [{name: arguments}], seed=0, epoch=1)
    drawn = recorded(theirs, 6000, monkeypatch)
    assert len(drawn) == len(found)
    assert which == "wide" or set(drawn) == set(found)
    assert same_distribution(Counter(found), Counter(drawn)) > 1e-4
    if which == "narrow":  # the second operation does not follow from the first
        ours = Counter(zip((a for a, _ in found[:6000]), (b for b, _ in found[6000:]), strict=True))
        assert stats.chisquare(list(ours.values())).pvalue > 1e-4
        assert len(ours) == 14**2


def test_a_policy_is_its_operations_one_after_the_other() -> None:
    images = some_images(200, 3, 16, 16)
    draws = uniform(200, 6)
    arguments = {"num_ops": 3, "magnitude": 20}
    made = parts(Transform)["rand_augment"].kernel(images, draws, arguments)
    theirs = v2.RandAugment()
    table = policy.strengths(policy.NARROW, 16, 16)
    differing = 0
    for image, found, draw in zip(images, made, draws.tolist(), strict=True):
        for which, direction in zip(draw[::2], draw[1::2], strict=True):
            place = int(which * 14)
            strength = float(table[place, 20])
            if 1 <= place < policy.SIGNED and direction < 0.5:
                strength = -strength
            image = reference(theirs, names(theirs)[place], image, strength)
        differing += not torch.equal(image, found)
    assert differing <= 2  # a contrast that rounds otherwise


SINGLE: dict[str, tuple[dict[str, Any], Callable[[torch.Tensor, float], torch.Tensor]]] = {
    "posterize": ({"bits": 3, "p": 0.4}, lambda image, u: tv.posterize(image, 3) if u < 0.4 else image),
    "solarize": ({"threshold": 100, "p": 0.4}, lambda image, u: tv.solarize(image, 100) if u < 0.4 else image),
    "invert": ({"p": 0.4}, lambda image, u: tv.invert(image) if u < 0.4 else image),
    "auto_contrast": ({"p": 0.4}, lambda image, u: tv.autocontrast(image) if u < 0.4 else image),
    "equalize": ({"p": 0.4}, lambda image, u: tv.equalize(image) if u < 0.4 else image),
    "grayscale": ({"p": 0.4}, lambda image, u: tv.rgb_to_grayscale(image, 3) if u < 0.4 else image),
    "sharpness": ({"sharpness": 1.5}, lambda image, u: tv.adjust_sharpness(image, u * 2.5)),
    "shear_x": ({"shear": 0.4}, lambda image, u: sheared(image, (2 * u - 1) * 0.4, 0.0)),
    "shear_y": ({"shear": 0.4}, lambda image, u: sheared(image, 0.0, (2 * u - 1) * 0.4)),
    "translate_x": ({"share": 0.3}, lambda image, u: shifted(image, round((2 * u - 1) * 0.3 * image.shape[2]), 0)),
    "translate_y": ({"share": 0.3}, lambda image, u: shifted(image, 0, round((2 * u - 1) * 0.3 * image.shape[1]))),
}


def sheared(image: torch.Tensor, x: float, y: float) -> torch.Tensor:
    degrees = [float(np.degrees(np.arctan(value))) for value in (x, y)]
    return tv.affine(image, angle=0.0, translate=[0, 0], scale=1.0, shear=degrees, center=[0, 0])


def shifted(image: torch.Tensor, x: int, y: int) -> torch.Tensor:
    return tv.affine(image, angle=0.0, translate=[x, y], scale=1.0, shear=[0.0, 0.0])


@pytest.mark.parametrize("name", list(SINGLE))
def test_a_single_operation_is_torchvisions_for_the_same_draw(name: str) -> None:
    arguments, theirs = SINGLE[name]
    images, draws = some_images(60, 3, 23, 29), uniform(60, 1)
    made = parts(Transform)[name].kernel(images, draws, arguments)
    for image, found, draw in zip(images, made, draws[:, 0].tolist(), strict=True):
        assert torch.equal(found, theirs(image, draw))
    assert not torch.equal(made, images)


def test_a_shift_fills_with_black() -> None:
    image = torch.arange(1, 7, dtype=torch.uint8).view(1, 1, 2, 3)
    moved = parts(Transform)["translate_x"].kernel(image, torch.tensor([[0.99]]), {"share": 0.4})
    assert moved.tolist() == [[[[0, 1, 2], [0, 4, 5]]]]
    assert torch.equal(warp(image, unmoved(image)), image)


ERASED = {"p": 0.7, "scale_min": 0.02, "scale_max": 0.33, "ratio_min": 0.3, "value": 9}


def test_erased_boxes_are_torchvisions_in_distribution() -> None:
    count, height, width = 4000, 40, 60
    top, left, tall, wide = (
        values.numpy() for values in erased_boxes(uniform(count, 2 * TRIES + 2), height, width, ERASED)
    )
    torch.manual_seed(0)
    made = v2.RandomErasing(scale=(0.02, 0.33), ratio=(0.3, 1 / 0.3))
    drawn = [made.make_params([torch.zeros(3, height, width)]) for _ in range(count)]
    for values, key in ((top, "i"), (left, "j"), (tall, "h"), (wide, "w")):
        assert stats.ks_2samp(values, [box[key] for box in drawn]).pvalue > 1e-4
    assert stats.ks_2samp(tall / wide, [box["h"] / box["w"] for box in drawn]).pvalue > 1e-4
    assert (top + tall).max() <= height
    assert (left + wide).max() <= width


def test_an_erased_box_has_the_value_and_the_rest_stays() -> None:
    images = some_images(1000, 3, 20, 30).clamp(min=10)
    draws = uniform(1000, 1 + 2 * TRIES + 2)
    made = parts(Transform)["random_erasing"].kernel(images, draws, ERASED)
    boxes = torch.stack(erased_boxes(draws[:, 1:], 20, 30, ERASED), dim=1).tolist()
    for image, found, draw, (top, left, tall, wide) in zip(images, made, draws[:, 0].tolist(), boxes, strict=True):
        expected = tv.erase(image, top, left, tall, wide, torch.tensor(9.0)) if draw < 0.7 else image
        assert torch.equal(found, expected)
    assert 0.6 < float((made != images).flatten(1).any(1).float().mean()) < 0.8


def test_a_box_that_never_fits_erases_nothing() -> None:
    images = some_images(50, 3, 8, 8)
    for arguments in ({**ERASED, "p": 1.0, "scale_min": 1.0, "scale_max": 1.0}, {**ERASED, "p": 0.0}):
        made = parts(Transform)["random_erasing"].kernel(images, uniform(50, 1 + 2 * TRIES + 2), arguments)
        assert torch.equal(made, images)
    point = torch.full((5, 3, 1, 1), 50, dtype=torch.uint8)
    made = parts(Transform)["random_erasing"].kernel(point, uniform(5, 1 + 2 * TRIES + 2), {**ERASED, "p": 1.0})
    assert torch.equal(made, point)
