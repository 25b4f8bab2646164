"""Logistic regression on handwritten digits, by hand. It prints JSON lines, and takes its seed from the environment alone."""

import argparse
import json
import os

import numpy as np
from sklearn.datasets import load_digits


def features(images: np.ndarray, kinds: list[str]) -> np.ndarray:
    """images (n, 8, 8) -> (n, features + 1): what was asked for, and a constant."""
    found = {
        "pixels": images,
        "edges": np.abs(np.diff(images, axis=2)),
        "profiles": np.concatenate([images.sum(axis=1), images.sum(axis=2)], axis=1) / 8,
    }
    chosen = [found[kind].reshape(len(images), -1) for kind in kinds]
    return np.concatenate([*chosen, np.ones((len(images), 1))], axis=1)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--features", nargs="+", choices=("pixels", "edges", "profiles"), default=["pixels"])
    parser.add_argument("--l2", type=float, default=0.0)
    parser.add_argument("--epochs", type=int, default=5)
    given = parser.parse_args()

    draw = np.random.default_rng(int(os.environ.get("ABLATE_SEED", "0")))
    digits = load_digits()
    order = draw.permutation(len(digits.target))[:900]
    x, y = features(digits.images[order] / 16, given.features), digits.target[order]
    splits = {"train": np.arange(300), "test": np.arange(300, 900)}
    weights = np.zeros((x.shape[1], 10))

    def shares(rows: np.ndarray) -> np.ndarray:
        scores = np.exp(x[rows] @ weights - (x[rows] @ weights).max(axis=1, keepdims=True))
        return scores / scores.sum(axis=1, keepdims=True)

    for epoch in range(1, given.epochs + 1):
        for rows in np.array_split(draw.permutation(splits["train"]), 30):
            error = shares(rows) - np.eye(10)[y[rows]]
            weights -= 0.5 * (x[rows].T @ error / len(rows) + given.l2 * weights)
        for split, rows in splits.items():
            p = shares(rows)
            loss = float(-np.log(p[np.arange(len(rows)), y[rows]]).mean())
            top1 = float((p.argmax(axis=1) == y[rows]).mean())
            print(json.dumps({"epoch": epoch, "split": split, "loss": loss, "top1": top1}))


if __name__ == "__main__":
    main()
