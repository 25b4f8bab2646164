"""CutMix by hand, and its boxes and images against torchvision's for the same draws."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ablate.parts.declare import Loss
from ablate.parts.found import parts
from ablate.parts.hooks import Mix, Place
from ablate.parts.refinements.cutmix import PART, PATH, Box, CutMix, box_around, draw_cut, paste
from ablate.parts.refinements.mixup import Mixup
from ablate.training.hooking import Hooks
from ablate.training.losses import Objective

SHAPE = (50, 3, 20, 30)


def test_a_box_by_hand() -> None:
    """lam 0.75 leaves a quarter: half the height and half the width."""
    assert box_around(10, 15, 20, 30, 0.75) == Box(5, 15, 8, 22)
    assert box_around(0, 29, 20, 30, 0.75) == Box(0, 5, 22, 30)
    assert box_around(3, 4, 20, 30, 1.0) == Box(3, 3, 4, 4)
    assert box_around(10, 15, 20, 30, 0.0) == Box(0, 20, 0, 30)


def test_pasting_by_hand() -> None:
    images = torch.arange(3.0).view(3, 1, 1, 1).expand(3, 1, 2, 3) * 10
    pasted = paste(images, Box(0, 1, 1, 3), torch.tensor([2, 0, 1]))
    assert pasted[:, 0].tolist() == [[[0, 20, 20], [0, 0, 0]], [[10, 0, 0], [10, 10, 10]], [[20, 10, 10], [20, 20, 20]]]
    assert images[:, 0, 0, 1].tolist() == [0, 10, 20]  # the batch itself is left as it was


def test_draws_by_seed_epoch_and_step() -> None:
    box, mix = draw_cut(1.0, SHAPE, Place(3, 1, 2))
    again, same = draw_cut(1.0, SHAPE, Place(3, 1, 2))
    assert (box, mix.lam) == (again, same.lam)
    assert torch.equal(mix.partner, same.partner)
    assert sorted(mix.partner.tolist()) == list(range(50))
    others = [draw_cut(1.0, SHAPE, Place(*place))[0] for place in ((4, 1, 2), (3, 2, 2), (3, 1, 3))]
    assert all(other != box for other in others)


@given(step=st.integers(0, 10_000), height=st.integers(1, 40), width=st.integers(1, 40), alpha=st.floats(0.05, 5.0))
def test_lam_is_the_share_of_pixels_that_stayed(step: int, height: int, width: int, alpha: float) -> None:
    images = torch.zeros(2, 1, height, width)
    images[1] = 1.0
    mixed, mix = CutMix(alpha).mix(images, Place(0, 0, step))
    foreign = int(mix.partner[0]) != 0
    assert mixed[0].mean().item() == pytest.approx(1 - mix.lam if foreign else 0.0, abs=1e-6)
    assert 0.0 <= mix.lam <= 1.0


def test_boxes_are_as_large_as_alpha_says() -> None:
    """For alpha 1 the area is even from 0 to 1, so one box in a hundred has sides below a tenth."""
    side = 200
    boxes = [draw_cut(1.0, (1, 1, side, side), Place(0, 0, step))[0] for step in range(3000)]
    small = [box for box in boxes if box.bottom - box.top < side // 10 and box.right - box.left < side // 10]
    inside = [box for box in small if box.top > 0 and box.left > 0 and box.bottom < side and box.right < side]
    assert len(inside) / len(boxes) == pytest.approx(0.01, abs=0.005)


@pytest.mark.parametrize("seed", range(12))
def test_images_and_lam_are_torchvisions(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    v2 = pytest.importorskip("torchvision.transforms.v2")
    rng = np.random.default_rng(seed)
    lam, row, column = float(rng.beta(1.0, 1.0)), int(rng.integers(20)), int(rng.integers(30))
    images = torch.rand(6, 3, 20, 30, generator=torch.Generator().manual_seed(seed))
    labels = torch.arange(6)
    theirs = v2.CutMix(alpha=1.0, num_classes=6)
    monkeypatch.setattr(theirs._dist, "sample", lambda shape=(): torch.tensor(lam, dtype=torch.float64))
    drawn = iter([column, row])
    monkeypatch.setattr(torch, "randint", lambda *args, **options: torch.tensor([next(drawn)]))
    their_images, their_targets = theirs(images, labels)
    monkeypatch.undo()
    box = box_around(row, column, 20, 30, lam)
    partner = torch.arange(6).roll(1)
    assert torch.equal(paste(images, box, partner), their_images)
    kept = 1 - (box.bottom - box.top) * (box.right - box.left) / 600
    assert their_targets.diagonal().tolist() == pytest.approx([kept] * 6)


@given(lam=st.floats(0, 1), height=st.integers(1, 64), width=st.integers(1, 64), data=st.data())
def test_a_box_is_timms(lam: float, height: int, width: int, data: st.DataObject) -> None:
    """timm halves whole sides, torchvision takes whole halves: one rule."""
    row, column = data.draw(st.integers(0, height - 1)), data.draw(st.integers(0, width - 1))
    ratio = math.sqrt(1 - lam)
    tall, wide = int(height * ratio) // 2, int(width * ratio) // 2
    top, bottom = np.clip([row - tall, row + tall], 0, height)
    left, right = np.clip([column - wide, column + wide], 0, width)
    assert box_around(row, column, height, width, lam) == Box(top, bottom, left, right)


def test_it_is_off_at_0() -> None:
    assert PART.is_off({PATH: 0.0})
    assert not PART.is_off({PATH: 1.0})
    assert PART.fields[PATH].before == 0.0


def test_with_mixup_each_batch_draws_one_of_the_two_evenly() -> None:
    both = {"cutmix": CutMix(1.0), "mixup": Mixup(0.2)}
    hooks = Hooks(both, dict.fromkeys(both, ("images", "labels")))
    images = torch.rand(4, 1, 6, 6, generator=torch.Generator().manual_seed(0))
    counts = dict.fromkeys(both, 0)
    for batch in range(400):
        place = Place(0, batch // 20, batch % 20)
        mixed, mix = hooks.mix(images, place)
        assert mix is not None
        own = {name: hook.mix(images, place) for name, hook in both.items()}
        (name,) = [name for name, (_, one) in own.items() if one.lam == mix.lam]
        assert torch.equal(mixed, own[name][0])
        counts[name] += 1
    assert counts["cutmix"] == pytest.approx(200, abs=40)


@pytest.mark.parametrize("loss", ["cross_entropy", "binary_cross_entropy", "focal"])
def test_the_loss_is_lam_times_that_of_each_label(loss: str) -> None:
    logits = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    labels, partner = torch.tensor([0, 1, 2, 1]), torch.tensor([1, 2, 3, 0])
    part = parts(Loss)[loss]
    objective = Objective(3, part, {path: field.default for path, field in part.fields.items()})
    expected = 0.7 * objective(logits, labels) + 0.3 * objective(logits, labels[partner])
    assert float(objective(logits, labels, Mix(0.7, partner))) == pytest.approx(float(expected), rel=1e-5)
