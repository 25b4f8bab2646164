"""A wave fitted by polynomials, by gradient descent in plain Python: a script that prints text and knows nothing of ablate."""

import argparse
import math
import random

DEGREE = 7


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--lr", type=float, default=0.05)
    parser.add_argument("--momentum", type=float, default=0.0)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def points(draw: random.Random, count: int) -> list[tuple[list[float], float]]:
    """Points of a noisy wave as (Legendre polynomials of x, y)."""
    found = []
    for _ in range(count):
        x = draw.uniform(-1, 1)
        terms = [1.0, x]
        for n in range(1, DEGREE):
            terms.append(((2 * n + 1) * x * terms[n] - n * terms[n - 1]) / (n + 1))
        found.append((terms, math.sin(5 * x) + draw.gauss(0, 0.1)))
    return found


def main() -> None:
    given = parse()
    draw = random.Random(given.seed)
    train, val, test = (points(draw, count) for count in (60, 60, 200))
    weights = [0.0] * (DEGREE + 1)
    speed = [0.0] * (DEGREE + 1)

    def miss(terms: list[float], y: float) -> float:
        return sum(w * term for w, term in zip(weights, terms, strict=True)) - y

    def error(rows: list[tuple[list[float], float]]) -> float:
        return sum(miss(terms, y) ** 2 for terms, y in rows) / len(rows)

    for epoch in range(1, given.epochs + 1):
        draw.shuffle(train)
        for terms, y in train:
            slope = miss(terms, y)
            for place, term in enumerate(terms):
                speed[place] = given.momentum * speed[place] + slope * term
                weights[place] -= given.lr * speed[place]
        print(f"epoch {epoch}: val mse {error(val):.5f}, test mse {error(test):.5f}")


if __name__ == "__main__":
    main()
