"""A linear network on scikit-learn's digits."""

import argparse

import torch
from sklearn.datasets import load_digits
from torch.nn.functional import cross_entropy

parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float, default=0.1)
parser.add_argument("--epochs", type=int, default=10)
parser.add_argument("--augment", action="store_true")
parser.add_argument("--seed", type=int, default=0)
args = parser.parse_args()

torch.manual_seed(args.seed)
digits = load_digits()
x, y = torch.tensor(digits.data, dtype=torch.float32) / 16, torch.tensor(digits.target)
(x, val_x, test_x), (y, val_y, test_y) = x.split([1000, 297, 500]), y.split([1000, 297, 500])
net = torch.nn.Linear(64, 10)
optimizer = torch.optim.SGD(net.parameters(), lr=args.lr)


def right(images, labels):
    return (net(images).argmax(1) == labels).sum().item()


for epoch in range(1, args.epochs + 1):
    for batch in torch.randperm(1000).split(50):
        noise = torch.randn(len(batch), 64) if args.augment else 0
        loss = cross_entropy(net(x[batch] + noise), y[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    print(f"epoch {epoch}/{args.epochs}: train loss {loss:.4f}, val acc {right(val_x, val_y) / 297:.4f}")
print(f"test: {right(test_x, test_y)}/500, acc {right(test_x, test_y) / 500:.4f}")
