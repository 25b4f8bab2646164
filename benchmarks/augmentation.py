"""Augmentation of a whole batch against torchvision's transform of each image: python benchmarks/augmentation.py [SIDE] [IMAGES]

The same images, one thread, interleaved; prints for each transform how many times as much processor time torchvision takes, with
its range. torchvision has no parameters for each image of a batch, so its transforms are called on one image at a time, as a data
loader does.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import torch
from torchvision.transforms import v2

from ablate.parts.declare import Transform
from ablate.parts.found import parts
from ablate.training.data import augment_batch

ROUNDS = 9


def theirs(side: int) -> dict[str, Callable[[torch.Tensor], torch.Tensor]]:
    """torchvision's transforms with the defaults of ours."""
    return {
        "horizontal_flip": v2.RandomHorizontalFlip(),
        "random_crop": v2.RandomCrop(side, 4),
        "random_resized_crop": v2.RandomResizedCrop(side),
        "rotation": v2.RandomRotation(15),
        "shear_x": v2.RandomAffine(0, shear=(-16.7, 16.7)),
        "translate_x": v2.RandomAffine(0, translate=(0.1, 0.0)),
        "posterize": v2.RandomPosterize(4),
        "solarize": v2.RandomSolarize(128),
        "auto_contrast": v2.RandomAutocontrast(),
        "equalize": v2.RandomEqualize(),
        "invert": v2.RandomInvert(),
        "grayscale": v2.RandomGrayscale(),
        "random_erasing": v2.RandomErasing(ratio=(0.3, 1 / 0.3)),
        "rand_augment": v2.RandAugment(),
        "trivial_augment": v2.TrivialAugmentWide(),
    }


def seconds(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def main() -> None:
    side, count = (int(given) for given in (*sys.argv[1:], "32", "512")[:2])
    torch.set_num_threads(1)
    images = torch.randint(0, 256, (count, 3, side, side), dtype=torch.uint8)
    ids = torch.arange(count)
    print(f"{count} images of {side} px; median of {ROUNDS} rounds, lowest and highest")
    for name, transform in theirs(side).items():
        fields = parts(Transform)[name].fields
        listed = [{name: {argument: declared.default for argument, declared in fields.items()}}]
        ratios = []
        for epoch in range(ROUNDS + 1):
            ours = seconds(lambda listed=listed, epoch=epoch: augment_batch(images, ids, listed, seed=0, epoch=epoch))
            ratios.append(seconds(lambda transform=transform: [transform(image) for image in images]) / ours)
        kept = sorted(ratios[1:])  # the first round warms up
        print(f"{name:20} {kept[len(kept) // 2]:6.2f}  ({kept[0]:.2f} to {kept[-1]:.2f})")


if __name__ == "__main__":
    main()
