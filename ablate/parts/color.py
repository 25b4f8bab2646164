"""Brightness, contrast, saturation and hue of a batch, each image with factors and an order of its own.

The operations are torchvision's on uint8 tensors (Pillow's enhancers up to rounding), in float and back to uint8 after
each. Brightness, contrast and saturation all blend an image with another one (black, its mean grey, its greys), so one
pass serves a batch in which each image is at a different operation.
"""

from __future__ import annotations

import torch

BLENDS = ("brightness", "contrast", "saturation")


def jitter(images: torch.Tensor, uniform: torch.Tensor, strengths: dict[str, float]) -> torch.Tensor:
    """torchvision's ColorJitter with parameters for each image; `images` uint8 (B, 3, H, W), `uniform` (B, 8) in [0,
    1).

    Factors are uniform in [max(0, 1 - s), 1 + s] for brightness, contrast and saturation and in [-s, s] for hue, in a
    uniformly random order. An operation of strength 0 does nothing, as in torchvision.
    """
    active = [name for name in BLENDS if strengths.get(name, 0) > 0]
    hue = strengths.get("hue", 0.0)
    names = [*active, "hue"] if hue > 0 else active
    if not names:
        return images
    columns = [(*BLENDS, "hue").index(name) for name in names]
    order = uniform[:, 4:][:, columns].argsort(dim=1)  # (B, k): which of `names` comes at each place
    factors = torch.stack(
        [_between(uniform[:, BLENDS.index(n)], strengths[n]) for n in active] or [uniform[:, 0]], dim=1
    )
    if hue <= 0:
        for place in range(len(names)):
            images = _blend_step(images, order[:, place], factors, active)
        return images
    turn = (uniform[:, 3] * 2 - 1) * hue
    at = (order == len(active)).int().argmax(dim=1)
    for before in (True, False):
        for place in range(len(names)) if active else ():
            now = (place < at) if before else (place > at)
            step = torch.where(now, order[:, place], len(active))
            images = _blend_step(images, step, factors, active)
        if before:
            images = shift_hue(images, turn)
    return images


def _between(uniform: torch.Tensor, strength: float) -> torch.Tensor:
    low = max(0.0, 1.0 - strength)
    return low + uniform * (1.0 + strength - low)


def _blend_step(images: torch.Tensor, step: torch.Tensor, factors: torch.Tensor, active: list[str]) -> torch.Tensor:
    """One blend for each image: `step` (B,) indexes `active`, and len(active) leaves an image as it is."""
    pixels = images.to(torch.float32)
    shape = (-1, 1, 1, 1)
    other = torch.zeros((1, 1, 1, 1), device=images.device)
    if "contrast" in active or "saturation" in active:
        grey = greys(pixels)
        if "saturation" in active:
            other = torch.where((step == active.index("saturation")).view(shape), grey, other)
        if "contrast" in active:
            mean = grey.mean(dim=(1, 2, 3), keepdim=True, dtype=torch.float64).to(torch.float32)
            other = torch.where((step == active.index("contrast")).view(shape), mean, other)
    ones = torch.ones_like(factors[:, :1])
    factor = torch.cat([factors, ones], dim=1).gather(1, step.unsqueeze(1)).view(shape)
    return (pixels * factor + other * (1 - factor)).clamp_(0, 255).to(torch.uint8)


def greys(pixels: torch.Tensor) -> torch.Tensor:
    """Whole-number greys (B, 1, H, W) of float32 RGB in 0 to 255, by the weights of ITU-R BT.601 as torchvision."""
    if pixels.shape[1] == 1:
        return pixels
    red, green, blue = pixels.unbind(dim=1)
    return (red * 0.2989).add_(green, alpha=0.587).add_(blue, alpha=0.114).floor_().unsqueeze(1)


def shift_hue(images: torch.Tensor, turn: torch.Tensor) -> torch.Tensor:
    """uint8 (B, 3, H, W) with each image's hue moved by `turn` (B,), in turns of the colour circle; greys stay."""
    if images.shape[1] == 1:
        return images
    pixels = images.to(torch.float32)
    red, green, blue = pixels.unbind(dim=1)
    value, low = pixels.amax(dim=1), pixels.amin(dim=1)
    chroma = value - low
    safe = torch.where(chroma == 0, 1.0, chroma)
    sector = torch.where(value == green, (blue - red) / safe + 2, (red - green) / safe + 4)
    sector = torch.where(value == red, (green - blue) / safe, sector)
    hue = sector.div_(6).add_(turn.view(-1, 1, 1))
    hue = hue.sub_(hue.floor()).mul_(6)
    # The share of the chroma in each channel is a trapezoid of the hue (Smith 1978, doi 10.1145/965139.807361).
    shares = torch.stack([(hue - 3).abs_().sub_(1), 2 - (hue - 2).abs_(), 2 - (hue - 4).abs_()], dim=1).clamp_(0, 1)
    shifted = shares.mul_(chroma.unsqueeze(1)).add_(low.unsqueeze(1))
    return shifted.mul_(255.999 / 255).to(torch.uint8)
