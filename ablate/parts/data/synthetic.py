"""Images that are made, not read.

Form     512 images of 32x32 pixels, the same ones whatever the run's seed is: each class a coarse random pattern under noise, so
         that networks can learn them. Labels go round the 10 classes; the last fifth or so, in whole rounds of the classes, is the
         official test set.
When     To try a study or a machine without any data.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ablate.parts.declare import DataSet

if TYPE_CHECKING:
    from ablate.parts.reading.source import Reading, Source

IMAGES, CLASSES, SIDE = 512, 10, 32


def open_synthetic(place: Path) -> Source:
    """The images, made when they are read; `place` is not looked at."""
    from ablate.parts.reading.source import Source

    def read(image_size: int | None) -> Reading:
        import torch

        from ablate.parts import streams
        from ablate.parts.reading.arrays import Part, reading

        draw = streams.generator(0, "synthetic", IMAGES, CLASSES, SIDE)
        coarse = torch.rand(CLASSES, 3, 4, 4, generator=draw)
        patterns = torch.nn.functional.interpolate(coarse, (SIDE, SIDE), mode="bilinear", align_corners=False)
        labels = torch.arange(IMAGES) % CLASSES
        noise = torch.rand(IMAGES, 3, SIDE, SIDE, generator=draw)
        pixels = ((patterns[labels] * 0.5 + noise * 0.5) * 255).to(torch.uint8).permute(0, 2, 3, 1).numpy()
        cut = IMAGES * 4 // 5 // CLASSES * CLASSES
        numbers = labels.numpy()
        parts = [Part("train", pixels[:cut], numbers[:cut]), Part("test", pixels[cut:], numbers[cut:])]
        return reading(parts, None, "synthetic", image_size)

    return Source("synthetic", f"made: {IMAGES} images, {CLASSES} classes", "made", None, read)


PART = DataSet(
    name="synthetic",
    open=open_synthetic,
    classes=CLASSES,
    images=IMAGES,
    embedded=True,
    official=("train", "test"),
    get="made when it is used",
)
