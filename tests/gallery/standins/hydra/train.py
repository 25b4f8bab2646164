"""What a Hydra application prints to stdout: its logger's lines, with overrides taken as `key=value`."""

import math
import pathlib
import sys

defaults = {"model": "mlp", "optimizer.lr": "0.1", "epochs": "10", "seed": "0", "hydra.run.dir": "outputs"}
given = dict(word.split("=", 1) for word in sys.argv[1:])
if unknown := given.keys() - defaults.keys():
    sys.exit(f"Could not override '{min(unknown)}'.\nTo append to your config use +{min(unknown)}=...")
config = defaults | given
pathlib.Path(config["hydra.run.dir"], ".hydra").mkdir(parents=True, exist_ok=True)

best = 0.9 - 0.2 * abs(math.log10(float(config["optimizer.lr"]) / 0.03))
best += 0.05 * (config["model"] == "cnn") + 0.02 * int(config["seed"])
start = "[2026-01-02 03:04:05,678][__main__][INFO] - "
for epoch in range(1, int(config["epochs"]) + 1):
    print(f"{start}epoch {epoch} val/acc={best - 0.1 / epoch:.4f}")
print(f"{start}test/acc={best:.4f}")
