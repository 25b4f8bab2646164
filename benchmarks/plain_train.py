"""The peer: what one writes without a tool. One process trains one arm of the grid and prints its accuracy.

The same images, network, batch size, epochs, optimizer and evaluation as `grid_wall_clock.py` gives to ablate.
"""

from __future__ import annotations

import argparse
import math

import numpy as np
import torch
import torchvision
from sklearn.datasets import load_digits
from torch import nn


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cosine", action="store_true")
    parser.add_argument("--smoothing", type=float, default=0.0)
    parser.add_argument("--mixup", type=float, default=0.0)
    parser.add_argument("--limit", type=int, default=256)
    parser.add_argument("--epochs", type=int, default=2)
    args = parser.parse_args()
    torch.manual_seed(0)
    digits = load_digits()
    images = torch.from_numpy(digits.images.astype(np.float32) / 16).unsqueeze(1).repeat(1, 3, 1, 1)
    labels = torch.from_numpy(digits.target)
    order = torch.randperm(len(images))
    test, train = order[:360], order[360 : 360 + args.limit]
    model = torchvision.models.resnet18(num_classes=10)
    model.conv1, model.maxpool = nn.Conv2d(3, 64, 3, 1, 1, bias=False), nn.Identity()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.02, momentum=0.9, weight_decay=5e-4)
    loss_function = nn.CrossEntropyLoss(label_smoothing=args.smoothing)
    steps = args.epochs * math.ceil(len(train) / 32)
    step = 0
    for _ in range(args.epochs):
        model.train()
        for rows in train[torch.randperm(len(train))].split(32):
            if args.cosine:
                optimizer.param_groups[0]["lr"] = 0.01 * (1 + math.cos(math.pi * step / steps))
            batch, target = images[rows], labels[rows]
            lam = float(np.random.beta(args.mixup, args.mixup)) if args.mixup else 1.0
            mixed = torch.randperm(len(rows))
            batch = lam * batch + (1 - lam) * batch[mixed]
            output = model(batch)
            loss = lam * loss_function(output, target) + (1 - lam) * loss_function(output, target[mixed])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            step += 1
        model.eval()
        with torch.no_grad():
            right = sum(int((model(images[rows]).argmax(1) == labels[rows]).sum()) for rows in test.split(128))
    print(f"top1 {right / len(test):.4f}")


if __name__ == "__main__":
    main()
