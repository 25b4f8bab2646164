"""What torchvision's references/classification/train.py prints. It has no seed."""

import argparse
import random

from presets import Test


class torch:  # noqa: N801  what the study's replaced text calls
    manual_seed = staticmethod(random.seed)


def main(args):
    print(args)
    print("Start training")
    for epoch in range(args.epochs):
        print(
            f"Epoch: [{epoch}]  [ 0/10]  eta: 0:00:01  lr: {args.lr}  img/s: 64.0  loss: 2.3 (2.3)  acc1: 9.375 (9.375)"
        )
        acc1 = 70 + 50 * args.label_smoothing + 5 * epoch + random.random()
        print(f"{Test}  [ 0/10]  eta: 0:00:01  loss: 2.3 (2.3)  acc1: 9.375 (9.375)  acc5: 50.000 (50.000)")
        print(f"{Test} Total time: 0:00:01")
        print(f"{Test}  Acc@1 {acc1:.3f} Acc@5 {acc1 + 5:.3f}")
    print("Training time 0:00:02")


def get_args_parser():
    parser = argparse.ArgumentParser()
    parser.add_argument("--data-path", required=True)
    parser.add_argument("--model", default="resnet18")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--lr", default=0.1, type=float)
    parser.add_argument("--epochs", default=90, type=int)
    parser.add_argument("--label-smoothing", default=0.0, type=float)
    parser.add_argument("--output-dir", default=".")
    return parser


if __name__ == "__main__":
    args = get_args_parser().parse_args()
    main(args)
