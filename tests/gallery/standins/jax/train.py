"""What a JAX script with absl's flags and logging prints, to stderr."""

import os
import sys

given = dict(word.removeprefix("--").split("=", 1) for word in sys.argv[1:])
assert given.keys() == {"learning_rate", "momentum", "num_epochs", "seed"}, given
assert os.environ["JAX_PLATFORMS"] == "cpu"
best = 90 + 5 * float(given["momentum"]) + 2 * int(given["seed"])
for epoch in range(1, int(given["num_epochs"]) + 1):
    print(f"I0102 03:04:05.678901 1234 train.py:90] train epoch: {epoch}, loss: 0.2, accuracy: 99.00", file=sys.stderr)
    loss = f"eval epoch: {epoch}, loss: 0.3000, accuracy: {best - 10 / epoch:.2f}"
    print(f"I0102 03:04:05.678901 1234 train.py:101] {loss}", file=sys.stderr)
