"""Augmentation: torchvision's distributions, parameters for each image, and nothing but (seed, epoch, id) behind
them."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as tv

from ablate.parts.color import greys, jitter, shift_hue
from ablate.parts.transforms.random_resized_crop import TRIES, crop_boxes, random_resized_crop
from ablate.parts.transforms.rotation import rotation
from ablate.training.data import augment as augment_module
from ablate.training.data import augment_batch, normalize_batch

JITTER = {"brightness": 0.4, "contrast": 0.3, "saturation": 0.5, "hue": 0.1}
ALL: list[Any] = [
    {"random_crop": {"padding": 4}},
    {"horizontal_flip": {"p": 0.5}},
    {"color_jitter": JITTER},
    {"rotation": {"degrees": 15.0}},
    {"random_resized_crop": {"scale_min": 0.08, "ratio_min": 0.75}},
]


def some_images(count: int, side: int = 12, width: int | None = None) -> torch.Tensor:
    return torch.randint(
        0, 256, (count, 3, side, width or side), dtype=torch.uint8, generator=torch.Generator().manual_seed(3)
    )


def augment(images: torch.Tensor, ids: torch.Tensor, *names: Any, seed: int = 0, epoch: int = 1) -> torch.Tensor:
    return augment_batch(images, ids, names, seed=seed, epoch=epoch)


@pytest.mark.parametrize("transform", ALL, ids=lambda t: next(iter(t)))
def test_an_image_gets_the_same_in_any_batch(transform: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    images, ids = some_images(40), torch.arange(40) * 7
    whole = augment(images, ids, transform)
    order = torch.randperm(40, generator=torch.Generator().manual_seed(0))
    assert torch.equal(augment(images[order], ids[order], transform), whole[order])
    alone = torch.cat([augment(images[i : i + 1], ids[i : i + 1], transform) for i in range(40)])
    assert torch.equal(alone, whole)
    monkeypatch.setattr(augment_module, "CHUNK", 5 * images[0].numel())
    assert torch.equal(augment(images, ids, transform), whole)


@pytest.mark.parametrize("transform", ALL, ids=lambda t: next(iter(t)))
def test_epochs_seeds_and_images_differ(transform: Any) -> None:
    images = some_images(1).expand(64, -1, -1, -1).contiguous()
    ids = torch.arange(64)
    first = augment(images, ids, transform)
    assert torch.equal(augment(images, ids, transform), first)
    for other in (augment(images, ids, transform, epoch=2), augment(images, ids, transform, seed=1)):
        assert (other != first).flatten(1).any(1).sum() > 16
    assert len(torch.unique(first.flatten(1), dim=0)) >= 2


def test_the_batch_is_left_as_it_was_and_no_transform_is_no_change() -> None:
    images = some_images(8)
    before = images.clone()
    augment(images, torch.arange(8), *ALL)
    assert torch.equal(images, before)
    assert torch.equal(augment(images, torch.arange(8)), images)
    assert augment(images[:0], torch.arange(0), *ALL).shape == (0, 3, 12, 12)


def test_the_same_transform_twice_draws_twice() -> None:
    images = some_images(200)
    twice = augment(images, torch.arange(200), ALL[1], ALL[1])
    flipped = (twice == images.flip(3)).flatten(1).all(1).float().mean()
    assert 0.35 < flipped < 0.65


@pytest.mark.parametrize("p", [0.0, 0.2, 0.5, 1.0])
def test_flip_rate(p: float) -> None:
    images = some_images(1).expand(4000, -1, -1, -1)
    flipped = augment(images, torch.arange(4000), {"horizontal_flip": {"p": p}})
    is_flipped = (flipped == images.flip(3)).flatten(1).all(1)
    is_same = (flipped == images).flatten(1).all(1)
    assert bool((is_flipped ^ is_same).all())
    assert abs(float(is_flipped.float().mean()) - p) <= 4 * math.sqrt(p * (1 - p) / 4000)


def test_crops_are_windows_of_the_padded_image_uniform_over_all_places() -> None:
    padding, side, count = 2, 6, 10_000
    image = some_images(1, side)
    cropped = augment(image.expand(count, -1, -1, -1), torch.arange(count), {"random_crop": {"padding": padding}})
    padded = torch.nn.functional.pad(image[0], (padding,) * 4)
    places = 2 * padding + 1
    windows = torch.stack([padded[:, y : y + side, x : x + side] for y in range(places) for x in range(places)])
    matches = (cropped.flatten(1)[:, None] == windows.flatten(1)[None]).all(2)
    assert bool((matches.sum(1) == 1).all())
    assert stats.chisquare(matches.sum(0).numpy()).pvalue > 1e-4
    made = v2.RandomCrop(side, padding)
    theirs = torch.stack([made(image[0]) for _ in range(50)])
    assert bool((theirs.flatten(1)[:, None] == windows.flatten(1)[None]).all(2).any(1).all())


def test_wide_images_are_cropped_too() -> None:
    images = some_images(50, 5, 9)
    cropped = augment(images, torch.arange(50), {"random_crop": {"padding": 1}})
    padded = torch.nn.functional.pad(images, (1,) * 4)
    for image, found in zip(padded, cropped, strict=True):
        assert any(torch.equal(found, image[:, y : y + 5, x : x + 9]) for y in range(3) for x in range(3))


FACTORS = {
    "brightness": tv.adjust_brightness,
    "contrast": tv.adjust_contrast,
    "saturation": tv.adjust_saturation,
}


@pytest.mark.parametrize("name", list(FACTORS))
@pytest.mark.parametrize("strength", [0.4, 1.5])
def test_one_factor_is_torchvisions_adjustment_over_its_range(name: str, strength: float) -> None:
    images, column = some_images(60), list(FACTORS).index(name)
    uniform = torch.rand(60, 8, generator=torch.Generator().manual_seed(1))
    uniform[0, column], uniform[1, column] = 0.0, 1 - 2**-24
    found = jitter(images, uniform, {name: strength})
    low = max(0.0, 1 - strength)
    for image, made, draw in zip(images, found, uniform[:, column].tolist(), strict=True):
        expected = FACTORS[name](image, low + draw * (1 + strength - low))
        assert (made.int() - expected.int()).abs().max() <= 1


def test_jitter_ranges_are_torchvisions() -> None:
    made = v2.ColorJitter(brightness=0.4, contrast=1.5, saturation=0.5, hue=0.1)
    assert (made.brightness, made.contrast, made.hue) == ((0.6, 1.4), (0.0, 2.5), (-0.1, 0.1))
    white = torch.full((4000, 3, 2, 2), 100, dtype=torch.uint8)
    found = augment(white, torch.arange(4000), {"color_jitter": {"brightness": 0.4}}).float()[:, 0, 0, 0] / 100
    assert found.min() >= 0.59
    assert found.max() <= 1.4
    assert stats.kstest((found.double() + 0.005).numpy(), stats.uniform(0.6, 0.8).cdf).pvalue > 1e-4


def test_hue_is_torchvisions_adjustment() -> None:
    images = some_images(80, 20)
    images[0] = 77
    turn = torch.linspace(-0.5, 0.5, 80)
    found = shift_hue(images, turn)
    for image, made, angle in zip(images, found, turn.tolist(), strict=True):
        assert (made.int() - tv.adjust_hue(image, angle).int()).abs().max() <= 1
    assert torch.equal(found[0], images[0])
    assert torch.equal(shift_hue(images, torch.zeros(80)), images)


@pytest.mark.parametrize("strengths", [JITTER, {**JITTER, "hue": 0.0}, {"hue": 0.3}, {"contrast": 0.5, "hue": 0.2}])
def test_jitter_is_the_operations_one_after_the_other_in_the_drawn_order(strengths: dict[str, float]) -> None:
    names = ["brightness", "contrast", "saturation", "hue"]
    images = some_images(96)
    uniform = torch.rand(96, 8, generator=torch.Generator().manual_seed(2))
    found = jitter(images, uniform, strengths)
    orders = set()
    for image, made, draw in zip(images, found, uniform, strict=True):
        order = [n for n in sorted(names, key=lambda n: float(draw[4 + names.index(n)])) if strengths.get(n, 0) > 0]
        orders.add(tuple(order))
        expected = image
        for name in order:
            strength, value = strengths[name], float(draw[names.index(name)])
            if name == "hue":
                expected = tv.adjust_hue(expected, (2 * value - 1) * strength)
            else:
                expected = FACTORS[name](expected, 1 - strength + value * 2 * strength)
        difference = (made.int() - expected.int()).abs().float()
        assert difference.mean() < 0.5  # each step may round by one, and a later step may widen it
        assert difference.max() <= 8
    active = sum(strengths.get(n, 0) > 0 for n in names)
    assert len(orders) == math.factorial(active)


def test_grey_images_of_one_channel_are_served() -> None:
    images = some_images(6)[:, :1]
    assert augment(images, torch.arange(6), *ALL).shape == images.shape
    assert torch.equal(greys(images.float()), images.float())


@pytest.mark.parametrize(("height", "width"), [(12, 12), (9, 14)])
def test_rotation_is_torchvisions_at_the_drawn_angle(height: int, width: int) -> None:
    images = some_images(40, height, width)
    uniform = torch.rand(40, 1, generator=torch.Generator().manual_seed(4))
    found = rotation(images, uniform, {"degrees": 40.0})
    differing = 0
    for image, made, draw in zip(images, found, uniform[:, 0].tolist(), strict=True):
        expected = tv.rotate(image, (2 * draw - 1) * 40.0, interpolation=v2.InterpolationMode.NEAREST, fill=0.0)
        differing += int((made != expected).any(0).sum())
    assert differing <= 0.005 * 40 * height * width  # a source halfway between two pixels may fall to either
    assert torch.equal(rotation(images, torch.full((40, 1), 0.5), {"degrees": 40.0}), images)


def test_boxes_are_torchvisions_in_distribution() -> None:
    count, side = 3000, 64
    uniform = torch.rand(count, 2 * TRIES + 2, generator=torch.Generator().manual_seed(5))
    ours = [values.numpy() for values in crop_boxes(uniform, side, side, 0.08, 0.75)]
    torch.manual_seed(0)
    made = v2.RandomResizedCrop(side, scale=(0.08, 1.0), ratio=(0.75, 4 / 3))
    drawn = [made.make_params([torch.zeros(3, side, side)]) for _ in range(count)]
    for values, name in zip(ours, ("top", "left", "height", "width"), strict=True):
        theirs = np.array([box[name] for box in drawn])
        assert stats.ks_2samp(values, theirs).pvalue > 1e-4
    top, left, tall, wide = ours
    aspects = np.array([box["width"] / box["height"] for box in drawn])
    assert stats.ks_2samp(wide / tall, aspects).pvalue > 1e-4
    assert (top + tall).max() <= side
    assert (left + wide).max() <= side
    assert min(top.min(), left.min()) == 0


@given(st.integers(1, 40), st.integers(1, 40), st.floats(0.01, 1), st.floats(0.01, 1), st.integers(0, 1000))
def test_boxes_lie_in_any_image(height: int, width: int, scale: float, ratio: float, seed: int) -> None:
    uniform = torch.rand(8, 2 * TRIES + 2, generator=torch.Generator().manual_seed(seed))
    top, left, tall, wide = crop_boxes(uniform, height, width, scale, ratio)
    for start, length, size in ((top, tall, height), (left, wide, width)):
        assert bool((start >= 0).all())
        assert bool((length >= 1).all())
        assert bool((start + length <= size).all())


@pytest.mark.parametrize(("height", "width"), [(10, 100), (100, 10)])
def test_an_image_in_which_no_box_fits_gives_its_centre(height: int, width: int) -> None:
    uniform = torch.full((2, 2 * TRIES + 2), 1 - 2**-24)
    boxes = crop_boxes(uniform, height, width, 1.0, 0.75)
    made = v2.RandomResizedCrop(8, scale=(1.0, 1.0)).make_params([torch.zeros(3, height, width)])
    assert [int(values[0]) for values in boxes] == [made["top"], made["left"], made["height"], made["width"]]


def test_resized_crop_is_torchvisions_of_the_same_box() -> None:
    images = some_images(30, 16)
    uniform = torch.rand(30, 2 * TRIES + 2, generator=torch.Generator().manual_seed(6))
    found = random_resized_crop(images, uniform, {"scale_min": 0.08, "ratio_min": 0.75})
    boxes = torch.stack(crop_boxes(uniform, 16, 16, 0.08, 0.75), dim=1).tolist()
    for image, made, box in zip(images, found, boxes, strict=True):
        expected = tv.resized_crop(image, *box, size=[16, 16], antialias=True)
        assert (made.int() - expected.int()).abs().max() <= 1


def test_normalisation_is_torchvisions() -> None:
    images = some_images(5)
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    expected = tv.normalize(images.float() / 255, mean.tolist(), std.tolist())
    found = normalize_batch(images, mean, std)
    assert found.dtype == torch.float32
    assert torch.allclose(found, expected, atol=2e-6)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an accelerator")
@pytest.mark.parametrize("transform", ALL, ids=lambda t: next(iter(t)))
def test_a_gpu_draws_the_same(transform: Any) -> None:
    images, ids = some_images(256, 32), torch.arange(256)
    here = augment(images, ids, transform)
    there = augment(images.cuda(), ids, transform)
    assert there.is_cuda
    off = (there.cpu().int() - here.int()).abs()
    assert (off > 1).float().mean() < 0.01
