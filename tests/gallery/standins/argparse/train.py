"""A training script with argparse: a line an epoch, one at the end."""

import argparse
import math

parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float, default=0.1)
parser.add_argument("--epochs", type=int, default=10)
parser.add_argument("--augment", action="store_true")
parser.add_argument("--seed", type=int, default=0)
args = parser.parse_args()

best = 0.9 - 0.2 * abs(math.log10(args.lr / 0.03)) + 0.05 * args.augment + 0.02 * args.seed
for epoch in range(1, args.epochs + 1):
    acc = best - 0.1 / epoch
    print(f"epoch {epoch}/{args.epochs}: train loss {1 - acc:.4f}, val loss {1.1 - acc:.4f}, val acc {acc:.4f}")
print(f"test: {round(500 * best)}/500, acc {best:.4f}")
