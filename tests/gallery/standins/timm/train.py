"""What timm's train.py leaves: summary.csv with epochs from 0 and accuracies in percent, last.pth.tar; its log is on stderr."""

import argparse
import math
import pathlib
import sys

parser = argparse.ArgumentParser()
parser.add_argument("--data-dir", type=pathlib.Path, required=True)
parser.add_argument("--model", default="resnet50")
parser.add_argument("--device", default="cuda")
parser.add_argument("--lr", type=float)
parser.add_argument("--epochs", type=int, default=300)
parser.add_argument("--smoothing", type=float, default=0.1)
parser.add_argument("--seed", type=int, default=42)
parser.add_argument("--output", type=pathlib.Path, required=True)
parser.add_argument("--experiment", default="")
parser.add_argument("--resume", default="")
args = parser.parse_args()

folder = args.output / args.experiment
folder.mkdir(parents=True, exist_ok=True)
best = 90 - 20 * abs(math.log10(args.lr / 0.03)) + 50 * args.smoothing + 2 * args.seed
with open(folder / "summary.csv", "w") as stream:
    print("epoch,train_loss,eval_loss,eval_top1,eval_top5,lr", file=stream)
    for epoch in range(args.epochs):
        top1 = best - 10 / (epoch + 1)
        print(f"Train: {epoch} [   0/10 (  0%)]  Loss: 6.91 (6.91)  Time: 0.1s", file=sys.stderr)
        print(f"{epoch},{2 - top1 / 100},{2.1 - top1 / 100},{top1},{top1 + 5},{args.lr}", file=stream)
(folder / "last.pth.tar").write_text("weights")
print(f"*** Best metric: {top1} (epoch {epoch})", file=sys.stderr)
